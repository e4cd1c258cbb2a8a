"""The vision process: frames to facts. Owns nothing durable.

One thread looks (this one, the watched loop); one thread per camera decodes into a place for one frame.

Invariants
1. Nothing here waits for a camera, and no camera for another: who waits longest for a look is next.
2. A look is at the newest frame; old ones are dropped.
3. Without a usable model the process lives on, says which file is wrong, and tries again.
"""

import logging
import os
import signal
import sys
import threading
import uuid
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

from agent.camera_address import Address
from agent.clock import Clock, SystemClock, stamp
from agent.facts import PULSE_EVERY_S, Condition, ConditionKind, PeopleCounted, Pulse, Stamp
from agent.health import Liveness
from agent.lasting import LastingStates
from agent.logins import Logins
from agent.safety.occupancy import CameraCount, Change, Occupancy, capacity_of, room_count, step
from agent.settings.load import load
from agent.settings.models import Camera, Room, Settings
from agent.vision.detector import DetectorBroken
from agent.vision.frames import Frame, FrameSource
from agent.vision.loaded import LoadedModel
from agent.vision.watch import METHOD, Watch, seen
from agent.wire import FactSender, Reply, Request, Server
from models import manifest

log = logging.getLogger(__name__)

BLIND_AFTER_S: Final = 10.0
"""A camera without a frame for this long is told (issue "First light", faults)."""

TELL_COUNT_EVERY_S: Final = 10.0
"""A count is told when it changes and at least this often."""

TELL_INTERVAL_EVERY_S: Final = 2.0
"""A change of the interval alone is told at most this often."""

STOP_S: Final = 2.0
"""All cameras together: who waits for a camera longer holds nothing that lasts."""

FACTS_WAITING: Final = 256
"""With so many facts unacknowledged, none that is told again anyway is added."""

TURN_S: Final = 0.25
"""The loop turns at least this often, frames or not."""


@dataclass(slots=True)
class _Watched:
    """One camera that counts people."""

    settings: Camera
    room_id: str
    threshold: float
    source: FrameSource
    due_s: float
    watch: Watch = field(default_factory=Watch)
    looks: int = 0
    ms_per_look: float = 0.0
    counted: CameraCount | None = None
    frame_at: Stamp | None = None


@dataclass(slots=True)
class _Told:
    """What was last told of a room."""

    count: tuple[int, int, int] | None = None
    at_s: float = float("-inf")


