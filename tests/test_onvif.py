"""From a device's address to its stream: both kinds of login, both kinds of media service, and devices that lie."""

import socket
import threading
import time
import traceback
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agent.camera_address import Address
from agent.camera_open import Place
from agent.clock import SystemClock
from agent.footage.recording.arrivals import Ended, Opened, Trouble
from agent.footage.recording.camera import Camera
from agent.onvif import OnvifFailed, digest_proof, offered, stream_address
from agent.onvif_messages import BadAnswer, Profile, at_host, choose, parse, profiles_of, stream_uri_of
from tests.fakes import hostile_device
from tests.fakes.encoded import pictures
from tests.fakes.onvif_device import Behaviour, OnvifDevice, Stream
from tests.fakes.scripted_camera import ScriptedCamera, steady
from tests.fakes.waiting import until

MAIN = Stream("P0", "H264", 1920, 1080, "rtsp://admin:Geheim!42@192.168.254.7:554/main?a=1&b=2")
SUB = Stream("P1", "H264", 640, 360, "rtsp://192.168.254.7/sub")
TINY = Stream("P2", "H264", 176, 144, "rtsp://192.168.254.7/tiny")
WIDE = Stream("P3", "H265", 2560, 1440, "rtsp://192.168.254.7/wide")
STILL = Stream("P4", "JPEG", 3840, 2160, "rtsp://192.168.254.7/still")


@pytest.fixture
def devices() -> Iterator[Callable[..., OnvifDevice]]:
    made: list[OnvifDevice] = []

    def device(*streams: Stream, **like: object) -> OnvifDevice:
        made.append(OnvifDevice(Behaviour(list(streams), **like)))  # type: ignore[arg-type]  # names of its fields
        return made[-1]

    yield device
    for each in made:
        each.stop()


def address(device: OnvifDevice, folder: Path, profile: str = "main", path: str = "") -> Address:
    secret = folder / "secret"
    secret.write_text("Geheim!42\n")
    return Address(device.url(path), "tcp", "admin", secret, profile)


def found(where: Address) -> str:
    return stream_address(where, SystemClock()).url


@pytest.mark.parametrize("login", ["", "wsse", "digest"])
@pytest.mark.parametrize("media2", [False, True])
def test_main_is_the_largest_and_sub_the_smallest_that_is_wide_enough(
    devices: Callable[..., OnvifDevice], tmp_path: Path, login: str, media2: bool
) -> None:
    device = devices(TINY, SUB, MAIN, STILL, login=login, media2=media2)
    assert found(address(device, tmp_path)) == "rtsp://127.0.0.1:554/main?a=1&b=2"
    assert found(address(device, tmp_path, "sub")) == "rtsp://127.0.0.1/sub"


def test_h265_is_known_by_media_2_only(devices: Callable[..., OnvifDevice], tmp_path: Path) -> None:
    assert found(address(devices(MAIN, WIDE, media2=True), tmp_path)).endswith("/wide")
    assert "/main" in found(address(devices(MAIN, WIDE, media2=False), tmp_path))


def test_a_device_that_knows_no_services_is_asked_for_its_capabilities(
    devices: Callable[..., OnvifDevice], tmp_path: Path
) -> None:
    device = devices(MAIN, knows_services=False)
    assert "/main" in found(address(device, tmp_path))
    assert "GetCapabilities" in device.asked


def test_a_device_with_a_wrong_clock_lets_us_in_by_its_own_time(
    devices: Callable[..., OnvifDevice], tmp_path: Path
) -> None:
    device = devices(MAIN, login="wsse", clock_ahead_s=-50 * 365 * 86_400.0)
    assert "/main" in found(address(device, tmp_path))


def test_digest_of_the_newer_kind(devices: Callable[..., OnvifDevice], tmp_path: Path) -> None:
    assert "/main" in found(address(devices(MAIN, login="digest", algorithm="SHA-256"), tmp_path))


