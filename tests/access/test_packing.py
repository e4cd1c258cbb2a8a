"""Packages from the command line: audit before, evidence asked for, interruptions, and the check of what came out."""

import io
import json
import os
import resource
import signal
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import asdict
from pathlib import Path
from typing import Any

import pytest

from agent.access.console import Screen
from agent.access.package_checking import verify_package
from agent.access.packing import PackageWish, export_package
from agent.access.password import NoPassword, password_of
from agent.facts import Text
from agent.footage.exporting.package_target import note, staged
from agent.footage.timeline import NS
from agent.wire import Reply, Request, Verb
from tests.access.test_views import Terminal
from tests.fakes.camera import make_clip
from tests.fakes.evidence import Device
from tests.fakes.processes import NOON_NS, Sockets, sockets
from tests.fakes.waiting import until


class Facility(Sockets):
    """A device with footage of two cameras, and the verbs that an export asks."""

    folder: Path
    devices: dict[tuple[str, str], Device]
    released: list[str]

    @property
    def output(self) -> Path:
        return self.folder / "out"

    def device(self, args: dict[str, Any]) -> Device | None:
        found = [each for each in self.devices.values() if args.get("camera") == each.uuid]
        by_id = self.devices.get((str(args.get("camera_id")), str(args.get("stream", "main"))))
        return by_id or next((each for each in found if each.stream == args.get("stream")), None)

    def verbs(self) -> dict[str, Verb]:
        def noted(act: Any) -> Verb:
            def verb(request: Request, reply: Reply) -> None:
                self.asked.append((request.verb, request.args))
                reply.done(act(request.args))

            return verb

        def segments(args: dict[str, Any]) -> dict[str, Any]:
            device = self.device(args)
            if device is None:
                return {"segments": [], "next_ns": None}
            found = [
                {**asdict(each), "name": f"{device.uuid}/{device.stream}/2026/{each.seq}.mp4"}
                for each in device.sources
                if each.start_ns < args["to_ns"] and each.end_ns > args["from_ns"]
            ]
            return {"segments": found, "next_ns": None}

        def proof(args: dict[str, Any]) -> dict[str, Any]:
            """Two links an answer: pages are put together again."""
            device = self.device(args)
            assert device is not None
            whole = device.prove(device.film())
            links = [each for each in whole["links"] if each[0] >= args["first_seq"]]
            before = "" if args["first_seq"] == 1 else device.links[args["first_seq"] - 2][4]
            more = links[2][0] if len(links) > 2 else None
            return {**whole, "before": before, "links": links[:2], "next_seq": more}

        return {
            "segments": noted(segments),
            "spans": noted(lambda args: {"spans": [], "gaps": [], "next_ns": None}),
            "checkpoint": noted(lambda args: {"n": 2, "at_ns": 1}),
            "proof": noted(proof),
            "sign_manifest": noted(lambda args: self.devices["C01", "main"].sign(args["sha256"])),
            "hold": noted(lambda args: {"holds": [{"id": "h-1"}]}),
            "release": noted(lambda args: {"hold": {}}),
        }


@pytest.fixture
def facility(tmp_path: Path) -> Iterator[Facility]:
    with sockets() as running:
        agent = Facility(running.runtime)
        agent.folder = tmp_path / "exports"
        agent.folder.mkdir()
        make_clip(tmp_path / "clip.mp4")
        agent.devices = {}
        for camera, stream in (("C01", "main"), ("C01", "sub"), ("C02", "main")):
            device = Device(tmp_path / "volume", tmp_path / "clip.mp4", camera_id=camera, stream=stream)
            agent.devices[camera, stream] = device
            device.key = agent.devices["C01", "main"].key
            for number in range(5):
                device.record(NOON_NS + number * 4 * NS)
        agent.start("alarm")
        agent.start("record", **agent.verbs())
        yield agent
        agent.stop_all()


