"""How many days the disks hold: several of them, with sub streams, a quota and a reserve."""

import shutil
from pathlib import Path
from typing import Any

import pytest

from agent.footage.recording.volumes import RESERVE_BYTES
from agent.settings.models import Settings
from agent.settings.room import LAST_DITCH_BYTES, about_days, disk_days

DAY_BYTES = 125 * 86400
"""Of one kbit/s."""


def facility(volumes: list[Path], sub: bool = False, **footage: Any) -> Settings:
    camera = {"name": "x", "main": "rtsp://192.0.2.1/m", "sub": "rtsp://192.0.2.1/s", "record_sub": sub}
    return Settings.model_validate(
        {
            "facility": {"id": "f", "name": "f"},
            "cameras": [{"id": name, **camera} for name in ("C1", "C2")],
            "footage": {"volumes": [str(each) for each in volumes], **footage},
        }
    )


def days(settings: Settings, kbit_s: float | None = None, record: dict[str, Any] | None = None) -> dict[str, Any]:
    found = disk_days(settings, kbit_s, record)
    assert found is not None
    return found


def measured(**rates: float) -> dict[str, Any]:
    return {"cameras": [{"id": key[:2], "stream": key[3:], "kbit_s": rate} for key, rate in rates.items()]}


def test_the_reserve_is_taken_off_and_the_rate_is_that_of_all_cameras(tmp_path: Path) -> None:
    total = shutil.disk_usage(tmp_path).total
    found = days(facility([tmp_path], reserve_gb=1), kbit_s=1000)
    assert found["kbit_s"] == 2000
    assert found["days"] == pytest.approx((total - 1e9) / (2000 * DAY_BYTES), abs=0.1)
    assert (found["source"], found["sub_days"]) == ("given", None)


def test_a_quota_limits_what_the_disks_hold(tmp_path: Path) -> None:
    found = days(facility([tmp_path], quota_gb=2, minimum_days=30), kbit_s=1000)
    assert found["days"] == pytest.approx(2e9 / (2000 * DAY_BYTES), abs=0.1)
    assert found["minimum_met"] is False


def test_several_volumes_add_up_and_one_that_is_missing_is_named(tmp_path: Path) -> None:
    one = days(facility([tmp_path]), kbit_s=1000)
    (tmp_path / "b").mkdir()
    two = days(facility([tmp_path, tmp_path / "b"]), kbit_s=1000)
    assert two["total_bytes"] == 2 * one["total_bytes"]
    assert two["days"] == pytest.approx(2 * one["days"], rel=0.2)
    lost = facility([tmp_path, tmp_path / "no"])
    assert days(lost, kbit_s=1000)["missing"] == [str(tmp_path / "no")]
    assert str(tmp_path / "no") in about_days(days(lost, kbit_s=1000), lost)[1].en
    assert disk_days(facility([tmp_path / "no"]), 1000, None) is None


def test_streams_share_the_disk_by_their_targets(tmp_path: Path) -> None:
    record = measured(C1_main=1000, C2_main=1000, C1_sub=100, C2_sub=100)
    settings = facility([tmp_path], sub=True, quota_gb=10, target_days=90, sub_target_days=180)
    found = days(settings, record=record)
    assert found["source"] == "measured"
    assert found["sub_days"] == pytest.approx(2 * found["days"], abs=0.2)
    assert found["days"] * 2000 * DAY_BYTES + found["sub_days"] * 200 * DAY_BYTES == pytest.approx(10e9, rel=0.05)


def test_rates_that_are_not_measured_are_assumed(tmp_path: Path) -> None:
    assert days(facility([tmp_path]))["kbit_s"] == 8000
    assert days(facility([tmp_path], sub=True))["kbit_s"] == 9000
    found = days(facility([tmp_path]), record=measured(C1_main=1000))
    assert (found["kbit_s"], found["source"]) == (5000, "assumed")


def test_a_target_that_cannot_be_met_is_said_and_a_minimum_that_cannot_is_loud(tmp_path: Path) -> None:
    kbit_s = 10e9 / (50 * 2 * DAY_BYTES)
    settings = facility([tmp_path], quota_gb=10)
    (line,) = about_days(days(settings, kbit_s), settings)
    assert "less than the target of 90" in line.en
    loud = about_days(days(settings, 2 * kbit_s), settings)
    assert len(loud) == 2
    assert loud[1].en.startswith("!! the required 30 days (济宁市工作方案 14) do not fit, only 25.0")
    assert loud[1].zh.startswith("!! 存不满规定的 30 天")
    roomy = facility([tmp_path], quota_gb=10)
    assert days(roomy, kbit_s / 10)["target_met"] is True


def test_the_last_ditch_is_the_recorders() -> None:
    assert LAST_DITCH_BYTES == RESERVE_BYTES
