"""How the alarm process stops."""

import pytest

from agent.processes.alarm import stopped_in_order


def test_a_thread_that_hangs_keeps_no_other_from_stopping(caplog: pytest.LogCaptureFixture) -> None:
    stopped: list[str] = []

    def hang() -> None:
        raise RuntimeError("the route to police did not stop")

    assert not stopped_in_order([lambda: stopped.append("desk"), hang, lambda: stopped.append("store")])
    assert stopped == ["desk", "store"]
    assert "police did not stop" in caplog.text
    assert stopped_in_order([lambda: stopped.append("desk")])
