"""The demonstration's console: who is in the rooms, and alerts with the time from press to receipt."""

import threading
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, Final

from agent.facts import Text
from agent.wire import Refused, WireError, call

_EVERY_S: Final = 0.5
_COUNTS_EVERY_S: Final = 10.0
"""People walk in and out of a looped clip all the time: the rooms have one line together, and not more often."""

_WAIT_FOR_RECEIPTS_TURNS: Final = 60
"""An alert without all receipts is shown after 30 s all the same, with what is missing."""

_ROLES: Final = {"public_security": Text("公安平台", "police"), "smart_cloud": Text("智慧托育云", "smart cloud")}


class Console:
    """Asks the alarm process twice a second what is new, and says it in one line each."""

    def __init__(self, runtime: Path, say: Callable[[Text], None]) -> None:
        self._alarm = runtime / "alarm.sock"
        self._say = say
        self._began_ns = time.time_ns()
        self._counts: dict[str, int] = {}
        self._counts_at_s = float("-inf")
        self._waiting: dict[int, int] = {}
        self._shown: set[int] = set()
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run, name="demo-console", daemon=True)

    def start(self) -> None:
        """Begin to show."""
        self._thread.start()

    def stop(self) -> None:
        """Stop showing. Raises RuntimeError when the thread hangs."""
        self._stop.set()
        self._thread.join(5)
        if self._thread.is_alive():
            raise RuntimeError("the demonstration's console did not stop")

    def _run(self) -> None:
        while not self._stop.wait(_EVERY_S):
            try:
                self._look()
            except (WireError, Refused):
                continue  # the alarm process is starting, or was killed on purpose; the supervisor says so

    def _look(self) -> None:
        status = call(self._alarm, "status", timeout_s=1)
        self._people(status["rooms"], time.monotonic())
        names = {each["id"]: _ROLES.get(each["role"], Text(each["id"], each["id"])) for each in status["platforms"]}
        asked = {"limit": 50, "after_seq": None, "kind": None}
        for event in call(self._alarm, "events", asked, timeout_s=1)["events"]:
            self._alert(event, names)

    def _people(self, rooms: list[dict[str, Any]], now_s: float) -> None:
        counts = {str(room["room_id"]): int(room["count"]) for room in rooms}
        if counts == self._counts or now_s - self._counts_at_s < _COUNTS_EVERY_S:
            return
        self._counts, self._counts_at_s = counts, now_s
        told = "  ".join(
            f"{room.get('name') or room['room_id']} {room['count']}"
            for room in sorted(rooms, key=lambda each: str(each["room_id"]))
        )
        self._say(Text(f"人数  {told}", f"people  {told}"))

    def _alert(self, event: dict[str, Any], names: Mapping[str, Text]) -> None:
        seq = event["seq"]
        if seq in self._shown or event["priority"] > 2 or event["at_ns"] < self._began_ns:
            return  # what an earlier run left in the ledger is for `yunjian events`
        turns = self._waiting[seq] = self._waiting.get(seq, 0) + 1
        receipts = {name: state.get("receipted_ns") for name, state in sorted(event["delivery"].items())}
        if not all(receipts.values()) and turns < _WAIT_FOR_RECEIPTS_TURNS:
            return
        self._waiting.pop(seq)
        self._shown.add(seq)
        parts = [_receipt(names.get(name, Text(name, name)), at, event["pressed_ns"]) for name, at in receipts.items()]
        self._say(
            Text(
                f"告警  {event['summary_zh']} → {'，'.join(part.zh for part in parts)}",
                f"alert  {event['summary_en']} -> {', '.join(part.en for part in parts)}",
            )
        )


def _receipt(name: Text, receipted_ns: int | None, pressed_ns: int | None) -> Text:
    """How far an alert is with one platform; the time counts from the press, where a button was pressed."""
    if not receipted_ns:
        return Text(f"{name.zh}未回执", f"no receipt from {name.en}")
    took = f" {(receipted_ns - pressed_ns) / 1e6:.0f} ms" if pressed_ns else ""
    return Text(f"{name.zh}已回执{took}", f"receipt from {name.en}{took and ' after' + took}")
