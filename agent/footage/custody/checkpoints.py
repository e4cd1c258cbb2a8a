"""The chore that signs: the device key, a checkpoint every hour, and what people ask to have signed.

Works on the keeper's thread; `ask_*`, `faults` and `status` may be used by any.

Invariants
1. The public key stands in the journal before the first thing that is signed with it.
2. Another key than the one that signed before is told for a day, and noted for ever as a row `key`.
3. An export is noted in the journal before it is signed.
4. A segment that was not closed as it was recorded is named in the first checkpoint that signs beyond it: nobody can
   say later of another one that a power cut had damaged it.
5. What retention may do stands in the journal from the start on with which it may.
6. That others could read the key is told for a day, and noted for ever: who copied it can sign whatever he likes.
"""

import base64
import logging
import sqlite3
import string
from collections import deque
from collections.abc import Callable, Iterable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any, Final

from agent.clock import Clock
from agent.facts import ConditionKind, Stamp, Text
from agent.footage.custody.checkpoint import (
    KEY_WAS_OPEN,
    Checkpoint,
    NoCheckpoint,
    StreamHead,
    export_text,
    key_detail,
    read_checkpoint,
    signed,
    text_to_sign,
    unsigned,
)
from agent.footage.custody.device_key import DeviceKey, KeyUnusable, close_to_others, device_key
from agent.footage.custody.journal import Journal, JournalWaits
from agent.footage.custody.journal_chain import Kind, Row
from agent.footage.custody.journal_rows import newest
from agent.footage.fault import Fault
from agent.footage.index import Index
from agent.wire import Reply, Request

log = logging.getLogger(__name__)

EVERY_S: Final = 3600.0
"""A checkpoint an hour (design, evidence)."""

KEY_RETRY_S: Final = 60.0
TOLD_FOR_NS: Final = 24 * 3600 * 1_000_000_000
"""How long another key than before is told as a condition."""

POLICY: Final = "retention"
"""`what` of the journal row `policy` that tells how long footage is kept, and whether it may be overwritten."""

MOST_ASKED: Final = 16
_HEX: Final = frozenset(string.hexdigits.lower())

Asked = tuple[Callable[[Request, Reply, Stamp], None], Request, Reply]


