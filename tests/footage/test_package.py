"""Packages of real recorded files: what is in them, that they check, and that nothing wrong passes."""

import hashlib
import json
import os
import resource
import shutil
import subprocess
import zipfile
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import av
import pytest
import pyzipper

from agent.footage.exporting.export import ExportFailed, NoFootage
from agent.footage.exporting.manifest import Film, is_inside, safe
from agent.footage.exporting.package import Built, Wanted, build
from agent.footage.exporting.package_check import WrongPassword, check_package
from agent.footage.exporting.package_proof import Chain
from agent.footage.exporting.package_target import open_target, staged
from agent.footage.exporting.package_verdict import Judgement, NoPackage, Standing, Verdict
from agent.footage.timeline import NS, Gap
from tests.fakes.camera import make_clip
from tests.fakes.evidence import T0, Device, around

PASSWORD = "密码 pass".encode()


@pytest.fixture(scope="module")
def clips(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    folder = tmp_path_factory.mktemp("clips")
    made = {"a": folder / "a.mp4", "small": folder / "small.mp4"}
    make_clip(made["a"])
    make_clip(made["small"], size=(160, 120))
    return made


@pytest.fixture
def device(tmp_path: Path, clips: dict[str, Path]) -> Device:
    """Three files that touch, the last of another size, and one after a gap."""
    device = Device(tmp_path / "volume", clips["a"])
    for start_s, clip in ((0, "a"), (4, "a"), (8, "small"), (20, "small")):
        device.record(T0 + start_s * NS, clips[clip])
    return device


def wanted(
    films: list[Film], from_ns: int = T0 + 1_500_000_000, to_ns: int = T0 + 23 * NS, joined: bool = True
) -> Wanted:
    reasons = {"camera_silent": {"zh": "摄像机无画面", "en": "camera silent"}}
    return Wanted(tuple(films), around(from_ns, to_ns), joined, b"<html></html>", b"read me", reasons)


def pack(device: Device, target: Path, *, resume: bool = False, password: bytes | None = None, **changed: Any) -> Built:
    gaps = (Gap(T0 + 12 * NS, T0 + 20 * NS, "camera_silent"),)
    return build(
        changed.pop("wanted", None) or wanted([device.film(gaps)]), open_target(target, resume, password),
        changed.pop("prove", device.prove), changed.pop("sign", device.sign), **changed,
    )  # fmt: skip


def checked(path: Path, typed: str | None = None, password: bytes | None = None) -> Judgement:
    return check_package(path, typed, password)[1]


def test_a_folder_with_everything_in_it(tmp_path: Path, device: Device) -> None:
    target = tmp_path / "out"
    built = pack(device, target)
    names = sorted(path.relative_to(target).as_posix() for path in target.rglob("*") if path.is_file())
    assert names == [
        "C01/main/2026-09-21_22.13.20_00000001.mp4",
        "C01/main/2026-09-21_22.13.24_00000002.mp4",
        "C01/main/2026-09-21_22.13.28_00000003.mp4",
        "C01/main/2026-09-21_22.13.40_00000004.mp4",
        "README.txt",
        "SHA256SUMS",
        "joined/C01-main_01_2026-09-21_22.13.21.mp4",
        "joined/C01-main_02_2026-09-21_22.13.28.mp4",
        "joined/C01-main_03_2026-09-21_22.13.40.mp4",
        "manifest.json",
        "proof/C01-main.json",
        "signature.json",
        "verify.html",
    ]
    for source, name in zip(device.sources, names, strict=False):
        assert (target / name).read_bytes() == Path(source.path).read_bytes(), "bit by bit"
    manifest = json.loads((target / "manifest.json").read_bytes())
    assert manifest["requested"]["from"] == "2026-09-21T22:13:21.500+08:00"
    assert manifest["actual"] == {
        "from": "2026-09-21T22:13:20.000+08:00", "to": "2026-09-21T22:13:44.000+08:00",
        "from_ns": str(T0), "to_ns": str(T0 + 24 * NS),
    }  # fmt: skip
    (camera,) = manifest["cameras"]
    (gap,) = camera["gaps"]
    assert (gap["reason"], gap["words"]["zh"]) == ("camera_silent", "摄像机无画面")
    assert (gap["from_ns"], gap["to_ns"]) == (str(T0 + 12 * NS), str(T0 + 20 * NS))
    assert manifest["key"]["fingerprint"] == device.fingerprint
    assert camera["checkpoint"]["n"] == 2
    assert camera["chain"] == {"before": "", "after": device.links[-1][4]}
    segment = next(each for each in manifest["files"] if each["name"] == names[1])
    assert (segment["kind"], segment["seq"], segment["as_recorded"], segment["clock"]) == (
        "segment", 2, True, "synchronised",
    )  # fmt: skip
    joined = next(each for each in manifest["files"] if each["name"] == names[6])
    assert (joined["kind"], joined["derived"], joined["from"]) == ("derived", True, names[:2])
    with av.open(target / names[6]) as played:
        assert sum(1 for _ in played.decode(video=0)) == joined["frames"] == 65
    assert (built.altered, built.resumed) == ((), 0)
    assert (target / names[1]).stat().st_mtime == (T0 + 4 * NS) / NS
    assert built.bytes == sum((target / name).stat().st_size for name in names)
    assert [path.name for path in tmp_path.iterdir() if "part" in path.name] == []


def test_other_programs_can_check_it(tmp_path: Path, device: Device) -> None:
    pack(device, tmp_path / "out")
    done = subprocess.run(
        ["sha256sum", "--strict", "-c", "SHA256SUMS"], cwd=tmp_path / "out", capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert done.stdout.count(": OK") == 11


def test_the_same_input_gives_the_same_manifest(tmp_path: Path, device: Device) -> None:
    first, second = pack(device, tmp_path / "a"), pack(device, tmp_path / "b")
    assert first.manifest_sha256 == second.manifest_sha256


@pytest.mark.parametrize("name", ["out", "out.zip"])
def test_authentic_only_with_the_fingerprint(tmp_path: Path, device: Device, name: str) -> None:
    pack(device, tmp_path / name)
    found = checked(tmp_path / name)
    assert found.verdict is Verdict.CONSISTENT
    assert found.chains == (Chain(device.uuid, "main", "proved", linked=frozenset({1, 2, 3, 4})),)
    assert set(found.files.values()) == {Standing.GOOD}
    assert checked(tmp_path / name, device.fingerprint.replace("-", " ")).verdict is Verdict.AUTHENTIC
    assert checked(tmp_path / name, "00000-" * 7 + "00000").verdict is Verdict.FOREIGN
    assert checked(tmp_path / name, device.fingerprint[:-1]).verdict is Verdict.FOREIGN


@pytest.mark.parametrize("algorithm", ["sha256", "sm3"])
def test_both_hashes(tmp_path: Path, clips: dict[str, Path], algorithm: str) -> None:
    device = Device(tmp_path / "volume", clips["a"], algorithm)
    device.record(T0)
    device.record(T0 + 4 * NS)
    pack(device, tmp_path / "out")
    assert checked(tmp_path / "out", device.fingerprint).verdict is Verdict.AUTHENTIC


def alter(path: Path) -> None:
    data = bytearray(path.read_bytes())
    data[len(data) // 2] ^= 1
    path.write_bytes(data)


def edit(path: Path, change: Callable[[Any], None]) -> None:
    value = json.loads(path.read_bytes())
    change(value)
    path.write_text(json.dumps(value, ensure_ascii=False))


SEGMENT = "C01/main/2026-09-21_22.13.24_00000002.mp4"


@pytest.mark.parametrize(
    ("spoil", "name", "standing"),
    [
        (lambda out: alter(out / SEGMENT), SEGMENT, Standing.ALTERED),
        (lambda out: (out / SEGMENT).unlink(), SEGMENT, Standing.MISSING),
        (lambda out: shutil.copy(out / SEGMENT, out / "C01/extra.mp4"), "C01/extra.mp4", Standing.EXTRA),
        (lambda out: alter(out / "proof/C01-main.json"), "proof/C01-main.json", Standing.ALTERED),
        (lambda out: (out / "verify.html").write_text("all is well"), "verify.html", Standing.ALTERED),
    ],
)  # fmt: skip
def test_what_was_done_to_a_file_is_found(
    tmp_path: Path, device: Device, spoil: Callable[[Path], None], name: str, standing: Standing
) -> None:
    out = tmp_path / "out"
    pack(device, out)
    spoil(out)
    found = checked(out, device.fingerprint)
    assert found.verdict is Verdict.BROKEN
    assert {each: how for each, how in found.files.items() if how is not Standing.GOOD} == {name: standing}


@pytest.mark.parametrize(
    "spoil",
    [
        lambda out: edit(out / "manifest.json", lambda it: it["requested"].update({"from": "2020"})),
        lambda out: edit(out / "signature.json", lambda it: it.update({"at_ns": 1, "signed": it["signed"] + " "})),
        lambda out: edit(out / "signature.json", lambda it: it.update({"public_key": "AAAA"})),
        lambda out: (out / "SHA256SUMS").write_text(""),
        lambda out: (out / "SHA256SUMS").unlink(),
        lambda out: (out / "C01/link").symlink_to("/etc/hostname"),
    ],
)
def test_what_was_done_beside_the_files_is_found(tmp_path: Path, device: Device, spoil: Callable[[Path], None]) -> None:
    out = tmp_path / "out"
    pack(device, out)
    spoil(out)
    assert checked(out, device.fingerprint).verdict is Verdict.BROKEN


def test_a_forgery_signed_with_another_key(tmp_path: Path, device: Device) -> None:
    out = tmp_path / "out"
    pack(device, out)
    alter(out / SEGMENT)
    other = Device(tmp_path / "other", device.clip)
    other.forge(out)
    assert checked(out).verdict is Verdict.INCOMPLETE, "no checkpoint of that key"
    assert checked(out, device.fingerprint).verdict is Verdict.FOREIGN
    other.record(T0)
    pack(other, tmp_path / "all of it")
    assert checked(tmp_path / "all of it").verdict is Verdict.CONSISTENT, "nothing in the package alone can tell"
    assert checked(tmp_path / "all of it", device.fingerprint).verdict is Verdict.FOREIGN


def test_a_forged_proof_does_not_pass(tmp_path: Path, device: Device) -> None:
    """The thief of the export key's use alone cannot make up a chain that a checkpoint covers."""
    out = tmp_path / "out"

    def proof(film: Film) -> dict[str, Any]:
        answer = device.prove(film)
        answer["links"][1][3] = hashlib.sha256(b"another film").hexdigest()
        return answer

    pack(device, out, prove=proof)
    found = checked(out, device.fingerprint)
    assert (found.verdict, found.chains[0].standing) == (Verdict.BROKEN, "broken")
    assert "#2" in found.chains[0].problem


def test_a_checkpoint_signed_by_another_key_does_not_pass(tmp_path: Path, device: Device) -> None:
    other = Device(device.volume, device.clip, sources=device.sources, links=device.links)
    pack(device, tmp_path / "out", prove=other.prove)
    found = checked(tmp_path / "out", device.fingerprint)
    assert (found.verdict, found.chains[0].problem) == (Verdict.BROKEN, "checkpoint: signature")


def test_footage_altered_on_the_disk_is_told_and_packed(tmp_path: Path, device: Device) -> None:
    alter(Path(device.sources[1].path))
    built = pack(device, tmp_path / "out")
    assert built.altered == (SEGMENT,)
    found = checked(tmp_path / "out", device.fingerprint)
    assert (found.verdict, found.files[SEGMENT]) == (Verdict.BROKEN, Standing.NOT_AS_RECORDED)


def test_without_a_signature_it_says_so(tmp_path: Path, device: Device) -> None:
    built = pack(device, tmp_path / "out", sign=lambda _: None, prove=lambda _: None)
    assert built.signature is None
    found = checked(tmp_path / "out", device.fingerprint)
    assert (found.verdict, found.chains[0].standing) == (Verdict.UNSIGNED, "unproved")


def test_several_cameras_and_streams(tmp_path: Path, clips: dict[str, Path]) -> None:
    devices = [
        Device(tmp_path / "v", clips["a"], camera_id="C01"),
        Device(tmp_path / "v", clips["small"], camera_id="C01", stream="sub"),
        Device(tmp_path / "v", clips["a"], camera_id="北门 2", stream="main"),
    ]
    for each in devices:
        each.key = devices[0].key
        each.record(T0)
    by = {(each.uuid, each.stream): each for each in devices}
    films = wanted([each.film() for each in devices], T0, T0 + 4 * NS)
    pack(devices[0], tmp_path / "out", wanted=films, prove=lambda film: by[film.uuid, film.stream].prove(film))
    assert sorted(path.name for path in (tmp_path / "out").iterdir() if path.is_dir()) == [
        "C01", "joined", "proof", "北门_2",
    ]  # fmt: skip
    found = checked(tmp_path / "out", devices[0].fingerprint)
    assert found.verdict is Verdict.AUTHENTIC
    assert [each.standing for each in found.chains] == ["proved"] * 3


def test_the_night_on_which_an_hour_comes_twice(tmp_path: Path, clips: dict[str, Path]) -> None:
    """Local times repeat; names, numbers and the offset beside them do not."""
    device = Device(tmp_path / "volume", clips["a"])
    first = 1_793_511_000 * NS
    for start_ns in (first, first + 3600 * NS):
        device.record(start_ns)
    about = replace(around(first, first + 3700 * NS), zone=ZoneInfo("America/New_York"))
    pack(device, tmp_path / "out", wanted=replace(wanted([device.film()]), around=about))
    manifest = json.loads((tmp_path / "out/manifest.json").read_bytes())
    starts = [each["start"] for each in manifest["files"] if each["kind"] == "segment"]
    assert starts == ["2026-11-01T01:30:00.000-04:00", "2026-11-01T01:30:00.000-05:00"]
    assert sorted(path.name for path in (tmp_path / "out/C01/main").iterdir()) == [
        "2026-11-01_01.30.00_00000001.mp4", "2026-11-01_01.30.00_00000002.mp4",
    ]  # fmt: skip
    assert len(list((tmp_path / "out/joined").iterdir())) == 2
    assert checked(tmp_path / "out", device.fingerprint).verdict is Verdict.AUTHENTIC


def test_a_segment_that_vanishes_is_a_gap(tmp_path: Path, device: Device) -> None:
    def purge(done: int, total: int) -> None:
        Path(device.sources[1].path).unlink(missing_ok=True)

    built = pack(device, tmp_path / "out", progress=purge)
    (film,) = built.films
    assert [(gap.from_ns, gap.reason) for gap in film.gaps] == [
        (T0 + 4 * NS, "file_missing"), (T0 + 12 * NS, "camera_silent"),
    ]  # fmt: skip
    assert not (tmp_path / "out" / SEGMENT).exists()
    assert checked(tmp_path / "out", device.fingerprint).verdict is Verdict.AUTHENTIC


@pytest.mark.parametrize("name", ["out", "out.zip"])
def test_a_segment_that_gets_shorter_leaves_no_half_of_it(tmp_path: Path, device: Device, name: str) -> None:
    """A file is copied in pieces of a megabyte: this one is cut after the first."""
    long = Path(device.sources[1].path)
    with long.open("ab") as file:
        file.write(bytes(3 << 20))
    device.sources[1] = replace(device.sources[1], bytes=long.stat().st_size)

    def shrink(done: int, total: int) -> None:
        if done > device.sources[0].bytes:
            os.truncate(long, 1 << 20)

    built = pack(device, tmp_path / name, progress=shrink, sign=device.sign)
    assert [gap.reason for gap in built.films[0].gaps] == ["file_damaged", "camera_silent"]
    assert SEGMENT not in [each.name for each in built.files]
    found = checked(tmp_path / name, device.fingerprint)
    assert (found.verdict, set(found.files.values())) == (Verdict.AUTHENTIC, {Standing.GOOD})


def test_the_segment_that_is_being_recorded(tmp_path: Path, device: Device) -> None:
    """It grows meanwhile: the joined file holds no picture that the packed original does not."""
    last = device.sources[-1]
    path = Path(last.path)
    whole = path.read_bytes()
    path.write_bytes(whole[: len(whole) // 2])
    now_ns = last.start_ns + 2 * NS
    device.sources[-1] = replace(last, state="open", end_ns=now_ns, digest=None, chain=None, bytes=len(whole) // 2)
    device.links.pop()

    def grow(done: int, total: int) -> None:
        if done >= sum(source.bytes for source in device.sources[:-1]) + 1000:
            path.write_bytes(whole)

    asked = wanted([device.film()], T0, now_ns)
    built = pack(device, tmp_path / "out", wanted=asked, progress=grow)
    (film,) = built.films
    assert path.stat().st_size == len(whole), "it did grow"
    packed = tmp_path / "out" / "C01/main/2026-09-21_22.13.40_00000004.mp4"
    joined = sorted((tmp_path / "out" / "joined").iterdir())[-1]
    assert whole.startswith(packed.read_bytes())
    counts = []
    for each in (packed, joined):
        with av.open(each, "r") as played:
            counts.append(sum(1 for _ in played.decode(video=0)))
    assert counts[0] == counts[1] > 0
    assert film.sources[-1].end_ns == last.start_ns + counts[0] * NS // 10
    assert [gap.reason for gap in film.gaps] == ["unrecorded", "not_yet"]
    found = checked(tmp_path / "out", device.fingerprint)
    assert (found.verdict, found.chains[0].standing) == (Verdict.AUTHENTIC, "proved")


def test_nothing_to_pack(tmp_path: Path, device: Device) -> None:
    for source in device.sources:
        Path(source.path).unlink()
    with pytest.raises(NoFootage):
        pack(device, tmp_path / "out")
    assert not (tmp_path / "out").exists()


class Cut(BaseException):
    """Ctrl-C."""


def cut_at(share: float) -> Callable[[int, int], None]:
    def cut(done: int, total: int) -> None:
        if done > total * share:
            raise Cut

    return cut


@pytest.mark.parametrize("password", [None, PASSWORD])
@pytest.mark.parametrize("name", ["out", "out.zip"])
def test_an_interrupted_export_goes_on(tmp_path: Path, device: Device, name: str, password: bytes | None) -> None:
    target = tmp_path / name
    with pytest.raises(Cut):
        pack(device, target, progress=cut_at(0.4), password=password)
    assert not target.exists(), "nothing that looks complete"
    with pytest.raises(ExportFailed) as refused:
        pack(device, target, password=password)
    assert "--resume" in refused.value.text.en
    assert str(staged(target)) in refused.value.text.zh
    built = pack(device, target, resume=True, password=password)
    assert built.resumed >= 2
    assert checked(target, device.fingerprint, password).verdict is Verdict.AUTHENTIC
    assert [path.name for path in tmp_path.iterdir() if "part" in path.name] == []


@pytest.mark.parametrize("password", [None, PASSWORD])
@pytest.mark.parametrize(("name", "room"), [("out", 10_000), ("out.zip", 60_000), ("out.zip", 10)])
def test_a_full_disk_and_on_again(tmp_path: Path, device: Device, name: str, room: int, password: bytes | None) -> None:
    """A limit on the size of files stands for a full disk: the program is told by the same kind of error."""
    target = tmp_path / name
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (room, limits[1]))
    try:
        with pytest.raises(ExportFailed) as failed:
            pack(device, target, password=password)
        assert "FAT32" in failed.value.text.zh, "which is what a file that is too long means to people"
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
    assert not target.exists()
    built = pack(device, target, resume=True, password=password)
    assert built.resumed == room // 25_000
    assert checked(target, device.fingerprint, password).verdict is Verdict.AUTHENTIC


@pytest.mark.parametrize("name", ["out", "out.zip"])
def test_what_an_interrupted_export_left_is_not_believed(tmp_path: Path, device: Device, name: str) -> None:
    target = tmp_path / name
    with pytest.raises(Cut):
        pack(device, target, progress=cut_at(0.45))
    left = staged(target)
    alter(left / SEGMENT if left.is_dir() else left)
    built = pack(device, target, resume=True)
    assert built.resumed >= 1
    assert built.altered == ()
    assert checked(target, device.fingerprint).verdict is Verdict.AUTHENTIC


def test_two_exports_do_not_write_the_same_package(tmp_path: Path, device: Device) -> None:
    for name in ("out", "out.zip"):
        first = open_target(tmp_path / name, False)
        with pytest.raises(ExportFailed) as busy:
            open_target(tmp_path / name, True)
        assert "another export" in busy.value.text.en
        first.leave()


def test_what_is_there_is_not_written_over(tmp_path: Path, device: Device) -> None:
    (tmp_path / "out").mkdir()
    with pytest.raises(ExportFailed):
        pack(device, tmp_path / "out")


def test_a_zip_that_other_programs_read(tmp_path: Path, device: Device) -> None:
    pack(device, tmp_path / "out.zip")
    with zipfile.ZipFile(tmp_path / "out.zip") as file:
        assert file.testzip() is None
        assert {each.compress_type for each in file.infolist()} == {zipfile.ZIP_STORED}
        assert file.read(SEGMENT) == Path(device.sources[1].path).read_bytes()
        assert file.getinfo(SEGMENT).date_time == (2026, 9, 21, 22, 13, 24), "the facility's time"


def test_a_password(tmp_path: Path, device: Device) -> None:
    target = tmp_path / "out.zip"
    pack(device, target, password=PASSWORD)
    with pytest.raises(WrongPassword):
        checked(target)
    with pytest.raises(WrongPassword):
        checked(target, None, b"guess")
    assert checked(target, device.fingerprint, PASSWORD).verdict is Verdict.AUTHENTIC
    with pyzipper.AESZipFile(target) as file:
        file.setpassword(PASSWORD)
        assert file.read(SEGMENT) == Path(device.sources[1].path).read_bytes()
        assert {each.wz_aes_strength for each in file.infolist()} == {3}, "AES-256"
    inside = target.read_bytes()
    assert b"moof" not in inside, "no footage in the clear"


@pytest.mark.needs_debian("7z")
def test_seven_zip_opens_both(tmp_path: Path, device: Device) -> None:
    for name, password in (("plain.zip", None), ("secret.zip", PASSWORD)):
        pack(device, tmp_path / name, password=password)
        words = ["7z", "t", "-bd", *([f"-p{password.decode()}"] if password else []), str(tmp_path / name)]
        done = subprocess.run(words, capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stdout
        assert "Everything is Ok" in done.stdout


def test_resuming_with_another_password(tmp_path: Path, device: Device) -> None:
    with pytest.raises(Cut):
        pack(device, tmp_path / "out.zip", progress=cut_at(0.4), password=PASSWORD)
    with pytest.raises(ExportFailed) as refused:
        pack(device, tmp_path / "out.zip", resume=True, password=b"another")
    assert "password" in refused.value.text.en


@pytest.mark.parametrize("content", [b"", b"[]", b"{}", b'{"format": "yunjian-package-1", "files": [{}]}', b"\xff"])
def test_no_package(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "manifest.json").write_bytes(content)
    with pytest.raises(NoPackage):
        checked(tmp_path)


def test_names_stay_inside() -> None:
    assert [name for name in ("a/b", "../a", "/a", "a//b", "a/./b", "a\\b", "") if is_inside(name)] == ["a/b"]
    assert [safe(each) for each in ("C01", "北门 2", "../x", "a/b", "..", 'x:"y')] == [
        "C01", "北门_2", "x", "a_b", "_", "x_y",
    ]  # fmt: skip
    assert [safe(each) for each in ("CON", "nul", "Com1", "aux.x", "proof", "JOINED", "console", "COM")] == [
        "CON_", "nul_", "Com1_", "aux.x_", "proof_", "JOINED_", "console", "COM",
    ], "names that Windows keeps for devices, and those of the package itself"  # fmt: skip
