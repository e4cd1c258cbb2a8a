"""Checking a package from the command line: the same as its page does in a browser."""

from pathlib import Path
from typing import Any, Final

from agent.access.bar import Bar
from agent.access.console import GREEN, RED, YELLOW, Screen
from agent.access.package_words import CHAINS, STANDINGS, VERDICTS
from agent.facts import Text
from agent.fingerprint import DIGITS
from agent.footage.exporting.package_check import WrongPassword, check_package
from agent.footage.exporting.package_verdict import Judgement, NoPackage, Standing, Verdict

OK, WRONG, USAGE = 0, 1, 2

_COLOURS: Final = {Verdict.AUTHENTIC: GREEN, Verdict.CONSISTENT: YELLOW}


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
        screen.problem(Text(f"不是导出包：{error}", f"not a package: {error}"))
        return WRONG
    bar.clear()
    if as_json:
        screen.json(_for_programs(manifest, found))
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
            {"camera": chain.camera, "stream": chain.stream, "standing": chain.standing, "problem": chain.problem}
            for chain in found.chains
        ],
        "problems": list(found.problems),
        "requested": manifest.get("requested"),
        "facility": manifest.get("facility"),
    }


def _for_people(screen: Screen, manifest: dict[str, Any], found: Judgement) -> None:
    facility, asked = manifest.get("facility") or {}, manifest.get("requested") or {}
    screen.line(f"{facility.get('name') or ''} {facility.get('id') or ''}".strip())
    screen.line(f"{asked.get('from')} – {asked.get('to')}")
    names = {(each.get("uuid"), each.get("stream")): each.get("id") for each in manifest.get("cameras") or ()}
    for chain in found.chains:
        name = f"{names.get((chain.camera, chain.stream), chain.camera)}/{chain.stream}"
        words = screen.say(CHAINS[chain.standing])
        screen.line(f"{name}  {words}  {chain.problem}".rstrip(), RED if chain.standing == "broken" else "")
    good = sum(each is Standing.GOOD for each in found.files.values())
    screen.line(screen.t(f"{good} 个文件完好", f"{good} files are good"))
    bad = [(name, each) for name, each in sorted(found.files.items()) if each is not Standing.GOOD]
    screen.table([(screen.say(STANDINGS[each]), name) for name, each in bad], indent=2, colours=[RED] * len(bad))
    for problem in found.problems:
        screen.line(f"  {problem}", RED)
    if found.signature is not None:
        words = (
            screen.t("签名有效", "good signature") if found.signature.good else screen.t("签名无效", "bad signature")
        )
        screen.line(f"{words}  {found.signature.fingerprint}", "" if found.signature.good else RED)
    screen.line(screen.say(VERDICTS[found.verdict]), _COLOURS.get(found.verdict, RED))
