"""A record process of its own, with real cameras, and a desk that hears what it tells."""

import itertools
import os
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path
from typing import Any

from agent.facts import Condition, ConditionKind, Fact, Pulse, decode
from agent.footage.disk.files import create_volume
from agent.footage.naming import camera_uuid
from agent.wire import Reply, Request, Server, WireError, call
from tests.fakes.waiting import until

FACILITY = "f1"


class Desk:
    """Stands at alarm.sock and keeps every fact, with when it came (monotonic seconds)."""

    def __init__(self, runtime: Path) -> None:
        self.facts: list[tuple[float, Fact]] = []
        self._guard = threading.Lock()
        self._server = Server(runtime / "alarm.sock", {"fact": self._take})

    def start(self) -> None:
        self._server.start()

    def stop(self) -> None:
        self._server.stop()

    def _take(self, request: Request, reply: Reply) -> None:
        with self._guard:
            self.facts.append((time.monotonic(), decode(request.args["fact"])))
        reply.done()

    def conditions(self, kind: ConditionKind, subject: str) -> list[tuple[float, Condition]]:
        """What was told of one condition, in order."""
        with self._guard:
            return [
                (at, fact)
                for at, fact in self.facts
                if isinstance(fact, Condition) and (fact.kind, fact.subject) == (kind, subject)
            ]

    def others(self, known: set[tuple[ConditionKind, str]]) -> set[tuple[ConditionKind, str]]:
        """Every condition told to be there that is not `known`."""
        with self._guard:
            told = {(fact.kind, fact.subject) for _, fact in self.facts if isinstance(fact, Condition) and fact.active}
        return told - known

    def pulses(self) -> int:
        """How many pulses came."""
        with self._guard:
            return sum(isinstance(fact, Pulse) for _, fact in self.facts)

    def wait_for(self, kind: ConditionKind, subject: str, active: bool, timeout_s: float, since: float = 0.0) -> float:
        """When (monotonic seconds) this was told; the first time after `since`."""

        def told() -> float | None:
            found = [at for at, fact in self.conditions(kind, subject) if fact.active is active and at >= since]
            return found[0] if found else None

        return until(told, timeout_s, f"{kind} of {subject} {'begins' if active else 'is over'}") or 0.0


class Recording:
    """One facility in a directory: settings, volume, and the record process."""

    def __init__(self, folder: Path, cameras: dict[str, str], segment_s: int = 10, extra: str = "") -> None:
        self.folder = folder
        self.runtime = folder / "run"
        self.volume = folder / "volume"
        self.index = folder / "data" / "footage.db"
        self.settings = folder / "facility.yaml"
        self.log = folder / "record.log"
        self._process: subprocess.Popen[bytes] | None = None
        for each in (self.runtime, folder / "data", self.volume):
            each.mkdir(parents=True, exist_ok=True)
        lines = [
            f"facility: {{id: {FACILITY}, name: test}}",
            f"paths: {{data: {folder / 'data'}, runtime: {self.runtime}}}",
            f"footage: {{volumes: [{self.volume}], segment_s: {segment_s}, silent_after_s: 4}}",
            "rooms: [{id: r1, name: one}]",
            "cameras:",
            *(f"  - {{id: {name}, name: {name}, room: r1, main: '{url}'{extra}}}" for name, url in cameras.items()),
        ]
        self.settings.write_text("\n".join(lines) + "\n", encoding="utf-8")
        self.desk = Desk(self.runtime)
        self.desk.start()

    def make_volume(self) -> None:
        create_volume(self.volume, FACILITY)

    def start(self) -> None:
        """Start the process and wait until its socket answers."""
        self.spawn()
        until(self._answers, 15, "the record process answers")

    def spawn(self) -> None:
        """Start the process and do not wait."""
        program = "import sys; from pathlib import Path; from agent.processes.record import main; "
        command = [sys.executable, "-c", program + "sys.exit(main(Path(sys.argv[1])))", str(self.settings)]
        with self.log.open("ab") as log:
            self._process = subprocess.Popen(command, stdout=log, stderr=log)

    def kill(self) -> None:
        """kill -9."""
        assert self._process is not None
        self._process.kill()
        self._process.wait(10)

    def stop(self) -> int:
        """Ask it to stop; its exit status."""
        assert self._process is not None
        self._process.send_signal(signal.SIGTERM)
        return self._process.wait(15)

    def close(self) -> None:
        """End everything, whatever its state."""
        if self._process is not None and self._process.poll() is None:
            self._process.kill()
            self._process.wait(10)
        self.desk.stop()

    @property
    def pid(self) -> int:
        assert self._process is not None
        return self._process.pid

    def status(self) -> dict[str, Any]:
        return call(self.runtime / "record.sock", "status")

    def camera(self, name: str) -> dict[str, Any]:
        return next(each for each in self.status()["cameras"] if each["id"] == name)

    def is_recording(self, *names: str) -> bool:
        return all(self.camera(name)["state"] == "recording" for name in names)

    def spans(self, name: str, from_ns: int, to_ns: int | None = None) -> dict[str, Any]:
        asked = {"camera_id": name, "from_ns": from_ns, "to_ns": to_ns or time.time_ns()}
        return call(self.runtime / "record.sock", "spans", asked)

    def segments(self, name: str, from_ns: int, to_ns: int | None = None) -> list[dict[str, Any]]:
        asked = {"camera_id": name, "from_ns": from_ns, "to_ns": to_ns or time.time_ns()}
        return list(call(self.runtime / "record.sock", "segments", asked)["segments"])

    def files(self, name: str) -> list[Path]:
        """The files of one camera on disk, in order."""
        return sorted((self.volume / camera_uuid(FACILITY, name)).rglob("*.mp4"), key=lambda path: path.name[-12:])

    def _answers(self) -> bool:
        assert self._process is not None
        assert self._process.poll() is None, f"the record process ended: {self.log.read_text()}"
        try:
            self.status()
        except WireError:
            return False
        return True


def cpu_s(pid: int) -> float:
    """Processor seconds that a process used."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def assert_decided(answer: dict[str, Any], from_ns: int) -> None:
    """Every instant from `from_ns`, or the first recording, to the end of the answer is in one span or one gap, and
    every gap has a reason."""
    edges = sorted((each["from_ns"], each["to_ns"]) for each in [*answer["spans"], *answer["gaps"]])
    assert edges[0][0] == max(from_ns, answer["first_ns"])
    assert all(each["reason"] != "unrecorded" for each in answer["gaps"])
    for before, after in itertools.pairwise(edges):
        assert before[1] == after[0]
