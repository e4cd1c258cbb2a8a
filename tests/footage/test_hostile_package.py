"""Packages made to harm who checks them, or to make him believe something: the check never falls, nor believes it."""

import copy
import hashlib
import io
import json
import os
import shutil
import struct
import zipfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from agent.access.console import Screen
from agent.access.package_checking import verify_package
from agent.footage.exporting.package import build
from agent.footage.exporting.package_check import check_package
from agent.footage.exporting.package_target import open_target
from agent.footage.exporting.package_verdict import Judgement, NoPackage, Verdict
from agent.footage.timeline import NS
from tests.fakes.camera import make_clip
from tests.fakes.evidence import T0, Device
from tests.footage.test_package import wanted

STRANGE: list[Any] = [
    None, True, -1, 0, 1 << 70, 1.5, "", "x", "\ud800", "\x1b[2J", "../..", [], {}, [None], {"a": None}, [[[]]],
    float("inf"), "０１２", "yunjian-link-1", ["x", "y", 1, "z"],
]  # fmt: skip


@pytest.fixture(scope="module")
def packed(tmp_path_factory: pytest.TempPathFactory) -> tuple[Device, Path]:
    folder = tmp_path_factory.mktemp("packed")
    make_clip(folder / "clip.mp4")
    device = Device(folder / "volume", folder / "clip.mp4")
    for number in range(3):
        device.record(T0 + number * 4 * NS)
    build(wanted([device.film()], T0, T0 + 12 * NS), open_target(folder / "out", False), device.prove, device.sign)
    return device, folder / "out"


def signed(device: Device, package: Path, manifest: Any) -> None:
    content = json.dumps(manifest).encode()
    (package / "manifest.json").write_bytes(content)
    digest = hashlib.sha256(content).hexdigest()
    (package / "signature.json").write_text(json.dumps(device.sign(digest)))


