"""The demonstration as a user starts it: the whole product, on real parts, from one command."""

import fcntl
import json
import subprocess
import sys
from pathlib import Path

import pytest

from tests.fakes.facility import Facility
from tests.fakes.waiting import until


@pytest.mark.timeout(240)
def test_one_command_brings_a_facility_to_life(tmp_path: Path) -> None:
    facility = Facility(tmp_path / "var")
    try:
        facility.start()
        facility.press()
        until(lambda: facility.presses_received("police"), 15, "the press is in the police platform's database")
        until(lambda: facility.presses_received("cloud"), 15, "the press is in the smart cloud's database")
        until(lambda: "receipt" in facility.console(), 15, "the console tells of the receipts")
        until(lambda: "people  " in facility.console(), 60, "the console tells of people in the rooms")
        listed = subprocess.run(
            [sys.executable, "-m", "agent", "--runtime", str(facility.folder / "run"), "incidents", "--json"],
            capture_output=True,
            check=False,
        )
        assert "panic" in json.dumps(json.loads(listed.stdout))
        asked = f"footage export --camera C01 --from 10m --to now -o {tmp_path / 'clip.mp4'}"
        exported = subprocess.run(
            [sys.executable, "-m", "agent", "--lang", "en", "--runtime", str(facility.folder / "run"), *asked.split()],
            capture_output=True,
            check=False,
            text=True,
        )
        assert exported.returncode == 0, exported.stderr
        assert (tmp_path / "clip.mp4").stat().st_size > 10_000
    finally:
        status = facility.stop()
    assert status == 0, facility.console()
    files = sorted((facility.folder / "footage").rglob("*.mp4"))
    assert len({file.relative_to(facility.folder / "footage").parts[0] for file in files}) == 2
    assert facility.left_running() == ""


def test_a_second_demonstration_in_the_same_folder_is_told_to_wait(tmp_path: Path) -> None:
    folder = tmp_path / "var"
    folder.mkdir()
    with (folder / "lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        command = [sys.executable, "-m", "agent", "--lang", "en", "run", "--demo", str(folder)]
        done = subprocess.run(command, capture_output=True, check=False, text=True)
    assert done.returncode != 0
    assert "stop it first" in done.stderr
    assert "Traceback" not in done.stderr


def test_an_address_that_is_no_broker_is_told_before_anything_starts(tmp_path: Path) -> None:
    command = [
        sys.executable,
        "-m",
        "agent",
        "--lang",
        "en",
        "run",
        "--demo",
        str(tmp_path / "var"),
        "--broker",
        "here",
    ]
    done = subprocess.run(command, capture_output=True, check=False, text=True)
    assert (done.returncode, done.stdout) == (1, "")
    assert "mqtt://host[:port]" in done.stderr
    assert not (tmp_path / "var").exists()
