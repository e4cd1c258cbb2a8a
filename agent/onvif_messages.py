"""PURE. The few ONVIF messages that finding a stream takes: what is asked, and what the answers say.

ONVIF Core (SOAP 1.2, WS-UsernameToken), Media 1 (ver10/media) and Media 2 (ver20/media, the only one that tells of
H.265), WS-Discovery of April 2005. Answers come from devices that are not trusted: an answer with a document type is
refused, as are long ones, and nothing of an answer is used but plain values.
"""

import base64
import hashlib
import xml.etree.ElementTree as ET
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Final
from urllib.parse import urlsplit, urlunsplit
from xml.sax.saxutils import escape

MOST_BYTES: Final = 1024 * 1024
"""Of one answer; an NVR with 64 channels tells of its profiles in 300 KB."""

DEVICE: Final = "http://www.onvif.org/ver10/device/wsdl"
MEDIA: Final = "http://www.onvif.org/ver10/media/wsdl"
MEDIA2: Final = "http://www.onvif.org/ver20/media/wsdl"

_ENVELOPE: Final = "http://www.w3.org/2003/05/soap-envelope"
_SCHEMA: Final = "http://www.onvif.org/ver10/schema"
_SECURITY: Final = "http://docs.oasis-open.org/wss/2004/01/oasis-200401-wss-wssecurity-secext-1.0.xsd"
_UTILITY: Final = "http://docs.oasis-open.org/wss/2004/01/oasis-200401-wss-wssecurity-utility-1.0.xsd"
_DIGEST: Final = "http://docs.oasis-open.org/wss/2004/01/oasis-200401-wss-username-token-profile-1.0#PasswordDigest"
_BASE64: Final = "http://docs.oasis-open.org/wss/2004/01/oasis-200401-wss-soap-message-security-1.0#Base64Binary"

CODECS: Final = {"H264": "h264", "H265": "hevc", "HEVC": "hevc"}
"""What can be recorded, by ONVIF's names."""

LEAST_SUB_WIDTH: Final = 320
"""Counting people needs so many columns at least; a smaller picture is a thumbnail."""


class BadAnswer(ValueError):
    """What came is no answer that makes sense. The text says why, in English, for the log."""


@dataclass(frozen=True, slots=True)
class Profile:
    """One stream that a device offers. `source` names the picture it is made of: an NVR has one for each channel."""

    token: str
    name: str
    source: str
    codec: str
    width: int
    height: int
    fps: int


@dataclass(frozen=True, slots=True)
class Device:
    """One device that answered a search: its addresses, and what it calls itself."""

    addresses: tuple[str, ...]
    name: str
    hardware: str


def envelope(body: str, security: str = "") -> bytes:
    """The message around a body."""
    head = f"<s:Header>{security}</s:Header>" if security else ""
    text = f'<?xml version="1.0" encoding="utf-8"?><s:Envelope xmlns:s="{_ENVELOPE}">{head}<s:Body>{body}</s:Body>'
    return f"{text}</s:Envelope>".encode()


def username_token(username: str, password: str, nonce: bytes, created: str) -> str:
    """Who asks, with a digest of the password; `created` is the time by the device's own clock."""
    digest = base64.b64encode(hashlib.sha1(nonce + created.encode() + password.encode()).digest()).decode()
    return (
        f'<w:Security xmlns:w="{_SECURITY}" xmlns:u="{_UTILITY}"><w:UsernameToken>'
        f"<w:Username>{escape(username)}</w:Username>"
        f'<w:Password Type="{_DIGEST}">{digest}</w:Password>'
        f'<w:Nonce EncodingType="{_BASE64}">{base64.b64encode(nonce).decode()}</w:Nonce>'
        f"<u:Created>{created}</u:Created></w:UsernameToken></w:Security>"
    )


def ask_time() -> str:
    """What time the device believes it is."""
    return f'<GetSystemDateAndTime xmlns="{DEVICE}"/>'


def ask_services() -> str:
    """Where the device's services are."""
    return f'<GetServices xmlns="{DEVICE}"><IncludeCapability>false</IncludeCapability></GetServices>'


def ask_capabilities() -> str:
    """The same of a device that knows no GetServices."""
    return f'<GetCapabilities xmlns="{DEVICE}"><Category>Media</Category></GetCapabilities>'


