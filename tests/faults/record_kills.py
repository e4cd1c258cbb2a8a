"""kill -9 of a record process at any moment, under load, and what `yunjian footage check` says after each.

Used by tests/faults/test_record_kills.py, as often as a test suite has time for, and by `make soak`.
"""

import random
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from agent.footage.inspection.soundness import Finding
from agent.footage.inspection.survey import Report, Wanted, survey
from agent.footage.naming import camera_uuid
from tests.fakes.camera import RtspServer, make_clip
from tests.fakes.recording import FACILITY, Recording
from tests.fakes.waiting import until

CAMERAS = ("one", "two", "three", "four")

DURING_START = 0.3
"""The share of kills that come before the process has begun to record: while it recovers from the kill before."""


@contextmanager
def under_load(folder: Path) -> Iterator[Recording]:
    """A facility of four cameras, two with B-frames, at the shortest segments that may be set."""
    media = folder / "media"
    make_clip(media / "a.mp4", fps=25)
    make_clip(media / "b.mp4", fps=25, b_frames=2)
    server = RtspServer(media)
    server.start()
    recording = Recording(folder, {name: server.url("ab"[n % 2] + ".mp4") for n, name in enumerate(CAMERAS)})
    recording.make_volume()
    try:
        yield recording
    finally:
        recording.close()
        server.stop()


def checked(recording: Recording, deep: bool) -> Report:
    """What `yunjian footage check` finds now."""
    recorded = {(camera_uuid(FACILITY, name), "main") for name in CAMERAS}
    wanted = Wanted(recording.index, [recording.volume], FACILITY, recorded, deep)
    return survey(wanted, time.time_ns, time.sleep, lambda done, total: None)


def told(findings: list[Finding]) -> list[str]:
    """Findings on a line each."""
    return [f"invariant {each.number}: {each.where}: {each.what.en}" for each in findings]


def kill_again_and_again(recording: Recording, seed: int, seconds: float, most: int) -> tuple[int, int]:
    """Kill the process at random until `seconds` are over or it was killed `most` times, and check after each start
    that it got over. How often it was killed, and how often of these while it started. Fails at the first finding."""
    chance = random.Random(seed)
    end_s = time.monotonic() + seconds
    kills = early = 0
    recording.start()
    until(lambda: recording.is_recording(*CAMERAS), 20, "all cameras are recorded")
    while kills < most and time.monotonic() < end_s:
        time.sleep(chance.uniform(0, 3))
        recording.kill()
        kills += 1
        while kills < most and chance.random() < DURING_START:
            recording.spawn()
            time.sleep(chance.uniform(0, 1.5))
            recording.kill()
            kills, early = kills + 1, early + 1
        recording.start()
        until(lambda: recording.is_recording(*CAMERAS), 20, f"all cameras are recorded after kill {kills}, seed {seed}")
        found = told(checked(recording, deep=False).findings)
        assert found == [], f"after kill {kills}, seed {seed}: {found}"
    return kills, early
