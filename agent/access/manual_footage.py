"""PURE. What `yunjian footage ... --help` says, in both languages, with an example of each."""

from typing import Final

from agent.access.manual_page import Page
from agent.facts import Text

FOOTAGE_PAGES: Final = {
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
}
