"""Several volumes with real file systems: missing, pulled, read-only, full, failing, moved, copied, back after days.

Recording goes on on the others within seconds, every gap has its reason, and `yunjian footage check` stays clean.
"""

import os
import shutil
import sqlite3
import time
from collections.abc import Iterator
from contextlib import closing, suppress
from pathlib import Path
from typing import Any

import av
import pytest

from agent.facts import ConditionKind
from agent.footage.disk.files import create_volume
from agent.footage.inspection.survey import Wanted, survey
from agent.footage.naming import camera_uuid
from tests.fakes.camera import RtspServer, make_clip
from tests.fakes.disks import Loop, LoopDisk, StallingLoop, run
from tests.fakes.recording import FACILITY, Recording, assert_decided
from tests.fakes.waiting import until

pytestmark = [pytest.mark.needs_root, pytest.mark.needs_debian("mkfs.ext4", "losetup"), pytest.mark.timeout(180)]

CAMERAS = ("one", "two")

SIZE_MIB = 320
"""Recording begins with 128 MiB free and stops below 64."""

ROOM = "reserve_gb: 0.1, overwrite: oldest"
"""What suits disks so small: no camera is spared when one of them fills."""

A_WHILE_S = 1.5
"""So long is recorded before something happens: a fragment (1 s) is on the disk, and a sync (1 s) was."""

GOES_ON_S = 8.0
"""What was lost is noticed at the next look at the volumes (2 s) and made good at the next key frame (1 s, and a second
in which the time of the new run settles); the rest is this machine's."""


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RtspServer]:
    folder = tmp_path_factory.mktemp("media")
    make_clip(folder / "a.mp4", fps=25)
    found = RtspServer(folder)
    found.start()
    yield found
    found.stop()


class Facility:
    """A recorder, and disks that can be plugged in and pulled out."""

    def __init__(self, folder: Path, server: RtspServer, *mounts: str) -> None:
        self.folder = folder
        self.recording = Recording(folder, {name: server.url("a.mp4") for name in CAMERAS})
        self.disks: list[LoopDisk] = []
        self.use(*mounts)

    def path(self, name: str) -> Path:
        return self.folder / name

    def use(self, *names: str) -> None:
        """Record to the folders of these names."""
        self.volumes = [self.path(name) for name in names]
        for each in self.volumes:
            each.mkdir(exist_ok=True)
        lines = self.recording.settings.read_text().splitlines()
        listed = ", ".join(str(each) for each in self.volumes)
        lines[2] = f"footage: {{volumes: [{listed}], segment_s: 10, silent_after_s: 4, {ROOM}}}"
        self.recording.settings.write_text("\n".join(lines) + "\n")

    def disk(self, name: str, image: Path | None = None, loop: Loop | None = None) -> LoopDisk:
        """A new disk, mounted there, made a volume."""
        made = LoopDisk(image or self.folder / f"{name}.img", SIZE_MIB, loop)
        self.disks.append(made)
        made.mount(self.path(name))
        create_volume(self.path(name), FACILITY)
        return made

    def start(self) -> None:
        self.recording.start()
        until(lambda: self.recording.is_recording(*CAMERAS), 15, "both cameras are recorded")

    def on(self, name: str) -> bool:
        """Whether both cameras are being recorded to this volume."""
        paths = [self.recording.camera(camera) for camera in CAMERAS]
        return all(each["state"] == "recording" and each["path"].startswith(f"{self.path(name)}/") for each in paths)

    def goes_on_on(self, name: str) -> None:
        until(lambda: self.on(name), GOES_ON_S, f"both cameras go on on {name}")

    def told(self, kind: ConditionKind, name: str, active: bool, since: float = 0.0) -> dict[str, Any]:
        """The detail of a condition of this volume, once it is told."""
        subject = f"volume/{self.path(name)}"
        at = self.recording.desk.wait_for(kind, subject, active, 10, since)
        found = self.recording.desk.conditions(kind, subject)
        return next(fact.detail for when, fact in found if when == at)

    def reasons(self, since_ns: int, camera: str = "one") -> list[str]:
        """Why there were gaps; everything since then is footage or a gap."""
        answer = self.recording.spans(camera, since_ns)
        assert_decided(answer, max(since_ns, answer["first_ns"]))  # before the first word there is nothing to decide
        return [each["reason"] for each in answer["gaps"]]

    def check(self) -> list[str]:
        """What `yunjian footage check --deep` finds."""
        recorded = {(camera_uuid(FACILITY, camera), "main") for camera in CAMERAS}
        wanted = Wanted(self.recording.index, self.volumes, FACILITY, recorded, deep=True)
        found = survey(wanted, time.time_ns, time.sleep, lambda done, total: None).findings
        return [f"{each.number} {each.where}: {each.what.en}" for each in found]

    def rows(self) -> list[dict[str, Any]]:
        with closing(sqlite3.connect(self.recording.index)) as connection:
            connection.row_factory = sqlite3.Row
            return [dict(row) for row in connection.execute("SELECT * FROM segment ORDER BY camera, seq")]

    def close(self) -> None:
        self.recording.close()
        for disk in self.disks:
            disk.close()


