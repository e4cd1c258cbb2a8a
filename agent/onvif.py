"""Asks a device by ONVIF which streams it has and where they are. Only what `onvif://` addresses need.

Invariants
1. An answer is bounded in length and in time; nothing of it is executed, expanded or trusted.
2. User and password go to the device as digests only, and are in no error text.
"""

import hashlib
import http.client
import re
import secrets
import socket
import uuid
import xml.etree.ElementTree as ET
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Final
from urllib.parse import urlsplit

from agent import onvif_messages as messages
from agent.camera_address import Address
from agent.camera_words import Why, detail
from agent.clock import Clock
from agent.onvif_messages import BadAnswer, Device, Profile

SCHEME: Final = "onvif://"

PATIENCE_S: Final = 6.0
"""For all questions about one stream together: as long as a camera is given to show a stream."""

_PORT: Final = 80
_DEVICE_PATH: Final = "/onvif/device_service"
_GROUP: Final = ("239.255.255.250", 3702)


class OnvifFailed(Exception):
    """The device gave no stream. The text is a detail of `camera_words`; `refused`: for the sake of the password."""

    def __init__(self, text: str, refused: bool = False) -> None:
        super().__init__(text)
        self.refused = refused


@dataclass(frozen=True, slots=True)
class Offer:
    """What a device offers: its profiles, and by which service they are asked for."""

    profiles: tuple[Profile, ...]
    namespace: str
    service: str


def stream_address(address: Address, clock: Clock, patience_s: float = PATIENCE_S) -> Address:
    """The RTSP address behind an `onvif://host[:port][/profile token]` one. Raises OnvifFailed, or NoPassword."""
    asking = _Asking(address, clock, patience_s)
    offer = asking.offer()
    profile = messages.choose(offer.profiles, address.profile, urlsplit(address.url).path.strip("/"))
    if profile is None:
        raise OnvifFailed(detail(Why.NO_PROFILE))
    return address.at(asking.stream(offer, profile))


def offered(address: Address, clock: Clock, patience_s: float = PATIENCE_S) -> list[tuple[Profile, str]]:
    """Every profile of a device that can be recorded, with its RTSP address. Raises as `stream_address`."""
    asking = _Asking(address, clock, patience_s)
    offer = asking.offer()
    return [(each, asking.stream(offer, each)) for each in offer.profiles]


def discover(clock: Clock, wait_s: float = 3.0, interface: str = "") -> list[Device]:
    """The devices that answer a search on the network, by the address of `interface`, or the system's choice.
    Raises OSError."""
    found: dict[tuple[str, ...], Device] = {}
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as asking:
        asking.setsockopt(socket.IPPROTO_IP, socket.IP_MULTICAST_TTL, 1)
        if interface:
            asking.setsockopt(socket.IPPROTO_IP, socket.IP_MULTICAST_IF, socket.inet_aton(interface))
        asking.sendto(messages.search(f"urn:uuid:{uuid.uuid4()}"), _GROUP)
        deadline_ns = clock.mono_ns() + round(wait_s * 1e9)
        while (left_s := (deadline_ns - clock.mono_ns()) / 1e9) > 0 and len(found) < 1000:
            asking.settimeout(left_s)
            try:
                data, _ = asking.recvfrom(65_536)
                found |= {each.addresses: each for each in messages.devices_of(messages.parse(data))}
            except (TimeoutError, BadAnswer):
                continue
    return list(found.values())


