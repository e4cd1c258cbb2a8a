"""YAML to plain values that remember where they stood.

Only what a settings file needs is understood: mappings, lists, text, numbers, true, false and null, in one
document. Anchors, aliases and tags are refused, so that a small file cannot grow, and so is a key that stands
twice. The tree is built from the parser's events without recursion.

Invariants
1. Any bytes give a `Tree` or a list of mistakes, never another exception.
2. `positions` has an entry for every path of `values`, and for every key.
"""

import math
import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any, Final

from ruamel.yaml import YAML
from ruamel.yaml.error import MarkedYAMLError, YAMLError
from ruamel.yaml.events import (
    AliasEvent,
    DocumentStartEvent,
    MappingEndEvent,
    MappingStartEvent,
    ScalarEvent,
    SequenceEndEvent,
    SequenceStartEvent,
)
from ruamel.yaml.reader import ReaderError

from agent.facts import Text
from agent.settings.mistakes import Mistake, Place

MAX_FILE_BYTES: Final = 256 * 1024
"""A facility of a hundred cameras needs about 30 kB."""

MAX_DEPTH: Final = 16
"""The settings are five levels deep."""


@dataclass(slots=True)
class Tree:
    """The values of a file; `positions` gives (line, column) of a value, `keys` that of the key before it."""

    values: Any
    positions: dict[Place, tuple[int, int]] = field(default_factory=dict)
    keys: dict[Place, tuple[int, int]] = field(default_factory=dict)

    def position(self, path: Place) -> tuple[int, int]:
        """Where `path` stands, or the nearest thing around it that stands in the file."""
        for length in range(len(path), -1, -1):
            place = self.positions.get(path[:length])
            if place is not None:
                return place
        return (1, 1)


def dotted(path: Place) -> str:
    """`cameras[1].main`."""
    text = ""
    for part in path:
        text += f"[{part}]" if isinstance(part, int) else f".{part}" if text else part
    return text


def read_tree(data: bytes) -> tuple[Tree | None, list[Mistake]]:
    """The tree of one file, or None with the mistakes that keep it from being read."""
    if len(data) > MAX_FILE_BYTES:
        kib = MAX_FILE_BYTES // 1024
        return None, [_whole(f"文件超过 {kib} KiB，不像设置文件", f"longer than {kib} KiB, this is no settings file")]
    if data[:2] in (b"\xff\xfe", b"\xfe\xff") or b"\0" in data[:64]:
        return None, [
            _whole("应为 UTF-8 编码（像是 UTF-16 或二进制文件）", "must be UTF-8 (looks like UTF-16 or binary)")
        ]
    try:
        text = data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = data.count(b"\n", 0, error.start) + 1
        column = len(data[data.rfind(b"\n", 0, error.start) + 1 : error.start].decode("utf-8", "replace")) + 1
        what = Text(
            f"应为 UTF-8 编码，第 {error.start} 字节不是（GBK 文件请先转换）",
            f"must be UTF-8, byte {error.start} is not (convert a GBK file first)",
        )
        return None, [Mistake(line, column, "", what)]
    builder = _Builder()
    try:
        for event in YAML(typ="rt", pure=True).parse(text):
            builder.take(event)
    except _TooDeep as stop:
        return None, [*builder.mistakes, stop.mistake]
    except ReaderError as error:
        line = text.count("\n", 0, error.position) + 1
        column = error.position - (text.rfind("\n", 0, error.position) + 1) + 1
        what = Text(f"不允许的控制字符 U+{error.character:04X}", f"control character U+{error.character:04X}")
        return None, [*builder.mistakes, Mistake(line, column, "", what)]
    except (YAMLError, ValueError, LookupError, AttributeError, AssertionError, NotImplementedError) as error:
        # The parser lets some of its own slips out on broken input; each of them means "no YAML".
        return None, [*builder.mistakes, _syntax(error)]
    if builder.root is _NOTHING or builder.root is None:
        return None, [*builder.mistakes, _whole("文件是空的", "the file is empty")]
    if not isinstance(builder.root, dict):
        return None, [*builder.mistakes, _whole("最外层应为 键: 值", "the top level must be key: value")]
    return Tree(builder.root, builder.positions, builder.keys), builder.mistakes


def _whole(zh: str, en: str) -> Mistake:
    return Mistake(0, 0, "", Text(zh, en))


_PROBLEMS: Final = (
    (re.compile(r"character '\\t'"), "缩进不能用制表符（Tab），请用空格"),
    (re.compile(r"expected <block end>"), "缩进与上文不一致"),
    (re.compile(r"mapping values are not allowed"), "这里不能出现冒号（缺引号，或缩进不对）"),
    (re.compile(r"could not find expected ':'"), "键后面缺冒号"),
    (re.compile(r"expected ',' or '[\]}]'"), "括号没有闭合，或缺逗号"),
    (re.compile(r"unexpected end of stream"), "引号没有闭合"),
    (re.compile(r"undefined alias|found undefined"), "不支持锚点与别名（& 与 *）"),
    (re.compile(r"expected the node content"), "缩进或符号不对，这里应有内容"),
    (re.compile(r"cannot start any token"), "这个字符不能放在开头，请加引号"),
)


def _syntax(error: Exception) -> Mistake:
    problem, line, column = str(error) or type(error).__name__, 0, 0
    if isinstance(error, MarkedYAMLError):
        problem = str(error.problem or error.context or "")
        mark = error.problem_mark or error.context_mark
        if mark is not None:
            line, column = mark.line + 1, mark.column + 1
    problem = " ".join(problem.split())[:160]
    zh = next((zh for pattern, zh in _PROBLEMS if pattern.search(problem)), problem)
    return Mistake(line, column, "", Text(f"YAML 写法有误：{zh}", f"no valid YAML: {problem}"))


