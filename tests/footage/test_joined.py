"""Joined files as players see them: the first picture, the last one, sound, and clocks that drift."""

import io
import math
import struct
from dataclasses import replace
from pathlib import Path
from typing import Any

import av
import numpy as np
import pytest
from numpy.typing import NDArray

from agent.footage.exporting.export import export_mp4
from agent.footage.exporting.joined import Joined
from agent.footage.mp4.samples import Piece, Track, boxes, child
from agent.footage.timeline import NS, SegmentRef
from tests.fakes.browser import Browser
from tests.fakes.counted import HEIGHT, WIDTH, make_counted, number_of, numbers
from tests.fakes.evidence import T0, record
from tests.fakes.waiting import until

FPS = 25
BLANK = 255
"""The number that a white page says."""


@pytest.fixture(scope="module")
def clips(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    folder = tmp_path_factory.mktemp("counted")
    kinds: dict[str, tuple[str, int, bool]] = {
        "h264": ("libx264", 0, False), "b-frames": ("libx264", 2, False), "h265": ("libx265", 2, False),
        "sound": ("libx264", 0, True),
    }  # fmt: skip
    for name, (codec, b_frames, sound) in kinds.items():
        make_counted(folder / f"{name}.mp4", 100, FPS, codec, b_frames, sound)
    return {name: folder / f"{name}.mp4" for name in kinds}


def recorded(folder: Path, clip: Path, *starts_s: float) -> list[SegmentRef]:
    """Files of four seconds that begin at these seconds after T0."""
    return [record(clip, folder / f"{at}.mp4", T0 + int(at * NS)) for at in starts_s]


@pytest.mark.parametrize("kind", ["h264", "b-frames", "h265", "sound"])
@pytest.mark.parametrize("start", [0.0, 0.04, 1.3, 2.0, 3.31, 3.97, 5.98])
def test_the_first_picture_is_the_one_that_was_seen_at_the_start(
    tmp_path: Path, clips: dict[str, Path], kind: str, start: float
) -> None:
    segments = recorded(tmp_path, clips[kind], 0, 4)
    result = export_mp4(segments, T0 + round(start * NS), T0 + 7 * NS, tmp_path / "out.mp4")
    first = int(start * FPS + 1e-6)
    expected = [number % 100 for number in range(first, 7 * FPS)]
    assert numbers(tmp_path / "out.mp4") == expected
    assert result.files[0].frames == len(expected)
    assert result.from_ns == T0 + first * NS // FPS
    with av.open(tmp_path / "out.mp4") as played:
        assert played.duration is not None
        # A frame of sound is 64 ms.
        assert played.duration / 1e6 == pytest.approx(len(expected) / FPS, abs=0.07 if kind == "sound" else 0.002)
        assert played.metadata["comment"].startswith('{"derived":true')


@pytest.mark.needs_debian("chromium")
def test_a_browser_begins_with_the_same_picture(tmp_path: Path, clips: dict[str, Path]) -> None:
    with Browser(WIDTH + 40, HEIGHT + 40) as browser:
        for kind in ("h264", "b-frames", "sound"):
            segments = recorded(tmp_path / kind, clips[kind], 0, 4)
            for start, end in ((1.3, 6.5), (3.97, 7.0)):
                target = tmp_path / kind / f"{start}.mp4"
                export_mp4(segments, T0 + round(start * NS), T0 + round(end * NS), target)
                assert shown_first_and_last(browser, target) == (int(start * FPS), (math.ceil(end * FPS) - 1) % 100)


def shown_first_and_last(browser: Browser, film: Path) -> tuple[int, int]:
    page = film.with_suffix(".html")
    page.write_text(
        f"<style>*{{margin:0}}</style><video muted width={WIDTH} height={HEIGHT} src='{film.name}'></video>"
    )
    browser.open(page.as_uri())
    browser.value(
        "new Promise(yes => { const v = document.querySelector('video');"
        " if (v.readyState >= 2) yes(1); else v.onloadeddata = () => yes(1); })"
    )
    until(lambda: number_of(picture(browser)) != BLANK, 10, "the first picture is painted")
    first = number_of(picture(browser))
    browser.value(
        "new Promise(yes => { const v = document.querySelector('video');"
        " v.onseeked = () => yes(1); v.currentTime = v.duration - 0.02; })"
    )
    browser.value("new Promise(yes => requestAnimationFrame(() => requestAnimationFrame(yes)))")
    return first, number_of(picture(browser))


def picture(browser: Browser) -> NDArray[Any]:
    with av.open(io.BytesIO(browser.picture()), "r") as container:
        return next(container.decode(video=0)).to_ndarray(format="rgb24")[:HEIGHT, :WIDTH]


def test_no_picture_after_the_end_is_in_the_file(tmp_path: Path, clips: dict[str, Path]) -> None:
    """What nobody asked for leaves nobody's house, hidden or not."""
    (segment,) = recorded(tmp_path, clips["h264"], 0)
    export_mp4([segment], T0, T0 + NS, tmp_path / "out.mp4")
    with av.open(tmp_path / "out.mp4") as container:
        wanted = [bytes(packet) for packet in container.demux(video=0) if packet.size]
    assert len(wanted) == FPS
    content = (tmp_path / "out.mp4").read_bytes()
    media = next(inner for kind, inner in boxes_64(content) if kind == "mdat")
    assert media == b"".join(wanted)


def boxes_64(content: bytes) -> list[tuple[str, bytes]]:
    """The outermost boxes, long ones too."""
    found, at = [], 0
    while at < len(content):
        size, kind = struct.unpack_from(">I4s", content, at)
        head = 8
        if size == 1:
            size, head = struct.unpack_from(">Q", content, at + 8)[0], 16
        found.append((kind.decode(), content[at + head : at + size]))
        at += size
    return found


def heard(path: Path) -> tuple[float, float, int]:
    """When sound begins and ends, in seconds of the film, and its samples that are not silent."""
    with av.open(path, "r") as container:
        frames = list(container.decode(audio=0))
    loud = sum(int(np.count_nonzero(np.abs(frame.to_ndarray()) > 0.01)) for frame in frames)
    last = frames[-1]
    assert frames[0].time is not None
    assert last.time is not None
    return frames[0].time, last.time + last.samples / 16_000, loud


def test_sound_goes_with_the_pictures(tmp_path: Path, clips: dict[str, Path]) -> None:
    segments = recorded(tmp_path, clips["sound"], 0, 4)
    export_mp4(segments, T0 + 1_300_000_000, T0 + 7 * NS, tmp_path / "out.mp4")
    begins, ends, loud = heard(tmp_path / "out.mp4")
    assert begins == pytest.approx(0, abs=0.07)
    assert ends == pytest.approx(5.7, abs=0.1)
    assert loud > 5.4 * 16_000 * 0.9


def test_sound_may_begin_later_and_end_earlier_than_the_pictures(tmp_path: Path, clips: dict[str, Path]) -> None:
    plain = recorded(tmp_path / "plain", clips["h264"], 0, 8)
    loud = recorded(tmp_path / "loud", clips["sound"], 4)
    export_mp4([*plain, *loud], T0 + 2 * NS, T0 + 12 * NS, tmp_path / "out.mp4")
    assert len(numbers(tmp_path / "out.mp4")) == 10 * FPS
    begins, ends, _ = heard(tmp_path / "out.mp4")
    assert begins == pytest.approx(2.0, abs=0.07)
    assert ends == pytest.approx(6.0, abs=0.1)
    assert [path.name for path in tmp_path.glob("out*.mp4")] == ["out.mp4"], "sound splits no file"


def test_without_sound_when_none_is_wanted(tmp_path: Path, clips: dict[str, Path]) -> None:
    export_mp4(recorded(tmp_path, clips["sound"], 0, 4), T0, T0 + 8 * NS, tmp_path / "out.mp4", sound=False)
    with av.open(tmp_path / "out.mp4") as container:
        assert [stream.type for stream in container.streams] == ["video"]
    assert len(numbers(tmp_path / "out.mp4")) == 8 * FPS


@pytest.mark.parametrize("drift_ms", [-19, 19])
def test_a_camera_whose_clock_drifts(tmp_path: Path, clips: dict[str, Path], drift_ms: int) -> None:
    """Wall time of segments is slewed: half a second to the next is not always what the pictures between say."""
    segments = recorded(tmp_path, clips["sound"], *(number * (4 + drift_ms / 1000) for number in range(5)))
    shifted = [replace(each, end_ns=each.start_ns + 4 * NS + drift_ms * 1_000_000) for each in segments]
    end_ns = shifted[-1].end_ns
    result = export_mp4(shifted, T0, end_ns, tmp_path / "out.mp4", split_at_gaps=True)
    assert len(result.files) == 1
    assert result.gaps == ()
    with av.open(tmp_path / "out.mp4") as container:
        times = [frame.time or 0.0 for frame in container.decode(video=0)]
    assert times == sorted(set(times))
    assert len(times) >= 5 * 100 - 1
    assert times[400] == pytest.approx(4 * (4 + drift_ms / 1000), abs=0.001), "each file begins at its wall time"
    assert abs(heard(tmp_path / "out.mp4")[1] - times[-1]) < 0.2, "sound does not run away from the pictures"


def test_a_clock_that_was_set_back_loses_no_picture(tmp_path: Path, clips: dict[str, Path]) -> None:
    segments = recorded(tmp_path, clips["h264"], 0, 2.5)
    export_mp4(segments, T0, T0 + 20 * NS, tmp_path / "out.mp4")
    assert numbers(tmp_path / "out.mp4") == [*range(100), *range(100)]
    split = export_mp4(segments, T0, T0 + 20 * NS, tmp_path / "split.mp4", split_at_gaps=True)
    assert [each.frames for each in split.files] == [100, 100]


def test_files_beyond_four_gigabytes() -> None:
    """Places of 64 bits when they are needed, and then only."""
    track = Track(1, "vide", 25, WIDTH, HEIGHT, bytes(8) + struct.pack(">I4s", 86, b"avc1") + bytes(78), 1, 0, 0)
    for size, kind, width in ((1000, "stco", 4), (3_000_000_000, "co64", 8)):
        joined = Joined({1: track})
        for number in range(3):
            joined.add("a", {1: track}, [Piece(1, 500, [number], 1, [size], [0], [True])], 0)
        head = joined.head(3, 0, {})
        stbl = child(child(head[32:-16], "moov", "trak", "mdia", "minf", "stbl"), kind)
        count = int.from_bytes(stbl[4:8], "big")
        places = [int.from_bytes(stbl[8 + width * n : 8 + width * (n + 1)], "big") for n in range(count)]
        assert places == [len(head) + number * size for number in range(3)]
        assert int.from_bytes(head[-8:], "big") == 3 * size + 16
        assert [name for name, _ in boxes(head[:-16])] == ["ftyp", "moov"]
