"""How the machine is asked to shut down before its battery is empty.

The alarm process has no rights to do it. It leaves a file in the runtime directory; `yunjian-poweroff.path` of an
installation watches for it, and its service, which is root, does nothing but shut down. Another command can be set.
"""

import logging
import subprocess
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Final

log = logging.getLogger(__name__)

ASKED: Final = "poweroff"
"""The file in the runtime directory."""


def shut_down_of(runtime: Path, command: Sequence[str]) -> Callable[[], None]:
    """What asks for it: `command` when there is one, else the file. Never waits, and fails with a line in the log."""
    running: list[subprocess.Popen[bytes]] = []

    def by_file() -> None:
        try:
            (runtime / ASKED).write_text("the battery is low\n", encoding="ascii")
        except OSError as error:
            log.error("the machine cannot be asked to shut down: %s", error)  # noqa: TRY400  # no place in the code is meant

    def by_command() -> None:
        running[:] = [each for each in running if each.poll() is None]
        if running:
            return
        try:
            running.append(subprocess.Popen(list(command), stdin=subprocess.DEVNULL, start_new_session=True))
        except OSError as error:
            log.error("%s: %s", command[0], error)  # noqa: TRY400  # no place in the code is meant

    return by_command if command else by_file
