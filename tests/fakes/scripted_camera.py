"""A camera that sends what a test says, when it says it, and keeps a log of that: the judge of what was recorded.

It speaks RTSP on loopback, with RTP inside the connection or over UDP, H.264 or H.265, and sound when it is asked
for. A script is a sequence of `Unit`: at which second of the connection, with which RTP timestamp, which bytes.
Real cameras repeat a timestamp, jump, drift, wrap around 32 bits, forget a marker and lose packets; so can a script.
"""

import base64
import hashlib
import re
import socket
import struct
import threading
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import suppress
from dataclasses import dataclass, field, replace
from typing import Final

from tests.fakes.camera import Answer, ScriptedServer
from tests.fakes.encoded import VIDEO_RATE, Picture, nals, numbered, parameter_nals

MTU: Final = 1400
"""A longer NAL unit goes in pieces (FU-A, FU), as real cameras send it."""

REPORT_EVERY_S: Final = 5.0

_REALM: Final = "camera"
_NONCE: Final = "8b84a3b789283a8bea8da7fa7d41f08b"


@dataclass(frozen=True, slots=True)
class Unit:
    """One picture, or one frame of sound, on its way: `at_s` is the second since PLAY when it is sent, `ticks` its
    RTP timestamp before it is cut to 32 bits. `lose` are the places of its RTP packets that never arrive."""

    at_s: float
    ticks: int
    data: bytes
    key: bool = False
    sound: bool = False
    marker: bool = True
    lose: frozenset[int] = field(default_factory=frozenset)


@dataclass(frozen=True, slots=True)
class Sent:
    """One picture that was sent: `number` is that of `number_in` its bytes, never used twice by one camera."""

    wall_ns: int
    ticks: int
    number: int
    key: bool
    connection: int
    whole: bool


@dataclass(frozen=True, slots=True)
class Sound:
    """The sound that the description offers: `kind` is PCMA, PCMU, G726-32 or MPEG4-GENERIC (with its `config`)."""

    kind: str = "PCMA"
    rate: int = 8000
    channels: int = 1
    config: bytes = b""


Script = Callable[[int], Iterable[Unit]]
"""Number of the connection, from 1 -> what it shows; after the last unit the camera hangs up."""


def steady(
    pictures: Iterable[Picture], fps: float = 25.0, first_ticks: int = 1_000_000, ppm: float = 0.0, from_s: float = 0.0
) -> Iterator[Unit]:
    """Pictures in real time, by a camera whose clock is fast by `ppm` millionths."""
    for place, picture in enumerate(pictures):
        shown_s = (place + picture.shown_after) / fps
        ticks = first_ticks + round((from_s + shown_s) * VIDEO_RATE * (1 + ppm / 1e6))
        yield Unit(from_s + place / fps, ticks, picture.data, picture.key)


class ScriptedCamera(ScriptedServer):
    """Plays `script` to every connection anew."""

    def __init__(
        self,
        script: Script,
        shown: Picture,
        codec: str = "h264",
        sound: Sound | None = None,
        reports_after_s: float | None = None,
    ) -> None:
        """`shown` is a key picture whose parameter sets stand in the description. `reports_after_s`: from then on
        the camera reports its own time every 5 s (RTCP), as all but the cheapest do."""
        super().__init__(self._script)
        self.log: list[Sent] = []
        """Every picture that was sent, in order; a list that only grows."""
        self.connections = 0
        self.setups: list[str] = []
        """The Transport line of every SETUP, and which of the streams it was for."""
        self.refuses: dict[str, str] = {}
        """Stream (`video`, `sound`) -> status line with which its SETUP is refused; "" for no answer at all."""
        self.login: tuple[str, str] | None = None
        """User and password that it wants (RFC 2617, digest); may be changed while it runs."""
        self.wrong: list[float] = []
        """When (monotonic seconds) a wrong password was tried."""
        self.multicast: tuple[str, int] | None = None
        """Group and port for a client that asks for multicast."""
        self._play = script
        self._sets = parameter_nals(codec, shown.data)
        self._codec = codec
        self._sound = sound
        self._reports_after_s = reports_after_s
        self._numbers = 0
        self._numbering = threading.Lock()

    def _script(self, method: str) -> Answer:
        if method == "DESCRIBE":
            return "200 OK", {"Content-Type": "application/sdp"}, "\r\n".join([*self._description(), ""])
        return "200 OK", {"Session": "1;timeout=60", "Public": "OPTIONS, DESCRIBE, SETUP, PLAY, TEARDOWN"}, ""

    def _description(self) -> list[str]:
        sets = [base64.b64encode(each).decode() for each in self._sets]
        if self._codec == "hevc":
            names = zip(("sprop-vps", "sprop-sps", "sprop-pps"), sets, strict=True)
            name, told = "H265", "; ".join(f"{key}={value}" for key, value in names)
        else:
            name, told = "H264", "packetization-mode=1;sprop-parameter-sets=" + ",".join(sets)
        lines = [
            "v=0", "o=- 0 0 IN IP4 127.0.0.1", "s=x", "t=0 0",
            "m=video 0 RTP/AVP 96", f"a=rtpmap:96 {name}/{VIDEO_RATE}", f"a=fmtp:96 {told}", "a=control:video",
        ]  # fmt: skip
        if self._sound is not None:
            lines += _described_sound(self._sound)
        return lines

    def _serve(self, connection: socket.socket) -> None:
        peer = _Peer(self, connection)
        try:
            peer.serve()
        except OSError:
            return
        finally:
            self._open.remove(connection)
            peer.close()

    def answer(self, connection: socket.socket, request: str) -> None:
        """Answer a request that needs no state of the connection."""
        self._answer(connection, request)

    def next_connection(self) -> int:
        """The number of a connection that begins to play."""
        with self._numbering:
            self.connections += 1
            return self.connections

    def next_number(self) -> int:
        """The number of a picture."""
        with self._numbering:
            self._numbers += 1
            return self._numbers

    def units(self, connection: int) -> Iterable[Unit]:
        """What this connection is to see."""
        return self._play(connection)

    @property
    def codec(self) -> str:
        """h264 or hevc."""
        return self._codec

    @property
    def sound(self) -> Sound | None:
        """The sound that is offered."""
        return self._sound

    @property
    def reports_after_s(self) -> float | None:
        """When the camera begins to report its time."""
        return self._reports_after_s


