"""PURE. Lasting states: what each one means, when it began, and when it is over or no longer known.

Invariants
1. A condition is told raised once and over once, in turn, however often it is repeated.
2. A condition not repeated within its time to live has lapsed: that is told as its own end.
3. An older word about a condition than the newest one known changes nothing.
"""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from enum import StrEnum

from agent.facts import Condition, Text
from agent.facts import ConditionKind as Kind


class AlertClass(StrEnum):
    """The class of an alert: the last part of its topic, and the first word of its type."""

    ALARM = "alarm"
    FAULT = "fault"
    AI = "ai"


@dataclass(frozen=True, slots=True)
class Meaning:
    """What a condition is: its class, its priority (1 highest), and its words when it begins and ends."""

    alert_class: AlertClass
    priority: int
    raised: Text
    over: Text


def _fault(priority: int, raised: tuple[str, str], over: tuple[str, str]) -> Meaning:
    return Meaning(AlertClass.FAULT, priority, Text(*raised), Text(*over))


MEANINGS: dict[Kind, Meaning] = {
    Kind.BRIDGE_SILENT: _fault(
        2,
        ("报警板失去联系，按钮不可用", "the board is silent: its buttons do not work"),
        ("报警板恢复", "the board is back"),
    ),
    Kind.BOARD_MISCONFIGURED: _fault(
        2,
        ("报警板的输入配置不对，按钮可能误读", "the board does not have the inputs as set: buttons may be misread"),
        ("报警板的输入配置已对", "the board has its inputs as set"),
    ),
    Kind.BOARD_NOT_UNIQUE: _fault(
        3,
        (
            "报警板没有自己的编号，告警可能重复，请重新烧录",
            "the board has no uid of its own: alarms may be told twice, flash it",
        ),
        ("报警板有自己的编号", "the board has a uid of its own"),
    ),
    Kind.BOARD_OLD: _fault(
        3,
        ("报警板固件过旧，请重新烧录", "the firmware of the board is too old: flash it"),
        ("报警板固件已更新", "the firmware of the board is new enough"),
    ),
    Kind.CAMERA_SILENT: _fault(2, ("摄像机无画面", "the camera sends nothing"), ("摄像机恢复", "the camera is back")),
    Kind.CAMERA_REFUSED: _fault(
        2,
        ("摄像机拒绝连接", "the camera refuses the connection"),
        ("摄像机接受连接", "the camera accepts the connection"),
    ),
    Kind.CAMERA_NOT_VIDEO: _fault(
        2,
        ("摄像机地址不是视频", "the camera's address gives no video"),
        ("摄像机视频恢复", "the camera gives video again"),
    ),
    Kind.RECORDING_GAP: _fault(2, ("录像中断", "recording is interrupted"), ("录像恢复", "recording goes on")),
    Kind.VOLUME_MISSING: _fault(
        2,
        ("录像盘不在或不是这个机构的", "a footage volume is missing, or not this facility's"),
        ("录像盘恢复", "the footage volume is back"),
    ),
    Kind.DISK_FULL: _fault(2, ("磁盘已满", "the disk is full"), ("磁盘空间恢复", "the disk has room again")),
    Kind.DISK_SLOW: _fault(3, ("磁盘写入过慢", "the disk is slow"), ("磁盘写入恢复", "the disk keeps up again")),
    Kind.DISK_FAILED: _fault(
        2, ("录像盘读写出错", "a footage disk fails"), ("录像盘读写恢复", "the footage disk works again")
    ),
    Kind.INDEX_REBUILT: _fault(
        3, ("录像索引已重建", "the index of footage was rebuilt"), ("录像索引正常", "the index of footage is in order")
    ),
    Kind.FOOTAGE_DAMAGED: _fault(
        2, ("录像文件损坏", "footage is damaged"), ("录像文件损坏已处理", "damaged footage was dealt with")
    ),
    Kind.FOOTAGE_UPKEEP_FAILING: _fault(
        2,
        (
            "录像的索引、日志或后台工作出错，录像继续",
            "the index, the journal or a chore of the footage fails; recording goes on",
        ),
        ("录像的索引、日志和后台工作恢复", "index, journal and chores of the footage work again"),
    ),
    Kind.RETENTION_BREACH: _fault(
        2,
        ("录像存储不够，达不到规定的留存天数", "the disks cannot keep footage for as long as is required"),
        ("录像存储恢复，达到规定的留存天数", "the disks keep footage for as long as is required again"),
    ),
    Kind.RETENTION_CHANGE: _fault(
        2,
        ("留存天数或时钟有变，24 小时后将删除更多录像", "days kept or clock changed: more footage will be deleted"),
        ("录像留存的变更已了结", "the change of what footage is kept is settled"),
    ),
    Kind.DELETION_FAILING: _fault(
        2,
        ("到期录像删不掉", "footage that is due cannot be deleted"),
        ("到期录像已能删除", "footage that is due can be deleted again"),
    ),
    Kind.MODEL_MISSING: _fault(
        2, ("识别模型缺失或被改动", "the model is missing or altered"), ("识别模型恢复", "the model is in order again")
    ),
    Kind.VISION_BLIND: _fault(
        2, ("人数识别停止", "people are not counted"), ("人数识别恢复", "people are counted again")
    ),
    Kind.OVER_CAPACITY: Meaning(
        AlertClass.AI,
        2,
        Text("在室人数超过核定人数", "more people than the room may hold"),
        Text("在室人数恢复到核定人数以内", "the room is within its capacity again"),
    ),
    Kind.UPLINK_DOWN: _fault(
        2, ("平台连接中断", "the platform is not reached"), ("平台连接恢复", "the platform is reached again")
    ),
    Kind.RECEIPT_MISSING: _fault(
        2, ("平台未回执", "the platform sends no receipts"), ("平台回执恢复", "the platform sends receipts again")
    ),
    Kind.STORE_FAILING: _fault(
        2,
        ("告警存储失败，告警继续上报", "alerts cannot be stored; they are still sent"),
        ("告警存储恢复", "alerts are stored again"),
    ),
    Kind.PROCESS_SILENT: _fault(2, ("程序无响应", "a process is silent"), ("程序恢复", "the process is back")),
    Kind.EVIDENCE_BROKEN: _fault(
        2,
        ("录像证据链异常，请查明原因", "the chain of evidence is not what it was: find out why"),
        ("录像证据链恢复", "the chain of evidence is in order again"),
    ),
    Kind.ARMING_INCOMPLETE: _fault(
        2,
        ("布防不完整，有防区未关好", "armed but for zones that are not closed"),
        ("布防完整", "every zone is armed"),
    ),
    Kind.OUTPUT_FAILED: _fault(
        2,
        ("警号、警灯等输出不可用", "a siren, strobe or other output does not work"),
        ("警号、警灯等输出恢复", "the siren, strobe or other output works again"),
    ),
    Kind.MAINS_LOST: _fault(2, ("市电中断", "mains power is lost"), ("市电恢复", "mains power is back")),
    Kind.BATTERY_LOW: _fault(2, ("电池电量低", "the battery is low"), ("电池电量恢复", "the battery is charged again")),
    Kind.SHUTTING_DOWN: _fault(
        2,
        ("电池将耗尽，主机即将关机，期间不能报警", "the battery runs empty: shutting down, nothing alarms meanwhile"),
        ("主机恢复运行", "the machine works again"),
    ),
    Kind.TEST_DUE: _fault(
        3,
        ("报警按钮该测试了", "the panic button is due for its test"),
        ("报警按钮已测试", "the panic button was tested"),
    ),
    Kind.CLOCK_UNKNOWN: _fault(
        3, ("时钟未同步", "the clock is not synchronised"), ("时钟已同步", "the clock is synchronised")
    ),
}
"""Every kind has its row (a test compares with ConditionKind)."""


