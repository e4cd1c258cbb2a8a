"""All platforms: an outbox and a route each. Used by the alarm desk's thread alone.

Invariants
1. Every platform has its own outbox: a slow one never delays another.
2. An alert's message stays here until every platform is done with it.
3. At most `HELD_AT_MOST` messages are held for a platform; above that all but alarms of priority 1 wait for it in
   alarm.db (`wants_more`). Another platform does not notice.
"""

import logging
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Final, Protocol

from agent.clock import Clock
from agent.delivery import mqtt, outbox
from agent.delivery.payload import Alert, BadReceipt, Receipt, Topics, read_receipt, to_bytes
from agent.delivery.rows import Delivery, Waiting
from agent.facts import ConditionKind
from agent.seldom import Seldom

log = logging.getLogger(__name__)

HELD_AT_MOST: Final = 5000
"""Messages in memory for one platform: about 5 MB, which platforms share."""

FEW: Final = 500
"""Fewer than this held for a platform: more are taken from alarm.db."""

HISTORICAL_AFTER_S: Final = 5.0
"""Sent for the first time later than this after it was made: the platform was not reached."""

UPLINK_DOWN_AFTER_S: Final = 5.0
"""A platform not reached for this long is a fault: reconnecting takes 2 s on a good line."""

STEADY_AFTER_S: Final = 5.0
"""A connection that lasts this long is one, although the broker had nothing to acknowledge."""

FLAPPING_AFTER_S: Final = 30.0
"""Connections that all break before they are steady, and none of which delivers anything: a fault after this long."""

_NEW: Final = 1 << 40
"""Order of alerts of this start: behind all that was stored before."""


class RouteLike(Protocol):
    """What is needed of a route (delivery.mqtt.Route)."""

    @property
    def platform(self) -> str: ...

    @property
    def topics(self) -> Topics: ...

    def publish(self, alert_id: str, topic: str, message: bytes) -> bool: ...

    def tell(self, topic: str, message: dict[str, Any], retain: bool) -> None: ...

    def answered(self, report: mqtt.BrokerAnswered) -> str | None: ...

    def forget_connection(self, connection: int) -> None: ...

    def redial(self) -> None: ...


@dataclass(slots=True)
class _Held:
    alert_class: str
    body: dict[str, Any]
    made_ns: int
    left: set[str]


@dataclass(slots=True)
class _Uplink:
    role: str
    route: RouteLike
    outbox: outbox.Outbox
    down_ns: int | None
    """Since when the platform has not been reached for certain (monotonic); None while it is."""
    joined_ns: int = 0
    left_in_store: bool = False
    broker: str = ""
    reason: str = ""
    receipted: int = 0


@dataclass(frozen=True, slots=True)
class Trouble:
    """Whether a fault of delivery lasts now; None: not known yet after the start."""

    kind: ConditionKind
    subject: str
    active: bool | None
    detail: dict[str, str | int | float | bool]


