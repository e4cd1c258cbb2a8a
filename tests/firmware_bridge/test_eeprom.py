"""What a board keeps through power loss, with the power lost in the middle of a write."""

from dataclasses import replace

from hypothesis import given
from hypothesis import strategies as st

from firmware_bridge import eeprom
from firmware_bridge.board import default_config
from firmware_bridge.frame import crc16
from firmware_bridge.messages import InputKind, LineState

UID = bytes.fromhex("0011223344556677")
cells = st.builds(
    eeprom.PanicCell,
    input_no=st.integers(0, 31),
    boot_id=st.integers(0, 0xFFFFFFFF),
    event_id=st.integers(0, 0xFFFFFFFF),
    count=st.integers(1, 0xFFFF),
    previous=st.sampled_from(LineState),
    committed=st.booleans(),
)


def test_a_blank_board_has_a_name_and_nothing_else() -> None:
    image = eeprom.blank(UID)
    assert len(image) == eeprom.IMAGE_BYTES
    assert eeprom.uid_of(image) == UID
    assert eeprom.cells_of(image) == [None] * eeprom.CELLS
    assert eeprom.config_of(image, 0) is None


def _torn(image: bytes, write: eeprom.Write, after_bytes: int) -> bytes:
    """The image when the power goes after so many bytes of a write, which begins with the last one."""
    done = write.data[max(0, len(write.data) - after_bytes) :]
    return eeprom.written(image, eeprom.Write(write.address + len(write.data) - len(done), done))


@given(st.integers(0, eeprom.CELLS - 1), cells)
def test_a_cell_reads_as_it_was_written_and_can_be_cleared(number: int, cell: eeprom.PanicCell) -> None:
    image = eeprom.written(eeprom.blank(UID), eeprom.cell_write(number, cell))
    assert eeprom.cells_of(image)[number] == cell
    assert sum(each is not None for each in eeprom.cells_of(image)) == 1
    assert eeprom.cells_of(eeprom.written(image, eeprom.cell_write(number, None))) == [None] * eeprom.CELLS


@given(cells, cells, st.integers(0, 16))
def test_a_torn_cell_is_the_old_one_the_new_one_or_none(
    old: eeprom.PanicCell, new: eeprom.PanicCell, torn_at: int
) -> None:
    new = replace(new, committed=False)
    image = eeprom.written(eeprom.blank(UID), eeprom.cell_write(3, old))
    torn = _torn(image, eeprom.cell_write(3, new), torn_at)
    assert eeprom.cells_of(torn)[3] in (old, replace(old, committed=False), new, None)


@given(cells, st.integers(0, 16))
def test_a_press_that_is_being_marked_as_committed_is_never_away(pressed: eeprom.PanicCell, torn_at: int) -> None:
    """Without it, a reset would make a second press of a button that is held."""
    pressed = replace(pressed, committed=False)
    image = eeprom.written(eeprom.blank(UID), eeprom.cell_write(3, pressed))
    marked = replace(pressed, committed=True)
    assert eeprom.cells_of(_torn(image, eeprom.cell_write(3, marked), torn_at))[3] == (marked if torn_at else pressed)


@given(cells, cells, st.integers(0, 15))
def test_a_cleared_cell_does_not_come_back_while_another_is_written_over_it(
    old: eeprom.PanicCell, new: eeprom.PanicCell, torn_at: int
) -> None:
    image = eeprom.written(eeprom.blank(UID), eeprom.cell_write(3, old))
    image = eeprom.written(image, eeprom.cell_write(3, None))
    torn = _torn(image, eeprom.cell_write(3, new), torn_at)
    assert eeprom.cells_of(torn)[3] is None


@given(st.integers(1, 40), st.integers(0, 6))
def test_the_boot_counter_never_repeats_whatever_is_torn(boots: int, torn_at: int) -> None:
    image = eeprom.blank(UID)
    seen = []
    for _ in range(boots):
        boot_id, write = eeprom.next_boot(image)
        image = eeprom.written(image, write)
        seen.append(boot_id)
    assert seen == list(range(1, boots + 1))
    # The power goes while the next boot is being counted: no event had that number yet.
    unfinished, write = eeprom.next_boot(image)
    torn = _torn(image, write, torn_at)
    assert eeprom.next_boot(torn)[0] in (unfinished, unfinished + 1)


def test_configuration_is_kept_for_each_input() -> None:
    image = eeprom.blank(UID)
    for number in range(32):
        image = eeprom.written(image, eeprom.config_write(default_config(number, InputKind.CONTACT)))
    assert all(eeprom.config_of(image, number) == default_config(number, InputKind.CONTACT) for number in range(32))
    assert eeprom.uid_of(image) == UID
    assert eeprom.cells_of(image) == [None] * eeprom.CELLS
    assert len(image) == eeprom.IMAGE_BYTES


def test_resets_by_the_watchdog_are_counted_and_the_count_stops() -> None:
    image = eeprom.blank(UID)
    for told in range(5):
        assert eeprom.watchdog_resets(image, one_more=False) == (told, [])
        count, (write,) = eeprom.watchdog_resets(image, one_more=True)
        assert count == told + 1
        assert eeprom.watchdog_resets(_torn(image, write, 3), one_more=False)[0] in (told, told + 1)
        image = eeprom.written(image, write)
    last = 0xFFFF.to_bytes(2, "big")
    image = eeprom.written(image, eeprom.Write(20, last + crc16(last).to_bytes(2, "big")))
    assert eeprom.watchdog_resets(image, one_more=True) == (0xFFFF, [])
    assert eeprom.next_boot(image)[0] == 1
    assert eeprom.cells_of(image) == [None] * eeprom.CELLS


def test_the_last_cell_and_the_last_configuration_do_not_touch() -> None:
    cell = eeprom.PanicCell(3, 1, 2, 1, LineState.NORMAL)
    image = eeprom.written(eeprom.blank(UID), eeprom.config_write(default_config(31, InputKind.CONTACT)))
    image = eeprom.written(image, eeprom.cell_write(eeprom.CELLS - 1, cell))
    assert eeprom.cells_of(image)[-1] == cell
    assert eeprom.config_of(image, 31) == default_config(31, InputKind.CONTACT)
    assert len(image) == eeprom.IMAGE_BYTES
