"""PURE. Follows the chain of evidence in a package, from the files in it to what the device signed.

A link is bound to the one before it, and a signed checkpoint to the last of them. Two honest things break such a row,
as custody/damage.py tells: a power cut took the end of file k when k + 1 had named already what k was; or the disk of k
hung, and k + 1 passes over it. In both a checkpoint names k as `loose` and signs what is left of it. So:

- Where a link does not follow the one before, the file before must be loose in a checkpoint that the device signed.
  Whoever marks another file as loose has no such checkpoint: the chain is broken.
- After a cut the recorder began anew: one of the next `MOST_PASSED` files in the package says another boot.
- What no signature speaks for (a head that a checkpoint left open, nothing to tell a cut from a truncation) is neither
  broken nor proved: `doubtful`.

Invariants
1. A file counts by the bytes that were found of it, never by what the manifest says that they are.
2. Nothing that cannot be followed to a signature of the device is `proved`.
3. A file is of the camera, the number and the time that its link and the file itself say, and so does its name.
"""

import base64
import binascii
import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from typing import Any, Final

from agent.footage.chain import UnknownHash, algorithm_of, hash_bytes
from agent.footage.exporting.manifest import safe

CHECKPOINT: Final = "yunjian-checkpoint-1\n"
LINK: Final = "yunjian-link-1"

MOST_PASSED: Final = 4
"""The chain goes over so many files at most, and a recorder begins anew within so many (custody/damage.py)."""

_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)

Verify = Callable[[bytes, bytes, bytes], bool]
"""(public key, signature, text) -> whether the Ed25519 signature is good."""


@dataclass(frozen=True, slots=True)
class Seen:
    """A file of the package as it was found; `digest` is by the hash that the manifest names beside sha256, `said` what
    a recorded file says of itself."""

    bytes: int
    sha256: str
    digest: str | None = None
    said: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Chain:
    """What a proof says of one stream of one camera: `proved` when the chain holds up to signed checkpoints, `doubtful`
    when it does but for files that no signature speaks for, `unproved` when there is nothing to check it by, else
    `broken`; `problem` says at which number.

    `damaged` and `unvouched` are numbers of files that a power cut or a disk damaged: as a checkpoint signed them then,
    and without such a signature. `moved` have another time in the manifest than they were recorded with. `linked` are
    all that are bound to a signature; `absent` are in the chain between those, and not in the package.
    """

    camera: str
    stream: str
    standing: str
    problem: str = ""
    damaged: tuple[int, ...] = ()
    unvouched: tuple[int, ...] = ()
    moved: tuple[int, ...] = ()
    linked: frozenset[int] = frozenset()
    absent: tuple[int, ...] = ()


@dataclass(frozen=True, slots=True)
class _Link:
    seq: int
    start_ns: int
    size: int
    digest: str
    before: str
    head: str


class _Broken(Exception):
    """The chain does not hold; the message says where."""


def check_proof(
    manifest: Mapping[str, Any], content: bytes, seen: Mapping[str, Seen], public: bytes, verify: Verify
) -> Chain:
    """Follow the chain of evidence of one film, from its first segment to what was signed. `public` is the key that
    signed the manifest, b"" when none did."""
    camera = stream = ""
    try:
        proof = json.loads(content.decode())
        camera, stream = str(proof["camera"]), str(proof["stream"])
        found = _Following(proof, camera, stream, public, verify).run(_segments(manifest, camera, stream, seen))
    except _Broken as broken:
        return Chain(camera, stream, "broken", str(broken))
    except (
        ValueError, TypeError, KeyError, IndexError, AttributeError, UnknownHash, binascii.Error, RecursionError,
        OverflowError,
    ) as error:  # fmt: skip
        return Chain(camera, stream, "broken", f"{type(error).__name__}: {error}")
    return found


@dataclass(frozen=True, slots=True)
class _Packed:
    """A segment as it is in the package."""

    name: str
    camera_id: str
    seq: int
    start: str
    start_ns: int
    labelled_ns: int
    is_open: bool
    volume: str
    seen: Seen


def _segments(manifest: Mapping[str, Any], camera: str, stream: str, seen: Mapping[str, Seen]) -> dict[int, _Packed]:
    """The segments of a film that are there, by number; the one that was still being written has no link."""
    ids = {each["id"] for each in manifest["cameras"] if (each["uuid"], each["stream"]) == (camera, stream)}
    found: dict[int, _Packed] = {}
    for each in manifest["files"]:
        if each["kind"] != "segment" or each["camera"] not in ids or each["stream"] != stream:
            continue
        if each["name"] not in seen:
            continue
        start_ns = int(each["start_ns"])
        packed = _Packed(
            each["name"], each["camera"], each["seq"], each["start"], start_ns,
            int(each.get("labelled_ns") or start_ns), each["state"] == "open", str(each.get("volume") or ""),
            seen[each["name"]],
        )  # fmt: skip
        if type(packed.seq) is not int or packed.seq in found:
            raise _Broken(f"#{packed.seq} {packed.name}")
        found[packed.seq] = packed
    return found


