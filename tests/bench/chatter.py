"""A contact that chatters, 1000 edges a second, beside buttons that are pressed: their times, the memory of the alarm
process, and what is told of the contact."""

import random
import time
from collections import Counter
from typing import Any, Final

from tests.bench.button import figures, quiet
from tests.bench.load import resident
from tests.bench.panel_rig import BUTTONS, HOLD_S, LOOSE, PLATFORM, Rig, times_of, zone
from tests.bench.row import Row
from tests.fakes.waiting import until

EDGES_PER_S: Final = 1000
BESIDE: Final = (BUTTONS[1], BUTTONS[8])
"""A button on the same board, and one on another."""

TARGET_MS: Final = 250.0
"""p99, as without it (tests/bench/panel.py)."""

GROWN_MB: Final = 8.0
"""Memory is flat within this: at most 20 000 keys of events are remembered (delivery.rows.REPEATS_KEPT), 250 bytes
each, and SQLite keeps 2 MB of pages."""

SETTLES_S: Final = 5.0
"""Before memory is looked at for the first time."""

PRESS_EVERY_S: Final = 0.5


class Chatter:
    """One trial of `seconds`."""

    def __init__(self, at: Rig, seconds: float) -> None:
        self._at = at
        self._seconds = seconds

    def trial(self) -> list[Row]:
        """Let it chatter, and press beside it."""
        at, moments = self._at, random.Random(11)
        board = at.boards[LOOSE[0]]
        before = {each: len(at.pressed(each)) for each in BESIDE}
        told_before = {each: len(at.told(each).rows) for each in BESIDE}
        of_contact = len(self._alerts())
        edges = int(board.status()["edges"])
        board.chatter(LOOSE[1], EDGES_PER_S)
        time.sleep(SETTLES_S)
        from_mb, presses, shown = resident(at.panel.pid), 0, Counter[str]()
        end_s = time.monotonic() + self._seconds
        while time.monotonic() < end_s:
            at.press(BESIDE[presses % 2])
            presses += 1
            time.sleep(max(HOLD_S, PRESS_EVERY_S * (0.7 + 0.6 * moments.random())))
            if presses % 4 == 0:
                shown[self._state()] += 1
        to_mb = resident(at.panel.pid)
        edges = int(board.status()["edges"]) - edges
        board.chatter(LOOSE[1], 0)
        time.sleep(1)
        until(lambda: quiet(at.panel), 60, "everything is receipted")
        made = edges / (self._seconds + SETTLES_S)
        note = f"{presses} presses on simavr pins beside {edges} edges ({made:.0f}/s for {self._seconds:.0f} s)"
        took_ms: list[float] = []
        pressed, twice = 0, 0
        for each in BESIDE:
            mine, told = at.pressed(each)[before[each] :], at.told(each)
            del told.rows[: told_before[each]]
            took_ms += times_of(mine, told)
            pressed += len(mine)
            twice += sum(row["times"] > 1 for row in told.rows)
        grown_mb = to_mb - from_mb
        alerts = self._alerts()[of_contact:]
        kinds = Counter(f"{each['type'].split('.')[-2]} {each['body']['data']['state']}" for each in alerts)
        states = ", ".join(f"{state} {count}" for state, count in shown.most_common())
        said = ", ".join(f"{kind} {count}" for kind, count in kinds.most_common()) or "nothing"
        return [
            *figures("beside a chattering contact", sorted(took_ms), pressed, presses, twice, TARGET_MS, note),
            Row("alarm grew while a contact chattered", round(grown_mb, 1), "MB", GROWN_MB, grown_mb < GROWN_MB,
                f"from {from_mb:.1f} to {to_mb:.1f} MB; {note}"),
            Row("alerts about the chattering contact", len(alerts), "", None, len(alerts) > 0,
                f"{said}; its state when asked: {states}; {note}"),
        ]  # fmt: skip

    def _alerts(self) -> list[dict[str, Any]]:
        return [each for each in self._at.panel.taken(PLATFORM) if each["subject"] == f"zone/{zone(LOOSE)}"]

    def _state(self) -> str:
        status = self._at.panel.status()
        return next((str(each["state"]) for each in status.get("zones", []) if each["id"] == zone(LOOSE)), "no answer")
