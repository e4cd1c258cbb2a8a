"""Exports of real recorded files: they play, they hold what was asked for, and they say what is missing."""

import fcntl
import resource
from pathlib import Path

import av
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from agent.footage.exporting.export import ExportFailed, NoFootage, export_mp4
from agent.footage.timeline import NS, Gap, SegmentRef
from tests.fakes.camera import make_clip
from tests.fakes.evidence import T0, record


@pytest.fixture(scope="module")
def clips(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    folder = tmp_path_factory.mktemp("clips")
    made = {"a": folder / "a.mp4", "b": folder / "b.mp4", "small": folder / "small.mp4"}
    make_clip(made["a"])
    make_clip(made["b"], b_frames=2)
    make_clip(made["small"], size=(160, 120))
    return made


@pytest.fixture
def three(tmp_path: Path, clips: dict[str, Path]) -> list[SegmentRef]:
    """Three files of four seconds that touch."""
    return [record(clips["a"], tmp_path / f"{n}.mp4", T0 + n * 4 * NS) for n in range(3)]


def seen(path: Path) -> tuple[int, float]:
    """Frames that decode and length in seconds; times must rise."""
    with av.open(path, "r") as container:
        stream = container.streams.video[0]
        times = [frame.time or 0.0 for frame in container.decode(stream)]
    assert times == sorted(times)
    assert len(set(times)) == len(times)
    return len(times), times[-1] - times[0]


def test_a_range_over_three_files(tmp_path: Path, three: list[SegmentRef]) -> None:
    target = tmp_path / "out.mp4"
    result = export_mp4(three, T0 + 2_500_000_000, T0 + 9_000_000_000, target)
    assert (result.from_ns, result.to_ns) == (T0 + 2_500_000_000, T0 + 9 * NS)
    assert result.files[0].key_ns == T0 + 2 * NS, "the decoder needs the key frame before"
    assert result.gaps == ()
    assert result.bytes == target.stat().st_size
    frames, length = seen(target)
    assert frames == 65 == result.files[0].frames, "what is before the start is decoded, not shown"
    assert length == pytest.approx(6.4, abs=0.01)
    assert [path.name for path in tmp_path.iterdir() if "part" in path.name] == []


def test_pictures_out_of_order(tmp_path: Path, clips: dict[str, Path]) -> None:
    segments = [record(clips["b"], tmp_path / f"{n}.mp4", T0 + n * 4 * NS) for n in range(2)]
    export_mp4(segments, T0, T0 + 8 * NS, tmp_path / "out.mp4")
    assert seen(tmp_path / "out.mp4")[0] == 80


def test_a_gap_is_told_and_joined(tmp_path: Path, three: list[SegmentRef]) -> None:
    target = tmp_path / "out.mp4"
    known = [Gap(T0 + 4 * NS, T0 + 8 * NS, "camera_silent")]
    result = export_mp4([three[0], three[2]], T0 - NS, T0 + 20 * NS, target, known_gaps=known)
    assert [(gap.from_ns, gap.to_ns, gap.reason) for gap in result.gaps] == [
        (T0 - NS, T0, "unrecorded"),
        (T0 + 4 * NS, T0 + 8 * NS, "camera_silent"),
        (T0 + 12 * NS, T0 + 20 * NS, "unrecorded"),
    ]
    frames, length = seen(target)
    assert frames == 80
    assert length < 8.1


def test_split_at_gaps_when_asked(tmp_path: Path, three: list[SegmentRef]) -> None:
    result = export_mp4([three[0], three[2]], T0, T0 + 12 * NS, tmp_path / "out.mp4", split_at_gaps=True)
    assert [each.path.name for each in result.files] == ["out.mp4", "out-2.mp4"]
    assert [seen(each.path)[0] for each in result.files] == [40, 40]


def test_another_picture_size_is_another_file(tmp_path: Path, clips: dict[str, Path]) -> None:
    segments = [
        record(clips["a"], tmp_path / "0.mp4", T0),
        record(clips["small"], tmp_path / "1.mp4", T0 + 4 * NS),
    ]
    result = export_mp4(segments, T0, T0 + 8 * NS, tmp_path / "out.mp4")
    assert [each.frames for each in result.files] == [40, 40]
    assert [seen(each.path)[0] for each in result.files] == [40, 40]


def test_other_settings_of_the_encoder_are_another_file(tmp_path: Path, clips: dict[str, Path]) -> None:
    """The same size, but parameter sets that stand in the head of a file alone: joined, the second is garbage."""
    segments = [record(clips["a"], tmp_path / "0.mp4", T0), record(clips["b"], tmp_path / "1.mp4", T0 + 4 * NS)]
    result = export_mp4(segments, T0, T0 + 8 * NS, tmp_path / "out.mp4")
    assert [each.path.name for each in result.files] == ["out.mp4", "out-2.mp4"]
    assert [seen(each.path)[0] for each in result.files] == [40, 40]
    assert result.gaps == ()


@pytest.mark.parametrize("room", [0, 100, 20_000])
def test_a_target_without_room_leaves_nothing(tmp_path: Path, three: list[SegmentRef], room: int) -> None:
    """A limit on the size of files stands for a full disk: Python is told by the same kind of error."""
    before = sorted(tmp_path.iterdir())
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (room, limits[1]))
    try:
        with pytest.raises(ExportFailed):
            export_mp4(three, T0, T0 + 12 * NS, tmp_path / "out.mp4")
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
    assert sorted(tmp_path.iterdir()) == before


