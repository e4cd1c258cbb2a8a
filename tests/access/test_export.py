"""Exporting a real clip, with the audit before the first byte."""

import hashlib
import io
import json
from collections.abc import Iterator
from importlib import resources
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import av
import pytest

from agent.access.console import Screen
from agent.access.export import Wish, export, gap_line
from agent.facts import Text
from agent.footage.timeline import Gap
from agent.wire import Reply, Request
from tests.access.test_views import Terminal
from tests.fakes.evidence import record
from tests.fakes.processes import NOON_NS, Sockets, sockets

NS = 1_000_000_000
CLIP = Path(str(resources.files("agent.demo") / "media" / "room-b-sub.mp4"))


class Facility(Sockets):
    """One recorded segment, which can be read only once the audit row is written."""

    folder: Path
    lasts_ns: int

    @property
    def segment(self) -> Path:
        return self.folder / "segment.mp4"

    @property
    def output(self) -> Path:
        return self.folder / "out.mp4"


@pytest.fixture
def facility(tmp_path: Path) -> Iterator[Facility]:
    with sockets() as running, av.open(CLIP) as clip:
        agent = Facility(running.runtime)
        agent.folder = tmp_path
        assert clip.duration is not None
        agent.lasts_ns = clip.duration * 1000
        whole = {"from_ns": NOON_NS, "to_ns": NOON_NS + agent.lasts_ns}
        segment = {
            "path": str(agent.segment), "start_ns": NOON_NS, "end_ns": whole["to_ns"], "codec": "h264", "bytes": 1,
            "state": "closed", "a key of a later version": 1,
        }  # fmt: skip
        gap = {"from_ns": whole["to_ns"], "to_ns": whole["to_ns"] + 60 * NS, "reason": "camera_silent", "detail": ""}

        def audit(request: Request, reply: Reply) -> None:
            agent.asked.append((request.verb, request.args))
            assert not agent.output.exists()
            record(CLIP, agent.segment, NOON_NS)
            reply.done({"n": 17, "hash": "ab"})

        agent.start("alarm", audit=audit)
        agent.start(
            "record",
            segments=agent.answer({"segments": [segment], "next_ns": None}),
            spans=agent.answer({"spans": [whole], "gaps": [gap], "next_ns": None, "first_ns": NOON_NS}),
        )
        yield agent
        agent.stop_all()


def run(agent: Facility, language: str = "zh", **changed: Any) -> tuple[int, str, str]:
    out, errors = io.StringIO(), io.StringIO()
    values: dict[str, Any] = {"camera_id": "C01", "start": "2026-11-19 12:00", "end": "+10s", "why": "投诉", **changed}
    status = export(Screen(language, out, errors), agent.runtime, Wish(output=agent.output, **values), as_json=False)
    return status, out.getvalue(), errors.getvalue()


def test_a_range_becomes_a_file_that_plays(facility: Facility) -> None:
    status, out, errors = run(facility)
    assert (status, errors) == (0, "")
    digest = hashlib.sha256(facility.output.read_bytes()).hexdigest()
    assert f"SHA-256  {digest}\n" in out
    assert "要求  2026-11-19 12:00:00 – 2026-11-19 12:00:10  10 秒\n" in out
    assert "审计第 17 条" in out
    with av.open(facility.output) as played:
        frames = sum(1 for _ in played.decode(video=0))
    assert frames >= 10
    verb, asked = facility.asked[-1]
    assert (verb, asked["action"], asked["subject"]) == ("audit", "footage.export", "camera/C01")
    assert asked["detail"]["why"] == "投诉"
    assert asked["detail"]["from"] == "2026-11-19T12:00:00.000+08:00"


def test_what_is_missing_is_told(facility: Facility) -> None:
    status, out, _ = run(facility, "en", start="2026-11-19 12:00:05", end="+2m")
    assert status == 0
    assert "camera silent" in out


