"""Mains and battery: what is told when, and when the machine is to be shut down."""

from dataclasses import dataclass, field

from hypothesis import given
from hypothesis import strategies as st

from agent.facts import ConditionKind, InputState
from agent.safety import power
from agent.safety.power import ASK_AGAIN_S, BACK_AFTER_S, LOST_AFTER_S, TOLD_WITHIN_S, Ask, Power
from agent.safety.zones import Zone, ZoneState, ZoneType

MAINS = Zone("Z1", "市电", ZoneType.ENVIRONMENT, "B1", 0, kind="mains")
BATTERY = Zone("Z2", "电池", ZoneType.ENVIRONMENT, "B1", 1, kind="battery")
GAS = Zone("Z3", "燃气", ZoneType.ENVIRONMENT, "B1", 2, kind="gas")
NORMAL, ALARM = InputState.NORMAL, InputState.ALARM


@dataclass
class Box:
    """A machine with its inputs."""

    zones: tuple[Zone, ...] = (MAINS, BATTERY, GAS)
    after_s: float | None = 60.0
    now_s: float = 0.0
    all_told: bool = True
    power: Power = field(default_factory=Power)
    states: dict[str, ZoneState] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.states = {zone.id: ZoneState(NORMAL, 1, known=True) for zone in self.zones}

    def set(self, zone: Zone, state: InputState, known: bool = True) -> None:
        self.states[zone.id] = ZoneState(state, 1, known)

    def turn(self, seconds: float = 0.5) -> tuple[dict[ConditionKind, bool | None], Ask | None]:
        self.now_s += seconds
        now_ns = round(self.now_s * 1e9)
        self.power, lasts, ask = power.step(
            self.power, self.zones, self.states, self.after_s, self.all_told, now_ns
        )  # fmt: skip
        return {each.kind: each.active for each in lasts}, ask

    def turns(self, seconds: float) -> list[tuple[float, Ask]]:
        """Turns of half a second; what was asked when."""
        asked = []
        for _ in range(round(seconds * 2)):
            _, ask = self.turn()
            if ask is not None:
                asked.append((self.now_s, ask))
        return asked


def test_mains_are_lost_and_back_after_their_time() -> None:
    box = Box()
    assert box.turn()[0] == {ConditionKind.MAINS_LOST: False, ConditionKind.BATTERY_LOW: False}
    box.set(MAINS, ALARM)
    box.turn()
    box.turns(LOST_AFTER_S - 0.5)
    assert box.turn(0)[0][ConditionKind.MAINS_LOST] is False
    assert box.turn()[0][ConditionKind.MAINS_LOST] is True
    box.set(MAINS, NORMAL)
    box.turn()
    box.turns(BACK_AFTER_S - 0.5)
    assert box.turn(0)[0][ConditionKind.MAINS_LOST] is True
    assert box.turn()[0][ConditionKind.MAINS_LOST] is False


def test_a_relay_that_chatters_is_told_once() -> None:
    box, told = Box(), []
    for number in range(200):
        box.set(MAINS, ALARM if number % 2 else NORMAL)
        told.append(box.turn()[0][ConditionKind.MAINS_LOST])
    assert set(told) == {False}


def test_what_nobody_sees_stays_as_it_was_and_is_not_known_at_the_start() -> None:
    box = Box()
    box.set(MAINS, NORMAL, known=False)
    assert box.turn()[0][ConditionKind.MAINS_LOST] is None
    box.set(MAINS, ALARM)
    box.turns(LOST_AFTER_S + 1)
    box.set(MAINS, NORMAL, known=False)
    box.turns(60)
    assert box.turn()[0][ConditionKind.MAINS_LOST] is True
    box.set(MAINS, InputState.OPEN)
    box.turns(60)
    assert box.turn()[0][ConditionKind.MAINS_LOST] is True, "a cut line says nothing of the mains"


def test_told_first_then_asked_and_asked_again() -> None:
    box = Box()
    box.set(MAINS, ALARM)
    box.set(BATTERY, ALARM)
    asked = box.turns(LOST_AFTER_S + 60 + 2 * ASK_AGAIN_S + 5)
    assert [ask for _, ask in asked] == [Ask.TELL, Ask.SHUT_DOWN, Ask.SHUT_DOWN, Ask.SHUT_DOWN]
    assert asked[0][0] >= LOST_AFTER_S + 60
    assert asked[1][0] - asked[0][0] == 0.5
    assert asked[2][0] - asked[1][0] == ASK_AGAIN_S


def test_platforms_are_waited_for_but_not_for_long() -> None:
    box = Box(all_told=False)
    box.set(MAINS, ALARM)
    box.set(BATTERY, ALARM)
    (_, told), (at_s, asked) = box.turns(LOST_AFTER_S + 60 + TOLD_WITHIN_S + 5)
    assert (told, asked) == (Ask.TELL, Ask.SHUT_DOWN)
    assert at_s >= LOST_AFTER_S + 60 + TOLD_WITHIN_S


def test_power_that_comes_back_in_time_ends_it() -> None:
    box = Box()
    box.set(MAINS, ALARM)
    box.set(BATTERY, ALARM)
    assert box.turns(LOST_AFTER_S + 45) == []
    box.set(MAINS, NORMAL)
    assert box.turns(300) == []
    box.set(MAINS, ALARM)
    assert box.turns(LOST_AFTER_S + 59) == [], "the time begins anew"


def test_power_that_comes_back_after_it_was_told_ends_it_unless_it_was_asked_for() -> None:
    for zone in (MAINS, BATTERY):
        box = Box(all_told=False)
        box.set(MAINS, ALARM)
        box.set(BATTERY, ALARM)
        box.turns(LOST_AFTER_S + 58)
        box.set(zone, NORMAL)
        assert [ask for _, ask in box.turns(BACK_AFTER_S + 5)] == [Ask.TELL]
        assert not box.power.shutting_down
        assert box.turns(300) == []


def test_off_unless_it_is_set_and_not_with_the_mains_there_or_unseen() -> None:
    for box in (Box(after_s=None), Box(), Box()):
        box.set(BATTERY, ALARM)
        assert box.turns(300) == []
    unseen = Box()
    unseen.set(MAINS, ALARM)
    unseen.set(BATTERY, ALARM)
    unseen.turns(LOST_AFTER_S + 1)
    unseen.set(MAINS, ALARM, known=False)
    assert unseen.turns(300) == []
    alone = Box(zones=(BATTERY,))
    alone.set(BATTERY, ALARM)
    assert [ask for _, ask in alone.turns(70)] == [Ask.TELL, Ask.SHUT_DOWN]


@given(st.lists(st.tuples(st.sampled_from([MAINS, BATTERY]), st.sampled_from(InputState), st.booleans()), max_size=60))
def test_nothing_is_asked_for_that_was_not_told_for_a_low_battery(
    changes: list[tuple[Zone, InputState, bool]],
) -> None:
    box, told = Box(after_s=10.0), False
    for zone, state, known in changes:
        box.set(zone, state, known)
        for _ in range(8):
            _, ask = box.turn()
            if ask is Ask.TELL:
                told = True
                assert box.power.supplies["Z2"].lost
                assert box.power.supplies["Z1"].lost
            if ask is Ask.SHUT_DOWN:
                assert told
