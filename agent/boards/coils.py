"""PURE. Siren and strobe on the coils of a Modbus module: written, read back, and looked at for as long as they matter.

A written coil is confirmed by reading it, not by the answer to the write: an adapter that hears itself gives the same
answer. It is read again every `LOOK_EVERY_NS`, because a module that lost its power for a moment has forgotten it.

Invariants
1. Until `want` was called nothing is written: a restarted agent silences no siren before it knows better.
2. `driven` is true only while the last reading agreed with what is wanted.
"""

from dataclasses import dataclass, replace
from typing import Final

_MS: Final = 1_000_000

LOOK_EVERY_NS: Final = 1000 * _MS
"""Coils are read back this often."""

AGAIN_NS: Final = 200 * _MS
"""A write that was not taken is tried again after this."""


@dataclass(frozen=True, slots=True)
class Write:
    """Coils to be written: the first address, and the values of those that follow each other from there."""

    address: int
    values: tuple[bool, ...]


@dataclass(frozen=True, slots=True)
class Read:
    """Coils to be read."""

    address: int
    count: int


@dataclass(frozen=True, slots=True)
class Coils:
    """Two outputs, siren and strobe; None: not connected. `steps` is what is still to be asked in this round."""

    addresses: tuple[int | None, int | None]
    wanted: tuple[bool, bool] | None = None
    steps: tuple[Write | Read, ...] = ()
    ask_ns: int = 0
    driven: bool = False
    trouble: str = ""

    def due_ns(self) -> int | None:
        """When the next step is to be asked; None while there is nothing to drive."""
        if self.wanted is None or not self._pairs():
            return None
        return self.ask_ns

    def next(self) -> Write | Read:
        """The step to ask; only while `due_ns` is not None."""
        return self.steps[0] if self.steps else self._reads()[0]

    def want(self, siren: bool, strobe: bool, now_ns: int) -> "Coils":
        """Both are to be so from now on."""
        if self.wanted == (siren, strobe) and (self.driven or self.steps):
            return self
        return replace(self, wanted=(siren, strobe), driven=False).anew(now_ns)

    def anew(self, now_ns: int) -> "Coils":
        """The module may know nothing of it: write everything, then look."""
        if self.wanted is None:
            return self
        return replace(self, steps=(*self._writes(), *self._reads()), ask_ns=now_ns, driven=False)

    def written(self, step: Write, now_ns: int) -> "Coils":
        """The step, a write, was answered."""
        if self.steps[:1] != (step,):
            return self  # wanted otherwise in the meantime
        return replace(self, steps=self.steps[1:], ask_ns=now_ns)

    def read(self, step: Read, values: tuple[bool, ...], now_ns: int) -> "Coils":
        """The coils of `step` are so."""
        if self.steps and self.steps[0] != step:
            return self  # wanted otherwise in the meantime
        found = dict(zip(range(step.address, step.address + step.count), values, strict=True))
        if any(found.get(address, value) is not value for address, value in self._pairs()):
            trouble = "the coils are not as written"
            return replace(self.anew(now_ns + AGAIN_NS), trouble=trouble)
        rest = self.steps[1:] if self.steps else self._reads()[1:]
        if rest:
            return replace(self, steps=rest, ask_ns=now_ns)
        return replace(self, steps=(), ask_ns=now_ns + LOOK_EVERY_NS, driven=True, trouble="")

    def failed(self, why: str, now_ns: int) -> "Coils":
        """The step was refused, or not answered."""
        return replace(self.anew(now_ns + AGAIN_NS), trouble=why)

    def _pairs(self) -> list[tuple[int, bool]]:
        """Address and wanted value of what is connected, by address."""
        wanted = self.wanted or (False, False)
        pairs = zip(self.addresses, wanted, strict=True)
        return sorted((address, value) for address, value in pairs if address is not None)

    def _writes(self) -> tuple[Write, ...]:
        pairs = self._pairs()
        if len(pairs) == 2 and pairs[1][0] == pairs[0][0] + 1:
            return (Write(pairs[0][0], (pairs[0][1], pairs[1][1])),)
        return tuple(Write(address, (value,)) for address, value in pairs)

    def _reads(self) -> tuple[Read, ...]:
        return tuple(Read(write.address, len(write.values)) for write in self._writes())
