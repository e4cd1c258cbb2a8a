"""A facility's evidence as record keeps it, in turns: index, one volume, journal, key and checkpoints."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from agent.footage import rows
from agent.footage.chain import FIRST, hash_bytes, link
from agent.footage.custody.checkpoints import Checkpoints
from agent.footage.custody.evidence import FindingKind
from agent.footage.custody.journal import Journal
from agent.footage.custody.verify import Report, Wanted, verify
from agent.footage.disk.files import Volume, create_volume
from agent.footage.index import Index
from agent.footage.index_file import prepare
from agent.footage.inspection.effects import effects
from agent.footage.naming import camera_uuid, segment_path
from agent.footage.rows import SegmentRow
from agent.footage.timeline import NS
from agent.footage.upkeep.deletion import Deletion
from agent.footage.upkeep.retention import Reason, Stored
from tests.fakes.clock import START_WALL_NS, MovedClock

CAMERA = camera_uuid("f1", "one")
DAY_NS = 86_400 * NS
LENGTH_NS = 60 * NS


@dataclass
class Place:
    """A facility's index, one volume, journal and chores. Files hold a few bytes: what they mean is tried elsewhere."""

    folder: Path
    volume: Volume
    index: Index
    journal: Journal
    checkpoints: Checkpoints
    clock: MovedClock
    heads: dict[str, str] = field(default_factory=dict)
    last: dict[str, tuple[int, str]] = field(default_factory=dict)
    stored: dict[tuple[str, int], Stored] = field(default_factory=dict)

    def record(self, count: int, age_days: int, stream: str = "main", algorithm: str = "sha256") -> None:
        """`count` more segments, recorded `age_days` ago."""
        for _ in range(count):
            seq, previous = self.last.get(stream, (0, ""))
            seq += 1
            start_ns = START_WALL_NS - age_days * DAY_NS + seq * LENGTH_NS
            path = segment_path(CAMERA, stream, start_ns, seq)
            data = b"film %d of %s" % (seq, stream.encode())
            digest = hash_bytes(algorithm, data)
            head = self.heads.get(stream, FIRST)
            chain = link(algorithm, head, CAMERA, stream, seq, start_ns, len(data), digest)
            target = self.volume.path / path
            target.parent.mkdir(parents=True, exist_ok=True)
            target.write_bytes(data)
            row = SegmentRow(
                CAMERA, self.volume.uuid, stream, None, seq, start_ns, start_ns + LENGTH_NS, 1, len(data), str(path),
                "h264", 64, 36, digest, previous or None, chain, "closed",
            )  # fmt: skip
            self.commit(rows.put_segment(row))
            self.heads[stream], self.last[stream] = chain, (seq, digest)
            self.stored[stream, seq] = Stored(
                CAMERA, stream, seq, start_ns, row.end_ns or 0, len(data), self.volume.uuid, str(path), digest, chain,
                "closed", row.end_ns or 0,
            )  # fmt: skip

    def commit(self, *statements: rows.Statement) -> None:
        assert self.index.submit(*statements).done.wait(5)

    def delete(self, *seqs: int, reason: Reason = Reason.EXPIRED, stream: str = "main", minimum_days: int = 30) -> None:
        batch = [(self.stored[stream, seq], reason) for seq in seqs]
        now_ns = self.clock.wall_ns()
        gone = Deletion(self.index, self.journal, minimum_days).delete(
            batch, {self.volume.uuid: self.volume.path}, now_ns, now_ns
        )
        assert len(gone.gone) == len(seqs)

    def sign(self) -> None:
        """An hour passes, and a checkpoint is signed."""
        before = self.checkpoints.status()["checkpoint"]
        self.clock.move(3601)
        self.checkpoints.step(self.clock.stamp())
        assert self.checkpoints.status()["checkpoint"] != before

    def verify(self, **more: object) -> Report:
        wanted = Wanted(self.index.path, {self.volume.uuid: self.volume.path}, **more)  # type: ignore[arg-type]
        return verify(wanted, lambda done, total: None)

    def kinds(self, **more: object) -> list[tuple[FindingKind, int]]:
        return [(each.kind, each.seq) for each in self.verify(**more).findings]


@contextmanager
def a_place(folder: Path) -> Iterator[Place]:
    """One in an empty folder, with its threads."""
    prepare(folder / "footage.db")
    index = Index(folder / "footage.db")
    index.start()
    volume = create_volume(folder / "volume", "f1")
    clock = MovedClock()
    journal = Journal(index, lambda: [volume.path], clock, effects)
    policy = {"minimum_days": 30, "target_days": 90, "overwrite": False}
    checkpoints = Checkpoints(index, journal, clock, folder, "f1", policy)
    place = Place(folder, volume, index, journal, checkpoints, clock)
    place.commit(rows.put_rebuilt(volume.uuid))
    journal.step(clock.stamp())
    try:
        yield place
    finally:
        index.stop()


def check_proof(told: dict[str, object]) -> None:
    """Whether the links of a proof lead to the head that was signed."""
    head = told["before"]
    heads = {}
    for seq, start_ns, size, digest, said in told["links"]:  # type: ignore[attr-defined]
        head = link("sha256", str(head), CAMERA, "main", seq, start_ns, size, digest)
        assert said in (None, head)
        heads[seq] = head
    ((_, _, seq, signed),) = told["checkpoint"]["detail"]["heads"]  # type: ignore[index]
    assert heads[seq] == signed
