"""Keeps the journal in footage.db small: that may lie on a memory card, and the journal is for ever.

What is old goes from the table into packs, and when these are more than `MOST_PACKED_BYTES`, the oldest give their rows
up to the volumes, whose copies have all of them (decision 14).

Invariants
1. A turn packs one thousand rows, or gives up one pack: it takes a tenth of a second.
2. What was altered in the table is not packed: it stays as it is, and is told.
3. A pack gives up its rows only when every volume that is there was read and has all of them as they were.
"""

import logging
from collections.abc import Mapping
from pathlib import Path
from typing import Final

from agent.facts import ConditionKind, Stamp
from agent.footage.custody.journal_chain import ROWS_PER_FILE, Head
from agent.footage.custody.journal_pack import Pack
from agent.footage.custody.journal_rows import (
    copied_rows,
    give_up,
    newest_pack,
    oldest_packed,
    put_pack,
    table_rows,
)
from agent.footage.fault import Fault
from agent.footage.index import Index

log = logging.getLogger(__name__)

LOOSE_ROWS: Final = 20_000
"""The newest rows, which stay in the table: eight days of 16 cameras, 50 MB."""

MOST_PACKED_BYTES: Final = 2_000_000_000
"""Three years of 16 cameras."""

COMMIT_WAIT_S: Final = 10.0

RETRY_NS: Final = 3600 * 10**9
"""What could not be packed or given up is looked at again this often."""


class Packing:
    """Used by the keeper's thread alone, but for `faults` and `status`."""

    def __init__(self, index: Index, loose_rows: int = LOOSE_ROWS, most_packed_bytes: int = MOST_PACKED_BYTES) -> None:
        self._index = index
        self._loose_rows = loose_rows
        self._most_packed_bytes = most_packed_bytes
        self._packed = Pack(0, 0)
        self._generation = -1
        self._not_before_ns = 0
        self._size_bytes = 0
        self._altered: int | None = None
        self._not_whole: dict[Path, int] = {}

    def turn(self, head: Head, copied: Mapping[Path, int], now: Stamp) -> bool:
        """Pack a thousand rows, or give up a pack; whether there may be more to do at once. `copied` tells up to which
        row each volume has a copy. Raises sqlite3.Error."""
        if self._generation != self._index.generation:
            with self._index.reading() as connection:
                self._packed = newest_pack(connection) or Pack(0, 0)
                self._size_bytes = oldest_packed(connection)[0]
            self._generation, self._not_before_ns = self._index.generation, 0
        if now.mono_ns < self._not_before_ns:
            return False
        if head.n - self._packed.last_n >= self._loose_rows + ROWS_PER_FILE:
            return self._pack(now)
        if self._size_bytes > self._most_packed_bytes:
            return self._give_up(copied, now)
        return False

    def faults(self) -> list[Fault]:
        """A row in the table that was altered, and copies that lack rows or have others."""
        found: list[Fault] = []
        if self._altered is not None:
            detail = (("detail", f"row {self._altered} in footage.db was altered"),)
            found.append(Fault(ConditionKind.EVIDENCE_BROKEN, "journal/footage.db", detail))
        for path, first_n in list(self._not_whole.items()):
            detail = (("detail", f"rows from {first_n} on are not as they were"),)
            found.append(Fault(ConditionKind.EVIDENCE_BROKEN, f"journal/{path}/rows", detail))
        return found

    def forget(self) -> None:
        """Other rows may be packed than before: look anew."""
        self._generation = -1

    def _pack(self, now: Stamp) -> bool:
        first_n = self._packed.last_n + 1
        with self._index.reading() as connection:
            rows = table_rows(connection, first_n, first_n + ROWS_PER_FILE - 1)
        last = rows[-1] if rows else None
        pack = Pack(first_n, first_n + ROWS_PER_FILE - 1, self._packed.after, last.hash if last else "")
        if not pack.is_whole(rows):
            self._altered, self._not_before_ns = first_n, now.mono_ns + RETRY_NS
            return False
        pending = self._index.submit(*put_pack(rows))
        if not pending.done.wait(COMMIT_WAIT_S) or pending.refused:
            self._generation = -1
            return False
        self._altered = None
        self._packed = pack
        with self._index.reading() as connection:
            self._size_bytes = oldest_packed(connection)[0]
        return True

    def _give_up(self, copied: Mapping[Path, int], now: Stamp) -> bool:
        with self._index.reading() as connection:
            self._size_bytes, pack = oldest_packed(connection)
        if pack is None or self._size_bytes <= self._most_packed_bytes:
            return False
        self._not_whole = {path: pack.first_n for path in copied if not pack.is_whole(copied_rows(path, pack))}
        if self._not_whole or not copied:
            self._not_before_ns = now.mono_ns + RETRY_NS
            return False
        pending = self._index.submit(*give_up(pack))
        pending.done.wait(COMMIT_WAIT_S)
        log.info("footage journal: rows %s to %s stand on the volumes alone now", pack.first_n, pack.last_n)
        return True