@pytest.fixture
def facility(tmp_path: Path, server: RtspServer) -> Iterator[Facility]:
    made = Facility(tmp_path, server, "a", "b")
    yield made
    made.close()


def frames_of(path: Path) -> int:
    with av.open(path) as container:
        return sum(1 for _ in container.decode(video=0))


def test_one_of_two_is_missing_pulled_and_back(facility: Facility) -> None:
    first = facility.disk("a")
    began_ns = time.time_ns()
    facility.start()
    assert facility.on("a")
    assert facility.told(ConditionKind.VOLUME_MISSING, "b", True)["others"] == 1
    assert list(facility.path("b").iterdir()) == [], "nothing is written below the mount point"
    mounted = time.monotonic()
    facility.disk("b")
    facility.told(ConditionKind.VOLUME_MISSING, "b", False, mounted)

    pulled, pulled_ns = time.monotonic(), time.time_ns()
    first.unmount(lazily=True)
    facility.goes_on_on("b")
    assert facility.told(ConditionKind.VOLUME_MISSING, "a", True, pulled)["others"] == 1
    assert list(facility.path("a").iterdir()) == []
    until(lambda: facility.reasons(pulled_ns) == ["volume_missing"], 10, "the gap has its reason")
    assert "file_missing" not in facility.reasons(began_ns), "what is away is not lost"
    away = {row["path"] for row in facility.rows() if not (facility.path("b") / row["path"]).exists()}
    assert away
    assert all(each["path"].startswith(str(facility.path("b"))) for each in facility.recording.segments("one", 0))

    back = time.monotonic()
    first.mount(facility.path("a"))
    facility.told(ConditionKind.VOLUME_MISSING, "a", False, back)
    until(lambda: {row["state"] for row in facility.rows()} <= {"closed", "recovered", "open"}, 10, "all is settled")
    paths = {each["path"] for each in facility.recording.segments("one", 0)}
    assert {str(facility.path("a") / path) for path in away if camera_uuid(FACILITY, "one") in path} <= paths
    assert facility.reasons(began_ns).count("volume_missing") == 1
    assert facility.check() == []
    assert facility.recording.stop() == 0
    assert facility.check() == []


def test_one_of_two_is_read_only_then_full(facility: Facility) -> None:
    first = facility.disk("a")
    facility.disk("b")
    facility.start()
    assert facility.on("a")
    time.sleep(A_WHILE_S)
    since, since_ns = time.monotonic(), time.time_ns()
    first.break_down()
    facility.goes_on_on("b")
    assert facility.told(ConditionKind.DISK_FAILED, "a", True, since)["others"] == 1
    missing = facility.recording.desk.conditions(ConditionKind.VOLUME_MISSING, f"volume/{facility.path('a')}")
    assert not any(fact.active for _, fact in missing), "it is there, it only cannot be written to"
    old = [each for each in facility.recording.segments("one", 0) if each["path"].startswith(str(facility.path("a")))]
    assert old, "what is on a read-only volume can still be read"
    assert facility.reasons(since_ns) == ["disk_failed"]

    mended = time.monotonic()
    first.unmount()
    first.mount(facility.path("a"))
    facility.told(ConditionKind.DISK_FAILED, "a", False, mended)
    until(lambda: "suspect" not in {row["state"] for row in facility.rows()}, 10, "what is left of its files is known")
    filled, filled_ns = time.monotonic(), time.time_ns()
    fill(facility.path("b"), 20)
    facility.goes_on_on("a")
    assert facility.told(ConditionKind.DISK_FULL, "b", True, filled)["others"] == 1
    assert facility.reasons(filled_ns) in ([], ["disk_full"])
    (facility.path("b") / "filling").unlink()
    facility.told(ConditionKind.DISK_FULL, "b", False, filled)
    assert facility.recording.stop() == 0
    assert facility.check() == []


