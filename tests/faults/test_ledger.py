"""The ledger of a real recorder in real time, judged against the camera's own log of what it sent and when."""

import io
import itertools
import json
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import av

from agent.access.console import Screen
from agent.access.ledger_view import Wish, coverage, gaps
from agent.facts import ConditionKind
from tests.fakes.encoded import VIDEO_RATE, number_in, pictures
from tests.fakes.recording import Recording, assert_decided
from tests.fakes.scripted_camera import ScriptedCamera, Sent, Unit, steady
from tests.fakes.waiting import until

FPS = 25
FRAME_NS = 1_000_000_000 // FPS
HOLE_S = 7.0
BEFORE_S = 14.0
JUMP_AT_S = 4.2
MOST_ERROR_NS = 2 * FRAME_NS + 80_000_000
"""Two frames, and what the reader gathers before it takes packets from the socket."""


class Show:
    """A camera 400 ppm fast that sets its clock four seconds after it began, and whose encoder stands still for seven
    seconds, whoever connects meanwhile."""

    def __init__(self) -> None:
        self._began_s: float | None = None

    def __call__(self, connection: int) -> Iterator[Unit]:
        now_s = time.monotonic()
        if self._began_s is None:
            self._began_s = now_s
        passed_s = now_s - self._began_s
        shown = itertools.cycle(pictures(2.0, fps=FPS))
        first = connection == 1
        wait_s = 0.0 if first else max(0.0, BEFORE_S + HOLE_S - passed_s)
        for unit in steady(shown, fps=FPS, ppm=400, from_s=wait_s):
            if first and unit.at_s > BEFORE_S:
                yield Unit(BEFORE_S + HOLE_S, unit.ticks, unit.data)  # by then nobody listens
                return
            jumped = round(1234.5 * VIDEO_RATE) if first and unit.at_s > JUMP_AT_S else 0
            yield Unit(unit.at_s, unit.ticks + jumped, unit.data, unit.key)


def recorded(recording: Recording, name: str) -> dict[int, int]:
    """Number of each picture on the disk -> when it was sent, by what rows and files say (wall ns)."""
    found: dict[int, int] = {}
    now_ns = time.time_ns()
    for row in recording.segments(name, 0, now_ns):
        with av.open(row["path"]) as container:
            stream = container.streams.video[0]
            assert stream.time_base is not None
            for packet in container.demux(stream):
                number = number_in(bytes(packet)) if packet.size else None
                if number is not None:
                    found[number] = row["start_ns"] + round(float((packet.dts or 0) * stream.time_base) * 1e9)
    return found


def told(recording: Recording, what: str) -> tuple[int, dict[str, Any], str]:
    """Status, JSON and text of `footage gaps` or `footage coverage`."""
    pages: list[str] = []
    for as_json in (True, False):
        out = io.StringIO()
        wish = Wish("one", "main", "today", "now")
        screen = Screen("en", out)
        if what == "gaps":
            status = gaps(screen, recording.runtime, wish, "1s", as_json)
        else:
            status = coverage(screen, recording.runtime, wish, 1, as_json)
        pages.append(out.getvalue())
    return status, json.loads(pages[0]), pages[1]


def test_the_ledger_against_the_cameras_log(tmp_path: Path) -> None:
    camera = ScriptedCamera(Show(), pictures(2.0, fps=FPS)[0])
    recording = Recording(tmp_path, {"one": camera.url()}, segment_s=10)
    recording.make_volume()
    try:
        began_ns = time.time_ns()
        recording.start()
        until(lambda: recording.is_recording("one"), 15, "the camera is recorded")
        hole_at = camera.log[0].wall_ns / 1e9 + BEFORE_S
        raised = recording.desk.wait_for(ConditionKind.CAMERA_SILENT, "camera/one", True, 30)
        over = recording.desk.wait_for(ConditionKind.CAMERA_SILENT, "camera/one", False, 30)
        assert raised < over
        assert time.time() - (time.monotonic() - raised) - hole_at < 7.0, "told while it lasts"
        time.sleep(5)
        answer = recording.spans("one", began_ns)
        assert_decided(answer, began_ns)
        status, listed, page = told(recording, "gaps")
        assert status == 1
        covered_status, covered, strip = told(recording, "coverage")
        assert recording.stop() == 0
        recording.start()
        judge(recording, camera.log, answer)
        (silent,) = [gap for gap in listed["cameras"][0]["gaps"] if gap["reason"] == "camera_silent"]
        assert "camera silent" in page
        assert abs(silent["length_ns"] / 1e9 - HOLE_S) < 1.5
        assert covered_status == 1
        (day,) = covered["cameras"][0]["days"]
        assert 0.3 < day["share"] < 0.9
        assert "one" in strip
        assert recording.desk.others({(ConditionKind.CAMERA_SILENT, "camera/one")}) == set()
    finally:
        recording.close()
        camera.stop()


def judge(recording: Recording, log: list[Sent], answer: dict[str, Any]) -> None:
    found = recorded(recording, "one")
    sent = {each.number: each for each in log}
    errors = {number: at_ns - sent[number].wall_ns for number, at_ns in found.items()}
    assert max(errors.values()) < MOST_ERROR_NS
    assert min(errors.values()) > -MOST_ERROR_NS
    # What was sent and is not on the disk lies in a gap, but for the last moments.
    last = max(found)
    lost = [each for each in log if each.number not in found and each.number < last and each.whole]
    silent = [gap for gap in answer["gaps"] if gap["reason"] in ("camera_silent", "starting")]
    for each in lost:
        assert any(gap["from_ns"] - MOST_ERROR_NS <= each.wall_ns < gap["to_ns"] for gap in silent)
    assert len(lost) < 2.2 * FPS, "up to the next key picture, at the start and after the hole"
    # The hole in the log is the gap in the ledger.
    before, after = max(
        itertools.pairwise(sorted(found)), key=lambda pair: sent[pair[1]].wall_ns - sent[pair[0]].wall_ns
    )
    (gap,) = [gap for gap in answer["gaps"] if gap["reason"] == "camera_silent"]
    assert abs(gap["from_ns"] - (sent[before].wall_ns + FRAME_NS)) < MOST_ERROR_NS
    assert abs(gap["to_ns"] - sent[after].wall_ns) < MOST_ERROR_NS
