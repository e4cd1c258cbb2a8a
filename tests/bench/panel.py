"""Pin to subscriber: presses on the pins of three boards with the real firmware in simavr, through serial port, alarm
process and mosquitto to a consumer, while four cameras are recorded and counted; one by one, twenty at once, and beside
a contact that chatters.

The time of a press is when the pin moves: bounce, 30 ms of debounce and 10 ms of sampling are in every figure.
"""

import argparse
import random
import time
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import replace

from tests.bench.button import figures, quiet
from tests.bench.chatter import Chatter
from tests.bench.load import Load
from tests.bench.panel_rig import BUTTONS, HOLD_S, Rig, rig, times_of
from tests.bench.row import Row
from tests.fakes.waiting import until

PRESSES = 500
TARGET_MS = 250.0
"""p99 from pin to subscriber, with 30 ms of debounce (issue 4)."""

VOLLEYS = 10
AT_ONCE_MS = 1000.0
"""Twenty presses at once: each within this."""

CHATTER_S = 60.0


def rows() -> Iterator[Row]:
    """The figures of this bench."""
    yield from measure(PRESSES, VOLLEYS, CHATTER_S, loaded=True)


def measure(presses: int, volleys: int, chatter_s: float, loaded: bool) -> list[Row]:
    """Press so often one by one and all at once, then let a contact chatter; judge all of it."""
    with rig() as at, ExitStack() as running:
        folder = at.panel.folder
        load = running.enter_context(Load(folder / "run", folder / "load")) if loaded else None
        if load is not None:
            load.begin()
        _press_one_by_one(at, presses)
        _press_at_once(at, volleys)
        until(lambda: quiet(at.panel), 60, "everything is receipted")
        calm = [*_one_by_one(at, presses, volleys), *_at_once(at, presses, volleys)]
        chatter = Chatter(at, chatter_s)
        beside = chatter.trial()
        note = f"{at.load_of_simavr()}, {at.slips()} slips"
        seen = None if load is None else load.end()
        if seen is not None:
            note = f"{note}; {seen.note}"
        told = [replace(row, note=f"{row.note}; {note}") for row in (*calm, *beside)]
        # A figure under a load that was not there is void.
        return told if seen is None or seen.whole else [replace(row, ok=row.ok and False) for row in told]


def _press_one_by_one(at: Rig, presses: int) -> None:
    moments = random.Random(7)
    for _ in range(presses):
        at.press(BUTTONS[0])
        # Uneven, so that presses fall everywhere in the board's sampling and the desk's turns.
        time.sleep(HOLD_S + 0.1 + moments.random() * 0.08)


def _press_at_once(at: Rig, volleys: int) -> None:
    for _ in range(volleys):
        time.sleep(1.0)
        for each in BUTTONS:
            at.press(each)
    time.sleep(1.0)


def _one_by_one(at: Rig, presses: int, volleys: int) -> list[Row]:
    pressed = at.pressed(BUTTONS[0])[:presses]
    told = at.told(BUTTONS[0])
    rows = told.rows[: max(0, len(told.rows) - volleys)]
    note = f"{len(pressed)} presses on a simavr pin, one by one, 30 ms debounce included"
    twice = sum(row["times"] > 1 for row in rows)
    return figures(
        "pin to subscriber", times_of(pressed, replace(told, rows=rows)), len(pressed), presses, twice, TARGET_MS, note
    )


def _at_once(at: Rig, presses: int, volleys: int) -> list[Row]:
    pressed, took_ms, spread_ms = 0, [], 0.0
    moments: list[list[int]] = [[] for _ in range(volleys)]
    for each in BUTTONS:
        before = presses if each == BUTTONS[0] else 0
        mine = at.pressed(each)[before:]
        told = at.told(each)
        took_ms += times_of(mine, replace(told, rows=told.rows[before:]))
        pressed += len(mine)
        for number, at_ns in enumerate(mine[:volleys]):
            moments[number].append(at_ns)
    spread_ms = max((max(each) - min(each)) / 1e6 for each in moments if each) if volleys else 0.0
    took_ms.sort()
    slowest = took_ms[-1] if took_ms else 0.0
    lost = pressed - len(took_ms)
    note = f"{pressed} presses on simavr pins: {volleys} times {len(BUTTONS)} within {spread_ms:.0f} ms on three boards"
    whole = lost == 0 and pressed == volleys * len(BUTTONS)
    return [
        Row(
            "twenty presses at once: slowest", round(slowest, 1), "ms", AT_ONCE_MS, whole and slowest < AT_ONCE_MS, note
        ),
        Row("twenty presses at once: lost", lost, "", 0, whole, note),
    ]


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--presses", type=int, default=PRESSES)
    parser.add_argument("--volleys", type=int, default=VOLLEYS)
    parser.add_argument("--chatter-s", type=float, default=CHATTER_S)
    given = parser.parse_args()
    for each_row in measure(given.presses, given.volleys, given.chatter_s, loaded=False):
        print(each_row)
