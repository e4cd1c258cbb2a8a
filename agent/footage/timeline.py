"""PURE. Time of packets, where segments are cut, and what a range of time holds: footage or a gap.

All wall times are UTC nanoseconds; ticks are in the time base of the stream. A span includes its start and
not its end, so two spans that share a border leave no instant undecided and none decided twice.

Invariants
1. In a run decoding times rise strictly, and wall time rises with them.
2. Inside a run wall time follows the camera's clock and is drawn towards arrival by at most `SLEW_PPM`; a camera's
   clock that jumps is followed from its new time on, and moves no packet.
3. For every instant of a range `ledger` answers footage or gap, never both, never neither.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from enum import StrEnum
from itertools import pairwise
from typing import Final, NamedTuple

NS: Final = 1_000_000_000

SLEW_PPM: Final = 500
"""How fast packet time is drawn to arrival time; a camera's quartz is off by about 100 ppm (footage.md)."""

BACK_S: Final = 0.5
"""Decoding times that step back by less are jitter and are bumped; by more, the camera's clock jumped."""

FORWARD_S: Final = 2.0
"""A hole between two packets longer than this is a gap, not a late frame."""

FAR_OFF_NS: Final = 2 * NS
"""Packet time this far from arrival time, for `FAR_OFF_FOR_NS`, is wrong: the run is begun anew."""

FAR_OFF_FOR_NS: Final = 10 * NS
"""A stalled network that catches up is over sooner than this."""

EARLY_NS: Final = NS // 2
"""A packet may come late, never early: one that claims to be this much later than it came has a wrong time."""

KEY_WAIT_NS: Final = 120 * NS
"""A file is this much longer than it should be at most. Cameras that save bits send a key frame every 20 s, some every
minute; one that never sends a second gives one to each new connection."""

CLOCK_STEP_NS: Final = 1 * NS
"""A wall clock that moved this much against the monotonic clock was set (ARCHITECTURE, "Time")."""


class GapReason(StrEnum):
    """Why there is no footage."""

    STARTING = "starting"
    RESTART = "restart"
    CONFIGURATION = "configuration"
    DEGRADED = "degraded"
    EXPIRED = "expired"
    OVERWRITTEN = "overwritten"
    BEFORE_FIRST = "before_first"
    CAMERA_SILENT = "camera_silent"
    CAMERA_REFUSED = "camera_refused"
    CAMERA_NOT_VIDEO = "camera_not_video"
    CAMERA_CLOCK = "camera_clock"
    NOT_RECORDABLE = "not_recordable"
    CLOCK_STEP = "clock_step"
    CONNECTION_LOST = "connection_lost"
    DISK_FULL = "disk_full"
    DISK_SLOW = "disk_slow"
    DISK_FAILED = "disk_failed"
    VOLUME_MISSING = "volume_missing"
    POWER_LOSS = "power_loss"
    FILE_MISSING = "file_missing"
    FILE_DAMAGED = "file_damaged"
    INDEX_LOST = "index_lost"
    UNRECORDED = "unrecorded"


@dataclass(frozen=True, slots=True)
class TimeBase:
    """One tick is `num`/`den` seconds."""

    num: int
    den: int

    def ns(self, ticks: int) -> int:
        """Ticks as nanoseconds, rounded down."""
        return ticks * NS * self.num // self.den

    def ticks(self, seconds: float) -> int:
        """Seconds as ticks, rounded down."""
        return int(seconds * self.den / self.num)


class Raw(NamedTuple):
    """The times of one packet as the camera gave them, in ticks; None where it gave none."""

    pts: int | None
    dts: int | None
    duration: int


class Sane(NamedTuple):
    """The times of one packet as the muxer takes them, in ticks."""

    pts: int
    dts: int


