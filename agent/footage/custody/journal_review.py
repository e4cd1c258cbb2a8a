"""PURE. Judges the journal row by row, and gathers from it what the walk over the segments needs.

Invariants
1. A journal that nobody touched gives no finding.
2. A checkpoint counts only when the key that signed it stands in the journal before it, and its signature is right.
"""

import base64
import binascii
from bisect import insort
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, Final

from agent.facts import Text
from agent.fingerprint import NoPublicKey, fingerprint
from agent.footage.custody.checkpoint import KEY_WAS_OPEN, Checkpoint, NoCheckpoint, StreamHead, read_checkpoint
from agent.footage.custody.evidence import Deleted, Finding, FindingKind, Gone, HeldRange, Mark
from agent.footage.custody.journal_chain import Head, Kind, Row, follows

_GARBAGE: Final = (ValueError, KeyError, TypeError, OverflowError, RecursionError, AttributeError)
"""What reading values that are none of ours may raise."""

Verify = Callable[[bytes, bytes, bytes], bool]
"""(raw public key, text, signature) -> whether the signature is of that text by that key."""


@dataclass(frozen=True, slots=True)
class Signer:
    """A key that stands in the journal, and what it signed."""

    fingerprint: str
    since_n: int
    since_ns: int
    why: str
    checkpoints: int = 0


