"""What a process tells its service manager, on a real datagram socket."""

import socket
from pathlib import Path

import pytest

from agent.clock import SystemClock, stamp
from agent.health import Liveness, notify


@pytest.fixture
def inlet(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> socket.socket:
    inlet = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
    inlet.bind(str(tmp_path / "notify"))
    inlet.setblocking(False)
    monkeypatch.setenv("NOTIFY_SOCKET", str(tmp_path / "notify"))
    return inlet


def test_ready_and_the_first_beat_are_told_and_beats_are_not_a_flood(inlet: socket.socket) -> None:
    liveness = Liveness(SystemClock())
    liveness.ready()
    for _ in range(100):
        liveness.beat()
    liveness.stopping()
    told = [inlet.recv(100) for _ in range(3)]
    assert told == [b"READY=1", b"WATCHDOG=1", b"STOPPING=1"]
    with pytest.raises(BlockingIOError):
        inlet.recv(100)
    inlet.close()


def test_outside_a_service_manager_nothing_happens(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("NOTIFY_SOCKET", raising=False)
    notify("READY=1")


def test_a_service_manager_that_is_gone_does_not_end_the_process(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("NOTIFY_SOCKET", str(tmp_path / "gone"))
    notify("WATCHDOG=1")


def test_a_stamp_holds_both_clocks() -> None:
    clock = SystemClock()
    first, second = stamp(clock), stamp(clock)
    assert second.mono_ns >= first.mono_ns
    assert first.wall_ns > 1_600_000_000 * 10**9
