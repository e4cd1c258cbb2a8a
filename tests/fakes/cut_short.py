"""A facility whose recording was cut short by the power, with all of the product that sees it: real files, index,
recovery, journal, key and checkpoints."""

import hashlib
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from agent.footage import rows
from agent.footage.chain import hash_bytes, link
from agent.footage.custody.checkpoints import Checkpoints
from agent.footage.custody.journal import Journal
from agent.footage.custody.proof import answer_proof
from agent.footage.custody.verify import Report, Wanted, verify
from agent.footage.disk.files import create_volume
from agent.footage.exporting.manifest import Film, Source
from agent.footage.index import Index
from agent.footage.index_file import prepare
from agent.footage.inspection.effects import effects
from agent.footage.mending.recovery import recover
from agent.footage.naming import camera_uuid, segment_path
from agent.footage.rows import SegmentRow
from agent.footage.timeline import NS
from agent.wire import Peer, Reply, Request
from tests.fakes.clock import MovedClock
from tests.fakes.evidence import T0, record

CAMERA = "C01"
LENGTH_NS = 4 * NS


class CutShort:
    """Records clips as the recorder does, until the power goes."""

    def __init__(self, folder: Path, clip: Path) -> None:
        prepare(folder / "footage.db")
        self.index = Index(folder / "footage.db")
        self.index.start()
        self.volume = create_volume(folder / "volume", "demo")
        self.clock = MovedClock()
        journal = Journal(self.index, lambda: [self.volume.path], self.clock, effects)
        policy = {"minimum_days": 30, "target_days": 90, "overwrite": False}
        self.checkpoints = Checkpoints(self.index, journal, self.clock, folder, "demo", policy)
        self.uuid = camera_uuid("demo", CAMERA)
        self.clip = clip
        self.boot = "boot-1"
        self.seq, self.previous, self.chain = 0, "", ""
        self.paths: dict[int, Path] = {}
        self.commit(rows.put_rebuilt(self.volume.uuid))
        journal.step(self.clock.stamp())

    def commit(self, *statements: rows.Statement) -> None:
        assert self.index.submit(*statements).done.wait(5)

    def record(self, state: str = "closed", passed: bool = False) -> int:
        """One more file; `state` is how far its row came. `passed`: what follows is not bound to it."""
        self.seq += 1
        start_ns = T0 + self.seq * LENGTH_NS
        path = segment_path(self.uuid, "main", start_ns, self.seq)
        target = self.paths[self.seq] = self.volume.path / path
        said = {
            "camera": self.uuid, "id": CAMERA, "stream": "main", "seq": self.seq, "start_ns": start_ns,
            "boot": self.boot, "mono_ns": start_ns - T0, "quality": "ntp", "hash": "sha256", "chain": self.chain,
            "previous": self.previous, "codec": "h264", "width": 320, "height": 240,
        }  # fmt: skip
        made = record(self.clip, target, start_ns, said)
        content = target.read_bytes()
        digest = hash_bytes("sha256", content)
        chain = link("sha256", self.chain, self.uuid, "main", self.seq, start_ns, len(content), digest)
        ended = state == "closed"
        self.commit(rows.put_segment(SegmentRow(
            self.uuid, self.volume.uuid, "main", None, self.seq, start_ns, made.end_ns if ended else None, 40,
            len(content), str(path), made.codec, made.width, made.height, digest if ended else None,
            self.previous or None, chain if ended else None, state,
        )))  # fmt: skip
        if not passed:
            self.previous, self.chain = digest, chain
        return self.seq

    def cut(self, seq: int, share: float = 0.6) -> None:
        """What of a file the power left on the disk."""
        data = self.paths[seq].read_bytes()
        self.paths[seq].write_bytes(data[: int(len(data) * share)])

    def start_again(self) -> None:
        """The machine is started: the product recovers, and records on."""
        recover(self.volume, self.index, False, lambda: None)
        self.boot = "boot-2"
        with self.index.reading() as connection:
            last = rows.last_of(connection, self.uuid, "main")
        self.previous, self.chain = last.digest or "", last.chain or ""

    def sign(self) -> None:
        """An hour passes."""
        self.clock.move(3601)
        self.checkpoints.step(self.clock.stamp())

    def verify(self) -> Report:
        """What `yunjian footage verify` finds."""
        return verify(Wanted(self.index.path, {self.volume.uuid: self.volume.path}), lambda done, total: None)

    def film(self, first: int = 1, last: int = 1 << 30) -> Film:
        """The segments as the recorder tells them."""
        with self.index.reading() as connection:
            found = rows.segments_between(connection, self.uuid, "main", T0, T0 + 3600 * NS, 100, LENGTH_NS * 9)
        sources = tuple(
            Source(
                str(self.volume.path / each.path), each.seq, each.start_ns, each.end_ns or each.start_ns, each.codec,
                each.width, each.height, each.bytes, each.state, each.digest, each.chain, volume=each.volume,
            )
            for each in found
            if first <= each.seq <= last
        )  # fmt: skip
        return Film(CAMERA, "大门", self.uuid, "main", sources, (), ())

    def prove(self, film: Film) -> Mapping[str, Any]:
        numbers = [source.seq for source in film.sources if source.chain]
        asked = {"camera": film.uuid, "stream": film.stream, "first_seq": min(numbers), "last_seq": max(numbers)}
        return answer_proof(self.index, asked)

    def vouch(self, film: Film, seq: int) -> Mapping[str, Any]:
        asked = {"camera": film.uuid, "stream": film.stream, "first_seq": seq, "last_seq": seq, "loose": True}
        return answer_proof(self.index, asked)

    def sign_manifest(self, digest: str) -> Mapping[str, Any]:
        frames: list[dict[str, Any]] = []
        request = Request("sign_manifest", {"sha256": digest}, Peer(0, 0, 0))
        self.checkpoints.ask_signature(request, Reply(frames.append, 1))
        self.checkpoints.step(self.clock.stamp())
        (frame,) = frames
        assert frame["ok"], frame
        found: dict[str, Any] = frame["result"]
        return found

    @property
    def fingerprint(self) -> str:
        assert self.checkpoints.key is not None
        return self.checkpoints.key.fingerprint

    def close(self) -> None:
        self.index.stop()


def sign_again(place: CutShort, package: Path, change: Any) -> None:
    """Somebody who may export changes a package, and has it signed: the device signs any manifest."""
    path = package / "manifest.json"
    manifest = json.loads(path.read_bytes())
    change(manifest, package)
    for each in manifest["files"]:
        content = (package / each["name"]).read_bytes()
        each["bytes"], each["sha256"] = len(content), hashlib.sha256(content).hexdigest()
    content = json.dumps(manifest, ensure_ascii=False).encode()
    path.write_bytes(content)
    digest = hashlib.sha256(content).hexdigest()
    lines = sorted([*((each["name"], each["sha256"]) for each in manifest["files"]), ("manifest.json", digest)])
    (package / "SHA256SUMS").write_text("".join(f"{each}  {name}\n" for name, each in lines))
    (package / "signature.json").write_text(json.dumps(place.sign_manifest(digest)))
