"""The record process: cameras to footage.

Invariants
1. READY is told when every camera is being read and the volume was looked at; a camera that is down, or a
   volume that is not there, is a condition and no reason to stop.
2. Pulse and watchdog follow the recording thread: they are sent only while it turns.
3. Conditions are told once when they begin, every 5 s while they last, and once when they are over.
"""

import ctypes
import logging
import os
import signal
import sqlite3
import threading
import uuid
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, Final

from agent.camera_address import Address
from agent.clock import Clock, SystemClock, stamp
from agent.facts import PULSE_EVERY_S, ConditionKind, Fact, Pulse, Text
from agent.footage import rows
from agent.footage.ask import answer_segments, answer_spans, times
from agent.footage.custody.checkpoints import Checkpoints
from agent.footage.custody.journal import Journal
from agent.footage.custody.proof import answer_proof
from agent.footage.fault import Fault
from agent.footage.index import Index
from agent.footage.inspection.effects import effects
from agent.footage.inspection.reindex import answer_reindex
from agent.footage.naming import camera_uuid
from agent.footage.recording.plan import MAIN, STREAMS, SUB, CameraPlan
from agent.footage.recording.recorder import Recorder
from agent.footage.upkeep.keeper import Chore, Keeper
from agent.footage.upkeep.leases import Leases
from agent.footage.upkeep.old_indexes import OldIndexes
from agent.health import Liveness
from agent.lasting import LastingStates
from agent.logins import Logins
from agent.processes.record_chores import REAL, Scale, holds_of, ledger_of, retention_of
from agent.settings.load import load
from agent.settings.models import Settings
from agent.wire import FactSender, Refused, Reply, Request, Server, Verb

log = logging.getLogger(__name__)

LOOK_EVERY_S: Final = 0.5
FACTS_WAITING: Final = 256
"""With so many facts unacknowledged, conditions are not repeated: those that wait say the same."""

KEEPER_STOP_S: Final = 4.0

_OF_THE_VOLUME: Final = (
    ConditionKind.VOLUME_MISSING, ConditionKind.DISK_FULL, ConditionKind.DISK_SLOW, ConditionKind.DISK_FAILED,
)  # fmt: skip
"""What a run may leave active when it ends, and a person then mends: the next run says that it is over."""

_M_ARENA_MAX: Final = -8
"""mallopt(3): more than two heaps cost a megabyte for each thread, and buy nothing at four cameras."""


def main(settings_file: Path) -> int:
    """Record until told to stop. 0 after an orderly stop, 1 when it could not stop. Raises SettingsError."""
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(levelname)s %(name)s: %(message)s")
    settings = load(settings_file)
    ctypes.CDLL(None).mallopt(_M_ARENA_MAX, 2)
    return Record(settings, SystemClock()).run()


def plans(settings: Settings) -> list[CameraPlan]:
    """The streams that are to be recorded; of each camera the main one first."""
    found: list[CameraPlan] = []
    for camera in settings.cameras:
        uuid = camera_uuid(settings.facility.id, camera.id)
        wanted = [(MAIN, camera.main if camera.record else None), (SUB, camera.sub if camera.record_sub else None)]
        for stream, url in wanted:
            if url is not None:
                address = Address(url, camera.transport, camera.username, camera.password_file, stream)
                found.append(CameraPlan(camera.id, uuid, camera.name, address, stream, camera.record_sound))
    return found


