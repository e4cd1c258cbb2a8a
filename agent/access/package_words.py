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

VERDICTS: Final = {
    Verdict.AUTHENTIC: Text(
        "真实：内容未被改动，且由该指纹的设备签名", "authentic: unchanged, and signed by the device of this fingerprint"
    ),
    Verdict.CONSISTENT: Text(
        "一致：内容与清单、签名相符；是否真实，需用设备指纹核对（--fingerprint）",
        "consistent: the files fit the manifest and its signature; whether it is authentic, only the device's "
        "fingerprint tells (--fingerprint)",
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
}

CHAINS: Final = {
    "proved": Text("证据链连到已签名的检查点", "chained to a signed checkpoint"),
    "unproved": Text(
        "没有证据链可核对（导出时仍在录制的分段，由清单的签名证明）",
        "no chain of evidence to check (a segment still being recorded at the export is signed by the manifest alone)",
    ),
    "broken": Text("证据链断裂", "the chain of evidence is broken"),
}
