"""What is decided goes out: into alarm.db, and to the platforms. Used by the alarm desk's thread alone.

Invariant: what may go out at once is published before it is handed to the store; the rest after its commit, or
at once while the store fails, because an alert that is told and then lost is better than one that nobody hears.
"""

import logging
from collections.abc import Callable, Iterable
from dataclasses import replace
from functools import partial
from typing import Any, Final

from agent.clock import Clock
from agent.delivery import rows
from agent.delivery.dispatch import HELD_AT_MOST, Dispatch
from agent.delivery.payload import Alert, Identity, Receipt, cloud_event
from agent.delivery.store import AlarmStore, JobFailed

log = logging.getLogger(__name__)

PRUNE_EVERY_S: Final = 600.0
"""The oldest history is forgotten this often, at most 500 rows of a kind: faster than any fault that flaps makes it."""


class Outgoing:
    """Alerts and changes on their way out."""

    def __init__(
        self, identity: Identity, store: AlarmStore, clock: Clock, later: Callable[[Callable[[], None]], None]
    ) -> None:
        """`later` runs something on the desk's thread; it may be called from any."""
        self._identity = identity
        self._store = store
        self._clock = clock
        self._later = later
        self._prune_at_ns = clock.mono_ns()
        self.looks_on: Callable[[rows.Delivery], None] = lambda _delivery: None
        """Told, on the desk's thread, of each alert that moved on its way."""
        self.dispatch = Dispatch(clock, self._delivery_moved, self._receipt_came)

    def bring_out(
        self,
        alerts: list[Alert],
        write: rows.Write,
        *,
        at_once: bool,
        after: Callable[[], None] | None,
        refused: Callable[[], None] | None = None,
    ) -> None:
        """Store a change with its alerts, and publish them; `after` is run once it is committed.

        `refused` is run instead, where there is one, when the change can never be stored.
        """
        bodies = tuple((alert, cloud_event(alert, self._identity)) for alert in alerts)
        at_once = at_once or not self._store.state().ok

        def done(then: Callable[[], None] | None) -> None:
            if not at_once:
                self._offer(bodies)
            if then is not None:
                then()

        def committed(result: Any) -> None:
            failed = isinstance(result, JobFailed)
            if failed:
                log.error("a change could not be stored: %s", result)
            self._later(partial(done, refused if failed and refused is not None else after))

        complete = replace(write, alerts=bodies, platforms=self.dispatch.platforms)
        if at_once:
            self._offer(bodies)
        self._store.submit(partial(rows.put, write=complete), committed)

    def fetch(self, platform: str) -> None:
        """Deliver what alarm.db holds for a platform."""
        self._store.submit(
            partial(rows.read_waiting, platform=platform, at_most=HELD_AT_MOST),
            lambda waiting: self._later(lambda: self.dispatch.restore(platform, waiting)),
        )

    def turn(self) -> None:
        """Whatever time alone brings: what is due again, what has room now, what is old."""
        self.dispatch.turn()
        for platform in self.dispatch.wants_more():
            self.fetch(platform)
        now_ns = self._clock.mono_ns()
        if now_ns >= self._prune_at_ns:
            self._prune_at_ns = now_ns + round(PRUNE_EVERY_S * 1e9)
            self._store.submit(partial(rows.prune, platforms=self.dispatch.platforms))

    def _offer(self, bodies: Iterable[tuple[Alert, dict[str, Any]]]) -> None:
        for alert, body in bodies:
            self.dispatch.offer(alert, body)

    def _delivery_moved(self, delivery: rows.Delivery) -> None:
        self._store.submit(partial(rows.put_delivery, delivery=delivery))
        self.looks_on(delivery)

    def _receipt_came(self, platform: str, receipt: Receipt, wall_ns: int) -> None:
        self._store.submit(
            lambda db: rows.put_receipt(db, platform, receipt.id, receipt.status, receipt.case_no, wall_ns)
        )
