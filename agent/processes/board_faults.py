"""What is wrong with boards that answer, told to the desk like a condition of any other process.

Invariants
1. The boards are asked on the calling thread alone, and only for what they know already: nobody waits for a line.
2. A fault lasts as long as the board's status says so; what nobody repeats lapses by itself.
"""

import sqlite3
from collections.abc import Callable, Mapping
from typing import Final

from agent.boards.contract import Board
from agent.clock import Clock
from agent.delivery.store import AlarmStore
from agent.facts import Condition, ConditionKind
from agent.inbox import FactReport
from agent.lasting import LastingStates
from firmware_bridge.configuration import NEEDED_FIRMWARE
from firmware_bridge.reports import Trouble

LOOK_EVERY_S: Final = 2.0
"""A fault is told this long after it was seen at the latest."""

KIND_OF: Final = {
    Trouble.CONFIG_REFUSED: ConditionKind.BOARD_MISCONFIGURED,
    Trouble.UID_NONE: ConditionKind.BOARD_NOT_UNIQUE,
    Trouble.UID_TWICE: ConditionKind.BOARD_NOT_UNIQUE,
    Trouble.BOOT_WENT_BACK: ConditionKind.BOARD_NOT_UNIQUE,
    Trouble.FIRMWARE_OLD: ConditionKind.BOARD_OLD,
}


class BoardFaults:
    """Used by one thread."""

    def __init__(
        self, boards: Mapping[str, Board], post: Callable[[FactReport], None], boot: str, clock: Clock
    ) -> None:
        """`boot` names this start among all others: it is part of the keys of what is told."""
        self._boards = boards
        self._post = post
        self._boot = boot
        self._told = 0
        self._lasting = LastingStates(clock, self._send)

    def look(self) -> None:
        """Tell what lasts now and what is over. Call every `LOOK_EVERY_S`."""
        lasting: dict[tuple[ConditionKind, str], dict[str, str]] = {}
        for bridge_id, board in self._boards.items():
            status = board.status()
            for trouble in status.troubles:
                detail = {"reason": str(trouble), "uid": status.uid or "", "firmware": status.firmware or ""}
                if trouble is Trouble.FIRMWARE_OLD:
                    detail["needed"] = ".".join(map(str, NEEDED_FIRMWARE))
                lasting[KIND_OF[trouble], f"bridge/{bridge_id}"] = detail
        self._lasting.tell_all(lasting)

    def _send(self, condition: Condition) -> None:
        self._told += 1
        self._post(FactReport(("alarm", self._boot, self._told), condition, lambda: None))


def newest_boots(store: AlarmStore, clock: Clock) -> list[tuple[str, int, int]]:
    """(name, newest boot_id, monotonic ns of its newest event) of each board whose events are stored. Empty when they
    cannot be read: then a board whose EEPROM was erased meanwhile is not recognised as such."""
    asked = "SELECT board_uid, boot_id, MAX(at_ns) FROM seen_inputs GROUP BY board_uid, boot_id ORDER BY boot_id"
    ahead_ns = clock.wall_ns() - clock.mono_ns()
    try:
        with store.reading() as db:
            found = db.execute(asked).fetchall()
    except sqlite3.Error:
        return []
    newest = {name: (boot_id, at_ns - ahead_ns) for name, boot_id, at_ns in found}
    return [(name, boot_id, at_ns) for name, (boot_id, at_ns) in newest.items()]
