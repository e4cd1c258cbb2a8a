"""What the sockets of the four processes can be asked: one function per verb.

All of them raise wire.WireError when the process cannot be reached and wire.Refused when it says no. Times are
UTC nanoseconds. A key that an older or newer process leaves out is simply missing, hence `total=False`.
"""

import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final, TypedDict

from agent.facts import Text
from agent.wire import Refused, WireError, call

PROCESSES: Final = ("alarm", "record", "vision", "web")
STATUS_TIMEOUT_S: Final = 1.0
"""A process that needs longer than this to say how it is, is not well."""

Status = dict[str, Any]


class Delivery(TypedDict, total=False):
    """How far an alert has come on its way to one platform."""

    state: str
    published_ns: int | None
    receipted_ns: int | None
    case_no: str | None


class Event(TypedDict, total=False):
    """One alert in the ledger."""

    seq: int
    id: str
    type: str
    subject: str
    time: str
    priority: int
    at_ns: int
    incident_id: str | None
    summary_zh: str
    summary_en: str
    pressed_ns: int | None
    body: dict[str, Any]
    delivery: dict[str, Delivery]


class Incident(TypedDict, total=False):
    """One incident, from the first alarm to its reset."""

    id: str
    kind: str
    subject: str
    name: str
    room: str | None
    state: str
    latched: bool
    triggered_ns: int
    last_ns: int
    count: int
    acknowledged_ns: int | None
    acknowledged_by: str | None
    restored_ns: int | None
    reset_ns: int | None
    reset_by: str | None
    reset_why: str | None
    drill: bool


class Span(TypedDict, total=False):
    """Footage without a gap."""

    from_ns: int
    to_ns: int


class Gap(TypedDict, total=False):
    """A time without footage, and why."""

    from_ns: int
    to_ns: int
    reason: str
    detail: str


class Segment(TypedDict, total=False):
    """One file of footage."""

    path: str
    start_ns: int
    end_ns: int
    codec: str
    bytes: int
    state: str
    stream: str
    seq: int
    frames: int
    volume: str
    name: str
    digest: str | None
    previous: str | None
    chain: str | None


def statuses(runtime: Path, timeout_s: float = STATUS_TIMEOUT_S) -> dict[str, Status | None]:
    """How each process says it is, all asked at the same time; None for one that does not answer."""
    found: dict[str, Status | None] = dict.fromkeys(PROCESSES)

    def ask(name: str) -> None:
        found[name] = status_of(runtime, name, timeout_s)

    threads = [threading.Thread(target=ask, args=(name,), name=f"ask-{name}", daemon=True) for name in PROCESSES]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(timeout_s + 0.5)
    return dict(found)


def status_of(runtime: Path, name: str, timeout_s: float = STATUS_TIMEOUT_S) -> Status | None:
    """How one process says it is; None when it does not answer."""
    try:
        return call(runtime / f"{name}.sock", "status", timeout_s=timeout_s)
    except (WireError, Refused):
        return None


def barred(runtime: Path) -> Text | None:
    """Why this user may not ask, when nothing answers and that is the reason."""
    try:
        call(runtime / "alarm.sock", "status", timeout_s=STATUS_TIMEOUT_S)
    except Refused as refusal:
        return refusal.text
    except WireError as error:
        return not_allowed(runtime, error)
    return None


def not_allowed(runtime: Path, error: WireError) -> Text | None:
    """What to do about `error`, when this user may not open the socket."""
    if not isinstance(error.__cause__, PermissionError):
        return None
    return Text(
        f"无权打开 {runtime} 里的套接字；请用 sudo，或加入能打开它的用户组",
        f"not allowed to open the sockets in {runtime}; use sudo, or join the group that may",
    )


def not_running(runtime: Path | str) -> Text:
    """What to do when there is no agent at all."""
    return Text(
        f"没有在运行（{runtime}）；演示：make run，安装好的：systemctl start yunjian.target，别处的：--runtime 目录",
        f"not running ({runtime}); demonstration: make run, installed: systemctl start yunjian.target, "
        "elsewhere: --runtime DIR",
    )


def events(runtime: Path, limit: int = 20, after_seq: int | None = None, kind: str | None = None) -> list[Event]:
    """The newest `limit` events, oldest first, or as many as one answer holds; `kind` is their class, as in `alarm`.

    With `after_seq` those alone whose number is higher: a number may come late, so that a reader who follows asks
    from a little before the highest and leaves out what it has.
    """
    asked = {"limit": limit, "after_seq": after_seq, "kind": kind}
    return _list(call(runtime / "alarm.sock", "events", asked), "events")


def incidents(runtime: Path, open_only: bool = True) -> list[Incident]:
    """The incidents, oldest first."""
    return _list(call(runtime / "alarm.sock", "incidents", {"open_only": open_only}), "incidents")


def acknowledge(runtime: Path, incident_id: str, who: str) -> Incident:
    """Note that `who` has seen the incident; `incident_id` may be a prefix that names one alone."""
    return _incident(call(runtime / "alarm.sock", "acknowledge", {"incident_id": incident_id, "who": who}))


