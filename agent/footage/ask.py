"""What the recorder can be asked for over its socket, and how to ask.

An answer fits one frame of the wire, so it is cut after `PAGE` entries and says with `next_ns` where to go on;
`segments` and `spans` go on by themselves.
"""

from pathlib import Path
from typing import Any, Final

from agent.facts import Text
from agent.footage import index as rows
from agent.footage.index import SegmentRow
from agent.footage.recorder import Recorder
from agent.footage.timeline import NS, Gap, SegmentRef, Span, ledger
from agent.wire import Refused, call

PAGE: Final = 120
"""Entries in one answer: at about 300 bytes each, far below the 64 KiB of a frame."""

LONGEST_SEGMENT_NS: Final = 3600 * NS
"""No segment is longer: 600 s is the most that may be set, plus a camera's longest distance of key frames."""


def answer_spans(recorder: Recorder, camera_uuid: str, from_ns: int, to_ns: int, now_ns: int) -> dict[str, Any]:
    """Footage and gaps of a camera: {spans, gaps, next_ns}. What was not yet decided at `now_ns` is left out."""
    to_ns = min(to_ns, now_ns)
    stored, ends, gaps = _rows(recorder, camera_uuid, from_ns, to_ns)
    if recorder.is_recording(camera_uuid) and ends:
        to_ns = min(to_ns, max(max(ends.values()), from_ns))  # the last moments are on their way to the disk
    footage = [Span(row.start_ns, ends[row.path]) for row in stored]
    stop_ns, next_ns = to_ns, None
    for entries in (stored, gaps):
        if len(entries) == PAGE:
            last = entries[-1]
            stop_ns = min(stop_ns, last.start_ns if isinstance(last, SegmentRow) else last.from_ns)
    if from_ns < stop_ns < to_ns:
        next_ns = stop_ns
    else:
        stop_ns = to_ns
    if stop_ns <= from_ns:
        return {"spans": [], "gaps": [], "next_ns": None}
    found = ledger(footage, gaps, from_ns, stop_ns)
    return {
        "spans": [{"from_ns": each.from_ns, "to_ns": each.to_ns} for each in found.spans],
        "gaps": [
            {"from_ns": each.from_ns, "to_ns": each.to_ns, "reason": each.reason, "detail": each.detail[:120]}
            for each in found.gaps
        ],
        "next_ns": next_ns,
    }


def answer_segments(recorder: Recorder, camera_uuid: str, from_ns: int, to_ns: int) -> dict[str, Any]:
    """The files that hold footage of a camera in the range: {segments, next_ns}; the open one ends now."""
    stored, ends, _ = _rows(recorder, camera_uuid, from_ns, to_ns)
    found = [rows.as_reference(row, recorder.path, ends[row.path]) for row in stored]
    next_ns = max(from_ns + 1, found[-1].end_ns) if len(stored) == PAGE else None
    return {
        "segments": [
            {
                "path": each.path,
                "start_ns": each.start_ns,
                "end_ns": each.end_ns,
                "codec": each.codec,
                "width": each.width,
                "height": each.height,
                "bytes": each.bytes,
                "state": each.state,
            }
            for each in found
            if each.end_ns > each.start_ns
        ],
        "next_ns": next_ns,
    }


def segments(socket: Path, camera_id: str, from_ns: int, to_ns: int) -> list[SegmentRef]:
    """Ask the record process for every file of the range. Raises Refused and WireError as `wire.call`."""
    found: list[SegmentRef] = []
    at: int | None = from_ns
    while at is not None and at < to_ns:
        answer = call(socket, "segments", {"camera_id": camera_id, "from_ns": at, "to_ns": to_ns})
        seen = {each.path for each in found}
        found += [each for each in (SegmentRef(**one) for one in answer["segments"]) if each.path not in seen]
        at = answer.get("next_ns")
    return found


def spans(socket: Path, camera_id: str, from_ns: int, to_ns: int) -> tuple[list[Span], list[Gap]]:
    """Ask the record process what the range holds. Raises Refused and WireError as `wire.call`."""
    footage: list[Span] = []
    gaps: list[Gap] = []
    at: int | None = from_ns
    while at is not None and at < to_ns:
        answer = call(socket, "spans", {"camera_id": camera_id, "from_ns": at, "to_ns": to_ns})
        footage += [Span(**one) for one in answer["spans"]]
        gaps += [Gap(**one) for one in answer["gaps"]]
        at = answer.get("next_ns")
    found = ledger(footage, gaps, from_ns, max([from_ns, *(each.to_ns for each in footage), *_ends(gaps)]))
    return list(found.spans), list(found.gaps)


def times(args: dict[str, Any]) -> tuple[int, int]:
    """The range of a request. Raises Refused when it is none."""
    from_ns, to_ns = args.get("from_ns"), args.get("to_ns")
    if type(from_ns) is not int or type(to_ns) is not int or not 0 <= from_ns < to_ns < 1 << 63:
        raise Refused(
            "bad_range", Text("时间范围不对：from_ns 必须早于 to_ns", "bad range: from_ns must be before to_ns")
        )
    return from_ns, to_ns


def _ends(gaps: list[Gap]) -> list[int]:
    return [each.to_ns for each in gaps if each.to_ns is not None]


def _rows(
    recorder: Recorder, camera_uuid: str, from_ns: int, to_ns: int
) -> tuple[list[SegmentRow], dict[str, int], list[Gap]]:
    """Segment rows that end after `from_ns`, the end of each by its path, and gap rows."""
    live = recorder.live_ends(camera_uuid)
    with recorder.index.reading() as connection:
        stored = rows.segments_between(connection, camera_uuid, from_ns, to_ns, PAGE, LONGEST_SEGMENT_NS)
        gaps = rows.gaps_between(connection, camera_uuid, from_ns, to_ns, PAGE)
    ends: dict[str, int] = {}
    for row in stored:
        ends[row.path] = row.end_ns if row.end_ns is not None else live.get(row.path, row.start_ns)
    return stored, ends, gaps
