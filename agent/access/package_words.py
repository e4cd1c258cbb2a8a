"""PURE. What a package, and the check of one, say to people."""

from typing import Final

from agent.facts import Text
from agent.footage.exporting.package_verdict import Standing, Verdict

README: Final = """\
云监管 录像导出包 / footage export package
==========================================

C01/main/…mp4      原始录像分段，与录像机上的文件逐字节相同，带时间与编号
joined/…mp4        由原始分段拼接而成，便于观看（派生文件，未重新编码）
proof/…json        证据链：这些分段直到一个已签名检查点的全部环节
manifest.json      清单：时间范围、缺失及原因、每个文件的大小与 SHA-256
signature.json     设备密钥对清单的签名
SHA256SUMS         可用 sha256sum -c SHA256SUMS 核对
verify.html        用浏览器打开，选择本文件夹即可核对（无需联网）

核对真实性需要设备指纹（40 位数字），请向托育机构或其主管部门索取，不要使用随包附带的指纹。
随包的 verify.html 也可能被替换：重要场合请用自己取得的核对程序（yunjian footage verify-package）。

C01/main/…mp4      recorded segments, byte for byte as on the recorder, named by local time and number
joined/…mp4        joined from them to be watched easily (derived, not encoded anew)
proof/…json        chain of evidence: every link from these segments to a signed checkpoint
manifest.json      what this is: ranges, gaps and their reasons, size and SHA-256 of every file
signature.json     the device key's signature of the manifest
SHA256SUMS         check with: sha256sum -c SHA256SUMS
verify.html        open it in a browser and choose this folder; works without a network

To know that it is authentic you need the device's fingerprint (40 digits) from the facility or its authority, not
from whoever brought the package. The verify.html in here may have been replaced as well: where it matters, use a
program that you got yourself (yunjian footage verify-package).
"""

UNSIGNED: Final = Text(
    "没有签名：包是完整的，但不能证明来自本设备", "not signed: the package is whole, but cannot prove where it is from"
)
SPOILT: Final = Text("录制后被改动过", "changed since it was recorded")

NAMES_SHOW: Final = Text(
    "密码保护的是内容；zip 里的文件名（摄像机编号与时间）不加密，任何人都能看到",
    "the password protects what is in the files; their names in the zip (cameras and times) are for everybody to see",
)

VERDICTS: Final = {
    Verdict.AUTHENTIC: Text(
        "真实：内容未被改动，且由该指纹的设备签名", "authentic: unchanged, and signed by the device of this fingerprint"
    ),
    Verdict.CONSISTENT: Text(
        "一致：内容与清单、签名相符；是否真实，需用设备指纹核对（--fingerprint）",
        "consistent: the files fit the manifest and its signature; whether it is authentic, only the device's "
        "fingerprint tells (--fingerprint)",
    ),
    Verdict.INCOMPLETE: Text(
        "没有发现改动，但不是全部都能证明：见上面标出的分段",
        "no change was found, but not all of it is proved: see the segments marked above",
    ),
    Verdict.UNSIGNED: Text(
        "没有签名：文件与清单相符，但任何人都可能做出这样的包",
        "not signed: the files fit the manifest, but anybody could have made it",
    ),
    Verdict.FOREIGN: Text(
        "不真实：签名的设备不是该指纹的设备", "not authentic: signed by another device than that of this fingerprint"
    ),
    Verdict.BROKEN: Text("不一致：包被改动或不完整", "not consistent: the package was changed or is not complete"),
}

STANDINGS: Final = {
    Standing.GOOD: Text("完好", "good"),
    Standing.ALTERED: Text("被改动", "altered"),
    Standing.MISSING: Text("缺失", "missing"),
    Standing.EXTRA: Text("多余", "extra"),
    Standing.NOT_AS_RECORDED: SPOILT,
    Standing.DAMAGED: Text("断电或磁盘损坏，剩余部分已签名", "damaged by a cut or a disk, what is left is signed"),
    Standing.UNVOUCHED: Text("断电或磁盘损坏，没有签名可证", "damaged by a cut or a disk, and not proved"),
    Standing.UNLINKED: Text("不在证据链里，只有导出时的签名", "in no chain of evidence: signed at the export alone"),
}

CHAINS: Final = {
    "proved": Text("证据链连到已签名的检查点", "chained to a signed checkpoint"),
    "doubtful": Text(
        "证据链连到已签名的检查点，但有分段没有签名可证",
        "chained to a signed checkpoint, but for segments that no signature speaks for",
    ),
    "unproved": Text(
        "没有证据链可核对：只有导出时的签名，说明是本设备导出的，不说明是本设备录的；过几分钟重新导出可得证据链",
        "no chain of evidence to check: the signature of the export says that the device handed it out, not that it "
        "recorded it; exported again in some minutes, it may have one",
    ),
    "broken": Text("证据链断裂", "the chain of evidence is broken"),
}

MEANS_DAMAGED: Final = Text(
    "这些分段的末尾在断电或磁盘故障时丢失。能证明的：设备恢复后随即给剩下的部分签了名，此后没有被改动过。不能证明的："
    "丢失的那几秒里录到了什么，也不能证明丢失一定是断电造成的。",
    "These segments lost their end to a power cut or a disk. What is proved: the device signed what was left soon "
    "after, and it was not changed since. What is not: what the lost seconds showed, nor that it was a cut which "
    "took them.",
)
MEANS_UNVOUCHED: Final = Text(
    "这些分段不完整，记载说是断电或磁盘损坏，但没有签名能证明它们就是当时剩下的内容：不能排除被人截短或改动。请连同其后"
    "十分钟一起重新导出，或在录像机上运行 yunjian footage verify。",
    "These segments are not whole. They are said to be damaged by a power cut or a disk, but no signature proves that "
    "this is what was left: that somebody cut or changed them cannot be ruled out. Export them again together with the "
    "ten minutes after them, or run `yunjian footage verify` on the recorder.",
)
MEANS_UNLINKED: Final = Text(
    "这些分段不在证据链里：签名只说明导出时就是这样，不说明是本设备录的。导出时仍在录制的最后一段总是如此，过几分钟重新导出即可。",
    "These segments are in no chain of evidence: that they were so at the export is signed, not that the device "
    "recorded them. It is always so with the last one, that was being recorded still: export it again in some minutes.",
)
MEANS_MOVED: Final = Text(
    "这些分段录制时设备的时钟不准，清单里的时间是后来校正的（labelled_ns 是录制时的标记），依据在录像机的日志里：",
    "The clock was wrong when these segments were recorded; the manifest has the time as it was set right later "
    "(`labelled_ns` is the label of that time); what it rests on stands in the recorder's journal:",
)
MEANS_ABSENT: Final = Text(
    "证据链里有、包里没有的分段（已到期删除或读不出来，见缺失的时间）：",
    "in the chain, but not in the package (deleted since, or not readable: see what is missing):",
)
MEANS_DERIVED: Final = Text(
    "拼接的视频（joined）只为方便观看：核对没有把它与原始分段逐帧比较。作为证据的是原始分段。",
    "Joined video is for easy watching: it was not compared with the recorded segments, and those are the evidence.",
)
