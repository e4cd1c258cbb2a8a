"""The units, as systemd itself judges them."""

import configparser
import shutil
import subprocess
from pathlib import Path

import pytest

from agent.health import WATCHDOG_S
from agent.main import EX_CONFIG, NICE, PROCESSES, START_S, STOP_S
from agent.processes.alarm_shutdown import ASKED

UNITS = Path(__file__).parent.parent / "systemd"


class _Unit(configparser.RawConfigParser):
    def optionxform(self, optionstr: str) -> str:
        return optionstr


def read(name: str) -> _Unit:
    unit = _Unit()
    unit.read_string((UNITS / f"yunjian-{name}.service").read_text(encoding="utf-8"))
    return unit


@pytest.mark.needs_debian("systemd-analyze")
def test_systemd_finds_no_fault_with_the_units(tmp_path: Path) -> None:
    for unit in UNITS.iterdir():
        shutil.copy(unit, tmp_path)
    installed = "/opt/yunjian/bin/yunjian"
    for unit in tmp_path.glob("*.service"):
        text = unit.read_text(encoding="utf-8")
        assert f"ExecStart={installed} process " in text or unit.stem == "yunjian-poweroff"
        # verify looks for the program, which only an installation has.
        unit.write_text(text.replace(installed, "/bin/true"), encoding="utf-8")
    done = subprocess.run(
        ["systemd-analyze", "verify", "--man=no", *sorted(map(str, tmp_path.iterdir()))],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.stderr == ""
    assert done.returncode == 0


def test_there_is_a_unit_for_each_process_and_no_other() -> None:
    shutdown = {"yunjian-poweroff.path", "yunjian-poweroff.service"}
    expected = {"yunjian.target"} | {f"yunjian-{name}.service" for name in PROCESSES} | shutdown
    assert {unit.name for unit in UNITS.iterdir()} == expected


def test_what_shuts_down_does_nothing_else_and_whoever_asks_for_it_ends_last() -> None:
    unit = (UNITS / "yunjian-poweroff.service").read_text(encoding="utf-8")
    commands = [line.partition("=")[2] for line in unit.splitlines() if line.startswith("Exec")]
    assert commands == [f"/usr/bin/rm -f /run/yunjian/{ASKED}", "/usr/bin/systemctl --no-block poweroff"]
    path = (UNITS / "yunjian-poweroff.path").read_text(encoding="utf-8")
    assert f"PathExists=/run/yunjian/{ASKED}\n" in path
    for name in PROCESSES[1:]:
        assert "yunjian-alarm.service" in read(name)["Unit"]["After"].split(), "systemd stops in the reverse order"


@pytest.mark.parametrize("name", PROCESSES)
def test_the_units_watch_as_the_supervisor_does(name: str) -> None:
    unit = read(name)
    assert unit["Service"]["Type"] == "notify"
    assert unit["Service"]["Restart"] == "always"
    assert unit["Unit"]["StartLimitIntervalSec"] == "0"
    assert float(unit["Service"]["WatchdogSec"]) == WATCHDOG_S
    assert float(unit["Service"]["TimeoutStartSec"]) == START_S
    assert float(unit["Service"]["TimeoutStopSec"]) == STOP_S
    assert int(unit["Service"]["RestartPreventExitStatus"]) == EX_CONFIG
    # Under systemd the alarm desk goes before all else; the supervisor, without root, can only put others behind.
    expected = -5 if name == "alarm" else NICE.get(name, 0)
    assert int(unit["Service"].get("Nice", "0")) == expected
    assert unit["Install"]["WantedBy"] == "yunjian.target"
