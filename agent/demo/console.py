"""The demonstration's console: counts as they change, alerts with the time from press to receipt."""

import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any, Final

from agent.facts import Text
from agent.wire import Refused, WireError, call

_EVERY_S: Final = 0.5
_WAIT_FOR_RECEIPTS_TURNS: Final = 60
"""An alert without all receipts is shown after 30 s all the same, with what is missing."""


class Console:
    """Asks the alarm process twice a second what is new, and says it in one line each."""

    def __init__(self, runtime: Path, language: str, say: Callable[[Text], None]) -> None:
        self._alarm = runtime / "alarm.sock"
        self._language = language
        self._say = say
        self._counts: dict[str, int] = {}
        self._after_seq: int | None = None
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
        names = {room["room_id"]: room.get("name") or room["room_id"] for room in status["rooms"]}
        for room in status["rooms"]:
            name, count = room["room_id"], room["count"]
            if self._counts.get(name) != count:
                self._counts[name] = count
                low, high = room["low"], room["high"]
                self._say(
                    Text(
                        f"人数  {names[name]}：{count}（{low}–{high}）",
                        f"count {names[name]}: {count} ({low} to {high})",
                    )
                )
        events = call(self._alarm, "events", {"limit": 50, "after_seq": self._after_seq, "kind": None}, timeout_s=1)[
            "events"
        ]
        for event in events:
            self._alert(event)

    def _alert(self, event: dict[str, Any]) -> None:
        seq = event["seq"]
        if seq in self._shown or event["priority"] > 2:
            return
        turns = self._waiting[seq] = self._waiting.get(seq, 0) + 1
        receipts = {name: state.get("receipted_ns") for name, state in event["delivery"].items()}
        if not all(receipts.values()) and turns < _WAIT_FOR_RECEIPTS_TURNS:
            return
        self._waiting.pop(seq)
        self._shown.add(seq)
        pressed_ns = event.get("pressed_ns")
        parts_zh, parts_en = [], []
        for name, at_ns in receipts.items():
            took = "" if at_ns is None or pressed_ns is None else f" {(at_ns - pressed_ns) / 1e6:.0f} ms"
            parts_zh.append(f"{name} {'回执' + took if at_ns else '未回执'}")
            parts_en.append(f"{name} {'receipt' + took if at_ns else 'no receipt'}")
        self._say(
            Text(
                f"告警  {event['summary_zh']} → {'，'.join(parts_zh)}",
                f"alert {event['summary_en']} -> {', '.join(parts_en)}",
            )
        )
