"""What cameras send, live and side by side: every picture that left a camera is in its files, once, in its order.

The judge is each camera's own log of what it sent; every picture carries its number (tests/fakes/encoded.py).
"""

import heapq
import itertools
import random
import time
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import av
import numpy as np
import pytest

from tests.fakes.encoded import VIDEO_RATE, Picture, aac, g711, numbers_in, pictures
from tests.fakes.recording import Recording
from tests.fakes.scripted_camera import ScriptedCamera, Sound, Unit, steady
from tests.fakes.waiting import until

SIZE = (160, 120)
FPS = 25
RECORDED_S = 20.0
"""Two files of each at least, three jumps of the clocks that jump, and sound for the second time."""

TAIL_S = 2.0
"""What was sent in the last moments before the stop may still have been on its way."""


@dataclass(frozen=True)
class Case:
    """One camera: what it sends, and what its settings say."""

    script: Callable[[], Iterator[Unit]]
    shown: Picture
    codec: str = "h264"
    sound: Sound | None = None
    settings: str = ""
    damaged: bool = False
    reports_after_s: float | None = None


def endless(shown: list[Picture]) -> Iterator[Picture]:
    return itertools.cycle(shown)


def sounding(frames: Iterable[bytes], ticks: int, rate: int, from_s: float = 0.0) -> Iterator[Unit]:
    for place, frame in enumerate(frames):
        yield Unit(from_s + place * ticks / rate, 9_000 + place * ticks, frame, sound=True)


def both(first: Iterable[Unit], second: Iterable[Unit]) -> Iterator[Unit]:
    return heapq.merge(first, second, key=lambda unit: unit.at_s)


def uneven(shown: list[Picture]) -> Iterator[Unit]:
    """A variable frame rate: pictures 5 to 250 ms apart."""
    chance, at_s = random.Random(4), 0.0
    for picture in endless(shown):
        yield Unit(at_s, 500 + round(at_s * VIDEO_RATE), picture.data, picture.key)
        at_s += chance.choice((0.005, 0.02, 0.04, 0.04, 0.1, 0.25))


def repeating(shown: list[Picture]) -> Iterator[Unit]:
    """Every seventh picture has the time stamp of the one before it, every eleventh one a little earlier."""
    for place, unit in enumerate(steady(endless(shown), FPS)):
        back = 3600 if place % 7 == 3 else 3600 + 900 if place % 11 == 5 else 0
        yield replace(unit, ticks=unit.ticks - back)


