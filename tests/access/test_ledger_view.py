"""Gaps and coverage as people read them."""

import io
import json
from datetime import date, datetime
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import pytest

from agent.access.console import Screen
from agent.access.evidence import REASONS
from agent.access.ledger_view import Wish, coverage, gaps, percent, strip
from agent.access.times import BadTime, length_ns
from agent.facts import Text
from agent.footage.coverage import by_day
from agent.footage.timeline import NS, Gap, GapReason, Ledger, Span, ledger
from agent.wire import Reply, Request, Server, Verb

HOUR = 3600 * NS
BERLIN = ZoneInfo("Europe/Berlin")
SHANGHAI = ZoneInfo("Asia/Shanghai")


def at(text: str, zone: ZoneInfo) -> int:
    return int(datetime.fromisoformat(text).replace(tzinfo=zone).timestamp()) * NS


def test_every_reason_has_words() -> None:
    assert set(GapReason) <= set(REASONS)


@pytest.mark.parametrize(
    ("day", "hours"), [(date(2026, 10, 25), 25), (date(2026, 3, 29), 23), (date(2026, 10, 26), 24)]
)
def test_a_day_has_as_many_blocks_as_hours(day: date, hours: int) -> None:
    begin = at(f"{day}T00:00", BERLIN)
    end = begin + hours * HOUR
    found = ledger([Span(begin, end)], [], begin, end)
    (one,) = by_day(found, begin, end, BERLIN)
    assert strip(found, one, BERLIN) == "█" * hours
    assert (one.share, one.missing_ns) == (1.0, 0)


def test_the_hour_that_comes_twice_is_two_blocks() -> None:
    begin = at("2026-10-25T00:00", BERLIN)
    gap = Gap(begin + 2 * HOUR, begin + 3 * HOUR, "camera_silent")  # 02:00 summer time to 02:00 winter time
    found = ledger([Span(begin, begin + 25 * HOUR)], [], begin, begin + 25 * HOUR)
    found = ledger(
        [Span(begin, gap.from_ns), Span(begin + 3 * HOUR, begin + 25 * HOUR)], [gap], begin, begin + 25 * HOUR
    )
    (one,) = by_day(found, begin, begin + 25 * HOUR, BERLIN)
    assert strip(found, one, BERLIN) == "██·" + "█" * 22
    assert one.missing_ns == HOUR


