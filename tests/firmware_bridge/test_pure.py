"""Modules that call themselves PURE import nothing that waits, sleeps, reads or writes, not even indirectly."""

import ast
from pathlib import Path

import firmware_bridge

FOLDER = Path(firmware_bridge.__file__).parent
ALLOWED = {"binascii", "collections", "collections.abc", "dataclasses", "enum", "struct", "typing"}


def test_pure_modules_import_pure_things_only() -> None:
    pure = {path.stem for path in FOLDER.glob("*.py") if path.read_text(encoding="utf-8").startswith('"""PURE.')}
    assert {"frame", "messages", "link", "board", "ring", "eeprom", "debounce", "numbered", "board_time"} <= pure
    for name in sorted(pure):
        for node in ast.walk(ast.parse((FOLDER / f"{name}.py").read_text(encoding="utf-8"))):
            for imported in _imports(node):
                own = imported.removeprefix("firmware_bridge.")
                assert imported in ALLOWED or own in pure, f"{name} imports {imported}"


def _imports(node: ast.AST) -> list[str]:
    if isinstance(node, ast.Import):
        return [alias.name for alias in node.names]
    if isinstance(node, ast.ImportFrom):
        assert node.module is not None
        if node.module == "firmware_bridge":
            return [f"firmware_bridge.{alias.name}" for alias in node.names]
        return [node.module]
    return []
