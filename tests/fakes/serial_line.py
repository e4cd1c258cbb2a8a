"""One direction of a bad serial line, in simulated time: slow, late, lossy, corrupting. Bytes keep their order, but for
what an adapter held back over a reconnection (`delay_what_is_there`)."""

import random
from collections import deque
from dataclasses import dataclass

BYTE_NS = 10 * 1_000_000_000 // 115_200
"""One byte at 115200 baud, 8N1."""


@dataclass(frozen=True, slots=True)
class Badness:
    """`loss` and `corruption` are chances per frame; a delay lies between `delay_ns` and twice that."""

    loss: float = 0.0
    corruption: float = 0.0
    delay_ns: int = 0


class SerialLine:
    """Bytes go in as they are written, come out when the line has carried them."""

    def __init__(self, badness: Badness, seed: int) -> None:
        self.badness = badness
        self.lost = 0
        self.spoilt = 0
        self._random = random.Random(seed)
        self._carried: deque[tuple[int, int]] = deque()
        self._free_ns = 0
        self._newest_ns = 0
        self._held = bytearray()
        self._held_ns = 0

    def put(self, data: bytes, now_ns: int) -> None:
        """Write `data` (whole frames) at `now_ns`."""
        for frame in data.split(b"\x00")[:-1]:
            self._put_frame(frame + b"\x00", now_ns)

    def take(self, now_ns: int) -> bytes:
        """What has arrived by `now_ns`."""
        arrived = bytearray()
        if self._held and self._held_ns <= now_ns:
            arrived, self._held = self._held, bytearray()
        while self._carried and self._carried[0][0] <= now_ns:
            arrived.append(self._carried.popleft()[1])
        return bytes(arrived)

    def next_ns(self) -> int | None:
        """When the next byte arrives."""
        times = ([self._held_ns] if self._held else []) + ([self._carried[0][0]] if self._carried else [])
        return min(times, default=None)

    def delay_what_is_there(self, until_ns: int) -> None:
        """What is under way arrives then, together; what is written from now on overtakes it."""
        self._held += bytes(byte for _, byte in self._carried)
        self._held_ns = until_ns
        self._carried.clear()

    def cut(self) -> None:
        """The cable is pulled: what is under way is lost, in the middle of a frame."""
        self._carried.clear()

    def _put_frame(self, frame: bytes, now_ns: int) -> None:
        start_ns = max(self._free_ns, now_ns)
        self._free_ns = start_ns + len(frame) * BYTE_NS
        if self._random.random() < self.badness.loss:
            self.lost += 1
            return
        if self._random.random() < self.badness.corruption:
            self.spoilt += 1
            frame = self._spoil(frame)
        late_ns = int(self.badness.delay_ns * (1 + self._random.random())) if self.badness.delay_ns else 0
        for at, byte in enumerate(frame):
            # A later byte never overtakes an earlier one.
            self._newest_ns = max(self._newest_ns, start_ns + (at + 1) * BYTE_NS + late_ns)
            self._carried.append((self._newest_ns, byte))

    def _spoil(self, frame: bytes) -> bytes:
        at = self._random.randrange(len(frame))
        match self._random.randrange(5):
            case 0:  # a flipped bit
                return frame[:at] + bytes((frame[at] ^ 1 << self._random.randrange(8),)) + frame[at + 1 :]
            case 1:  # a lost byte
                return frame[:at] + frame[at + 1 :]
            case 2:  # half a frame, without its end: it runs into the next one
                return frame[:at]
            case 3:  # an invented byte
                return frame[:at] + self._random.randbytes(1) + frame[at:]
            case _:  # a burst of noise
                noise = self._random.randbytes(self._random.randrange(1, 80))
                return frame[:at] + noise + frame[at + len(noise) :]
