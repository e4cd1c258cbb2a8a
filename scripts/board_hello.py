"""Ask the board behind a serial port who it is: python scripts/board_hello.py /dev/ttyACM0."""

import sys
import time
from pathlib import Path

from firmware_bridge.serial_port import SerialBoard

_WAIT_S = 10.0
"""Opening the port resets most boards, and their boot loader takes up to two seconds."""


def main(args: list[str]) -> int:
    """0: it answered and has a name. 1: not so. 2: usage."""
    if len(args) != 1:
        print("用法 / usage: board_hello.py PORT", file=sys.stderr)
        return 2
    board = SerialBoard(Path(args[0]), lambda _report: None)
    board.start()
    try:
        end_s = time.monotonic() + _WAIT_S
        while not board.status().up and time.monotonic() < end_s:
            time.sleep(0.05)
        status = board.status()
    finally:
        board.stop()
    if not status.up:
        print(f"{args[0]}：板卡没有回答 / the board does not answer", file=sys.stderr)
        return 1
    print(f"uid {status.uid}  固件/firmware {status.firmware}  启动/boot {status.boot_id}")
    if status.uid is None or set(status.uid) in ({"f"}, {"0"}):
        print("板卡没有编号：请用 make flash 写入固件 / the board has no uid: flash it by make flash", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