@dataclass
class Review:
    """What is known of the journal so far. `feed` takes rows in the order in which they stand."""

    verify: Verify
    head: Head = field(default_factory=Head)
    checkpoints: int = 0
    newest: Checkpoint | None = None
    marks: dict[tuple[str, str], list[Mark]] = field(default_factory=dict)
    loose: dict[tuple[str, str], dict[int, str]] = field(default_factory=dict)
    """Segments that were not closed when a checkpoint first signed beyond them, with the head that was signed first
    ("": none yet)."""
    holds: list[HeldRange] = field(default_factory=list)
    signers: dict[str, Signer] = field(default_factory=dict)
    forks: list[int] = field(default_factory=list)
    exposed: list[int] = field(default_factory=list)
    """Rows that tell that others could read the key."""
    overwriting_from: list[tuple[int, bool]] = field(default_factory=list)
    minimums: list[tuple[int, int]] = field(default_factory=list)
    """From which row on footage had to be kept for how many days."""
    _keys: dict[str, bytes] = field(default_factory=dict)
    _open_holds: dict[str, int] = field(default_factory=dict)

    def feed(self, row: Row) -> list[Finding]:
        """Judge the next row."""
        try:
            is_next = follows(self.head, row)
        except TypeError:  # a blob where a text belongs
            is_next = False
        if not is_next:
            found = [Finding(FindingKind.JOURNAL_BROKEN, n=self.head.n + 1, detail=self._broken(row))]
            self.head = Head(row.n, row.hash)
            return found
        before, self.head = self.head, Head(row.n, row.hash)
        try:
            return self._take(row, before)
        except _GARBAGE:
            return [
                Finding(
                    FindingKind.JOURNAL_BROKEN,
                    n=row.n,
                    detail=Text(f"{row.kind} 行内容不可读", f"a row {row.kind} that cannot be read"),
                )
            ]

    def overwriting(self, n: int) -> bool:
        """Whether the policy at journal row `n` allowed footage to be overwritten before its minimum."""
        allowed = False
        for since, value in self.overwriting_from:
            if since > n:
                break
            allowed = value
        return allowed

    def least_days(self, n: int) -> int:
        """The fewest days that any policy up to journal row `n` required; 0 when there was none. What was ordered under
        one may be deleted under the next."""
        return min((days for since, days in self.minimums if since < n), default=0)

    def held(self, camera: str, gone: Gone, deleted: Deleted) -> bool:
        """Whether a hold of the journal covered a segment when it was deleted."""
        return any(hold.covers(camera, gone, deleted) for hold in self.holds)

    def tombstone(self, row: Row) -> Deleted | None:
        """The tombstone in a row; None when it cannot be read, which `feed` told."""
        try:
            return self.deleted(row)
        except _GARBAGE:
            return None

    def deleted(self, row: Row) -> Deleted:
        """The tombstone in a row. Raises `_GARBAGE` when there is none."""
        told = row.told()
        gone = tuple(
            Gone(int(seq), int(start_ns), int(end_ns), int(size), str(digest))
            for seq, start_ns, end_ns, size, digest in told["segments"]
        )
        return Deleted(
            row.n, str(told["before"]), str(told["after"]), str(told["reason"]), int(told["deleted_ns"]),
            max(int(told["minimum_days"]), self.least_days(row.n)), gone, self.overwriting(row.n),
        )  # fmt: skip

    def _broken(self, row: Row) -> Text:
        if row.n > self.head.n + 1:
            first, last = self.head.n + 1, row.n - 1
            return Text(f"缺第 {first} 到 {last} 行", f"rows {first} to {last} are not there")
        return Text("这一行被改过或被换过", "the row was changed, or is not the one that followed")

    def _take(self, row: Row, before: Head) -> list[Finding]:
        match row.kind:
            case Kind.KEY:
                return self._key(row, row.told())
            case Kind.CHECKPOINT:
                return self._checkpoint(row, before)
            case Kind.HOLD | Kind.RELEASE:
                self._hold(row, row.told())
            case Kind.POLICY:
                if "overwrite" in row.told():
                    self.overwriting_from.append((row.n, row.told()["overwrite"] is True))
                if type(row.told().get("minimum_days")) is int:
                    self.minimums.append((row.n, row.told()["minimum_days"]))
                if row.told().get("what") == KEY_WAS_OPEN:
                    self.exposed.append(row.n)
            case Kind.FORK:
                self.forks.append(row.n)
            case Kind.TOMBSTONE:
                self.deleted(row)
        return []

    def _key(self, row: Row, told: dict[str, Any]) -> list[Finding]:
        try:
            public = base64.b64decode(str(told["public_key"]), validate=True)
            named = fingerprint(public)
        except (binascii.Error, NoPublicKey):
            public, named = b"", ""
        if named != told["fingerprint"]:
            return [
                Finding(
                    FindingKind.CHECKPOINT_BROKEN,
                    n=row.n,
                    detail=Text("公钥与其指纹不符", "the key is not the one that is named"),
                )
            ]
        self._keys[named] = public
        self.signers[named] = Signer(named, row.n, row.at_ns, str(told.get("why", "")))
        return []

    def _checkpoint(self, row: Row, before: Head) -> list[Finding]:
        try:
            checkpoint = read_checkpoint(row)
        except NoCheckpoint:
            return [Finding(FindingKind.CHECKPOINT_BROKEN, n=row.n, detail=Text("无法读取", "it cannot be read"))]
        public = self._keys.get(checkpoint.key)
        if public is None:
            detail = Text(
                f"签名的密钥不在日志里：{checkpoint.key}",
                f"signed with a key that is not in the journal: {checkpoint.key}",
            )
            return [Finding(FindingKind.CHECKPOINT_BROKEN, n=row.n, detail=detail)]
        if not self.verify(public, checkpoint.text, checkpoint.signature):
            return [Finding(FindingKind.CHECKPOINT_BROKEN, n=row.n, detail=Text("签名不对", "the signature is wrong"))]
        if checkpoint.journal != before:
            return [
                Finding(
                    FindingKind.CHECKPOINT_BROKEN,
                    n=row.n,
                    detail=Text("签名时前一行不是这一行", "signed after another row of the journal"),
                )
            ]
        self.checkpoints += 1
        self.newest = checkpoint
        signer = self.signers[checkpoint.key]
        self.signers[checkpoint.key] = Signer(
            signer.fingerprint, signer.since_n, signer.since_ns, signer.why, signer.checkpoints + 1
        )
        for each in checkpoint.loose:
            self._loosen(each)
        for head in checkpoint.heads:
            marks = self.marks.setdefault((head.camera, head.stream), [])
            if not marks or (marks[-1].seq, marks[-1].head) != (head.seq, head.head):
                insort(marks, Mark(head.seq, head.head, row.n), key=lambda mark: mark.seq)
        return []

    def _loosen(self, head: StreamHead) -> None:
        """What was signed beyond already, and not named then, was closed: it is named too late."""
        reel = (head.camera, head.stream)
        known = self.loose.setdefault(reel, {})
        marks = self.marks.get(reel)
        if not (known.get(head.seq) if head.seq in known else marks and marks[-1].seq >= head.seq):
            known[head.seq] = head.head

    def _hold(self, row: Row, told: dict[str, Any]) -> None:
        """A row of a hold replaces the one of the same id; a release ends it."""
        at = self._open_holds.pop(str(told["id"]), None)
        if at is not None:
            old = self.holds[at]
            self.holds[at] = HeldRange(old.camera, old.from_ns, old.to_ns, old.since_n, row.n, old.until_ns)
        if row.kind == Kind.HOLD and told.get("released_ns") is None:
            to_ns, until_ns = (None if told[key] is None else int(told[key]) for key in ("to_ns", "until_ns"))
            held = HeldRange(told["camera"], int(told["from_ns"]), to_ns, row.n, None, until_ns)
            self._open_holds[str(told["id"])] = len(self.holds)
            self.holds.append(held)