class VisionLoop:
    """Looks at cameras in turn and tells what it sees."""

    def __init__(self, settings: Settings, model: LoadedModel, facts: FactSender, clock: Clock) -> None:
        self._clock = clock
        self._started_s = clock.mono_ns() / 1e9
        self._model = model
        self._facts = facts
        self._every_s = 1 / settings.vision.looks_per_s
        self._lasting = LastingStates(clock, self._send)
        self._arrived = threading.Event()
        self._rooms = {room.id: room for room in settings.rooms}
        self._occupancy = {room.id: Occupancy() for room in settings.rooms}
        self._told = {room.id: _Told() for room in settings.rooms}
        self._pulsed_s = float("-inf")
        self._looked_through_s = float("-inf")
        self._cameras = [self._watched(each, settings) for each in settings.cameras if each.count_people and each.room]

    def start(self) -> None:
        """Load the model and connect to the cameras."""
        self._model.refresh(self._now_s())
        for camera in self._cameras:
            camera.source.start()

    def turn(self) -> None:
        """One look at the camera that waits longest, if any has a new frame and its time has come; then the news."""
        now_s = self._now_s()
        self._model.refresh(now_s)
        camera = self._next(now_s)
        if camera is None:
            self._clock.wait(self._arrived, self._rest_s(now_s))
            self._arrived.clear()
        elif frame := camera.source.take():
            self._look(camera, frame)
        # Frames that come between looks wake the loop, too often to go through all the news each time.
        now_s = self._now_s()
        if camera is not None or now_s - self._looked_through_s >= TURN_S:
            self._looked_through_s = now_s
            self._tell(now_s)

    def stop(self) -> None:
        """Disconnect from all cameras."""
        for camera in self._cameras:
            camera.source.ask_to_stop()
        end_s = self._now_s() + STOP_S
        for camera in self._cameras:
            if not camera.source.join(max(0.0, end_s - self._now_s())):
                log.info("camera %s: its thread still waits for the camera and is left behind", camera.settings.id)

    def status(self) -> dict[str, Any]:
        """The process's own part of the `status` verb. Called from other threads: reads single values only."""
        said = self._model.text()
        model = {
            "name": self._model.name,
            "sha256": self._model.sha256(),
            "ok": self._model.fault is None and self._model.detector is not None,
            "detail": self._model.fault.detail if self._model.fault else "",
            "text_zh": said.zh if said else "",
            "text_en": said.en if said else "",
        }
        return {"model": model, "cameras": [self._camera_status(camera) for camera in self._cameras]}

    def _camera_status(self, camera: _Watched) -> dict[str, Any]:
        frames, last, detail = camera.source.seen()
        counted = camera.counted
        blind = self._now_s() - (last.mono_ns / 1e9 if last else self._started_s) > BLIND_AFTER_S
        return {
            "id": camera.settings.id,
            "room_id": camera.room_id,
            "state": "blind" if blind else "watching" if frames else "starting",
            "detail": detail,
            "frames": frames,
            "looks": camera.looks,
            "count": counted.count if counted else None,
            "ms_per_look": round(camera.ms_per_look, 1),
            "last_frame_ns": last.wall_ns if last else None,
        }

    def _watched(self, camera: Camera, settings: Settings) -> _Watched:
        url, stream = (camera.main, "main") if camera.sub is None else (camera.sub, "sub")
        address = Address(url, camera.transport, camera.username, camera.password_file, stream)
        logins = Logins(settings.paths.runtime / "logins", self._clock)
        source = FrameSource(camera.id, address, camera.sub is None, self._clock, self._arrived.set, logins)
        threshold = settings.vision.threshold if camera.threshold is None else camera.threshold
        return _Watched(camera, camera.room or "", threshold, source, self._started_s)

    def _next(self, now_s: float) -> _Watched | None:
        """The camera whose look is most overdue among those with a new frame."""
        if self._model.detector is None:
            return None
        ready = [each for each in self._cameras if each.due_s <= now_s and each.source.has_frame()]
        return min(ready, key=lambda each: each.due_s, default=None)

    def _rest_s(self, now_s: float) -> float:
        due = [each.due_s - now_s for each in self._cameras if each.source.has_frame()]
        if self._model.detector is None or not due:
            return TURN_S
        return min(TURN_S, max(0.0, min(due)))

    def _look(self, camera: _Watched, frame: Frame) -> None:
        detector = self._model.detector
        assert detector is not None  # _next gives a camera only when there is one
        began_ns = self._clock.mono_ns()
        try:
            boxes = detector.look(frame.picture)
        except DetectorBroken as error:
            self._model.broken(error)
            return
        took_ms = (self._clock.mono_ns() - began_ns) / 1e6
        frame_s = frame.at.mono_ns / 1e9
        camera.watch = seen(camera.watch, boxes, camera.threshold, frame_s)
        camera.looks += 1
        camera.ms_per_look += (took_ms - camera.ms_per_look) / min(camera.looks, 20)
        # From the time it was due, not from now: the rate holds on average; but never a burst to catch up.
        camera.due_s = max(camera.due_s + self._every_s, began_ns / 1e9)
        camera.frame_at = frame.at
        if count := camera.watch.count():
            camera.counted = CameraCount(camera.settings.id, count.count, count.low, count.high, frame_s)

    def _tell(self, now_s: float) -> None:
        self._tell_model()
        for camera in self._cameras:
            camera.source.replace_hung()
            self._tell_blindness(camera, now_s)
        for room in self._rooms.values():
            self._tell_room(room, now_s)
        if now_s - self._pulsed_s >= PULSE_EVERY_S:
            self._pulsed_s = now_s
            self._facts.send(Pulse("vision", stamp(self._clock)))

    def _tell_model(self) -> None:
        fault, said = self._model.fault, self._model.text()
        detail: dict[str, str | int | float | bool] = {}
        if fault is not None and said is not None:
            detail = {
                "file": fault.file,
                "problem": fault.problem.value,
                "detail": fault.detail,
                "text_zh": said.zh,
                "text_en": said.en,
                "counting": self._model.detector is not None,
            }
        self._lasting.tell(ConditionKind.MODEL_MISSING, "process/vision", fault is not None, detail)

    def _tell_blindness(self, camera: _Watched, now_s: float) -> None:
        _, last, reason = camera.source.seen()
        # By the monotonic clock: a step of the wall clock is no blindness.
        blind = now_s - (last.mono_ns / 1e9 if last else self._started_s) > BLIND_AFTER_S
        detail: dict[str, str | int | float | bool] = {"room": camera.room_id, "reason": reason}
        self._lasting.tell(ConditionKind.VISION_BLIND, f"camera/{camera.settings.id}", blind, detail)

    def _tell_room(self, room: Room, now_s: float) -> None:
        counts = [each.counted for each in self._cameras if each.room_id == room.id and each.counted]
        best = room_count(counts, now_s)
        capacity = capacity_of(room.group, room.capacity)
        count = best.count if best else None
        state, change = step(self._occupancy[room.id], count, capacity, now_s)
        self._occupancy[room.id] = state
        if change is Change.RAISED:
            log.warning("room %s holds %s, allowed are %s", room.id, count, capacity)
        if capacity is not None and (state.active or change is not None):
            detail: dict[str, str | int | float | bool] = {"room": room.name, "capacity": capacity}
            if best is not None:
                detail |= {"count": best.count, "low": best.low, "high": best.high, "camera": best.camera_id}
            self._lasting.tell(ConditionKind.OVER_CAPACITY, f"room/{room.id}", state.active, detail)
        if best is not None:
            self._tell_count(room, best, now_s)

    def _tell_count(self, room: Room, best: CameraCount, now_s: float) -> None:
        told = self._told[room.id]
        news = (best.count, best.low, best.high)
        age_s = now_s - told.at_s
        changed = told.count is None or news[0] != told.count[0]
        if not (changed or age_s >= TELL_COUNT_EVERY_S or (news != told.count and age_s >= TELL_INTERVAL_EVERY_S)):
            return
        camera = next(each for each in self._cameras if each.settings.id == best.camera_id)
        assert camera.frame_at is not None  # a count rests on a frame
        self._told[room.id] = _Told(news, now_s)
        self._facts.send(
            PeopleCounted(
                room_id=room.id,
                camera_id=best.camera_id,
                count=best.count,
                low=best.low,
                high=best.high,
                method=METHOD,
                model=f"{self._model.name}@{self._model.sha256()[:16]}",
                threshold=camera.threshold,
                frame_at=camera.frame_at,
                at=stamp(self._clock),
            )
        )

    def _send(self, fact: Condition) -> None:
        # While the desk is away for hours, what lasts is told again when it is back; what is over ends by its time.
        if self._facts.waiting() < FACTS_WAITING:
            self._facts.send(fact)

    def _now_s(self) -> float:
        return self._clock.mono_ns() / 1e9


