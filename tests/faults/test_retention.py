"""A small real disk, cameras that fill it, and very short days: retention makes room and breaks no promise."""

import json
import shutil
import sqlite3
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import closing, suppress
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import numpy as np
import pytest

from agent.facts import ConditionKind
from agent.footage.inspection.survey import Wanted, survey
from agent.footage.naming import camera_uuid
from agent.footage.upkeep.retention import reserve_bytes
from tests.fakes.camera import RtspServer
from tests.fakes.disks import LoopDisk
from tests.fakes.recording import FACILITY, Recording
from tests.fakes.waiting import until

pytestmark = [pytest.mark.needs_root, pytest.mark.needs_debian("mkfs.ext4", "losetup"), pytest.mark.timeout(180)]

DAY_S = 0.3
LAST_DITCH_BYTES = 1 << 20
SIZE_MIB = 96
"""Of which a tenth is the reserve."""


def make_noise(path: Path, seconds: int = 4, fps: int = 25) -> None:
    """A clip of about four megabit a second: snow cannot be compressed."""
    random = np.random.default_rng(1)
    with av.open(path, "w") as container:
        stream = container.add_stream("libx264", rate=fps)
        stream.width, stream.height, stream.pix_fmt = 320, 240, "yuv420p"
        stream.bit_rate = 4_000_000
        stream.options = {"preset": "ultrafast", "g": str(fps), "bf": "0", "sc_threshold": "0"}
        for number in range(fps * seconds):
            picture = random.integers(0, 255, (240, 320, 3), np.uint8)
            frame = av.VideoFrame.from_ndarray(picture, format="rgb24")
            frame.pts, frame.time_base = number, Fraction(1, fps)
            container.mux(stream.encode(frame))
        container.mux(stream.encode(None))


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RtspServer]:
    folder = tmp_path_factory.mktemp("media")
    make_noise(folder / "a.mp4")
    found = RtspServer(folder)
    found.start()
    yield found
    found.stop()


class Scaled(Recording):
    """The record process with short days; index and footage on one small disk."""

    footage = ""

    def __init__(self, folder: Path, server: RtspServer, footage: str) -> None:
        disk = folder / "disk"
        super().__init__(disk, {name: server.url("a.mp4") for name in ("one", "two")})
        self.log = folder / "record.log"
        self.settings = folder / "facility.yaml"
        text = (disk / "facility.yaml").read_text(encoding="utf-8")
        self.settings.write_text(text.replace("silent_after_s: 4", f"silent_after_s: 4, {footage}"), encoding="utf-8")

    def spawn(self) -> None:
        program = (
            "import logging, sys; from pathlib import Path; from agent.clock import SystemClock;"
            " from agent.processes.record import Record; from agent.processes.record_chores import Scale;"
            " from agent.settings.load import load; logging.basicConfig(level=logging.INFO);"
            f" scale = Scale({round(DAY_S * 1e9)}, {LAST_DITCH_BYTES});"
            " sys.exit(Record(load(Path(sys.argv[1])), SystemClock(), scale).run())"
        )
        with self.log.open("ab") as log:
            self._process = subprocess.Popen(
                [sys.executable, "-c", program, str(self.settings)], stdout=log, stderr=log
            )

    def rows(self, sql: str) -> list[Any]:
        with closing(sqlite3.connect(f"file:{self.index}?mode=ro", uri=True)) as connection:
            return connection.execute(sql).fetchall()

    @property
    def free_bytes(self) -> int:
        return shutil.disk_usage(self.volume).free

    @property
    def ballast(self) -> Path:
        return self.folder / "ballast"

    def fill(self, leave_bytes: int) -> None:
        """Somebody else fills the disk."""
        with suppress(OSError), self.ballast.open("ab") as file:
            while (wanted := self.free_bytes - leave_bytes) > 0:
                file.write(bytes(min(wanted, 1 << 16)))
                file.flush()

    def oldest_s(self) -> float:
        (start_ns,) = self.rows("SELECT MIN(end_ns) FROM segment WHERE state = 'closed'")[0]
        return time.time() - (start_ns or time.time_ns()) / 1e9


@pytest.fixture
def make(tmp_path: Path, server: RtspServer) -> Iterator[Any]:
    disk = LoopDisk(tmp_path / "disk.img", SIZE_MIB)
    disk.mount(tmp_path / "disk")
    made: list[Scaled] = []

    def start(footage: str) -> Scaled:
        found = Scaled(tmp_path, server, footage)
        made.append(found)
        found.make_volume()
        return found

    yield start
    for each in made:
        each.close()
    disk.close()


RESERVE = reserve_bytes(SIZE_MIB << 20, 0.0, None, LAST_DITCH_BYTES)