def test_no_footage_is_an_error_of_its_own(tmp_path: Path, three: list[SegmentRef]) -> None:
    with pytest.raises(NoFootage) as nothing:
        export_mp4(three, T0 + 60 * NS, T0 + 70 * NS, tmp_path / "out.mp4")
    assert "no footage" in nothing.value.text.en
    assert not (tmp_path / "out.mp4").exists()


def test_a_cancelled_export_leaves_nothing(tmp_path: Path, three: list[SegmentRef]) -> None:
    class Cancelled(Exception):
        pass

    def cancel(done: int, total: int) -> None:
        if done > total * 0.4:
            raise Cancelled

    before = sorted(tmp_path.iterdir())
    with pytest.raises(Cancelled):
        export_mp4(three, T0, T0 + 12 * NS, tmp_path / "out.mp4", cancel)
    assert sorted(tmp_path.iterdir()) == before


def test_progress_rises_to_one(tmp_path: Path, three: list[SegmentRef]) -> None:
    told: list[tuple[int, int]] = []
    export_mp4(three, T0, T0 + 12 * NS, tmp_path / "out.mp4", lambda *now: told.append(now))
    assert told == sorted(told)
    assert told[-1][0] == told[-1][1] > 0
    assert len(told) > 10


def test_what_is_there_is_not_written_over(tmp_path: Path, three: list[SegmentRef]) -> None:
    target = tmp_path / "out.mp4"
    target.write_bytes(b"mine")
    with pytest.raises(ExportFailed):
        export_mp4(three, T0, T0 + 12 * NS, target)
    assert target.read_bytes() == b"mine"


def test_what_a_killed_export_left_is_written_over(tmp_path: Path, three: list[SegmentRef]) -> None:
    left = tmp_path / ".out.mp4.part"
    left.write_bytes(bytes(1 << 20))
    export_mp4(three, T0, T0 + 12 * NS, tmp_path / "out.mp4")
    assert seen(tmp_path / "out.mp4")[0] == 120
    assert not left.exists()


def test_two_exports_do_not_write_the_same_file(tmp_path: Path, three: list[SegmentRef]) -> None:
    with (tmp_path / ".out.mp4.part").open("wb") as other:
        fcntl.flock(other, fcntl.LOCK_EX)
        with pytest.raises(ExportFailed) as busy:
            export_mp4(three, T0, T0 + 12 * NS, tmp_path / "out.mp4")
    assert "another export" in busy.value.text.en
    assert (tmp_path / ".out.mp4.part").exists()


