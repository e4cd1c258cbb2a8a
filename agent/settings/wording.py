"""From what pydantic found to a sentence for people: what is allowed at that key, and what stood there.

What is allowed is read off the JSON Schema of the models, so a new key has its message without a line here.
"""

import difflib
from functools import cache
from typing import Any, Final

from agent.facts import Text
from agent.settings.mistakes import Place
from agent.settings.models import Settings

_Schema = dict[str, Any]

_SECRET_WORDS: Final = ("pass", "secret", "token", "key", "pwd")


@cache
def schema() -> _Schema:
    """The JSON Schema of a settings file."""
    return Settings.model_json_schema()


def sentence(kind: str, place: Place, given: Any) -> Text:
    """What to say about the pydantic error `kind` at `place`, where `given` stood."""
    if kind == "extra_forbidden":
        return _unknown_key(place)
    allowed = allowed_at(place)
    space = " " if allowed.zh[0].isascii() else ""
    if kind == "missing":
        return Text(f"缺少此项，应为{space}{allowed.zh}", f"is missing, must be {allowed.en}")
    shown = show(given, place)
    hint = _hint(given, place)
    return Text(f"应为{space}{allowed.zh}（{shown}）{hint.zh}", f"must be {allowed.en} (got {shown}){hint.en}")


def show(given: Any, place: Place = ()) -> str:
    """What stood in the file, short, and never a secret."""
    key = str(place[-1]).lower() if place else ""
    if any(word in key for word in _SECRET_WORDS) and not key.endswith("_file"):
        return "***"
    if isinstance(given, dict):
        return "{…}" if given else "{}"
    if isinstance(given, list | tuple):
        return "[…]" if given else "[]"
    if given is None or isinstance(given, bool):
        return {None: "null", True: "true", False: "false"}[given]
    if isinstance(given, int | float):
        return str(given)
    text = without_password(str(given))
    text = text if len(text) <= 60 else text[:57] + "…"
    return "'" + text.replace("\n", "\\n") + "'"


def without_password(text: str) -> str:
    """An address with user and password struck out."""
    scheme, separator, rest = text.partition("://")
    if not separator or "@" not in rest:
        return text
    return f"{scheme}://***@{rest.rpartition('@')[2]}"


def allowed_at(place: Place) -> Text:
    """What is allowed at `place`, as in `1 到 5 的整数` and `an integer from 1 to 5`."""
    node = _node(place)
    return _describe(node) if node is not None else Text("别的值", "something else")


def known_keys(place: Place) -> list[str]:
    """The keys that the section at `place` knows."""
    node = _node(place)
    return list(node.get("properties", {})) if node else []


def nearest_key(place: Place) -> str | None:
    """The known key that the unknown one at `place` was probably meant to be."""
    near = difflib.get_close_matches(str(place[-1]).lower(), known_keys(place[:-1]), 1, 0.6)
    return near[0] if near else None


def _unknown_key(place: Place) -> Text:
    known = known_keys(place[:-1])
    key = str(place[-1])
    if key.lower() in ("password", "passwd", "pwd") and "password_file" in known:
        return Text(
            "不认识的键；密码不写在设置里，请写入单独的文件并用 password_file 指向它",
            "unknown key; a password stands in a file of its own, not in the settings: name it with password_file",
        )
    if (near := nearest_key(place)) is not None:
        return Text(f"不认识的键，是不是 {near}？", f"unknown key, did you mean {near}?")
    names = ", ".join(known)
    return Text(f"不认识的键，这里可用：{names}", f"unknown key, known here: {names}")


def _hint(given: Any, place: Place) -> Text:
    if isinstance(given, str) and "://" in given and "@" in given:
        return Text(
            "；地址里不写用户名和密码，请用 username 与 password_file",
            "; user and password do not stand in an address: use username and password_file",
        )
    if isinstance(given, int | float) and (_node(place) or {}).get("type") == "string":
        return Text("；请加引号", "; put it in quotes")
    return Text("", "")


def _node(place: Place) -> _Schema | None:
    node: _Schema | None = _resolve(schema())
    for part in place:
        if node is None:
            return None
        below = node.get("items") if isinstance(part, int) else node.get("properties", {}).get(part)
        if below is None and isinstance(part, str):
            below = node.get("additionalProperties")  # a section whose keys are the user's own
        node = _resolve(below) if isinstance(below, dict) else None
    return node


def _resolve(node: _Schema) -> _Schema:
    """Follow a reference, and take the one real choice beside null."""
    while True:
        choices = [each for each in node.get("anyOf", ()) if each.get("type") != "null"]
        if "$ref" in node:
            node = schema()["$defs"][node["$ref"].rpartition("/")[2]]
        elif len(choices) == 1:
            node = choices[0]
        else:
            return node


def _describe(node: _Schema) -> Text:
    if "x-allowed-zh" in node:
        return Text(node["x-allowed-zh"], node["x-allowed-en"])
    if "enum" in node:
        words = [str(word) for word in node["enum"]]
        return Text(" 或 ".join(words), " or ".join(words))
    match node.get("type"):
        case "integer" | "number" as kind:
            return _number(node, whole=kind == "integer")
        case "boolean":
            return Text("true 或 false", "true or false")
        case "array":
            least = node.get("minItems", 0)
            return Text(f"至少 {least} 项的列表", f"a list of at least {least}") if least else Text("列表", "a list")
        case "object":
            return Text("一组 键: 值", "a section of key: value")
        case _:
            longest = node.get("maxLength")
            if node.get("format") == "path":
                return Text("文件路径", "a path")
            if longest:
                return Text(f"1 到 {longest} 个字的文字", f"text of 1 to {longest} characters")
            return Text("文字", "text")


def _number(node: _Schema, whole: bool) -> Text:
    noun_zh, noun_en = ("整数", "an integer") if whole else ("数", "a number")
    low, above = node.get("minimum"), node.get("exclusiveMinimum")
    high = node.get("maximum")
    if low is not None and high is not None:
        return Text(f"{low} 到 {high} 的{noun_zh}", f"{noun_en} from {low} to {high}")
    if above is not None and high is not None:
        return Text(f"大于 {above}、不超过 {high} 的{noun_zh}", f"{noun_en} above {above}, at most {high}")
    return Text(noun_zh, noun_en)
