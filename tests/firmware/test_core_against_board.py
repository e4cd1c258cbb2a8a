"""The firmware's core does what the Python board does, byte for byte, whatever happens to both."""

from dataclasses import replace

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    invariant,
    precondition,
    rule,
    run_state_machine_as_test,
)

from firmware_bridge.eeprom import CELLS, PanicCell, blank, cell_write, next_boot, written
from firmware_bridge.frame import Kind
from firmware_bridge.messages import Config, Get, LineState, NakReason, Output, ResetCause, ResetReason, Test, Wanted
from tests.fakes.board_core import Core
from tests.firmware.twins import UID, Twins

pytestmark = pytest.mark.needs_debian("gcc")

INPUTS = 8
ADCS = st.one_of(st.sampled_from([511, 715, 715, 511, 1010, 40, 600]), st.integers(0, 1023))
JUMPS_MS = [99, 999, 1000, 3000, 9_999, 10_000, 65_534, 70_000, 1 << 20, 1 << 30]
u16 = st.integers(0, 0xFFFF)
small = st.integers(0, 1100)
near = st.sampled_from([0, 0, 0, 0, 1, 2, 127, 128, 129, 255])
PAYLOADS = {
    Kind.CONFIG: st.builds(
        lambda *values: Config(*values).to_payload(),
        st.integers(0, 9), st.integers(0, 3), st.integers(0, 4), st.one_of(st.integers(0, 100), u16),
        *[st.one_of(small, u16)] * 6,
    ),
    Kind.GET: st.sampled_from([Get(each).to_payload() for each in (*Wanted, 3)]),
    Kind.OUTPUT: st.builds(lambda siren, led: Output(siren, led).to_payload(), st.booleans(), st.booleans()),
    Kind.TEST: st.builds(
        lambda siren, led, s: Test(siren, led, s).to_payload(), st.booleans(), st.booleans(), st.integers(0, 255)
    ),
    Kind.NAK: st.sampled_from([bytes((each,)) for each in (*NakReason, 7)]),
    Kind.RESET: st.sampled_from([bytes((each,)) for each in ResetReason]),
    Kind.SYNC: st.binary(min_size=4, max_size=4),
}  # fmt: skip


