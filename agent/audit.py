"""PURE. The audit chain: who did what, each row bound to the one before by a hash.

Invariants
1. The hash of a row covers every value of it and the hash of the row before.
2. Rows are numbered 1, 2, 3, ... without a gap: a row taken out, changed or put in is found by `first_break`.
"""

import hashlib
import json
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

BEGINNING = "0" * 64
"""What stands before the first row."""


@dataclass(frozen=True, slots=True)
class Deed:
    """What was done: `action` to `subject` by `who` at `at_ns` (UTC). `detail` holds plain values, never a secret."""

    at_ns: int
    who: str
    action: str
    subject: str
    detail: dict[str, Any]


@dataclass(frozen=True, slots=True)
class Row:
    """One deed in the chain."""

    n: int
    deed: Deed
    hash: str


def link(n: int, previous_hash: str, deed: Deed) -> Row:
    """The row for `deed` as number `n`, after the row whose hash is `previous_hash`."""
    content = json.dumps(
        [n, previous_hash, deed.at_ns, deed.who, deed.action, deed.subject, deed.detail],
        ensure_ascii=False,
        separators=(",", ":"),
        sort_keys=True,
    )
    return Row(n, deed, hashlib.sha256(content.encode()).hexdigest())


def first_break(rows: Iterable[Row]) -> int | None:
    """The number at which the chain from its beginning is broken, or None when it holds."""
    previous = BEGINNING
    for n, row in enumerate(rows, start=1):
        if row.n != n or link(n, previous, row.deed) != row:
            return n
        previous = row.hash
    return None
