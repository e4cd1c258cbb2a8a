"""The firmware's core (C) on this machine, under the sanitizers, with the face of the Python `Board`."""

import struct
import subprocess
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import IO

from firmware_bridge import eeprom
from firmware_bridge.board import Outputs
from firmware_bridge.messages import Config, Event, InputKind, LineState, ResetCause

CORE = Path(__file__).resolve().parents[2] / "firmware_bridge" / "firmware" / "core"
DRIVER = Path(__file__).with_suffix(".c")
WITHOUT_END = 0xFFFFFFFF
_MS = 1_000_000
_TOP32 = 1 << 32
_BYTE_NS = 10 * 1_000_000_000 // 115_200
_EEPROM_BYTE_NS = 3_400_000
_LINE_BUFFER_BYTES = 64

_FLAGS = (
    "-std=c11", "-O1", "-g", "-Wall", "-Wextra", "-Werror", "-Wconversion", "-pedantic",
    "-fsanitize=address,undefined", "-fno-sanitize-recover=all", "-fno-omit-frame-pointer",
)  # fmt: skip


class CoreDied(AssertionError):
    """The core was stopped by a sanitizer, or by the driver."""


@dataclass(frozen=True, slots=True)
class HeldByCore:
    """What the core's ring and inputs are."""

    last_event_id: int
    boot_id: int
    session: int
    lost: bool
    eeprom_waits: int
    states: list[LineState]
    events: list[Event]
    turns: list[int]


def compiled(folder: Path, inputs: int, panic_inputs: int) -> Path:
    """The driver with a core of so many inputs; `panic_inputs` has a bit for each panic button."""
    program = folder / f"board_core-{inputs}-{panic_inputs:x}"
    command = ["gcc", *_FLAGS, f"-DINPUTS={inputs}", f"-DPANIC_INPUTS={panic_inputs:#x}", f"-I{CORE}"]
    subprocess.run([*command, str(DRIVER), *map(str, sorted(CORE.glob("*.c"))), "-o", str(program)], check=True)
    return program


@contextmanager
def running_core(inputs: int = 8, panic_inputs: int = 0x0F) -> Iterator["Core"]:
    """A core in a process of its own, compiled for this purpose."""
    with tempfile.TemporaryDirectory(prefix="board-core-") as folder:
        core = Core(compiled(Path(folder), inputs, panic_inputs), inputs, panic_inputs)
        try:
            yield core
        finally:
            core.end()