def main(settings_file: Path) -> int:
    """Watch until SIGTERM or SIGINT; 0 when it stopped in order."""
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(levelname)s %(name)s: %(message)s")
    settings = load(settings_file)
    runtime, clock = settings.paths.runtime, SystemClock()
    stopping = threading.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda _number, _frame: stopping.set())
    facts = FactSender(runtime / "alarm.sock", "vision", uuid.uuid4().hex, clock)
    folder = settings.paths.models or manifest.FOLDER
    model = LoadedModel(settings.vision.model, manifest.FOLDER / "manifest.json", folder, settings.vision.threads)
    loop = VisionLoop(settings, model, facts, clock)
    control = Server(runtime / "vision.sock", {"status": _status_verb(loop, clock)})
    liveness = Liveness(clock)
    facts.start()
    loop.start()
    control.start()
    liveness.ready()
    log.info("watching with %s", settings.vision.model)
    while not stopping.is_set():
        loop.turn()
        liveness.beat()
    liveness.stopping()
    control.stop()
    loop.stop()
    facts.stop()
    return 0


def _status_verb(loop: VisionLoop, clock: Clock) -> Any:
    started_ns = clock.wall_ns()

    def status(_request: Request, reply: Reply) -> None:
        own = {"process": "vision", "pid": os.getpid(), "started_ns": started_ns, "rss_kib": _rss_kib()}
        reply.done(own | loop.status())

    return status


def _rss_kib() -> int:
    pages = int(Path("/proc/self/statm").read_text(encoding="ascii").split()[1])
    return pages * os.sysconf("SC_PAGE_SIZE") // 1024


if __name__ == "__main__":
    sys.exit(main(Path(sys.argv[1])))