@pytest.mark.parametrize("login", ["wsse", "digest"])
def test_a_wrong_password_is_a_refusal_after_one_question(
    devices: Callable[..., OnvifDevice], tmp_path: Path, login: str
) -> None:
    device = devices(MAIN, login=login)
    where = address(device, tmp_path)
    (tmp_path / "secret").write_text("wrong")
    with pytest.raises(OnvifFailed) as told:
        found(where)
    assert told.value.refused
    assert str(told.value) == "login_refused"
    assert "GetProfiles!" not in device.asked, "a refused password is not tried on other doors"
    assert "wrong" not in repr(told.value)


def test_a_profile_can_be_named(devices: Callable[..., OnvifDevice], tmp_path: Path) -> None:
    nvr = devices(MAIN, Stream("C2M", "H264", 1920, 1080, "rtsp://x/2", source="VS2"))
    assert "/main" in found(address(nvr, tmp_path))
    assert found(address(nvr, tmp_path, path="/C2M")) == "rtsp://127.0.0.1/2"
    with pytest.raises(OnvifFailed, match="no_profile"):
        found(address(nvr, tmp_path, path="/C9"))


def test_every_stream_that_can_be_recorded_is_offered(devices: Callable[..., OnvifDevice], tmp_path: Path) -> None:
    device = devices(MAIN, SUB, STILL, login="wsse")
    told = offered(address(device, tmp_path), SystemClock())
    assert [(profile.token, url) for profile, url in told] == [
        ("P0", "rtsp://127.0.0.1:554/main?a=1&b=2"), ("P1", "rtsp://127.0.0.1/sub"),
    ]  # fmt: skip


LIES = {
    "a page": (200, b"<html><body>NVR</body></html>", "no_onvif"),
    "no XML": (200, b"\xff\xfe\x00hello", "no_onvif"),
    "nothing": (200, b"", "no_onvif"),
    "not found": (404, b"<h1>404</h1>", "no_onvif"),
    "a document type": (200, b'<!DOCTYPE x [<!ENTITY a "b">]><s:Envelope xmlns:s="s"><s:Body>&a;</s:Body></s:Envelope>',
                        "no_onvif"),
    "too long": (200, b"<a>" + b"<b/>" * 400_000 + b"</a>", "no_onvif"),
    "another envelope": (200, b"<Envelope><Body/></Envelope>", "no_profile"),
    "a fault": (500, b"<Envelope><Body><Fault><Reason><Text>busy\x07</Text></Reason></Fault></Body></Envelope>",
                "no_onvif"),
    "an honest fault": (500, b"<Envelope><Body><Fault><Reason><Text>busy</Text></Reason></Fault></Body></Envelope>",
                        "device_says: busy"),
}  # fmt: skip


@pytest.mark.parametrize("lie", LIES)
def test_what_is_no_answer_is_told_and_does_no_harm(
    devices: Callable[..., OnvifDevice], tmp_path: Path, lie: str
) -> None:
    status, raw, told = LIES[lie]
    with pytest.raises(OnvifFailed, match=told) as failed:
        found(address(devices(raw=raw, status=status), tmp_path))
    assert not failed.value.refused


@pytest.mark.parametrize(
    "uri", ["", "http://10.0.0.1/x", "rtsp://", "rtsp:///x", "file:///etc/passwd", "rtsp://a b/c", "rtsp://x/\n/y"]
)
def test_an_address_that_is_none_is_not_used(devices: Callable[..., OnvifDevice], tmp_path: Path, uri: str) -> None:
    with pytest.raises(OnvifFailed, match="no_onvif"):
        found(address(devices(Stream("P0", "H264", 1920, 1080, uri)), tmp_path))


def test_a_device_that_accepts_and_says_nothing_costs_bounded_time(tmp_path: Path) -> None:
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        listener.listen()
        began = time.monotonic()
        with pytest.raises(OnvifFailed, match="no_answer"):
            stream_address(Address(f"onvif://127.0.0.1:{listener.getsockname()[1]}"), SystemClock(), patience_s=0.5)
        assert time.monotonic() - began < 5


