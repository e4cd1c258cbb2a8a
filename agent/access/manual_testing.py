"""PURE. The pages of the manual on drills and tests."""

from typing import Final

from agent.access.manual_page import Page
from agent.facts import Text

TESTING_PAGES: Final = {
    "drill": Page(
        Text(
            "演练：照常上报但注明演练，最长 30 分钟；别的防区、防拆、10 秒内连按三次或按住一分钟都是真的",
            "a drill: told as ever, marked as one, 30 minutes at most. Every other zone, tamper, three presses within"
            " 10 s and a button held for a minute are real",
        ),
        (
            (
                Text("yunjian drill Z01 --who 王芳", "yunjian drill Z01 --who 'Wang Fang'"),
                Text("演练 Z01，别的防区照常", "Z01 alone, all others are real"),
            ),
            (
                Text("yunjian drill all --who 王芳 --minutes 10", "yunjian drill all --who 'Wang Fang' --minutes 10"),
                Text("全部防区，10 分钟", "every zone, for 10 minutes"),
            ),
            ("yunjian drill stop", Text("结束；还在报警的转为真实警情", "ends it; what is still in alarm is real")),
        ),
    ),
    "test": Page(
        Text(
            "测试：步行测试、按钮测试、警号警灯测试、测试记录",
            "tests: walk test, test of a button, of a siren or strobe, register of tests",
        ),
        (
            (
                Text("yunjian test button Z01 --who 王芳", "yunjian test button Z01 --who 'Wang Fang'"),
                Text("按一下，看每一步用时", "press it, and see how long each step takes"),
            ),
            ("yunjian test list", Text("测试记录", "the register of tests")),
        ),
    ),
    "test walk": Page(
        Text(
            "步行测试：逐个触发，看哪些还没有触发；都作为演练上报",
            "walk test: which zones were activated, which were not yet",
        ),
        (
            (
                Text("yunjian test walk --who 王芳", "yunjian test walk --who 'Wang Fang'"),
                Text("全部触发过或 Ctrl-C 时结束", "ends when all were activated, or with Ctrl-C"),
            ),
        ),
    ),
    "test button": Page(
        Text(
            "按钮测试：从触点到每个平台的回执，逐步计时，记入测试记录",
            "test of a button: from the contact to each platform's receipt, timed and entered into the register",
        ),
        (
            (
                Text("yunjian test button Z01 --who 王芳", "yunjian test button Z01 --who 'Wang Fang'"),
                Text("等 Z01 被按下", "waits for Z01 to be pressed"),
            ),
            (
                Text("yunjian test button --who 王芳 --wait 60", "yunjian test button --who 'Wang Fang' --wait 60"),
                Text("任何一个按钮，等 60 秒", "any button, for 60 seconds"),
            ),
        ),
    ),
    "test output": Page(
        Text("输出测试：警号、警灯响几秒，记入审计", "test of a siren or strobe: on for a few seconds, and audited"),
        (
            (
                Text("yunjian test output S1 --who 王芳", "yunjian test output S1 --who 'Wang Fang'"),
                Text("响 3 秒", "on for 3 seconds"),
            ),
            (
                Text(
                    "yunjian test output L1 --seconds 10 --who 王芳",
                    "yunjian test output L1 --seconds 10 --who 'Wang Fang'",
                ),
                Text("亮 10 秒", "on for 10 seconds"),
            ),
        ),
    ),
    "test list": Page(
        Text(
            "测试记录：每个按钮何时由谁测试、是否通过",
            "the register of tests: which button, when, by whom, and how it went",
        ),
        (
            ("yunjian test list --from 30d", Text("近 30 天", "the last 30 days")),
            (
                "yunjian test list --csv > tests.csv",
                Text("给检查人员的表格", "a table for inspectors"),
            ),
        ),
    ),
}