def test_a_disk_fills_in_the_middle_of_a_write(facility: Facility) -> None:
    """The only one: what was written plays, the rest is a gap, and it goes on by itself when there is room."""
    facility.use("a")
    facility.disk("a")
    facility.start()
    time.sleep(A_WHILE_S)
    filled, filled_ns = time.monotonic(), time.time_ns()
    fill(facility.path("a"), 0)
    assert facility.told(ConditionKind.DISK_FULL, "a", True, filled)["others"] == 0
    until(lambda: not facility.recording.is_recording("one"), 10, "nothing is recorded")
    cut = [each for each in facility.rows() if each["start_ns"] < filled_ns < (each["end_ns"] or 0) + 5 * 10**9]
    assert cut
    for row in cut:
        assert frames_of(facility.path("a") / row["path"]) > 0
    time.sleep(2)
    (facility.path("a") / "filling").unlink()
    facility.told(ConditionKind.DISK_FULL, "a", False, filled)
    until(lambda: facility.recording.is_recording(*CAMERAS), GOES_ON_S, "it goes on by itself")
    until(lambda: facility.reasons(filled_ns)[:1] == ["disk_full"], 5, "the gap has its reason")
    assert set(facility.reasons(filled_ns)) == {"disk_full"}
    assert facility.recording.stop() == 0
    assert facility.check() == []


def test_a_disk_that_takes_no_more_bytes(facility: Facility) -> None:
    """Writes fail at the device: its store is full, and the file system finds out when it syncs."""
    store = facility.path("store")
    store.mkdir()
    run("mount", "-t", "tmpfs", "-o", "size=40m", "tmpfs", store)
    try:
        facility.disk("a", store / "a.img")
        facility.disk("b")
        fill(facility.path("b"), 250)  # so that recording begins on the other
        facility.start()
        assert facility.on("a")
        time.sleep(2)
        (facility.path("b") / "filling").unlink()
        failed, failed_ns = time.monotonic(), time.time_ns()
        fill(store, 0)
        facility.goes_on_on("b")
        assert facility.told(ConditionKind.DISK_FAILED, "a", True, failed)["others"] == 1
        until(lambda: facility.reasons(failed_ns)[:1] == ["disk_failed"], 5, "the gap has its reason")
        time.sleep(6)  # the failing one is tried again, but not again and again
        assert facility.on("b")
        assert len(facility.reasons(failed_ns)) <= 2
        assert facility.recording.stop() == 0
    finally:
        facility.close()
        run("umount", "--lazy", store)


@pytest.mark.needs_debian("qemu-storage-daemon")
def test_a_disk_that_does_not_answer_holds_up_no_other(facility: Facility) -> None:
    """Every thread that touches it waits for ever, in the kernel: others go on, and what it took is found again."""
    stalling = StallingLoop(facility.folder / "a.img", SIZE_MIB)
    facility.disk("a", loop=stalling)
    facility.disk("b")
    facility.start()
    assert facility.on("a")
    time.sleep(A_WHILE_S)
    frozen, frozen_ns = time.monotonic(), time.time_ns()
    stalling.freeze()
    try:
        until(lambda: facility.on("b"), 20, "both cameras go on on b")
        assert facility.told(ConditionKind.DISK_SLOW, "a", True, frozen)
        before = facility.recording.camera("one")["packets"]
        time.sleep(3)
        assert facility.recording.camera("one")["packets"] > before
        assert facility.on("b")
    finally:
        stalling.thaw()
    until(lambda: facility.recording.status()["volumes"][0]["ok"], 20, "it is recorded to again")
    until(lambda: "open" not in {row["state"] for row in facility.rows() if row["start_ns"] < frozen_ns}, 10, "settled")
    answer = facility.recording.spans("one", frozen_ns - 2 * 10**9)
    lost_s = sum(each["to_ns"] - each["from_ns"] for each in answer["gaps"]) / 1e9
    assert {each["reason"] for each in answer["gaps"]} <= {"disk_slow"}
    assert lost_s < 5, "what was read meanwhile waited in memory"
    assert facility.recording.stop() == 0
    assert facility.check() == []


