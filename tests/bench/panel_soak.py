"""What `make soak` asks of the panel: a day in simulated time (tests/soak/day.py), an hour of the real alarm process
and mosquitto with the firmware in simavr under faults, and an hour beside a contact that chatters.

In real time the power of the host is cut as kill -9 of the alarm process and loss of power at the boards at one moment;
what a power cut makes of the disk is tried in the simulated day.
"""

import logging
import random
import shutil
import signal
import tempfile
import time
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Final

from firmware_bridge.messages import ResetCause
from tests.bench.button import quiet
from tests.bench.chatter import Chatter
from tests.bench.panel_rig import BUTTONS, Rig, rig
from tests.fakes.board_core import running_core
from tests.fakes.simavr import SimavrBoard
from tests.fakes.waiting import until
from tests.soak.day import Day

DAY_H: Final = 24.0
NEEDS: Final = ("gcc", "avr-gcc", "mosquitto")

SEEN_S: Final = 0.8
"""After a press nobody cuts the power of its board for so long: up to four presses at once are in EEPROM by then."""

BOOTS_S: Final = 0.3
"""A board that was just powered knows its inputs."""

TROUBLE_EVERY_S: Final = 6.0


def soak_panel(seconds: float, seed: int) -> bool:
    """All three; `seconds` for each of the two in real time. Whether every press came once."""
    missing = [name for name in NEEDS if shutil.which(name) is None and not Path("/usr/sbin", name).exists()]
    if missing:
        print(f"soak: the panel does not live: {', '.join(missing)} is missing")
        return True
    return all([_day(seed), _hour(seconds, seed), _chatter(seconds)])


def _day(seed: int) -> bool:
    logging.disable(logging.CRITICAL)  # of a hundred dead disks each is told
    try:
        with running_core(8, 0xFF) as core, tempfile.TemporaryDirectory(prefix="panel-day-") as folder:
            verdict = Day(core, Path(folder), seed).live(DAY_H)
    finally:
        logging.disable(logging.NOTSET)
    print(f"soak: panel, seed {seed}: {verdict.told}")
    for what in (*verdict.lost, *verdict.doubled):
        print(f"soak: panel: LOST OR DOUBLED: {what}")
    return not verdict.lost and not verdict.doubled


def _hour(seconds: float, seed: int) -> bool:
    with rig() as at:
        trouble = Trouble(at, random.Random(seed))
        end_s = time.monotonic() + seconds
        while time.monotonic() < end_s:
            trouble.one()
        trouble.end()
        wrong = trouble.judged()
    faults = ", ".join(f"{name} {count}" for name, count in sorted(trouble.faults.items()))
    print(
        f"soak: panel, seed {seed}: {seconds / 3600:.2f} h of the real alarm process, {trouble.pressed} presses on"
        f" simavr pins, {trouble.repeated} came again under their id, {'; '.join(wrong) or 'none lost, none doubled'};"
        f" {trouble.load}; faults: {faults}"
    )
    return not wrong


def _chatter(seconds: float) -> bool:
    with rig() as at:
        rows = Chatter(at, seconds).trial()
        load = at.load_of_simavr()
    for row in rows:
        print(f"soak: panel: {row.name} {row.value} {row.unit} {'' if row.ok is not False else 'SHORT'} ({row.note})")
    print(f"soak: panel: {load}")
    return all(row.ok is not False for row in rows)