def run(agent: Facility, language: str = "en", **changed: Any) -> tuple[int, str, str]:
    out, errors = io.StringIO(), io.StringIO()
    values: dict[str, Any] = {
        "cameras": ("C01",), "streams": ("main",), "start": "2026-11-19 12:00:01", "end": "+17s",
        "output": agent.output, "why": "投诉", **changed,
    }  # fmt: skip
    status = export_package(Screen(language, out, errors), agent.runtime, PackageWish(**values), as_json=False)
    return status, out.getvalue(), errors.getvalue()


def check(
    path: Path, typed: str | None = None, password: bytes | None = None, as_json: bool = False
) -> tuple[int, str]:
    out = io.StringIO()
    status = verify_package(Screen("en", out, out), path, typed, password, as_json)
    return status, out.getvalue()


def test_a_package_of_two_cameras(facility: Facility) -> None:
    status, out, errors = run(facility, cameras=("C01", "C02"), streams=("main", "sub"), joined=True)
    assert (status, errors) == (0, "")
    assert "C01/main  5 segments, 20 s" in out
    assert "C02/sub  0 segments" in out
    fingerprint = facility.devices["C01", "main"].fingerprint
    assert f"device fingerprint  {fingerprint}" in out
    assert check(facility.output)[0] == 0
    status, told = check(facility.output, fingerprint)
    assert status == 0
    assert "authentic: unchanged" in told
    assert "C01/sub  chained to a signed checkpoint" in told
    manifest = json.loads((facility.output / "manifest.json").read_bytes())
    assert manifest["facility"] == {"id": "TYJ01", "name": "阳光托育园"}
    assert manifest["cameras"][0]["name"] == "东北角"
    assert (manifest["purpose"], manifest["audit"]) == ("投诉", {"n": 5, "hash": "ab12"})
    assert manifest["time_zone"] == "Asia/Shanghai"


def test_audit_hold_and_evidence_in_their_order(facility: Facility) -> None:
    assert run(facility)[0] == 0
    verbs = [verb for verb, _ in facility.asked]
    assert verbs == [
        "segments", "spans", "audit", "hold", "checkpoint", "proof", "proof", "proof", "sign_manifest", "release",
        "audit",
    ]  # fmt: skip
    audits = [args for verb, args in facility.asked if verb == "audit"]
    assert [each["action"] for each in audits] == ["footage.export", "footage.exported"]
    assert audits[0]["detail"]["cameras"] == ["C01"]
    assert audits[0]["detail"]["why"] == "投诉"
    signed = next(args for verb, args in facility.asked if verb == "sign_manifest")
    assert audits[1]["detail"]["manifest"] == signed["sha256"]
    held = next(args for verb, args in facility.asked if verb == "hold")
    assert (held["cameras"], held["from_ns"], held["to_ns"]) == (["C01"], NOON_NS, NOON_NS + 20 * NS)
    assert next(args for verb, args in facility.asked if verb == "release")["id"] == "h-1"


def test_without_an_audit_row_nothing_is_exported(facility: Facility) -> None:
    facility.stop("alarm")
    status, _, errors = run(facility, start="2026-11-19T12:00:01+08:00")  # nobody tells the facility's time zone
    assert (status, "cannot be audited" in errors) == (3, True)
    facility.start("alarm", audit=lambda _, reply: reply.refuse("store_failing", Text("存不了", "cannot be stored")))
    status, _, errors = run(facility)
    assert (status, "cannot be audited: cannot be stored" in errors) == (4, True)
    assert list(facility.folder.iterdir()) == []


def test_a_recorder_that_cannot_sign_gives_a_package_that_says_so(facility: Facility) -> None:
    facility.stop("record")
    verbs = facility.verbs()
    for verb in ("checkpoint", "proof", "sign_manifest", "hold"):
        verbs[verb] = lambda _, reply: reply.refuse("not_signed", Text("没有密钥", "no key"))
    facility.start("record", **verbs)
    status, _, errors = run(facility)
    assert status == 1
    assert "not signed" in errors
    assert "no key" in errors
    status, told = check(facility.output)
    assert (status, "not signed" in told) == (1, True)