class SideBySide(RuleBasedStateMachine):
    """`core` is set by the test."""

    core: Core

    @initialize(seed=st.integers(0, 1000), jump=st.sampled_from([0, 0, 0, 20, 400, 5000]))
    def begin(self, seed: int, jump: int) -> None:
        self.twins = Twins(self.core, seed)
        if jump:
            self.twins.near_the_wrap(jump)
        for _ in range(12):
            self.twins.turn(10)

    @rule(number=st.integers(0, INPUTS - 1), adc=ADCS)
    def input_reads(self, number: int, adc: int) -> None:
        self.twins.adcs[number] = adc

    @rule(times=st.integers(1, 12))
    def time_passes(self, times: int) -> None:
        for _ in range(times):
            self.twins.turn(10)

    @rule(number=st.integers(0, INPUTS - 1))
    def press_and_release(self, number: int) -> None:
        for adc in (715, 511):
            self.twins.adcs[number] = adc
            for _ in range(5):
                self.twins.turn(10)

    @rule()
    def everybody_presses(self) -> None:
        for adc in (715, 511):
            self.twins.adcs = [adc] * INPUTS
            for _ in range(5):
                self.twins.turn(10)

    @rule(ms=st.integers(1, 25))
    def a_moment_passes(self, ms: int) -> None:
        self.twins.turn(ms)

    @rule(ms=st.sampled_from(JUMPS_MS), together=st.booleans())
    def much_time_passes(self, ms: int, together: bool) -> None:
        if together:
            self.twins.turn(ms)
        else:
            self.twins.pass_time(ms)

    @rule(to_board=st.booleans(), to_host=st.booleans())
    def wires(self, to_board: bool, to_host: bool) -> None:
        self.twins.to_board_ok, self.twins.to_host_ok = to_board, to_host

    @precondition(lambda self: self.twins.reported)
    @rule(number=st.integers(0, 15))
    def commit(self, number: int) -> None:
        self.twins.commit(number)

    @rule()
    def commit_all(self) -> None:
        while self.twins.reported:
            self.twins.commit(0)
        self.twins.turn(10)

    @rule()
    def another_host(self) -> None:
        self.twins.restart_host()

    @rule(data=st.binary(max_size=80))
    def noise(self, data: bytes) -> None:
        self.twins.hear(data + b"\x00")

    @rule(
        kind=st.integers(1, 14), seq=near, ack=near, payload=st.binary(max_size=56),
        flags=st.tuples(st.booleans(), st.booleans()), this_session=st.sampled_from([True, True, True, False]),
    )  # fmt: skip
    def any_frame(
        self, kind: int, seq: int, ack: int, payload: bytes, flags: tuple[bool, bool], this_session: bool
    ) -> None:
        self.twins.hear(self.twins.frame(kind, seq, ack, payload, flags, this_session))

    @rule(data=st.data(), kind=st.sampled_from(sorted(PAYLOADS)), tail=st.binary(max_size=3), spoilt=st.booleans())
    def a_frame_that_says_something(self, data: st.DataObject, kind: Kind, tail: bytes, spoilt: bool) -> None:
        payload = data.draw(PAYLOADS[kind])
        frame = self.twins.frame(kind, 0, 0, payload + tail, (True, False), True)
        self.twins.hear(self.twins.spoil(frame) if spoilt else frame)

    @rule(cause=st.sampled_from(ResetCause))
    def reset(self, cause: ResetCause) -> None:
        self.twins.start(cause)

    @rule(after_bytes=st.integers(0, 60), numbers=st.sets(st.integers(0, 3)))
    def power_cut_in_the_middle_of_writing(self, after_bytes: int, numbers: set[int]) -> None:
        for _ in range(4):
            self.twins.turn(10)
        for number in numbers:
            self.twins.adcs[number] = 1226 - self.twins.adcs[number] if self.twins.adcs[number] in (511, 715) else 715
        before = self.twins.durable()
        self.twins.core.limits(power=after_bytes)
        for _ in range(5):
            self.twins.turn(10, cut=True)
        self.twins.assert_kept(before, self.core.image())
        self.twins.start(ResetCause.BROWN_OUT)

    @invariant()
    def both_are_the_same(self) -> None:
        self.twins.assert_same()


kept_cells = st.builds(
    PanicCell,
    input_no=st.integers(0, 9), boot_id=st.integers(1, 2), event_id=st.integers(1, 20),
    count=st.sampled_from([1, 1, 2, 0xFFFF]), previous=st.sampled_from(LineState), committed=st.booleans(),
)  # fmt: skip


@settings(max_examples=100, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(cells=st.lists(kept_cells | st.none(), max_size=CELLS), all_pending=st.booleans())
def test_both_begin_alike_with_whatever_was_kept(core: Core, cells: list[PanicCell | None], all_pending: bool) -> None:
    """Among it what no board leaves behind: seventeen presses, keys that come twice, inputs that there are not."""
    twins = Twins(core, 0)
    image = blank(UID)
    for _ in range(2):  # the boots of these presses
        image = written(image, next_boot(image)[1])
    for number, cell in enumerate(cells):
        if cell is not None:
            image = written(image, cell_write(number, replace(cell, committed=False) if all_pending else cell))
    core.load(image)
    twins.start(ResetCause.POWER_ON)
    twins.assert_same()
    for _ in range(10):
        twins.turn(10)
        twins.assert_same()


def test_core_and_board_do_the_same(core: Core) -> None:
    SideBySide.core = core
    run_state_machine_as_test(
        SideBySide,
        settings=settings(
            max_examples=60, stateful_step_count=40, deadline=None, suppress_health_check=[HealthCheck.too_slow]
        ),
    )
