"""A device that speaks ONVIF: media 1 or 2, with or without a password by either of its two ways, honest or not."""

import base64
import hashlib
import re
import threading
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

SOAP = "http://www.w3.org/2003/05/soap-envelope"


@dataclass(frozen=True, slots=True)
class Stream:
    """One profile as the device tells it."""

    token: str
    encoding: str
    width: int
    height: int
    uri: str
    source: str = "VS1"
    fps: int = 25


@dataclass
class Behaviour:
    """What the device is like."""

    streams: list[Stream] = field(default_factory=list)
    login: str = ""
    """wsse, digest (HTTP) or none."""
    media2: bool = False
    knows_services: bool = True
    clock_ahead_s: float = 0.0
    realm: str = "IP Camera(12345)"
    algorithm: str = "MD5"
    raw: bytes | None = None
    """Sent as the body of every answer instead of an honest one."""
    status: int = 200
    headers: dict[str, str] = field(default_factory=dict)
    """Sent along with `raw`."""


class OnvifDevice:
    """Serves on loopback until stopped. User `admin`, password `Geheim!42`."""

    user, password = "admin", "Geheim!42"

    def __init__(self, behaviour: Behaviour) -> None:
        self.behaviour = behaviour
        self.asked: list[str] = []
        """Names of the operations that were asked for, refused ones with a `!`."""
        device = self

        class Answers(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers.get("Content-Length", 0))).decode()
                status, headers, answer = device.answer(self.path, body, self.headers.get("Authorization", ""))
                self.send_response(status)
                for name, value in headers.items():
                    self.send_header(name, value)
                self.send_header("Content-Length", str(len(answer)))
                self.end_headers()
                self.wfile.write(answer)

            def log_message(self, *arguments: object) -> None:
                """Nothing to the terminal."""

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Answers)
        self.port = self._server.server_address[1]
        threading.Thread(target=self._server.serve_forever, args=(0.05,), name="onvif-device", daemon=True).start()

    def url(self, path: str = "") -> str:
        """Its address for settings."""
        return f"onvif://127.0.0.1:{self.port}{path}"

    def stop(self) -> None:
        """Serve no more."""
        self._server.shutdown()
        self._server.server_close()

    def answer(self, path: str, body: str, authorization: str) -> tuple[int, dict[str, str], bytes]:
        """Status, headers and body of the answer to one request."""
        like = self.behaviour
        operation = next(name for name in _OPERATIONS if f"<{name}" in body)
        allowed = operation == "GetSystemDateAndTime" or self._allowed(path, body, authorization)
        self.asked.append(operation + "!" * (not allowed))
        if like.raw is not None:
            return like.status, {"Content-Type": "application/soap+xml", **like.headers}, like.raw
        if not allowed:
            return self._refusal()
        if operation == "GetServices" and not like.knows_services:
            return 400, {}, _envelope("<s:Fault><s:Code><s:Value>s:Receiver</s:Value><s:Subcode><s:Value>ter:Action"
                                      "NotSupported</s:Value></s:Subcode></s:Code></s:Fault>")  # fmt: skip
        return 200, {"Content-Type": "application/soap+xml; charset=utf-8"}, _envelope(self._honest(operation, body))

    def _refusal(self) -> tuple[int, dict[str, str], bytes]:
        like = self.behaviour
        if like.login == "digest":
            offers = f'Digest realm="{like.realm}", qop="auth", nonce="abc123", algorithm={like.algorithm}, opaque="o"'
            return 401, {"WWW-Authenticate": offers}, b""
        fault = (
            "<s:Fault><s:Code><s:Value>s:Sender</s:Value><s:Subcode><s:Value>ter:NotAuthorized</s:Value></s:Subcode>"
            '</s:Code><s:Reason><s:Text xml:lang="en">Sender not authorized</s:Text></s:Reason></s:Fault>'
        )
        return 400, {}, _envelope(fault)

    def _allowed(self, path: str, body: str, authorization: str) -> bool:
        like = self.behaviour
        if like.login == "wsse":
            return self._token_is_right(body)
        return like.login == "" or self._proof_is_right(path, authorization)

    def _token_is_right(self, body: str) -> bool:
        names = ("Username", "Password", "Nonce", "Created")
        found = {name: re.search(rf":{name}(?: [^>]*)?>([^<]*)<", body) for name in names}
        if not all(found.values()):
            return False
        user, digest, nonce, created = (str(match[1]) for match in found.values() if match)
        told = datetime.fromisoformat(created.replace("Z", "+00:00"))
        apart = abs((told - self._now()).total_seconds())
        made = hashlib.sha1(base64.b64decode(nonce) + created.encode() + self.password.encode()).digest()
        return user == self.user and digest == base64.b64encode(made).decode() and apart < 10

    def _proof_is_right(self, path: str, authorization: str) -> bool:
        told = dict(re.findall(r'(\w+)="?([^",]*)"?', authorization.removeprefix("Digest ")))
        make = {"MD5": hashlib.md5, "SHA-256": hashlib.sha256}[self.behaviour.algorithm]

        def hashed(text: str) -> str:
            return str(make(text.encode()).hexdigest())

        inner, request = hashed(f"{self.user}:{self.behaviour.realm}:{self.password}"), hashed(f"POST:{path}")
        right = hashed(f"{inner}:abc123:{told.get('nc')}:{told.get('cnonce')}:auth:{request}")
        return (told.get("response"), told.get("opaque"), told.get("uri")) == (right, "o", path)

    def _now(self) -> datetime:
        return datetime.now(UTC) + timedelta(seconds=self.behaviour.clock_ahead_s)

    def _honest(self, operation: str, body: str) -> str:
        like, now = self.behaviour, self._now()
        if operation == "GetSystemDateAndTime":
            return (
                "<d:GetSystemDateAndTimeResponse><d:SystemDateAndTime><t:UTCDateTime>"
                f"<t:Time><t:Hour>{now.hour}</t:Hour><t:Minute>{now.minute}</t:Minute><t:Second>{now.second}</t:Second>"
                f"</t:Time><t:Date><t:Year>{now.year}</t:Year><t:Month>{now.month}</t:Month><t:Day>{now.day}</t:Day>"
                "</t:Date></t:UTCDateTime></d:SystemDateAndTime></d:GetSystemDateAndTimeResponse>"
            )
        if operation == "GetServices":
            kinds = [("ver10/media", "media"), *([("ver20/media", "media2")] if like.media2 else [])]
            told = "".join(
                f"<d:Service><d:Namespace>http://www.onvif.org/{kind}/wsdl</d:Namespace>"
                f"<d:XAddr>http://192.168.254.7/onvif/{path}</d:XAddr></d:Service>"
                for kind, path in kinds
            )
            return f"<d:GetServicesResponse>{told}</d:GetServicesResponse>"
        if operation == "GetCapabilities":
            media = "<t:Media><t:XAddr>http://192.168.254.7/onvif/media</t:XAddr></t:Media>"
            return f"<d:GetCapabilitiesResponse><d:Capabilities>{media}</d:Capabilities></d:GetCapabilitiesResponse>"
        newer = "ver20" in body
        if operation == "GetProfiles":
            told = "".join(_profile(each, newer) for each in like.streams)
            return f"<m:GetProfilesResponse>{told}</m:GetProfilesResponse>"
        token = re.search(r"ProfileToken>([^<]*)<", body)
        uri = next(each.uri for each in like.streams if token and each.token == token[1]).replace("&", "&amp;")
        told = f"<m:Uri>{uri}</m:Uri>" if newer else f"<m:MediaUri><t:Uri>{uri}</t:Uri></m:MediaUri>"
        return f"<m:GetStreamUriResponse>{told}</m:GetStreamUriResponse>"


