"""Paths and the guard of the volume."""

import json
import os
import subprocess
import sys
from pathlib import Path, PurePosixPath

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agent.footage.disk.files import (
    VolumeRefused,
    check_volume,
    create_volume,
    list_directory,
    make_directories,
    newest_seq,
    reels_on,
    segment_directories,
)
from agent.footage.naming import camera_uuid, parse_name, segment_path

CAMERA = camera_uuid("f1", "cam1")
NS = 10**9


def test_a_camera_keeps_its_storage_name_for_ever() -> None:
    # Footage of years lies under this name: it may never change.
    assert CAMERA == "8249f135-42c1-563c-8071-4a32581d9198"
    assert camera_uuid("f2", "cam1") != CAMERA


@given(st.integers(0, 4_102_444_800 * 10**9), st.integers(0, 10**9))
def test_a_path_says_what_went_into_it(start_ns: int, seq: int) -> None:
    path = segment_path(CAMERA, "main", start_ns, seq)
    name = parse_name(path)
    assert name is not None
    assert (name.camera_uuid, name.stream, name.start_ns, name.seq) == (CAMERA, "main", start_ns, seq)


def test_the_path_of_one_segment() -> None:
    path = segment_path(CAMERA, "main", 1_795_291_565_689_244_081, 12)
    assert str(path) == f"{CAMERA}/main/2026/11/21/20/20261121T200605.689244081Z-00000012.mp4"


@given(st.text(max_size=60))
def test_other_names_are_none_of_ours(text: str) -> None:
    if text and "\0" not in text:
        assert parse_name(PurePosixPath(f"{CAMERA}/main/2026/11/21/20/{text}.mp4")) is None


def test_a_volume_is_made_once_and_kept(tmp_path: Path) -> None:
    made = create_volume(tmp_path / "v", "facility-1")
    assert create_volume(tmp_path / "v", "facility-1") == made
    assert check_volume(tmp_path / "v", "facility-1").uuid == made.uuid


def test_an_empty_mount_point_is_refused(tmp_path: Path) -> None:
    with pytest.raises(VolumeRefused) as refused:
        check_volume(tmp_path, "facility-1")
    assert refused.value.reason == "missing"
    assert list(tmp_path.iterdir()) == []


def test_the_volume_of_another_is_refused(tmp_path: Path) -> None:
    create_volume(tmp_path, "facility-2")
    for attempt in (check_volume, create_volume):
        with pytest.raises(VolumeRefused) as refused:
            attempt(tmp_path, "facility-1")
        assert refused.value.reason == "foreign"


def test_a_damaged_volume_file_is_refused(tmp_path: Path) -> None:
    for content in ("", "{", "[]", json.dumps({"volume": "x"})):
        (tmp_path / "VOLUME.json").write_text(content)
        with pytest.raises(VolumeRefused) as refused:
            check_volume(tmp_path, "facility-1")
        assert refused.value.reason == "unreadable"


def test_new_directories_are_named_for_syncing(tmp_path: Path) -> None:
    path = segment_path(CAMERA, "main", 0, 1)
    changed = make_directories(tmp_path, path)
    assert changed[0] == (tmp_path / path).parent
    assert changed[-1] == tmp_path
    assert len(changed) == 7
    assert make_directories(tmp_path, path) == [(tmp_path / path).parent]


def test_listing_leaves_quarantine_and_other_files_out(tmp_path: Path) -> None:
    create_volume(tmp_path, "f")
    path = segment_path(CAMERA, "main", 0, 1)
    later = segment_path(CAMERA, "main", 7200 * NS, 2)
    for each in (path, later):
        make_directories(tmp_path, each)
        (tmp_path / each).write_bytes(b"12345")
        (tmp_path / each).with_suffix(".txt").write_bytes(b"1")
    (tmp_path / "quarantine").mkdir()
    (tmp_path / "quarantine" / "x.mp4").write_bytes(b"1")
    assert list(segment_directories(tmp_path)) == [str(later.parent), str(path.parent)], "the newest first"
    assert list_directory(tmp_path, str(path.parent)) == {str(path): 5}
    assert newest_seq(tmp_path, CAMERA, "main") == 2
    assert newest_seq(tmp_path, CAMERA, "sub") == 0
    assert newest_seq(tmp_path, "another", "main") == 0
    assert list(reels_on(tmp_path)) == [f"{CAMERA}/main"]


def test_a_directory_of_the_system_is_passed_over(tmp_path: Path) -> None:
    """Every disk of its own has a lost+found that only root may read; the recorder is not root."""
    create_volume(tmp_path, "f")
    path = segment_path(CAMERA, "main", 0, 1)
    make_directories(tmp_path, path)
    (tmp_path / path).write_bytes(b"12345")
    (tmp_path / "lost+found").mkdir(mode=0)
    program = "import os, sys, pathlib; from agent.footage.disk.files import segment_directories as of; "
    if os.geteuid() == 0:
        program += "os.setegid(65534); os.seteuid(65534); "
        for each in [tmp_path, *tmp_path.parents[:3]]:
            each.chmod(0o755)
    program += "print(*of(pathlib.Path(sys.argv[1])))"
    done = subprocess.run([sys.executable, "-c", program, tmp_path], check=True, capture_output=True, text=True)
    assert done.stdout.strip() == str(path.parent)
