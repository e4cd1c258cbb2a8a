"""The record process with syncing off, for a rig to show that it would notice: `python -m tests.faults.rigs.careless`.

Every fsync, fdatasync and sync_file_range of the process does nothing, and SQLite is told not to sync: what comes to
the disk comes when the kernel likes.
"""

import os
import sqlite3
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace
from typing import Any

from tests.fakes.recording import Recording
from tests.fakes.waiting import until


class CarelessConnection(sqlite3.Connection):
    """Takes FULL for OFF."""

    def execute(self, sql: str, parameters: Any = (), /) -> sqlite3.Cursor:
        """As the real one, but for the one pragma."""
        return super().execute(sql.replace("synchronous = FULL", "synchronous = OFF"), parameters)


class CarelessRecording(Recording):
    """Starts this process instead of the real one."""

    def start(self) -> None:
        with self.log.open("ab") as log:
            command = [sys.executable, "-m", __name__, str(self.settings)]
            self._process = subprocess.Popen(command, stdout=log, stderr=log)
        until(self._answers, 15, "the record process answers")


def main(settings: Path) -> int:
    """Record without syncing until told to stop."""

    def nothing(fd: Any) -> None:
        pass

    os.fsync = os.fdatasync = nothing
    connect = sqlite3.connect
    sqlite3.connect = lambda *args, **more: connect(*args, **{"factory": CarelessConnection, **more})
    from agent.footage.recording import writeback
    from agent.processes import record  # the defaults of its parts are taken when they are loaded

    writeback._libc = SimpleNamespace(sync_file_range=lambda *_: 0)

    return record.main(settings)


if __name__ == "__main__":
    sys.exit(main(Path(sys.argv[1])))
