"""Any bytes at the receiver of the core, under the sanitizers; and what must be the same in C and in Python."""

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from firmware_bridge import eeprom
from firmware_bridge.debounce import Bands, classify
from firmware_bridge.frame import Frame, Kind
from firmware_bridge.messages import Config, InputKind, InputMode, LineState, ResetCause
from tests.fakes.board_core import Core, running_core
from tests.firmware.noise import assert_alive, feed_noise
from tests.firmware.twins import UID

pytestmark = pytest.mark.needs_debian("gcc")

frames = st.builds(
    Frame,
    kind=st.sampled_from(Kind), session=st.integers(0, 15), tx_seq=st.integers(0, 255), ack_seq=st.integers(0, 255),
    payload=st.binary(max_size=56), numbered=st.booleans(), repeated=st.booleans(),
).map(Frame.to_bytes)  # fmt: skip
noise = st.lists(st.one_of(st.binary(max_size=140), frames, st.just(b"\x00")), max_size=30).map(b"".join)


@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=noise, session=st.integers(0, 15))
def test_no_bytes_hurt_the_core(core: Core, data: bytes, session: int) -> None:
    core.limits()
    core.load(eeprom.blank(UID))
    core.start(ResetCause.POWER_ON, 0)
    core.receive(Frame(Kind.RESET, session, 0, 0, b"\x01").to_bytes(), 0)
    core.receive(data, 10)
    assert_alive(core, 20)


@pytest.mark.parametrize("seed", range(3))
def test_much_noise_does_not_hurt_the_core(core: Core, seed: int) -> None:
    feed_noise(core, seed, 300)


@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(image=st.binary(min_size=1024, max_size=1024), data=st.data())
def test_no_eeprom_hurts_the_core(core: Core, image: bytes, data: st.DataObject) -> None:
    for write in data.draw(st.lists(writes, max_size=20)):
        image = eeprom.written(image, write)
    core.limits()
    core.load(image)
    core.start(ResetCause.WATCHDOG, 0)
    assert_alive(core, 20)


writes = st.one_of(
    st.builds(
        eeprom.cell_write,
        st.integers(0, eeprom.CELLS - 1),
        st.builds(
            eeprom.PanicCell,
            input_no=st.integers(0, 255), boot_id=st.integers(0, 3), event_id=st.integers(0, 3),
            count=st.sampled_from([1, 2, 0xFFFF]), previous=st.sampled_from(LineState), committed=st.booleans(),
        ),
    ),
    st.builds(eeprom.config_write, st.builds(Config, st.integers(0, 31), *[st.integers(0, 255)] * 2,
              *[st.integers(0, 0xFFFF)] * 7)),
)  # fmt: skip


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    mode=st.sampled_from(InputMode),
    before=st.sampled_from(LineState),
    edges=st.lists(st.one_of(st.integers(0, 1100), st.integers(0, 0xFFFF)), min_size=6, max_size=6),
)
def test_every_reading_means_the_same_to_both(core: Core, mode: InputMode, before: LineState, edges: list[int]) -> None:
    config = Config(0, InputKind.PANIC, mode, 30, *edges)
    same = [classify(adc, mode, Bands(*edges), before) for adc in range(1024)]
    assert core.classified(config, before) == same


@pytest.mark.parametrize("inputs", [6, 16])
def test_a_core_of_another_number_of_inputs(inputs: int) -> None:
    with running_core(inputs, 0x5555) as other:
        other.load(eeprom.blank(UID))
        other.start(ResetCause.POWER_ON, 0)
        assert_alive(other, 20)