def test_a_disk_that_was_moved_is_recognised(facility: Facility) -> None:
    """Another socket, another mount point, another order in the settings."""
    facility.use("a")
    first = facility.disk("a")
    began_ns = time.time_ns()
    facility.start()
    time.sleep(A_WHILE_S)
    assert facility.recording.stop() == 0
    before = {(row["camera"], row["seq"]): row["digest"] for row in facility.rows()}
    first.unmount()
    facility.use("b", "c")
    first.mount(facility.path("c"))
    facility.start()
    assert facility.on("c")
    found = facility.recording.segments("one", began_ns)
    assert all(each["path"].startswith(str(facility.path("c"))) for each in found)
    assert not {"file_missing", "volume_missing", "unrecorded"} & set(facility.reasons(began_ns))
    assert facility.recording.stop() == 0
    after = {(row["camera"], row["seq"]): row["digest"] for row in facility.rows()}
    assert before.items() <= after.items()
    facility.use("c")
    assert facility.check() == []


def test_a_copy_of_a_volume_does_not_take_over(facility: Facility) -> None:
    facility.disk("a")
    shutil.copytree(facility.path("a"), facility.path("b"), dirs_exist_ok=True, ignore=lambda *_: ["lost+found"])
    facility.use("b", "a")  # the copy stands first
    facility.start()
    second = "a" if facility.on("b") else "b"
    told = facility.told(ConditionKind.VOLUME_MISSING, second, True)
    assert "the same volume as" in str(told["detail"])
    assert any(each.startswith("1 ") for each in facility.check())
    first = "b" if second == "a" else "a"
    # The one that is recorded to stays, whatever comes and goes.
    aside = facility.path(f"{second}-aside")
    if second == "b":
        facility.path("b").rename(aside)
        facility.path("b").mkdir()
        time.sleep(3)
        aside.rename(facility.path("b"))
        time.sleep(3)
    assert facility.on(first)
    assert facility.recording.stop() == 0


def test_a_volume_that_was_away_for_days_is_in_the_ledger_again(facility: Facility) -> None:
    """It comes back with footage that the index no longer knows, and some that it does."""
    first = facility.disk("a")
    second = facility.disk("b")
    facility.start()
    began_ns = time.time_ns()
    assert facility.on("a")
    time.sleep(A_WHILE_S)
    assert facility.recording.stop() == 0
    old = {row["path"] for row in facility.rows()}
    first.unmount()
    for part in facility.recording.index.parent.glob("footage.db*"):
        part.unlink()  # and the index was lost meanwhile
    facility.start()
    assert facility.on("b")
    assert facility.recording.segments("one", began_ns, time.time_ns() - 10**9)[0]["path"].startswith(
        str(facility.path("b"))
    )
    back = time.monotonic()
    first.mount(facility.path("a"))
    facility.told(ConditionKind.VOLUME_MISSING, "a", False, back)
    until(lambda: old <= {row["path"] for row in facility.rows()}, 15, "its footage is known again")
    assert facility.recording.stop() == 0
    assert second.at is not None
    assert facility.check() == []


def fill(folder: Path, leave_mib: int) -> None:
    """Take what is free there, but for `leave_mib`."""
    with (folder / "filling").open("wb") as file:
        free = os.statvfs(folder)
        left = free.f_bavail * free.f_frsize - (leave_mib << 20)
        with suppress(OSError):
            os.posix_fallocate(file.fileno(), 0, left)
            return
        block = bytes(1 << 20)
        with suppress(OSError):
            while True:
                file.write(block)
                file.flush()
