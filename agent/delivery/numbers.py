"""Numbers and ids of alerts.

Invariant: a sequence number comes from a block that an earlier commit reserved, and is given once.
"""

import os
from dataclasses import replace

from agent.clock import Clock
from agent.delivery.payload import ordered_id
from agent.delivery.rows import SEQ_BLOCK, Block


class Numbers:
    """Gives sequence numbers and ids. Used by one thread."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._block: Block | None = None
        self._next: Block | None = None
        self._asked = False
        self.first: int | None = None
        """The first number of this start; None until a block was reserved."""

    def take(self, block: Block) -> None:
        """Give numbers of this reserved block too."""
        self._asked = False
        if self._block is None:
            self._block = block
            self.first = block.first if self.first is None else self.first
        else:
            self._next = block

    def wants_block(self) -> bool:
        """Another block is to be reserved. True once per block."""
        left = 0 if self._block is None else self._block.end - self._block.first
        if self.first is None or self._asked or self._next is not None or left >= SEQ_BLOCK // 2:
            return False
        self._asked = True
        return True

    def seq(self) -> int | None:
        """The next number, or None when none is reserved."""
        if self._block is None or self._block.first >= self._block.end:
            self._block, self._next = self._next, None
        if self._block is None:
            return None
        given = self._block.first
        self._block = replace(self._block, first=given + 1)
        return given

    def new_id(self) -> str:
        """An id of its own (UUIDv7)."""
        return ordered_id(self._clock.wall_ns(), os.urandom(10))
