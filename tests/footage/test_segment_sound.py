"""A file with sound: hashed as it is written, one fragment a second, and playable wherever it is cut."""

import hashlib
import itertools
import random
from fractions import Fraction
from pathlib import Path

import av
import pytest
from av.audio.stream import AudioStream

from agent.footage.mp4.boxes_walk import walk
from agent.footage.recording.segment import Segment, create_file
from agent.footage.timeline import NS, Sane
from tests.fakes.camera import make_clip
from tests.fakes.encoded import aac

RATE = 16_000
SECONDS = 8


@pytest.fixture(scope="module")
def clip(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("clip") / "a.mp4"
    make_clip(path, seconds=SECONDS, fps=25)
    return path


def template(folder: Path) -> av.container.InputContainer:
    """A file with AAC in it, whose stream others are made after."""
    config, frames = aac(1)
    path = folder / "template.mp4"
    with av.open(path, "w") as container:
        stream = container.add_stream("aac", rate=RATE, layout="mono")
        container.start_encoding()
        assert stream.codec_context.extradata == config
        for place, frame in enumerate(frames):
            packet = av.Packet(frame)
            packet.stream, packet.time_base = stream, Fraction(1, RATE)
            packet.pts = packet.dts = place * 1024
            container.mux(packet)
    return av.open(path)


def record(target: Path, clip: Path, silent_s: tuple[float, float] = (0.0, 0.0)) -> tuple[str, list[int]]:
    """Pictures and sound as they come; the digest, and how large the file was after each picture."""
    _, frames = aac(SECONDS)
    sizes = []
    with template(target.parent) as sounding, av.open(clip) as source:
        video, sound = source.streams.video[0], sounding.streams.audio[0]
        assert isinstance(sound, AudioStream)
        segment = Segment(target, video, {"camera": "c", "seq": 1}, create_file, sound=sound)
        place = 0
        for packet in source.demux(video):
            if packet.dts is None or packet.pts is None or packet.time_base is None:
                continue
            segment.write(packet, Sane(packet.pts, packet.dts))
            now_s = float((packet.dts or 0) * (source.streams.video[0].time_base or 0))
            while place < len(frames) and place * 1024 / RATE <= now_s:
                if not silent_s[0] <= place * 1024 / RATE < silent_s[1]:
                    segment.write_sound(av.Packet(frames[place]), RATE, place * 1024 * NS // RATE)
                place += 1
            sizes.append(segment.file.size_bytes)
        digest = segment.finish()
    return digest, sizes


def test_the_digest_is_that_of_the_file(tmp_path: Path, clip: Path) -> None:
    digest, _ = record(tmp_path / "a.mp4", clip)
    assert hashlib.sha256((tmp_path / "a.mp4").read_bytes()).hexdigest() == digest


@pytest.mark.parametrize("silent_s", [(0.0, 0.0), (2.0, 5.5), (0.0, 100.0)])
def test_a_fragment_leaves_every_second_with_or_without_sound(
    tmp_path: Path, clip: Path, silent_s: tuple[float, float]
) -> None:
    """What is still in memory when the power goes is a second of pictures, also while the microphone is off."""
    _, sizes = record(tmp_path / "a.mp4", clip, silent_s)
    grew = [place for place, (before, after) in enumerate(itertools.pairwise(sizes)) if after > before]
    assert all(after - before <= 27 for before, after in itertools.pairwise([0, *grew, len(sizes)]))
    data = (tmp_path / "a.mp4").read_bytes()
    walked = walk(lambda offset, size: data[offset : offset + size], len(data))
    assert (walked.frames, walked.keep_bytes) == (SECONDS * 25, len(data))
    assert abs(walked.length_ns() - SECONDS * NS) < NS // 25
    assert walked.fragments >= SECONDS


def test_wherever_it_is_cut_what_is_kept_plays(tmp_path: Path, clip: Path) -> None:
    record(tmp_path / "a.mp4", clip)
    data = (tmp_path / "a.mp4").read_bytes()
    chance = random.Random(11)
    for cut in (chance.randrange(2000, len(data)) for _ in range(25)):
        part = data[:cut]
        walked = walk(lambda offset, size, part=part: part[offset : offset + size], cut)  # type: ignore[misc]
        if not walked.keep_bytes:
            continue
        (tmp_path / "cut.mp4").write_bytes(part[: walked.keep_bytes])
        with av.open(tmp_path / "cut.mp4") as container:
            assert sum(1 for _ in container.decode(video=0)) == walked.frames
        with av.open(tmp_path / "cut.mp4") as container:
            heard_s = sum(frame.samples for frame in container.decode(audio=0)) / RATE
            assert abs(heard_s - walked.frames / 25) < 0.3


def test_sound_before_the_first_picture_and_out_of_order_is_made_to_fit(tmp_path: Path, clip: Path) -> None:
    _, frames = aac(1)
    with template(tmp_path) as sounding, av.open(clip) as source:
        video, sound = source.streams.video[0], sounding.streams.audio[0]
        assert isinstance(sound, AudioStream)
        segment = Segment(tmp_path / "a.mp4", video, {"camera": "c", "seq": 1}, create_file, sound=sound)
        segment.write_sound(av.Packet(frames[0]), RATE, 0)  # no picture yet: not kept
        packet = next(source.demux(video))
        segment.write(packet, Sane(0, 0))
        for after_ns in (-NS, -NS // 4, -NS // 4 + 64_000_000, 0, 10_000_000, 5_000_000, 200_000_000):
            segment.write_sound(av.Packet(frames[1]), RATE, after_ns)
        segment.finish()
    with av.open(tmp_path / "a.mp4") as container:
        times = [packet.dts for packet in container.demux(audio=0) if packet.size and packet.dts is not None]
    assert times[0] == 0
    assert len(times) == 6
    assert all(before < after for before, after in itertools.pairwise(times))