def jumping(shown: list[Picture], by_s: float) -> Iterator[Unit]:
    """The camera's clock is set every six seconds, in the middle of a group of pictures."""
    for place, unit in enumerate(steady(endless(shown), FPS, first_ticks=1 << 31)):
        yield replace(unit, ticks=unit.ticks + round(by_s * VIDEO_RATE) * ((place + 60) // 150))


def losing(shown: list[Picture], every: int) -> Iterator[Unit]:
    """One RTP packet of every so many pictures never arrives."""
    for place, unit in enumerate(steady(endless(shown), FPS)):
        yield replace(unit, lose=frozenset({1}) if place % every == every // 2 else frozenset())


def resized(small: list[Picture], large: list[Picture]) -> Iterator[Unit]:
    """Four seconds of each size in turn, without a break."""
    groups = itertools.cycle([*itertools.repeat(small, 4), *itertools.repeat(large, 4)])
    return steady(itertools.chain.from_iterable(groups), FPS)


def unmarked(shown: list[Picture]) -> Iterator[Unit]:
    return (replace(unit, marker=False) for unit in steady(endless(shown), FPS))


def coming_and_going(shown: list[Picture], frames: list[bytes]) -> Iterator[Unit]:
    """Sound from the fifth second to the tenth, and again with other time stamps from the fifteenth on."""
    first = itertools.islice(sounding(itertools.cycle(frames), 320, 8000, 5.0), 125)
    again = (replace(each, ticks=1 << 30) for each in sounding(itertools.cycle(frames), 320, 8000, 15.0))
    return both(steady(endless(shown), FPS), itertools.chain(first, again))


def still(shown: list[Picture], frames: list[bytes]) -> Iterator[Unit]:
    """Sound whose time stamp never moves."""
    heard = (replace(each, ticks=1 << 31) for each in sounding(itertools.cycle(frames), 1024, 16_000))
    return both(steady(endless(shown), FPS), heard)


def garbled(shown: list[Picture]) -> Iterator[Unit]:
    """Sound whose bytes and times make no sense."""
    chance = random.Random(7)
    bad = (
        Unit(place * 0.02, chance.randrange(1 << 32), chance.randbytes(chance.randrange(1, 900)), sound=True)
        for place in itertools.count()
    )
    return both(steady(endless(shown), FPS), bad)


@pytest.fixture(scope="module")
def cases() -> dict[str, Case]:
    plain, large = pictures(1, SIZE), pictures(1, (320, 240))
    noisy = pictures(1, SIZE, noise=True)
    bends = pictures(2, SIZE, b_frames=2, key_every=25)
    hevc, hevc_bends = pictures(1, SIZE, "hevc"), pictures(2, SIZE, "hevc", b_frames=2, key_every=25)
    slow = pictures(10, SIZE, fps=1, key_every=2)
    law, mu = g711(1), g711(1, "pcm_mulaw")
    config, frames = aac(4)
    heard = ", record_sound: true"
    aac_sound = Sound("MPEG4-GENERIC", 16_000, 1, config)

    def lawful(every: list[bytes]) -> Iterator[Unit]:
        return both(steady(endless(plain), FPS), sounding(itertools.cycle(every), 320, 8000))

    def copied() -> Iterator[Unit]:
        return both(steady(endless(plain), FPS), sounding(itertools.cycle(frames), 1024, 16_000))

    return {
        "plain": Case(lambda: steady(endless(plain), FPS), plain[0]),
        "bends": Case(lambda: steady(endless(bends), FPS), bends[0]),
        "hevc": Case(lambda: steady(endless(hevc), FPS), hevc[0], "hevc"),
        "hevc-bends": Case(lambda: steady(endless(hevc_bends), FPS), hevc_bends[0], "hevc"),
        "uneven": Case(lambda: uneven(plain), plain[0]),
        "slow": Case(lambda: steady(endless(slow), 1), slow[0]),
        "repeating": Case(lambda: repeating(plain), plain[0]),
        "back": Case(lambda: jumping(plain, -3600), plain[0]),
        "forward": Case(lambda: jumping(plain, 3600), plain[0]),
        "wraps": Case(lambda: steady(endless(plain), FPS, first_ticks=(1 << 32) - 8 * VIDEO_RATE), plain[0]),
        "fast": Case(lambda: steady(endless(plain), FPS, ppm=500), plain[0]),
        "reports": Case(lambda: steady(endless(plain), FPS), plain[0], reports_after_s=3.0),
        "unmarked": Case(lambda: unmarked(plain), plain[0]),
        "resized": Case(lambda: resized(plain, large), plain[0]),
        "losing": Case(lambda: losing(noisy, 10), noisy[0], damaged=True),
        "udp": Case(lambda: steady(endless(plain), FPS), plain[0], settings=", transport: udp"),
        "udp-loses": Case(lambda: losing(noisy, 10), noisy[0], settings=", transport: udp", damaged=True),
        "alaw": Case(lambda: lawful(law), plain[0], sound=Sound("PCMA"), settings=heard),
        "mulaw": Case(lambda: lawful(mu), plain[0], sound=Sound("PCMU"), settings=heard, reports_after_s=2.0),
        "aac": Case(copied, plain[0], sound=aac_sound, settings=heard),
        "comes-and-goes": Case(lambda: coming_and_going(plain, law), plain[0], sound=Sound("PCMA"), settings=heard),
        "garbled": Case(lambda: garbled(plain), plain[0], sound=aac_sound, settings=heard),
        "still": Case(lambda: still(plain, frames), plain[0], sound=aac_sound, settings=heard),
        "unwanted": Case(lambda: lawful(law), plain[0], sound=Sound("PCMA")),
    }


NAMES = [
    "plain", "bends", "hevc", "hevc-bends", "uneven", "slow", "repeating", "back", "forward", "wraps", "fast",
    "reports", "unmarked", "resized", "losing", "udp", "udp-loses", "alaw", "mulaw", "aac", "comes-and-goes",
    "garbled", "still", "unwanted",
]  # fmt: skip


def made(case: Case) -> ScriptedCamera:
    return ScriptedCamera(lambda _: case.script(), case.shown, case.codec, case.sound, case.reports_after_s)


@dataclass
class Recorded:
    """What was sent, and what there is of it."""

    cameras: dict[str, ScriptedCamera]
    recording: Recording
    spans: dict[str, dict[str, Any]]
    from_ns: int
    to_ns: int


@pytest.fixture(scope="module")
def recorded(cases: dict[str, Case], tmp_path_factory: pytest.TempPathFactory) -> Iterator[Recorded]:
    """All cameras at once, by one record process."""
    assert list(cases) == NAMES
    cameras = {name: made(case) for name, case in cases.items()}
    recording = Recording(tmp_path_factory.mktemp("streams"), {})
    lines = [
        f"  - {{id: {name}, name: {name}, room: r1, main: '{cameras[name].url()}'{case.settings}}}"
        for name, case in cases.items()
    ]
    with recording.settings.open("a", encoding="utf-8") as settings:
        settings.write("\n".join(lines) + "\n")
    recording.make_volume()
    try:
        recording.start()
        until(lambda: recording.is_recording(*cameras), 30, "all cameras are recorded", every_s=0.2)
        from_ns = time.time_ns()
        time.sleep(RECORDED_S)
        to_ns = time.time_ns() - round(TAIL_S * 1e9)
        spans = {name: recording.spans(name, from_ns, to_ns) for name in cameras}
        assert recording.stop() == 0
        yield Recorded(cameras, recording, spans, from_ns, to_ns)
    finally:
        recording.close()
        for camera in cameras.values():
            camera.stop()


def kept(path: Path) -> list[list[int]]:
    """The numbers in each packet of a file: one, unless something was lost."""
    with av.open(path) as container:
        return [numbers_in(bytes(packet)) for packet in container.demux(container.streams.video[0]) if packet.size]


@pytest.mark.parametrize("name", NAMES)
def test_every_picture_is_there_once_and_in_order(recorded: Recorded, cases: dict[str, Case], name: str) -> None:
    log = recorded.cameras[name].log
    packets = [numbers for path in recorded.recording.files(name) for numbers in kept(path)]
    whole = {each.number for each in log if each.whole}
    due = [each.number for each in log if recorded.from_ns <= each.wall_ns <= recorded.to_ns and each.whole]
    found = list(itertools.chain.from_iterable(packets))
    assert found == sorted(set(found)), "once, in the order in which they were sent"
    missing = set(due) - set(found)
    assert not missing
    if not cases[name].damaged:
        assert all(len(each) == 1 for each in packets)
        assert set(found) <= whole


@pytest.mark.parametrize("name", NAMES)
def test_nothing_of_that_is_a_gap(recorded: Recorded, name: str) -> None:
    told = recorded.spans[name]
    assert [(each["reason"], each["detail"]) for each in told["gaps"]] == []


@pytest.mark.parametrize("name", NAMES)
def test_the_files_play(recorded: Recorded, cases: dict[str, Case], name: str) -> None:
    """Each by itself, from its first picture on, with times that rise; and a whole file is as long as it says."""
    paths = recorded.recording.files(name)
    assert len(paths) >= 2
    for path in paths:
        with av.open(path) as container:
            stream = container.streams.video[0]
            assert stream.codec_context.name == cases[name].codec
            assert stream.codec_context.codec_tag == ("hvc1" if cases[name].codec == "hevc" else "avc1")
            times = [packet.dts for packet in container.demux(stream) if packet.size and packet.dts is not None]
        assert times[0] == 0
        assert all(before < after for before, after in itertools.pairwise(times))
        if cases[name].damaged:
            continue
        with av.open(path) as container:
            shown = list(container.decode(video=0))
        assert len(shown) == len(times)
        sizes = {(frame.width, frame.height) for frame in shown}
        assert len(sizes) == 1, "a file holds pictures of one size"


def sound_of(path: Path) -> list[tuple[float, float]]:
    """Begin and end in seconds of every packet of sound in a file."""
    with av.open(path) as container:
        if not container.streams.audio:
            return []
        base = container.streams.audio[0].time_base
        assert base is not None
        return [
            (float(packet.pts * base), float((packet.pts + (packet.duration or 0)) * base))
            for packet in container.demux(container.streams.audio[0])
            if packet.size and packet.pts is not None
        ]


@pytest.mark.parametrize("name", ["alaw", "mulaw", "aac", "still"])
def test_sound_is_there_all_the_time_and_in_time(recorded: Recorded, name: str) -> None:
    path = recorded.recording.files(name)[1]
    with av.open(path) as container:
        length_s = float(container.streams.video[0].frames) / FPS
        assert container.streams.audio[0].codec_context.name == "aac"
        heard = [frame.to_ndarray() for frame in container.decode(audio=0)]
    parts = sound_of(path)
    assert parts[0][0] < 0.3
    assert parts[-1][1] > length_s - 0.4
    assert all(abs(end - begin) < 0.06 for (_, end), (begin, _) in itertools.pairwise(parts)), "no hole, no heap"
    loud = max(float(np.abs(each).max()) for each in heard)
    assert 0.2 < loud <= 1.0, "a tone of 440 Hz"


def test_sound_that_comes_and_goes_is_kept_and_what_is_between_is_not(recorded: Recorded) -> None:
    paths = recorded.recording.files("comes-and-goes")
    heard_s = sum(len(sound_of(path)) for path in paths) * 1024 / 8000
    began_ns = recorded.cameras["comes-and-goes"].log[0].wall_ns
    sent_s = 5 + (recorded.to_ns - began_ns) / 1e9 + TAIL_S - 15
    assert abs(heard_s - sent_s) < 1.5


@pytest.mark.parametrize("name", ["plain", "unwanted"])
def test_no_sound_is_asked_for_and_none_is_kept(recorded: Recorded, name: str) -> None:
    assert all(setup.startswith("video") for setup in recorded.cameras[name].setups)
    assert not [part for path in recorded.recording.files(name) for part in sound_of(path)]


def test_udp_is_asked_for(recorded: Recorded) -> None:
    assert all("RTP/AVP/UDP" in setup or "RTP/AVP;" in setup for setup in recorded.cameras["udp"].setups)
    assert all("interleaved" not in setup for setup in recorded.cameras["udp"].setups)


def test_another_size_begins_another_file(recorded: Recorded) -> None:
    sizes = []
    for path in recorded.recording.files("resized"):
        with av.open(path) as container:
            context = container.streams.video[0].codec_context
            sizes.append((context.width, context.height))
    assert set(sizes) == {SIZE, (320, 240)}
