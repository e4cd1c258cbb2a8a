"""kill -9 at random moments under load: `yunjian footage check` is clean after each. `make soak` does it 50 times."""

import time
from pathlib import Path

import pytest

from agent.cli import main
from tests.faults.record_kills import checked, kill_again_and_again, told, under_load

SECONDS = 25.0


@pytest.mark.timeout(180)
def test_killed_at_any_moment(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    seed = int(time.time())
    with under_load(tmp_path) as recording:
        kills, _ = kill_again_and_again(recording, seed, SECONDS, 50)
        assert kills >= 3
        assert recording.stop() == 0
        assert told(checked(recording, deep=True).findings) == []
        assert main(["--lang", "en", "footage", "check", "--deep", "--config", str(recording.settings)]) == 0
    assert "all in order" in capsys.readouterr().out