@dataclass(slots=True)
class _Route:
    """How one stream reaches the client, and its RTP state."""

    channel: int | None
    udp: socket.socket | None
    to: tuple[str, int]
    sequence: int = 100
    packets: int = 0

    def send(self, connection: socket.socket, packet: bytes, report: bool = False) -> None:
        if self.channel is not None:
            connection.sendall(struct.pack(">cBH", b"$", self.channel + report, len(packet)) + packet)
        elif self.udp is not None:
            self.udp.sendto(packet, (self.to[0], self.to[1] + report))


class _Peer:
    """One connection."""

    def __init__(self, camera: ScriptedCamera, connection: socket.socket) -> None:
        self._camera = camera
        self._connection = connection
        self._routes: dict[str, _Route] = {}
        self._sockets: list[socket.socket] = []

    def serve(self) -> None:
        held = b""
        while data := self._connection.recv(4096):
            held += data
            while held:
                if held[:1] == b"$":  # a receiver's report
                    if len(held) < 4 or len(held) < 4 + int.from_bytes(held[2:4], "big"):
                        break
                    held = held[4 + int.from_bytes(held[2:4], "big") :]
                    continue
                request, found, rest = held.partition(b"\r\n\r\n")
                if not found:
                    break
                held = rest
                self._answer(request.decode("latin-1"))

    def close(self) -> None:
        for each in (self._connection, *self._sockets):
            each.close()

    def _answer(self, request: str) -> None:
        lines = request.split("\r\n")
        method, target = lines[0].split(" ")[:2]
        if method == "SETUP":
            asked = next(line for line in lines if line.lower().startswith("transport")).partition(":")[2].strip()
            name = target.rpartition("/")[2]
            self._camera.setups.append(f"{name}: {asked}")
            number = next(line for line in lines if line.lower().startswith("cseq"))
            if (refusal := self._camera.refuses.get(name)) is not None:
                self._connection.sendall(f"RTSP/1.0 {refusal}\r\n{number}\r\n\r\n".encode() if refusal else b"")
                return
            text = (
                f"RTSP/1.0 200 OK\r\n{number}\r\nSession: 1;timeout=60\r\nTransport: {self._route(name, asked)}\r\n\r\n"
            )
            self._connection.sendall(text.encode())
            return
        if self._camera.login is not None and method == "DESCRIBE" and not self._is_let_in(lines):
            number = next(line for line in lines if line.lower().startswith("cseq"))
            offer = f'WWW-Authenticate: Digest realm="{_REALM}", nonce="{_NONCE}"'
            self._connection.sendall(f"RTSP/1.0 401 Unauthorized\r\n{number}\r\n{offer}\r\n\r\n".encode())
            return
        self._camera.answer(self._connection, request)
        if method == "PLAY":
            threading.Thread(target=self._send, name="scripted-camera", daemon=True).start()

    def _is_let_in(self, lines: list[str]) -> bool:
        told = next((line for line in lines if line.lower().startswith("authorization: digest")), None)
        if told is None or self._camera.login is None:
            return False
        given = dict(re.findall(r'(\w+)="([^"]*)"', told))
        user, password = self._camera.login

        def hashed(text: str) -> str:
            return hashlib.md5(text.encode()).hexdigest()

        inner, request = hashed(f"{user}:{_REALM}:{password}"), hashed(f"DESCRIBE:{given.get('uri')}")
        if given.get("username") == user and given.get("response") == hashed(f"{inner}:{_NONCE}:{request}"):
            return True
        self._camera.wrong.append(time.monotonic())
        return False

    def _route(self, name: str, asked: str) -> str:
        told = dict(part.partition("=")[::2] for part in asked.split(";"))
        if "interleaved" in told:
            channel = int(told["interleaved"].partition("-")[0])
            self._routes[name] = _Route(channel, None, ("", 0))
            return asked
        udp = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self._sockets.append(udp)
        if "multicast" in told:
            assert self._camera.multicast is not None, "a test that wants multicast names a group"
            group, port = self._camera.multicast
            port += 2 * len(self._routes)
            udp.setsockopt(socket.IPPROTO_IP, socket.IP_MULTICAST_LOOP, 1)
            self._routes[name] = _Route(None, udp, (group, port))
            return f"RTP/AVP;multicast;destination={group};port={port}-{port + 1};ttl=1"
        udp.bind(("127.0.0.1", 0))
        port = int(told["client_port"].partition("-")[0])
        self._routes[name] = _Route(None, udp, (self._connection.getpeername()[0], port))
        own = udp.getsockname()[1]
        return f"{asked};server_port={own}-{own + 1}"

    def _send(self) -> None:
        camera, number = self._camera, self._camera.next_connection()
        began = time.monotonic()
        report_s = camera.reports_after_s
        with suppress(OSError, KeyError):
            for unit in camera.units(number):
                time.sleep(max(0.0, began + unit.at_s - time.monotonic()))
                if unit.sound:
                    self._send_sound(unit)
                else:
                    self._send_picture(unit, number)
                    if report_s is not None and unit.at_s >= report_s:
                        report_s = unit.at_s + REPORT_EVERY_S
                        self._routes["video"].send(self._connection, _report(unit.ticks), report=True)
        with suppress(OSError):
            self._connection.shutdown(socket.SHUT_RDWR)

    def _send_picture(self, unit: Unit, connection: int) -> None:
        camera, route = self._camera, self._routes["video"]
        number = camera.next_number()
        payloads = list(_payloads(camera.codec, numbered(camera.codec, unit.data, number)))
        camera.log.append(Sent(time.time_ns(), unit.ticks, number, unit.key, connection, not unit.lose))
        for place, payload in enumerate(payloads):
            route.sequence += 1
            if place not in unit.lose:
                last = unit.marker and place == len(payloads) - 1
                route.send(self._connection, _rtp(96, last, route.sequence, unit.ticks, payload))

    def _send_sound(self, unit: Unit) -> None:
        sound, route = self._camera.sound, self._routes.get("sound")
        if sound is None or route is None:
            return
        route.sequence += 1
        data = unit.data
        if sound.kind == "MPEG4-GENERIC":
            data = struct.pack(">HH", 16, len(data) << 3) + data
        route.send(self._connection, _rtp(_kind(sound), unit.marker, route.sequence, unit.ticks, data))