class _Asking:
    """The questions to one device. One connection each: a device may close any of them."""

    def __init__(self, address: Address, clock: Clock, patience_s: float) -> None:
        self._clock = clock
        parts = urlsplit(address.url)
        self._host = parts.hostname or ""
        self._port = parts.port or _PORT
        self._username = address.username
        self._password = address.password() if address.username is not None else ""
        self._deadline_ns = clock.mono_ns() + round(patience_s * 1e9)
        self._ahead_s = 0.0

    def offer(self) -> Offer:
        """What the device offers, by the newest service that it has."""
        self._look_at_clock()
        service = ""
        for namespace, service in self._media():
            profiles = messages.profiles_of(self._ask(service, messages.ask_profiles(namespace)))
            if profiles:
                return Offer(tuple(profiles), namespace, service)
        raise OnvifFailed(detail(Why.NO_PROFILE))

    def stream(self, offer: Offer, profile: Profile) -> str:
        """Where a profile's stream is."""
        answer = self._ask(offer.service, messages.ask_stream_uri(offer.namespace, profile.token))
        try:
            return messages.at_host(messages.stream_uri_of(answer), self._host)
        except BadAnswer as error:
            raise OnvifFailed(detail(Why.NO_ONVIF, error)) from error

    def _look_at_clock(self) -> None:
        """A device refuses a token of another time than its own: the token is made for the device's time."""
        try:
            told = messages.time_of(self._ask(_DEVICE_PATH, messages.ask_time(), signed=False))
            if told is not None:
                self._ahead_s = datetime(*told, tzinfo=UTC).timestamp() - self._clock.wall_ns() / 1e9
        except (OnvifFailed, ValueError, OverflowError) as error:
            if isinstance(error, OnvifFailed) and not error.refused:
                raise

    def _media(self) -> list[tuple[str, str]]:
        try:
            found = messages.media_of(self._ask(_DEVICE_PATH, messages.ask_services()))
        except OnvifFailed as error:
            if error.refused:
                raise
            found = []
        if not found:
            found = messages.media_of(self._ask(_DEVICE_PATH, messages.ask_capabilities()))
        try:
            return [(namespace, urlsplit(service).path or "/") for namespace, service in found]
        except ValueError as error:
            raise OnvifFailed(detail(Why.NO_ONVIF, "it names no address")) from error

    def _ask(self, path: str, body: str, signed: bool = True) -> ET.Element:
        try:
            status, data = self._send(path, body, signed)
        except (OSError, http.client.HTTPException, ValueError) as error:
            raise OnvifFailed(_unreached(error)) from error
        if status in (401, 403):
            raise OnvifFailed(detail(Why.LOGIN_REFUSED), refused=True)
        try:
            root = messages.parse(data)
        except BadAnswer as error:
            raise OnvifFailed(detail(Why.NO_ONVIF, error if status == 200 else f"HTTP {status}")) from error
        if (fault := messages.fault_of(root)) is not None:
            refused = messages.is_refusal(fault)
            said = detail(Why.LOGIN_REFUSED) if refused else detail(Why.DEVICE_SAYS, fault[1] or fault[0])
            raise OnvifFailed(said, refused)
        if root.tag != "Envelope":
            raise OnvifFailed(detail(Why.NO_ONVIF, f"<{messages.plain(root.tag)}>"))
        return root

    def _send(self, path: str, body: str, signed: bool) -> tuple[int, bytes]:
        """Ask with a token; where the device wants HTTP's own digest instead, once more with that."""
        token = self._token() if signed and self._username is not None else ""
        status, headers, data = self._exchange(path, messages.envelope(body, token), {})
        challenge = headers.get("www-authenticate", "")
        if status == 401 and signed and self._username is not None and challenge.lower().startswith("digest"):
            proof = digest_proof(challenge, "POST", path, self._username, self._password, secrets.token_hex(8))
            status, _, data = self._exchange(path, messages.envelope(body), {"Authorization": proof})
        return status, data

    def _token(self) -> str:
        created = datetime.fromtimestamp(self._clock.wall_ns() / 1e9 + self._ahead_s, UTC).strftime(
            "%Y-%m-%dT%H:%M:%SZ"
        )
        assert self._username is not None
        return messages.username_token(self._username, self._password, secrets.token_bytes(16), created)

    def _exchange(self, path: str, message: bytes, headers: dict[str, str]) -> tuple[int, dict[str, str], bytes]:
        left_s = self._left_s()
        connection = http.client.HTTPConnection(self._host, self._port, timeout=left_s)
        try:
            connection.connect()
            connection.sock = _Impatient(connection.sock, self._left_s)
            sent = {"Content-Type": "application/soap+xml; charset=utf-8", "Connection": "close", **headers}
            connection.request("POST", path, message, sent)
            answer = connection.getresponse()
            data = b""
            while len(data) <= messages.MOST_BYTES and (piece := answer.read1(65_536)):
                data += piece
            told: dict[str, str] = {}
            for name, value in answer.getheaders():
                # Of several ways to log in that are offered, the digest.
                if name.lower() not in told or value.lower().startswith("digest"):
                    told[name.lower()] = value
            return answer.status, told, data
        finally:
            connection.close()

    def _left_s(self) -> float:
        """How long the device may still take. Raises TimeoutError when that is over."""
        left_s = (self._deadline_ns - self._clock.mono_ns()) / 1e9
        if left_s <= 0:
            raise TimeoutError
        return left_s


