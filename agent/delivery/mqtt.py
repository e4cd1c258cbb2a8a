"""The MQTT route to one platform: one connection at a time, made anew whenever it breaks.

Invariants
1. `publish` is called by the desk alone, and sends only while connected: nothing is left to a queue of the library,
   which loses it (the outbox keeps what waits).
2. Every connection is a new client with a number of its own (`connection`); a report of an older one is recognised.
3. Connected means: the broker accepted us and the subscription to receipts, and birth and state were published.
4. Brokers are tried in the order of the settings, from the first again after every loss, at least every 2 s.
"""

import json
import logging
import socket
import ssl
import threading
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from paho.mqtt.client import Client, ConnectFlags, DisconnectFlags, MQTTMessage
from paho.mqtt.enums import CallbackAPIVersion, MQTTErrorCode, MQTTProtocolVersion
from paho.mqtt.packettypes import PacketTypes
from paho.mqtt.properties import Properties
from paho.mqtt.reasoncodes import ReasonCode

from agent.clock import Clock
from agent.delivery.payload import CONTENT_TYPE, MAX_RECEIPT_BYTES, Topics
from agent.seldom import Seldom

log = logging.getLogger(__name__)

CONNECT_S: Final = 5.0
"""A broker that has not accepted us after this long is given up for now."""

AGAIN_S: Final = 1.0
"""The wait after all brokers were tried: with the time to connect, reconnecting stays within 2 s on a good line."""

_MAX_PACKET_BYTES = 65536
"""The broker is told to send us no longer ones: a receipt is short, and memory is not."""


@dataclass(frozen=True, slots=True)
class BrokerAddress:
    """One broker. `tls` as its URL says."""

    host: str
    port: int
    tls: bool

    def __str__(self) -> str:
        return f"{'mqtts' if self.tls else 'mqtt'}://{self.host}:{self.port}"


@dataclass(frozen=True, slots=True)
class TlsFiles:
    """A private authority, and our own certificate when the broker wants one."""

    authority: Path
    certificate: Path | None = None
    key: Path | None = None


@dataclass(frozen=True, slots=True)
class RouteTo:
    """Where one platform is reached and as whom. The password is read at every connection, so that it can change."""

    platform: str
    brokers: tuple[BrokerAddress, ...]
    topics: Topics
    client_id: str
    username: str | None = None
    password_file: Path | None = None
    tls: TlsFiles | None = None
    keepalive_s: int = 30


@dataclass(frozen=True, slots=True)
class Joined:
    """The platform can be published to, through this broker."""

    platform: str
    connection: int
    broker: str


@dataclass(frozen=True, slots=True)
class Parted:
    """The connection is gone, or was not to be had; `reason` in words of the library or the system."""

    platform: str
    connection: int
    broker: str
    reason: str


@dataclass(frozen=True, slots=True)
class BrokerAnswered:
    """The broker answered the publish with this packet number; `code` is the MQTT 5 reason code."""

    platform: str
    connection: int
    packet: int
    code: int


@dataclass(frozen=True, slots=True)
class ReceiptArrived:
    """Something came on the receipt topic. Not yet read: `message` may be anything."""

    platform: str
    message: bytes
    retained: bool


Report = Joined | Parted | BrokerAnswered | ReceiptArrived


