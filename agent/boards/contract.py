"""The face of a board, whatever stands behind it. tests/boards holds every kind to the same assertions.

What every board promises
1. `on_report` is called on one thread of the board, in order, and must not wait. What it raises on is told again.
2. After a LinkChanged(up) come the events that happened meanwhile (`late`), then a Snapshot, then events.
3. Each event is reported once per life of the board, and its (uid, boot_id, event_id) names it for ever: `boot_id` is
   new at every start, for boards that keep nothing themselves.
4. A link that is not heard is told (LinkChanged down), whatever the reason; nothing that was not heard is ever told
   as a state.
5. `acknowledge`, `output`, `try_output` and `status` may be called from any thread at any time and never wait for the
   line.
6. The outputs are as `output` last said, now and after every reconnection; before the first call they are not driven
   by a board that can leave them, and off at one that cannot (GPIO).
"""

import secrets
from typing import Protocol

from firmware_bridge.serial_port import BoardStatus


class Board(Protocol):
    """Inputs and outputs behind one link."""

    def start(self) -> None:
        """Look for the hardware, and begin."""

    def stop(self, timeout_s: float = 5.0) -> None:
        """Let go of the hardware and end. Raises RuntimeError when it hangs. Safe to call twice."""

    def acknowledge(self, board_uid: str, boot_id: int, event_id: int) -> None:
        """The event with this key is committed. Any number of times."""

    def output(self, siren: bool, led: bool) -> None:
        """Drive the outputs so, now and after every reconnection."""

    def try_output(self, siren: bool, led: bool, seconds: int) -> bool:
        """Drive these beside what `output` says, for so many seconds (1-255), and end that by itself. False: the board
        cannot, or not now, and did nothing."""

    def status(self) -> BoardStatus:
        """How the link does."""


def trouble_of(status: BoardStatus) -> str:
    """Why the outputs of a board may not be as they shall be; an empty text while they are."""
    if not status.up:
        return "the board is not heard"
    if trouble := status.heartbeat.get("outputs_trouble"):
        return str(trouble)
    return "not driven" if status.heartbeat.get("outputs_driven") is False else ""


def new_boot_id() -> int:
    """Names this start of one board without a memory among all others: 62 random bits, what SQLite and JSON carry as an
    integer."""
    return secrets.randbits(62) | 1