def ask_profiles(namespace: str) -> str:
    """Which streams there are, by Media 1 or Media 2."""
    if namespace == MEDIA2:
        kinds = "<Type>VideoSource</Type><Type>VideoEncoder</Type>"
        return f'<GetProfiles xmlns="{MEDIA2}">{kinds}</GetProfiles>'
    return f'<GetProfiles xmlns="{MEDIA}"/>'


def ask_stream_uri(namespace: str, token: str) -> str:
    """Where the stream of a profile is."""
    if namespace == MEDIA2:
        told = f"<Protocol>RTSP</Protocol><ProfileToken>{escape(token)}</ProfileToken>"
        return f'<GetStreamUri xmlns="{MEDIA2}">{told}</GetStreamUri>'
    return (
        f'<GetStreamUri xmlns="{MEDIA}" xmlns:t="{_SCHEMA}"><StreamSetup><t:Stream>RTP-Unicast</t:Stream>'
        "<t:Transport><t:Protocol>RTSP</t:Protocol></t:Transport></StreamSetup>"
        f"<ProfileToken>{escape(token)}</ProfileToken></GetStreamUri>"
    )


def search(message_id: str) -> bytes:
    """A question to every device on the network (WS-Discovery Probe)."""
    addressing, discovery = (
        "http://schemas.xmlsoap.org/ws/2004/08/addressing",
        "http://schemas.xmlsoap.org/ws/2005/04/discovery",
    )
    return (
        f'<?xml version="1.0" encoding="utf-8"?><s:Envelope xmlns:s="{_ENVELOPE}" xmlns:a="{addressing}">'
        f"<s:Header><a:Action>{discovery}/Probe</a:Action><a:MessageID>{message_id}</a:MessageID>"
        "<a:To>urn:schemas-xmlsoap-org:ws:2005:04:discovery</a:To></s:Header>"
        f'<s:Body><Probe xmlns="{discovery}"><Types xmlns:n="http://www.onvif.org/ver10/network/wsdl">'
        "n:NetworkVideoTransmitter</Types></Probe></s:Body></s:Envelope>"
    ).encode()


class _Builder(ET.TreeBuilder):
    def doctype(self, name: str, pubid: str | None, system: str | None) -> None:
        """Called by the parser for a document type, through which a few bytes can become gigabytes."""
        raise BadAnswer("it has a document type")


def parse(data: bytes) -> ET.Element:
    """The elements of an answer, names without their namespaces. Raises BadAnswer."""
    if len(data) > MOST_BYTES:
        raise BadAnswer(f"it is longer than {MOST_BYTES} bytes")
    parser = ET.XMLParser(target=_Builder())
    try:
        parser.feed(data)
        root = parser.close()
    except (ET.ParseError, ValueError, LookupError) as error:
        raise BadAnswer(str(error)) from error
    if not isinstance(root, ET.Element):
        raise BadAnswer("it is empty")
    for each in root.iter():
        each.tag = str(each.tag).rpartition("}")[2]
    return root


def fault_of(root: ET.Element) -> tuple[str, str] | None:
    """Code and words of a SOAP fault, None when it is none."""
    fault = root.find("Body/Fault")
    if fault is None:
        return None
    codes = [each.text or "" for each in fault.iter() if each.tag in ("Value", "faultcode")]
    words = [each.text or "" for each in fault.iter() if each.tag in ("Text", "faultstring")]
    return " ".join(code.rpartition(":")[2] for code in codes), plain(" ".join(words))


def is_refusal(fault: tuple[str, str]) -> bool:
    """Whether a fault says that user or password is wrong."""
    said = " ".join(fault).lower()
    return any(word in said for word in ("notauthorized", "failedauthentication", "not authorized", "unauthorized"))


def time_of(root: ET.Element) -> tuple[int, int, int, int, int, int] | None:
    """Year to second, UTC, as the device has it."""
    utc = next(root.iter("UTCDateTime"), None)
    if utc is None:
        return None
    try:
        names = ("Date/Year", "Date/Month", "Date/Day", "Time/Hour", "Time/Minute", "Time/Second")
        year, month, day, hour, minute, second = (int(utc.findtext(name) or "") for name in names)
    except ValueError:
        return None
    return year, month, day, hour, minute, second


