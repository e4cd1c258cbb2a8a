"""A device that records small clips as the product does, chains them, proves them and signs for them."""

import base64
import hashlib
import json
import os
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import tzinfo
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import av
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from agent.fingerprint import fingerprint
from agent.footage.chain import hash_bytes, link
from agent.footage.custody.checkpoint import StreamHead, export_text, key_detail, signed, text_to_sign, unsigned
from agent.footage.custody.journal_chain import Head, next_row
from agent.footage.exporting.manifest import Circumstances, Film, Source
from agent.footage.recording.segment import Segment, create_file
from agent.footage.timeline import NS, Gap, Sane, SegmentRef

T0 = 1_790_000_000 * NS
"""2026-09-21 22:13:20 in Shanghai."""

SHANGHAI = ZoneInfo("Asia/Shanghai")


def record(source: Path, target: Path, start_ns: int, description: Mapping[str, Any] | None = None) -> SegmentRef:
    """One file as the recorder writes it, from a clip."""
    target.parent.mkdir(parents=True, exist_ok=True)
    with av.open(source, "r") as container:
        stream = container.streams.video[0]
        sound = container.streams.audio[0] if container.streams.audio else None
        segment = Segment(target, stream, dict(description or {"camera": "c"}), create_file, sound=sound)
        for packet in container.demux():
            if packet.dts is None or packet.pts is None:
                continue
            if packet.stream is stream:
                segment.write(packet, Sane(packet.pts, packet.dts))
            elif sound is not None and packet.stream is sound:
                segment.write_sound(packet, sound.rate, int(packet.pts * packet.time_base * NS))
        segment.finish()
        os.close(segment.file.number)
        context = stream.codec_context
        rate = stream.average_rate
        assert rate is not None
        end_ns = start_ns + int(segment.frames * NS / rate)
        return SegmentRef(
            str(target), start_ns, end_ns, context.name, context.width, context.height, target.stat().st_size
        )


@dataclass
class Device:
    """What a facility's agent has: a key, a volume, and the chain of one camera and stream."""

    volume: Path
    clip: Path
    algorithm: str = "sha256"
    camera_id: str = "C01"
    stream: str = "main"
    key: Ed25519PrivateKey = field(default_factory=Ed25519PrivateKey.generate)
    sources: list[Source] = field(default_factory=list)
    links: list[tuple[int, int, int, str, str]] = field(default_factory=list)

    @property
    def uuid(self) -> str:
        return f"0000-{self.camera_id}"

    @property
    def public(self) -> bytes:
        return self.key.public_key().public_bytes(Encoding.Raw, PublicFormat.Raw)

    @property
    def fingerprint(self) -> str:
        return fingerprint(self.public)

    def record(self, start_ns: int, clip: Path | None = None) -> Source:
        """One more segment."""
        seq, before = len(self.sources) + 1, self.links[-1][4] if self.links else ""
        target = self.volume / self.uuid / self.stream / f"{seq:04d}.mp4"
        said = {"camera": self.uuid, "stream": self.stream, "seq": seq, "chain": before, "quality": "synchronised"}
        made = record(clip or self.clip, target, start_ns, said)
        content = target.read_bytes()
        digest = hash_bytes(self.algorithm, content)
        head = link(self.algorithm, before, self.uuid, self.stream, seq, start_ns, len(content), digest)
        self.links.append((seq, start_ns, len(content), digest, head))
        source = Source(
            str(target), seq, start_ns, made.end_ns, made.codec, made.width, made.height, len(content), "closed",
            digest, head,
        )  # fmt: skip
        self.sources.append(source)
        return source

    def film(self, gaps: tuple[Gap, ...] = ()) -> Film:
        """All of it."""
        return Film(self.camera_id, "大门 gate", self.uuid, self.stream, tuple(self.sources), (), gaps)

    def prove(self, film: Film) -> dict[str, Any]:
        """The recorder's answer to `proof`."""
        assert (film.uuid, film.stream) == (self.uuid, self.stream)
        first = film.sources[0].seq
        heads = [self._head()]
        detail = unsigned(T0, "synchronised", "demo", Head(1, "ab" * 32), heads, self.fingerprint)
        text = text_to_sign(detail)
        row = next_row(Head(1, "ab" * 32), T0, "checkpoint", signed(detail, self.key.sign(text)))
        return {
            "before": self.links[first - 2][4] if first > 1 else "",
            "links": [list(each) for each in self.links[first - 1 :]],
            "deleted": [],
            "tombstones": [],
            "checkpoint": {"n": row.n, "at_ns": T0, "kind": "checkpoint", "detail": row.told(), "hash": row.hash},
            "checkpoint_text": text.decode(),
            "key": {"n": 1, "kind": "key", "detail": key_detail(self.public, self.fingerprint, None, "first")},
        }

    def sign(self, digest: str) -> dict[str, Any]:
        """The recorder's answer to `sign_manifest`."""
        row = next_row(Head(2, "cd" * 32), T0, "export", {"manifest": digest})
        text = export_text(digest, T0, row)
        return {
            "signed": text.decode(), "signature": base64.b64encode(self.key.sign(text)).decode(),
            "public_key": self._public(), "fingerprint": self.fingerprint, "at_ns": T0, "n": row.n, "hash": row.hash,
        }  # fmt: skip

    def forge(self, package: Path) -> None:
        """Sign a package again with this key, after its manifest was made to fit its files."""
        path = package / "manifest.json"
        manifest = json.loads(path.read_bytes())
        for each in manifest["files"]:
            content = (package / each["name"]).read_bytes()
            each["bytes"], each["sha256"] = len(content), hashlib.sha256(content).hexdigest()
            if each["kind"] == "segment":
                each["digest"] = each["sha256"]
        manifest["files"] = [each for each in manifest["files"] if each["kind"] != "proof"]
        for proof in package.glob("proof/*.json"):
            proof.unlink()
        content = json.dumps(manifest, ensure_ascii=False).encode()
        path.write_bytes(content)
        digest = hashlib.sha256(content).hexdigest()
        lines = sorted([*((each["name"], each["sha256"]) for each in manifest["files"]), ("manifest.json", digest)])
        (package / "SHA256SUMS").write_text("".join(f"{each}  {name}\n" for name, each in lines))
        (package / "signature.json").write_text(json.dumps(self.sign(digest)))

    def _head(self) -> StreamHead:
        return StreamHead(self.uuid, self.stream, self.links[-1][0], self.links[-1][4])

    def _public(self) -> str:
        return base64.b64encode(self.public).decode()


def around(from_ns: int, to_ns: int, zone: tzinfo = SHANGHAI) -> Circumstances:
    """Who asked for what."""
    return Circumstances(
        {"id": "demo", "name": "示范托育园"}, zone, from_ns, to_ns, to_ns, "李娜", "检查", "yunjian 0.1.0",
        {"n": 17, "hash": "ef" * 32},
    )  # fmt: skip
