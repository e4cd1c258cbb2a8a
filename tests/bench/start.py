"""From `yunjian run` to the first recorded byte, with four 1080p cameras; and from Ctrl-C to a stop in order."""

import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

from agent.footage.disk.files import create_volume
from tests.bench.load import CLIP, FACILITY, MEDIA, make_clip, settings_text
from tests.bench.row import Row
from tests.fakes.camera import RtspServer
from tests.fakes.waiting import until

FIRST_BYTE_S = 10.0
TRIALS = 3


def rows() -> Iterator[Row]:
    """The figures of this bench; the worst of a few starts."""
    make_clip(CLIP)
    first_s, stop_s = zip(*(_start_once() for _ in range(TRIALS)), strict=True)
    note = f"worst of {TRIALS} starts, four 1080p cameras"
    yield Row("yunjian run to first recorded byte", max(first_s), "s", FIRST_BYTE_S, max(first_s) < FIRST_BYTE_S, note)
    yield Row("Ctrl-C to a stop in order", max(stop_s), "s", None, None, note)


def _start_once() -> tuple[float, float]:
    with tempfile.TemporaryDirectory(prefix="start-") as name, ExitStack() as running:
        folder = Path(name)
        mains, subs = RtspServer(CLIP.parent), RtspServer(MEDIA)
        for server in (mains, subs):
            server.start()
            running.callback(server.stop)
        settings = folder / "facility.yaml"
        settings.write_text(settings_text(folder / "run", mains, subs), encoding="utf-8")
        create_volume(folder / "footage", FACILITY)
        began = time.monotonic()
        process = subprocess.Popen(
            [sys.executable, "-m", "agent", "run", "--config", str(settings)],
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        until(lambda: any(path.stat().st_size for path in (folder / "footage").rglob("*.mp4")), 60, "the first byte")
        first_s = time.monotonic() - began
        process.send_signal(signal.SIGINT)
        asked = time.monotonic()
        status = process.wait(60)
        if status != 0:
            raise AssertionError(f"run ended with status {status}")
        return first_s, time.monotonic() - asked
