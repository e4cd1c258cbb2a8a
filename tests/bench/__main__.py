"""`make bench`: run the benchmarks and print one table.

A row is `name value unit target ok|short`; bench.json holds the same. A missed target is shown, and fails nothing.
"""

import argparse
import importlib
import json
import os
import platform
import sys
import time
from collections.abc import Callable, Iterable
from dataclasses import asdict
from pathlib import Path

from tests.bench.row import Row

BENCHES = (
    "cli",
    "start",
    "vision",
    "recorder",
    "streams",
    "index",
    "reindex",
    "kills",
    "button",
    "panel",
    "export",
    "verify",
    "powercut",
)
"""The modules beside this one, each with `rows()`."""

RESULT = Path(__file__).parent.parent.parent / "bench.json"


def line(row: Row) -> str:
    """One row as text, in columns."""
    verdict = "" if row.ok is None else "ok" if row.ok else "short"
    target = "" if row.target is None else f"{row.target:g}"
    return f"{row.name:<44} {row.value:>12.3f} {row.unit:<8} {target:>8} {verdict:<6} {row.note}".rstrip()


def main() -> int:
    """Run the chosen benchmarks; 0 unless one could not run."""
    parser = argparse.ArgumentParser(prog="make bench")
    parser.add_argument("--only", choices=BENCHES)
    only = parser.parse_args().only
    print(f"# {platform.machine()}, {os.cpu_count()} processors, Python {platform.python_version()}")
    print(f"{'name':<44} {'value':>12} {'unit':<8} {'target':>8}")
    results: dict[str, list[dict[str, object]]] = {}
    for name in BENCHES if only is None else (only,):
        rows: Callable[[], Iterable[Row]] = importlib.import_module(f"tests.bench.{name}").rows
        results[name] = []
        for row in rows():
            print(line(row), flush=True)
            results[name].append(asdict(row))
    kept = json.loads(RESULT.read_text()) if only and RESULT.exists() else {}
    RESULT.write_text(json.dumps({**kept, **results, "finished": int(time.time())}, indent=1, ensure_ascii=False))
    return 0


if __name__ == "__main__":
    sys.exit(main())