def reset(runtime: Path, incident_id: str, who: str, why: str) -> Incident:
    """End the incident. Refused while its cause lasts."""
    return _incident(call(runtime / "alarm.sock", "reset", {"incident_id": incident_id, "who": who, "why": why}))


def audit(runtime: Path, action: str, subject: str, who: str, detail: dict[str, Any]) -> dict[str, Any]:
    """Write down who does what; returns {n, hash} once it is on disk."""
    asked = {"action": action, "subject": subject, "who": who, "detail": detail}
    return call(runtime / "alarm.sock", "audit", asked, timeout_s=10.0)


def spans(
    runtime: Path, camera_id: str, from_ns: int, to_ns: int, stream: str = "main"
) -> tuple[list[Span], list[Gap]]:
    """The footage of one stream of a camera and the gaps in it."""
    pages = list(_pages(runtime, "spans", camera_id, stream, from_ns, to_ns))
    whole = _joined([span for page in pages for span in _list(page, "spans")])
    return whole, _joined([gap for page in pages for gap in _list(page, "gaps")])


def missing(runtime: Path, camera_id: str, from_ns: int, to_ns: int, stream: str = "main") -> list[Gap]:
    """What is missing in a range of one stream of a camera, for what is handed out: the time before the first recording
    stands there as a gap of its own."""
    told = ledger(runtime, camera_id, from_ns, to_ns, stream)
    first, gaps = told["first_ns"], list(told["gaps"])
    if first is not None and first > from_ns:
        gaps.insert(0, Gap(from_ns=from_ns, to_ns=min(first, to_ns), reason="before_first", detail=""))
    return gaps


def ledger(runtime: Path, camera_id: str, from_ns: int, to_ns: int, stream: str = "main") -> dict[str, Any]:
    """All that is known of a range of one stream of a camera: {spans, gaps, first_ns, doubtful}: when its first
    recording was, and which footage was told by a clock that nobody corrected."""
    pages = list(_pages(runtime, "spans", camera_id, stream, from_ns, to_ns))
    found = {name: _joined([each for page in pages for each in _list(page, name)]) for name in ("spans", "gaps")}
    doubtful = _joined([each for page in pages for each in page.get("doubtful") or ()])
    first = next((page["first_ns"] for page in pages if isinstance(page.get("first_ns"), int)), None)
    return {**found, "first_ns": first, "doubtful": doubtful}


def segments(runtime: Path, camera_id: str, from_ns: int, to_ns: int, stream: str = "main") -> list[Segment]:
    """The files that hold footage of one stream of a camera, oldest first, the open one included."""
    pages = _pages(runtime, "segments", camera_id, stream, from_ns, to_ns)
    found = {segment.get("path", ""): segment for page in pages for segment in _list(page, "segments")}
    return sorted(found.values(), key=lambda segment: segment.get("start_ns", 0))


def press(runtime: Path, input_no: int, hold_s: float) -> dict[str, Any]:
    """Press a button of the simulated board. For the demonstration."""
    return call(runtime / "board.sock", "press", {"input": input_no, "hold_s": hold_s}, timeout_s=5.0 + hold_s)


def door(runtime: Path, is_open: bool) -> dict[str, Any]:
    """Open or close the door contact of the simulated board. For the demonstration."""
    return call(runtime / "board.sock", "door", {"open": is_open})


def _pages(runtime: Path, verb: str, camera_id: str, stream: str, from_ns: int, to_ns: int) -> Iterator[dict[str, Any]]:
    """The answers to a long range: each fits into one frame, and says where the next one begins."""
    start_ns: int | None = from_ns
    while start_ns is not None and start_ns < to_ns:
        asked = {"camera_id": camera_id, "stream": stream, "from_ns": start_ns, "to_ns": to_ns}
        page = call(runtime / "record.sock", verb, asked, timeout_s=10.0)
        yield page
        next_ns = page.get("next_ns")
        start_ns = next_ns if isinstance(next_ns, int) and next_ns > start_ns else None


def _joined(pieces: list[Any]) -> list[Any]:
    """Pieces that a page cut in two, whole again."""
    whole: list[Any] = []
    for piece in pieces:
        last = whole[-1] if whole else None
        if last and piece["from_ns"] <= last["to_ns"] and _why(piece) == _why(last):
            last["to_ns"] = max(last["to_ns"], piece["to_ns"])
        else:
            whole.append(dict(piece))
    return whole


def _why(piece: dict[str, Any]) -> tuple[Any, Any]:
    return piece.get("reason"), piece.get("detail")


def _list(answer: dict[str, Any], key: str) -> list[Any]:
    found = answer.get(key)
    if not isinstance(found, list) or not all(isinstance(each, dict) for each in found):
        raise WireError(f"an answer without a list of {key}")
    return found


def _incident(answer: dict[str, Any]) -> Incident:
    inner = answer.get("incident", answer)
    found: Incident = inner if isinstance(inner, dict) else {}  # type: ignore[assignment]
    return found


def reindex(runtime: Path, start: bool) -> dict[str, Any]:
    """Have every file walked anew by `record`, if `start`; how far that is (footage.reindex.Told)."""
    return call(runtime / "record.sock", "reindex", {"start": start})
