"""What the demonstration's console says: few lines, each with what people call the things."""

import threading
from typing import Any

from agent.demo.console import Console
from agent.demo.platform import alert_line
from agent.facts import Text
from tests.fakes.processes import sockets

IN_2096_NS = 4_000_000_000_000_000_000
"""After any start of a console."""


def _event(seq: int, at_ns: int) -> dict[str, Any]:
    return {
        "seq": seq,
        "type": "cn.tyj.alarm.panic.v1",
        "priority": 1,
        "at_ns": at_ns,
        "pressed_ns": at_ns,
        "summary_zh": f"一键报警：{seq} 班",
        "summary_en": f"panic button pressed: {seq}",
        "delivery": {"police": {"state": "receipted", "receipted_ns": at_ns + 40_000_000}},
    }


def test_each_new_alert_is_one_line_and_the_rooms_another() -> None:
    said: list[Text] = []
    told = threading.Event()

    def say(text: Text) -> None:
        said.append(text)
        if "告警" in text.zh:
            told.set()

    with sockets("alarm") as agent:
        # The first was there before this run: it is for `yunjian events`.
        agent.events = [_event(1, 1_000_000_000), _event(2, IN_2096_NS)]
        console = Console(agent.runtime, say)
        console.start()
        assert told.wait(10)
        console.stop()
    assert said == [
        Text("人数  托大一班活动室 12", "people  托大一班活动室 12"),
        Text(
            "告警  一键报警：2 班 → 公安平台已回执 40 ms",
            "alert  panic button pressed: 2 -> receipt from police after 40 ms",
        ),
    ]


def test_a_platform_tells_an_alert_in_words() -> None:
    event = {
        "type": "cn.tyj.alarm.panic.v1",
        "subject": "zone/Z01",
        "time": "2026-11-21T17:41:19.123+08:00",
        "priority": 1,
        "historical": True,
        "data": {"zone": {"name": "托大一班"}, "state": "triggered"},
    }
    assert alert_line(event, "police", "POLICE-000002") == (
        "17:41:19 公安平台收到：紧急 一键报警 触发 托大一班 POLICE-000002（补报）",
        "17:41:19 police got: urgent panic button triggered 托大一班 POLICE-000002 (late)",
    )
    unknown = {"type": "cn.tyj.fault.disk_full.v1", "subject": "volume/x", "time": "", "data": []}
    assert alert_line(unknown, "mine", "M-1").en == " mine got: note disk full volume/x M-1"