@pytest.mark.parametrize(
    ("answer", "told"),
    [
        (hostile_device.dripping, "no_answer"),
        (hostile_device.dripping_body, "no_answer"),
        (hostile_device.always_later, "no_answer"),
        (hostile_device.endless, "no_onvif"),
        (hostile_device.cut_short, "no_onvif"),
        (hostile_device.garbled_length, "no_onvif"),
        (hostile_device.too_many_headers, "no_onvif"),
    ],
)  # fmt: skip
def test_a_hostile_device_costs_bounded_time_and_memory(
    tmp_path: Path, answer: hostile_device.Answer, told: str
) -> None:
    (tmp_path / "secret").write_text("Geheim!42")
    with socket.create_server(("127.0.0.1", 0)) as listener:
        serving = threading.Thread(
            target=hostile_device.serve, args=(listener, answer), name="hostile-device", daemon=True
        )
        serving.start()
        where = Address(f"onvif://127.0.0.1:{listener.getsockname()[1]}", "tcp", "admin", tmp_path / "secret")
        with pytest.raises(OnvifFailed, match=told) as failed:
            stream_address(where, SystemClock(), patience_s=0.6)
        listener.shutdown(socket.SHUT_RDWR)
    serving.join(10)
    assert not serving.is_alive(), "the connection was closed"
    assert "Geheim" not in "".join(traceback.format_exception(failed.value))


def test_a_device_that_sends_us_elsewhere_is_not_followed(devices: Callable[..., OnvifDevice], tmp_path: Path) -> None:
    other = devices(MAIN, login="digest")
    device = devices(raw=b"", status=307, headers={"Location": f"http://127.0.0.1:{other.port}/onvif/device_service"})
    with pytest.raises(OnvifFailed, match="no_onvif"):
        found(address(device, tmp_path))
    assert other.asked == []


def test_services_elsewhere_are_asked_for_at_the_device(devices: Callable[..., OnvifDevice], tmp_path: Path) -> None:
    """A device may name any host for its services; user and password go to the one in the settings alone."""
    device = devices(MAIN, login="wsse")
    assert "/main" in found(address(device, tmp_path))
    assert device.asked.count("GetProfiles") == 1


@pytest.mark.parametrize("uri", ["rtsp://[::1/x", "rtsp://[bad]/x"])
def test_an_address_that_cannot_be_read_is_no_address(
    devices: Callable[..., OnvifDevice], tmp_path: Path, uri: str
) -> None:
    with pytest.raises(OnvifFailed, match="no_onvif"):
        found(address(devices(Stream("P0", "H264", 1920, 1080, uri)), tmp_path))


@pytest.mark.parametrize(
    "data",
    [
        b"<a>" * 300_000,
        b"<a>" * 100_000 + b"</a>" * 100_000,
        b'<a b="' + b"x" * 1_000_000 + b'"/>',
        b"<a " + b" ".join(b'b%d="x"' % number for number in range(50_000)) + b"/>",
        b'<?xml version="1.0" encoding="utf-16"?><a/>',
        b'<!DOCTYPE a [<!ENTITY x "1234567890"><!ENTITY y "&x;&x;&x;&x;&x;&x;&x;&x;">]><a>&y;&y;&y;&y;</a>',
        b'<!DOCTYPE a SYSTEM "file:///etc/passwd"><a/>',
    ],
)
def test_xml_that_is_made_to_hurt_does_not(data: bytes) -> None:
    try:
        root = parse(data)
    except BadAnswer:
        return
    assert profiles_of(root) == []