def sane_head(held: Sequence[Raw], nominal: int, base: TimeBase) -> list[Sane]:
    """Times for the first packets of a connection.

    The first key frame often has no times at all, with B-frames the next ones have no decoding time either:
    they are counted back from the first packet that has one, `nominal` ticks a frame. So are packets before a
    jump: many cameras set their time with their first report, and that is no hour of footage. Without any
    decoding time, presentation times are taken instead, or zero.
    """
    jumped = _after_jumps(held, nominal, base)
    known = next((place for place, raw in enumerate(held) if place >= jumped and raw.dts is not None), None)
    if known is None:
        known_dts, known = next((raw.pts for raw in held if raw.pts is not None), 0), 0
    else:
        known_dts = held[known].dts or 0
    shown = [raw.pts for raw in held[jumped:] if raw.pts is not None]
    times: list[Sane] = []
    last: int | None = None
    for place, raw in enumerate(held):
        dts = raw.dts if raw.dts is not None and place >= known else known_dts + (place - known) * nominal
        if last is not None and dts <= last:
            dts = last + 1
        pts = raw.pts
        if place < jumped:
            pts = dts if pts is None or raw.dts is None else dts + pts - raw.dts
        elif pts is None:
            pts = min(shown) - nominal if place == 0 and shown else dts
        times.append(Sane(max(pts, dts), dts))
        last = dts
    return times


def _after_jumps(held: Sequence[Raw], nominal: int, base: TimeBase) -> int:
    """The place from which on decoding times jump no more."""
    timed = [(place, raw.dts) for place, raw in enumerate(held) if raw.dts is not None]
    jumps = [place for (_, before), (place, dts) in pairwise(timed) if _jump(before, dts, nominal, base)]
    return jumps[-1] if jumps else 0


def _jump(last_dts: int, dts: int, nominal: int, base: TimeBase) -> bool:
    return last_dts - dts > base.ticks(BACK_S) or dts - last_dts > max(base.ticks(FORWARD_S), 4 * nominal)


@dataclass(frozen=True, slots=True)
class RunTime:
    """The wall time of the packets of one run. Made by `begin_run`, moved on by `advance`."""

    base: TimeBase
    anchor_dts: int
    anchor_ns: int
    slew_ns: int
    last_dts: int
    last_ns: int
    off_since_ns: int | None = None
    shift: int = 0
    """Ticks to be added to what the camera says: its clock jumped by so many, and no time passed."""

    @property
    def far_off(self) -> bool:
        """True when packet time has been far from arrival time for too long."""
        return self.off_since_ns is not None and self.last_ns - self.off_since_ns >= FAR_OFF_FOR_NS

    def not_before(self, at_ns: int | None) -> "RunTime":
        """This run, which has just begun, at `at_ns` if it would begin before."""
        if at_ns is None or self.anchor_ns >= at_ns:
            return self
        return replace(self, anchor_ns=at_ns, last_ns=at_ns)


def follow(run: RunTime, raw: Raw, nominal: int, arrival_ns: int) -> tuple[Sane, RunTime] | None:
    """Times for the packet after the last one of the run: bumped, synthesised, or freed of a jump of the camera's
    clock, which the run that comes with them knows from then on. None when packets are missing before this one, for
    longer than a late frame: it begins a new run.

    Arrival tells the two apart. Packets that are missing leave a hole in both times; a clock that jumps leaves none
    in arrival, and a packet that claims to be from the future shows a clock that jumped forward.
    """
    last = run.last_dts
    if raw.dts is None:
        dts = last + nominal
        return Sane(dts if raw.pts is None else max(raw.pts + run.shift, dts), dts), run
    dts = raw.dts + run.shift
    step = dts - last
    if step > 4 * nominal or step < -run.base.ticks(BACK_S):
        plain = run.anchor_ns + run.slew_ns + run.base.ns(dts - run.anchor_dts)
        if step < 0 or plain - arrival_ns > EARLY_NS:
            passed = arrival_ns - run.last_ns
            if passed > FORWARD_S * NS:
                return None
            dts = last + max(nominal, run.base.ticks(passed / NS) if passed > 2 * run.base.ns(nominal) else 0)
            run = replace(run, shift=dts - raw.dts)
        elif step > max(run.base.ticks(FORWARD_S), 4 * nominal):
            return None
    dts = max(dts, last + 1)
    return Sane(dts if raw.pts is None else max(raw.pts + run.shift, dts), dts), run


