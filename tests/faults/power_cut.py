"""A power cut, at any moment of a recording, as often as wanted: record once, then judge the disks that cuts leave.

The record process runs on a disk that logs every write and flush (rigs/logged_disk.py). For each cut the disk is made
as the power would have left it (rigs/write_log.py), mounted, recovered by the product's own code, and compared with
three witnesses that are not the index: the log that the cameras kept of what they sent and when, the numbers hidden in
the pictures, and what a consumer had been told was closed before the power went.
"""

import hashlib
import itertools
import random
import sqlite3
import threading
from bisect import bisect_right
from collections import Counter
from collections.abc import Iterator
from contextlib import ExitStack, closing, suppress
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath
from types import TracebackType
from typing import Any, Final, Self

import av

from agent.footage.chain import SHA256, link
from agent.footage.files import check_volume
from agent.footage.index import Index, IndexBroken
from agent.footage.naming import camera_uuid, parse_name
from agent.footage.recovery import open_gaps, recover
from agent.footage.reel import MAIN
from agent.wire import WireError
from tests.fakes.encoded import Picture, nals, number_in, numbered
from tests.fakes.recording import FACILITY, Recording
from tests.fakes.scripted_camera import ScriptedCamera, steady
from tests.faults.rigs.logged_disk import LoggedDisk, mounted
from tests.faults.rigs.write_log import Replay

RESTART_NS: Final = 60_000_000_000
"""The power comes back a minute later."""

MOST_LOSS_S: Final = 3.0
"""What a cut may cost a camera: a fragment of 1 s, syncing every 1 s, and the way there."""

ASK_EVERY_S: Final = 0.1


@dataclass(frozen=True, slots=True)
class Closed:
    """A file that a consumer was told to be closed when the log of the disk was `position` bytes long."""

    path: str
    sha256: str
    position: int


@dataclass(frozen=True, slots=True)
class Cut:
    """The power goes after `count` requests to the disk, at `wall_ns` at the latest."""

    seed: int
    count: int
    position: int
    wall_ns: int


@dataclass
class Verdict:
    """What a cut has cost: seconds of footage per camera, and every promise that was broken."""

    cut: Cut
    loss_s: dict[str, float] = field(default_factory=dict)
    broken: list[str] = field(default_factory=list)


class EndlessCamera(ScriptedCamera):
    """Shows the same pictures again and again, each with a number of its own, and remembers which was which."""

    def __init__(self, shown: list[Picture]) -> None:
        super().__init__(lambda _: steady(itertools.cycle(shown)), shown[0])
        self._pictures = shown
        self._places: dict[int, int] = {}

    def sent_as(self, number: int) -> bytes:
        """The bytes of the picture that had this number, as an encoder gives them."""
        if number not in self._places:
            counted: Counter[int] = Counter()
            for each in list(self.log):
                self._places[each.number] = counted[each.connection] % len(self._pictures)
                counted[each.connection] += 1
        return numbered(self.codec, self._pictures[self._places[number]].data, number)


class Witness:
    """Asks the record process what is closed, again and again, and keeps the answer with the log's length then."""

    def __init__(self, recording: Recording, disk: LoggedDisk, cameras: list[str]) -> None:
        self.closed: list[Closed] = []
        self._recording = recording
        self._disk = disk
        self._cameras = cameras
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run, name="witness", daemon=True)

    def start(self) -> None:
        """Begin to ask."""
        self._thread.start()

    def stop(self) -> None:
        """Ask no more."""
        self._stop.set()
        self._thread.join(10)

    def _run(self) -> None:
        seen: set[str] = set()
        while not self._stop.wait(ASK_EVERY_S):
            for name in self._cameras:
                with suppress(WireError):
                    told = self._recording.segments(name, 0)
                    position = self._disk.position()
                    for each in told:
                        if each["state"] == "closed" and each["path"] not in seen:
                            seen.add(each["path"])
                            path = Path(each["path"])
                            below = str(path.relative_to(self._recording.volume))
                            self.closed.append(Closed(below, hashlib.sha256(path.read_bytes()).hexdigest(), position))


