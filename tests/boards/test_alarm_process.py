"""The real alarm process with a Modbus module: a press reaches a broker, through a kill and what moved meanwhile."""

import signal
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.boards.modules import FakeBus, FakeModule, as_is, nothing
from tests.fakes.broker import LoopbackBroker
from tests.fakes.panel import Panel
from tests.fakes.waiting import until

pytestmark = pytest.mark.needs_debian("mosquitto")

SETTINGS = """\
facility: {{id: F0012, name: 测试园}}
paths: {{data: data, runtime: run}}
bridges:
  - {{id: M1, kind: modbus, port: rs485, unit: 1, baud: 115200, answer_ms: 80, siren: 0, strobe: 1}}
  - {{id: M2, kind: modbus, port: rs485, unit: 2, baud: 115200, answer_ms: 80, inputs: 4}}
zones:
  - {{id: Z01, name: 一键报警, type: panic_24h, bridge: M1, input: 2, line: closes_on_alarm}}
  - {{id: Z02, name: 保健室一键报警, type: panic_24h, bridge: M2, input: 3, line: opens_on_alarm}}
outputs:
  - {{id: S1, name: 走廊警号, kind: siren, bridge: M1, output: siren}}
  - {{id: L1, name: 走廊警灯, kind: strobe, bridge: M1, output: strobe}}
platforms:
  - {{id: police, role: public_security, brokers: ["{broker}"]}}
web: {{port: 0}}
"""


class ModbusPanel(Panel):
    """A panel whose buttons hang on two modules; the second one rests closed."""

    def __init__(self, folder: Path, broker: LoopbackBroker) -> None:
        super().__init__(folder, {"police": broker})
        self.settings_file.write_text(SETTINGS.format(broker=broker.url), encoding="utf-8")
        self.modules = {1: FakeModule(), 2: FakeModule(inputs=[False, False, False, True])}
        self.bus = FakeBus(folder / "rs485", self.modules)

    def triggered(self, zone: str) -> list[str]:
        """The ids of the panic alerts of this zone, as the platform has them."""
        found = self.taken("police", "panic", "triggered")
        return [alert["id"] for alert in found if zone in str(alert["body"])]


@pytest.fixture
def panel(tmp_path: Path) -> Iterator[ModbusPanel]:
    with LoopbackBroker(tmp_path / "broker") as broker:
        made = ModbusPanel(tmp_path / "panel", broker)
        try:
            with made:
                yield made
        finally:
            made.bus.stop()


def test_presses_on_two_modules_reach_the_broker(panel: ModbusPanel) -> None:
    panel.start()
    panel.modules[1].inputs[2] = True
    panel.modules[2].inputs[3] = False
    until(lambda: panel.triggered("Z01") and panel.triggered("Z02"), 10, "both presses")
    until(lambda: panel.status()["incidents_open"] == 2, 10, "two incidents")
    assert [bridge["id"] for bridge in panel.status()["bridges"]] == ["M1", "M2"]
    assert len(panel.triggered("Z01")) == len(panel.triggered("Z02")) == 1
    assert panel.end() == 0


def test_what_moved_while_the_process_was_dead_is_told_late_and_what_stayed_is_not_told_again(
    panel: ModbusPanel,
) -> None:
    panel.start()
    panel.modules[1].inputs[2] = True
    until(lambda: panel.triggered("Z01"), 10, "the first press")
    until(lambda: panel.status()["incidents_open"] == 1 and not panel.status()["store"]["waiting"], 10, "stored")
    panel.end(signal.SIGKILL)
    panel.modules[2].inputs[3] = False
    panel.start()
    until(lambda: panel.triggered("Z02"), 15, "what moved meanwhile")
    assert len(panel.triggered("Z01")) == 1
    assert panel.status()["incidents_open"] == 2


def test_a_module_that_is_gone_is_told_and_its_zones_are_not_known(panel: ModbusPanel) -> None:
    panel.start()
    panel.modules[2].spoil = nothing
    until(lambda: panel.taken("police", "bridge_silent", "triggered"), 20, "the fault")
    zones = {zone["id"]: zone["state"] for zone in panel.status()["zones"]}
    assert zones == {"Z01": "normal", "Z02": "unknown"}
    panel.modules[2].spoil = as_is
    until(lambda: panel.taken("police", "bridge_silent", "restored"), 20, "and its end")


def test_a_press_sounds_the_siren_on_a_coil_and_a_module_that_forgot_it_is_told_again(panel: ModbusPanel) -> None:
    coils = panel.modules[1].coils
    panel.start()
    panel.modules[2].inputs[3] = False
    until(lambda: coils[0] and coils[1], 10, "siren and strobe")
    (incident,) = [each for each in panel.ask("incidents")["incidents"] if each["latched"]]
    panel.ask("acknowledge", incident_id=incident["id"], who="王芳")
    until(lambda: not coils[0], 10, "silent")
    assert coils[1], "and lit"
    coils[1] = False
    until(lambda: coils[1], 10, "a module that lost its power for a moment is lit again")
    panel.ask("test_output", output_id="S1", seconds=1, who="王芳")
    until(lambda: coils[0], 10, "the siren is tested")
    until(lambda: not coils[0], 10, "and that ends")
    panel.modules[2].inputs[3] = True
    until(lambda: panel.ask("incidents")["incidents"][0]["restored_ns"], 10, "released")
    panel.ask("reset", incident_id=incident["id"], who="王芳", why="误报")
    until(lambda: not coils[0] and not coils[1], 10, "dark")
    assert panel.end() == 0
