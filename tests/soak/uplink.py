"""A broker and a platform in simulated time: late, broken off, repeating, and a consumer that keys on id."""

import json
import random
from collections import Counter, deque
from collections.abc import Callable
from typing import Any

from agent.delivery.mqtt import BrokerAnswered, Joined, Parted, ReceiptArrived, Report
from agent.delivery.payload import Topics

MS = 1_000_000
PLATFORM = "police"
BROKER = "mqtt://simulated"

TWICE = 0.02
"""Of the messages that the broker gives to the consumer: QoS 1 promises no less than once."""

RECEIPT_LOST = 0.03
ANSWER_LOST = 0.002
"""The broker's answer: the outbox then gives the connection up."""


class Uplink:
    """The route of one host after the other (delivery.dispatch.RouteLike), and what is behind it.

    `received` is the consumer's table: how often each (source, id) came; `presses` the ids among them that tell a press
    of a panic button.
    """

    def __init__(self, chance: random.Random) -> None:
        self.received: Counter[tuple[str, str]] = Counter()
        self.presses: dict[str, dict[str, Any]] = {}
        self.broker_up = True
        self.now_ns = 0
        self._chance = chance
        self._post: Callable[[Report], None] | None = None
        self._connection = 0
        self._connected = False
        self._dial_ns = 0
        self._packet = 0
        self._ids: dict[tuple[int, int], str] = {}
        self._under_way: deque[tuple[int, int, bytes]] = deque()

    # -- what happens to it --

    def attach(self, post: Callable[[Report], None]) -> None:
        """A host has started, and dials."""
        self._post = post
        self._connection = 0
        self._dial_ns = self.now_ns + self._chance.randrange(5, 300) * MS

    def detach(self) -> None:
        """The host is dead. Some of what it had sent still comes in."""
        self._post = None
        self._break_off()

    def lose(self) -> None:
        """The connection breaks."""
        if self._connected:
            self._break_off()
            assert self._post is not None
            self._post(Parted(PLATFORM, self._connection, BROKER, "the line was cut"))
        self._dial_ns = self.now_ns + self._chance.randrange(1000, 2000) * MS

    def turn(self) -> None:
        """Whatever has come to be by now."""
        if self._post is not None and not self._connected and self.broker_up and self.now_ns >= self._dial_ns:
            self._connection += 1
            self._connected = True
            self._post(Joined(PLATFORM, self._connection, BROKER))
        while self._under_way and self._under_way[0][0] <= self.now_ns:
            _, packet, message = self._under_way.popleft()
            receipt = self._take(message)
            if self._post is None:
                continue
            answers: list[Report] = []
            if self._chance.random() >= ANSWER_LOST:
                answers.append(BrokerAnswered(PLATFORM, self._connection, packet, 0))
            if self._chance.random() >= RECEIPT_LOST:
                answers.append(ReceiptArrived(PLATFORM, receipt, retained=False))
            self._chance.shuffle(answers)
            for answer in answers:
                self._post(answer)

    def next_ns(self) -> int | None:
        """When `turn` has something to do."""
        times = [self._under_way[0][0]] if self._under_way else []
        if self._post is not None and not self._connected and self.broker_up:
            times.append(self._dial_ns)
        return min(times, default=None)

    # -- the route --

    @property
    def platform(self) -> str:
        return PLATFORM

    @property
    def topics(self) -> Topics:
        return Topics("tyj/v1", "F0012", "edge-0001")

    def publish(self, alert_id: str, topic: str, message: bytes) -> bool:
        if not self._connected:
            return False
        self._packet += 1
        self._ids[(self._connection, self._packet)] = alert_id
        before_ns = self._under_way[-1][0] if self._under_way else 0
        due_ns = max(before_ns, self.now_ns + self._chance.randrange(1, 30) * MS)
        self._under_way.append((due_ns, self._packet, message))
        return True

    def tell(self, topic: str, message: dict[str, Any], retain: bool) -> None:
        """Nothing rests on its arrival."""

    def answered(self, report: BrokerAnswered) -> str | None:
        return self._ids.pop((report.connection, report.packet), None)

    def forget_connection(self, connection: int) -> None:
        self._ids = {key: value for key, value in self._ids.items() if key[0] > connection}

    def redial(self) -> None:
        self.lose()

    # -- the consumer --

    def _break_off(self) -> None:
        self._connected = False
        for _ in range(self._chance.randrange(len(self._under_way) + 1)):
            self._take(self._under_way.popleft()[2])
        self._under_way.clear()

    def _take(self, message: bytes) -> bytes:
        body = json.loads(message)
        key = (body["source"], body["id"])
        known = key in self.received
        self.received[key] += 2 if self._chance.random() < TWICE else 1
        if body["type"] == "cn.tyj.alarm.panic.v1" and body["data"]["state"] == "triggered":
            self.presses[body["id"]] = body
        status = "duplicate" if known else "accepted"
        return json.dumps({"id": body["id"], "status": status, "case_no": "J1", "platform": PLATFORM}).encode()
