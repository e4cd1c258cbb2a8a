"""One module that is asked in simulated time, as the bus does it."""

import random
from dataclasses import dataclass, field

from agent.boards.polled import Answer, Miss, Missed, Stray, module, step
from agent.boards.telling import Result
from agent.boards.turns import Wire, press_ms

MS = 1_000_000


@dataclass
class Polled:
    """A module with one input. It takes `answer_ms` over an answer and says what the input was when it was asked.

    `loss` of its answers get lost and `late` of them take up to 0.25 s.
    """

    poll_ms: int
    answer_ms: int
    seed: int = 0
    loss: float = 0.0
    late: float = 0.0
    alarm: bool = False
    now_ns: int = 0
    told: list[Result] = field(default_factory=list)

    def __post_init__(self) -> None:
        self._wire = Wire(115_200, answer_ms=40)
        self._random = random.Random(self.seed)
        self._state = module(1, self.poll_ms, 0)
        self._patience_ns = self._wire.patience_ns(8, 6)
        self._coming: list[tuple[int, bool]] = []
        self._asked_ns: int | None = None

    @property
    def press_ms(self) -> int:
        """How long a press must be, by what the product promises."""
        return press_ms(self._wire, [1], self.poll_ms)

    def run(self, for_ms: int) -> None:
        """Let time pass, in steps of a millisecond."""
        for _ in range(for_ms):
            self.now_ns += MS
            self._turn()

    def _turn(self) -> None:
        due = [each for each in self._coming if each[0] <= self.now_ns]
        self._coming = [each for each in self._coming if each[0] > self.now_ns]
        for _, alarm in due:
            if self._asked_ns is None:
                self._step(Stray(self.now_ns))
            else:
                asked_ns, self._asked_ns = self._asked_ns, None
                self._step(Answer((alarm,), asked_ns, self.now_ns))
        if self._asked_ns is not None and self.now_ns - self._asked_ns >= self._patience_ns:
            self._asked_ns = None
            self._step(Missed(Miss.SILENT, self.now_ns))
        if self._asked_ns is None and self.now_ns >= self._state.ask_ns:
            self._ask()

    def _ask(self) -> None:
        self._asked_ns = self.now_ns
        if self._random.random() < self.loss:
            return
        after_ms = self._random.randint(40, 250) if self._random.random() < self.late else self.answer_ms
        self._coming.append((self.now_ns + after_ms * MS, self.alarm))

    def _step(self, fact: Answer | Missed | Stray) -> None:
        self._state, results = step(self._state, fact)
        self.told += results