_NOTHING: Final = object()
_LEFT_OUT: Final = "\0"
"""Stands for a key whose value is read and left out; no key can be called so."""
_INT: Final = re.compile(r"[-+]?[0-9]{1,18}$")
_FLOAT: Final = re.compile(r"[-+]?(\.[0-9]{1,30}|[0-9]{1,30}(\.[0-9]{0,30})?)([eE][-+]?[0-9]{1,3})?$")
_WORDS: Final[dict[str, Any]] = {"": None, "~": None, "null": None, "Null": None, "NULL": None}
_WORDS.update(dict.fromkeys(("true", "True", "TRUE"), True) | dict.fromkeys(("false", "False", "FALSE"), False))


def _plain(text: str) -> Any:
    """What an unquoted scalar means in YAML 1.2; a number too long for any setting stays text."""
    if text in _WORDS:
        return _WORDS[text]
    if _INT.match(text):
        return int(text)
    if _FLOAT.match(text) and math.isfinite(float(text)):
        return float(text)
    return text


class _TooDeep(Exception):
    def __init__(self, mistake: Mistake) -> None:
        super().__init__(mistake.text.en)
        self.mistake = mistake


@dataclass(slots=True)
class _Open:
    """A mapping or list that is still being read. `key` is the key whose value comes next."""

    values: dict[str, Any] | list[Any]
    path: Place
    key: Any = _NOTHING


class _Builder:
    def __init__(self) -> None:
        self.root: Any = _NOTHING
        self.positions: dict[Place, tuple[int, int]] = {}
        self.keys: dict[Place, tuple[int, int]] = {}
        self.mistakes: list[Mistake] = []
        self._open: list[_Open] = []
        self._documents = 0

    def take(self, event: Any) -> None:
        place = (event.start_mark.line + 1, event.start_mark.column + 1)
        if isinstance(event, DocumentStartEvent):
            self._documents += 1
            if self._documents == 2:
                self._wrong(place, "", "只能有一份文档（多余的 ---）", "only one document is allowed (a second ---)")
        elif isinstance(event, MappingEndEvent | SequenceEndEvent):
            self._open.pop()
        elif isinstance(event, AliasEvent):
            self._wrong(place, "", "不支持锚点与别名（& 与 *）", "anchors and aliases (& and *) are not supported")
            self._put("", place, open_as=None)
        elif isinstance(event, ScalarEvent | MappingStartEvent | SequenceStartEvent):
            self._node(event, place)

    def _node(self, event: Any, place: tuple[int, int]) -> None:
        if event.anchor is not None:
            self._wrong(place, "", "不支持锚点与别名（& 与 *）", "anchors and aliases (& and *) are not supported")
        if event.tag is not None:
            self._wrong(place, "", "不支持标签（!）", "tags (!) are not supported")
        if isinstance(event, ScalarEvent):
            value = _plain(event.value) if event.style is None else event.value
            for bad in _not_plain(event.value):
                self._wrong(place, "", f"不允许的控制字符 U+{bad:04X}", f"control character U+{bad:04X}")
                value = ""
                break
            self._put(value, place, open_as=None)
            return
        if len(self._open) >= MAX_DEPTH:
            text = Text(f"嵌套超过 {MAX_DEPTH} 层", f"nested deeper than {MAX_DEPTH} levels")
            raise _TooDeep(Mistake(*place, "", text))
        values: dict[str, Any] | list[Any] = {} if isinstance(event, MappingStartEvent) else []
        self._put(values, place, open_as=values)

    def _put(self, value: Any, place: tuple[int, int], open_as: dict[str, Any] | list[Any] | None) -> None:
        path: Place = ()
        if not self._open:
            if self._documents == 1:
                self.root = value
                self.positions[()] = place
        else:
            parent = self._open[-1]
            if isinstance(parent.values, dict) and parent.key is _NOTHING:
                self._key(parent, value, place)
                path = (*parent.path, str(parent.key))
                if open_as is not None:
                    self._open.append(_Open(open_as, path))
                return
            if isinstance(parent.values, dict):
                path = (*parent.path, parent.key)
                if parent.key is not _LEFT_OUT:
                    parent.values[parent.key] = value
                parent.key = _NOTHING
            else:
                path = (*parent.path, len(parent.values))
                parent.values.append(value)
            if self._documents == 1:
                self.positions[path] = place
        if open_as is not None:
            self._open.append(_Open(open_as, path))

    def _key(self, parent: _Open, value: Any, place: tuple[int, int]) -> None:
        assert isinstance(parent.values, dict)
        if isinstance(value, dict | list):
            self._wrong(place, "", "键应为文字", "a key must be text")
        key = value if isinstance(value, str) else str(value) if not isinstance(value, dict | list) else "?"
        path = (*parent.path, key)
        if key in parent.values:
            first = self.keys.get(path, (0, 0))
            self._wrong(
                place, dotted(path), f"重复的键（第 {first[0]} 行已有）", f"stands twice (first on line {first[0]})"
            )
            parent.key = _LEFT_OUT
        else:
            self.keys[path] = place
            parent.key = key

    def _wrong(self, place: tuple[int, int], key: str, zh: str, en: str) -> None:
        self.mistakes.append(Mistake(*place, key, Text(zh, en)))


def _not_plain(text: str) -> Iterator[int]:
    """Characters that no name, path or address may hold: control characters and halves of surrogate pairs."""
    for character in text:
        code = ord(character)
        if (code < 32 and character not in "\n\t") or code == 127 or 0x80 <= code < 0xA0 or 0xD800 <= code < 0xE000:
            yield code