class Record:
    """Everything of the record process, built from leaf to root."""

    def __init__(self, settings: Settings, clock: Clock, scale: Scale = REAL) -> None:
        """`scale` is another one in tests alone."""
        self._clock = clock
        self._started_ns = clock.wall_ns()
        self._plans = plans(settings)
        runtime = settings.paths.runtime
        self._sender = FactSender(runtime / "alarm.sock", "record", uuid.uuid4().hex, clock)
        self._recorder = Recorder(
            self._plans,
            settings.footage.volumes,
            settings.facility.id,
            Index(settings.paths.data / "footage.db"),
            clock,
            _boot_id(),
            segment_s=settings.footage.segment_s,
            sync_every_s=settings.footage.sync_every_s,
            silent_after_s=settings.footage.silent_after_s,
            reserve_bytes=scale.last_ditch_bytes,
            algorithm=settings.footage.hash,
            logins=Logins(runtime / "logins", clock),
        )
        index, recorder = self._recorder.index, self._recorder
        self._journal = Journal(index, lambda: list(recorder.mounted().values()), clock, effects)
        self._checkpoints = Checkpoints(
            index, self._journal, clock, settings.paths.data, settings.facility.id, _policy(settings)
        )
        self._leases = Leases()
        self._holds = holds_of(settings, index, self._journal, clock)
        self._retention = retention_of(
            settings, recorder, self._journal, self._holds, self._leases, clock, _boot_id(), scale
        )
        self._sweep, self._rectification = ledger_of(settings, recorder, self._journal, clock, _boot_id())
        self._keeper = Keeper(self._chores(settings), clock)
        verbs: dict[str, Verb] = {"status": self._status, "spans": self._spans, "segments": self._segments}
        verbs |= {"checkpoint": self._checkpoints.ask_checkpoint, "sign_manifest": self._checkpoints.ask_signature}
        verbs["reindex"] = lambda request, reply: _answer(
            reply, lambda: answer_reindex(recorder, request.args.get("start") is True)
        )
        verbs["proof"] = lambda request, reply: _answer(
            reply, lambda: answer_proof(index, request.args, list(recorder.mounted().values()))
        )
        verbs |= {"hold": self._holds.verb_hold, "release": self._holds.verb_release, "holds": self._holds.verb_holds}
        self._server = Server(runtime / "record.sock", verbs)
        self._liveness = Liveness(clock)
        self._stop = threading.Event()

    def run(self) -> int:
        """Start, work until SIGTERM or SIGINT, stop in order."""
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, lambda *_: self._stop.set())
        self._sender.start()
        self._recorder.start(self._sweep.begin)
        self._keeper.start()
        self._server.start()
        volumes = [f"volume/{disk.path}" for disk in self._recorder.volumes.disks]
        former = [(kind, volume) for volume in volumes for kind in _OF_THE_VOLUME]
        teller = Teller(self._sender, self._clock, former)
        turns = self._recorder.turns
        ready = False
        while not self._clock.wait(self._stop, LOOK_EVERY_S):
            self._recorder.replace_hung()
            turned = self._recorder.turns != turns
            turns = self._recorder.turns
            teller.tell([*self._recorder.faults(), *self._keeper.faults()], turned)
            if turned:
                if not ready:
                    self._liveness.ready()
                    ready = True
                self._liveness.beat()
        self._liveness.stopping()
        # The files first: whoever started this process gives it 10 s, and a chore may be long at its step.
        self._recorder.ask_to_stop()
        self._server.stop()
        in_order = _stopped(lambda: self._keeper.stop(KEEPER_STOP_S))
        self._sweep.end()
        return 0 if _stopped(self._recorder.stop) & _stopped(self._sender.stop) & in_order else 1

    def _chores(self, settings: Settings) -> list[Chore]:
        """What the keeper does, in this order."""
        # First the journal: holds that a volume alone knows of hold before anything is deleted.
        # What retention may do is noted before it does it.
        old = OldIndexes(self._recorder.index, self._journal, self._recorder.mounted)
        return [self._journal, self._checkpoints, self._sweep, self._rectification, self._holds, self._retention, old]

    def _status(self, request: Request, reply: Reply) -> None:
        own: dict[str, Any] = {
            "process": "record",
            "pid": os.getpid(),
            "started_ns": self._started_ns,
            "rss_kib": _rss_kib(),
            "facts_waiting": self._sender.waiting(),
        }
        reply.done({**own, **self._recorder.status(), **self._keeper.status()})

    def _spans(self, request: Request, reply: Reply) -> None:
        def answer() -> dict[str, Any]:
            return answer_spans(self._recorder, *self._range(request), self._clock.wall_ns())

        _answer(reply, answer)

    def _segments(self, request: Request, reply: Reply) -> None:
        def answer() -> dict[str, Any]:
            camera, stream, from_ns, to_ns = self._range(request)
            self._leases.note(camera, from_ns, to_ns, self._clock.mono_ns())
            return answer_segments(self._recorder, camera, stream, from_ns, to_ns)

        _answer(reply, answer)

    def _range(self, request: Request) -> tuple[str, str, int, int]:
        """Camera uuid, stream, from and to; a camera that is configured no more still has footage."""
        name, stream = str(request.args.get("camera_id"))[:64], str(request.args.get("stream", MAIN))
        uuid = next((plan.uuid for plan in self._plans if plan.id == name), None) or self._former(name)
        if uuid is None or stream not in STREAMS:
            raise Refused(
                "no_such_camera", Text(f"没有这台摄像机，或它不录像：{name}", f"no camera {name} is recorded")
            )
        return uuid, stream, *times(request.args)

    def _former(self, name: str) -> str | None:
        with self._recorder.index.reading() as connection:
            return rows.camera_named(connection, name)