def assert_whole(recording: Scaled) -> None:
    """Files and rows are the same, the chain is bridged, and nothing went that was younger than the minimum."""
    rows = recording.rows("SELECT path FROM segment")
    on_disk = {str(path.relative_to(recording.volume)) for name in ("one", "two") for path in recording.files(name)}
    assert {row[0] for row in rows} == on_disk
    for camera, seq, previous in recording.rows(
        "SELECT camera, first_seq, before FROM tombstone ORDER BY camera, first_seq"
    ):
        assert seq == 1 or previous, f"the tombstone of {camera} begins in nothing"
    command = [sys.executable, "-m", "agent", "footage", "verify", "--config", str(recording.settings), "--json"]
    told = json.loads(subprocess.run(command, capture_output=True, text=True, check=False).stdout)
    # A real day is longer: what went was "younger than the minimum" by it.
    assert {each["kind"] for each in told["findings"]} <= {"removed_outside_policy"}, told
    recorded = {(camera_uuid(FACILITY, name), "main") for name in ("one", "two")}
    wanted = Wanted(recording.index, [recording.volume], FACILITY, recorded, deep=False)
    found = survey(wanted, time.time_ns, time.sleep, lambda done, total: None).findings
    assert [
        f"{each.number} {each.where}: {each.what.en}" for each in found if "bytes are free" not in each.what.en
    ] == []


def ages_at_death(recording: Scaled, reasons: tuple[str, ...]) -> list[float]:
    """Days from the end of each segment to its deletion, by the journal."""
    found = [json.loads(row[0]) for row in recording.rows("SELECT detail FROM journal WHERE kind = 'tombstone'")]
    return [
        (each["deleted_ns"] - segment[2]) / 1e9 / DAY_S
        for each in found if each["reason"] in reasons for segment in each["segments"]
    ]  # fmt: skip


def test_a_full_disk_makes_room_from_what_is_past_the_minimum_and_goes_on(make: Any) -> None:
    recording = make("minimum_days: 30, target_days: 3000")
    recording.start()
    until(lambda: recording.is_recording("one", "two"), 20, "both are recorded")
    until(lambda: recording.oldest_s() > 12, 60, "some footage is past the minimum of 9 s")
    recording.fill(leave_bytes=0)
    assert recording.free_bytes < 1 << 16
    until(lambda: recording.free_bytes > RESERVE // 2, 40, "room was made")
    recording.desk.wait_for(ConditionKind.DISK_FULL, f"volume/{recording.volume}", False, 40, time.monotonic() - 60)
    until(lambda: recording.is_recording("one", "two"), 20, "both are recorded again")
    died = ages_at_death(recording, ("expired", "quota"))
    assert died
    assert min(died) >= 30
    assert ages_at_death(recording, ("overwritten",)) == []
    assert recording.stop() == 0
    assert_whole(recording)


def test_with_nothing_past_the_minimum_it_is_a_breach_and_nothing_is_deleted(make: Any) -> None:
    recording = make("minimum_days: 3000, target_days: 3000")
    recording.start()
    until(lambda: recording.is_recording("one", "two"), 20, "both are recorded")
    until(lambda: recording.rows("SELECT COUNT(*) FROM segment WHERE state = 'closed'")[0][0] >= 2, 40, "two segments")
    recording.fill(leave_bytes=RESERVE // 2)
    recording.desk.wait_for(ConditionKind.RETENTION_BREACH, "footage", True, 30)
    until(lambda: recording.camera("one")["state"] == "spared", 30, "the less important camera is spared")
    assert recording.camera("two")["state"] == "recording"
    assert recording.rows("SELECT COUNT(*) FROM tombstone")[0][0] == 0
    gaps = recording.rows("SELECT reason FROM gap WHERE to_ns IS NULL")
    assert ("degraded",) in gaps
    recording.ballast.unlink()
    recording.desk.wait_for(ConditionKind.RETENTION_BREACH, "footage", False, 30)
    until(lambda: recording.is_recording("one", "two"), 30, "both are recorded again")
    assert recording.stop() == 0


def test_the_ring_keeps_recording_and_says_what_it_overwrote(make: Any) -> None:
    recording = make("minimum_days: 3000, target_days: 3000, overwrite: oldest")
    recording.start()
    until(lambda: recording.is_recording("one", "two"), 20, "both are recorded")
    until(lambda: recording.rows("SELECT COUNT(*) FROM segment WHERE state = 'closed'")[0][0] >= 4, 60, "four segments")
    recording.fill(leave_bytes=RESERVE + (1 << 20))
    recording.desk.wait_for(ConditionKind.RETENTION_BREACH, "footage", True, 60)
    until(lambda: len(ages_at_death(recording, ("overwritten",))) >= 2, 60, "the oldest were overwritten")
    assert recording.is_recording("one", "two")
    began = recording.rows("SELECT MIN(from_ns) FROM tombstone")[0][0]
    answer = recording.spans("one", began)
    assert "overwritten" in {gap["reason"] for gap in answer["gaps"]}
    assert recording.stop() == 0
    assert_whole(recording)
