"""What the recorder answers over its socket.

A long range is answered in pages, each of which fits into a frame of the wire and says where the next one begins.
"""

from typing import Any, Final

from agent.facts import Text
from agent.footage import rows
from agent.footage.recording.recorder import Recorder
from agent.footage.rows import SegmentRow
from agent.footage.timeline import Gap, SegmentRef, Span
from agent.footage.upkeep.ledger import LONGEST_SEGMENT_NS, doubtful_spans, first_ns, read
from agent.wire import Refused

MOST_PIECES: Final = 250
MOST_SEGMENTS: Final = 64
"""What fits into a frame of the wire (64 KiB): a piece takes up to 240 bytes, a segment up to 900."""


def answer_spans(
    recorder: Recorder, camera_uuid: str, stream: str, from_ns: int, to_ns: int, now_ns: int
) -> dict[str, Any]:
    """Footage and gaps of a reel: {spans, gaps, next_ns, first_ns, doubtful}. Left out is what was not yet decided at
    `now_ns`, and what lies before the first recording (`first_ns`); `doubtful` was told by a clock never corrected;
    `next_ns` says from when to ask again when the range was too long for one answer, else it is null.
    Raises sqlite3.Error."""
    recording, live = recorder.is_recording(camera_uuid, stream), recorder.live_ends(camera_uuid, stream)
    to_ns = min(to_ns, now_ns)
    if recording and live:  # the last moments are on their way to the disk
        to_ns = min(to_ns, max(from_ns, *live.values()))
    if to_ns <= from_ns:
        return {"spans": [], "gaps": [], "next_ns": None, "first_ns": None, "doubtful": []}
    with recorder.index.reading() as connection:
        decided = read(connection, (camera_uuid, stream), from_ns, to_ns, live, now_ns)
        first = first_ns(connection, (camera_uuid, stream))
        doubtful = doubtful_spans(connection, (camera_uuid, stream), from_ns, decided.to_ns)
    both: list[Span | Gap] = [*decided.ledger.spans, *decided.ledger.gaps]
    pieces = sorted(both, key=lambda piece: piece.from_ns)[:MOST_PIECES]
    end_ns = (pieces[-1].to_ns if pieces else None) or decided.to_ns
    return {
        "spans": [{"from_ns": each.from_ns, "to_ns": each.to_ns} for each in pieces if isinstance(each, Span)],
        "gaps": [
            {"from_ns": each.from_ns, "to_ns": each.to_ns, "reason": each.reason, "detail": each.detail[:120]}
            for each in pieces
            if isinstance(each, Gap)
        ],
        "next_ns": end_ns if end_ns < to_ns else None,
        "first_ns": first,
        "doubtful": [{"from_ns": each.from_ns, "to_ns": each.to_ns} for each in doubtful],
    }


def answer_segments(recorder: Recorder, camera_uuid: str, stream: str, from_ns: int, to_ns: int) -> dict[str, Any]:
    """The files that hold footage of a reel in the range: {segments, next_ns}; the open one ends now. Left out are
    those on a volume that is not there. `next_ns` as in `answer_spans`."""
    live = recorder.live_ends(camera_uuid, stream)
    with recorder.index.reading() as connection:
        stored = rows.segments_between(
            connection, camera_uuid, stream, from_ns, to_ns, MOST_SEGMENTS + 1, LONGEST_SEGMENT_NS
        )
    mounted = recorder.readable()
    found = [
        (row, rows.as_reference(row, mounted[row.volume], _end(row, live)))
        for row in stored[:MOST_SEGMENTS]
        if row.volume in mounted
    ]
    return {
        "segments": [_segment(row, each) for row, each in found if each.end_ns > each.start_ns],
        "next_ns": stored[MOST_SEGMENTS].start_ns if len(stored) > MOST_SEGMENTS else None,
    }


def _segment(row: SegmentRow, reference: SegmentRef) -> dict[str, Any]:
    return {
        "path": reference.path,
        "start_ns": reference.start_ns,
        "end_ns": reference.end_ns,
        "codec": row.codec,
        "width": row.width,
        "height": row.height,
        "bytes": row.bytes,
        "state": row.state,
        "stream": row.stream,
        "seq": row.seq,
        "frames": row.frames,
        "volume": row.volume,
        "name": row.path,
        "digest": row.digest,
        "previous": row.previous,
        "chain": row.chain,
    }


def times(args: dict[str, Any]) -> tuple[int, int]:
    """The range of a request. Raises Refused when it is none."""
    from_ns, to_ns = args.get("from_ns"), args.get("to_ns")
    if type(from_ns) is not int or type(to_ns) is not int or not 0 <= from_ns < to_ns < 1 << 63:
        raise Refused(
            "bad_range", Text("时间范围不对：from_ns 必须早于 to_ns", "bad range: from_ns must be before to_ns")
        )
    return from_ns, to_ns


def _end(row: SegmentRow, live: dict[str, int]) -> int:
    return row.end_ns if row.end_ns is not None else live.get(row.path, row.start_ns)
