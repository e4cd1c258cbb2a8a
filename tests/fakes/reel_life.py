"""One camera through the life of a machine: stops, kills, reboots, clocks that are set, by a clock that the test moves.

Everything but the camera and the clock is real: files, index, journal, the chores of the ledger. What a real recorder
does with threads is done here in turns.
"""

from dataclasses import dataclass
from datetime import UTC
from pathlib import Path

from agent.camera_address import Address
from agent.clock import stamp
from agent.facts import ClockQuality
from agent.footage import rows
from agent.footage.custody.journal import Journal
from agent.footage.disk.files import create_volume
from agent.footage.index import Index, Pending
from agent.footage.inspection.effects import effects
from agent.footage.mending.recovery import open_gaps
from agent.footage.naming import camera_uuid
from agent.footage.recording.plan import CameraPlan
from agent.footage.recording.store import Store
from agent.footage.recording.sync import SyncThread
from agent.footage.recording.track import Track
from agent.footage.recording.volumes import Volumes
from agent.footage.rows import RowClock, SegmentRow
from agent.footage.timeline import NS
from agent.footage.upkeep.ledger import Decided, read
from agent.footage.upkeep.rectification import Rectification
from agent.footage.upkeep.sweep import Sweep
from tests.fakes.clock import MovedClock
from tests.fakes.played import PlayedCamera
from tests.fakes.waiting import until

CAMERA = camera_uuid("f1", "cam1")
REEL = (CAMERA, "main")
FRAME_S = 0.1
SEGMENT_S = 10
BUSY_S = 60
"""What a disk that everybody uses may need for a file or a row."""


def committed(pending: Pending) -> None:
    """Wait until something is committed: what is read before is another story."""
    until(pending.done.is_set, BUSY_S, "the commit")


@dataclass
class Sent:
    """One packet that the camera sent: when, by a clock that is never wrong, and whether the recorder ran."""

    true_ns: int
    heard: bool


