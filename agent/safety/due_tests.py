"""PURE. When a button is to be tested again."""

from collections.abc import Iterable, Iterator, Mapping
from typing import Final

from agent.facts import ClockQuality, Stamp
from agent.safety.zones import Zone, ZoneType

FIRST_LOOK_S: Final = 600.0
"""After a start what is urgent is told first; a test that is due waits for this long."""

_DAY_NS: Final = 86_400_000_000_000


def due_tests(
    zones: Iterable[Zone], tested_ns: Mapping[str, int], every_days: int, now: Stamp, started_ns: int
) -> Iterator[tuple[Zone, bool | None]]:
    """Each button, and whether its test is due; None: nobody can say yet. A press in need is no test: only one that
    went through to every platform's receipt, as a drill, is. `started_ns` is monotonic, `tested_ns` UTC by zone."""
    for zone in zones:
        if zone.type is not ZoneType.PANIC_24H:
            continue
        last_ns = tested_ns.get(zone.id)
        if last_ns is not None and 0 <= now.wall_ns - last_ns < every_days * _DAY_NS:
            yield zone, False
        elif now.mono_ns - started_ns < FIRST_LOOK_S * 1e9 or now.quality is ClockQuality.UNKNOWN:
            yield zone, None
        else:
            # One that was tested in the future was tested by a clock that was wrong: nobody knows when.
            yield zone, True