class Dispatch:
    """What goes to which platform, and what became of it."""

    def __init__(
        self, clock: Clock, moved: Callable[[Delivery], None], receipted: Callable[[str, Receipt, int], None]
    ) -> None:
        """`moved` stores where an alert stands; `receipted` remembers a platform's receipt at UTC ns."""
        self._clock = clock
        self._moved = moved
        self._receipted = receipted
        self._uplinks: dict[str, _Uplink] = {}
        self._held: dict[str, _Held] = {}
        self._order = _NEW
        self._seldom = Seldom(log, clock)

    def add(self, route: RouteLike, role: str, receipts_required: bool) -> None:
        """Deliver to this platform too."""
        box = outbox.Outbox(receipts_required)
        self._uplinks[route.platform] = _Uplink(role, route, box, self._clock.mono_ns())

    @property
    def platforms(self) -> tuple[str, ...]:
        return tuple(self._uplinks)

    def offer(self, alert: Alert, body: dict[str, Any]) -> None:
        """Deliver an alert to every platform, now to those that are connected."""
        if alert.id in self._held:
            return
        takers = {name for name, each in self._uplinks.items() if alert.priority == 1 or _has_room(each)}
        for name in self._uplinks.keys() - takers:
            self._uplinks[name].left_in_store = True
        if not takers:
            return
        self._order += 1
        self._held[alert.id] = _Held(alert.alert_class, body, self._clock.mono_ns(), set(takers))
        for platform in self._uplinks:
            if platform in takers:
                self._step(platform, outbox.Add(alert.id, alert.priority, self._order))

    def restore(self, platform: str, waiting: Sequence[Waiting]) -> None:
        """Deliver what was stored and not receipted: the first `HELD_AT_MOST` of it, or all."""
        added: list[Waiting] = []
        for each in waiting:
            held = self._held.setdefault(each.event_id, _Held(each.alert_class, each.body, -1, set()))
            if platform not in held.left:
                held.left.add(platform)
                added.append(each)
        for each in added:
            self._step(platform, outbox.Add(each.event_id, each.priority, each.order))
        self._uplinks[platform].left_in_store = len(waiting) >= HELD_AT_MOST

    def wants_more(self) -> list[str]:
        """Platforms for which alerts wait in alarm.db, and there is room here. Asked once: the answer is heard."""
        wanting = [name for name, each in self._uplinks.items() if each.left_in_store and len(each.outbox) < FEW]
        for name in wanting:
            self._uplinks[name].left_in_store = False
        return wanting

    def take(self, report: mqtt.Report) -> None:
        """What a route reported."""
        uplink = self._uplinks[report.platform]
        match report:
            case mqtt.Joined():
                uplink.broker, uplink.reason = report.broker, ""
                uplink.joined_ns = self._clock.mono_ns()
                self._step(report.platform, outbox.Connected())
            case mqtt.Parted():
                self._parted(uplink)
                uplink.broker, uplink.reason = "", f"{report.broker}: {report.reason}"
                uplink.route.forget_connection(report.connection)
                self._step(report.platform, outbox.Lost())
            case mqtt.BrokerAnswered():
                alert_id = uplink.route.answered(report)
                if alert_id is not None:
                    if report.code < outbox.FIRST_ERROR:
                        uplink.down_ns = None
                    self._step(report.platform, outbox.Acked(alert_id, report.code))
            case mqtt.ReceiptArrived():
                self._receipt(uplink, report)

    def turn(self) -> None:
        """Send what is due again."""
        for platform in self._uplinks:
            self._step(platform, outbox.Tick())

    def next_due_ns(self) -> int | None:
        """When `turn` will next have something to do (monotonic)."""
        due = [ns for each in self._uplinks.values() if (ns := each.outbox.next_due_ns()) is not None]
        return min(due, default=None)

    def tell(self, topic: Callable[[Topics], str], message: dict[str, Any], retain: bool = False) -> None:
        """State or telemetry to every platform that is connected."""
        for uplink in self._uplinks.values():
            uplink.route.tell(topic(uplink.route.topics), message, retain)

    def troubles(self) -> list[Trouble]:
        """Every fault of delivery, whether it lasts or not."""
        now_ns = self._clock.mono_ns()
        troubles = []
        for platform, uplink in self._uplinks.items():
            refusals = uplink.outbox.refusals()
            refused = [code for code in refusals if code >= outbox.FIRST_ERROR]
            down = self._is_down(uplink, now_ns)
            detail: dict[str, str | int | float | bool] = {"reason": uplink.reason}
            if refused:
                detail = {"reason": f"broker refuses alerts with reason code 0x{refused[0]:02x}"}
            subject = f"platform/{platform}"
            troubles.append(Trouble(ConditionKind.UPLINK_DOWN, subject, True if refused else down, detail))
            missing_s = uplink.outbox.receipt_missing_s(now_ns)
            missing: bool | None = missing_s > outbox.RECEIPT_MISSING_AFTER_S
            if not missing and not uplink.receipted and len(uplink.outbox):
                missing = None
            detail = {"waiting": uplink.outbox.unreceipted, "no_subscriber": outbox.NO_SUBSCRIBER in refusals}
            troubles.append(Trouble(ConditionKind.RECEIPT_MISSING, subject, missing, detail))
        return troubles

    def status(self) -> list[dict[str, Any]]:
        """The platforms as the verb `status` shows them."""
        now = self._clock.mono_ns()
        wall = self._clock.wall_ns()
        states = []
        for platform, uplink in self._uplinks.items():
            made = [each.made_ns for each in self._held.values() if platform in each.left and each.made_ns >= 0]
            state: dict[str, Any] = {
                "id": platform,
                "role": uplink.role,
                "connected": uplink.outbox.connected,
                "broker": uplink.broker,
                "reason": uplink.reason,
                "waiting": len(uplink.outbox),
                "unreceipted": uplink.outbox.unreceipted,
                "receipted": uplink.receipted,
                "oldest_waiting_ns": wall - (now - min(made)) if made else None,
            }
            states.append(state)
        return states

    def _is_down(self, uplink: _Uplink, now_ns: int) -> bool | None:
        """None: it cannot be said yet. A connection counts once it has lasted or delivered something."""
        connected = uplink.outbox.connected
        if connected and now_ns - uplink.joined_ns > STEADY_AFTER_S * 1e9:
            uplink.down_ns = None
        if uplink.down_ns is None:
            return False
        after_s = FLAPPING_AFTER_S if connected else UPLINK_DOWN_AFTER_S
        return True if now_ns - uplink.down_ns > after_s * 1e9 else None

    def _parted(self, uplink: _Uplink) -> None:
        if uplink.down_ns is None:
            uplink.down_ns = self._clock.mono_ns()

    def _receipt(self, uplink: _Uplink, report: mqtt.ReceiptArrived) -> None:
        if report.retained:
            text = f"platform {report.platform}: a retained receipt was ignored"
            self._seldom.say(logging.WARNING, f"retained {report.platform}", text)
            return
        try:
            receipt = read_receipt(report.message)
        except BadReceipt as error:
            text = f"platform {report.platform}: no receipt: {error}"
            self._seldom.say(logging.WARNING, f"no receipt {report.platform}", text)
            return
        if receipt.id not in uplink.outbox:
            return
        self._receipted(report.platform, receipt, self._clock.wall_ns())
        if receipt.status == "rejected":
            log.error("platform %s rejected alert %s", report.platform, receipt.id)
        self._step(report.platform, outbox.Receipted(receipt.id, receipt.status, receipt.case_no))

    def _step(self, platform: str, fact: outbox.Fact) -> None:
        uplink = self._uplinks[platform]
        for result in uplink.outbox.step(fact, self._clock.mono_ns()):
            match result:
                case outbox.Send():
                    self._send(uplink, result)
                case outbox.Moved():
                    self._done(platform, uplink, result)
                case outbox.Redial():
                    text = f"platform {platform}: the broker acknowledges nothing; connecting anew"
                    self._seldom.say(logging.WARNING, f"redial {platform}", text)
                    self._parted(uplink)
                    uplink.route.redial()

    def _send(self, uplink: _Uplink, send: outbox.Send) -> None:
        held = self._held[send.id]
        waited_ns = self._clock.mono_ns() - held.made_ns
        historical = held.made_ns < 0 or (send.attempt == 1 and waited_ns > HISTORICAL_AFTER_S * 1e9)
        message = to_bytes(held.body, historical)
        route = uplink.route
        try:
            route.publish(send.id, route.topics.event(held.alert_class), message)
        except Exception as error:  # noqa: BLE001  # the other platform and the disk are still to come
            text = f"platform {route.platform}: a fault in publishing; connecting anew"
            self._seldom.say(logging.ERROR, f"publish {route.platform}", text, error)
            route.redial()

    def _done(self, platform: str, uplink: _Uplink, moved: outbox.Moved) -> None:
        wall_ns = self._clock.wall_ns()
        receipted = moved.state is outbox.State.RECEIPTED
        # A receipt may overtake the broker's acknowledgement; the earlier of the two is kept.
        published_ns = 0 if moved.state is outbox.State.FAILED else wall_ns
        receipted_ns = wall_ns if receipted else 0
        delivery = Delivery(moved.id, platform, str(moved.state), moved.last, published_ns, receipted_ns, moved.case_no)
        self._moved(delivery)
        if moved.last:
            uplink.receipted += receipted
            held = self._held.get(moved.id)
            if held is not None:
                held.left.discard(platform)
                if not held.left:
                    del self._held[moved.id]


def _has_room(uplink: _Uplink) -> bool:
    return len(uplink.outbox) < HELD_AT_MOST
