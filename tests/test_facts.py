"""The vocabulary: what goes over the wire comes back the same, and nothing else comes through."""

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agent.facts import (
    BadFact,
    ClockQuality,
    Condition,
    ConditionKind,
    Fact,
    InputChanged,
    InputState,
    PeopleCounted,
    Pulse,
    Stamp,
    decode,
    encode,
    is_telemetry,
)

stamps = st.builds(Stamp, st.integers(0, 2**62), st.integers(0, 2**62), st.sampled_from(ClockQuality))
plain = st.one_of(st.text(max_size=20), st.integers(-(2**31), 2**31), st.booleans(), st.floats(allow_nan=False))
facts: st.SearchStrategy[Fact] = st.one_of(
    st.builds(
        InputChanged,
        bridge_id=st.text(),
        board_uid=st.text(),
        boot_id=st.integers(0),
        event_id=st.integers(0),
        input_no=st.integers(0, 31),
        previous=st.sampled_from(InputState),
        state=st.sampled_from(InputState),
        at=stamps,
        count=st.integers(1),
        late=st.booleans(),
    ),
    st.builds(
        PeopleCounted,
        room_id=st.text(),
        camera_id=st.text(),
        count=st.integers(0),
        low=st.integers(0),
        high=st.integers(0),
        method=st.text(),
        model=st.text(),
        threshold=st.floats(0, 1),
        frame_at=stamps,
        at=stamps,
    ),
    st.builds(
        Condition,
        kind=st.sampled_from(ConditionKind),
        subject=st.text(),
        active=st.booleans(),
        since=stamps,
        at=stamps,
        detail=st.dictionaries(st.text(), plain, max_size=4),
        ttl_s=st.floats(0, 1e6),
    ),
    st.builds(Pulse, process=st.text(), at=stamps),
)


@given(facts)
def test_a_fact_survives_the_wire(fact: Fact) -> None:
    assert decode(json.loads(json.dumps(encode(fact)))) == fact


AT = {"wall_ns": 1, "mono_ns": 2, "quality": "ntp"}
PULSE: dict[str, Any] = {"fact": "pulse", "process": "record", "at": AT}


@pytest.mark.parametrize(
    ("values", "says"),
    [
        (None, "a fact is an object"),
        ([], "a fact is an object"),
        ({}, "unknown fact None"),
        ({"fact": "fall"}, "unknown fact 'fall'"),
        ({"fact": "pulse", "at": AT}, "process is missing"),
        ({**PULSE, "extra": 1}, "unknown key 'extra'"),
        ({**PULSE, "process": 7}, "expected str, got 7"),
        ({**PULSE, "at": 3}, "a stamp is an object"),
        ({**PULSE, "at": {**AT, "wall_ns": True}}, "expected int, got True"),
        ({**PULSE, "at": {**AT, "quality": "good"}}, "'good' is not one of"),
        (
            {
                "fact": "condition",
                "kind": "disk_full",
                "subject": "",
                "active": True,
                "since": AT,
                "at": AT,
                "detail": [],
            },
            "expected an object of plain values",
        ),
    ],
)
def test_what_is_no_fact_is_refused_with_a_reason(values: Any, says: str) -> None:
    with pytest.raises(BadFact, match=says):
        decode(values)


def test_only_what_cannot_raise_an_alert_may_be_dropped() -> None:
    at = Stamp(1, 2)
    assert is_telemetry(Pulse("record", at))
    assert not is_telemetry(Condition(ConditionKind.DISK_FULL, "volume/x", True, at, at))
