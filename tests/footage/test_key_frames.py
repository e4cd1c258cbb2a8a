"""A camera that gives no second key frame: no file without end, a new connection instead, and it is said."""

from collections.abc import Iterator
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import pytest

from agent.camera_address import Address
from agent.clock import SystemClock
from agent.footage.recording.arrivals import Arrived, Ended, Item, Opened
from agent.footage.recording.camera import Camera
from agent.footage.timeline import KEY_WAIT_NS, NS, key_overdue
from tests.fakes.encoded import pictures
from tests.fakes.scripted_camera import ScriptedCamera, steady
from tests.fakes.waiting import until
from tests.footage.test_track import FRAME_S, Rig

SECONDS = 140


@pytest.fixture(scope="module")
def endless(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """One key frame, and 140 s of pictures after it."""
    path = tmp_path_factory.mktemp("clip") / "one_key.mp4"
    with av.open(path, "w") as container:
        stream = container.add_stream("libx264", rate=round(1 / FRAME_S))
        stream.width, stream.height, stream.pix_fmt = 64, 48, "yuv420p"
        stream.options = {"preset": "ultrafast", "g": "100000", "bf": "0", "sc_threshold": "0"}
        for number in range(round(SECONDS / FRAME_S)):
            frame = av.VideoFrame.from_ndarray(np.full((48, 64, 3), number % 255, np.uint8), format="rgb24")
            frame.pts, frame.time_base = number, Fraction(1, round(1 / FRAME_S))
            container.mux(stream.encode(frame))
        container.mux(stream.encode(None))
    return path


@pytest.fixture
def rig(tmp_path: Path, endless: Path) -> Iterator[Rig]:
    made = Rig(tmp_path, endless)
    yield made
    made.close()


def test_the_camera_is_asked_to_connect_anew_and_the_file_ends(rig: Rig) -> None:
    asked = rig.camera.asked_anew
    rig.play(2)
    due_s = (rig.track._reel.limit_ns + KEY_WAIT_NS) / NS
    rig.play(due_s - 4)
    assert not asked, "a long group of pictures is no fault"
    rig.play(4)
    assert asked
    assert abs(asked[0] - due_s) < 1
    rig.camera.end(detail=f"key_frame_overdue: {round(asked[0])}")
    rig.wait(0.5)
    rig.camera.open()
    rig.play(5)
    rig.finish()
    rows = rig.rows()
    assert len(rows) == 2
    assert rows[0].end_ns is not None
    assert rows[0].end_ns - rows[0].start_ns < 10 * NS + KEY_WAIT_NS + 10 * NS
    assert rig.ledger().gaps[1].detail.startswith("key_frame_overdue")


def test_a_connection_that_is_to_be_renewed_ends_and_another_begins() -> None:
    shown = pictures(4, key_every=1000)
    server = ScriptedCamera(lambda _: steady(shown * 10), shown[0])
    camera = Camera("one", Address(server.url()), SystemClock(), 2.0)
    seen: list[Item] = []

    def opened() -> list[Opened]:
        seen.extend(camera.take())
        return [each for each in seen if isinstance(each, Opened)]

    try:
        camera.start()
        first = until(opened, 10, "a connection")[0]
        camera.connect_anew(first.connection, 182.3)
        until(lambda: len(opened()) == 2, 10, "another connection")
        ended = next(each for each in seen if isinstance(each, Ended))
        assert (ended.detail, ended.was_open) == ("key_frame_overdue: 182", True)
        after = seen[seen.index(opened()[1]) + 1 :]
        until(lambda: opened() and any(isinstance(each, Arrived) for each in [*after, *seen[-5:]]), 5, "packets")
        follows = next(each for each in seen[seen.index(opened()[1]) :] if isinstance(each, Arrived))
        assert follows.packet.is_keyframe
        assert len(opened()) == 2, "once is enough"
    finally:
        camera.ask_to_stop()
        server.stop()
        assert camera.join(10)


def test_how_long_a_key_frame_is_waited_for() -> None:
    assert not key_overdue(60 * NS, 60 * NS)
    assert not key_overdue(60 * NS + KEY_WAIT_NS, 60 * NS)
    assert key_overdue(60 * NS + KEY_WAIT_NS + 1, 60 * NS)
    assert 600 * NS + KEY_WAIT_NS < 15 * 60 * NS, "the longest segment_s that settings take"
