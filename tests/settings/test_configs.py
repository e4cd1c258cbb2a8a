"""The files in configs/ are right, complete and current."""

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from agent.settings.load import examine_bytes, load
from agent.settings.report import schema_text
from agent.settings.wording import schema
from agent.settings.yaml_tree import read_tree

CONFIGS = Path(__file__).parents[2] / "configs"
EXAMPLE = CONFIGS / "facility.example.yaml"
SECRETS = ("camera", "police", "ca.pem", "client.pem", "client.key")
_BEHIND_A_HASH = re.compile(r"^( *)# ( *\w+:( .*)?)$", re.MULTILINE)


def with_everything() -> str:
    """The example with the keys that may be left out put in."""
    return _BEHIND_A_HASH.sub(r"\1\2", EXAMPLE.read_text(encoding="utf-8"))


@pytest.mark.parametrize("file", sorted(CONFIGS.glob("*.yaml")), ids=lambda file: file.name)
def test_each_file_in_configs_loads(file: Path) -> None:
    load(file)


def test_the_example_with_every_key_loads(tmp_path: Path) -> None:
    (tmp_path / "secrets").mkdir()
    for name in SECRETS:
        (tmp_path / "secrets" / name).write_text("secret\n")
        (tmp_path / "secrets" / name).chmod(0o600)
    findings = examine_bytes(with_everything().encode(), tmp_path / "facility.yaml")
    assert [mistake.in_language("facility.yaml", "en") for mistake in findings.mistakes] == []
    assert findings.settings is not None
    assert findings.settings.cameras[0].password_file == tmp_path / "secrets" / "camera"


def keys_of(node: dict[str, Any]) -> Iterator[tuple[str, ...]]:
    """Every key path of a JSON Schema; list places are left out."""
    definitions: dict[str, Any] = schema()["$defs"]
    if "$ref" in node:
        yield from keys_of(definitions[node["$ref"].rpartition("/")[2]])
    for choice in node.get("anyOf", ()):
        yield from keys_of(choice)
    if isinstance(node.get("items"), dict):
        yield from keys_of(node["items"])
    for key, below in node.get("properties", {}).items():
        yield (key,)
        yield from ((key, *rest) for rest in keys_of(below))


def test_every_key_of_the_models_stands_in_the_example() -> None:
    tree, mistakes = read_tree(with_everything().encode())
    assert mistakes == []
    assert tree is not None
    documented = {tuple(part for part in place if isinstance(part, str)) for place in tree.keys}
    assert sorted(set(keys_of(schema())) - documented) == []


def test_every_key_of_the_example_has_a_comment_in_both_languages() -> None:
    seen: set[str] = set()
    for line in with_everything().splitlines():
        key = re.match(r" *(?:- )?(\w+):", line)
        if key is None or (key[1] in seen and "#" not in line):
            continue
        seen.add(key[1])
        comment = line.partition(" # ")[2]
        assert re.search(r"[\u4e00-\u9fff].* \| \w", comment), f"no comment in both languages: {line}"


def test_the_defaults_of_the_models_are_those_that_the_example_shows() -> None:
    shown = load(EXAMPLE)
    for section in ("footage", "vision", "web"):
        assert getattr(shown, section) == type(getattr(shown, section))()


def test_the_schema_for_editors_is_current() -> None:
    told = "run `yunjian config schema > configs/facility.schema.json`"
    assert (CONFIGS / "facility.schema.json").read_text(encoding="utf-8") == schema_text(), told