class PoweredRun:
    """The record process on a disk whose power can be cut afterwards, as often as wanted.

    Within the context it records; `end` kills it, and the cuts are judged then.
    """

    def __init__(
        self, cameras: dict[str, EndlessCamera], segment_s: int = 10, recording: type[Recording] = Recording
    ) -> None:
        self.cameras = cameras
        self._segment_s = segment_s
        self._recording_type = recording
        self._running = ExitStack()

    def __enter__(self) -> Self:
        with ExitStack() as making:
            self.disk = making.enter_context(LoggedDisk())
            self._folder = self.disk.folder / "facility"
            self._folder.mkdir()
            for name in ("data", "volume"):  # what is to survive lies on the disk, the rest beside it
                (self.disk.mount / name).mkdir()
                (self._folder / name).symlink_to(self.disk.mount / name)
            urls = {name: camera.url() for name, camera in self.cameras.items()}
            self.recording = self._recording_type(self._folder, urls, self._segment_s)
            making.callback(self.recording.close)
            self.recording.make_volume()
            self.witness = Witness(self.recording, self.disk, list(self.cameras))
            self.recording.start()
            self.began_position = self.disk.position()
            self.witness.start()
            making.callback(self.witness.stop)
            self._running = making.pop_all()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._running.close()

    def end(self) -> None:
        """The run is over: kill the process, and look at what it wrote."""
        self.entries = self.disk.freeze()
        self.recording.kill()
        self.witness.stop()
        self._ends = [entry.end for entry in self.entries]

    def cuts(self, number: int, seed: int, from_ns: int, to_ns: int) -> list[Cut]:
        """Moments between two wall times, in order: half of them evenly spread in time, a quarter among the
        requests to the disk, and a quarter right behind a flush, where a promise was just made."""
        chance = random.Random(seed)
        first, last = self._count_at(from_ns), self._count_at(to_ns)
        flushes = [place + 1 for place in range(first, last) if self.entries[place].flags & 1]
        found = []
        for place in range(number):
            own = seed * 100_000 + place
            if place % 4 in (0, 1):
                wall_ns = chance.randrange(from_ns, to_ns)
                count = self._count_at(wall_ns)
                found.append(Cut(own, count, self._ends[count - 1], wall_ns))
            else:
                count = chance.choice(flushes) if place % 4 == 2 else chance.randrange(first, last) + 1
                position = self._ends[count - 1]
                found.append(Cut(own, count, position, min(self.disk.not_before(position), to_ns)))
        return sorted(found, key=lambda cut: cut.count)

    def judge(self, cuts: list[Cut]) -> Iterator[Verdict]:
        """Cut, recover and compare, one after the other; `cuts` are in order."""
        folder = self.disk.folder / f"cut-{cuts[0].seed}"
        folder.mkdir()
        replay = Replay(self.disk.log, self.entries, self.disk.initial, folder / "safe.img")
        try:
            for cut in cuts:
                image = folder / "cut.img"
                replay.cut(cut.count, random.Random(cut.seed), image)
                with mounted(image, folder / "mount") as mount:
                    verdict = Verdict(cut)
                    Judge(self, mount, verdict).judge()
                    yield verdict
        finally:
            replay.close()

    def _count_at(self, wall_ns: int) -> int:
        return bisect_right(self._ends, self.disk.position_at(wall_ns))


