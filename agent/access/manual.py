"""PURE. What `yunjian --help` says of each command, in both languages, with an example of each."""

from typing import Final

from agent.access.manual_arming import ARMING_PAGES
from agent.access.manual_footage import FOOTAGE_PAGES
from agent.access.manual_page import Page
from agent.access.manual_testing import TESTING_PAGES
from agent.facts import Text

PAGES: Final = {
    **ARMING_PAGES,
    **TESTING_PAGES,
    **FOOTAGE_PAGES,
    "": Page(
        Text("云监管：托育机构内的安全监管代理", "cloud supervision: the safety agent in a childcare facility"),
        (
            ("yunjian status", Text("现在怎样", "how things are")),
            ("yunjian incidents", Text("未复位的警情", "incidents that are not reset")),
            ("yunjian config check facility.yaml", Text("检查设置文件", "check a settings file")),
        ),
    ),
    "status": Page(
        Text(
            "现在怎样：进程、防区、人数、摄像机、平台", "how things are: processes, zones, people, cameras, platforms"
        ),
        (
            ("yunjian status", Text("看一次", "look once")),
            ("yunjian status --watch", Text("一直看，Ctrl-C 结束", "keep looking, Ctrl-C ends it")),
            ("yunjian status --json", Text("给程序用", "for programs")),
        ),
    ),
    "boards": Page(
        Text(
            "USB 上插着哪些板卡，各自的编号与固件；空闲的串口会打开询问（多数板卡因此复位）",
            "what is plugged in behind USB, with uid and firmware; a free port is opened to ask, which resets a board",
        ),
        (
            ("yunjian boards", Text("填 bridges 里的 usb 与 uid 时用", "what to write as usb and uid of a bridge")),
            ("yunjian boards --list --json", Text("给程序用，不打开串口", "for programs, opens no port")),
        ),
    ),
    "events": Page(
        Text("告警记录，以及各平台是否收到", "alerts, and how far each platform has them"),
        (
            ("yunjian events --limit 50", Text("最近 50 条", "the newest 50")),
            ("yunjian events --follow --json", Text("一有新的就输出，每行一条", "one line for each new one")),
        ),
    ),
    "incidents": Page(
        Text("警情：查看、确认（静音）、复位", "incidents: list, acknowledge (silence), reset"),
        (
            ("yunjian incidents", Text("未复位的", "those not reset")),
            ("yunjian incidents --all", Text("包括已复位的", "those reset too")),
            (
                "yunjian incidents ack 3f2a",
                Text("确认（编号写前几位即可）", "acknowledge (the beginning of an id will do)"),
            ),
        ),
    ),
    "incidents ack": Page(
        Text(
            "确认并静音：有人看到并在处理；警灯亮到复位，仍在报警的过一会再响",
            "acknowledge and silence: somebody has seen it and is on it. The light stays until the reset, and what is"
            " still in alarm sounds again after a while",
        ),
        (
            (
                "yunjian incidents ack 3f2a",
                Text("确认并静音编号以 3f2a 开头的警情", "acknowledge and silence the one whose id begins with 3f2a"),
            ),
            ("yunjian incidents ack all", Text("确认全部未复位的，都静音", "everything that is latched: silence")),
        ),
    ),
    "incidents reset": Page(
        Text("复位：原因消除后手动结束", "reset: end it by hand once its cause is gone"),
        (
            (
                Text(
                    "yunjian incidents reset 3f2a --why 误按", "yunjian incidents reset 3f2a --why 'pressed by mistake'"
                ),
                Text("复位并写明原因", "reset, and say why"),
            ),
        ),
    ),
    "config": Page(
        Text("设置文件", "settings files"),
        (("yunjian config check /etc/yunjian/facility.yaml", Text("检查", "check")),),
    ),
    "config check": Page(
        Text("检查设置文件：一次列出全部错误", "check a settings file: every mistake at once"),
        (
            (
                "yunjian config check facility.yaml",
                Text("错误与提醒，录像盘够存几天", "mistakes, warnings, days the disk holds"),
            ),
            (
                "yunjian config check facility.yaml --bitrate 4000",
                Text("每路按 4000 kbit/s 计", "at 4000 kbit/s per camera"),
            ),
        ),
    ),
    "config schema": Page(
        Text("设置文件的 JSON Schema（给编辑器用）", "the JSON Schema of a settings file, for editors"),
        (("yunjian config schema > facility.schema.json", Text("写入文件", "write it to a file")),),
    ),
    "run": Page(
        Text("在前台运行全部进程", "run all processes in the foreground"),
        (
            ("yunjian run --config facility.yaml", Text("直到 Ctrl-C", "until Ctrl-C")),
            (
                "yunjian run --demo var --seconds 60",
                Text("演示园所，60 秒后自行停止", "the demonstration, for 60 seconds"),
            ),
        ),
    ),
    "process": Page(
        Text("运行一个进程（供 systemd 与 run 使用）", "run one process (for systemd and run)"),
        (("yunjian process alarm --config /etc/yunjian/facility.yaml", Text("报警进程", "the alarm process")),),
    ),
    "press": Page(
        Text("演示用：按下模拟板上的按钮", "for the demonstration: press a button of the simulated board"),
        (("yunjian press", Text("按一键报警", "press the panic button")),),
    ),
    "door": Page(
        Text("演示用：开、关模拟板上的门", "for the demonstration: open or close the simulated door"),
        (("yunjian door open", Text("开门", "open it")), ("yunjian door close", Text("关门", "close it"))),
    ),
    "camera": Page(
        Text("摄像机：查找、查看码流", "cameras: discover, probe"),
        (
            ("yunjian camera discover", Text("网络上有哪些", "which there are on the network")),
            (
                "yunjian camera probe onvif://192.0.2.11 --username admin --password-file cam.pw",
                Text("有哪些码流", "which streams one has"),
            ),
        ),
    ),
    "camera discover": Page(
        Text("找出网络上支持 ONVIF 的摄像机和录像机", "find cameras and recorders on the network that speak ONVIF"),
        (
            ("yunjian camera discover", Text("等 3 秒", "wait for 3 s")),
            ("yunjian camera discover --interface 192.0.2.5", Text("从这块网卡找", "ask from this network card")),
        ),
    ),
    "camera probe": Page(
        Text(
            "一台设备有哪些码流，onvif:// 会选哪个作 main、sub",
            "the streams of a device, and which onvif:// takes for main and sub",
        ),
        (
            (
                "yunjian camera probe onvif://192.0.2.11 --username admin --password-file cam.pw",
                Text("还没写进设置的", "one that is not in the settings yet"),
            ),
            ("yunjian camera probe C01 --config facility.yaml", Text("设置里的", "one of the settings")),
        ),
    ),
}

