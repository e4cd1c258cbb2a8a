"""A route without a network: it keeps what was published, and the test says what broker and platform answer."""

import json
from collections.abc import Callable
from typing import Any

from agent.delivery.mqtt import BrokerAnswered, Joined, Parted, ReceiptArrived, Report
from agent.delivery.payload import Topics


class ScriptedRoute:
    """One platform. Like the real route it publishes only while connected and answers from another thread's inbox."""

    def __init__(self, platform: str) -> None:
        self._platform = platform
        self._topics = Topics("tyj/v1", "F0012", "edge-0001")
        self._connection = 0
        self._connected = False
        self._packet = 0
        self._ids: dict[tuple[int, int], str] = {}
        self.published: list[tuple[str, dict[str, Any]]] = []
        self.told: list[tuple[str, dict[str, Any]]] = []
        self.post: Callable[[Report], None] = lambda _report: None
        self.answers = True
        self.receipts = True

    @property
    def platform(self) -> str:
        return self._platform

    @property
    def topics(self) -> Topics:
        return self._topics

    def connect(self) -> None:
        """The platform is reached."""
        self._connection += 1
        self._connected = True
        self.post(Joined(self._platform, self._connection, "mqtt://test"))

    def lose(self) -> None:
        """The connection breaks."""
        self._connected = False
        self.post(Parted(self._platform, self._connection, "mqtt://test", "the line was cut"))

    def receipt(self, alert_id: str, status: str = "accepted", retained: bool = False) -> None:
        """The platform answers."""
        message = {"id": alert_id, "status": status, "case_no": f"case-{alert_id[:4]}", "platform": self._platform}
        self.raw_receipt(json.dumps(message).encode(), retained)

    def raw_receipt(self, message: bytes, retained: bool = False) -> None:
        """Something comes on the receipt topic."""
        self.post(ReceiptArrived(self._platform, message, retained))

    def alerts(self, type_part: str = "", state: str = "") -> list[dict[str, Any]]:
        """What was published, newest last."""
        return [
            body
            for _, body in list(self.published)
            if type_part in body["type"] and state in str(body["data"].get("state"))
        ]

    def publish(self, alert_id: str, topic: str, message: bytes) -> bool:
        if not self._connected:
            return False
        self._packet += 1
        self._ids[(self._connection, self._packet)] = alert_id
        self.published.append((topic, json.loads(message)))
        if self.answers:
            self.post(BrokerAnswered(self._platform, self._connection, self._packet, 0))
            if self.receipts:
                self.receipt(alert_id)
        return True

    def tell(self, topic: str, message: dict[str, Any], retain: bool) -> None:
        if self._connected:
            self.told.append((topic, message))

    def answered(self, report: BrokerAnswered) -> str | None:
        return self._ids.pop((report.connection, report.packet), None)

    def forget_connection(self, connection: int) -> None:
        self._ids = {key: value for key, value in self._ids.items() if key[0] > connection}

    def redial(self) -> None:
        self.lose()