class Route:
    """The way to one platform. Its thread `uplink-<platform>` dials; reports come from threads of its own."""

    def __init__(
        self, to: RouteTo, report: Callable[[Report], None], birth: Callable[[], dict[str, Any]], clock: Clock
    ) -> None:
        """`report` must not wait. `birth` gives what is published, retained, at every connection."""
        self._to = to
        self._report = report
        self._birth = birth
        self._clock = clock
        self._stop = threading.Event()
        self._ended = threading.Event()
        self._client: Client | None = None
        self._connection = 0
        self._published: dict[tuple[int, int], str] = {}
        self._seldom = Seldom(log, clock)
        self._thread = threading.Thread(target=self._run, name=f"uplink-{to.platform}", daemon=True)

    @property
    def platform(self) -> str:
        return self._to.platform

    @property
    def topics(self) -> Topics:
        return self._to.topics

    def start(self) -> None:
        """Begin to dial."""
        self._thread.start()

    def stop(self, timeout_s: float = 5.0) -> None:
        """Say good-bye and stop. Raises RuntimeError when the thread hangs."""
        self._stop.set()
        self._ended.set()
        self._thread.join(timeout_s)
        if self._thread.is_alive():
            raise RuntimeError(f"the route to {self.platform} did not stop")

    def redial(self) -> None:
        """Give this connection up and make another."""
        self._ended.set()

    def publish(self, alert_id: str, topic: str, message: bytes) -> bool:
        """Publish an alert at QoS 1. False when the connection is gone by now: a `Parted` is on its way."""
        client, connection = self._client, self._connection
        if client is None:
            return False
        properties = Properties(PacketTypes.PUBLISH)  # type: ignore[no-untyped-call]  # paho leaves it untyped
        properties.ContentType = CONTENT_TYPE
        properties.ResponseTopic = self._to.topics.receipt
        properties.CorrelationData = alert_id.encode()
        info = client.publish(topic, message, qos=1, retain=False, properties=properties)
        if info.rc is not MQTTErrorCode.MQTT_ERR_SUCCESS:
            return False
        self._published[(connection, info.mid)] = alert_id
        return True

    def tell(self, topic: str, message: dict[str, Any], retain: bool) -> None:
        """Publish state or telemetry at QoS 0 if connected; nothing rests on its arrival."""
        client = self._client
        if client is not None:
            client.publish(topic, json.dumps(message, ensure_ascii=False).encode(), qos=0, retain=retain)

    def answered(self, report: BrokerAnswered) -> str | None:
        """The id of the alert whose publish was answered; None for one of an older connection. Called by the desk."""
        return self._published.pop((report.connection, report.packet), None)

    def forget_connection(self, connection: int) -> None:
        """Drop what was published on a connection that is gone. Called by the desk."""
        self._published = {key: value for key, value in self._published.items() if key[0] > connection}

    def _run(self) -> None:
        index = 0
        while not self._stop.is_set():
            broker = self._to.brokers[index]
            was_joined = self._talk(broker)
            if self._stop.is_set():
                return
            index = 0 if was_joined else (index + 1) % len(self._to.brokers)
            if index == 0:
                self._clock.wait(self._stop, AGAIN_S)

    def _talk(self, broker: BrokerAddress) -> bool:
        """One connection from its beginning to its end; True when it was one."""
        self._connection += 1
        number = self._connection
        self._ended.clear()
        if self._stop.is_set():  # asked after the clearing, or a stop in between would be lost
            return False
        joined = threading.Event()
        reasons: list[str] = []
        client: Client | None = None
        tls: _Context | None = None
        try:
            client = self._new_client(number, joined, reasons)
            if broker.tls:
                tls = _tls_context(self._to.tls)
                client.tls_set_context(tls)
            limits = Properties(PacketTypes.CONNECT)  # type: ignore[no-untyped-call]  # paho leaves it untyped
            limits.MaximumPacketSize = _MAX_PACKET_BYTES
            client.connect(broker.host, broker.port, self._to.keepalive_s, clean_start=True, properties=limits)
            client.loop_start()
            if not self._joined_in_time(joined):
                if not reasons:
                    reasons.append(f"no answer within {CONNECT_S:g} s")
            else:
                self._client = client
                self._report(Joined(self.platform, number, str(broker)))
                self._seldom.say(logging.INFO, "joined", f"platform {self.platform}: connected to {broker}")
                # The wait is long because `_ended` is set by whatever ends the connection.
                while not self._clock.wait(self._ended, 3600):
                    pass
        except (OSError, ValueError) as error:
            reasons.append(str(error))
        except Exception as error:  # noqa: BLE001  # the top of a connection: the next one may do
            reasons.append(f"{type(error).__name__}: {error}")
            self._seldom.say(logging.ERROR, "fault", f"platform {self.platform}: {error!r}", error)
        finally:
            self._client = None
            if client is not None:
                self._part(client, self._stop.is_set() and joined.is_set())
            if tls is not None and tls.made is not None:
                tls.made.close()
        reason = "; ".join(dict.fromkeys(reasons)) or "given up"
        if not self._stop.is_set():
            text = f"platform {self.platform}: {broker}: {reason}"
            self._seldom.say(logging.WARNING, f"parted {broker}", text)
        self._report(Parted(self.platform, number, str(broker), reason))
        return joined.is_set()

    def _joined_in_time(self, joined: threading.Event) -> bool:
        end_ns = self._clock.mono_ns() + round(CONNECT_S * 1e9)
        while not joined.is_set() and not self._ended.is_set() and self._clock.mono_ns() < end_ns:
            self._clock.wait(joined, 0.05)
        return joined.is_set() and not self._ended.is_set()

    def _part(self, client: Client, in_order: bool) -> None:
        if in_order:
            client.publish(self._to.topics.connection, json.dumps({"online": False, "reason": "stopped"}), 1, True)
        client.disconnect()
        client.loop_stop()

    def _new_client(self, number: int, joined: threading.Event, reasons: list[str]) -> Client:
        to = self._to
        client = Client(
            CallbackAPIVersion.VERSION2,
            client_id=to.client_id,
            protocol=MQTTProtocolVersion.MQTTv5,
            reconnect_on_failure=False,
        )
        client.connect_timeout = CONNECT_S
        client.max_inflight_messages = 65535  # the outbox limits; here nothing may wait behind the rest
        if to.username is not None:
            password = to.password_file.read_text(encoding="utf-8").strip() if to.password_file else None
            client.username_pw_set(to.username, password)
        client.will_set(to.topics.connection, json.dumps({"online": False, "reason": "lost"}), qos=1, retain=True)

        def on_socket_open(_c: Client, _u: Any, opened: Any) -> None:
            if isinstance(opened, socket.socket):
                # Without this a publish behind an unacknowledged packet waits 40 ms for the peer's delayed ACK.
                opened.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)

        def on_connect(_c: Client, _u: Any, _flags: ConnectFlags, code: ReasonCode, _p: Properties | None) -> None:
            if code.is_failure:
                reasons.append(f"refused: {code}")
                self._ended.set()
                return
            client.subscribe(to.topics.receipt, qos=1)

        def on_subscribe(_c: Client, _u: Any, _mid: int, codes: list[ReasonCode], _p: Properties | None) -> None:
            if any(code.is_failure for code in codes):
                reasons.append(f"receipts refused: {codes[0]}")
                self._ended.set()
                return
            client.publish(to.topics.birth, json.dumps(self._birth(), ensure_ascii=False), qos=1, retain=True)
            client.publish(to.topics.connection, json.dumps({"online": True}), qos=1, retain=True)
            joined.set()

        def on_publish(_c: Client, _u: Any, mid: int, code: ReasonCode, _p: Properties | None) -> None:
            self._report(BrokerAnswered(self.platform, number, mid, code.value))

        def on_message(_c: Client, _u: Any, message: MQTTMessage) -> None:
            if message.topic == to.topics.receipt:
                self._report(
                    ReceiptArrived(self.platform, bytes(message.payload[: MAX_RECEIPT_BYTES + 1]), message.retain)
                )

        def on_disconnect(
            _c: Client, _u: Any, _flags: DisconnectFlags, code: ReasonCode, _p: Properties | None
        ) -> None:
            reasons.append(str(code))
            self._ended.set()

        client.on_socket_open = on_socket_open
        client.on_connect = on_connect
        client.on_subscribe = on_subscribe
        client.on_publish = on_publish
        client.on_message = on_message
        client.on_disconnect = on_disconnect
        return client


class _Context(ssl.SSLContext):
    """A client context that knows the socket it made last: paho drops one whose handshake fails without closing it."""

    made: ssl.SSLSocket | None = None

    def wrap_socket(self, *args: Any, **more: Any) -> ssl.SSLSocket:
        self.made = super().wrap_socket(*args, **more)
        return self.made


def _tls_context(files: TlsFiles | None) -> _Context:
    context = _Context(ssl.PROTOCOL_TLS_CLIENT)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    if files is None:
        context.load_default_certs()
    else:
        context.load_verify_locations(files.authority)
        if files.certificate is not None:
            context.load_cert_chain(files.certificate, files.key)
    return context
