"""The figures of docs/wiring.md, worked out from resistors of 1 % and the bands of the firmware."""

import itertools
import re
from pathlib import Path

from firmware_bridge.debounce import HYSTERESIS_COUNTS, Bands, classify
from firmware_bridge.messages import InputMode, LineState

TEXT = (Path(__file__).parents[2] / "docs" / "wiring.md").read_text(encoding="utf-8")
OHM = 4700.0
LOW, HIGH = OHM * 0.99, OHM * 1.01
MOST_CABLE_OHM = 100
ADC_ERROR_COUNTS = 3
"""Two of absolute accuracy (data sheet, table 29-16) and one of rounding."""


def _counts(line_ohm: float, pull_up_ohm: float) -> float:
    return 1023 * line_ohm / (line_ohm + pull_up_ohm)


def _beside(one_ohm: float, other_ohm: float) -> float:
    return one_ohm * other_ohm / (one_ohm + other_ohm)


def _state(counts: float, before: LineState = LineState.UNKNOWN) -> LineState:
    return classify(round(counts), InputMode.END_OF_LINE, Bands(), before)


def test_every_state_holds_with_resistors_of_one_per_cent_the_longest_cable_and_the_error_of_the_adc() -> None:
    for before in LineState:
        for error in (-ADC_ERROR_COUNTS, ADC_ERROR_COUNTS):
            for line, state in ((LOW, LineState.NORMAL), (2 * LOW, LineState.ALARM), (0, LineState.SHORT)):
                assert _state(max(0, _counts(line, HIGH) + error), before) is state
            for line, state in ((HIGH, LineState.NORMAL), (2 * HIGH, LineState.ALARM), (0, LineState.SHORT)):
                assert _state(_counts(line + MOST_CABLE_OHM, LOW) + error, before) is state
        assert _state(1023 - ADC_ERROR_COUNTS, before) is LineState.OPEN


def test_the_readings_in_the_table() -> None:
    assert f"{_counts(LOW, HIGH):.0f}–{_counts(HIGH, LOW):.0f}" == "506–517"
    assert f"{_counts(2 * LOW, HIGH):.0f}–{_counts(2 * HIGH, LOW):.0f}" == "677–687"
    for figure in ("506–517", "677–687", "490–570", "631–800", "> 930", "< 150"):
        assert TEXT.count(f"| {figure} |") == 2, figure
    assert round(_counts(3 * OHM, OHM)) == 767
    assert round(_counts(4 * OHM, OHM)) == 818
    assert round(_counts(OHM / 2, OHM)) == 341
    assert [_state(each) for each in (767, 818, 341)] == [LineState.ALARM, LineState.FAULT, LineState.FAULT]
    assert all(TEXT.count(figure) == 2 for figure in ("767", "818", "341"))


def test_how_far_a_cable_may_go() -> None:
    bands = Bands()
    short = (bands.short_below - 1) / 1023
    assert round(LOW * short / (1 - short)) == 793
    normal = (bands.normal_to - HYSTERESIS_COUNTS) / 1023
    assert 880 <= LOW * normal / (1 - normal) - HIGH < 890
    assert _counts(HIGH + MOST_CABLE_OHM, LOW) - _counts(HIGH, LOW) < 6
    assert len(re.findall(r"793 Ω", TEXT)) == len(re.findall(r"880 Ω", TEXT)) == 2
    copper_ohm_mm2_m = 0.0175
    assert 1300 < MOST_CABLE_OHM / (2 * copper_ohm_mm2_m / 0.5) < 1500
    assert 500 < MOST_CABLE_OHM / (2 * copper_ohm_mm2_m / 0.205) < 600


def test_a_wet_cable_is_told_as_a_fault_before_it_can_hide_a_press_and_the_text_says_so() -> None:
    """A leak between the wires lowers both readings. With any resistors of 1 % and any error of the ADC, at rest the
    line leaves NORMAL for FAULT long before a press would read as NORMAL."""
    hidden_ohm, told_ohm, unclear_ohm = 0, 10**9, 0
    for line, pull_up in ((OHM, OHM), (LOW, HIGH), (HIGH, LOW), (LOW, LOW), (HIGH, HIGH)):
        for error, other in itertools.product((-ADC_ERROR_COUNTS, 0, ADC_ERROR_COUNTS), repeat=2):
            for leak_ohm in range(5_000, 100_000, 250):
                rest = _state(_counts(_beside(line, leak_ohm), pull_up) + error, LineState.NORMAL)
                pressed = _state(_counts(_beside(2 * line, leak_ohm), pull_up) + other, LineState.NORMAL)
                if pressed is LineState.NORMAL:
                    hidden_ohm = max(hidden_ohm, leak_ohm)
                    assert rest is LineState.FAULT, "nobody was told of a line on which a press is not seen"
                if rest is LineState.NORMAL:
                    told_ohm = min(told_ohm, leak_ohm)
                    assert pressed in (LineState.ALARM, LineState.FAULT), "a press is told, as one or as a fault"
                    if pressed is LineState.FAULT:
                        unclear_ohm = max(unclear_ohm, leak_ohm)
    assert 19_000 < hidden_ohm < 20_000
    assert told_ohm == 28_000
    assert 45_000 <= unclear_ohm < 45_500
    for figure in ("20 kΩ", "28 kΩ"):
        assert TEXT.count(figure) >= 2, figure
    assert "28–45 kΩ" in TEXT
    assert "Between 28 and 45 kΩ" in TEXT


def test_a_cable_that_is_dry_again_reads_normal_again() -> None:
    for line, pull_up in ((LOW, HIGH), (HIGH, LOW)):
        for error in (-ADC_ERROR_COUNTS, ADC_ERROR_COUNTS):
            assert _state(_counts(_beside(line, 1_000_000), pull_up) + error, LineState.FAULT) is LineState.NORMAL
            pressed = _state(_counts(_beside(2 * line, 1_000_000), pull_up) + error, LineState.FAULT)
            assert pressed is LineState.ALARM
