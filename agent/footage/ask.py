"""What the recorder answers over its socket.

An answer that is longer than a frame of the wire is not given: who asks for a long range asks in pieces.
"""

from typing import Any, Final

from agent.facts import Text
from agent.footage import rows
from agent.footage.recorder import Recorder
from agent.footage.rows import SegmentRow
from agent.footage.timeline import NS, Gap, Span, ledger
from agent.wire import Refused

MOST_ROWS: Final = 5000
"""Rows read for one answer: half a day of the shortest segments."""

LONGEST_SEGMENT_NS: Final = 3600 * NS
"""No segment is longer: 600 s is the most that may be set, plus a camera's longest distance of key frames."""


def answer_spans(recorder: Recorder, camera_uuid: str, from_ns: int, to_ns: int, now_ns: int) -> dict[str, Any]:
    """Footage and gaps of a camera: {spans, gaps}. What was not yet decided at `now_ns` is left out.

    Raises Refused when the range is too long for one answer.
    """
    to_ns = min(to_ns, now_ns)
    recording, live = recorder.is_recording(camera_uuid), recorder.live_ends(camera_uuid)
    stored, ends, gaps = _rows(recorder, camera_uuid, from_ns, to_ns)
    if recording and live:  # the last moments are on their way to the disk
        to_ns = min(to_ns, max(from_ns, *live.values(), *ends.values()))
    footage = [Span(row.start_ns, ends[row.path]) for row in stored]
    if to_ns <= from_ns:
        return {"spans": [], "gaps": []}
    found = ledger(footage, gaps, from_ns, to_ns)
    return {
        "spans": [{"from_ns": each.from_ns, "to_ns": each.to_ns} for each in found.spans],
        "gaps": [
            {"from_ns": each.from_ns, "to_ns": each.to_ns, "reason": each.reason, "detail": each.detail[:120]}
            for each in found.gaps
        ],
    }


def answer_segments(recorder: Recorder, camera_uuid: str, from_ns: int, to_ns: int) -> dict[str, Any]:
    """The files that hold footage of a camera in the range: {segments}; the open one ends now.

    Raises Refused when the range is too long for one answer.
    """
    stored, ends, _ = _rows(recorder, camera_uuid, from_ns, to_ns)
    found = [rows.as_reference(row, recorder.path, ends[row.path]) for row in stored]
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
    }


def times(args: dict[str, Any]) -> tuple[int, int]:
    """The range of a request. Raises Refused when it is none."""
    from_ns, to_ns = args.get("from_ns"), args.get("to_ns")
    if type(from_ns) is not int or type(to_ns) is not int or not 0 <= from_ns < to_ns < 1 << 63:
        raise Refused(
            "bad_range", Text("时间范围不对：from_ns 必须早于 to_ns", "bad range: from_ns must be before to_ns")
        )
    return from_ns, to_ns


def _rows(
    recorder: Recorder, camera_uuid: str, from_ns: int, to_ns: int
) -> tuple[list[SegmentRow], dict[str, int], list[Gap]]:
    """Segment rows that end after `from_ns`, the end of each by its path, and gap rows."""
    live = recorder.live_ends(camera_uuid)
    with recorder.index.reading() as connection:
        stored = rows.segments_between(connection, camera_uuid, from_ns, to_ns, MOST_ROWS, LONGEST_SEGMENT_NS)
        gaps = rows.gaps_between(connection, camera_uuid, from_ns, to_ns, MOST_ROWS)
    if MOST_ROWS in (len(stored), len(gaps)):
        raise Refused("range_too_long", Text("时间范围太长，请分段查询", "the range is too long: ask in pieces"))
    ends: dict[str, int] = {}
    for row in stored:
        ends[row.path] = row.end_ns if row.end_ns is not None else live.get(row.path, row.start_ns)
    return stored, ends, gaps
