"""Mains and battery at the alarm desk: what is told of them, and the orderly end. Used by the desk's thread alone.

Invariant: that the machine shuts down is told, stored and published before it is asked to (safety/power.py)."""

import logging
from collections.abc import Callable
from typing import Final

from agent.delivery.outgoing import Outgoing
from agent.delivery.store import AlarmStore
from agent.facts import ConditionKind, Stamp
from agent.safety import power
from agent.safety.panel import Panel
from agent.safety.watch import Result, Watch

log = logging.getLogger(__name__)

_SUBJECT: Final = "facility"


class Supply:
    """Watches the zones of the power."""

    def __init__(
        self,
        panel: Panel,
        watch: Watch,
        out: Outgoing,
        store: AlarmStore,
        shutdown_after_s: float | None,
        shut_down: Callable[[], None],
    ) -> None:
        """`shut_down` asks the machine to; `shutdown_after_s` is how long after the battery is low, None for never."""
        self._panel = panel
        self._watch = watch
        self._out = out
        self._store = store
        self._after_s = shutdown_after_s
        self._shut_down = shut_down
        self._power = power.Power()

    def turn(self, now: Stamp) -> list[Result]:
        """What began or ended of it."""
        states = {zone.id: self._panel.state_of(zone.id) for zone in self._panel.zones}
        told = self._power.shutting_down and self._all_told()
        self._power, lasts, ask = power.step(
            self._power, self._panel.zones, states, self._after_s, told, now.mono_ns
        )  # fmt: skip
        results: list[Result] = []
        for each in lasts:
            results += self._watch.own(each.kind, f"zone/{each.zone}", each.active, {}, now)
        results += self._watch.own(ConditionKind.SHUTTING_DOWN, _SUBJECT, self._power.shutting_down, {}, now)
        if ask is power.Ask.SHUT_DOWN:
            log.warning("the battery is low: asking the machine to shut down")
            self._shut_down()
        return results

    def _all_told(self) -> bool:
        reached = [each for each in self._out.dispatch.status() if each["connected"]]
        return self._store.waiting() == 0 and not any(each["waiting"] for each in reached)