class ReelLife:
    """A camera, and a machine that records it whenever it is on."""

    def __init__(self, folder: Path, clip: Path, segment_s: int = SEGMENT_S) -> None:
        self.folder = folder
        self.segment_s = segment_s
        self.clock = MovedClock()
        self.camera = PlayedCamera(clip, self.clock)
        self.volume = folder / "volume"
        self.volume_uuid = create_volume(self.volume, "f1").uuid
        self.boots = 1
        self.right_offset_ns = self.clock.wall_ns() - self.clock.mono_ns()
        """Wall minus monotonic time, if the wall clock of this boot is right."""
        self.sent: list[Sent] = []
        self.is_on = False
        self.recorded = True
        """Whether the camera is in the settings."""
        self._jobs = 0.0

    # What happens.

    def start(self) -> None:
        """The recorder starts."""
        self.index = Index(self.folder / "footage.db")
        self.index.prepare()
        self.index.start()
        self.sync = SyncThread(1.0, self.clock)
        self.sync.start()
        self.volumes = Volumes([self.volume], "f1", self.index, self.clock, lambda: self.sync, 1)
        boot = f"boot-{self.boots}"
        self.store = Store(self.index, self.volumes, self.clock, boot, self.segment_s * NS)
        committed(self.index.submit(rows.put_rebuilt(self.volume_uuid)))
        with self.index.reading() as connection:
            self.store.runs = rows.last_run(connection)
        plan = CameraPlan("cam1", CAMERA, "one", Address("rtsp://127.0.0.1/none"))
        self.track = Track(plan, self.camera, self.store, 5 * NS)
        self.journal = Journal(self.index, lambda: [self.volume], self.clock, effects)
        reels = {REEL: plan.subject} if self.recorded else {}
        self.sweep = Sweep(self.index, self.clock, boot, reels, lambda *_: dict(self.track.live), UTC, self.journal)
        self.rectification = Rectification(self.index, boot, self.sweep.look_again, self.journal)
        self.is_on = True
        self.camera.take()
        self.camera.open()
        self.sweep.begin()
        self._recover()
        self._turn()

    def stop(self) -> None:
        """The recorder stops in order."""
        self._turn()
        self.sweep.end()
        if self.recorded:
            self.track.stop()
        until(lambda: not self.track.live, BUSY_S, "every file is closed")
        self._close()

    def kill(self) -> None:
        """The recorder is gone from one moment to the next; what was synced is on the disk."""
        segment = self.track._reel.segment
        if segment is not None:
            segment.abandon()
        self._close()

    def reboot(self, wall_ns: int, quality: ClockQuality, off_s: float) -> None:
        """The machine is off for a while and comes back with this wall time; monotonic time begins anew."""
        true_ns = self.true_ns() + round(off_s * NS)
        self.boots += 1
        self.clock.boot(wall_ns, 5 * NS)
        self.clock.now_quality = quality
        self.right_offset_ns = true_ns - self.clock.mono_ns()

    def play(self, seconds: float) -> None:
        """The camera sends, ten frames a second."""
        for number in range(round(seconds / FRAME_S)):
            self.clock.move(FRAME_S)
            self.sent.append(Sent(self.true_ns(), self.is_on and self.recorded))
            self.camera.play()
            if not self.is_on:
                self.camera.take()
            elif number % 3 == 2:
                self._turn()
        if self.is_on:
            self._turn()

    def wait(self, seconds: float) -> None:
        """Time passes, for the camera too, and no packet comes."""
        base = self.camera._stream.time_base
        assert base is not None
        self.camera.offset_ticks += int(round(seconds * 4) / 4 / base)
        for _ in range(round(seconds * 4)):
            self.clock.move(0.25)
            if self.is_on:
                self._turn()

    def set_right(self) -> None:
        """The network tells the time."""
        self.clock.step_wall((self.true_ns() - self.clock.wall_ns()) / NS)
        self.clock.now_quality = ClockQuality.NTP

    def true_ns(self) -> int:
        """The right time."""
        return self.clock.mono_ns() + self.right_offset_ns

    # What is known of it.

    def rows(self) -> list[SegmentRow]:
        """Every segment, in the order of recording."""
        if self.is_on:
            committed(self.index.submit())
        return self.rows_at_rest()

    def rows_at_rest(self) -> list[SegmentRow]:
        """The same, while the recorder is off."""
        with self.index.reading() as connection:
            found = connection.execute("SELECT * FROM segment ORDER BY seq")
            return [SegmentRow(*(row[name] for name in SegmentRow.__dataclass_fields__)) for row in found]

    def decided(self, from_ns: int = 0, to_ns: int | None = None) -> Decided:
        """The ledger, as it is answered: what is still on its way to the disk is left out."""
        committed(self.index.submit())
        now_ns, live = self.clock.wall_ns(), self.track.live
        end_ns = min(to_ns or now_ns, max(live.values()) if self.track.is_writing else now_ns)
        with self.index.reading() as connection:
            return read(connection, REEL, from_ns, max(end_ns, from_ns), live, now_ns)

    def chores(self) -> None:
        """One turn of the keeper."""
        for chore in (self.journal, self.sweep, self.rectification):
            chore.step(stamp(self.clock))

    def _turn(self) -> None:
        if self.recorded:
            self.track.turn(stamp(self.clock))
        else:
            self.camera.take()
        if self.clock.mono_ns() / NS >= self._jobs:
            self._jobs = self.clock.mono_ns() / NS + 5
            self.chores()

    def _recover(self) -> None:
        self._jobs = 0.0
        now = stamp(self.clock)
        looked = self.volumes.look(now, False, lambda: None)
        were_open = {reel for _, found in looked.recovered for reel in found.were_open}
        clock = RowClock(self.store.boot, now.wall_ns - now.mono_ns, now.quality.value)
        if self.recorded:
            open_gaps(self.index, [REEL], were_open, any(f.rebuilt for _, f in looked.recovered), now.wall_ns, clock)
            committed(self.index.submit())
            with self.index.reading() as connection:
                self.track.resume(rows.last_of(connection, *REEL))

    def _close(self) -> None:
        self.is_on = False
        self.sync.stop(BUSY_S)
        self.index.stop(BUSY_S)
