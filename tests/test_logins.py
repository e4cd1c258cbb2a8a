"""How often a camera is asked with a password that it refuses, by all that ask it together."""

import itertools
import os
from pathlib import Path

from hypothesis import given
from hypothesis import strategies as st

from agent.camera_address import Address
from agent.logins import WAITS_S, Login, Logins, Tally, is_due
from tests.fakes.clock import MovedClock


def address(folder: Path, url: str = "rtsp://10.0.0.5/main", user: str = "admin") -> Address:
    secret = folder / "secret"
    if not secret.exists():
        secret.write_text("wrong")
    return Address(url, "tcp", user, secret)


def attempts(logins: list[Login], clock: MovedClock, minutes: float) -> list[float]:
    """When (seconds) a camera that refuses all of these was asked, each of them looking every second."""
    asked = []
    began = clock.mono_ns()
    while clock.mono_ns() - began < minutes * 60e9:
        for login in logins:
            if login.may_try():
                asked.append((clock.mono_ns() - began) / 1e9)
                login.refused()
        clock.move(1)
    return asked


def most_within(asked: list[float], seconds: float) -> int:
    return max(sum(first <= other < first + seconds for other in asked) for first in asked)


def test_a_lone_stream_asks_four_times_in_half_an_hour(tmp_path: Path) -> None:
    clock = MovedClock()
    asked = attempts([Logins(tmp_path / "logins", clock).login(address(tmp_path))], clock, 90)
    assert most_within(asked, 1800) == 4
    assert len(asked) >= 7, "it never stops trying"


def test_main_sub_and_vision_of_one_camera_together_ask_no_more_often(tmp_path: Path) -> None:
    """Two processes: each with its own Logins, over the same files."""
    clock = MovedClock()
    record, vision = Logins(tmp_path / "logins", clock), Logins(tmp_path / "logins", clock)
    streams = [
        record.login(address(tmp_path)),
        record.login(address(tmp_path, "rtsp://10.0.0.5/sub")),
        vision.login(address(tmp_path, "rtsp://10.0.0.5/sub")),
    ]
    assert most_within(attempts(streams, clock, 90), 1800) == 4


def test_a_stream_that_was_never_refused_waits_for_nobody(tmp_path: Path) -> None:
    """An NVR that forbids one channel must not cost the others."""
    clock = MovedClock()
    logins = Logins(tmp_path / "logins", clock)
    attempts([logins.login(address(tmp_path))], clock, 5)
    other = logins.login(address(tmp_path, "rtsp://10.0.0.5/other"))
    assert other.may_try()
    other.accepted()
    assert other.may_try(), "and after a lost connection again"


def test_an_acceptance_lets_everyone_in(tmp_path: Path) -> None:
    clock = MovedClock()
    first, second = (Logins(tmp_path / "logins", clock).login(address(tmp_path)) for _ in range(2))
    attempts([first, second], clock, 5)
    assert not first.may_try()
    assert not second.may_try()
    clock.move(WAITS_S[-1])
    assert second.may_try()
    assert not first.may_try(), "one of them tries"
    second.accepted()
    assert first.may_try()
    assert not list((tmp_path / "logins").iterdir())


def test_another_password_is_tried_at_once(tmp_path: Path) -> None:
    clock = MovedClock()
    login = Logins(tmp_path / "logins", clock).login(address(tmp_path))
    attempts([login], clock, 5)
    assert not login.may_try()
    (tmp_path / "secret").write_text("right")
    assert login.may_try()
    login.refused()
    assert not login.may_try()
    os.utime(tmp_path / "secret", ns=(1, 1))
    assert login.may_try(), "touched: somebody wants it tried"


def test_other_users_and_hosts_have_tallies_of_their_own(tmp_path: Path) -> None:
    clock = MovedClock()
    logins = Logins(tmp_path / "logins", clock)
    refused = logins.login(address(tmp_path))
    attempts([refused], clock, 5)
    others = ("rtsp://10.0.0.6/main", "rtsp://10.0.0.5:1554/main")
    for other in (address(tmp_path, user="guard"), *(address(tmp_path, url) for url in others)):
        login = logins.login(other)
        assert login.may_try()
        login.refused()
        clock.move(WAITS_S[0] + 1)
        assert login.may_try(), "its own first wait"


def test_the_same_device_by_onvif_has_the_same_tally(tmp_path: Path) -> None:
    clock = MovedClock()
    logins = Logins(tmp_path / "logins", clock)
    streams = [logins.login(address(tmp_path, url)) for url in ("onvif://10.0.0.5", "rtsp://10.0.0.5:554/main")]
    assert most_within(attempts(streams, clock, 90), 1800) == 4


def test_nothing_of_the_password_is_written(tmp_path: Path) -> None:
    (tmp_path / "secret").write_text("Geheim!42")
    clock = MovedClock()
    attempts([Logins(tmp_path / "logins", clock).login(address(tmp_path))], clock, 1)
    for path in (tmp_path / "logins").iterdir():
        assert "Geheim" not in path.read_text() + path.name
        assert "admin" not in path.read_text() + path.name


def test_a_folder_that_cannot_be_used_leaves_the_policy_in_memory(tmp_path: Path) -> None:
    (tmp_path / "logins").write_text("a file where the folder should be")
    clock = MovedClock()
    asked = attempts([Logins(tmp_path / "logins", clock).login(address(tmp_path))], clock, 90)
    assert most_within(asked, 1800) == 4


def test_a_tally_of_garbage_holds_nobody_up(tmp_path: Path) -> None:
    clock = MovedClock()
    login = Logins(tmp_path / "logins", clock).login(address(tmp_path))
    attempts([login], clock, 1)
    for path in (tmp_path / "logins").iterdir():
        path.write_bytes(b"\xff[")
    clock.move(WAITS_S[-1])
    assert login.may_try()


@given(st.integers(1, 10), st.integers(-(10**18), 10**18), st.integers(0, 10**18))
def test_whatever_a_tally_says_the_wait_is_bounded(refused: int, last_ns: int, now_ns: int) -> None:
    tally = Tally(refused, last_ns, "")
    moments = (is_due(tally, now_ns + round(step * 1e9)) for step in (0, *WAITS_S, WAITS_S[-1] * 2))
    assert any(itertools.chain(moments, [last_ns > now_ns + WAITS_S[-1] * 1e9]))
