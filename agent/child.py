"""Starting and ending other programs: none outlives us, and Ctrl-C reaches only whoever started them."""

import ctypes
import signal
import subprocess
from collections.abc import Mapping, Sequence
from typing import IO, Final

_PR_SET_PDEATHSIG: Final = 1
"""prctl(2): the signal this process gets when the thread that started it ends."""

_LIBC = ctypes.CDLL(None, use_errno=True)


def start(
    command: Sequence[str],
    env: Mapping[str, str] | None = None,
    stdout: IO[bytes] | None = None,
    stderr: IO[bytes] | None = None,
) -> subprocess.Popen[bytes]:
    """Start a program in a session of its own. Call it from a thread that lives as long as the program should.

    Raises OSError when it cannot be started.
    """
    return subprocess.Popen(
        command,
        env=env,
        stdin=subprocess.DEVNULL,
        stdout=stdout,
        stderr=stderr,
        start_new_session=True,
        preexec_fn=_die_with_parent,
    )


def stop(process: subprocess.Popen[bytes], timeout_s: float) -> int:
    """Ask the program to end (SIGTERM), kill it after `timeout_s`; its exit status, negative for a signal."""
    process.terminate()
    try:
        return process.wait(timeout_s)
    except subprocess.TimeoutExpired:
        process.kill()
        return process.wait()


def _die_with_parent() -> None:
    """Between fork and exec: ask the kernel for SIGTERM when the parent dies, even by kill -9."""
    _LIBC.prctl(_PR_SET_PDEATHSIG, signal.SIGTERM)
