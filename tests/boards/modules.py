"""Modbus modules on a pseudo-terminal: an RS-485 bus with faults that the test chooses.

Written from the Modbus specification without the library that the product uses, checksum included, so that both have to
be right to understand each other.
"""

import contextlib
import os
import pty
import select
import threading
import time
import tty
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

Spoil = Callable[[bytes], bytes]
"""What becomes of an answer on the wire; empty: nothing arrives."""


def sealed(body: bytes) -> bytes:
    """`body` with its checksum (CRC-16, polynomial 0xA001, low byte first)."""
    crc = 0xFFFF
    for byte in body:
        crc ^= byte
        for _ in range(8):
            crc = crc >> 1 ^ 0xA001 if crc & 1 else crc >> 1
    return body + crc.to_bytes(2, "little")


def packed(bits: list[bool]) -> bytes:
    return sum(1 << at for at, bit in enumerate(bits) if bit).to_bytes((len(bits) + 7) // 8, "little")


def as_is(answer: bytes) -> bytes:
    return answer


def nothing(_answer: bytes) -> bytes:
    return b""


@dataclass
class FakeModule:
    """One module: inputs, coils, and how it misbehaves. `late_s` is how long it takes over an answer."""

    inputs: list[bool] = field(default_factory=lambda: [False] * 8)
    coils: list[bool] = field(default_factory=lambda: [False] * 8)
    late_s: float = 0.0
    spoil: Spoil = as_is
    powered: bool = True
    asked: int = 0
    asked_ns: list[int] = field(default_factory=list)

    def answer(self, unit: int, request: bytes) -> bytes:
        """What it says to a sound request, by the book."""
        function, address = request[1], int.from_bytes(request[2:4], "big")
        count = int.from_bytes(request[4:6], "big")
        bits = {1: self.coils, 2: self.inputs, 5: self.coils, 15: self.coils}.get(function)
        if bits is None:
            return sealed(bytes((unit, function | 0x80, 1)))
        if address + (1 if function == 5 else count) > len(bits):
            return sealed(bytes((unit, function | 0x80, 2)))
        if function in (1, 2):
            data = packed(bits[address : address + count])
            return sealed(bytes((unit, function, len(data))) + data)
        if function == 5:
            bits[address] = request[4] == 0xFF
        else:
            for at in range(count):
                bits[address + at] = bool(request[7 + at // 8] >> at % 8 & 1)
        return sealed(request[:6])


class FakeBus:
    """Modules behind a pseudo-terminal that is found at `link`."""

    def __init__(self, link: Path, modules: dict[int, FakeModule], echoes: bool = False) -> None:
        self.link = link
        self.modules = modules
        self.echoes = echoes
        self._ours = self._theirs = -1
        self._outgoing: list[tuple[float, bytes]] = []
        self._guard = threading.Lock()
        self._stopping = threading.Event()
        self._thread = threading.Thread(target=self._run, name="fake-bus", daemon=True)
        self.plug()
        self._thread.start()

    def stop(self) -> None:
        self._stopping.set()
        self._thread.join(5)
        self.unplug()

    def plug(self) -> None:
        """The adapter appears, perhaps on another terminal."""
        with self._guard:
            self._ours, self._theirs = pty.openpty()
            tty.setraw(self._theirs)
            os.set_blocking(self._ours, False)
            self.link.unlink(missing_ok=True)
            self.link.symlink_to(os.ttyname(self._theirs))

    def unplug(self) -> None:
        """The adapter is pulled; the modules keep their power."""
        with self._guard:
            self.link.unlink(missing_ok=True)
            for fd in (self._ours, self._theirs):
                if fd >= 0:
                    os.close(fd)
            self._ours = self._theirs = -1

    def inject(self, data: bytes) -> None:
        """Noise on the line."""
        with self._guard:
            self._outgoing.append((time.monotonic(), data))

    def _run(self) -> None:
        heard = bytearray()
        while not self._stopping.is_set():
            with self._guard:
                fd = self._ours
                self._send_due(fd)
            if fd < 0:
                self._stopping.wait(0.005)
                continue
            waiter = select.poll()
            waiter.register(fd, select.POLLIN)
            if any(events & select.POLLIN for _, events in waiter.poll(2)):
                with self._guard, contextlib.suppress(OSError):
                    if fd == self._ours:
                        heard += os.read(fd, 4096)
                heard = self._requests(heard)
            else:
                heard.clear()
                self._stopping.wait(0.001)

    def _send_due(self, fd: int) -> None:
        now = time.monotonic()
        due = [data for at, data in self._outgoing if at <= now]
        self._outgoing = [(at, data) for at, data in self._outgoing if at > now]
        for data in due:
            if fd >= 0:
                with contextlib.suppress(OSError):
                    os.write(fd, data)

    def _requests(self, heard: bytearray) -> bytearray:
        while len(heard) >= 8:
            length = 9 + heard[6] if heard[1] == 15 else 8
            request = bytes(heard[:length])
            if len(request) < length:
                return heard
            if sealed(request[:-2]) != request:
                return bytearray()
            del heard[:length]
            self._take(request)
        return heard

    def _take(self, request: bytes) -> None:
        now = time.monotonic()
        with self._guard:
            if self.echoes:
                self._outgoing.append((now, request))
            module = self.modules.get(request[0])
            if module is None or not module.powered:
                return
            module.asked += 1
            module.asked_ns.append(time.monotonic_ns())
            answer = module.spoil(module.answer(request[0], request))
            if answer:
                self._outgoing.append((now + module.late_s, answer))