@pytest.mark.parametrize(
    ("changed", "said"),
    [
        ({"end": "+32d"}, "31 days"),
        ({"end": "+25h", "joined": True}, "24 hours"),
        ({"end": "2026-11-19 11:00"}, "is not after"),
        ({"password": b"long enough"}, ".zip"),
        ({"output": Path("/nowhere/at/all/x")}, "no such folder"),
    ],
)
def test_what_cannot_be_asked_for(facility: Facility, changed: dict[str, Any], said: str) -> None:
    status, _, errors = run(facility, **changed)
    assert (status, said in errors) == (2, True)
    assert "audit" not in [verb for verb, _ in facility.asked]


def test_cameras_whose_folders_are_one_on_a_stick(facility: Facility) -> None:
    status, _, errors = run(facility, cameras=("C01", "c01"))
    assert (status, "export them one by one" in errors) == (2, True)


def test_a_hold_that_is_refused_is_told(facility: Facility) -> None:
    facility.stop("record")
    verbs = {**facility.verbs(), "hold": lambda _, reply: reply.refuse("not_now", Text("现在不行", "not now"))}
    facility.start("record", **verbs)
    status, _, errors = run(facility)
    assert (status, "not held while it was exported: not now" in errors) == (0, True)


def test_a_target_that_is_full_from_the_beginning(facility: Facility) -> None:
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (0, limits[1]))
    try:
        status, _, errors = run(facility)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
    assert (status, "the export failed" in errors, "--resume" in errors) == (1, True, True)
    assert run(facility, resume=True)[0] == 0


def test_no_footage(facility: Facility) -> None:
    status, _, errors = run(facility, start="2026-11-18 12:00")
    assert (status, "no footage" in errors) == (1, True)
    assert "audit" not in [verb for verb, _ in facility.asked]


def test_footage_that_cannot_be_read_leaves_nothing(facility: Facility) -> None:
    for source in facility.devices["C01", "main"].sources:
        Path(source.path).unlink()
    status, _, errors = run(facility)
    assert (status, "nothing in this range can be read" in errors) == (1, True)
    assert list(facility.folder.iterdir()) == []


def test_footage_altered_on_the_disk_is_told(facility: Facility) -> None:
    path = Path(facility.devices["C01", "main"].sources[1].path)
    data = bytearray(path.read_bytes())
    data[3000] ^= 1
    path.write_bytes(data)
    status, out, _ = run(facility)
    assert status == 1
    assert "changed since it was recorded" in out
    assert check(facility.output)[0] == 1


def test_a_zip_with_a_password(facility: Facility) -> None:
    target = facility.folder / "out.zip"
    status, out, _ = run(facility, output=target, password="长一点的密码 123".encode())
    assert (status, "their names in the zip" in out) == (0, True)
    assert "password" in check(target)[1]
    status, told = check(target, None, "长一点的密码 123".encode(), as_json=True)
    answer = json.loads(told)
    assert (status, answer["verdict"], set(answer["files"].values())) == (0, "consistent", {"good"})


def test_a_terminal_sees_how_far_it_is(facility: Facility) -> None:
    errors = Terminal()
    wish = PackageWish(("C01",), ("main",), "2026-11-19 12:00", "+20s", facility.output)
    assert export_package(Screen("en", io.StringIO(), errors), facility.runtime, wish, as_json=False) == 0
    assert "100 %" in errors.getvalue()
    assert "MB" in errors.getvalue()


