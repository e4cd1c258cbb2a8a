"""What surrounds the microcontroller of the simulated board: its serial line and its EEPROM."""

import os
import queue
import threading
from collections import deque
from pathlib import Path
from typing import Final

from firmware_bridge import eeprom

BYTE_NS: Final = 10 * 1_000_000_000 // 115_200
"""One byte on the line: start bit, eight data bits, stop bit."""

_CHUNK_BYTES: Final = 8


class Line:
    """One direction of the serial line: bytes come out no faster than 115200 baud lets them."""

    def __init__(self) -> None:
        self._chunks: deque[tuple[int, bytes]] = deque()
        self._free_ns = 0

    def put(self, data: bytes, now_ns: int) -> None:
        for at in range(0, len(data), _CHUNK_BYTES):
            chunk = data[at : at + _CHUNK_BYTES]
            self._free_ns = max(self._free_ns, now_ns) + len(chunk) * BYTE_NS
            self._chunks.append((self._free_ns, chunk))

    def take(self, now_ns: int) -> bytes:
        data = bytearray()
        while self._chunks and self._chunks[0][0] <= now_ns:
            data += self._chunks.popleft()[1]
        return bytes(data)

    def next_ns(self) -> int | None:
        return self._chunks[0][0] if self._chunks else None


class EepromFile:
    """The EEPROM as a file; writes are done in order on a thread of their own, as the chip does them aside."""

    def __init__(self, path: Path, uid: bytes) -> None:
        if not path.exists() or path.stat().st_size != eeprom.IMAGE_BYTES:
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(eeprom.blank(uid))
        self._path = path
        self._writes: queue.SimpleQueue[eeprom.Write | threading.Event | None] = queue.SimpleQueue()
        self._thread = threading.Thread(target=self._run, name="demo-board-eeprom", daemon=True)
        self._thread.start()

    def write(self, write: eeprom.Write) -> None:
        self._writes.put(write)

    def image(self) -> bytes:
        """What is in it once all writes so far are done."""
        done = threading.Event()
        self._writes.put(done)
        if not done.wait(10):
            raise RuntimeError("the EEPROM file takes no writes")
        return self._path.read_bytes()

    def close(self) -> None:
        self._writes.put(None)
        self._thread.join(10)

    def _run(self) -> None:
        with self._path.open("r+b") as file:
            while (write := self._writes.get()) is not None:
                if isinstance(write, threading.Event):
                    write.set()
                    continue
                file.seek(write.address)
                file.write(write.data)
                file.flush()
                os.fsync(file.fileno())