def _stopped(stop: Callable[[], None]) -> bool:
    """Whether something stopped; what hangs keeps nothing else from it."""
    try:
        stop()
    except RuntimeError as error:
        log.error("%s", error)  # noqa: TRY400 - what hangs is named; the trace is ours alone
        return False
    return True


def _policy(settings: Settings) -> dict[str, Any]:
    footage = settings.footage
    return {
        "minimum_days": footage.minimum_days,
        "target_days": footage.target_days,
        "overwrite": footage.overwrite != "never",
    }


def _answer(reply: Reply, find: Callable[[], dict[str, Any]]) -> None:
    try:
        found = find()
    except Refused as refused:
        reply.refuse(refused.code, refused.text)
    except sqlite3.Error as error:
        reply.refuse("index_failing", Text(f"录像索引读不了：{error}", f"the footage index cannot be read: {error}"))
    else:
        reply.done(found)


class Teller:
    """Makes conditions of faults and sees that the alarm desk keeps knowing them. Used by one thread."""

    def __init__(self, sender: FactSender, clock: Clock, former: Sequence[tuple[ConditionKind, str]] = ()) -> None:
        """`former` are states that an earlier run of this process may have left active: the first turn ends them."""
        self._sender = sender
        self._clock = clock
        self._former = former
        self._lasting = LastingStates(clock, self._send, lambda: sender.waiting() < FACTS_WAITING)
        self._pulse_ns = 0
        self._turned = False

    def tell(self, faults: list[Fault], turned: bool) -> None:
        """Tell what began, what is over, and from time to time what lasts; a pulse if the work `turned`."""
        self._turned = self._turned or turned
        self._lasting.tell_all({(fault.kind, fault.subject): dict(fault.detail) for fault in faults})
        if turned:
            self._lasting.end(self._former)
            self._former = ()
        if self._turned and self._clock.mono_ns() >= self._pulse_ns:
            at = stamp(self._clock)
            self._pulse_ns = at.mono_ns + int(PULSE_EVERY_S * 1e9)
            self._turned = False
            self._send(Pulse("record", at))

    def _send(self, fact: Fact) -> None:
        try:
            self._sender.send(fact)
        except OverflowError as error:
            # Footage goes on without the desk; what lasts is told again, what is over ends by its time to live.
            log.warning("not told: %s", error)


def _boot_id() -> str:
    try:
        return Path("/proc/sys/kernel/random/boot_id").read_text(encoding="ascii").strip()
    except OSError:
        return ""


def _rss_kib() -> int:
    pages = int(Path("/proc/self/statm").read_text(encoding="ascii").split()[1])
    return pages * os.sysconf("SC_PAGE_SIZE") // 1024