EXIT_CODES: Final = Text(
    """退出码：
  0   正常
  1   有问题：有警情或故障、设置有错、没有找到录像、导出失败
  2   命令写法有误
  3   代理没有在运行，或没有应答
  4   代理拒绝：没有这个警情、原因未消除、没有权限
  78  设置有误，进程没有启动（run、process）
  130 被 Ctrl-C 中断
  141 输出管道提前关闭""",
    """exit status:
  0   all is well
  1   something is wrong: an incident or a fault, wrong settings, no footage found, an export failed
  2   the command is not written correctly
  3   the agent is not running, or does not answer
  4   the agent refused: no such incident, its cause lasts, not allowed
  78  the settings are wrong and the process did not start (run, process)
  130 interrupted by Ctrl-C
  141 the reader of the output went away""",
)

TIMES: Final = Text(
    """时间写法：2026-11-21 17:40、17:40、10m（10 分钟前）、now-2h、yesterday 17:40、昨天 17:40、
  2026-11-21T17:40+08:00；没有时区的按机构所在时区；--to 还可写 +5m（从起点算）""",
    """times: 2026-11-21 17:40, 17:40, 10m (ten minutes ago), now-2h, yesterday, yesterday 17:40,
  2026-11-21T17:40+08:00; without a zone in the facility's; --to takes +5m too (from the beginning)""",
)

RUNTIME: Final = Text(
    "--runtime 缺省：环境变量 YUNJIAN_RUNTIME，否则 ./var/run（演示正在运行时），否则 /run/yunjian",
    "--runtime: YUNJIAN_RUNTIME, else ./var/run while the demonstration runs there, else /run/yunjian",
)


def epilog(command: str, language: str) -> str:
    """What stands below the options of `command`."""
    page = PAGES[command]
    lines = ["例：" if language == "zh" else "examples:"]
    for typed, does in page.examples:
        command_line = typed.in_language(language) if isinstance(typed, Text) else typed
        lines += [f"  {command_line}", f"      {does.in_language(language)}"]
    if command.startswith("footage ") and any("--from" in str(typed) for typed, _ in page.examples):
        lines += ["", TIMES.in_language(language)]
    if command == "":
        lines += ["", RUNTIME.in_language(language), "", EXIT_CODES.in_language(language)]
    return "\n".join(lines)
