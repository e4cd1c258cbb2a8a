"""Several volumes of one recorder, one of which does not answer."""

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from agent.clock import SystemClock
from agent.footage.disk.files import VOLUME_FILE, create_volume
from agent.footage.index import Index
from agent.footage.recording.recorder import Recorder
from tests.fakes.waiting import until


@pytest.fixture(params=[0, 1], ids=["the first", "the second"])
def recorder(tmp_path: Path, request: pytest.FixtureRequest) -> Iterator[Recorder]:
    """Its volume `silent` holds up for ever whoever asks whose it is, until somebody writes to the pipe."""
    well, silent = tmp_path / "well", tmp_path / "silent"
    create_volume(well, "f1")
    create_volume(silent, "f1")
    (silent / VOLUME_FILE).rename(silent / "aside")
    os.mkfifo(silent / VOLUME_FILE)
    paths = [silent, well] if request.param == 0 else [well, silent]
    made = Recorder([], paths, "f1", Index(tmp_path / "footage.db"), SystemClock(), "boot", reserve_bytes=1)
    made.start()
    yield made
    made.stop()


def test_a_disk_that_does_not_say_what_it_is_holds_up_no_other(recorder: Recorder) -> None:
    silent, well = sorted(recorder.volumes.disks, key=lambda disk: disk.path.name)
    assert well.path.name == "well"

    def goes_on() -> bool:
        recorder.replace_hung()
        return well.open and recorder.stuck_s < 1 and recorder.turns > 3

    until(goes_on, 20, "recording to the volume that is well")
    assert not silent.open
    with recorder.index.reading() as connection:
        until(lambda: connection.execute("SELECT COUNT(*) FROM volume").fetchone()[0] == 1, 10, "it is taken up")
    turns = recorder.turns
    pipe = os.open(silent.path / VOLUME_FILE, os.O_WRONLY)
    (silent.path / "aside").rename(silent.path / VOLUME_FILE)
    os.close(pipe)  # the disk answers at last
    until(lambda: silent.open, 20, "recording to both")
    assert well.open
    assert recorder.turns > turns
