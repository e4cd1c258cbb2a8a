"""Sound: what of it gets into the files, when, and that it never costs a picture."""

import heapq
import itertools
from collections.abc import Iterable, Iterator

import pytest

from agent.camera_address import Address
from agent.clock import SystemClock
from agent.footage.recording.arrivals import Arrived, Ended, Heard, Item, Opened, Trouble
from agent.footage.recording.camera import Camera
from tests.fakes.encoded import Picture, aac, g711, pictures
from tests.fakes.scripted_camera import ScriptedCamera, Sound, Unit, steady
from tests.fakes.waiting import until


@pytest.fixture(scope="module")
def shown() -> list[Picture]:
    return pictures(1)


def sounding(frames: Iterable[bytes], ticks: int, rate: int, from_s: float = 0.0) -> Iterator[Unit]:
    """Frames of sound, each `ticks` long."""
    for place, frame in enumerate(frames):
        yield Unit(from_s + place * ticks / rate, 77_000 + place * ticks, frame, sound=True)


def both(pictures: Iterable[Unit], sound: Iterable[Unit]) -> Iterator[Unit]:
    return heapq.merge(pictures, sound, key=lambda unit: unit.at_s)


def repeated(shown: list[Picture], seconds: float) -> Iterator[Unit]:
    return steady(itertools.islice(itertools.cycle(shown), round(seconds * 25)))


def taken(server: ScriptedCamera, sound: bool = True, read_timeout_s: float = 2.0) -> tuple[Camera, list[Item]]:
    """Everything of one connection, to its end."""
    camera = Camera("one", Address(server.url()), SystemClock(), read_timeout_s, sound)
    camera.start()
    found: list[Item] = []

    def seen() -> bool:
        found.extend(camera.take())
        return any(isinstance(each, Ended) for each in found)

    try:
        until(seen, 20, "the end of the stream")
    finally:
        camera.ask_to_stop()
        server.stop()
        assert camera.join(10)
    return camera, found


def test_g711_comes_as_aac_of_the_same_length(shown: list[Picture]) -> None:
    server = ScriptedCamera(
        lambda _: both(repeated(shown, 4), sounding(g711(4), 320, 8000)), shown[0], sound=Sound("PCMA")
    )
    _, items = taken(server)
    opened = next(each for each in items if isinstance(each, Opened))
    heard = [each.packet for each in items if isinstance(each, Heard)]
    assert opened.sound is not None
    assert (opened.sound.rate, opened.sound.frame_ticks) == (8000, 1024)
    assert 3.7 < len(heard) * 1024 / 8000 < 4.1
    times = [packet.pts for packet in heard]
    assert all(after - before == 1024 for before, after in itertools.pairwise(t for t in times if t is not None))
    assert sum(isinstance(each, Arrived) for each in items) == 100


def test_aac_comes_as_it_is(shown: list[Picture]) -> None:
    config, frames = aac(3)
    server = ScriptedCamera(
        lambda _: both(repeated(shown, 3), sounding(frames, 1024, 16_000)),
        shown[0],
        sound=Sound("MPEG4-GENERIC", 16_000, 1, config),
    )
    _, items = taken(server)
    heard = [bytes(each.packet) for each in items if isinstance(each, Heard)]
    assert heard
    assert set(heard) <= set(frames)
    assert len(heard) >= len(frames) - 2


def test_other_sound_is_left_out_and_said_once(shown: list[Picture], caplog: pytest.LogCaptureFixture) -> None:
    server = ScriptedCamera(
        lambda _: both(repeated(shown, 1), sounding([b"\x11" * 160] * 25, 320, 8000)), shown[0], sound=Sound("G726-32")
    )
    _, items = taken(server)
    opened = next(each for each in items if isinstance(each, Opened))
    assert opened.sound is None
    assert not [each for each in items if isinstance(each, Heard)]
    assert sum(isinstance(each, Arrived) for each in items) == 25
    assert sum("its sound is not recorded" in each.message for each in caplog.records) == 1


