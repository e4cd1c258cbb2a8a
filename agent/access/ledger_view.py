"""`footage gaps` and `footage coverage`: where footage is missing and why, and how much of each day there is."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta, tzinfo
from pathlib import Path
from typing import Any, Final

from agent.access import control
from agent.access.console import FAINT, GREEN, RED, YELLOW, Screen
from agent.access.evidence import OK, REASONS, USAGE, WRONG, length, time_range
from agent.access.times import NS, BadTime, iso, length_ns, shown
from agent.access.watching import zone
from agent.camera_words import words
from agent.facts import Text
from agent.footage.coverage import DayCoverage, by_day, midnight_ns, shares
from agent.footage.timeline import Gap, Ledger, Span
from agent.wire import WireError

_BLOCKS: Final = "▁▂▃▄▅▆▇█"
_NOTHING: Final = "·"
_UNKNOWN: Final = " "
_NEARLY: Final = 0.98
"""From this share on, a day is yellow and not red."""

MOST_DAYS: Final = 400


@dataclass(frozen=True, slots=True)
class Wish:
    """What was asked for. `camera_id` None: every camera; times as typed; `stream` is main or sub."""

    camera_id: str | None
    stream: str
    start: str
    end: str


def gaps(screen: Screen, runtime: Path, wish: Wish, shortest: str, as_json: bool) -> int:
    """List the gaps that are at least so long; 1 when there are any."""
    where = zone(runtime)
    try:
        from_ns, to_ns = time_range(wish.start, wish.end, where)
        least_ns = length_ns(shortest)
    except BadTime as bad:
        screen.problem(bad.text)
        return USAGE
    found = {camera: _ask(runtime, camera, wish.stream, from_ns, to_ns) for camera in _cameras(runtime, wish)}
    listed = {camera: [gap for gap in told.ledger.gaps if _length(gap) >= least_ns] for camera, told in found.items()}
    if as_json:
        rows = [
            {"camera_id": camera, "stream": wish.stream, "first_ns": found[camera].first_ns,
             "doubtful": found[camera].doubtful, "gaps": [_gap(gap) for gap in some]}
            for camera, some in listed.items()
        ]  # fmt: skip
        screen.json({"from_ns": from_ns, "to_ns": to_ns, "cameras": rows})
    else:
        screen.line(f"{shown(from_ns, where)} – {shown(to_ns, where)}", FAINT)
        for camera, some in listed.items():
            _show_gaps(screen, camera, some, where)
            _show_doubtful(screen, found[camera].doubtful, where)
    return WRONG if any(listed.values()) else OK


def coverage(screen: Screen, runtime: Path, wish: Wish, days: int, as_json: bool) -> int:
    """Show how much of each day there is footage of; 1 when something of it is missing."""
    where = zone(runtime)
    if not 1 <= days <= MOST_DAYS:
        screen.problem(Text(f"--days 应在 1 到 {MOST_DAYS} 之间", f"--days must be between 1 and {MOST_DAYS}"))
        return USAGE
    now = datetime.now(where)
    from_ns = midnight_ns(now.date() - timedelta(days=days - 1), where)
    to_ns = int(now.timestamp() * 1000) * 1_000_000
    found = {camera: _ask(runtime, camera, wish.stream, from_ns, to_ns) for camera in _cameras(runtime, wish)}
    counted = {camera: by_day(told.ledger, told.from_ns, told.to_ns, where) for camera, told in found.items()}
    if as_json:
        rows = [
            {"camera_id": camera, "stream": wish.stream, "first_ns": found[camera].first_ns,
             "doubtful": found[camera].doubtful, "days": [_day(day, where) for day in some]}
            for camera, some in counted.items()
        ]  # fmt: skip
        screen.json({"from_ns": from_ns, "to_ns": to_ns, "cameras": rows})
    else:
        for camera, some in counted.items():
            _show_days(screen, camera, found[camera].ledger, some, where)
            _show_doubtful(screen, found[camera].doubtful, where)
    missing = any(day.missing_ns for some in counted.values() for day in some)
    return WRONG if missing or not any(counted.values()) else OK


def strip(found: Ledger, day: DayCoverage, where: tzinfo) -> str:
    """One block for each hour of a day: full, lower the less footage there is, `·` where there is none at all, and
    blank for what is not known or yet to come."""
    begin, end = midnight_ns(day.day.day, where), midnight_ns(day.day.day + timedelta(days=1), where)
    return "".join(_block(share) for share in shares(found, begin, end, max(1, round((end - begin) / (3600 * NS)))))


def percent(share: float) -> str:
    """`99.99 %`: 100 is said only of what is whole."""
    return "100 %" if share == 1.0 else f"{int(share * 10_000) / 100:.2f} %"


@dataclass(frozen=True, slots=True)
class _Told:
    ledger: Ledger
    from_ns: int
    to_ns: int
    first_ns: int | None
    doubtful: list[dict[str, Any]]


def _ask(runtime: Path, camera: str, stream: str, from_ns: int, to_ns: int) -> _Told:
    told = control.ledger(runtime, camera, from_ns, to_ns, stream)
    spans = tuple(Span(each["from_ns"], each["to_ns"]) for each in told["spans"])
    missing = tuple(Gap(each["from_ns"], each["to_ns"], each["reason"], each["detail"]) for each in told["gaps"])
    edges = [each[key] for each in (*told["spans"], *told["gaps"]) for key in ("from_ns", "to_ns")]
    begin, end = min(edges, default=to_ns), max(edges, default=to_ns)
    return _Told(Ledger(spans, missing), begin, end, told["first_ns"], told["doubtful"])


def _cameras(runtime: Path, wish: Wish) -> list[str]:
    if wish.camera_id is not None:
        return [wish.camera_id]
    status = control.status_of(runtime, "record")
    if status is None:
        raise WireError(f"{runtime / 'record.sock'} does not answer")
    cameras = [each for each in status.get("cameras", ()) if each.get("stream", "main") == wish.stream]
    return [str(each.get("id")) for each in cameras]


def _show_gaps(screen: Screen, camera: str, some: Sequence[Gap], where: tzinfo) -> None:
    if not some:
        screen.line(screen.t(f"{camera}  没有中断", f"{camera}  no gaps"), GREEN)
        return
    total = screen.say(length(sum(_length(gap) for gap in some)))
    number = f"{len(some)} gap{'' if len(some) == 1 else 's'}"
    screen.line(screen.t(f"{camera}  中断 {len(some)} 处，共 {total}", f"{camera}  {number}, {total} in all"))
    rows = [(_from_to(gap, where), screen.say(length(_length(gap))), _why(screen, gap)) for gap in some]
    screen.table(rows, indent=2, colours=[YELLOW] * len(rows))


def _show_doubtful(screen: Screen, doubtful: Sequence[dict[str, Any]], where: tzinfo) -> None:
    for each in doubtful:
        row = f"{shown(each['from_ns'], where)} – {shown(each['to_ns'], where)}"
        zh, en = f"时钟未同步时的录像，时间未经校正：{row}", f"recorded by a clock that nobody corrected: {row}"
        screen.line(f"  ! {screen.t(zh, en)}", YELLOW)


def _show_days(screen: Screen, camera: str, found: Ledger, some: Sequence[DayCoverage], where: tzinfo) -> None:
    screen.line(camera)
    if not some:
        screen.line(screen.t("  没有录像", "  no footage"), YELLOW)
        return
    rows, colours = [], []
    for day in some:
        worst = [f"{screen.say(_reason(each.reason))} {screen.say(length(each.length_ns))}" for each in day.missing[:3]]
        more = ["…"] if len(day.missing) > 3 else []
        rows.append((f"{day.day.day:%Y-%m-%d}", strip(found, day, where), percent(day.share),
                     screen.t("、", ", ").join([*worst, *more])))  # fmt: skip
        colours.append("" if not day.missing_ns else YELLOW if day.share >= _NEARLY else RED)
    screen.table(rows, indent=2, colours=colours)


def _block(share: float | None) -> str:
    if share is None:
        return _UNKNOWN
    if share == 0.0:
        return _NOTHING
    return _BLOCKS[-1] if share == 1.0 else _BLOCKS[min(int(share * len(_BLOCKS)), len(_BLOCKS) - 2)]


def _from_to(gap: Gap, where: tzinfo) -> str:
    start, end = shown(gap.from_ns, where), shown(gap.to_ns or gap.from_ns, where)
    return f"{start} – {end[11:] if start[:10] == end[:10] else end}"


def _why(screen: Screen, gap: Gap) -> str:
    told = screen.say(_reason(gap.reason))
    return f"{told} ({screen.say(words(gap.detail))})" if gap.detail else told


def _reason(reason: str) -> Text:
    return REASONS.get(reason, Text(reason, reason))


def _length(gap: Gap) -> int:
    return (gap.to_ns or gap.from_ns) - gap.from_ns


def _gap(gap: Gap) -> dict[str, Any]:
    return {"from_ns": gap.from_ns, "to_ns": gap.to_ns, "length_ns": _length(gap), "reason": gap.reason,
            "detail": gap.detail}  # fmt: skip


def _day(day: DayCoverage, where: tzinfo) -> dict[str, Any]:
    missing = [{"reason": each.reason, "gaps": each.gaps, "length_ns": each.length_ns} for each in day.missing]
    return {"day": day.day.day.isoformat(), "from": iso(day.day.from_ns, where), "from_ns": day.day.from_ns,
            "to_ns": day.day.to_ns, "footage_ns": day.footage_ns, "share": round(day.share, 6),
            "missing": missing}  # fmt: skip