class _Impatient(socket.socket):
    """A connection that is over at its deadline, however slowly an answer drips; a plain one waits anew each byte."""

    def __init__(self, plain: socket.socket, left_s: Callable[[], float]) -> None:
        super().__init__(plain.family, plain.type, plain.proto, plain.detach())
        self._left_s = left_s

    def recv_into(self, buffer: Any, nbytes: int = 0, flags: int = 0) -> int:
        self.settimeout(self._left_s())
        return super().recv_into(buffer, nbytes, flags)


def digest_proof(challenge: str, method: str, path: str, username: str, password: str, cnonce: str) -> str:
    """The header that answers an HTTP digest challenge (RFC 7616). Raises ValueError for one that is none of these."""
    told = {name.lower(): quoted or bare for name, quoted, bare in _PAIRS.findall(challenge)}
    algorithm = told.get("algorithm", "MD5").upper()
    if algorithm not in _HASHES or "nonce" not in told or "realm" not in told:
        raise ValueError("a digest of a kind that is not known")
    make = _HASHES[algorithm]

    def hashed(text: str) -> str:
        return str(make(text.encode()).hexdigest())

    inner = hashed(f"{username}:{told['realm']}:{password}")
    request, nonce = hashed(f"{method}:{path}"), told["nonce"]
    fields = {"username": username, "realm": told["realm"], "nonce": nonce, "uri": path}
    bare = {"algorithm": told["algorithm"]} if "algorithm" in told else {}
    if "auth" in re.split(r"[,\s]+", told.get("qop", "")):
        fields["response"] = hashed(f"{inner}:{nonce}:00000001:{cnonce}:auth:{request}")
        fields["cnonce"] = cnonce
        bare |= {"qop": "auth", "nc": "00000001"}
    else:
        fields["response"] = hashed(f"{inner}:{nonce}:{request}")
    if "opaque" in told:
        fields["opaque"] = told["opaque"]
    escaped = {name: value.replace("\\", "\\\\").replace('"', '\\"') for name, value in fields.items()}
    parts = [f'{name}="{value}"' for name, value in escaped.items()] + [
        f"{name}={value}" for name, value in bare.items()
    ]
    return "Digest " + ", ".join(parts)


_PAIRS: Final = re.compile(r'(\w+)=(?:"([^"]*)"|([^\s,"]+))')

_HASHES: Final = {"MD5": hashlib.md5, "SHA-256": hashlib.sha256}


def _unreached(error: Exception) -> str:
    if isinstance(error, TimeoutError):
        return detail(Why.NO_ANSWER)
    if isinstance(error, ConnectionRefusedError):
        return detail(Why.CONNECTION_REFUSED)
    if isinstance(error, ConnectionError):
        return detail(Why.CONNECTION_RESET)
    if isinstance(error, OSError):
        return detail(Why.UNREACHABLE)
    return detail(Why.NO_ONVIF, type(error).__name__)