class Judge:
    """One disk after one cut."""

    def __init__(self, run: PoweredRun, mount: Path, verdict: Verdict) -> None:
        self._run = run
        self._volume = mount / "volume"
        self._index = mount / "data" / "footage.db"
        self._verdict = verdict
        told = [closed for closed in run.witness.closed if closed.position <= verdict.cut.position]
        self._promised = {closed.path: closed for closed in told}
        self._uuids = {camera_uuid(FACILITY, name): name for name in run.cameras}

    def judge(self) -> None:
        """Recover, then compare."""
        open_before = self._open_rows()
        self._recover()
        self._closed_are_whole()
        rows = self._rows()
        self._index_agrees(rows)
        for uuid, name in self._uuids.items():
            own = [row for row in rows if row["camera"] == uuid]
            self._chain_holds(name, own)
            last = self._plays(name, own)
            self._verdict.loss_s[name] = self._loss_s(name, last)
            self._gap_follows(name, uuid, own, open_before)

    def _broken(self, what: str) -> None:
        self._verdict.broken.append(what)

    def _recover(self) -> None:
        """As a start does it: what was being written and what is newest, before anything is recorded."""
        index = Index(self._index)
        rebuilt = not self._index.exists()
        try:
            index.prepare()
        except IndexBroken as error:
            self._broken(f"the index is broken: {error}")
            return
        index.start()
        try:
            found = recover(check_volume(self._volume, FACILITY), index, rebuilt, lambda: None)
            now_ns = self._verdict.cut.wall_ns + RESTART_NS
            open_gaps(index, [(uuid, MAIN) for uuid in self._uuids], found.were_open, rebuilt, now_ns)
        finally:
            index.stop()

    def _open_rows(self) -> set[str]:
        """The cameras with a file that was being written, as the index says before it is recovered."""
        if not self._index.exists():
            return set()
        with suppress(sqlite3.Error), closing(sqlite3.connect(self._index)) as connection:
            return {camera for (camera,) in connection.execute("SELECT camera FROM segment WHERE state = 'open'")}
        return set()

    def _rows(self) -> list[dict[str, Any]]:
        with closing(sqlite3.connect(self._index)) as connection:
            connection.row_factory = sqlite3.Row
            answer = connection.execute("PRAGMA integrity_check").fetchone()[0]
            if answer != "ok":
                self._broken(f"the index is damaged: {answer}")
            return [dict(row) for row in connection.execute("SELECT * FROM segment ORDER BY camera, seq")]

    def _closed_are_whole(self) -> None:
        for closed in self._promised.values():
            path = self._volume / closed.path
            if not path.exists():
                self._broken(f"a closed segment is gone: {closed.path}")
            elif hashlib.sha256(path.read_bytes()).hexdigest() != closed.sha256:
                self._broken(f"a closed segment is another: {closed.path}")

    def _index_agrees(self, rows: list[dict[str, Any]]) -> None:
        on_disk = {str(path.relative_to(self._volume)) for path in self._volume.rglob("*.mp4")}
        in_index = {row["path"] for row in rows if row["state"] != "lost"}
        if on_disk != in_index:
            self._broken(f"disk and index differ: {sorted(on_disk ^ in_index)}")
        for row in rows:
            data = (self._volume / row["path"]).read_bytes() if row["path"] in on_disk else b""
            if row["state"] not in ("closed", "recovered"):
                self._broken(f"{row['path']} is {row['state']}")
            elif len(data) != row["bytes"] or hashlib.sha256(data).hexdigest() != row["digest"]:
                self._broken(f"size or hash of {row['path']} is not what the index says")

    def _chain_holds(self, name: str, rows: list[dict[str, Any]]) -> None:
        head, digest = "", ""
        for row in rows:
            if (row["previous"] or "") != digest:
                self._broken(f"{name}: {row['path']} follows another file than the one before it")
            named = parse_name(PurePosixPath(row["path"]))
            assert named is not None
            digest = row["digest"]
            head = link(SHA256, head, named.camera_uuid, MAIN, row["seq"], named.start_ns, row["bytes"], digest)
            if row["chain"] != head:
                self._broken(f"{name}: the chain breaks at {row['path']}")

    def _plays(self, name: str, rows: list[dict[str, Any]]) -> int | None:
        """The number of the last picture. Every picture from the first to the last is there, as it was sent."""
        before: int | None = None
        for row in rows:
            path = self._volume / row["path"]
            if not path.exists():
                continue
            shown = pictures_in(path)
            if len(shown) != row["frames"]:
                self._broken(f"{row['path']} plays {len(shown)} pictures, the index says {row['frames']}")
            for number, data in shown:
                if number is None or (before is not None and number != before + 1):
                    self._broken(f"{row['path']}: picture {number} follows {before}")
                    return before
                if row["path"] not in self._promised and not self._as_sent(name, number, data):
                    self._broken(f"{row['path']}: picture {number} is not what the camera sent")
                    return before
                before = number
        return before

    def _as_sent(self, name: str, number: int, data: bytes) -> bool:
        return nals(self._run.cameras[name].sent_as(number))[-1] in data

    def _loss_s(self, name: str, last: int | None) -> float:
        log = self._run.cameras[name].log
        sent_ns = {each.number: each.wall_ns for each in log}
        return (self._verdict.cut.wall_ns - sent_ns[last if last is not None else log[0].number]) / 1e9

    def _gap_follows(self, name: str, uuid: str, rows: list[dict[str, Any]], open_before: set[str]) -> None:
        with closing(sqlite3.connect(self._index)) as connection:
            gaps = connection.execute(
                "SELECT from_ns, reason FROM gap WHERE camera = ? AND stream = 'main' AND to_ns IS NULL", (uuid,)
            ).fetchall()
        if not rows:
            return
        reason = "power_loss" if uuid in open_before else "stopped"
        if gaps != [(rows[-1]["end_ns"], reason)]:
            self._broken(f"{name}: no gap of {reason} from {rows[-1]['end_ns']}: {gaps}")


def pictures_in(path: Path) -> list[tuple[int | None, bytes]]:
    """The number hidden in every picture of a file, and its bytes, in the order of recording. As far as it plays."""
    found: list[tuple[int | None, bytes]] = []
    with suppress(av.error.FFmpegError, IndexError), av.open(path) as container:
        for packet in container.demux(container.streams.video[0]):
            if packet.size:
                data = bytes(packet)
                found.append((number_in(data), data))
    return found
