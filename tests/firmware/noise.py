"""Noise on the line of a core, and the question whether it still does its work."""

import random

from firmware_bridge import eeprom
from firmware_bridge import messages as say
from firmware_bridge.frame import MAX_PAYLOAD_BYTES, Deframer, Frame, Kind
from firmware_bridge.messages import LineState, ResetCause
from tests.fakes.board_core import Core
from tests.firmware.twins import NORMAL, UID

ALARM = 715
SESSION = 9


def feed_noise(core: Core, seed: int, pieces: int) -> None:
    """Start the core and give it so many pieces of noise: bytes, half frames, sound frames of any content."""
    chance = random.Random(seed)
    core.limits()
    core.load(eeprom.blank(UID))
    core.start(ResetCause.POWER_ON, 0)
    now_ms = 0
    for _ in range(pieces):
        core.receive(b"".join(_piece(chance) for _ in range(20)), now_ms)
        core.sample([chance.randrange(1024) for _ in range(core.inputs)], now_ms)
        now_ms += chance.choice((1, 10, 30, 1000))
        core.limits(
            eeprom_credit=chance.choice((0, 1, 5, 0xFFFFFFFF)), line_room=chance.choice((0, 31, 32, 63, 0xFFFFFFFF))
        )
        core.tick(now_ms)
    core.limits()
    core.start(ResetCause.EXTERNAL, now_ms)
    assert_alive(core, now_ms)


def assert_alive(core: Core, now_ms: int) -> None:
    """A new session begins, every input is told as normal, and a press as a press."""
    core.receive(b"\x00" + Frame(Kind.RESET, SESSION, 0, 0, b"\x01").to_bytes(), now_ms)
    for number in range(core.inputs):
        now_ms += 1
        config = say.Config(number, say.InputKind.PANIC, say.InputMode.END_OF_LINE, 30, 150, 400, 570, 631, 800, 930)
        core.receive(Frame(Kind.CONFIG, SESSION, number, 0, config.to_payload(), numbered=True).to_bytes(), now_ms)
    _hold(core, [NORMAL] * core.inputs, now_ms)
    frames = _hold(core, [ALARM] * core.inputs, now_ms + 200)
    assert core.held().states == [LineState.ALARM] * core.inputs
    assert {frame.session for frame in frames} == {SESSION}
    told = {event.input_no for event in core.held().events if event.state is LineState.ALARM}
    assert told >= set(range(core.inputs)), "each press is in the ring"


def _hold(core: Core, adcs: list[int], now_ms: int) -> list[Frame]:
    said = b""
    for at in range(0, 200, 10):
        said += core.sample(adcs, now_ms + at) + core.tick(now_ms + at)
    return Deframer().feed(said)


def _piece(chance: random.Random) -> bytes:
    match chance.randrange(4):
        case 0:
            return chance.randbytes(chance.randrange(130))
        case 1:
            return b"\x00" * chance.randrange(3)
        case 2:
            return _frame(chance)
        case _:
            spoilt = bytearray(_frame(chance))
            spoilt[chance.randrange(len(spoilt))] ^= 1 << chance.randrange(8)
            return bytes(spoilt[: chance.randrange(len(spoilt) + 1)])


def _frame(chance: random.Random) -> bytes:
    return Frame(
        chance.choice(list(Kind)),
        chance.choice((0, SESSION, chance.randrange(16))),
        chance.randrange(256),
        chance.randrange(256),
        chance.randbytes(chance.randrange(MAX_PAYLOAD_BYTES + 1)),
        chance.random() < 0.5,
        chance.random() < 0.5,
    ).to_bytes()
