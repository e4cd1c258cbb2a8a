"""Packages with files that a power cut or a disk damaged, and packages that somebody made to look so: what the recorder
finds, what the command finds in the package, and what its page finds are the same."""

import base64
import io
import json
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from agent.access.console import Screen
from agent.access.package_checking import verify_package
from agent.access.package_words import README
from agent.access.packing import page
from agent.access.verifying import judge
from agent.footage import rows
from agent.footage.chain import hash_bytes, link
from agent.footage.custody.proof import answer_proof
from agent.footage.exporting.manifest import Film
from agent.footage.exporting.package import Built, Wanted, build
from agent.footage.exporting.package_check import check_package
from agent.footage.exporting.package_links import link_text
from agent.footage.exporting.package_target import open_target
from agent.footage.naming import camera_uuid, segment_path
from agent.footage.rows import SegmentRow
from agent.footage.timeline import NS
from tests.access.test_verify_page import check, enter, standings, words
from tests.fakes.browser import Browser
from tests.fakes.camera import make_clip
from tests.fakes.cut_short import CutShort, sign_again
from tests.fakes.evidence import T0, Device, around


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    with Browser(1000, 1400, "--accept-lang=zh-CN") as browser:
        yield browser


@pytest.fixture(scope="module")
def clip(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("clip") / "a.mp4"
    make_clip(path)
    return path


def pack(place: CutShort, target: Path, film: Film | None = None) -> Built:
    wanted = Wanted((film or place.film(),), around(T0, T0 + 3600 * NS), False, page(), README.encode(), {})
    return build(wanted, open_target(target, False), place.prove, place.sign_manifest, None, place.vouch)


# What happens to honest footage.


def power_cut(place: CutShort, later: int = 2) -> None:
    """The end of number 4 was not on the disk when 5 had been begun, which names what 4 was."""
    for _ in range(3):
        place.record()
    for _ in range(2):
        place.cut(place.record("open"))
    place.start_again()
    for _ in range(later):
        place.record()


def signed_power_cut(place: CutShort) -> None:
    power_cut(place)
    place.sign()


def passed_over(place: CutShort) -> None:
    """The disk of number 4 hung, and 5 was begun elsewhere; a checkpoint was signed meanwhile."""
    for _ in range(3):
        place.record()
    place.record("open", passed=True)
    place.record()
    place.sign()
    place.start_again()
    place.record()
    place.sign()


def not_whole(place: CutShort) -> None:
    """A disk failed while number 4 was written, and what it holds is not what was written."""
    for _ in range(6):
        place.record()
    place.commit(("UPDATE segment SET state = 'suspect' WHERE seq = ?", (4,)))
    alter(place.paths[4])
    place.sign()


def rebuilt(place: CutShort) -> None:
    """The index was lost after the cut was signed: it takes number 4 for what number 5 names."""
    signed_power_cut(place)
    named = json.loads(_said(place.paths[5]))["previous"]
    chain = link("sha256", json.loads(_said(place.paths[4]))["chain"], place.uuid, "main", 4, T0 + 16 * NS,
                 place.paths[4].stat().st_size, named)  # fmt: skip
    place.commit(("UPDATE segment SET state = 'suspect', digest = ?, chain = ? WHERE seq = 4", (named, chain)))


def set_right(place: CutShort) -> None:
    """Number 6 was told by a clock that was found wrong later: its row has another time than its file and its link."""
    whole(place)
    place.commit(("UPDATE segment SET start_ns = start_ns + ?, end_ns = end_ns + ? WHERE seq = 6", (90 * NS, 90 * NS)))


# What somebody does to it.


def truncated_later(place: CutShort) -> None:
    """Closed, signed, truncated, and called recovered in the index: the next checkpoint does not name it."""
    for _ in range(7):
        place.record()
    place.sign()
    truncate(place, 4)
    place.sign()


def truncated_within_the_hour(place: CutShort) -> None:
    """The same before any checkpoint signed it, so that one does name it; but the recording went on."""
    for _ in range(9):
        place.record()
    truncate(place, 4)
    place.sign()


def taken_away(place: CutShort) -> None:
    """Number 4 was really cut, and signed; somebody took away what was recorded after the start."""
    for _ in range(3):
        place.record()
    place.cut(place.record("open"))
    place.start_again()
    for _ in range(5):
        place.record()
    place.sign()
    for seq in (5, 6, 7):
        place.paths[seq].unlink()
        place.commit(("DELETE FROM segment WHERE seq = ?", (seq,)))


def truncate(place: CutShort, seq: int) -> None:
    place.cut(seq)
    content = place.paths[seq].read_bytes()
    digest = hash_bytes("sha256", content)
    before = json.loads(_said(place.paths[seq]))["chain"]
    chain = link("sha256", before, place.uuid, "main", seq, T0 + seq * 4 * NS, len(content), digest)
    values = ("recovered", len(content), digest, chain, seq)
    place.commit(("UPDATE segment SET state = ?, bytes = ?, digest = ?, chain = ? WHERE seq = ?", values))


def _said(path: Path) -> str:
    content = path.read_bytes()
    begin = content.index(b'{"camera"')
    return json.dumps(json.JSONDecoder().raw_decode(content[begin : begin + 4000].decode("utf-8", "replace"))[0])


def alter(path: Path) -> None:
    data = bytearray(path.read_bytes())
    data[len(data) // 2] ^= 1
    path.write_bytes(data)


def called_loose(told: str) -> Callable[[dict[str, Any], Path], None]:
    """Whoever packs alters number 3 and calls it loose: without a checkpoint, with a real one of others, or with one
    that he signed himself."""

    def change(manifest: dict[str, Any], package: Path) -> None:
        entry = segment(manifest, 3)
        path = package / entry["name"]
        path.write_bytes(path.read_bytes()[:-5000])
        content = path.read_bytes()
        digest = hash_bytes("sha256", content)
        entry.update(digest=digest, state="recovered", as_recorded=True)
        of = package / manifest["cameras"][0]["proof"]
        proof = json.loads(of.read_bytes())
        _, before, camera, stream, seq, start_ns, _, _ = json.loads(proof["links"][2])
        proof["links"][2] = link_text(before, camera, stream, (seq, start_ns, len(content), digest))
        head = hash_bytes("sha256", proof["links"][2].encode())
        checkpoint = proof["checkpoint"] if told == "real" else None
        if told == "own":
            mine = Device(package, package)
            text = proof["checkpoint"]["text"].replace('"key"', f'"loose":[["{camera}","main",3,"{head}"]],"key"')
            checkpoint = {"text": text, "signature": base64.b64encode(mine.key.sign(text.encode())).decode()}
        proof["loose"] = [{"seq": 3, "head": head, "checkpoint": checkpoint}]
        of.write_text(json.dumps(proof))

    return change


def segment(manifest: dict[str, Any], seq: int) -> dict[str, Any]:
    found: dict[str, Any] = next(each for each in manifest["files"] if each.get("seq") == seq)
    return found


def _other_bytes(manifest: dict[str, Any], package: Path) -> None:
    """The manifest names the digest that was recorded, and the file is another one."""
    alter(package / segment(manifest, 3)["name"])
    segment(manifest, 3)["as_recorded"] = None


def _other_time(manifest: dict[str, Any], package: Path) -> None:
    segment(manifest, 3)["start_ns"] = str(int(segment(manifest, 3)["start_ns"]) + 3600 * NS)


def _other_time_told(manifest: dict[str, Any], package: Path) -> None:
    """The number is right, and what people read is not."""
    segment(manifest, 3)["start"] = segment(manifest, 3)["start"].replace("T22", "T21")


def _other_name(manifest: dict[str, Any], package: Path) -> None:
    entry = segment(manifest, 3)
    name = entry["name"].replace("_22.", "_21.")
    (package / entry["name"]).rename(package / name)
    entry["name"] = name


def _other_camera(manifest: dict[str, Any], package: Path) -> None:
    manifest["cameras"][0]["id"] = "C02"
    for each in manifest["files"]:
        if "camera" in each:
            each["camera"] = "C02"


def _left_out(manifest: dict[str, Any], package: Path) -> None:
    entry = segment(manifest, 3)
    (package / entry["name"]).unlink()
    manifest["files"].remove(entry)


def _put_in(state: str) -> Callable[[dict[str, Any], Path], None]:
    def change(manifest: dict[str, Any], package: Path) -> None:
        entry = segment(manifest, 3)
        name = entry["name"].replace("00000003", "00000099")
        (package / name).write_bytes(b"a film that no camera made")
        extra = {"digest": None, "chain": None, "as_recorded": None}
        manifest["files"] += [
            {**entry, **extra, "name": name.replace("99", f"{seq}"), "seq": seq, "state": state} for seq in (97, 98, 99)
        ]
        for each in manifest["files"][-3:]:
            (package / each["name"]).write_bytes(b"a film that no camera made")

    return change


@dataclass(frozen=True)
class Case:
    """What happened, of which numbers the package is, what was done to it then, and what is to be found."""

    make: Callable[[CutShort], None]
    verdict: str
    damaged: dict[int, str] = field(default_factory=dict)
    recorder: str | None = None
    """The verdict of `yunjian footage verify`, where it judges the same."""
    numbers: tuple[int, int] = (1, 99)
    change: Callable[[dict[str, Any], Path], None] | None = None
    said: str = ""
    moved: tuple[int, ...] = ()


def whole(place: CutShort) -> None:
    for _ in range(6):
        place.record()
    place.sign()


CASES = {
    "whole": Case(whole, "consistent", recorder="consistent"),
    "power cut": Case(signed_power_cut, "consistent", {4: "damaged"}, "consistent"),
    "passed over": Case(passed_over, "consistent", {4: "damaged"}, "consistent"),
    "index rebuilt": Case(rebuilt, "consistent", {4: "damaged"}, "consistent"),
    "clock set right": Case(set_right, "consistent", moved=(6,)),
    "up to the cut": Case(signed_power_cut, "consistent", {4: "damaged"}, numbers=(1, 4)),
    "from after the cut": Case(signed_power_cut, "consistent", numbers=(5, 99)),
    "without the start": Case(signed_power_cut, "incomplete", {4: "unvouched"}, numbers=(2, 5)),
    "not signed yet": Case(lambda place: power_cut(place, 1), "incomplete", {4: "unvouched"}, "incomplete"),
    "not whole": Case(not_whole, "incomplete", {4: "unvouched"}, "incomplete"),
    "truncated later": Case(truncated_later, "broken", recorder="broken", said="#4"),
    "truncated within the hour": Case(truncated_within_the_hour, "broken", recorder="broken", said="#4"),
    "taken away": Case(taken_away, "broken", recorder="broken", said="#4"),
    "called loose": Case(whole, "broken", change=called_loose(""), said="#3: loose"),
    "called loose by a real checkpoint": Case(whole, "broken", change=called_loose("real"), said="#3: loose"),
    "called loose by his own": Case(whole, "broken", change=called_loose("own"), said="checkpoint: signature"),
    "other bytes": Case(whole, "broken", change=_other_bytes, said="#3"),
    "other time": Case(whole, "broken", change=_other_time, said="start_ns"),
    "other time told": Case(whole, "broken", change=_other_time_told, said="start"),
    "other name": Case(whole, "broken", change=_other_name, said="start"),
    "other camera": Case(whole, "broken", change=_other_camera, said="id"),
    "left out": Case(whole, "consistent", change=_left_out),
    "put in": Case(whole, "incomplete", {97: "unlinked", 98: "unlinked", 99: "unlinked"}, change=_put_in("closed")),
    "put in as new": Case(
        whole, "incomplete", {97: "unlinked", 98: "unlinked", 99: "unlinked"}, change=_put_in("open")
    ),
}


@pytest.fixture(params=sorted(CASES))
def case(request: pytest.FixtureRequest, tmp_path: Path, clip: Path) -> Iterator[tuple[str, Case, CutShort, Path]]:
    case = CASES[request.param]
    place = CutShort(tmp_path, clip)
    try:
        case.make(place)
        if case.recorder is not None:
            assert judge(place.verify(), ()) == case.recorder
        pack(place, tmp_path / "out", place.film(*case.numbers))
        if case.change is not None:
            sign_again(place, tmp_path / "out", case.change)
        yield request.param, case, place, tmp_path / "out"
    finally:
        place.close()


@pytest.mark.needs_debian("chromium")
def test_recorder_command_and_page_agree(case: tuple[str, Case, CutShort, Path], browser: Browser) -> None:
    name, wanted, place, package = case
    manifest, found = check_package(package)
    assert found.verdict.value == wanted.verdict, (found.chains, found.problems)
    names = {each["name"]: each["seq"] for each in manifest["files"] if each["kind"] == "segment"}
    if wanted.verdict != "broken":
        told = {names[each]: how.value for each, how in found.files.items() if how.value != "good"}
        assert told == wanted.damaged
        assert found.chains[0].moved == wanted.moved
        assert found.chains[0].absent == ((3,) if name == "left out" else ())
    assert wanted.said in found.chains[0].problem
    fingered = check_package(package, place.fingerprint)[1].verdict.value
    assert fingered == {"consistent": "authentic"}.get(wanted.verdict, wanted.verdict)
    assert check_package(package, "00000-" * 7 + "00000")[1].verdict.value == (
        "broken" if wanted.verdict == "broken" else "foreign"
    )

    assert check(browser, package) == wanted.verdict, words(browser, "#verdict")
    shown = {names.get(each, 0): how for each, how in standings(browser).items()}
    if wanted.verdict != "broken":
        assert shown == wanted.damaged
    else:
        assert wanted.said in words(browser, "#verdict-more")
    assert enter(browser, place.fingerprint) == fingered
    if wanted.verdict == "incomplete":
        assert "指纹相符" in words(browser, "#typed-hint")
        assert enter(browser, "00000-" * 7 + "00000") == "foreign"
    if "damaged" in wanted.damaged.values():
        assert "不能证明的：丢失的那几秒" in words(browser, "#verdict-notes")
    if wanted.moved:
        assert "#6" in words(browser, "#verdict-notes")
    if name == "left out":
        assert "#3" in words(browser, "#verdict-notes")


def test_who_spoils_a_checkpoint_has_nothing_named_too_late(tmp_path: Path, clip: Path) -> None:
    """A file that was signed as closed is truncated, and the checkpoint that signed it is spoilt in the index."""
    place = CutShort(tmp_path, clip)
    try:
        for _ in range(3):
            place.record()
        place.sign()
        place.record()
        place.sign()
        newest = "(SELECT MAX(n) FROM journal WHERE kind = 'checkpoint')"
        place.commit((f"UPDATE journal SET detail = '{{}}' WHERE n = {newest}", ()))
        truncate(place, 2)
        place.sign()
        told = answer_proof(place.index, {
            "camera": place.uuid, "stream": "main", "first_seq": 4, "last_seq": 4,
        })  # fmt: skip
    finally:
        place.close()
    assert "loose" not in told["checkpoint"]["detail"]


@pytest.mark.parametrize("language", ["zh", "en"])
def test_people_are_told_what_is_proved_and_what_is_not(tmp_path: Path, clip: Path, language: str) -> None:
    place = CutShort(tmp_path, clip)
    try:
        signed_power_cut(place)
        pack(place, tmp_path / "out")
        out = io.StringIO()
        status = verify_package(Screen(language, out, out), tmp_path / "out", place.fingerprint, None, False)
    finally:
        place.close()
    said = out.getvalue()
    assert status == 0
    for words_ in (
        ("断电", "能证明的", "不能证明的") if language == "zh" else ("power cut", "What is proved", "What is not")
    ):
        assert words_ in said


def test_the_evidence_of_many_power_cuts_fits_into_an_answer(tmp_path: Path, clip: Path) -> None:
    """The wire takes 64 KiB: 16 cameras with two streams each, stopped three times within the hour."""
    place = CutShort(tmp_path, clip)
    try:
        for camera in range(16):
            for stream in ("main", "sub"):
                uuid = camera_uuid("demo", f"C{camera}")
                place.commit(*(
                    rows.put_segment(SegmentRow(
                        uuid, place.volume.uuid, stream, None, seq, T0 + seq * NS, T0 + seq * NS + NS, 1, 1 << 24,
                        str(segment_path(uuid, stream, T0 + seq * NS, seq)), "h264", 64, 36, "ab" * 32, "cd" * 32,
                        "ef" * 32, "recovered" if seq in (100, 101, 102) else "closed",
                    ))
                    for seq in range(1, 200)
                ))  # fmt: skip
        place.sign()
        asked = {"camera": camera_uuid("demo", "C7"), "stream": "sub", "first_seq": 1, "last_seq": 199}
        whole = answer_proof(place.index, asked)
        assert len(whole["links"]) == 150
        named = answer_proof(place.index, {**asked, "last_seq": 101, "loose": True})
    finally:
        place.close()
    assert len(json.loads(named["checkpoint_text"].partition("\n")[2])["loose"]) == 96
    for answer in (whole, named):
        assert len(json.dumps(answer).encode()) < 60_000