def test_for_programs(facility: Facility) -> None:
    out = io.StringIO()
    wish = PackageWish(("C01",), ("main",), "2026-11-19 12:00", "+20s", facility.output)
    assert export_package(Screen("en", out, io.StringIO()), facility.runtime, wish, as_json=True) == 0
    answer = json.loads(out.getvalue())
    assert answer["cameras"][0]["segments"] == 5
    assert answer["fingerprint"] == facility.devices["C01", "main"].fingerprint
    assert (answer["altered"], answer["problems"], answer["resumed"]) == ([], [], 0)


@pytest.mark.parametrize("name", ["out", "out.zip"])
def test_kill_9_in_the_middle_and_on_again(facility: Facility, name: str) -> None:
    """A program of its own is killed while it copies: it waits in the copy of the third file, which is a pipe."""
    target = facility.folder / name
    device = facility.devices["C01", "main"]
    third = Path(device.sources[2].path)
    aside = third.rename(third.with_suffix(".aside"))
    os.mkfifo(third)
    command = [
        str(Path(sys.executable).with_name("yunjian")), "--runtime", str(facility.runtime), "footage", "export",
        "-c", "C01", "--from", "2026-11-19 12:00", "--to", "+20s", "-o", str(target),
    ]  # fmt: skip
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        stage = staged(target)
        second = 2 * device.sources[0].bytes
        until(lambda: stage.exists() and size_of(stage) > second * 0.9, 30, "two files are copied")
    finally:
        process.send_signal(signal.SIGKILL)
        process.wait(10)
    third.unlink()
    aside.rename(third)
    assert not target.exists(), "nothing that looks complete"
    status, _, errors = run(facility, output=target, start="2026-11-19 12:00", end="+20s")
    assert (status, "--resume" in errors) == (2, True)
    status, out, errors = run(facility, output=target, start="2026-11-19 12:00", end="+19s", resume=True)
    assert (status, "resumed: 2 segments" in out) == (0, True)
    assert "interrupted export: 2026-11-19 12:00:00 – 2026-11-19 12:00:20" in errors, "the range that was meant first"
    assert check(target, device.fingerprint)[0] == 0
    assert [path.name for path in facility.folder.iterdir()] == [name]


def size_of(path: Path) -> int:
    return path.stat().st_size if path.is_file() else sum(each.stat().st_size for each in path.rglob("*.mp4"))


def test_going_on_with_something_else_is_refused(facility: Facility) -> None:
    staged(facility.output).mkdir()
    asked = {"cameras": ["C02"], "streams": ["main"], "from_ns": 1, "to_ns": 2, "joined": False}
    note(facility.output).write_text(json.dumps(asked))
    status, _, errors = run(facility, resume=True)
    assert (status, "not what the interrupted export was asked for" in errors) == (2, True)


def test_passwords(tmp_path: Path) -> None:
    screen = Screen("en", io.StringIO(), io.StringIO())
    file = tmp_path / "password"
    file.write_text("correct horse\nrest\n")
    assert password_of(screen, file, False, new=True) == b"correct horse"
    assert password_of(screen, None, False, new=True) is None
    assert password_of(screen, None, True, new=True, read=lambda _: "correct horse") == b"correct horse"
    assert password_of(screen, None, True, new=False, read=lambda _: "short") == b"short"
    answers = iter(["correct horse", "correct house"])
    with pytest.raises(NoPassword):
        password_of(screen, None, True, new=True, read=lambda _: next(answers))
    with pytest.raises(NoPassword):
        password_of(screen, None, True, new=True, read=lambda _: "short")
    with pytest.raises(NoPassword):
        password_of(screen, tmp_path / "none", False, new=True)


def test_the_check_refuses_what_is_none(tmp_path: Path) -> None:
    assert check(tmp_path)[0] == 1
    assert check(tmp_path / "none")[0] == 2
    assert check(tmp_path, "123")[0] == 2
    (tmp_path / "x.zip").write_bytes(b"no zip")
    status, said = check(tmp_path / "x.zip")
    assert (status, "not a package" in said) == (1, True)