def test_no_sound_is_asked_for_unless_it_is_to_be_recorded(shown: list[Picture]) -> None:
    server = ScriptedCamera(lambda _: repeated(shown, 1), shown[0], sound=Sound())
    _, items = taken(server, sound=False)
    assert [each.partition(":")[0] for each in server.setups] == ["video"]
    assert not [each for each in items if isinstance(each, Heard)]


def test_a_silent_microphone_costs_no_picture(shown: list[Picture]) -> None:
    server = ScriptedCamera(lambda _: repeated(shown, 3), shown[0], sound=Sound())
    _, items = taken(server)
    assert sum(isinstance(each, Arrived) for each in items) == 75


def test_sound_without_pictures_is_a_silent_camera(shown: list[Picture]) -> None:
    server = ScriptedCamera(lambda _: both(repeated(shown, 1), sounding(g711(10), 320, 8000)), shown[0], sound=Sound())
    _, items = taken(server, read_timeout_s=1.0)
    ended = next(each for each in items if isinstance(each, Ended))
    assert (ended.trouble, ended.detail, ended.was_open) == (Trouble.SILENT, "sound_only", True)


def test_sound_that_is_garbage_costs_no_picture(shown: list[Picture]) -> None:
    config, _ = aac(1)
    lost = [b"", b"\x00", b"\xff" * 900, b"\x21"]
    server = ScriptedCamera(
        lambda _: both(repeated(shown, 2), sounding(itertools.islice(itertools.cycle(lost), 100), 320, 16_000)),
        shown[0],
        sound=Sound("MPEG4-GENERIC", 16_000, 1, config),
    )
    _, items = taken(server)
    assert sum(isinstance(each, Arrived) for each in items) == 50


def test_a_camera_that_refuses_its_sound_gives_pictures(shown: list[Picture], caplog: pytest.LogCaptureFixture) -> None:
    server = ScriptedCamera(lambda _: repeated(shown, 1), shown[0], sound=Sound())
    server.refuses["sound"] = "461 Unsupported Transport"
    _, items = taken(server)
    assert sum(isinstance(each, Arrived) for each in items) == 25
    assert sum("only when it is not asked for sound" in each.message for each in caplog.records) == 1


def test_a_camera_that_hangs_when_asked_for_sound_gives_pictures(
    shown: list[Picture], caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("agent.camera_open.OPEN_TIMEOUT_S", 1.0)
    server = ScriptedCamera(lambda _: repeated(shown, 1), shown[0], sound=Sound())
    server.refuses["sound"] = ""
    camera = Camera("one", Address(server.url()), SystemClock(), 5.0, sound=True)
    camera.start()
    found: list[Item] = []

    def pictures() -> int:
        found.extend(camera.take())
        return sum(isinstance(each, Arrived) for each in found)

    try:
        until(lambda: pictures() == 25, 15, "pictures")
    finally:
        camera.ask_to_stop()
        server.stop()
        assert camera.join(10)
    assert sum("only when it is not asked for sound" in each.message for each in caplog.records) == 1


def test_a_microphone_that_stays_away_for_a_while_costs_no_second_of_what_follows(shown: list[Picture]) -> None:
    frames = g711(1)
    early = sounding(frames, 320, 8000)
    late = (Unit(each.at_s, 77_000 + 3 * 8000 + each.ticks - 77_000, each.data, sound=True) for each in
            sounding(frames, 320, 8000, 3.0))  # fmt: skip
    server = ScriptedCamera(lambda _: both(repeated(shown, 5), itertools.chain(early, late)), shown[0], sound=Sound())
    _, items = taken(server)
    times = [each.packet.pts for each in items if isinstance(each, Heard) and each.packet.pts is not None]
    jumps = [after - before for before, after in itertools.pairwise(times)]
    assert sum(step != 1024 for step in jumps) == 1
    assert abs(max(jumps) / 8000 - 2.1) < 0.3
