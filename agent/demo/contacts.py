"""The contacts on the wires of the simulated board: what moves them, how they bounce, and what the ADC reads."""

import random
from collections.abc import Callable, Sequence
from typing import Any, Final

from agent.clock import Clock
from firmware_bridge.debounce import SAMPLE_EVERY_MS
from firmware_bridge.messages import Config

ADC_OF: Final = {"normal": 511, "alarm": 715, "open": 1010, "short": 40, "fault": 600}
"""What the ADC reads in each state of a 4k7/4k7 end-of-line pair: the middle of its band."""

_NOISE_COUNTS: Final = 3
_BOUNCE_NS: Final = 4_000_000
"""A push button bounces for a few milliseconds; a sample that falls into it reads anything."""

SAMPLE_NS: Final = SAMPLE_EVERY_MS * 1_000_000

Note = Callable[..., None]
"""note(what, input_no, state, mono_ns, **more): a line of the board's log."""


class Contacts:
    """The inputs of one board as they are wired. Used by the board's thread alone."""

    def __init__(self, inputs: Sequence[Config], clock: Clock, noise: random.Random, note: Note) -> None:
        self._debounce_ns = [each.debounce_ms * 1_000_000 for each in inputs]
        self._clock = clock
        self._noise = noise
        self._note = note
        self.states = ["normal"] * len(inputs)
        self._moved_ns = [-_BOUNCE_NS] * len(inputs)
        self._seen_ns: list[int | None] = [None] * len(inputs)
        self._sampled_ns = 0
        self._held: list[tuple[int, int, bool]] = []

    def move(self, input_no: int, state: str, what: str = "set", **more: Any) -> None:
        """A contact or its line goes into `state`; `what` is what the log calls it."""
        now_ns = self._clock.mono_ns()
        self._note(what, input_no, state, now_ns, **more)
        self.states[input_no] = state
        self._moved_ns[input_no] = now_ns
        self._seen_ns[input_no] = None

    def press(self, number: int, input_no: int, hold_s: float) -> None:
        """Press a button for `hold_s`; while it is held down that is no press."""
        held = self.states[input_no] == "alarm"
        self.move(input_no, "alarm", "held" if held else "press", n=number, hold_s=hold_s)
        hold_ns = int(hold_s * 1e9)
        is_press = hold_ns >= self._debounce_ns[input_no] + _BOUNCE_NS + SAMPLE_NS
        self._held.append((self._clock.mono_ns() + hold_ns, input_no, is_press))

    def release_due(self, now_ns: int, has_power: bool) -> None:
        """Let go of what was held for long enough."""
        for entry in [entry for entry in self._held if entry[0] <= now_ns]:
            _, input_no, is_press = entry
            if is_press and has_power and not self._was_seen(input_no):
                continue
            self._held.remove(entry)
            if not any(other == input_no for _, other, _ in self._held):
                self.move(input_no, "normal", "release")

    def next_ns(self, now_ns: int) -> list[int]:
        """When buttons are let go of, after now."""
        return [at_ns for at_ns, _, _ in self._held if at_ns > now_ns]

    def sample(self, now_ns: int) -> list[int]:
        """What the ADC reads of each input."""
        self._sampled_ns = now_ns
        for input_no, moved_ns in enumerate(self._moved_ns):
            if self._seen_ns[input_no] is None and now_ns - moved_ns >= _BOUNCE_NS:
                self._seen_ns[input_no] = now_ns
        return [self._adc(input_no, now_ns) for input_no in range(len(self.states))]

    def _adc(self, input_no: int, now_ns: int) -> int:
        if now_ns - self._moved_ns[input_no] < _BOUNCE_NS:
            return self._noise.randrange(1024)
        return ADC_OF[self.states[input_no]] + self._noise.randint(-_NOISE_COUNTS, _NOISE_COUNTS)

    def _was_seen(self, input_no: int) -> bool:
        """Whether the firmware looked for its whole debounce time. A chip of its own always does; our thread may be
        kept from it for longer than a press lasts."""
        seen_ns = self._seen_ns[input_no]
        return seen_ns is not None and self._sampled_ns - seen_ns >= self._debounce_ns[input_no]
