"""One file: hashed on the way, playing everywhere, and never more than what the disk took."""

import errno
import hashlib
import os
import subprocess
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import pytest
from av.packet import Packet
from av.video.stream import VideoStream

from agent.footage.mp4.boxes_walk import walk
from agent.footage.recording.segment import HashedFile, Segment, create_file
from agent.footage.timeline import Sane
from tests.fakes.camera import make_clip


def write(source: Path, target: Path) -> tuple[Segment, str]:
    with av.open(source, "r") as container:
        stream = container.streams.video[0]
        segment = Segment(target, stream, {"camera": "c", "seq": 3}, create_file)
        for packet in container.demux(stream):
            if packet.dts is not None and packet.pts is not None:
                segment.write(packet, Sane(packet.pts, packet.dts))
        return segment, segment.finish()


def test_the_hash_made_while_writing_is_that_of_the_file(tmp_path: Path) -> None:
    make_clip(tmp_path / "clip.mp4")
    segment, sha256 = write(tmp_path / "clip.mp4", tmp_path / "out.mp4")
    data = (tmp_path / "out.mp4").read_bytes()
    assert sha256 == hashlib.sha256(data).hexdigest()
    assert segment.file.size_bytes == len(data)
    assert segment.frames == 40


def test_the_file_says_what_it_is_to_any_tool(tmp_path: Path) -> None:
    make_clip(tmp_path / "clip.mp4")
    write(tmp_path / "clip.mp4", tmp_path / "out.mp4")
    data = (tmp_path / "out.mp4").read_bytes()
    assert walk(lambda offset, size: data[offset : offset + size], len(data)).description == {"camera": "c", "seq": 3}
    with av.open(tmp_path / "out.mp4", "r") as container:
        assert container.metadata["comment"] == '{"camera":"c","seq":3}'


@pytest.mark.needs_debian("ffmpeg")
def test_another_player_plays_it(tmp_path: Path) -> None:
    make_clip(tmp_path / "clip.mp4", b_frames=2)
    write(tmp_path / "clip.mp4", tmp_path / "out.mp4")
    asked = ["ffprobe", "-v", "error", "-count_frames", "-show_entries", "stream=nb_read_frames", "-of", "csv=p=0"]
    done = subprocess.run([*asked, str(tmp_path / "out.mp4")], capture_output=True, text=True, check=True, timeout=30)
    assert (done.stdout.strip(), done.stderr) == ("40", "")


def test_h265_carries_the_tag_that_browsers_want(tmp_path: Path) -> None:
    clip = tmp_path / "clip.mp4"
    with av.open(clip, "w") as container:
        stream = container.add_stream("libx265", rate=10)
        stream.width, stream.height, stream.pix_fmt = 320, 240, "yuv420p"
        stream.options = {"preset": "ultrafast", "x265-params": "log-level=none:keyint=10:pools=1"}
        for number in range(20):
            picture = np.full((240, 320, 3), number * 10, np.uint8)
            frame = av.VideoFrame.from_ndarray(picture, format="rgb24")
            frame.pts, frame.time_base = number, Fraction(1, 10)
            container.mux(stream.encode(frame))
        container.mux(stream.encode(None))
    write(clip, tmp_path / "out.mp4")
    assert b"hvc1" in (tmp_path / "out.mp4").read_bytes()[:2000]
    with av.open(tmp_path / "out.mp4", "r") as again:
        assert sum(1 for _ in again.decode(video=0)) == 20


def test_footage_that_is_there_is_never_opened_for_writing(tmp_path: Path) -> None:
    (tmp_path / "a.mp4").write_bytes(b"footage")
    with pytest.raises(FileExistsError):
        HashedFile(tmp_path / "a.mp4")
    assert (tmp_path / "a.mp4").read_bytes() == b"footage"


def test_a_full_disk_surfaces_as_such_and_closing_is_quiet(tmp_path: Path) -> None:
    make_clip(tmp_path / "clip.mp4")
    with av.open(tmp_path / "clip.mp4", "r") as container:
        stream = container.streams.video[0]
        segment = Segment(tmp_path / "x.mp4", stream, {}, lambda path: os.open("/dev/full", os.O_WRONLY))
        packets = [packet for packet in container.demux(stream) if packet.size]
        with pytest.raises(OSError) as refused:
            _write_all(segment, packets)
        assert refused.value.errno == errno.ENOSPC
        segment.abandon()
        os.close(segment.file.number)


def _write_all(segment: Segment, packets: "list[Packet[VideoStream]]") -> None:
    for packet in packets:
        assert packet.pts is not None
        assert packet.dts is not None
        segment.write(packet, Sane(packet.pts, packet.dts))