def test_what_lies_before_the_first_recording_is_told_as_such(facility: Facility) -> None:
    _, out, _ = run(facility, "en", start="2026-11-19 11:59:50", end="+15s")
    assert "10 s  before the first recording" in out


def test_the_moments_before_now_are_no_gap() -> None:
    screen, zone = Screen("en", io.StringIO()), ZoneInfo("Asia/Shanghai")
    gap = Gap(NOON_NS - NS // 2, NOON_NS, "unrecorded")
    assert gap_line(screen, gap, zone, NOON_NS) == "the last 0.5 s: not recorded yet, no gap"
    told = "gap  2026-11-19 11:59:59 – 12:00:00  0.5 s  not recorded"
    assert gap_line(screen, gap, zone, None) == told
    assert gap_line(screen, gap, zone, NOON_NS + 1) == told
    assert "4.0 s" in gap_line(screen, Gap(NOON_NS - 4 * NS, NOON_NS, "unrecorded"), zone, NOON_NS)


def test_for_programs(facility: Facility) -> None:
    out = io.StringIO()
    wish = Wish("C01", "2026-11-19 12:00", "+5s", facility.output)
    assert export(Screen("zh", out, io.StringIO()), facility.runtime, wish, as_json=True) == 0
    answer = json.loads(out.getvalue())
    assert answer["requested"] == {"from_ns": NOON_NS, "to_ns": NOON_NS + 5 * NS}
    assert answer["files"][0]["sha256"] == hashlib.sha256(facility.output.read_bytes()).hexdigest()
    assert answer["audit"] == {"n": 17, "hash": "ab"}


def test_without_the_alarm_process_nothing_is_exported(facility: Facility) -> None:
    facility.stop("alarm")
    status, out, errors = run(facility)
    assert (status, out) == (3, "")
    assert "因此不导出" in errors
    assert not facility.output.exists()


def test_without_an_audit_row_nothing_is_exported(facility: Facility) -> None:
    facility.stop("alarm")
    facility.start("alarm", audit=lambda _, reply: reply.refuse("store_failing", Text("存不了", "cannot be stored")))
    status, _, errors = run(facility, "en")
    assert (status, errors) == (4, "yunjian: not exported, because it cannot be audited: cannot be stored\n")
    assert not facility.output.exists()


def test_a_file_that_is_there_is_kept_and_nothing_is_audited(facility: Facility) -> None:
    facility.output.write_text("mine")
    status, _, errors = run(facility)
    assert (status, "文件已存在" in errors) == (2, True)
    assert facility.output.read_text() == "mine"
    assert facility.asked == []


@pytest.mark.parametrize(
    ("changed", "status"), [({"end": "+25h"}, 2), ({"end": "2026-11-19 11:00"}, 2), ({"start": "never"}, 2)]
)
def test_ranges_that_cannot_be(facility: Facility, changed: dict[str, str], status: int) -> None:
    assert run(facility, **changed)[0] == status
    assert facility.asked == []


def test_no_footage_is_told_before_the_audit(facility: Facility) -> None:
    facility.stop("record")
    facility.start("record", segments=facility.answer({"segments": [], "next_ns": None}))
    status, _, errors = run(facility)
    assert (status, "没有录像" in errors) == (1, True)
    assert [verb for verb, _ in facility.asked] == ["segments"]


def test_a_segment_that_cannot_be_read_leaves_no_file(facility: Facility) -> None:
    facility.stop("alarm")
    facility.start("alarm")  # its audit puts no segment there
    status, _, errors = run(facility)
    assert (status, "没有可播放的录像" in errors) == (1, True)
    assert [each.name for each in facility.folder.iterdir()] == []


def test_a_terminal_sees_how_far_it_is(facility: Facility) -> None:
    errors = Terminal()
    wish = Wish("C01", "2026-11-19 12:00", "+5s", facility.output)
    assert export(Screen("zh", io.StringIO(), errors), facility.runtime, wish, as_json=False) == 0
    assert "100 %" in errors.getvalue()
    assert errors.getvalue().endswith("\r\x1b[K")
