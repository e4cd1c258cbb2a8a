"""A thread that sleeps until it is woken."""

import threading

import pytest

from agent.woken import WokenThread


def test_it_finishes_what_waits_before_it_ends() -> None:
    done: list[int] = []
    waiting = [1, 2, 3]

    def work() -> None:
        while True:
            with thread.wake:
                thread.wake.wait_for(lambda: waiting or thread.stopping)
                if not waiting:
                    return
                done.append(waiting.pop(0))

    thread = WokenThread("test", work, "it did not stop")
    thread.start()
    thread.stop(10)
    assert done == [1, 2, 3]


def test_one_that_hangs_is_complained_of() -> None:
    free = threading.Event()

    def work() -> None:
        free.wait(30)

    thread = WokenThread("test", work, "it did not stop")
    thread.start()
    with pytest.raises(RuntimeError, match="it did not stop"):
        thread.stop(0.05)
    free.set()
    thread.stop(10)
