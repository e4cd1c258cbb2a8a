"""PURE. What `yunjian --help` says of each command, in both languages, with an example of each."""

from dataclasses import dataclass
from typing import Final

from agent.facts import Text


@dataclass(frozen=True, slots=True)
class Page:
    """The help of one command; `examples` are (what to type, what it does)."""

    summary: Text
    examples: tuple[tuple[str | Text, Text], ...]


PAGES: Final = {
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
    "events": Page(
        Text("告警记录，以及各平台是否收到", "alerts, and how far each platform has them"),
        (
            ("yunjian events --limit 50", Text("最近 50 条", "the newest 50")),
            ("yunjian events --follow --json", Text("一有新的就输出，每行一条", "one line for each new one")),
        ),
    ),
    "incidents": Page(
        Text("警情：查看、确认、复位", "incidents: list, acknowledge, reset"),
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
        Text("确认：有人看到并在处理", "acknowledge: somebody has seen it and is on it"),
        (
            (
                "yunjian incidents ack 3f2a",
                Text("确认编号以 3f2a 开头的警情", "acknowledge the one whose id begins with 3f2a"),
            ),
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
    "footage": Page(
        Text("录像：查找、调取、封存、核对、录像盘", "footage: find, hand out, hold, verify; its volumes"),
        (
            (
                "yunjian footage find --from 'yesterday 08:00' --to 18:00",
                Text("有哪些录像、哪里中断", "what there is, and gaps"),
            ),
            (
                "yunjian footage export --camera C01 --from 17:30 --to 17:45 -o c01.mp4",
                Text("导出一段", "export a range"),
            ),
        ),
    ),
    "footage find": Page(
        Text("某段时间有哪些录像、哪里中断、为什么", "which footage there is, where it is broken, and why"),
        (
            ("yunjian footage find", Text("今天，全部摄像机", "today, every camera")),
            ("yunjian footage find --camera C01 --from 2h", Text("最近两小时", "the last two hours")),
        ),
    ),
    "footage gaps": Page(
        Text(
            "哪里没有录像、缺多久、为什么（有则退出码 1）",
            "where footage is missing, how much, and why (status 1 if any)",
        ),
        (
            (
                "yunjian footage gaps --from 7d --min 5s",
                Text("最近 7 天，5 秒以上的", "the last 7 days, 5 s and longer"),
            ),
            (
                "yunjian footage gaps --camera C01 --from yesterday",
                Text("一台摄像机，昨天起", "one camera, since yesterday"),
            ),
        ),
    ),
    "footage coverage": Page(
        Text(
            "每天录到了百分之几，每小时一格（有缺则退出码 1）",
            "how much of each day was recorded, a block an hour (status 1 if any is missing)",
        ),
        (
            ("yunjian footage coverage", Text("最近 7 天，全部摄像机", "the last 7 days, every camera")),
            (
                "yunjian footage coverage --days 30 --camera C01 --json",
                Text("30 天，给程序用", "30 days, for programs"),
            ),
        ),
    ),
    "footage export": Page(
        Text(
            "导出录像：合成的视频，或带签名的证据包；先记入审计",
            "export footage: a joined video, or a signed package; audited",
        ),
        (
            (
                "yunjian footage export --camera C01 --from '2026-11-21 17:30' --to '2026-11-21 17:45' -o c01.mp4",
                Text("一台摄像机，一个能播放的文件", "one camera, one file that plays"),
            ),
            (
                Text(
                    "yunjian footage export -c C01 -c C02 --from 17:30 --to +5m -o 证据 --joined --why 家长投诉",
                    "yunjian footage export -c C01 -c C02 --from 17:30 --to +5m -o evidence --joined --why complaint",
                ),
                Text(
                    "两台摄像机的证据包：原始分段、合成视频、清单、签名",
                    "a package: originals, joined video, manifest, signature",
                ),
            ),
            (
                "yunjian footage export -c C01 --from 17:30 --to +1h -o c01.zip --password",
                Text("加密码的 zip，密码在终端上输入", "a zip with a password that is asked for"),
            ),
            (
                "yunjian footage export -c C01 --from 17:30 --to +1h -o c01.zip --resume",
                Text("继续中断的导出", "go on with an interrupted export"),
            ),
        ),
    ),
    "footage verify-package": Page(
        Text("核对导出包：是否完整、未改动、来自这台设备", "check a package: whole, unchanged, from this device"),
        (
            (
                "yunjian footage verify-package c01.zip",
                Text("是否一致；真实与否要有设备指纹", "whether it is consistent; authentic takes a fingerprint"),
            ),
            (
                "yunjian footage verify-package evidence --fingerprint 04821-51234-00017-60122-33871-09915-48210-11002",
                Text("与机构提供的设备指纹核对", "check it against the fingerprint that the facility gave"),
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
    "footage hold": Page(
        Text("封存一段录像：到期也不删除，先记入审计", "hold footage: it is not deleted, whatever its age; audited"),
        (
            (
                Text(
                    "yunjian footage hold --camera C01 --from 17:30 --to +20m --why 家长投诉",
                    "yunjian footage hold --camera C01 --from 17:30 --to +20m --why complaint",
                ),
                Text("封存 20 分钟，直到解除", "twenty minutes, until it is released"),
            ),
            (
                Text(
                    "yunjian footage hold --from 'yesterday 08:00' --to 'yesterday 12:00' --why 公安调取 --days 365",
                    "yunjian footage hold --from 'yesterday 08:00' --to 'yesterday 12:00' --why police --days 365",
                ),
                Text("全部摄像机，封存一年", "every camera, for a year"),
            ),
        ),
    ),
    "footage holds": Page(
        Text("封存的录像：谁、为什么、到何时", "footage that is held: by whom, why, until when"),
        (
            ("yunjian footage holds", Text("现有的", "those that last")),
            ("yunjian footage holds --all", Text("包括已解除和到期的", "those that are over, too")),
        ),
    ),
    "footage release": Page(
        Text("解除封存，先记入审计", "end a hold, after an audit row"),
        (
            (
                Text("yunjian footage release 3f2a --why 已结案", "yunjian footage release 3f2a --why 'case closed'"),
                Text("编号写前几位即可", "the beginning of its id will do"),
            ),
        ),
    ),
    "footage check": Page(
        Text(
            "核对录像盘与索引：文件、序号、中断、封存是否一致（只读，录像中也可）",
            "check volumes against the index: files, numbers, gaps, holds (read only, also while recording)",
        ),
        (
            ("yunjian footage check", Text("结构、最新的文件和抽样", "the structure, the newest files and a sample")),
            ("yunjian footage check --deep --json", Text("每个文件，给程序用", "every file, for programs")),
        ),
    ),
    "footage reindex": Page(
        Text(
            "只凭录像文件重建整个索引（录像中也可，录像不停）",
            "build the whole index again from the files alone (also while recording, which goes on)",
        ),
        (
            (
                "yunjian footage reindex",
                Text("索引丢了、坏了或不可信时", "when it was lost, broken or cannot be trusted"),
            ),
            ("yunjian footage reindex --json", Text("结果给程序用", "the result for programs")),
        ),
    ),
    "footage verify": Page(
        Text(
            "验证证据链：哪一段被改动、违规删除或调换（只读，录像中也可）",
            "verify the chain of evidence: what was altered, removed or reordered (read only, also while recording)",
        ),
        (
            ("yunjian footage verify", Text("读全部录像，逐段比对", "read all footage and compare")),
            ("yunjian footage verify --quick", Text("不读内容，只核对大小和证据链", "sizes and the chain only")),
            (
                "yunjian footage verify -c C1 --from yesterday --to today",
                Text("一台摄像机的一天", "one day of one camera"),
            ),
            (
                "yunjian footage verify --fingerprint 04821-51234-00017-65001-20480-33011-07772-41999",
                Text(
                    "用安装时抄下的指纹确认真实", "with the fingerprint noted at installation, to know it is authentic"
                ),
            ),
        ),
    ),
    "footage fingerprint": Page(
        Text("这台设备的指纹，抄下来放在机外", "the fingerprint of this device, to be noted down and kept elsewhere"),
        (("yunjian footage fingerprint", Text("40 个数字", "40 digits")),),
    ),
    "footage volumes": Page(
        Text(
            "录像盘一览：在不在、空间、是否加密、存了多少天", "the volumes: there or not, room, encryption, days kept"
        ),
        (
            ("yunjian footage volumes", Text("全部", "all of them")),
            ("yunjian footage volumes --json", Text("给程序用", "for programs")),
        ),
    ),
    "footage volume": Page(
        Text("录像盘", "footage volumes"),
        (("yunjian footage volume create /srv/footage", Text("建立", "make one")),),
    ),
    "footage volume create": Page(
        Text(
            "建立录像盘（代理只往建立过的盘里录像）：一个目录，或一块加密的盘",
            "make a footage volume (nothing is recorded elsewhere): a folder, or an encrypted disk",
        ),
        (
            (
                "yunjian footage volume create /srv/footage --config facility.yaml",
                Text("目录 /srv/footage，不加密", "the folder /srv/footage, not encrypted"),
            ),
            (
                "sudo yunjian footage volume create /srv/footage --luks /dev/sdb --key tpm --install",
                Text("整块盘加密，开机由 TPM 打开", "encrypt a whole disk, opened by the TPM at each start"),
            ),
            (
                "sudo yunjian footage volume create /srv/footage --luks /dev/sdb --key usb:/media/stick/yunjian.key",
                Text(
                    "钥匙在 U 盘上；U 盘与机器分开放，盘被盗也读不了", "the key on a USB stick, kept apart from the box"
                ),
            ),
            (
                "sudo yunjian footage volume create /srv/footage --luks /dev/sdb --key passphrase --erase /dev/sdb",
                Text("口令；盘上原有内容全部清除", "a passphrase; wipes what the disk holds"),
            ),
        ),
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
