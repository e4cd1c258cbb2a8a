"""Sound that is not to be recorded reaches no file; sound that no file takes costs no picture."""

import struct
from collections.abc import Callable, Iterator
from fractions import Fraction
from pathlib import Path
from typing import TypeVar

import av
import pytest
from av.audio.stream import AudioStream
from av.video.stream import VideoStream

from agent.camera_address import Address
from agent.clock import SystemClock
from agent.footage.recording.arrivals import Arrived, Ended, Heard, Item, Opened
from agent.footage.recording.camera import Camera
from agent.footage.recording.plan import CameraPlan
from agent.footage.recording.sound import SoundFormat, sound_of
from agent.footage.recording.track import Track
from agent.footage.timeline import NS
from tests.fakes.camera import make_clip
from tests.fakes.encoded import aac
from tests.fakes.played import PlayedCamera
from tests.fakes.transport_stream import TransportStreamCamera
from tests.fakes.waiting import until
from tests.footage.test_segment_sound import RATE, template
from tests.footage.test_track import CAMERA, FRAME_S, Rig, frames_of

T = TypeVar("T")


@pytest.fixture(scope="module")
def clip(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("clip") / "a.mp4"
    make_clip(path)
    return path


def test_sound_that_comes_without_being_asked_for() -> None:
    """In a transport stream pictures and sound come together, whatever the settings say."""
    server = TransportStreamCamera(3)
    camera = Camera("one", Address(server.url()), SystemClock(), 2.0, sound=False)
    found: list[Item] = []

    def seen() -> bool:
        found.extend(camera.take())
        return any(isinstance(each, Ended) and each.was_open for each in found)

    camera.start()
    try:
        until(seen, 20, "the end of the stream")
    finally:
        camera.ask_to_stop()
        server.stop()
        assert camera.join(10)
    assert sum(isinstance(each, Arrived) for each in found) > 25
    assert next(each for each in found if isinstance(each, Opened)).sound is None
    assert not any(isinstance(each, Heard) for each in found)
    assert camera.told_sound == "", "nobody looked at it"


class SoundingCamera(PlayedCamera):
    """Offers sound along with the pictures of a file."""

    sounding: AudioStream

    def with_streams(self, connection: int, use: Callable[[VideoStream, AudioStream | None], T]) -> T | None:
        return use(self._stream, self.sounding) if connection == self._connection else None

    def offer(self) -> None:
        """Tell the present connection anew, with sound."""
        for number, item in enumerate(self._given):
            if isinstance(item, Opened):
                sound = SoundFormat(RATE, 1024)
                self._given[number] = Opened(
                    item.connection, item.codec, item.width, item.height, item.time_base, item.nominal_ticks,
                    sound=sound,
                )  # fmt: skip


@pytest.fixture
def sounding(tmp_path: Path) -> Iterator[AudioStream]:
    with template(tmp_path) as container:
        stream = container.streams.audio[0]
        assert isinstance(stream, AudioStream)
        yield stream


def made(folder: Path, clip: Path, sounding: AudioStream, sound: bool) -> tuple[Rig, SoundingCamera]:
    """A track whose camera offers sound; `sound`: it is to be recorded."""
    rig = Rig(folder, clip)
    camera = SoundingCamera(clip, rig.clock)
    camera.sounding = sounding
    camera.offer()
    plan = CameraPlan("cam1", CAMERA, "one", Address("rtsp://127.0.0.1/none"), sound=sound)
    rig.camera, rig.track = camera, Track(plan, camera, rig.store, 5 * NS)
    return rig, camera


def sound_in(rig: Rig) -> int:
    """Packets of sound in all files."""
    packets = 0
    for row in rig.rows():
        with av.open(rig.path / row.path) as container:
            packets += sum(1 for packet in container.demux(audio=0) if packet.size) if container.streams.audio else 0
    return packets


def play(rig: Rig, camera: SoundingCamera, seconds: float, frame: Callable[[int], bytes]) -> None:
    for number in range(round(seconds / FRAME_S)):
        packet = av.Packet(frame(number))
        packet.pts = packet.dts = round(number * FRAME_S * RATE)
        packet.duration, packet.time_base = 1024, Fraction(1, RATE)
        camera.give(Heard(packet, rig.clock.mono_ns()))
        rig.play(FRAME_S)


@pytest.mark.parametrize("wanted", [False, True])
def test_a_file_has_sound_only_where_the_settings_want_it(
    tmp_path: Path, clip: Path, sounding: AudioStream, wanted: bool
) -> None:
    """The last door before the disk, whatever the reader hands on."""
    rig, camera = made(tmp_path, clip, sounding, wanted)
    _, frames = aac(1)
    try:
        play(rig, camera, 12, lambda number: frames[number % len(frames)])
        rig.finish()
        assert (sound_in(rig) > 100) == wanted
        if not wanted:
            assert sound_in(rig) == 0
            for row in rig.rows():
                with av.open(rig.path / row.path) as container:
                    assert not container.streams.audio, "not even an empty track"
    finally:
        rig.close()


def test_sound_that_no_file_takes_costs_no_picture(tmp_path: Path, clip: Path, sounding: AudioStream) -> None:
    """What the muxer says of a packet of sound it says when the next picture comes."""
    rig, camera = made(tmp_path, clip, sounding, True)
    try:
        play(rig, camera, 20, lambda _: b"\xff\xf1" + b"\xff" * 30)
        rig.finish()
        found = rig.rows()
        assert sum(row.frames for row in found) >= 175, "no more than the first seconds are doubtful"
        for row in found:
            assert frames_of(rig.path / row.path) == row.frames
        assert sound_in(rig) == 0
    finally:
        rig.close()


def test_a_header_before_every_frame_of_sound_is_taken_off(sounding: AudioStream) -> None:
    """ADTS: some cameras send it inside RTP, where it has no place."""
    _, frames = aac(1)
    sound = sound_of(sounding)
    assert sound is not None
    for protected in (True, False):
        for frame in frames[:5]:
            size = len(frame) + (9 if protected else 7)
            bits = 0xFFF << 44 | (0 if protected else 1) << 40 | 1 << 38 | 8 << 34 | 1 << 30 | size << 13 | 0x7FF << 2
            head = struct.pack(">Q", bits)[1:] + (b"\x00\x00" if protected else b"")
            packet = av.Packet(head + frame)
            packet.pts = packet.dts = 7
            (bare,) = sound.convert(packet)
            assert (bytes(bare), bare.pts, bare.dts) == (frame, 7, 7)
    assert [bytes(each) for each in sound.convert(av.Packet(frames[0]))] == [frames[0]]
    assert list(sound.convert(av.Packet(b"\xff\xf1"))) == [], "a header and nothing after it"
