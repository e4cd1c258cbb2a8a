"""Buttons while `record`, `vision` and `web` are killed with kill -9, again and again, in a running facility."""

import itertools
import sqlite3
import tempfile
import time
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

from tests.bench.button import TARGET_MS, press_times, read_presses, share
from tests.bench.row import Row
from tests.fakes.facility import Facility
from tests.fakes.waiting import until

VICTIMS = ("vision", "record", "web")
ROUNDS = 30
PLATFORM = "police"


def rows() -> Iterator[Row]:
    """The figures of this bench: each press comes right after a kill, or a moment later."""
    with tempfile.TemporaryDirectory(prefix="kills-") as name:
        facility = Facility(Path(name) / "var")
        facility.start()
        for number, victim in zip(range(ROUNDS), itertools.cycle(VICTIMS), strict=False):
            facility.kill(victim)
            for _ in range(3):
                facility.press()
                time.sleep(0.25 + 0.01 * number)
        presses = ROUNDS * 3
        until(lambda: len(facility.presses_received(PLATFORM)) >= presses, 60, "every press arrived")
        pressed, events = read_presses(facility.folder / "log" / "presses.jsonl")
        took_ms, unseen = press_times(pressed, events, _received(facility))
        facility.wait_until_working()
        facility.stop()
    note = f"{len(pressed)} presses, {ROUNDS} kills of {', '.join(VICTIMS)}; two cameras, 30 ms debounce included"
    p99 = share(took_ms, 0.99)
    yield Row("button under kill -9, p50", share(took_ms, 0.5), "ms", None, None, note)
    yield Row("button under kill -9, p99", p99, "ms", TARGET_MS, p99 < TARGET_MS, note)
    yield Row("button under kill -9, max", took_ms[-1], "ms", None, None, note)
    lost = len(pressed) - len(took_ms)
    yield Row("presses lost under kill -9", lost, "", 0, lost == 0, f"{unseen} of them not seen by the board; {note}")


def _received(facility: Facility) -> dict[str, int]:
    with closing(sqlite3.connect(facility.folder / f"platform-{PLATFORM}.db")) as db:
        return dict(db.execute("select id, received_mono_ns from events"))
