"""Checking a package from the command line: the same as its page does in a browser."""

import json
from pathlib import Path
from typing import Any, Final

from agent.access.bar import Bar
from agent.access.console import GREEN, RED, YELLOW, Screen, clean
from agent.access.package_words import (
    CHAINS,
    MEANS_ABSENT,
    MEANS_DAMAGED,
    MEANS_DERIVED,
    MEANS_MOVED,
    MEANS_UNLINKED,
    MEANS_UNVOUCHED,
    STANDINGS,
    VERDICTS,
)
from agent.facts import Text
from agent.fingerprint import DIGITS
from agent.footage.exporting.package_check import WrongPassword, check_package
from agent.footage.exporting.package_proof import Chain
from agent.footage.exporting.package_verdict import DOUBTFUL, FINE, Judgement, NoPackage, Standing, Verdict

OK, WRONG, USAGE = 0, 1, 2

_COLOURS: Final = {Verdict.AUTHENTIC: GREEN, Verdict.CONSISTENT: YELLOW, Verdict.INCOMPLETE: YELLOW}
_CHAIN_COLOURS: Final = {"broken": RED, "doubtful": YELLOW, "unproved": YELLOW}

_MOST_NUMBERS: Final = 20
"""Of segments, in one line."""


def verify_package(screen: Screen, path: Path, typed: str | None, password: bytes | None, as_json: bool) -> int:
    """Check a package and say what it is; 1 unless it is authentic or, without a fingerprint, consistent."""
    if typed is not None and sum(each.isdigit() for each in typed) != DIGITS:
        screen.problem(Text(f"指纹应为 {DIGITS} 位数字", f"a fingerprint has {DIGITS} digits"))
        return USAGE
    if not path.exists():
        screen.problem(Text(f"没有这个文件：{path}", f"no such file: {path}"))
        return USAGE
    bar = Bar(screen)
    try:
        manifest, found = check_package(path, typed, password, bar)
    except WrongPassword:
        bar.clear()
        screen.problem(Text("密码不对，或没有给出", "the password is wrong, or none was given"))
        return WRONG
    except (NoPackage, OSError) as error:
        bar.clear()
        why = clean(error)
        screen.problem(Text(f"不是导出包：{why}", f"not a package: {why}"))
        return WRONG
    bar.clear()
    if as_json:
        told = json.dumps(_for_programs(manifest, found), ensure_ascii=False).encode(errors="replace")
        screen.json(json.loads(told))  # half a character of a hostile manifest cannot be written
    else:
        _for_people(screen, manifest, found)
    return OK if found.verdict in (Verdict.AUTHENTIC, Verdict.CONSISTENT) else WRONG


def _for_programs(manifest: dict[str, Any], found: Judgement) -> dict[str, Any]:
    return {
        "verdict": found.verdict.value,
        "fingerprint": found.signature.fingerprint if found.signature else None,
        "signature": None if found.signature is None else found.signature.good,
        "files": {name: standing.value for name, standing in found.files.items()},
        "chains": [
            {
                "camera": chain.camera,
                "stream": chain.stream,
                "standing": chain.standing,
                "problem": chain.problem,
                "damaged": list(chain.damaged),
                "unvouched": list(chain.unvouched),
                "moved": list(chain.moved),
                "absent": list(chain.absent),
            }
            for chain in found.chains
        ],
        "problems": list(found.problems),
        "requested": manifest.get("requested"),
        "facility": manifest.get("facility"),
    }  # fmt: skip


def _for_people(screen: Screen, manifest: dict[str, Any], found: Judgement) -> None:
    """All that is told comes from a package that anybody may have made: no control character of it is written."""
    facility, asked = manifest.get("facility") or {}, manifest.get("requested") or {}
    screen.line(clean(f"{facility.get('name') or ''} {facility.get('id') or ''}").strip())
    screen.line(clean(f"{asked.get('from')} – {asked.get('to')}"))
    names = {(each["uuid"], each["stream"]): each["id"] for each in manifest["cameras"]}
    for chain in found.chains:
        _chain(screen, f"{names.get((chain.camera, chain.stream), chain.camera)}/{chain.stream}", chain)
    good = sum(each is Standing.GOOD for each in found.files.values())
    screen.line(screen.t(f"{good} 个文件完好", f"{good} files are good"))
    rest = [(name, each) for name, each in sorted(found.files.items()) if each is not Standing.GOOD]
    colours = [YELLOW if each in FINE | DOUBTFUL else RED for _, each in rest]
    screen.table([(screen.say(STANDINGS[each]), name) for name, each in rest], indent=2, colours=colours)
    told = set(found.files.values())
    for standing, means in (
        (Standing.DAMAGED, MEANS_DAMAGED), (Standing.UNVOUCHED, MEANS_UNVOUCHED), (Standing.UNLINKED, MEANS_UNLINKED),
    ):  # fmt: skip
        if standing in told:
            screen.line(screen.say(means), YELLOW)
    if any(each["kind"] == "derived" for each in manifest["files"]):
        screen.line(screen.say(MEANS_DERIVED))
    for problem in found.problems:
        screen.line(f"  {clean(problem)}", RED)
    if found.signature is not None:
        words = (
            screen.t("签名有效", "good signature") if found.signature.good else screen.t("签名无效", "bad signature")
        )
        screen.line(f"{words}  {found.signature.fingerprint}", "" if found.signature.good else RED)
    screen.line(screen.say(VERDICTS[found.verdict]), _COLOURS.get(found.verdict, RED))


def _chain(screen: Screen, name: str, chain: Chain) -> None:
    """One film: its chain, and what is to be known of its segments."""
    words = screen.say(CHAINS[chain.standing])
    screen.line(clean(f"{name}  {words}  {chain.problem}").rstrip(), _CHAIN_COLOURS.get(chain.standing, ""))
    for seqs, means in ((chain.moved, MEANS_MOVED), (chain.absent, MEANS_ABSENT)):
        if seqs:
            more = " …" if len(seqs) > _MOST_NUMBERS else ""
            numbers = ", ".join(f"#{seq}" for seq in seqs[:_MOST_NUMBERS])
            screen.line(f"  {screen.say(means)} {numbers}{more}", YELLOW)