def test_a_missing_file_is_a_gap(tmp_path: Path, three: list[SegmentRef]) -> None:
    Path(three[1].path).unlink()
    result = export_mp4(three, T0, T0 + 12 * NS, tmp_path / "out.mp4")
    assert [(gap.from_ns, gap.to_ns, gap.reason) for gap in result.gaps] == [(T0 + 4 * NS, T0 + 8 * NS, "file_missing")]
    assert seen(tmp_path / "out.mp4")[0] == 80


def test_a_file_that_goes_while_it_is_copied_is_a_gap(tmp_path: Path, three: list[SegmentRef]) -> None:
    def purge(done: int, total: int) -> None:
        Path(three[2].path).unlink(missing_ok=True)

    result = export_mp4(three, T0, T0 + 12 * NS, tmp_path / "out.mp4", purge)
    assert [gap.reason for gap in result.gaps] == ["file_missing"]
    assert seen(tmp_path / "out.mp4")[0] == 80
    assert (result.from_ns, result.to_ns) == (T0, T0 + 8 * NS)


def test_a_damaged_file_is_a_gap(tmp_path: Path, three: list[SegmentRef]) -> None:
    Path(three[1].path).write_bytes(b"\0" * 5000)
    result = export_mp4(three, T0, T0 + 12 * NS, tmp_path / "out.mp4")
    assert [gap.reason for gap in result.gaps] == ["file_damaged"]
    assert seen(tmp_path / "out.mp4")[0] == 80


def test_without_one_file_that_can_be_read_there_is_no_export(tmp_path: Path, three: list[SegmentRef]) -> None:
    for each in three:
        Path(each.path).unlink()
    with pytest.raises(NoFootage):
        export_mp4(three, T0, T0 + 12 * NS, tmp_path / "out.mp4")
    assert list(tmp_path.iterdir()) == []


@settings(max_examples=80, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.data())
def test_whatever_is_in_a_file_the_others_are_exported(
    tmp_path: Path, three: list[SegmentRef], data: st.DataObject
) -> None:
    whole = Path(three[0].path).read_bytes()
    spoilt = bytearray(whole)
    heads = [at for kind in (b"moov", b"moof", b"trun", b"tfdt", b"stsd", b"mdat") for at in places(whole, kind)]
    for _ in range(data.draw(st.integers(1, 4))):
        at = data.draw(st.sampled_from(heads)) + data.draw(st.integers(-8, 60))
        new = data.draw(st.binary(min_size=1, max_size=8))
        spoilt[at : at + len(new)] = new
    Path(three[1].path).write_bytes(spoilt[: data.draw(st.integers(1, len(spoilt)))])
    target = tmp_path / "out.mp4"
    for old in tmp_path.glob("out*.mp4"):
        old.unlink()
    result = export_mp4(three, T0, T0 + 12 * NS, target)
    assert result.files
    with av.open(target, "r") as container:
        assert sum(bool(packet.size) for packet in container.demux(video=0)) >= 40, "what was not touched is there"


def places(content: bytes, kind: bytes) -> list[int]:
    """Where a kind of box begins."""
    return [at for at in range(len(content)) if content.startswith(kind, at)]


@pytest.fixture
def growing(tmp_path: Path, clips: dict[str, Path]) -> SegmentRef:
    """A file that is being written: its last fragment is not whole."""
    whole = record(clips["a"], tmp_path / "whole.mp4", T0)
    data = Path(whole.path).read_bytes()
    target = tmp_path / "growing.mp4"
    target.write_bytes(data[: len(data) * 3 // 4])
    return SegmentRef(str(target), T0, T0 + 4 * NS, "h264", 320, 240, 0, "open")


def test_the_file_being_written_gives_what_is_whole(tmp_path: Path, growing: SegmentRef) -> None:
    result = export_mp4([growing], T0, T0 + 4 * NS, tmp_path / "out.mp4")
    frames, _ = seen(tmp_path / "out.mp4")
    assert 10 <= frames < 40
    assert frames == result.files[0].frames
    assert result.gaps, "what is not on the disk yet is not claimed"
