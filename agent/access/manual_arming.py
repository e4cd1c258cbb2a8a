"""PURE. The pages of the manual on arming."""

from typing import Final

from agent.access.manual_page import Page
from agent.facts import Text

ARMING_PAGES: Final = {
    "arm": Page(
        Text(
            "布防门窗；有防区未关好时拒绝，24 小时防区不受影响",
            "arm doors and windows; refused while one is not closed. 24-hour zones are always armed",
        ),
        (
            (Text("yunjian arm --who 值班保安", "yunjian arm --who guard"), Text("唯一的区域", "the only area")),
            (
                Text("yunjian arm A1 --bypass Z03 --who 值班保安", "yunjian arm A1 --bypass Z03 --who guard"),
                Text("留出 Z03，到撤防为止", "without Z03, until it is disarmed"),
            ),
            (
                Text("yunjian arm --force --who 值班保安", "yunjian arm --force --who guard"),
                Text("留出所有未关好的，告警里写明", "without whatever is not closed; the alert says so"),
            ),
        ),
    ),
    "disarm": Page(
        Text("撤防门窗；已有的警情仍要复位", "disarm doors and windows; incidents are still to be reset"),
        (
            (
                Text("yunjian disarm --who 值班保安", "yunjian disarm --who guard"),
                Text("唯一的区域", "the only area"),
            ),
            (
                Text("yunjian disarm A1 --who 值班保安 --duress", "yunjian disarm A1 --who guard --duress"),
                Text("被胁迫：看上去一样，平台收到警情", "forced to: looks the same, the platforms are told"),
            ),
        ),
    ),
    "bypass": Page(
        Text("旁路一个门窗防区，只管一次布防", "leave out one door or window, for one armed period"),
        (
            (
                Text(
                    "yunjian bypass Z03 --who 值班保安 --why 窗锁坏了",
                    "yunjian bypass Z03 --who guard --why 'broken lock'",
                ),
                Text("这次或下次布防不含 Z03", "not in this armed period, or the next"),
            ),
        ),
    ),
    "unbypass": Page(
        Text("取消旁路", "leave it out no longer"),
        (("yunjian unbypass Z03", Text("Z03 又参加布防", "Z03 is armed with the others again")),),
    ),
}
