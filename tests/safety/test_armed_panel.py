"""The panel with an area, over time: what is told, in which order, and what is not."""

from itertools import count

from agent.facts import InputState, Stamp
from agent.safety.arming import Arm, Disarm, Moment, Phase, area_of
from agent.safety.incidents import Happening, Incident, Life
from agent.safety.panel import Panel, by_person
from agent.safety.zone_change import ZoneChange
from agent.safety.zones import Meaning, Seen, Zone, ZoneState, ZoneType

S = 1_000_000_000
PANIC = Zone("Z01", "一键报警", ZoneType.PANIC_24H, "B1", 0, "R01")
DOOR = Zone("D1", "大门", ZoneType.PERIMETER, "B1", 1, area="A1", entry=True, held_open_s=120)
WINDOW = Zone("W1", "窗", ZoneType.PERIMETER, "B1", 2, area="A1")
GAS = Zone("G1", "燃气", ZoneType.ENVIRONMENT, "B1", 3, kind="gas")
ZONES = (PANIC, DOOR, WINDOW, GAS)
ALARM, NORMAL, OPEN = InputState.ALARM, InputState.NORMAL, InputState.OPEN


class House:
    """A panel and a clock."""

    def __init__(self) -> None:
        self.panel = Panel(ZONES, [area_of("A1", "全园", 45, 30, ZONES)])
        self.now_s = 0.0
        self._ids = count(1)
        self.changes: list[ZoneChange] = []
        for zone in ZONES:
            self.panel.snapshot("B1", {zone.input_no: NORMAL}, Stamp(0, 0))

    @property
    def moment(self) -> Moment:
        return Moment(round(self.now_s * S), round(self.now_s * S))

    def name(self, part: str) -> str:
        return f"{next(self._ids)}/{part}"

    def sees(self, zone: Zone, state: InputState) -> list[Meaning]:
        now = self.moment
        change = self.panel.change(zone, Seen(state, now.wall_ns), self.name, mono_ns=now.mono_ns)
        self.changes.append(change)
        return [told.meaning for told in change.told]

    def passes(self, seconds: float) -> list[Meaning]:
        told: list[Meaning] = []
        for _ in range(round(seconds * 2)):
            self.now_s += 0.5
            for change in self.panel.turn(self.name, self.moment):
                self.changes.append(change)
                told += [each.meaning for each in change.told]
        return told

    def act(self, act: Arm | Disarm) -> None:
        areas = self.panel.areas
        areas.put("A1", areas.decide("A1", act, self.moment))

    def arm(self) -> None:
        self.act(Arm("王芳", at_once=True))

    def open(self, kind: str) -> Incident:
        (found,) = [each for each in self.panel.open_incidents() if each.kind == kind]
        return found


def test_a_window_opened_while_armed_latches_until_a_person_resets_it() -> None:
    house = House()
    house.arm()
    assert house.sees(WINDOW, ALARM) == [Meaning.DOOR_FORCED]
    incident = house.open("door_forced")
    assert (incident.latched, incident.subject, house.changes[-1].armed) == (True, "zone/W1", True)
    assert house.sees(WINDOW, NORMAL) == [Meaning.DOOR_FORCED_RESTORED]
    house.act(Disarm("王芳"))
    incident = house.open("door_forced")
    assert incident.state is Life.RESTORED, "disarming resets nothing"
    house.panel.keep(by_person(incident, Happening.RESET, "王芳", "误报", 1))
    assert house.panel.open_incidents() == []
    assert house.sees(WINDOW, ALARM) == [Meaning.DOOR_OPENED]


def test_coming_in_without_disarming() -> None:
    house = House()
    house.arm()
    assert house.sees(DOOR, ALARM) == [Meaning.DOOR_OPENED]
    assert house.changes[-1].areas[0][1].phase is Phase.ENTRY_DELAY
    assert house.sees(DOOR, NORMAL) == [Meaning.DOOR_CLOSED]
    assert house.passes(29.5) == []
    assert house.passes(0.5) == [Meaning.INTRUSION, Meaning.INTRUSION_RESTORED], "the door is closed again"
    assert house.open("intrusion").state is Life.RESTORED


def test_a_cut_line_is_a_fault_and_while_armed_an_intrusion_too() -> None:
    house = House()
    assert house.sees(WINDOW, OPEN) == [Meaning.FAULT]
    assert house.sees(WINDOW, NORMAL) == [Meaning.FAULT_RESTORED]
    house.arm()
    assert house.sees(WINDOW, OPEN) == [Meaning.FAULT, Meaning.INTRUSION]
    assert [told.part for told in house.changes[-1].told] == ["", "intrusion"]
    assert house.sees(WINDOW, ALARM) == [Meaning.FAULT_RESTORED, Meaning.DOOR_FORCED]
    assert house.open("intrusion").state is Life.TRIGGERED, "the window is open"
    assert house.sees(WINDOW, NORMAL) == [Meaning.DOOR_FORCED_RESTORED, Meaning.INTRUSION_RESTORED]