class Trouble:
    """Faults and presses at a rig, one after the other. `judged` says what was lost or doubled."""

    def __init__(self, at: Rig, chance: random.Random) -> None:
        self.faults: Counter[str] = Counter()
        self.pressed = 0
        self.repeated = 0
        self.load = ""
        self._at = at
        self._chance = chance
        self._boots = 1

    def one(self) -> None:
        """Some presses, one fault, some presses."""
        kinds: dict[str, Callable[[], None]] = {
            "host kill -9": self._kill_host,
            "unplug": self._unplug,
            "power cut of a board": self._cut_board,
            "power cut of both": self._cut_both,
            "reset of a board": self._reset_board,
            "line loss": self._lose_bytes,
            "noise": lambda: self._board().inject(self._chance.randbytes(self._chance.randrange(1, 200))),
            "broker kill -9": self._kill_broker,
            "broker frozen": self._freeze_broker,
        }
        self._press()
        name = self._chance.choice(list(kinds))
        self.faults[name] += 1
        kinds[name]()
        self._press()
        time.sleep(self._chance.uniform(0, 2 * TROUBLE_EVERY_S))

    def end(self) -> None:
        """Nothing is wrong any more; until everything is told."""
        for board in self._at.boards:
            board.lose(0)
        until(self._at.panel.ready, 60, "the panel is well again")
        until(lambda: all(board.status()["uncommitted"] == 0 for board in self._at.boards), 60, "boards hold nothing")
        until(lambda: quiet(self._at.panel), 120, "everything is receipted")
        self.load = f"{self._at.load_of_simavr()}, {self._at.slips()} slips"

    def judged(self) -> list[str]:
        """Each button for which the log of its pin and the consumer's table do not agree."""
        wrong = []
        for each in BUTTONS:
            pressed, told = self._at.pressed(each), self._at.told(each, self._boots + 1)
            self.repeated += sum(row["times"] > 1 for row in told.rows)
            if len(told.rows) != len(pressed) or told.strange:
                wrong.append(f"{each}: {len(pressed)} presses, {len(told.rows)} ids, {told.strange} from no event")
        return wrong

    def _board(self) -> SimavrBoard:
        return self._chance.choice(self._at.boards)

    def _press(self) -> None:
        """One to four buttons at once, let go before anything else happens."""
        hold_s = self._chance.choice((0.08, 0.12, 0.4))
        for each in self._chance.sample(BUTTONS, self._chance.choice((1, 1, 2, 4))):
            self._at.press(each, hold_s)
            self.pressed += 1
        time.sleep(hold_s + 0.1)

    def _kill_host(self) -> None:
        self._at.panel.end(signal.SIGKILL)
        for _ in range(self._chance.randrange(3)):
            self._press()
        self._at.panel.start(wait=False)
        # Sometimes the next fault finds it starting.
        if self._chance.random() < 0.7:
            until(lambda: self._at.panel.status(), 30, "the alarm process answers")

    def _unplug(self) -> None:
        board = self._board()
        time.sleep(SEEN_S)
        board.unplug()
        time.sleep(self._chance.choice((0.2, 2, 6)))
        board.plug()
        self._powered()

    def _cut_board(self) -> None:
        board = self._board()
        time.sleep(SEEN_S)
        board.kill()
        time.sleep(self._chance.choice((0.2, 2)))
        board.start()
        self._powered()

    def _cut_both(self) -> None:
        time.sleep(SEEN_S)
        self._at.panel.end(signal.SIGKILL)
        for board in self._at.boards:
            board.unplug()
        time.sleep(self._chance.choice((0.2, 2)))
        for board in self._at.boards:
            board.plug()
        self._powered()
        self._at.panel.start(wait=False)

    def _reset_board(self) -> None:
        time.sleep(SEEN_S)
        self._board().restart(self._chance.choice((ResetCause.WATCHDOG, ResetCause.EXTERNAL, ResetCause.BROWN_OUT)))
        time.sleep(1.2)  # a hang is reset within a second
        self._powered()

    def _powered(self) -> None:
        self._boots += 1
        time.sleep(BOOTS_S)

    def _lose_bytes(self) -> None:
        board = self._board()
        board.lose(self._chance.choice((2, 10, 20)))
        for _ in range(3):
            self._press()
        board.lose(0)

    def _kill_broker(self) -> None:
        self._at.broker.kill()
        self._press()
        self._at.broker.start()

    def _freeze_broker(self) -> None:
        self._at.broker.freeze()
        self._press()
        time.sleep(self._chance.choice((0.5, 3)))
        self._at.broker.thaw()
