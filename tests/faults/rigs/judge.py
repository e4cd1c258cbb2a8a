"""What a disk holds after a power cut, recovered by the product's own code and compared with three witnesses that are
not its index: the log that the cameras kept of what they sent and when, the numbers hidden in the pictures, and what a
consumer had been told was closed before the power went.
"""

import hashlib
import heapq
import itertools
import shutil
import sqlite3
import tempfile
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from contextlib import closing, suppress
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath
from typing import Any, Final

import av

from agent.footage.chain import SHA256, link
from agent.footage.disk.files import check_volume
from agent.footage.index import Index
from agent.footage.index_file import IndexBroken
from agent.footage.mending.recovery import open_gaps, recover
from agent.footage.naming import camera_uuid, parse_name
from agent.footage.recording.plan import MAIN
from tests.fakes.encoded import Picture, aac, nals, number_in, numbered
from tests.fakes.recording import FACILITY
from tests.fakes.scripted_camera import ScriptedCamera, Sound, Unit, steady
from tests.faults.rigs.write_log import Cut

AAC_RATE: Final = 16_000

RESTART_NS: Final = 60_000_000_000
"""The power comes back a minute later."""


@dataclass(frozen=True, slots=True)
class Closed:
    """A file that a consumer was told to be closed when the log of the disk was `position` bytes long."""

    path: str
    sha256: str
    position: int


@dataclass
class Verdict:
    """What a cut has cost: seconds of footage per camera, and every promise that was broken."""

    cut: Cut
    loss_s: dict[str, float] = field(default_factory=dict)
    broken: list[str] = field(default_factory=list)


class EndlessCamera(ScriptedCamera):
    """Shows the same pictures again and again, each with a number of its own, and remembers which was which."""

    def __init__(self, shown: list[Picture], codec: str = "h264", with_sound: bool = False) -> None:
        config, frames = aac(8) if with_sound else (b"", [])
        sound = Sound("MPEG4-GENERIC", AAC_RATE, 1, config) if with_sound else None

        def play(_: int) -> Iterator[Unit]:
            heard = (
                Unit(place * 1024 / AAC_RATE, place * 1024, frame, sound=True)
                for place, frame in enumerate(itertools.cycle(frames))
            )
            return heapq.merge(steady(itertools.cycle(shown)), heard, key=lambda unit: unit.at_s)

        super().__init__(play, shown[0], codec, sound)
        self._pictures = shown
        self._places: dict[int, tuple[int, int]] = {}

    def place(self, number: int) -> tuple[int, int]:
        """On which connection the picture of this number was sent, and as the how manieth of it."""
        if number not in self._places:
            counted: Counter[int] = Counter()
            for each in list(self.log):
                self._places[each.number] = (each.connection, counted[each.connection])
                counted[each.connection] += 1
        return self._places[number]

    def sent_as(self, number: int) -> bytes:
        """The bytes of the picture that had this number, as an encoder gives them."""
        picture = self._pictures[self.place(number)[1] % len(self._pictures)]
        return numbered(self.codec, picture.data, number)


class Judge:
    """One disk after one cut."""

    def __init__(self, mount: Path, cut: Cut, cameras: Mapping[str, EndlessCamera], told: Iterable[Closed]) -> None:
        """`told` is what a consumer was told to be closed, before the cut or after it."""
        self._verdict = Verdict(cut)
        self._cameras = cameras
        self._volume = mount / "volume"
        self._index = mount / "data" / "footage.db"
        self._promised = {closed.path: closed for closed in told if closed.position <= cut.position}
        self._uuids = {camera_uuid(FACILITY, name): name for name in cameras}

    def judge(self) -> Verdict:
        """Recover, then compare."""
        were_open = self._open_rows()
        self.recover()
        by_camera = self.compare()
        for uuid, name in self._uuids.items():
            last = self._plays(name, by_camera[uuid])
            self._verdict.loss_s[name] = self._loss_s(name, last)
            self._gap_follows(name, uuid, by_camera[uuid], uuid in were_open)
        return self._verdict

    def compare(self) -> dict[str, list[dict[str, Any]]]:
        """Promises, disk and index; the rows of each camera. What is broken is in the verdict."""
        self._closed_are_whole()
        rows = self._rows()
        self._index_agrees(rows)
        by_camera = {uuid: [row for row in rows if row["camera"] == uuid] for uuid in self._uuids}
        for uuid, own in by_camera.items():
            self._chain_holds(self._uuids[uuid], own)
        return by_camera

    @property
    def verdict(self) -> Verdict:
        """What was found so far."""
        return self._verdict

    def _broken(self, what: str) -> None:
        self._verdict.broken.append(what)

    def recover(self) -> None:
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
        """The cameras with a file that was being written, as a copy of the index says: reading it settles its log."""
        with tempfile.TemporaryDirectory() as name:
            for part in self._index.parent.glob("footage.db*"):
                shutil.copy(part, name)
            with suppress(sqlite3.Error), closing(sqlite3.connect(Path(name) / self._index.name)) as connection:
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
                if number is None or (before is not None and not self._follows(name, before, number)):
                    self._broken(f"{row['path']}: picture {number} follows {before}")
                    return before
                if row["path"] not in self._promised and not self._as_sent(name, number, data):
                    self._broken(f"{row['path']}: picture {number} is not what the camera sent")
                    return before
                before = number
        return before

    def _follows(self, name: str, before: int, number: int) -> bool:
        connection, place = self._cameras[name].place(before)
        return self._cameras[name].place(number) == (connection, place + 1)

    def _as_sent(self, name: str, number: int, data: bytes) -> bool:
        return nals(self._cameras[name].sent_as(number))[-1] in data

    def _loss_s(self, name: str, last: int | None) -> float:
        log = self._cameras[name].log
        sent_ns = {each.number: each.wall_ns for each in log}
        return (self._verdict.cut.wall_ns - sent_ns[last if last is not None else log[0].number]) / 1e9

    def _gap_follows(self, name: str, uuid: str, rows: list[dict[str, Any]], was_open: bool) -> None:
        with closing(sqlite3.connect(self._index)) as connection:
            gaps = connection.execute(
                "SELECT from_ns, reason FROM gap WHERE camera = ? AND stream = 'main' AND to_ns IS NULL", (uuid,)
            ).fetchall()
        if not rows:
            return
        # In the moment between two files, and after a start that had the files settled, none is open.
        reasons = ("power_loss",) if was_open else ("power_loss", "restart")
        if gaps not in [[(rows[-1]["end_ns"], reason)] for reason in reasons]:
            self._broken(f"{name}: no gap of {reasons[0]} from {rows[-1]['end_ns']}: {gaps}")


def pictures_in(path: Path) -> list[tuple[int | None, bytes]]:
    """The number hidden in every picture of a file, and its bytes, in the order of recording. As far as it plays."""
    found: list[tuple[int | None, bytes]] = []
    with suppress(av.error.FFmpegError, IndexError), av.open(path) as container:
        for packet in container.demux(container.streams.video[0]):
            if packet.size:
                data = bytes(packet)
                found.append((number_in(data), data))
    return found
