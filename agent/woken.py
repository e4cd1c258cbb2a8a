"""A thread that sleeps until it is woken: for work, or to stop."""

import threading
from collections.abc import Callable


class WokenThread:
    """Runs `work` once, which waits on `wake` and returns when `stopping` is true and nothing is left to do.

    Whoever hands work over does so while holding `wake`, and notifies it.
    """

    def __init__(self, name: str, work: Callable[[], None], complaint: str) -> None:
        """`complaint` is the text of the error when it does not stop."""
        self.wake = threading.Condition()
        self.stopping = False
        """Changed under `wake` alone."""
        self._complaint = complaint
        self._thread = threading.Thread(target=work, name=name, daemon=True)

    def start(self) -> None:
        """Begin."""
        self._thread.start()

    def stop(self, timeout_s: float) -> None:
        """Have it finish what waits, and end. Raises RuntimeError when that takes longer."""
        with self.wake:
            self.stopping = True
            self.wake.notify_all()
        self._thread.join(timeout_s)
        if self._thread.is_alive():
            raise RuntimeError(self._complaint)