LONGEST_TTL_S = 3600.0
"""A longer time to live, or one that is no number, is cut to this: what nobody repeats for an hour is not known."""


@dataclass(frozen=True, slots=True)
class Active:
    """A condition that lasts: what was last said of it, and until when (monotonic ns) that holds."""

    last: Condition
    until_ns: int


@dataclass(frozen=True, slots=True)
class Known:
    """All that lasts now, and the newest word (monotonic ns) about what is over."""

    active: Mapping[tuple[Kind, str], Active]
    over_ns: Mapping[tuple[Kind, str], int]


NOTHING = Known({}, {})


@dataclass(frozen=True, slots=True)
class Tick:
    """Time has passed."""


@dataclass(frozen=True, slots=True)
class Raised:
    """The condition has begun."""

    condition: Condition


@dataclass(frozen=True, slots=True)
class Over:
    """The condition has ended. `lapsed`: nobody said so, but nobody repeats it either."""

    condition: Condition
    lapsed: bool = False


def step(known: Known, fact: Condition | Tick, now_ns: int) -> tuple[Known, tuple[Raised | Over, ...]]:
    """What lasts after the fact, and what began or ended by it. `now_ns` is monotonic."""
    if isinstance(fact, Tick):
        lapsed = [key for key, each in known.active.items() if now_ns > each.until_ns]
        if not lapsed:
            return known, ()
        left = {key: each for key, each in known.active.items() if key not in lapsed}
        return replace(known, active=left), tuple(Over(known.active[key].last, lapsed=True) for key in lapsed)
    key = (fact.kind, fact.subject)
    held = known.active.get(key)
    newest_ns = held.last.at.mono_ns if held else known.over_ns.get(key, -1)
    if fact.at.mono_ns < newest_ns:
        return known, ()
    if fact.active:
        ttl_s = fact.ttl_s if 0 <= fact.ttl_s <= LONGEST_TTL_S else LONGEST_TTL_S
        until_ns = now_ns + round(ttl_s * 1e9)
        over_ns = {other: ns for other, ns in known.over_ns.items() if other != key}
        after = Known({**known.active, key: Active(fact, until_ns)}, over_ns)
        return after, () if held else (Raised(fact),)
    left = {other: each for other, each in known.active.items() if other != key}
    after = Known(left, {**known.over_ns, key: fact.at.mono_ns})
    return after, (Over(fact),) if held else ()