def test_blocks_are_as_high_as_there_is_footage_and_never_full_when_something_is_missing() -> None:
    begin = at("2026-11-21T00:00", SHANGHAI)
    found = Ledger(
        (Span(begin, begin + HOUR // 2), Span(begin + HOUR, begin + 2 * HOUR - NS)),
        (Gap(begin + HOUR // 2, begin + HOUR, "restart"), Gap(begin + 2 * HOUR - NS, begin + 3 * HOUR, "restart")),
    )
    (one,) = by_day(found, begin, begin + 3 * HOUR, SHANGHAI)
    assert strip(found, one, SHANGHAI) == "▅▇·" + " " * 21


def test_a_hundred_is_said_only_of_what_is_whole() -> None:
    assert [percent(share) for share in (1.0, 0.9999999, 0.5, 0.0)] == ["100 %", "99.99 %", "50.00 %", "0.00 %"]


def test_lengths_as_they_are_typed() -> None:
    assert [length_ns(typed) for typed in ("1s", "2m", "1h30m", "0s", "5 秒")] == [
        NS, 120 * NS, 5400 * NS, 0, 5 * NS,
    ]  # fmt: skip
    for wrong in ("", "5", "s", "5x", "-1s"):
        with pytest.raises(BadTime):
            length_ns(wrong)


class Recorder:
    """Answers `spans` and `status` from a ledger, in pages."""

    def __init__(self, runtime: Path, footage: list[Span], rows: list[Gap], doubtful: list[Span]) -> None:
        self.footage, self.rows, self.doubtful = footage, rows, doubtful
        verbs: dict[str, Verb] = {"status": self._status, "spans": self._spans}
        self.server = Server(runtime / "record.sock", verbs)
        self.alarm = Server(runtime / "alarm.sock", {"status": lambda _, reply: reply.done({"time_zone": "UTC"})})

    def _status(self, request: Request, reply: Reply) -> None:
        reply.done({"cameras": [{"id": "C01", "stream": "main"}, {"id": "C01", "stream": "sub"}]})

    def _spans(self, request: Request, reply: Reply) -> None:
        from_ns = max(request.args["from_ns"], self.footage[0].from_ns)
        to_ns = min(request.args["to_ns"], self.footage[-1].to_ns)
        page_ns = min(to_ns, from_ns + 40 * HOUR)
        found = ledger(self.footage, self.rows, from_ns, page_ns)
        told: dict[str, Any] = {
            "spans": [{"from_ns": each.from_ns, "to_ns": each.to_ns} for each in found.spans],
            "gaps": [
                {"from_ns": each.from_ns, "to_ns": each.to_ns, "reason": each.reason, "detail": each.detail}
                for each in found.gaps
            ],
            "next_ns": page_ns if page_ns < to_ns else None,
            "first_ns": self.footage[0].from_ns,
            "doubtful": [{"from_ns": each.from_ns, "to_ns": each.to_ns} for each in self.doubtful],
        }
        reply.done(told)


def ask(tmp_path: Path, rows: list[Gap], doubtful: list[Span] | None = None) -> list[tuple[int, str, Any]]:
    """Status, page and JSON of `gaps` and `coverage`, of five days whose footage is whole but for `rows`."""
    now_ns = int(datetime.now().astimezone().timestamp()) * NS
    begin = now_ns - 100 * HOUR
    shifted = [Gap(begin + each.from_ns, begin + (each.to_ns or 0), each.reason, each.detail) for each in rows]
    edges = [begin, *(at for gap in shifted for at in (gap.from_ns, gap.to_ns or 0)), now_ns]
    footage = [Span(a, b) for a, b in zip(edges[::2], edges[1::2], strict=True)]
    recorder = Recorder(tmp_path, footage, shifted, doubtful or [])
    recorder.server.start()
    recorder.alarm.start()
    answers = []
    try:
        for command in ("gaps", "coverage"):
            pages = []
            for as_json in (False, True):
                out = io.StringIO()
                screen = Screen("en", out)
                if command == "gaps":
                    status = gaps(screen, tmp_path, Wish(None, "main", "10d", "now"), "5s", as_json)
                else:
                    status = coverage(screen, tmp_path, Wish(None, "main", "", "now"), 10, as_json)
                pages.append(out.getvalue())
            answers.append((status, pages[0], json.loads(pages[1])))
    finally:
        recorder.server.stop()
        recorder.alarm.stop()
    return answers


def test_what_is_whole_is_well(tmp_path: Path) -> None:
    listed, covered = ask(tmp_path, [])
    assert listed[0] == covered[0] == 0
    assert "no gaps" in listed[1]
    assert "100 %" in covered[1]
    assert len(covered[2]["cameras"][0]["days"]) in (5, 6)


def test_gaps_are_listed_with_reason_and_length_over_several_answers(tmp_path: Path) -> None:
    rows = [
        Gap(10 * HOUR, 10 * HOUR + 90 * NS, "camera_silent", "no_packets"),
        Gap(20 * HOUR, 20 * HOUR + 2 * NS, "restart"),
        Gap(39 * HOUR, 41 * HOUR, "power_loss", "machine_off"),  # where one answer ends and the next begins
    ]
    listed, covered = ask(tmp_path, rows)
    assert listed[0] == covered[0] == 1
    found = listed[2]["cameras"][0]["gaps"]
    assert [(gap["reason"], gap["length_ns"] // NS) for gap in found] == [("camera_silent", 90), ("power_loss", 7200)]
    assert "2 gaps" in listed[1]
    assert "camera silent (no packets come)" in listed[1]
    assert "power loss or crash (the machine was off)" in listed[1]
    days = covered[2]["cameras"][0]["days"]
    assert sum(each["length_ns"] for day in days for each in day["missing"]) == 7292 * NS
    assert "power loss or crash" in covered[1]


def test_footage_of_a_clock_that_nobody_corrected_is_marked(tmp_path: Path) -> None:
    listed, covered = ask(tmp_path, [], [Span(10 * NS, 60 * NS)])
    for _, page, told in (listed, covered):
        assert "by a clock that nobody corrected: 1970-01-01 00:00:10" in page
        assert told["cameras"][0]["doubtful"] == [{"from_ns": 10 * NS, "to_ns": 60 * NS}]


def test_wrong_options(tmp_path: Path) -> None:
    errors = io.StringIO()
    screen = Screen("en", io.StringIO(), errors)
    assert gaps(screen, tmp_path, Wish("C01", "main", "today", "now"), "long", False) == 2
    assert gaps(screen, tmp_path, Wish("C01", "main", "never", "now"), "1s", False) == 2
    assert coverage(screen, tmp_path, Wish("C01", "main", "", "now"), 0, False) == 2
    assert "no length: 'long'" in errors.getvalue()


def test_words_are_in_both_languages() -> None:
    assert all(isinstance(each, Text) and each.zh and each.en for each in REASONS.values())