def media_of(root: ET.Element) -> list[tuple[str, str]]:
    """(namespace, address) of the media services in an answer to GetServices or GetCapabilities, the better first."""
    found = {
        each.findtext("Namespace", "").strip(): each.findtext("XAddr", "").strip() for each in root.iter("Service")
    }
    for media in root.iter("Media"):
        found.setdefault(MEDIA, media.findtext("XAddr", "").strip())
    return [(namespace, found[namespace]) for namespace in (MEDIA2, MEDIA) if found.get(namespace)]


def profiles_of(root: ET.Element) -> list[Profile]:
    """The streams in an answer to GetProfiles of either kind, as far as they can be recorded."""
    return [profile for each in root.iter("Profiles") if (profile := _profile(each)) is not None]


def _profile(each: ET.Element) -> Profile | None:
    token = each.get("token", "")
    encoders = (each.find("VideoEncoderConfiguration"), each.find("Configurations/VideoEncoder"))
    encoder = next((found for found in encoders if found is not None), None)
    sources = (each.find("VideoSourceConfiguration"), each.find("Configurations/VideoSource"))
    source = next((found.findtext("SourceToken", "") for found in sources if found is not None), "")
    if not token or encoder is None:
        return None
    codec = CODECS.get(encoder.findtext("Encoding", "").strip().upper())
    try:
        width = int(encoder.findtext("Resolution/Width", ""))
        height = int(encoder.findtext("Resolution/Height", ""))
        fps = round(float(encoder.findtext("RateControl/FrameRateLimit", "0")))
    except (ValueError, OverflowError):
        return None
    if codec is None or not (0 < width <= 1 << 16 and 0 < height <= 1 << 16):
        return None
    return Profile(token, plain(each.findtext("Name", "")), plain(source), codec, width, height, fps)


def choose(profiles: Sequence[Profile], wish: str, token: str = "") -> Profile | None:
    """The profile to record: the one named by `token`; else of the first source the largest picture as `main`, and as
    `sub` the smallest that is wide enough, another than main where there is one."""
    if token:
        return next((each for each in profiles if each.token == token), None)
    own = [each for each in profiles if each.source == profiles[0].source]
    if not own:
        return None
    main = max(own, key=lambda each: (each.width * each.height, each.fps))
    if wish == "main":
        return main
    wide = [each for each in own if each.width >= LEAST_SUB_WIDTH and each is not main]
    return min(wide, key=lambda each: (each.width * each.height, each.fps)) if wide else main


def stream_uri_of(root: ET.Element) -> str:
    """The address in an answer to GetStreamUri. Raises BadAnswer."""
    uri = next((each.text or "" for each in root.iter("Uri")), "").strip()
    try:
        parts = urlsplit(uri)
    except ValueError as error:
        raise BadAnswer("it names no RTSP address") from error
    if parts.scheme not in ("rtsp", "rtsps") or not parts.netloc or any(letter.isspace() for letter in uri):
        raise BadAnswer("it names no RTSP address")
    return uri


def at_host(uri: str, host: str) -> str:
    """The address a device told, at the host by which it was reached, without the user and password that some put in.

    A device knows itself by the address of another network, of its inside, or by none (0.0.0.0), and cannot know by
    which one it is reached; the one in the settings is.
    """
    parts = urlsplit(uri)
    try:
        port = parts.port
    except ValueError:
        port = None
    where = f"[{host}]" if ":" in host else host
    return urlunsplit(parts._replace(netloc=f"{where}:{port}" if port else where))


def devices_of(root: ET.Element) -> Iterator[Device]:
    """The devices in an answer to a search."""
    for match in (*root.iter("ProbeMatch"),):
        addresses = tuple(plain(each) for each in match.findtext("XAddrs", "").split())
        scopes = match.findtext("Scopes", "").split()
        if addresses:
            yield Device(addresses, _scope(scopes, "name"), _scope(scopes, "hardware"))


def _scope(scopes: Sequence[str], name: str) -> str:
    found = next((each for each in scopes if f"/{name}/" in each), "")
    return plain(found.rpartition(f"/{name}/")[2].replace("%20", " "))


def plain(text: str) -> str:
    """What a device said, fit for a line of a log or a terminal."""
    return "".join(letter if letter.isprintable() else " " for letter in text).strip()[:120]
