"""One contract for routes, on two different brokers."""

import base64
import hashlib
import json
import logging
import queue
import socket
import subprocess
import threading
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from paho.mqtt.client import Client, MQTTMessage
from paho.mqtt.enums import CallbackAPIVersion, MQTTProtocolVersion

from agent.clock import SystemClock
from agent.delivery.mqtt import (
    BrokerAddress,
    BrokerAnswered,
    Joined,
    Parted,
    ReceiptArrived,
    Report,
    Route,
    RouteTo,
    TlsFiles,
)
from agent.delivery.outbox import NO_SUBSCRIBER
from agent.delivery.payload import Topics
from tests.fakes.broker import LoopbackBroker, free_port

PROGRAMS = [pytest.param("mosquitto", marks=pytest.mark.needs_debian("mosquitto")), "iotcore"]
_TOPICS = Topics("tyj/v1", "F0012", "edge-0001")


@pytest.fixture(params=PROGRAMS)
def broker(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[LoopbackBroker]:
    with LoopbackBroker(tmp_path, request.param) as broker:
        yield broker


class _Line:
    """A route and what it reported."""

    def __init__(self, *ports: int, brokers: tuple[BrokerAddress, ...] = (), **more: Any) -> None:
        self.reports: queue.SimpleQueue[Report] = queue.SimpleQueue()
        brokers = brokers or tuple(BrokerAddress("127.0.0.1", port, tls=False) for port in ports)
        to = RouteTo("police", brokers, _TOPICS, "F0012.edge-0001.police", keepalive_s=5, **more)
        self.route = Route(to, self.reports.put, lambda: {"first_seq": 1}, SystemClock())

    def __enter__(self) -> "_Line":
        self.route.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.route.stop()

    def wait(self, kind: type[Report]) -> Any:
        """The next report of a kind."""
        while True:
            report = self.reports.get(timeout=15)
            if isinstance(report, kind):
                return report


class _Subscriber:
    """Somebody at the platform's end."""

    def __init__(self, port: int, *topics: str) -> None:
        self.messages: queue.SimpleQueue[MQTTMessage] = queue.SimpleQueue()
        ready = threading.Event()
        self.client = Client(CallbackAPIVersion.VERSION2, client_id="someone", protocol=MQTTProtocolVersion.MQTTv5)
        self.client.on_message = lambda _c, _u, message: self.messages.put(message)
        self.client.on_subscribe = lambda *_: ready.set()
        self.client.connect("127.0.0.1", port)
        self.client.loop_start()
        self.client.subscribe([(topic, 1) for topic in topics])
        assert ready.wait(10)

    def __enter__(self) -> "_Subscriber":
        return self

    def __exit__(self, *_: object) -> None:
        self.client.disconnect()
        self.client.loop_stop()


def test_publishes_and_hears_the_brokers_answer(broker: LoopbackBroker) -> None:
    with _Line(broker.port) as line, _Subscriber(broker.port, _TOPICS.event("alarm")) as subscriber:
        joined = line.wait(Joined)
        assert line.route.publish("the-id", _TOPICS.event("alarm"), b'{"id": "the-id"}')
        message = subscriber.messages.get(timeout=10)
        assert (message.payload, message.qos, message.retain) == (b'{"id": "the-id"}', 1, False)
        answered = line.wait(BrokerAnswered)
        while (found := line.route.answered(answered)) is None:  # birth and state are answered too
            answered = line.wait(BrokerAnswered)
        assert (found, answered.code, answered.connection) == ("the-id", 0, joined.connection)


def test_carries_the_properties_of_the_contract(broker: LoopbackBroker) -> None:
    with _Line(broker.port) as line, _Subscriber(broker.port, _TOPICS.event("alarm")) as subscriber:
        line.wait(Joined)
        line.route.publish("the-id", _TOPICS.event("alarm"), b"{}")
        properties = subscriber.messages.get(timeout=10).properties
        got = vars(properties)
    assert got["ContentType"] == "application/cloudevents+json"
    assert got["ResponseTopic"] == _TOPICS.receipt
    assert got["CorrelationData"] == b"the-id"
    assert "MessageExpiryInterval" not in got


def test_birth_and_state_are_retained(broker: LoopbackBroker) -> None:
    with _Line(broker.port) as line:
        while line.wait(BrokerAnswered).packet < 3:  # subscribe, birth, state; may come before Joined is told
            pass
        with _Subscriber(broker.port, _TOPICS.birth, _TOPICS.connection) as subscriber:
            got = {message.topic: json.loads(message.payload) for message in _take(subscriber, 2)}
    assert got == {_TOPICS.birth: {"first_seq": 1}, _TOPICS.connection: {"online": True}}


def test_the_last_will_and_the_good_bye(broker: LoopbackBroker) -> None:
    with _Subscriber(broker.port, _TOPICS.connection) as subscriber, _Line(broker.port) as line:
        line.wait(Joined)
        assert json.loads(subscriber.messages.get(timeout=10).payload) == {"online": True}
        line.route.stop()
        assert json.loads(subscriber.messages.get(timeout=10).payload) == {"online": False, "reason": "stopped"}


def test_receipts_arrive_and_other_topics_do_not(broker: LoopbackBroker) -> None:
    with _Line(broker.port) as line, _Subscriber(broker.port, "nothing") as platform:
        line.wait(Joined)
        platform.client.publish("tyj/v1/F0012/edge-0001/down/other", b"no", qos=1)
        platform.client.publish(_TOPICS.receipt, b'{"id": "x"}', qos=1)
        assert line.wait(ReceiptArrived) == ReceiptArrived("police", b'{"id": "x"}', retained=False)


def test_connects_again_within_two_seconds_of_the_broker(broker: LoopbackBroker) -> None:
    clock = SystemClock()
    with _Line(broker.port) as line:
        first = line.wait(Joined)
        broker.kill()
        assert line.wait(Parted).connection == first.connection
        assert not line.route.publish("lost", _TOPICS.event("alarm"), b"{}"), "published while not connected"
        broker.start()
        started_ns = clock.mono_ns()
        second = line.wait(Joined)
        assert (clock.mono_ns() - started_ns) / 1e9 < 2.5
        assert second.connection > first.connection


def test_brokers_are_tried_in_order(broker: LoopbackBroker) -> None:
    with _Line(free_port(), broker.port) as line:
        assert "refused" in line.wait(Parted).reason.lower()
        assert line.wait(Joined).broker == f"mqtt://127.0.0.1:{broker.port}"


@pytest.mark.needs_debian("mosquitto")
def test_a_forbidden_topic_and_nobody_there_are_told_by_reason_code(tmp_path: Path) -> None:
    rights = tmp_path / "rights"
    rights.write_text(f"topic readwrite tyj/v1/#\ntopic deny {_TOPICS.event('ai')}\n", encoding="utf-8")
    with (
        LoopbackBroker(tmp_path / "broker", more=f"acl_file {rights}") as broker,
        _Line(broker.port) as line,
    ):
        line.wait(Joined)
        codes: dict[str, int] = {}
        # The forbidden one last: mosquitto 2.0.11 ends the connection over it.
        for name, topic in (("nobody", _TOPICS.event("fault")), ("forbidden", _TOPICS.event("ai"))):
            line.route.publish(name, topic, b"{}")
            while name not in codes:
                answered = line.wait(BrokerAnswered)
                found = line.route.answered(answered)
                if found is not None:
                    codes[found] = answered.code
    assert codes == {"forbidden": 0x87, "nobody": NO_SUBSCRIBER}


@pytest.mark.needs_debian("mosquitto")
def test_a_wrong_password_is_told_and_a_right_one_is_taken_without_a_restart(tmp_path: Path) -> None:
    secret = tmp_path / "password"
    secret.write_text("wrong\n", encoding="utf-8")
    users = tmp_path / "users"
    users.write_text(_hashed("edge", "right"), encoding="utf-8")
    more = f"allow_anonymous false\npassword_file {users}"
    with (
        LoopbackBroker(tmp_path / "broker", more=more) as broker,
        _Line(broker.port, username="edge", password_file=secret) as line,
    ):
        assert "not authorized" in line.wait(Parted).reason.lower()
        secret.write_text("right\n", encoding="utf-8")
        line.wait(Joined)


@pytest.mark.needs_debian("mosquitto", "openssl")
def test_mutual_tls_and_a_broker_of_another_authority(tmp_path: Path) -> None:
    ours, theirs = _authority(tmp_path / "ours"), _authority(tmp_path / "theirs")
    for name in ("localhost", "edge-0001"):
        _certificate(ours, name)
    more = f"cafile {ours / 'ca.pem'}\ncertfile {ours / 'localhost.pem'}\nkeyfile {ours / 'localhost.key'}\n"
    more += "require_certificate true"
    files = TlsFiles(ours / "ca.pem", ours / "edge-0001.pem", ours / "edge-0001.key")
    with LoopbackBroker(tmp_path / "broker", more=more) as broker:
        address = (BrokerAddress("127.0.0.1", broker.port, tls=True),)
        with _Line(brokers=address, tls=files) as line:
            line.wait(Joined)
        with _Line(brokers=address, tls=replace(files, authority=theirs / "ca.pem")) as line:
            assert "certificate verify failed" in line.wait(Parted).reason.lower()
        with _Line(brokers=address, tls=TlsFiles(ours / "ca.pem")) as line:
            line.wait(Parted)


def _authority(folder: Path) -> Path:
    folder.mkdir()
    _openssl(
        folder,
        "req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -days 2 -subj /CN=test"
        " -keyout ca.key -out ca.pem",
    )
    return folder


def _certificate(authority: Path, name: str) -> None:
    (authority / "san").write_text("subjectAltName=IP:127.0.0.1\n", encoding="utf-8")
    _openssl(
        authority,
        f"req -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -subj /CN={name} -keyout {name}.key -out {name}.csr",
    )
    _openssl(
        authority,
        f"x509 -req -in {name}.csr -CA ca.pem -CAkey ca.key -CAcreateserial -days 2 -extfile san -out {name}.pem",
    )


def _openssl(folder: Path, arguments: str) -> None:
    subprocess.run(["openssl", *arguments.split()], cwd=folder, check=True, capture_output=True)


def _hashed(user: str, password: str) -> str:
    """A line of mosquitto's password file: PBKDF2 with SHA-512, 101 rounds (mosquitto_passwd(1))."""
    salt = b"0123456789ab"
    made = hashlib.pbkdf2_hmac("sha512", password.encode(), salt, 101)
    return f"{user}:$7$101${base64.b64encode(salt).decode()}${base64.b64encode(made).decode()}\n"


def _take(subscriber: _Subscriber, count: int) -> list[MQTTMessage]:
    return [subscriber.messages.get(timeout=10) for _ in range(count)]


_PACKETS = {
    "a packet that ends in the middle of its properties": bytes.fromhex("30 06 00 01 61 05 01 00"),
    "a property that does not exist": bytes.fromhex("30 06 00 01 61 02 7f 00"),
    "a reserved type": bytes.fromhex("f0 02 00 00"),
}


@pytest.mark.parametrize("packet", _PACKETS.values(), ids=_PACKETS)
def test_a_broker_that_breaks_the_rules_is_left_and_tried_again_without_a_flood_of_lines(
    packet: bytes, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO)
    joined = bytes.fromhex("20 03 00 00 00"), bytes.fromhex("90 04 00 01 00 01")
    with socket.create_server(("127.0.0.1", 0)) as listener, _Line(listener.getsockname()[1]) as line:
        listener.settimeout(10)
        for _ in range(2):
            connection, _ = listener.accept()
            with connection:
                connection.settimeout(10)
                for answer in joined:
                    connection.recv(4096)
                    connection.sendall(answer)
                line.wait(Joined)
                connection.sendall(packet)
                line.wait(Parted)
    assert len(caplog.messages) == 2, "one line for the connection, one for its end"


@pytest.mark.needs_debian("mosquitto")
def test_a_receipt_of_megabytes_is_not_sent_to_us(tmp_path: Path) -> None:
    with LoopbackBroker(tmp_path) as broker, _Line(broker.port) as line:
        line.wait(Joined)
        somebody = _Subscriber(broker.port, "unrelated")
        for message in (b"x" * 3_000_000, b"short"):
            somebody.client.publish(_TOPICS.receipt, message, qos=1)
        assert line.wait(ReceiptArrived).message == b"short"
        somebody.client.disconnect()
        somebody.client.loop_stop()