class Checkpoints:
    """See the top of the module."""

    name = "checkpoints"
    every_s = 0.5

    def __init__(
        self, index: Index, journal: Journal, clock: Clock, folder: Path, facility: str, policy: Mapping[str, Any]
    ) -> None:
        """`folder` is the data directory, where the key lies. `policy` are plain values: what retention may do."""
        self._index = index
        self._journal = journal
        self._clock = clock
        self._folder = folder
        self._facility = facility
        self._policy = {"what": POLICY, **policy}
        self._policy_noted = False
        self._key: DeviceKey | None = None
        self._noted = False
        self._changed: Row | None = None
        """The row of a key that replaced another one."""
        self._open_until_ns = 0
        """Until when it is told that others could read the key (monotonic)."""
        self._unusable: str | None = None
        self._try_key_ns = 0
        self._due_ns = 0
        self._newest: dict[str, Any] | None = None
        self._asked: deque[Asked] = deque()

    def step(self, now: Stamp) -> None:
        """Sign a checkpoint when it is time, and what was asked for."""
        try:
            self._note_policy()
            if self._ready(now) and now.mono_ns >= self._due_ns:
                self._checkpoint(now)
        except JournalWaits as error:
            log.debug("no checkpoint yet: %s", error)
        except KeyUnusable as error:
            self._cannot_sign(error, now)
        while self._asked:
            act, request, reply = self._asked.popleft()
            self._answer(act, request, reply, now)

    def ask_checkpoint(self, request: Request, reply: Reply) -> None:
        """The verb `checkpoint`: sign one now."""
        self._ask(self._on_checkpoint, request, reply)

    def ask_signature(self, request: Request, reply: Reply) -> None:
        """The verb `sign_manifest` {sha256, who, why, subject}: note an export, and sign it (`export_text`)."""
        self._ask(self._on_manifest, request, reply)

    @property
    def key(self) -> DeviceKey | None:
        """The key, once it is known."""
        return self._key

    def faults(self) -> list[Fault]:
        """A key that cannot be used, and one that is not the one that signed before."""
        if self._unusable is not None:
            return [Fault(ConditionKind.EVIDENCE_BROKEN, "key/device", (("detail", self._unusable),))]
        found: list[Fault] = []
        if self._clock.mono_ns() < self._open_until_ns:
            text = "other users could read the device key: who copied it can forge evidence"
            found.append(Fault(ConditionKind.EVIDENCE_BROKEN, "key/readable", (("detail", text),)))
        changed = self._changed
        if changed is None or self._clock.wall_ns() - changed.at_ns > TOLD_FOR_NS:
            return found
        told = changed.told()
        detail = (("detail", f"another device key than before ({told.get('why')})"), ("key", str(told["fingerprint"])))
        return [*found, Fault(ConditionKind.EVIDENCE_BROKEN, "key/device", detail)]

    def status(self) -> dict[str, Any]:
        """Fingerprint and newest checkpoint: what is to be published outside the machine."""
        key = self._key
        return {"fingerprint": key.fingerprint if key else None, "checkpoint": self._newest}

    def _ready(self, now: Stamp) -> bool:
        """Whether key and journal are there, and the key stands in the journal. Raises JournalWaits, KeyUnusable."""
        if self._key is None:
            if now.mono_ns < self._try_key_ns:
                return False
            self._key = device_key(self._folder, str(now.wall_ns // 1_000_000_000))
            self._unusable = None
        if self._journal.head is None:
            return False
        if not self._noted:
            self._note_key(self._key)
            self._noted = True
        if close_to_others(self._key.path):
            self._key = replace(self._key, was_open=True)
        if self._key.was_open:
            self._note_open(self._key)
        return True

    def _note_open(self, key: DeviceKey) -> None:
        self._journal.append(Kind.POLICY, {"what": KEY_WAS_OPEN, "fingerprint": key.fingerprint})
        self._key = replace(key, was_open=False)
        self._open_until_ns = self._clock.mono_ns() + TOLD_FOR_NS

    def _note_policy(self) -> None:
        if self._policy_noted or self._journal.head is None:
            return
        with self._index.reading() as connection:
            row = newest_policy(connection)
        if row is None or row.told() != self._policy:
            self._journal.append(Kind.POLICY, self._policy)
        self._policy_noted = True

    def _note_key(self, key: DeviceKey) -> None:
        with self._index.reading() as connection:
            row = newest(connection, Kind.KEY)
            checkpoint = newest(connection, Kind.CHECKPOINT)
        if checkpoint is not None:
            self._newest = _short(checkpoint)
        previous = str(row.told().get("fingerprint")) if row is not None else None
        if row is None or previous != key.fingerprint:
            why = "first" if row is None and not key.lost else key.lost or "replaced"
            row = self._journal.append(Kind.KEY, key_detail(key.public, key.fingerprint, previous, why))
            if why != "first":
                log.error("the device key is another one than before: %s (%s)", key.fingerprint, why)
        if row.told().get("why") != "first":
            self._changed = row

    def _checkpoint(self, now: Stamp) -> Row:
        key, head = self._key, self._journal.head
        if key is None or head is None:
            raise JournalWaits("key or journal are not known yet")
        with self._index.reading() as connection:
            connection.execute("BEGIN")
            heads = stream_heads(connection)
            loose = loose_heads(connection, heads, _newest_checkpoint(connection))
            connection.execute("ROLLBACK")
        detail = unsigned(now.wall_ns, now.quality.value, self._facility, head, heads, key.fingerprint, loose)
        row = self._journal.append(Kind.CHECKPOINT, signed(detail, key.sign(text_to_sign(detail))))
        self._due_ns = now.mono_ns + int(EVERY_S * 1e9)
        self._newest = _short(row)
        return row

    def _cannot_sign(self, error: KeyUnusable, now: Stamp) -> None:
        if self._unusable is None:
            log.error("nothing can be signed: %s", error)
        self._unusable = str(error)
        self._key, self._noted = None, False
        self._try_key_ns = now.mono_ns + int(KEY_RETRY_S * 1e9)

    def _ask(self, act: Callable[[Request, Reply, Stamp], None], request: Request, reply: Reply) -> None:
        if len(self._asked) >= MOST_ASKED:
            reply.refuse("busy", Text("签名请求太多，请稍后再试", "too much is to be signed; try again later"))
        else:
            self._asked.append((act, request, reply))

    def _answer(self, act: Callable[[Request, Reply, Stamp], None], request: Request, reply: Reply, now: Stamp) -> None:
        try:
            if not self._ready(now):
                raise JournalWaits("key or journal are not known yet")
            act(request, reply, now)
        except (JournalWaits, KeyUnusable, sqlite3.Error, ValueError) as error:
            if isinstance(error, KeyUnusable):
                self._cannot_sign(error, now)
            reply.refuse("not_signed", Text(f"无法签名：{error}", f"not signed: {error}"))

    def _on_checkpoint(self, request: Request, reply: Reply, now: Stamp) -> None:
        row = self._checkpoint(now)
        reply.done({"n": row.n, "at_ns": row.at_ns})

    def _on_manifest(self, request: Request, reply: Reply, now: Stamp) -> None:
        args = request.args
        digest = args.get("sha256")
        if not isinstance(digest, str) or len(digest) != 64 or not _HEX.issuperset(digest):
            raise ValueError("sha256 must be 64 hexadecimal digits in lower case")
        detail = {name: str(args.get(name, ""))[:200] for name in ("who", "why", "subject")}
        row = self._journal.append(Kind.EXPORT, {"manifest_sha256": digest, "uid": request.peer.uid, **detail})
        key = self._key
        assert key is not None
        text = export_text(digest, now.wall_ns, row)
        reply.done({
            "signed": text.decode(), "signature": base64.b64encode(key.sign(text)).decode(),
            "public_key": base64.b64encode(key.public).decode(), "fingerprint": key.fingerprint,
            "at_ns": now.wall_ns, "n": row.n, "hash": row.hash,
        })  # fmt: skip


def newest_policy(connection: sqlite3.Connection) -> Row | None:
    """The newest row of the journal that tells what retention may do."""
    before: int | None = None
    while row := newest(connection, Kind.POLICY, before):
        if row.told().get("what") == POLICY:
            return row
        before = row.n
    return None


def stream_heads(connection: sqlite3.Connection) -> list[StreamHead]:
    """Where the chain of every camera and stream stands: at its newest segment that has ended, or the tombstone of
    it."""
    found: list[StreamHead] = []
    for camera, stream in reels(connection):
        row = connection.execute(
            "SELECT seq, chain FROM segment WHERE camera = ? AND stream = ? AND chain IS NOT NULL"
            " UNION ALL SELECT last_seq, after FROM (SELECT last_seq, after FROM tombstone WHERE camera = ?"
            " AND stream = ? AND after != '' ORDER BY first_seq DESC LIMIT 1) ORDER BY 1 DESC LIMIT 1",
            (camera, stream, camera, stream),
        ).fetchone()
        if row is not None:
            found.append(StreamHead(camera, stream, row[0], row[1]))
    return found


def loose_heads(
    connection: sqlite3.Connection, heads: Iterable[StreamHead], before: Checkpoint | None
) -> list[StreamHead]:
    """Segments up to these heads, and after those of the checkpoint before, that are not closed as they were recorded;
    and those of that checkpoint that had no head yet."""
    signed_before = {(each.camera, each.stream): each.seq for each in before.heads} if before else {}
    waiting = [each for each in before.loose if not each.head] if before else []
    found: list[StreamHead] = []
    for head in heads:
        reel = (head.camera, head.stream)
        after = signed_before.get(reel, 0)
        again = [each.seq for each in waiting if (each.camera, each.stream) == reel]
        rows = connection.execute(
            "SELECT seq, chain, state FROM segment WHERE camera = ? AND stream = ? AND seq > ? AND seq <= ?"
            f" AND state IN ({_LOOSE}) ORDER BY seq LIMIT ?",
            (*reel, after, head.seq, MOST_LOOSE),
        ).fetchall()
        for seq in again:
            rows += connection.execute(
                "SELECT seq, chain, state FROM segment WHERE camera = ? AND stream = ? AND seq = ?"
                " AND state IN ('open', 'recovered')",
                (*reel, seq),
            ).fetchall()
        found += [StreamHead(*reel, seq, "" if state == "suspect" else chain or "") for seq, chain, state in rows]
    return sorted(set(found))


_LOOSE: Final = "'open', 'recovered', 'suspect'"

MOST_LOOSE: Final = 200
"""Of one reel in one checkpoint: an hour has 60 segments."""


def _newest_checkpoint(connection: sqlite3.Connection) -> Checkpoint | None:
    """The newest that can be read: whoever spoils the last one must not have all before it named anew as loose."""
    before_n: int | None = None
    while row := newest(connection, Kind.CHECKPOINT, before_n):
        try:
            return read_checkpoint(row)
        except NoCheckpoint:
            before_n = row.n
    return None


def reels(connection: sqlite3.Connection) -> list[tuple[str, str]]:
    """Every camera and stream of which anything was recorded, without reading through the table."""
    found: set[tuple[str, str]] = set()
    for table in ("segment", "tombstone"):
        now: tuple[str, str] | None = ("", "")
        while now is not None:
            row = connection.execute(
                f"SELECT camera, stream FROM {table} WHERE (camera, stream) > (?, ?) ORDER BY camera, stream LIMIT 1",
                now,
            ).fetchone()
            now = (str(row[0]), str(row[1])) if row else None
            if now is not None:
                found.add(now)
    return sorted(found)


def _short(row: Row) -> dict[str, Any]:
    """A checkpoint in the form that is published: who has it can tell later whether the journal was cut or forged."""
    told = row.told()
    return {"n": row.n, "hash": row.hash, "at_ns": row.at_ns, "key": told["key"], "signature": told["signature"]}