def test_a_door_held_open_is_told_once_and_restored_by_closing_it() -> None:
    house = House()
    house.sees(DOOR, ALARM)
    assert house.passes(119) == []
    assert house.passes(300) == [Meaning.DOOR_HELD_OPEN]
    assert not house.open("door_held_open").latched
    assert house.sees(DOOR, NORMAL) == [Meaning.DOOR_HELD_OPEN_RESTORED, Meaning.DOOR_CLOSED]
    assert house.panel.open_incidents() == []
    house.sees(WINDOW, ALARM)
    assert house.passes(1000) == [], "this one may stand open"


def test_a_chattering_gas_detector_is_one_incident_told_now_and_then() -> None:
    house = House()
    told: list[Meaning] = []
    for _ in range(600):
        told += house.sees(GAS, ALARM)
        told += house.sees(GAS, NORMAL)
        told += house.passes(0.5)
    assert told[:6] == [Meaning.ENVIRONMENT, Meaning.ENVIRONMENT_RESTORED] * 3
    assert 25 <= told.count(Meaning.ENVIRONMENT) - 3 <= 31, "one in ten seconds"
    assert told.count(Meaning.ENVIRONMENT_RESTORED) == 3
    assert house.open("environment").count == 600
    assert house.passes(20)[-1] is Meaning.ENVIRONMENT_RESTORED
    assert house.open("environment").state is Life.RESTORED
    assert house.sees(PANIC, ALARM) == [Meaning.PANIC]


def test_a_chattering_line_stays_one_incident() -> None:
    house = House()
    ids = set()
    for number in range(100):
        house.sees(WINDOW, OPEN)
        if number >= 3:
            ids.add(house.open("fault").id)
        house.sees(WINDOW, NORMAL)
        house.passes(0.5)
    assert len(ids) == 1
    assert house.open("fault").count == 97
    assert house.passes(15)[-1] is Meaning.FAULT_RESTORED
    assert house.panel.open_incidents() == []
    house.passes(120)
    assert house.panel._swings == {}, "nothing of it is kept"


def test_a_door_that_rattles_all_day_is_told_now_and_then_and_used_by_people_each_time() -> None:
    house = House()
    told: list[Meaning] = []
    for _ in range(1200):
        told += house.sees(WINDOW, ALARM)
        told += house.sees(WINDOW, NORMAL)
        told += house.passes(0.5)
    assert told[:120] == [Meaning.DOOR_OPENED, Meaning.DOOR_CLOSED] * 60
    assert 55 <= len(told) - 120 <= 65, "one in ten seconds"
    held_back = sum(each.held_back for change in house.changes for each in change.told)
    told_alone = sum(each.meaning is Meaning.DOOR_OPENED for change in house.changes for each in change.told)
    assert 1200 - 20 <= held_back + told_alone <= 1200, "and each is counted"
    assert house.panel.open_incidents() == []
    house.passes(120)
    assert house.panel._swings == {}
    for _ in range(100):
        assert house.sees(WINDOW, ALARM) == [Meaning.DOOR_OPENED]
        assert house.sees(WINDOW, NORMAL) == [Meaning.DOOR_CLOSED]
        house.passes(1.5)


def test_every_press_is_told_however_fast_they_come() -> None:
    house = House()
    told: list[Meaning] = []
    for _ in range(100):
        told += house.sees(PANIC, ALARM)
        told += house.sees(PANIC, NORMAL)
    assert told == [Meaning.PANIC, Meaning.PANIC_RESTORED] * 100


def test_a_restart_knows_the_area_and_what_was_opened_in_between() -> None:
    house = House()
    house.arm()
    stored = dict(house.panel.areas.take_changed())
    again = House()
    again.now_s = 5
    assert again.sees(WINDOW, ALARM) == [Meaning.DOOR_OPENED], "before the database is read nobody knows better"
    states = {zone.id: ZoneState(NORMAL, 1) for zone in ZONES}
    (change,) = again.panel.take_over([], states, stored, again.name, again.moment)
    assert [told.meaning for told in change.told] == [Meaning.DOOR_FORCED]
    assert again.panel.areas.state_of("A1").phase is Phase.ARMED


def test_a_restore_that_was_held_back_is_told_after_a_restart() -> None:
    incident = Incident("i", "tamper", "zone/W1", "窗", None, True, 1, 1, count=9)
    house = House()
    states = {"W1": ZoneState(NORMAL, 1)}
    assert house.panel.take_over([incident], states, {}, house.name, house.moment) == []
    assert house.passes(9) == []
    assert house.passes(2) == [Meaning.TAMPER_RESTORED]
    assert house.open("tamper").state is Life.RESTORED


def test_a_silent_board_hides_no_opening_from_an_armed_area() -> None:
    house = House()
    house.arm()
    house.panel.link_lost("B1")
    assert house.passes(60) == []
    house.panel.snapshot("B1", {1: NORMAL, 2: ALARM}, Stamp(0, round(house.now_s * S)))
    house.passes(2)
    (late,) = house.panel.late(house.moment.mono_ns)
    assert house.sees(late.zone, late.state) == [Meaning.DOOR_FORCED]