_OPERATIONS = ("GetSystemDateAndTime", "GetServices", "GetCapabilities", "GetProfiles", "GetStreamUri")


def _profile(each: Stream, newer: bool) -> str:
    encoder = (
        f"<t:Encoding>{each.encoding}</t:Encoding><t:Resolution><t:Width>{each.width}</t:Width>"
        f"<t:Height>{each.height}</t:Height></t:Resolution><t:RateControl><t:FrameRateLimit>{each.fps}"
        "</t:FrameRateLimit></t:RateControl>"
    )
    source = f"<t:SourceToken>{each.source}</t:SourceToken>"
    if newer:
        inner = f"<m:VideoSource>{source}</m:VideoSource><m:VideoEncoder>{encoder}</m:VideoEncoder>"
        told = f"<m:Name>{each.token}</m:Name><m:Configurations>{inner}</m:Configurations>"
        return f'<m:Profiles token="{each.token}">{told}</m:Profiles>'
    # Media 1 knows no H.265.
    told = encoder if each.encoding != "H265" else encoder.replace("H265", "JPEG")
    return (
        f'<m:Profiles token="{each.token}"><t:Name>{each.token}</t:Name>'
        f"<t:VideoSourceConfiguration>{source}</t:VideoSourceConfiguration>"
        f"<t:VideoEncoderConfiguration>{told}</t:VideoEncoderConfiguration></m:Profiles>"
    )


def _envelope(body: str) -> bytes:
    names = (
        f'xmlns:s="{SOAP}" xmlns:d="http://www.onvif.org/ver10/device/wsdl" xmlns:t="http://www.onvif.org/ver10/schema"'
        ' xmlns:m="http://www.onvif.org/ver10/media/wsdl" xmlns:ter="http://www.onvif.org/ver10/error"'
    )
    return f'<?xml version="1.0"?><s:Envelope {names}><s:Body>{body}</s:Body></s:Envelope>'.encode()
