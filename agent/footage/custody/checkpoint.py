"""PURE. Checkpoints: where the chain of every camera and stream stood at a time, signed with the device key.

`detail` of a journal row `checkpoint`:

    {"at_ns","quality","facility","journal":{"n","hash"},"heads":[[camera,stream,seq,head],...],
     "loose":[[camera,stream,seq,head],...],"key","signature"}

`heads` is sorted; `seq` and `head` are those of the newest segment that has ended. `loose`, when there are any, are
the segments since the checkpoint before that are not closed as they were recorded: still open, recovered after a power
cut, let go with a disk that hung. What follows may not be bound to them, so their own heads are signed ("" while there
is none, or where the file was not whole). `journal` is the row before. `key` is the fingerprint (see
agent/fingerprint.py), `signature` the Ed25519 signature in base64 of the UTF-8 text `yunjian-checkpoint-1`, a line
feed, and the canonical JSON of `detail` without `signature`. The public key stands in the journal row `key`:

    {"fingerprint","public_key","previous","why"}

`previous` is the fingerprint of the key before, or null; `why` is `first`, `gone`, `damaged` or `replaced`.
An export is signed in the same way over the text of `export_text`.
"""

import base64
import binascii
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any, Final

from agent.footage.custody.journal_chain import Head, Row, canonical

KEY_WAS_OPEN: Final = "key_was_open"
"""`what` of the journal row `policy` {what, fingerprint} that tells that other users could read the key."""

_CHECKPOINT: Final = "yunjian-checkpoint-1"
_EXPORT: Final = "yunjian-export-1"


@dataclass(frozen=True, slots=True, order=True)
class StreamHead:
    """Where the chain of one camera and stream stands: number of its newest ended segment, and the head after it."""

    camera: str
    stream: str
    seq: int
    head: str


@dataclass(frozen=True, slots=True)
class Checkpoint:
    """A checkpoint as it stands in the journal."""

    n: int
    at_ns: int
    journal: Head
    heads: tuple[StreamHead, ...]
    key: str
    signature: bytes
    text: bytes
    """What was signed."""
    loose: tuple[StreamHead, ...] = ()


class NoCheckpoint(ValueError):
    """The row is no checkpoint as this program writes them."""


def unsigned(
    at_ns: int, quality: str, facility: str, journal: Head, heads: Iterable[StreamHead], key: str,
    loose: Iterable[StreamHead] = (),
) -> dict[str, Any]:  # fmt: skip
    """`detail` of a checkpoint but for its signature. `at_ns` in UTC nanoseconds, `key` the fingerprint."""
    found = [[each.camera, each.stream, each.seq, each.head] for each in sorted(loose)]
    return {
        "at_ns": at_ns, "quality": quality, "facility": facility, "journal": {"n": journal.n, "hash": journal.hash},
        "heads": [[each.camera, each.stream, each.seq, each.head] for each in sorted(heads)], "key": key,
        **({"loose": found} if found else {}),
    }  # fmt: skip


def text_to_sign(detail: dict[str, Any]) -> bytes:
    """The text whose signature makes `detail` a checkpoint; a signature that is in it already is left out."""
    bare = {name: value for name, value in detail.items() if name != "signature"}
    return f"{_CHECKPOINT}\n{canonical(bare)}".encode()


def signed(detail: dict[str, Any], signature: bytes) -> dict[str, Any]:
    """`detail` with its signature."""
    return {**detail, "signature": base64.b64encode(signature).decode()}


def read_checkpoint(row: Row) -> Checkpoint:
    """The checkpoint in a journal row. Raises NoCheckpoint."""
    try:
        detail = row.told()
        heads, loose = (
            tuple(StreamHead(str(c), str(s), int(seq), str(head)) for c, s, seq, head in detail.get(name, ()))
            for name in ("heads", "loose")
        )
        journal = Head(int(detail["journal"]["n"]), str(detail["journal"]["hash"]))
        signature = base64.b64decode(detail["signature"], validate=True)
        return Checkpoint(
            row.n, int(detail["at_ns"]), journal, heads, str(detail["key"]), signature, text_to_sign(detail),
            loose,
        )  # fmt: skip
    except (KeyError, TypeError, ValueError, OverflowError, RecursionError, AttributeError, binascii.Error) as error:
        raise NoCheckpoint(f"row {row.n}: {error!r}") from error


def key_detail(public: bytes, fingerprint: str, previous: str | None, why: str) -> dict[str, Any]:
    """`detail` of the journal row `key`. `public` is the raw key."""
    return {
        "fingerprint": fingerprint, "public_key": base64.b64encode(public).decode(), "previous": previous, "why": why,
    }  # fmt: skip


def export_text(manifest_sha256: str, at_ns: int, row: Row) -> bytes:
    """What is signed of an export: the sha256 of its manifest, when, and the journal row that notes it."""
    return f"{_EXPORT}\n{manifest_sha256}\n{at_ns}\n{row.n}\n{row.hash}\n".encode()