def places(value: Any, path: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    """Every place in a JSON value."""
    yield path
    items = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for key, each in items:
        yield from places(each, (*path, key))


def put(value: Any, path: tuple[Any, ...], new: Any) -> Any:
    if not path:
        return new
    value = copy.deepcopy(value)
    at = value
    for key in path[:-1]:
        at = at[key]
    at[path[-1]] = new
    return value


def told(package: Path) -> tuple[int, str]:
    out = io.StringIO()
    status = verify_package(Screen("zh", out, out), package, None, None, False)
    verify_package(Screen("zh", out, out), package, None, None, True)
    out.getvalue().encode()
    return status, out.getvalue()


@settings(max_examples=250, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.data())
def test_no_value_of_a_manifest_or_a_proof_makes_the_check_fall(
    packed: tuple[Device, Path], tmp_path: Path, data: st.DataObject
) -> None:
    device, package = packed[0], tmp_path / "out"
    shutil.rmtree(package, ignore_errors=True)
    shutil.copytree(packed[1], package)
    name = data.draw(st.sampled_from(["manifest.json", "proof/C01-main.json", "signature.json"]))
    value = json.loads((package / name).read_bytes())
    place = data.draw(st.sampled_from(list(places(value))))
    value = put(value, place, data.draw(st.sampled_from(STRANGE)))
    if name == "manifest.json":
        signed(device, package, value)
    else:
        (package / name).write_text(json.dumps(value))
        manifest = json.loads((package / "manifest.json").read_bytes())
        for each in manifest["files"]:
            content = (package / each["name"]).read_bytes()
            each["bytes"], each["sha256"] = len(content), hashlib.sha256(content).hexdigest()
        if name != "signature.json":
            signed(device, package, manifest)
    status, said = told(package)
    assert status in (0, 1)
    assert "\x1b[2J" not in said


def spoil(packed: tuple[Device, Path], target: Path) -> tuple[Device, Path]:
    shutil.copytree(packed[1], target)
    return packed[0], target


def judged(path: Path) -> Judgement:
    return check_package(path)[1]


def test_a_manifest_that_writes_on_the_terminal(packed: tuple[Device, Path], tmp_path: Path) -> None:
    device, package = spoil(packed, tmp_path / "out")
    manifest = json.loads((package / "manifest.json").read_bytes())
    manifest["facility"]["name"] = "\x1b[2K\r\x1b[32m真实\x9b31m"
    manifest["requested"]["from"] = "\x1b]0;x\x07"
    signed(device, package, manifest)
    (package / "\x1b[2J.mp4").write_bytes(b"x")
    status, said = told(package)
    assert status == 1
    assert not {"\x1b", "\x9b", "\r", "\x07"} & set(said.split("{")[0])


def test_links_and_names_that_lead_out_of_a_folder(packed: tuple[Device, Path], tmp_path: Path) -> None:
    _, package = spoil(packed, tmp_path / "out")
    (package / "C01" / "more").symlink_to("/etc")
    found = judged(package)
    assert (found.verdict, found.problems) == (Verdict.BROKEN, ("C01/more: is no plain file",))
    (package / "C01" / "more").unlink()
    os.mkfifo(package / "C01" / "pipe")
    assert judged(package).verdict is Verdict.BROKEN
    (package / "C01" / "pipe").unlink()
    name = os.fsdecode(b"\xff\xfe.mp4")
    (package / name).write_bytes(b"x")
    assert judged(package).verdict is Verdict.BROKEN
    assert told(package)[0] == 1


def zipped(package: Path, target: Path, kind: int = zipfile.ZIP_STORED, prefix: str = "") -> Path:
    with zipfile.ZipFile(target, "w", kind) as file:
        for path in sorted(package.rglob("*")):
            if path.is_file():
                file.write(path, prefix + path.relative_to(package).as_posix())
    return target


@pytest.mark.parametrize("kind", [zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED])
def test_a_package_that_was_packed_again_by_hand(packed: tuple[Device, Path], tmp_path: Path, kind: int) -> None:
    """Windows puts a folder around what it packs, and shrinks it."""
    assert judged(zipped(packed[1], tmp_path / "a.zip", kind, "evidence/")).verdict is Verdict.CONSISTENT
    shutil.copytree(packed[1], tmp_path / "all" / "evidence")
    assert judged(tmp_path / "all").verdict is Verdict.CONSISTENT
    shutil.copytree(packed[1], tmp_path / "all" / "other")
    with pytest.raises(NoPackage, match="more than one"):
        judged(tmp_path / "all")


@pytest.mark.parametrize("name", ["../../out.mp4", "/etc/x", "C01\\..\\x", "README.txt"])
def test_names_in_a_zip_that_are_none(packed: tuple[Device, Path], tmp_path: Path, name: str) -> None:
    target = zipped(packed[1], tmp_path / "a.zip")
    with zipfile.ZipFile(target, "a") as file, pytest.warns() if name == "README.txt" else _nothing():
        file.writestr(name, b"other")
    assert judged(target).verdict is Verdict.BROKEN
    assert not (tmp_path.parent / "out.mp4").exists()


class _nothing:  # noqa: N801 - used as a function
    def __enter__(self) -> None: ...
    def __exit__(self, *_: object) -> None: ...


def test_a_bomb_is_not_unpacked(packed: tuple[Device, Path], tmp_path: Path) -> None:
    """A file of another size than the manifest says is not read, and no manifest is longer than its files explain."""
    package = spoil(packed, tmp_path / "out")[1]
    segment = next((package / "C01" / "main").iterdir())
    with segment.open("r+b") as file:
        file.truncate(100 << 20)
    target = zipped(package, tmp_path / "bomb.zip", zipfile.ZIP_DEFLATED)
    assert target.stat().st_size < 1 << 20
    read: list[int] = []
    found = check_package(target, progress=lambda done, total: read.append(done))[1]
    assert found.verdict is Verdict.BROKEN
    assert len(read) < 20, "nothing of a hundred megabytes was read"
    with (package / "manifest.json").open("ab") as file:
        file.truncate(64 << 20)
    with pytest.raises(NoPackage, match="too long"):
        judged(package)
    manifest = json.loads((packed[1] / "manifest.json").read_bytes())
    manifest["deep"] = None
    deep = json.dumps(manifest).replace("null}", "[" * 100_000 + "]" * 100_000 + "}")
    (package / "manifest.json").write_text(deep)
    with pytest.raises(NoPackage):
        judged(package)


def test_a_zip_that_is_damaged(packed: tuple[Device, Path], tmp_path: Path) -> None:
    """At every place of its structures: it is told, and nothing falls."""
    target = zipped(packed[1], tmp_path / "a.zip", zipfile.ZIP_DEFLATED)
    whole = target.read_bytes()
    begin = whole.index(b"PK\1\2")
    spots = [*range(begin, begin + 60, 3), *range(len(whole) - 30, len(whole), 2), *range(0, 60, 4)]
    for at in spots:
        target.write_bytes(whole[:at] + struct.pack("B", whole[at] ^ 0xFF) + whole[at + 1 :])
        assert told(target)[0] in (0, 1), at
    for length in (0, 10, begin, begin + 20, len(whole) - 5):
        target.write_bytes(whole[:length])
        assert told(target)[0] == 1