def begin_run(base: TimeBase, arrivals: Sequence[tuple[int, int]], not_before_ns: int | None = None) -> RunTime:
    """A run that begins with these packets: (decoding time in ticks, arrival in wall nanoseconds).

    A packet can come late, never early, so the packet with the least delay sets the anchor: what the
    connection had stored up before it was read does not shift the footage. `not_before_ns` is the end of the
    footage before it, which the run may not overlap, unless by so much that one of the two is wrong: the clock was
    set back in between, and now is now.
    """
    first_dts = arrivals[0][0]
    anchor = min(arrival - base.ns(dts - first_dts) for dts, arrival in arrivals)
    if not_before_ns is not None and not_before_ns - anchor <= FAR_OFF_NS:
        anchor = max(anchor, not_before_ns)
    return RunTime(base, first_dts, anchor, 0, first_dts, anchor)


def advance(run: RunTime, dts: int, arrival_ns: int) -> RunTime:
    """The run with its next packet; `last_ns` of the answer is the wall time of that packet."""
    nominal = run.anchor_ns + run.base.ns(dts - run.anchor_dts)
    plain = nominal + run.slew_ns
    most = (plain - run.last_ns) * SLEW_PPM // 1_000_000
    error = arrival_ns - plain
    slew = max(-most, min(most, error))
    wall = plain + slew
    off_since = None if abs(error) < FAR_OFF_NS else run.last_ns if run.off_since_ns is None else run.off_since_ns
    return RunTime(run.base, run.anchor_dts, run.anchor_ns, run.slew_ns + slew, dts, wall, off_since, run.shift)


def first_length_ns(camera_uuid: str, segment_ns: int) -> int:
    """How long the first segment of a run is: half to whole, by camera, so that cameras do not all cut at once."""
    return segment_ns // 2 + segment_ns // 2 * (int(camera_uuid[:8], 16) % 1024) // 1024


def should_cut(key: bool, length_ns: int, limit_ns: int, must: bool) -> bool:
    """Whether a packet begins a new segment, at its time or because the next file `must` be another. Only a key
    frame can."""
    return key and (must or length_ns >= limit_ns)


def key_overdue(length_ns: int, limit_ns: int) -> bool:
    """Whether a file has waited in vain for a key frame to end before, and the camera is to be asked for one."""
    return length_ns - limit_ns > KEY_WAIT_NS


def clock_stepped(offset_then_ns: int, offset_now_ns: int) -> bool:
    """Whether the wall clock was set, by its offset from the monotonic clock then and now."""
    return abs(offset_now_ns - offset_then_ns) > CLOCK_STEP_NS


@dataclass(frozen=True, slots=True)
class Span:
    """Footage of one camera from `from_ns` up to but not including `to_ns`."""

    from_ns: int
    to_ns: int


@dataclass(frozen=True, slots=True)
class Gap:
    """No footage of one camera from `from_ns` up to `to_ns` (None: it lasts), and why."""

    from_ns: int
    to_ns: int | None
    reason: str
    detail: str = ""


@dataclass(frozen=True, slots=True)
class Ledger:
    """A range of time of one camera, decided: every instant is in exactly one of the two."""

    spans: tuple[Span, ...]
    gaps: tuple[Gap, ...]


