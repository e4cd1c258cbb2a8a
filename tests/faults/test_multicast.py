"""A camera that sends to a multicast group, in a network of its own."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

SPACE = "yunjian-multicast"

pytestmark = [pytest.mark.needs_debian("ip"), pytest.mark.needs_root]


def _ip(*arguments: str, check: bool = True) -> None:
    subprocess.run(["ip", *arguments], check=check, capture_output=True)


def test_a_stream_of_a_group_is_read() -> None:
    _ip("netns", "del", SPACE, check=False)
    _ip("netns", "add", SPACE)
    try:
        _ip("-n", SPACE, "link", "set", "lo", "up", "multicast", "on")
        _ip("-n", SPACE, "route", "add", "224.0.0.0/4", "dev", "lo")
        command = ["ip", "netns", "exec", SPACE, sys.executable, "-m", "tests.fakes.multicast_trial"]
        done = subprocess.run(command, capture_output=True, text=True, timeout=60, cwd=Path(__file__).parents[2])
        assert done.returncode == 0, done.stderr
        told = json.loads(done.stdout)
    finally:
        _ip("netns", "del", SPACE)
    assert "multicast" in told["setups"][0]
    numbers = told["numbers"]
    assert numbers == list(range(numbers[0], 101))
    assert numbers[0] <= 26, "from the first key frame after the group was joined"
