"""`yunjian status`: from the command to its last line, interpreter included, with four sockets that answer."""

import multiprocessing
import os
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import ExitStack

from tests.bench.row import Row
from tests.fakes.processes import STATUSES, Sockets, sockets

RUNS = 30
TARGET_S = 0.3
"""Issue "First light": `yunjian status` answers in less."""


def rows() -> Iterator[Row]:
    """The figures of this bench: on this machine as it is, and with every core taken."""
    with sockets(*STATUSES) as agent:
        yield from _measured(agent, "idle", "four sockets answer, nothing else runs")
        with ExitStack() as load:
            for _ in range(os.cpu_count() or 1):
                burner = multiprocessing.get_context("spawn").Process(target=_burn, daemon=True)
                burner.start()
                load.callback(burner.kill)
            yield from _measured(agent, "loaded", f"{os.cpu_count()} cores taken by other work")


def _burn() -> None:
    while True:
        pass


def _measured(agent: Sockets, name: str, note: str) -> Iterator[Row]:
    command = [sys.executable, "-m", "agent", "--runtime", str(agent.runtime), "status"]
    subprocess.run(command, stdout=subprocess.DEVNULL, check=False)  # byte code and disk cache
    took = []
    for _ in range(RUNS):
        began = time.perf_counter()
        subprocess.run(command, stdout=subprocess.DEVNULL, check=False)
        took.append(time.perf_counter() - began)
    took.sort()
    median, worst = took[len(took) // 2], took[-1]
    yield Row(f"cli.status.{name}.median", round(median, 3), "s", TARGET_S, median < TARGET_S, f"{note}; {RUNS} runs")
    yield Row(f"cli.status.{name}.max", round(worst, 3), "s", TARGET_S, worst < TARGET_S, note)


if __name__ == "__main__":
    for row in rows():
        print(row)