def test_a_camera_is_recorded_by_the_address_of_its_device(devices: Callable[..., OnvifDevice], tmp_path: Path) -> None:
    """The whole way; and when the stream moves, the device is asked again."""
    shown = pictures(1)
    first, second = (ScriptedCamera(lambda _: steady(shown), shown[0]) for _ in range(2))
    device = devices(Stream("P0", "H264", 320, 240, first.url()), login="wsse")
    camera = Camera("one", address(device, tmp_path), SystemClock(), 2.0)
    seen: list[object] = []

    def opened() -> int:
        seen.extend(camera.take())
        return sum(isinstance(each, Opened) for each in seen)

    try:
        camera.start()
        until(lambda: opened() >= 2, 20, "two connections")
        assert device.asked.count("GetStreamUri") == 1, "the device is asked once"
        device.behaviour.streams = [Stream("P0", "H264", 320, 240, second.url())]
        first.stop()
        count = opened()
        until(lambda: opened() > count and second.connections, 20, "the stream at its other place")
    finally:
        camera.ask_to_stop()
        first.stop()
        second.stop()
        assert camera.join(10)


def test_a_refusal_by_the_device_is_a_refusal_of_the_camera(
    devices: Callable[..., OnvifDevice], tmp_path: Path
) -> None:
    device = devices(MAIN, login="wsse")
    where = address(device, tmp_path)
    (tmp_path / "secret").write_text("wrong")
    camera = Camera("one", where, SystemClock(), 2.0)
    try:
        camera.start()
        ended = until(lambda: next((each for each in camera.take() if isinstance(each, Ended)), None), 10, "a refusal")
        assert (ended.trouble, ended.detail) == (Trouble.REFUSED, "login_refused")
    finally:
        camera.ask_to_stop()
        assert camera.join(10)


def test_a_plain_address_is_its_own_place(tmp_path: Path) -> None:
    where = Address("rtsp://10.0.0.1/x")
    place = Place(where, SystemClock())
    for _ in range(5):
        place.failed()
    assert place.find() is where


def test_the_digest_of_rfc_7616() -> None:
    challenge = (
        'Digest realm="http-auth@example.org", qop="auth, auth-int", algorithm=SHA-256, '
        'nonce="7ypf/xlj9XXwfDPEoM4URrv/xwf94BcCAzFZH4GiTo0v", opaque="FQhe/qaU925kfnzjCev0ciny7QMkPqMAFRtzCUYo5tdS"'
    )
    proof = digest_proof(
        challenge, "GET", "/dir/index.html", "Mufasa", "Circle of Life", "f2/wE4q74E6zIJEtWaHKaf5wv/H5QzzpXusqGemxURZJ"
    )
    assert 'response="753927fa0e85d155564e2e272a28d1802ca10daf4496794697cf8db5856cb6c1"' in proof
    assert "nc=00000001" in proof


def test_an_address_with_six_parts_is_put_to_the_host() -> None:
    assert at_host("rtsp://u:p@0.0.0.0:8554/a?b#c", "fe80::1") == "rtsp://[fe80::1]:8554/a?b#c"
    assert at_host("rtsp://10.0.0.9:99999/a", "h") == "rtsp://h/a"


profiles = st.builds(
    Profile, st.text(min_size=1, max_size=3), st.just(""), st.sampled_from("ab"), st.sampled_from(["h264", "hevc"]),
    st.integers(1, 4000), st.integers(1, 3000), st.integers(0, 60),
)  # fmt: skip


@given(st.lists(profiles, min_size=1, max_size=6))
def test_main_is_never_smaller_than_sub(offers: list[Profile]) -> None:
    main, sub = choose(offers, "main"), choose(offers, "sub")
    assert main is not None
    assert sub is not None
    assert main.source == sub.source == offers[0].source
    assert main.width * main.height >= sub.width * sub.height
    assert choose([], "main") is None


@given(st.one_of(st.binary(max_size=200), st.text(max_size=200).map(str.encode)))
def test_any_bytes_are_refused_or_parsed(data: bytes) -> None:
    try:
        root = parse(data)
        profiles_of(root)
        stream_uri_of(root)
    except BadAnswer:
        pass
