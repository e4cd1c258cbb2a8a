"""What needs a Debian package runs in CI and wherever the package is; elsewhere it is left out, by name."""

import os
import shutil
import signal
from pathlib import Path
from typing import Any

import hypothesis
import pytest


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    kept, left_out = [], []
    for item in items:
        needs = [name for mark in item.iter_markers("needs_debian") for name in mark.args]
        missing = [name for name in needs if not _is_there(name)]
        if item.get_closest_marker("needs_root") is not None and os.geteuid() != 0:
            missing.append("root")
        if missing and not os.environ.get("CI"):
            left_out.append((item, missing))
        else:
            kept.append(item)
    if left_out:
        config.hook.pytest_deselected(items=[item for item, _ in left_out])
        items[:] = kept
    config.stash[_LEFT_OUT] = [f"{item.nodeid} (needs {', '.join(missing)})" for item, missing in left_out]


_HEADERS = {
    "avr-libc": "/usr/lib/avr/include/avr/io.h",
    "libsimavr-dev": "/usr/include/simavr/sim_avr.h",
    "libelf-dev": "/usr/include/libelf.h",
}
"""Packages without a program."""


def _is_there(name: str) -> bool:
    if name in _HEADERS:
        return Path(_HEADERS[name]).exists()
    return shutil.which(name) is not None or shutil.which(f"/usr/sbin/{name}") is not None


_LEFT_OUT: pytest.StashKey[list[str]] = pytest.StashKey()


def pytest_sessionfinish(session: pytest.Session) -> None:
    # A worker tells the one that prints.
    if hasattr(session.config, "workeroutput"):
        session.config.workeroutput["left_out"] = session.config.stash.get(_LEFT_OUT, [])


class Workers:
    """Hears of each worker what it left out; all leave out the same."""

    def __init__(self, config: pytest.Config) -> None:
        self._config = config

    @pytest.hookimpl(optionalhook=True)
    def pytest_testnodedown(self, node: Any) -> None:
        self._config.stash[_LEFT_OUT] = getattr(node, "workeroutput", {}).get("left_out", [])


def pytest_configure(config: pytest.Config) -> None:
    config.pluginmanager.register(Workers(config))
    # CI judges a change: the same examples before and after it. Everywhere else each run looks for new ones.
    hypothesis.settings.register_profile("ci", derandomize=True)
    if os.environ.get("CI"):
        hypothesis.settings.load_profile("ci")
    # A job that a shell put into the background is born deaf to Ctrl-C, and so would be every command under test.
    if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
        signal.signal(signal.SIGINT, signal.default_int_handler)


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter, config: pytest.Config) -> None:
    left_out = config.stash.get(_LEFT_OUT, [])
    if left_out:
        terminalreporter.section("left out: a Debian package is missing; APT=1 make test installs it")
        for line in left_out:
            terminalreporter.line(line)