def merge(spans: Iterable[Span]) -> list[Span]:
    """The same instants in the fewest spans, in order."""
    merged: list[Span] = []
    begin = end = 0
    for from_ns, to_ns in sorted((each.from_ns, each.to_ns) for each in spans if each.to_ns > each.from_ns):
        if begin < end and from_ns <= end:
            end = max(end, to_ns)
            continue
        if begin < end:
            merged.append(Span(begin, end))
        begin, end = from_ns, to_ns
    if begin < end:
        merged.append(Span(begin, end))
    return merged


def ledger(footage: Iterable[Span], gaps: Iterable[Gap], from_ns: int, to_ns: int) -> Ledger:
    """What `from_ns` to `to_ns` holds. Where rows of both claim an instant, footage wins; where none does, the
    gap's reason is `unrecorded`. Where several gap rows claim one, the one that began last wins."""
    spans = [
        Span(max(each.from_ns, from_ns), min(each.to_ns, to_ns))
        for each in merge(footage)
        if each.from_ns < to_ns and each.to_ns > from_ns
    ]
    rows = sorted((each for each in gaps if _touches(each, from_ns, to_ns)), key=lambda each: each.from_ns)
    found: list[Gap] = []
    at = from_ns
    for span in [*spans, Span(to_ns, to_ns)]:
        if at < span.from_ns:
            found.extend(_explain(at, span.from_ns, rows))
        at = max(at, span.to_ns)
    return Ledger(tuple(spans), tuple(found))


def _touches(gap: Gap, from_ns: int, to_ns: int) -> bool:
    return gap.from_ns < to_ns and (gap.to_ns is None or gap.to_ns > from_ns)


def _explain(from_ns: int, to_ns: int, rows: Sequence[Gap]) -> list[Gap]:
    inside = [each for each in rows if _touches(each, from_ns, to_ns)]
    borders = {from_ns, to_ns}
    for each in inside:
        borders.add(max(each.from_ns, from_ns))
        borders.add(to_ns if each.to_ns is None else min(each.to_ns, to_ns))
    ordered = sorted(borders)
    pieces: list[Gap] = []
    for start, end in pairwise(ordered):
        row = next((each for each in reversed(inside) if _touches(each, start, end)), None)
        reason, detail = (row.reason, row.detail) if row else (GapReason.UNRECORDED.value, "")
        if pieces and pieces[-1].to_ns == start and (pieces[-1].reason, pieces[-1].detail) == (reason, detail):
            pieces[-1] = replace(pieces[-1], to_ns=end)
        else:
            pieces.append(Gap(start, end, reason, detail))
    return pieces


@dataclass(frozen=True, slots=True)
class SegmentRef:
    """One recorded file: where it is and what it holds. `path` is absolute."""

    path: str
    start_ns: int
    end_ns: int
    codec: str = ""
    width: int = 0
    height: int = 0
    bytes: int = 0
    state: str = "closed"


@dataclass(frozen=True, slots=True)
class ExportPlan:
    """What to copy: files in order, each group one playable result, and what is missing in the range."""

    groups: tuple[tuple[SegmentRef, ...], ...]
    ledger: Ledger


def plan_export(segments: Iterable[SegmentRef], from_ns: int, to_ns: int, split_at_gaps: bool = False) -> ExportPlan:
    """The segments that touch the range, in order. A new group begins where the codec or the picture size
    changes, and where footage is missing if `split_at_gaps`."""
    wanted = sorted(
        (each for each in segments if each.start_ns < to_ns and each.end_ns > from_ns), key=lambda each: each.start_ns
    )
    groups: list[list[SegmentRef]] = []
    for each in wanted:
        last = groups[-1][-1] if groups else None
        alike = last is not None and (last.codec, last.width, last.height) == (each.codec, each.width, each.height)
        if last is not None and alike and not (split_at_gaps and each.start_ns > last.end_ns):
            groups[-1].append(each)
        else:
            groups.append([each])
    found = ledger((Span(each.start_ns, each.end_ns) for each in wanted), (), from_ns, to_ns)
    return ExportPlan(tuple(tuple(group) for group in groups), found)