class _Following:
    """One chain being followed."""

    def __init__(self, proof: Mapping[str, Any], camera: str, stream: str, public: bytes, verify: Verify) -> None:
        self._reel = (camera, stream)
        self._public = public
        self._verify = verify
        self._loose = {int(each["seq"]): each for each in proof.get("loose", ())}
        told = [*proof.get("apart", ()), *self._loose.values()]
        self._heads = {int(each["seq"]): str(each["head"]) for each in told}
        """Heads that the next link does not name."""
        self._links = self._read(proof)
        self._checkpoint = proof["checkpoint"]
        self._damaged: set[int] = set()
        self._unvouched: set[int] = set()
        self._end_signed = False

    def run(self, packed: Mapping[int, _Packed]) -> Chain:
        """What there is to say. Raises _Broken."""
        if self._public:
            self._check_end()
        self._check_joints(packed)
        moved = self._check_files(packed)
        # What was still being written when it was packed is not what its link says, if it has one by now.
        numbers = [link.seq for link in self._links if link.seq not in packed or not packed[link.seq].is_open]
        there = [seq for seq in numbers if seq in packed]
        absent = [seq for seq in numbers if there and there[0] < seq < there[-1] and seq not in packed]
        found = Chain(
            *self._reel, "proved", "", tuple(sorted(self._damaged & packed.keys())),
            tuple(sorted(self._unvouched & packed.keys())), tuple(moved), frozenset(numbers), tuple(absent),
        )  # fmt: skip
        if not self._end_signed:
            unvouched = tuple(seq for seq in found.unvouched if seq in self._loose)
            return replace(found, standing="unproved", linked=frozenset(), unvouched=unvouched)
        return replace(found, standing="doubtful") if found.unvouched else found

    def _read(self, proof: Mapping[str, Any]) -> list[_Link]:
        """The links, each with the head that follows it: the next one names it, or it is told for one that is loose."""
        texts = [str(each) for each in proof["links"]]
        said = [json.loads(each) for each in texts]
        found: list[_Link] = []
        for place, (text, values) in enumerate(zip(texts, said, strict=True)):
            mark, before, camera, stream, seq, start_ns, size, digest = values
            last = found[-1].seq if found else 0
            if mark != LINK or (camera, stream) != self._reel or type(seq) is not int or seq <= last:
                raise _Broken(f"#{seq}")
            head = str(proof["head"]) if place + 1 == len(said) else str(said[place + 1][1])
            head = self._heads.get(seq, head)
            if hash_bytes(algorithm_of(head), text.encode()) != head:
                raise _Broken(f"#{seq}")
            found.append(_Link(seq, int(start_ns), int(size), str(digest), str(before), head))
        if (found[-1].head if found else proof["before"]) != proof["head"]:
            raise _Broken("head")
        if found and found[0].before != proof["before"]:
            raise _Broken(f"#{found[0].seq}")
        return found

    def _check_end(self) -> None:
        """Whether the last head was signed: as that of the chain, or as that of a loose file."""
        last = self._links[-1] if self._links else None
        if self._checkpoint:
            heads = self._signed(self._checkpoint).get("heads", [])
            if last is not None and [*self._reel, last.seq, last.head] not in heads:
                raise _Broken("checkpoint: heads")
            self._end_signed = last is not None
        elif last is not None and last.seq in self._loose:
            self._end_signed = self._vouched(last)
            (self._damaged if self._end_signed else self._unvouched).add(last.seq)

    def _signed(self, checkpoint: Mapping[str, Any]) -> dict[str, Any]:
        """What a checkpoint says, once its signature is right. Raises _Broken."""
        text = str(checkpoint["text"])
        signature = base64.b64decode(checkpoint["signature"], validate=True)
        if not text.startswith(CHECKPOINT) or not self._verify(self._public, signature, text.encode()):
            raise _Broken("checkpoint: signature")
        return dict(json.loads(text.removeprefix(CHECKPOINT)))

    def _vouched(self, link: _Link) -> bool:
        """Whether a checkpoint signed what is left of a loose file; False where it named the file and no head. Raises
        _Broken where none names it."""
        checkpoint = self._loose[link.seq].get("checkpoint")
        if not checkpoint:
            if self._end_signed:  # signed beyond, and not named then: it was closed
                raise _Broken(f"#{link.seq}: loose")
            return False
        named = [each[3] for each in self._signed(checkpoint).get("loose", []) if each[:3] == [*self._reel, link.seq]]
        if not named or named[0] not in ("", link.head):
            raise _Broken(f"#{link.seq}: loose")
        return bool(named[0])

    def _check_joints(self, packed: Mapping[int, _Packed]) -> None:
        begin = 0
        """Where the piece begins that has no break."""
        for place in range(1, len(self._links)):
            link, last = self._links[place], self._links[place - 1]
            if link.before == last.head:
                continue
            nearest = range(place - 1, max(place - 1 - MOST_PASSED, begin - 1), -1)
            passed = next((at for at in nearest if self._links[at].before == link.before), None)
            if passed is not None:
                self._damage(self._links[passed:place])
                continue
            if last.seq not in self._loose and link.seq > last.seq + 1:  # what was between is gone, with its links
                self._unvouched |= {each.seq for each in self._links[begin:place]}
            elif last.seq not in self._loose:
                raise _Broken(f"#{link.seq}")
            else:
                self._damage([last])
                if last.seq in self._unvouched:  # and with it all that only its head is bound to
                    self._unvouched |= {each.seq for each in self._links[begin:place]}
                elif not self._began_anew(last, link, packed) or link.seq > last.seq + 1:
                    self._unvouched.add(last.seq)
                    self._damaged.discard(last.seq)
            begin = place

    def _damage(self, links: Sequence[_Link]) -> None:
        for link in links:
            if link.seq not in self._loose:
                raise _Broken(f"#{link.seq}")
            if not self._public:
                continue
            (self._damaged if self._vouched(link) else self._unvouched).add(link.seq)

    def _began_anew(self, last: _Link, link: _Link, packed: Mapping[int, _Packed]) -> bool:
        """Whether the machine was started soon after a cut between these two, by what the files say; False when the
        package does not show it. Raises _Broken when it shows that the recording went on."""
        files = [packed.get(seq) for seq in range(link.seq, link.seq + MOST_PASSED + 1)]
        boots = [each.seen.said.get("boot") if each is not None else None for each in files]
        if link.seq in packed and not boots[0]:
            return True  # recorded by a version that did not say it
        before = packed[last.seq].seen.said.get("boot") if last.seq in packed else None
        if before and boots[0] and before != boots[0]:
            raise _Broken(f"#{last.seq}")  # what follows a cut names what only the memory of that boot knew
        if len({boot for boot in boots if boot}) > 1:
            return True
        # Another volume explains it as well. Which it was stands in the manifest alone: it clears nobody.
        places = {packed[each.seq].volume for each in (last, link) if each.seq in packed}
        if None not in boots and len(places) == 1 and "" not in places:
            raise _Broken(f"#{last.seq}")
        return False

    def _check_files(self, packed: Mapping[int, _Packed]) -> list[int]:
        """Raises _Broken unless every file is what its link says; which have another time in the manifest."""
        moved: list[int] = []
        links = {link.seq: link for link in self._links}
        for seq, each in packed.items():
            link = links.get(seq)
            said = each.seen.said
            itself = {
                "camera": self._reel[0], "stream": self._reel[1], "seq": seq, "id": each.camera_id,
                "start_ns": each.labelled_ns,
            }  # fmt: skip
            wrong = next((key for key, is_so in itself.items() if said.get(key) not in (None, is_so)), None)
            if wrong is not None:
                raise _Broken(f"#{seq} {each.name}: {wrong}")
            if link is not None and not each.is_open:
                if (each.seen.bytes, each.seen.digest) != (link.size, link.digest):
                    if not self._public or seq not in self._loose or self._vouched(link):
                        raise _Broken(f"#{seq} {each.name}")
                    self._unvouched.add(seq)
                if each.labelled_ns != link.start_ns:
                    raise _Broken(f"#{seq} {each.name}: start_ns")
                if each.start_ns != link.start_ns:
                    moved.append(seq)
            if not _is_told_so(each, self._reel[1]):
                raise _Broken(f"#{seq} {each.name}: start")
        return moved


def _is_told_so(packed: _Packed, stream: str) -> bool:
    """Whether the time that people read, in the manifest and in the name of the file, is that of the segment."""
    since = (datetime.fromisoformat(packed.start) - _EPOCH) // timedelta(milliseconds=1)
    local = f"{packed.start[:10]}_{packed.start[11:19].replace(':', '.')}"
    name = f"{safe(packed.camera_id)}/{safe(stream)}/{local}_{packed.seq:08d}.mp4"
    return since == packed.start_ns // 1_000_000 and name == packed.name