def _kind(sound: Sound) -> int:
    return {"PCMA": 8, "PCMU": 0}.get(sound.kind, 97) if sound.rate == 8000 else 97


def _described_sound(sound: Sound) -> list[str]:
    number = _kind(sound)
    lines = [f"m=audio 0 RTP/AVP {number}", f"a=rtpmap:{number} {sound.kind}/{sound.rate}/{sound.channels}"]
    if sound.kind == "MPEG4-GENERIC":
        lines.append(
            f"a=fmtp:{number} streamtype=5;profile-level-id=1;mode=AAC-hbr;sizelength=13;indexlength=3;"
            f"indexdeltalength=3;config={sound.config.hex()}"
        )
    return [*lines, "a=control:sound"]


def _payloads(codec: str, picture: bytes) -> Iterator[bytes]:
    """RTP payloads of one picture: RFC 6184 (H.264, mode 1) and RFC 7798 (H.265)."""
    for nal in nals(picture):
        if len(nal) <= MTU:
            yield nal
            continue
        if codec == "hevc":
            kind, head, body = nal[0] >> 1 & 63, bytes([nal[0] & 0x81 | 49 << 1, nal[1]]), nal[2:]
        else:
            kind, head, body = nal[0] & 31, bytes([nal[0] & 0xE0 | 28]), nal[1:]
        for at in range(0, len(body), MTU):
            edges = 0x80 * (at == 0) | 0x40 * (at + MTU >= len(body))
            yield head + bytes([edges | kind]) + body[at : at + MTU]


def _rtp(kind: int, last: bool, sequence: int, ticks: int, payload: bytes) -> bytes:
    head = struct.pack(">BBHII", 0x80, kind | 0x80 * last, sequence & 0xFFFF, ticks & 0xFFFFFFFF, 0x12340000 + kind)
    return head + payload


def _report(ticks: int) -> bytes:
    ntp = round((time.time() + 2_208_988_800) * 2**32)
    return struct.pack(">BBHIQIII", 0x80, 200, 6, 0x12340060, ntp & 2**64 - 1, ticks & 0xFFFFFFFF, 0, 0)


def moved(units: Iterable[Unit], ticks: int = 0, by_s: float = 0.0) -> Iterator[Unit]:
    """The same with other times: after a jump of the camera's clock, or later in the connection."""
    return (replace(each, ticks=each.ticks + ticks, at_s=each.at_s + by_s) for each in units)
