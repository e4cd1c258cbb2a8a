"""From a file to `Settings`, or to every mistake in it at once.

Invariants
1. Whatever the file holds, the answer is `Settings` or `SettingsError`: no other exception leaves here.
2. No message holds a password, nor the rest of an address that holds one.
"""

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from agent.facts import Text
from agent.settings.checks import check
from agent.settings.mistakes import Mistake, Place, SettingsError
from agent.settings.models import Settings
from agent.settings.wording import nearest_key, sentence
from agent.settings.yaml_tree import MAX_FILE_BYTES, Tree, dotted, read_tree

__all__ = ["Findings", "Mistake", "SettingsError", "examine", "load"]


@dataclass(frozen=True, slots=True)
class Findings:
    """What was found in one file.

    `settings` is None when the text is wrong. A password or certificate file that is missing is a mistake too, but
    stops no start: `settings` is there, the device concerned reports its fault, and the buttons work.
    """

    file: Path
    settings: Settings | None
    mistakes: list[Mistake]
    warnings: list[Mistake]


def load(path: Path) -> Settings:
    """The settings in the file at `path`; relative paths in it start at its folder.

    Raises SettingsError with every mistake, each with line, column, key and what is allowed.
    """
    findings = examine(path)
    if findings.settings is None:
        raise SettingsError(findings.mistakes, path)
    return findings.settings


def examine(path: Path) -> Findings:
    """Read and check the file at `path`, and tell the warnings too. Never raises."""
    try:
        with path.open("rb") as file:
            data = file.read(MAX_FILE_BYTES + 1)
    except (OSError, ValueError) as error:
        text = _unreadable(error)
        return Findings(path, None, [Mistake(0, 0, "", text)], [])
    return examine_bytes(data, path)


def _unreadable(error: OSError | ValueError) -> Text:
    if isinstance(error, FileNotFoundError):
        return Text("没有这个设置文件", "there is no such settings file")
    if isinstance(error, IsADirectoryError):
        return Text("这是目录，不是设置文件", "this is a folder, not a settings file")
    if isinstance(error, PermissionError):
        return Text("无权读取设置文件", "not allowed to read the settings file")
    reason = error.strerror if isinstance(error, OSError) and error.strerror else str(error)
    return Text(f"读不了设置文件：{reason}", f"cannot read the settings file: {reason}")


def examine_bytes(data: bytes, path: Path) -> Findings:
    """Check `data` as though it stood in the file at `path`."""
    tree, mistakes = read_tree(data)
    if tree is None:
        return Findings(path, None, sorted(mistakes), [])
    folder = path.absolute().parent
    values = _without_nulls(tree.values)
    settings, wrong = _validate(tree, values, folder)
    mistakes += wrong
    checked = check(values, folder)
    mistakes += [_placed(tree, place, text) for place, text in checked.mistakes]
    missing = [_placed(tree, place, text) for place, text in checked.missing]
    told = [_placed(tree, place, text) for place, text in checked.warnings]
    return Findings(path, None if mistakes else settings, sorted({*mistakes, *missing}), sorted(set(told)))


def _validate(tree: Tree, values: Any, folder: Path) -> tuple[Settings | None, list[Mistake]]:
    text = json.dumps(values)
    try:
        return Settings.model_validate_json(text, strict=True, context={"folder": folder}), []
    except ValidationError as error:
        found = error.errors(include_url=False, include_context=False)
        slips = {_meant(each["loc"]) for each in found if each["type"] == "extra_forbidden"}
        # A key that is misspelt is told once, not also as missing.
        # A list whose items are wrong is told item by item, not also as a list too short.
        items = {each["loc"][:-1] for each in found}
        told = [
            each
            for each in found
            if not (each["type"] == "missing" and each["loc"] in slips)
            and not (each["type"] == "too_short" and each["loc"] in items)
        ]
        return None, [_mistake(tree, each["type"], each["loc"], each.get("input")) for each in told]


def _meant(place: Place) -> Place:
    return (*place[:-1], nearest_key(place) or "")


def _without_nulls(values: Any) -> Any:
    """A key with nothing after it means the same as no key, so that its lines may be commented out."""
    if isinstance(values, dict):
        return {key: _without_nulls(value) for key, value in values.items() if value is not None}
    if isinstance(values, list):
        return [_without_nulls(value) for value in values]
    return values


def _mistake(tree: Tree, kind: str, place: Place, given: object) -> Mistake:
    return _placed(tree, place, sentence(kind, place, given), on_key=kind in ("extra_forbidden", "missing"))


def _placed(tree: Tree, place: Place, text: Text, on_key: bool = False) -> Mistake:
    line, column = tree.keys[place] if on_key and place in tree.keys else tree.position(place)
    return Mistake(line, column, dotted(place), text)
