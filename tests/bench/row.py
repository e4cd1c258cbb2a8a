"""One figure of a benchmark, as `make bench` prints it."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Row:
    """`ok` is whether `value` meets `target`; None where there is no target. `note` says what the figure rests on."""

    name: str
    value: float
    unit: str
    target: float | None = None
    ok: bool | None = None
    note: str = ""