class Core:
    """The driver's process. It dies with a word on stderr when the core does what C does not define."""

    def __init__(self, program: Path, inputs: int, panic_inputs: int) -> None:
        self.inputs = inputs
        self.panic_inputs = panic_inputs
        self._program = program
        self._process: subprocess.Popen[bytes] | None = None
        self._said: IO[bytes] | None = None

    def kind(self, input_no: int) -> InputKind:
        """What the input is until a CONFIG says otherwise."""
        return InputKind.PANIC if self.panic_inputs >> input_no & 1 else InputKind.CONTACT

    def ask(self, command: bytes) -> bytes:
        """One command and its answer (board_core.c). Raises CoreDied."""
        process = self._running()
        assert process.stdin is not None
        assert process.stdout is not None
        try:
            process.stdin.write(command)
            process.stdin.flush()
            head = process.stdout.read(4)
        except BrokenPipeError:
            head = b""
        if len(head) < 4:
            raise CoreDied(self._last_words())
        return process.stdout.read(int.from_bytes(head, "little"))

    def end(self) -> None:
        """End the process, if there is one."""
        if self._process is None:
            return
        for pipe in (self._process.stdin, self._process.stdout):
            assert pipe is not None
            pipe.close()
        self._process.wait(20)
        self._process = None
        if self._said is not None:
            self._said.close()

    # -- the commands --

    def load(self, image: bytes) -> None:
        """The EEPROM is this."""
        self.ask(b"E" + image)

    def image(self) -> bytes:
        """The EEPROM."""
        return self.ask(b"I")

    def limits(self, power: int = WITHOUT_END, eeprom_credit: int = WITHOUT_END, line_room: int = WITHOUT_END) -> None:
        """The power goes after `power` more EEPROM bytes; the EEPROM takes `eeprom_credit` bytes, the line takes
        `line_room` bytes before they are busy."""
        self.ask(struct.pack("<cI", b"P", power))
        self.ask(struct.pack("<cI", b"W", eeprom_credit))
        self.ask(struct.pack("<cI", b"L", line_room))

    def start(self, cause: ResetCause, now_ms: int) -> bytes:
        """`board_start`."""
        return self.ask(struct.pack("<cBI", b"S", cause, now_ms % _TOP32))

    def receive(self, data: bytes, now_ms: int) -> bytes:
        """`board_receive` for each byte; what was sent."""
        return self.ask(struct.pack("<cII", b"R", now_ms % _TOP32, len(data)) + data)

    def sample(self, adcs: Sequence[int], now_ms: int) -> bytes:
        """`board_sample`; what was sent."""
        return self.ask(struct.pack(f"<cI{self.inputs}H", b"A", now_ms % _TOP32, *adcs))

    def tick(self, now_ms: int) -> bytes:
        """`board_tick`; what was sent."""
        return self.ask(struct.pack("<cI", b"T", now_ms % _TOP32))

    def ticks(self, now_ms: int, times: int) -> bytes:
        """`board_tick` for each of the last `times` milliseconds up to `now_ms`; what was sent."""
        return self.ask(struct.pack("<cII", b"C", now_ms % _TOP32, times))

    def live(self, adcs: Sequence[int], now_ms: int, most_ms: int) -> tuple[int, int, bytes]:
        """The ms after `now_ms` as the chip lives them: a sample every ten, a tick in each, EEPROM and line as slow as
        its own. Ends when something is sent. The ms that passed, the newest event id of this boot, what was sent."""
        command = struct.pack(f"<cII{self.inputs}H", b"Q", now_ms % _TOP32, most_ms, *adcs)
        told = self.ask(command)
        passed_ms, last_event_id = struct.unpack_from("<II", told)
        return passed_ms, last_event_id, told[8:]

    def cut(self, now_ms: int) -> None:
        """The power goes: a byte of EEPROM that is being written is left erased. `start` follows."""
        self.ask(struct.pack("<cI", b"X", now_ms % _TOP32))

    def outputs(self, now_ms: int) -> Outputs:
        """`board_outputs`."""
        (bits,) = self.ask(struct.pack("<cI", b"O", now_ms % _TOP32))
        return Outputs(bool(bits & 1), bool(bits & 2), bool(bits & 4))

    def classified(self, config: Config, before: LineState) -> list[LineState]:
        """`classify` for every ADC count from 0 to 1023."""
        return [LineState(each) for each in self.ask(struct.pack("<cB", b"D", before) + config.to_payload())]

    def held(self) -> HeldByCore:
        """What it holds."""
        told = self.ask(b"H")
        last_event_id, boot_id, session, lost, waits = struct.unpack_from("<IIBBB", told)
        at = 11
        states = [LineState(each) for each in told[at : at + self.inputs]]
        events, turns = [], []
        for entry in struct.iter_unpack("<IIIIIBBBB", told[at + self.inputs + 1 :]):
            boot, event_id, t_ms, adc, count, input_no, both, bits, turn = entry
            before, after = LineState(both >> 4), LineState(both & 15)
            latched, lost_before = bool(bits & 1), bool(bits & 2)
            events.append(Event(boot, event_id, t_ms, input_no, before, after, adc, count, latched, lost_before))
            turns.append(turn)
        return HeldByCore(last_event_id, boot_id, session, bool(lost), waits, states, events, turns)

    def _running(self) -> subprocess.Popen[bytes]:
        if self._process is None:
            self._said = tempfile.TemporaryFile()  # noqa: SIM115 -- closed by end()
            self._process = subprocess.Popen(
                [str(self._program)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=self._said
            )
        return self._process

    def _last_words(self) -> str:
        assert self._process is not None
        assert self._said is not None
        self._process.wait(20)
        self._said.seek(0)
        said = self._said.read().decode(errors="replace")
        self.end()
        return f"the core died:\n{said[:4000]}"


class CoreBoard:
    """The core with the face of `Board`: one board from reset to reset. Only one at a time in one `Core`.

    With `as_the_chip`, EEPROM takes a byte every 3.4 ms (ATmega328P data sheet), and the line has a buffer of 64 bytes
    that empties at 115200 baud.
    """

    def __init__(
        self,
        core: Core,
        image: bytes,
        defaults: Sequence[Config],
        cause: ResetCause,
        as_the_chip: bool = False,
    ) -> None:
        """`defaults` must be what the core was compiled with: they are not told to it."""
        assert [config.kind for config in defaults] == [core.kind(number) for number in range(core.inputs)]
        self.made: list[Event] = []
        self._core = core
        self._as_the_chip = as_the_chip
        self._busy_until_ns = 0
        self._backlog_bytes = 0.0
        self._flowed_ns = 0
        self._image = image
        core.load(image)
        core.limits()
        self._out = bytearray(core.start(cause, 0))
        self._last_event_id = 0
        self.boot_id = core.held().boot_id

    @property
    def in_session(self) -> bool:
        return self._core.held().session != 0

    @property
    def held(self) -> list[Event]:
        return self._core.held().events

    @property
    def states(self) -> list[LineState]:
        return self._core.held().states

    def take_writes(self) -> list[eeprom.Write]:
        """The image as it is now, as one write."""
        image = self._core.image()
        if image == self._image:
            return []
        self._image = image
        return [eeprom.Write(0, image)]

    def to_send(self) -> bytes:
        data = bytes(self._out)
        self._out.clear()
        return data

    def outputs(self, now_ns: int) -> Outputs:
        return self._core.outputs(now_ns // _MS)

    def sample(self, adcs: Sequence[int], now_ns: int) -> None:
        self._flow(now_ns)
        self._said(self._core.sample(adcs, now_ns // _MS))
        held = self._core.held()
        if held.last_event_id != self._last_event_id:
            self.made += [
                event
                for event in held.events
                if event.boot_id == self.boot_id and not event.from_latch and event.event_id > self._last_event_id
            ]
            self._last_event_id = held.last_event_id

    def receive(self, data: bytes, now_ns: int) -> None:
        self._flow(now_ns)
        self._said(self._core.receive(data, now_ns // _MS))

    def tick(self, now_ns: int) -> None:
        self._flow(now_ns)
        self._said(self._core.tick(now_ns // _MS))

    def deadline_ns(self) -> int:
        """When the EEPROM is ready for the next byte; of everything else the core is told with every sample."""
        if self._as_the_chip and self._core.held().eeprom_waits:
            return max(self._busy_until_ns, self._flowed_ns + _MS)
        return 1 << 62

    def _flow(self, now_ns: int) -> None:
        if not self._as_the_chip:
            return
        self._backlog_bytes = max(0.0, self._backlog_bytes - (now_ns - self._flowed_ns) / _BYTE_NS)
        self._flowed_ns = now_ns
        ready = now_ns >= self._busy_until_ns
        if ready:
            self._busy_until_ns = now_ns + _EEPROM_BYTE_NS
        self._core.limits(eeprom_credit=int(ready), line_room=_LINE_BUFFER_BYTES - int(self._backlog_bytes + 1))

    def _said(self, data: bytes) -> None:
        self._backlog_bytes += len(data)
        self._out += data
