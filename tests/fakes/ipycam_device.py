"""Runs a virtual camera of the package ipycam, by the interpreter of its own environment: address, user, password."""

import sys
import time

import numpy as np
from ipycam import CameraConfig, IPCamera  # type: ignore[import-not-found]  # in .venv-ipycam alone

WIDTH, HEIGHT, FPS = 640, 480, 10


def main(address: str, username: str, password: str) -> None:
    """Show a moving picture until it is ended."""
    config = CameraConfig(
        local_ip=address, main_width=WIDTH, main_height=HEIGHT, main_fps=FPS, sub_width=320, sub_height=240,
        sub_fps=FPS, hw_accel="cpu", show_timestamp=False, username=username, password=password,
    )  # fmt: skip
    camera = IPCamera(config)
    assert camera.start()
    number = 0
    while True:
        picture = np.full((HEIGHT, WIDTH, 3), number * 3 % 255, np.uint8)
        picture[:, number * 5 % 600 :][:, :40] = 255
        camera.stream(picture)
        number += 1
        time.sleep(1 / FPS)


if __name__ == "__main__":
    main(*sys.argv[1:4])
