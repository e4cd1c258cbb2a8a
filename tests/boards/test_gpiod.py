"""libgpiod itself on lines that are moved beneath it: no kernel of a test machine has GPIO lines to press."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

pytestmark = [pytest.mark.needs_debian("gcc"), pytest.mark.needs_root]

HERE = Path(__file__).parent


def test_requests_edges_and_outputs_through_libgpiod(tmp_path: Path) -> None:
    chip, calls = tmp_path / "gpiochip0", tmp_path / "gpio_calls.so"
    os.mknod(chip, 0o20600, os.makedev(1, 3))
    command = ["gcc", "-std=gnu11", "-Wall", "-Wextra", "-Werror", "-shared", "-fPIC", "-o", str(calls)]
    subprocess.run([*command, str(HERE / "gpio_calls.c"), "-ldl"], check=True)
    trial = subprocess.run(
        [sys.executable, "-m", "tests.boards.gpiod_trial", str(chip)],
        env={**os.environ, "LD_PRELOAD": str(calls)},
        cwd=HERE.parents[1],
        capture_output=True,
        text=True,
        timeout=100,
        check=False,
    )
    assert trial.returncode == 0, trial.stderr
