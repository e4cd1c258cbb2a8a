"""What set the clock of the machine at boot."""

from pathlib import Path

from agent.clock import SystemClock, boot_quality
from agent.facts import ClockQuality


def rtc(folder: Path, *flags: str) -> Path:
    for number, flag in enumerate(flags):
        (folder / f"rtc{number}").mkdir(parents=True)
        (folder / f"rtc{number}" / "hctosys").write_text(flag)
    return folder


def test_the_kernel_took_the_time_from_a_battery_backed_clock(tmp_path: Path) -> None:
    assert boot_quality(rtc(tmp_path, "0\n", "1\n"), ()) is ClockQuality.RTC


def test_a_board_without_a_battery(tmp_path: Path) -> None:
    carried = tmp_path / "clock"
    assert boot_quality(rtc(tmp_path / "rtc", "0\n"), [carried]) is ClockQuality.UNKNOWN
    carried.touch()
    assert boot_quality(tmp_path / "none", [carried]) is ClockQuality.LAST_GOOD


def test_the_clock_of_this_machine_says_how_good_it_is(tmp_path: Path) -> None:
    expected = {ClockQuality.NTP, ClockQuality.UNKNOWN}
    assert SystemClock(tmp_path, ()).quality() in expected
    assert SystemClock(rtc(tmp_path, "1"), ()).quality() in {ClockQuality.NTP, ClockQuality.RTC}
