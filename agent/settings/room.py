"""How many days of footage the disks hold, by the settings and by what the cameras really send."""

import shutil
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from agent.facts import Text
from agent.footage.upkeep.retention import GB, reserve_bytes
from agent.settings.models import Settings

ASSUMED_KBIT_S: Final = 4000.0
"""A 1080p camera as delivered: 3 to 6 Mbit/s of H.264 is what makers preset."""

ASSUMED_SUB_KBIT_S: Final = 500.0
"""A sub stream as delivered: 360p to 576p."""

LAST_DITCH_BYTES: Final = 64 * 1024 * 1024
"""Where the recorder stops (footage.volumes.RESERVE_BYTES; a test compares)."""


@dataclass(frozen=True, slots=True)
class Stream:
    """A stream that is recorded, with its rate and whether that was measured."""

    camera: str
    stream: str
    kbit_s: float
    measured: bool


def disk_days(settings: Settings, kbit_s: float | None, record: dict[str, Any] | None) -> dict[str, Any] | None:
    """How far back footage reaches once the disks are full; None when no volume is there, or nothing is recorded.

    `days` is what the main streams (`sub_days`: the sub streams) come to on the whole disks less their reserve, or
    within the quota, each giving the same share of its target; `free_days` what is free now. `missing` are volumes
    that are not there. `kbit_s` is all streams together and `source` where that rate is from.
    """
    streams = _streams(settings, kbit_s, record)
    disks, missing = _disks(settings.footage.volumes)
    rate = sum(each.kbit_s for each in streams)
    if not disks or rate <= 0:
        return None
    footage = settings.footage
    asked = None if footage.reserve_gb is None else int(footage.reserve_gb * GB)
    ingest = rate * 125 / len(disks)
    reserves = [reserve_bytes(disk.total, ingest, asked, LAST_DITCH_BYTES) for disk in disks]
    room = float(sum(max(0, disk.total - reserve) for disk, reserve in zip(disks, reserves, strict=True)))
    free = sum(max(0, disk.free - reserve) for disk, reserve in zip(disks, reserves, strict=True))
    quota = None if footage.quota_gb is None else footage.quota_gb * GB
    room = room if quota is None else min(room, quota)
    target = {"main": footage.target_days, "sub": footage.sub_target_days or footage.target_days}
    wanted = sum(each.kbit_s * 125 * 86400 * target[each.stream] for each in streams)
    share = room / wanted
    return {
        "days": round(share * target["main"], 1),
        "sub_days": round(share * target["sub"], 1) if any(each.stream == "sub" for each in streams) else None,
        "target_met": share >= 1,
        "minimum_met": share * min(target[each.stream] for each in streams) >= footage.minimum_days,
        "total_bytes": sum(disk.total for disk in disks),
        "reserve_bytes": sum(reserves),
        "quota_bytes": None if quota is None else int(quota),
        "free_days": round(free / (rate * 125 * 86400), 1),
        "free_bytes": sum(disk.free for disk in disks),
        "missing": [str(path) for path in missing],
        "kbit_s": round(rate, 1),
        "source": "given" if kbit_s is not None else "measured" if all(s.measured for s in streams) else "assumed",
    }


def about_days(room: dict[str, Any], settings: Settings) -> list[Text]:
    """What `disk_days` found, for people: one line, and a loud one when what is required cannot be met."""
    source = {
        "given": Text("给定", "as given"),
        "measured": Text("实测", "measured"),
        "assumed": Text("估计", "assumed"),
    }[room["source"]]
    footage = settings.footage
    short = Text("", "")
    if room["minimum_met"] and not room["target_met"]:
        short = Text(f"，不足目标 {footage.target_days} 天", f", less than the target of {footage.target_days}")
    rate, size, free = room["kbit_s"] / 1000, room["total_bytes"] / 1e9, room["free_bytes"] / 1e9
    less = f"{room['reserve_bytes'] / 1e9:.0f} GB"
    limit = Text(f"预留 {less}", f"{less} kept free")
    if room["quota_bytes"] is not None:
        quota = f"{room['quota_bytes'] / 1e9:.0f} GB"
        limit = Text(f"{limit.zh}，限额 {quota}", f"{limit.en}, quota {quota}")
    sub = Text("", "")
    if room["sub_days"] is not None and room["sub_days"] != room["days"]:
        sub = Text(f"，子码流 {room['sub_days']:.1f} 天", f", sub streams {room['sub_days']:.1f}")
    lines = [
        Text(
            f"录像：{rate:.1f} Mbit/s（{source.zh}），{size:.0f} GB 的盘（{limit.zh}）约存 {room['days']:.1f} 天"
            f"{sub.zh}{short.zh}；现有空闲 {free:.0f} GB 约 {room['free_days']:.1f} 天",
            f"footage: {rate:.1f} Mbit/s ({source.en}), disks of {size:.0f} GB ({limit.en}) hold {room['days']:.1f}"
            f" days{sub.en}{short.en}; the {free:.0f} GB free now, {room['free_days']:.1f} days",
        )
    ]
    for path in room["missing"]:
        lines.append(Text(f"此刻没有录像盘 {path}，没有算进去", f"volume {path} is not there now and is not counted"))
    if not room["minimum_met"]:
        lines.append(_loud(room, settings))
    return lines


def _loud(room: dict[str, Any], settings: Settings) -> Text:
    footage = settings.footage
    days, rule = footage.minimum_days, footage.minimum_rule
    least = min(each for each in (room["days"], room["sub_days"]) if each is not None)
    return Text(
        f"!! 存不满规定的 {days} 天（{rule}），只够 {least:.1f} 天：请加大硬盘、降低码率或减少摄像机",
        f"!! the required {days} days ({rule}) do not fit, only {least:.1f}: larger disks, lower bit rates or fewer"
        " cameras are needed",
    )


def _streams(settings: Settings, kbit_s: float | None, record: dict[str, Any] | None) -> list[Stream]:
    measured = _measured(record)
    found: list[Stream] = []
    for camera in settings.cameras:
        wanted = [("main", camera.record, ASSUMED_KBIT_S),
                  ("sub", camera.record_sub and camera.sub is not None, ASSUMED_SUB_KBIT_S)]  # fmt: skip
        for stream, is_recorded, assumed in wanted:
            if not is_recorded:
                continue
            seen = measured.get((camera.id, stream))
            if kbit_s is not None:
                given = kbit_s if stream == "main" else min(kbit_s, ASSUMED_SUB_KBIT_S)
                found.append(Stream(camera.id, stream, given, False))
            else:
                found.append(Stream(camera.id, stream, seen if seen is not None else assumed, seen is not None))
    return found


def _measured(record: dict[str, Any] | None) -> dict[tuple[str, str], float]:
    cameras = (record or {}).get("cameras")
    return {
        (str(camera.get("id")), str(camera.get("stream", "main"))): float(camera["kbit_s"])
        for camera in (cameras if isinstance(cameras, list) else ())
        if isinstance(camera, dict) and isinstance(camera.get("kbit_s"), int | float) and camera["kbit_s"] > 0
    }


@dataclass(frozen=True, slots=True)
class _Disk:
    total: int
    free: int


def _disks(volumes: tuple[Path, ...]) -> tuple[list[_Disk], list[Path]]:
    found: list[_Disk] = []
    missing: list[Path] = []
    for path in volumes:
        try:
            usage = shutil.disk_usage(path)
        except OSError:
            missing.append(path)
        else:
            found.append(_Disk(usage.total, usage.free))
    return found, missing
