"""A camera's sound on its way into files: AAC as it is, G.711 as AAC, anything else not at all.

MP4 takes no G.711 (footage.md, trap 3). Encoding it costs about 0.4 % of a core per camera, in the reader's thread.
"""

import io
from collections.abc import Iterator
from dataclasses import dataclass
from fractions import Fraction
from typing import Any, Final, Protocol

import av
from av.audio.stream import AudioStream
from av.packet import Packet

G711: Final = frozenset({"pcm_alaw", "pcm_mulaw"})

BIT_RATE: Final = 32_000
"""Of G.711 as AAC: speech at 8000 samples a second needs no more."""

SAMPLES: Final = 1024
"""In one frame of AAC."""

HOLE_S: Final = 0.2
"""Sound that is missing for longer shifts the times of what follows; a shorter hole closes."""


@dataclass(frozen=True, slots=True)
class SoundFormat:
    """Times of the sound are in 1/`rate` s; one packet is `frame_ticks` long."""

    rate: int
    frame_ticks: int


class Sound(Protocol):
    """What makes packets for a file of those that a camera sends."""

    template: AudioStream
    format: SoundFormat

    def convert(self, packet: "Packet[Any]") -> "Iterator[Packet[Any]]":
        """The packets for the file, with times in the unit of `format`, or None. Raises av.error.FFmpegError."""


def sound_of(stream: AudioStream) -> Sound | None:
    """How this stream gets into a file; None when it cannot. Raises av.error.FFmpegError or ValueError."""
    context = stream.codec_context
    if context.name in G711 and context.sample_rate:
        return _Encoded(stream)
    if context.name == "aac" and context.extradata and context.sample_rate and stream.time_base is not None:
        return _Copied(stream)
    return None


class _Copied:
    """Some cameras put a header of their own before every frame (ADTS), which no MP4 takes."""

    def __init__(self, stream: AudioStream) -> None:
        self.template = stream
        context, base = stream.codec_context, stream.time_base
        assert base is not None
        rate = int(1 / base)
        self.format = SoundFormat(rate, max(1, SAMPLES * rate // context.sample_rate))

    def convert(self, packet: "Packet[Any]") -> "Iterator[Packet[Any]]":
        head_bytes = _adts_bytes(bytes(packet)[:2])
        if not head_bytes:
            yield packet
        elif packet.size > head_bytes:
            bare = Packet(bytes(packet)[head_bytes:])
            bare.pts, bare.dts, bare.duration = packet.pts, packet.dts, packet.duration
            yield bare


def _adts_bytes(data: bytes) -> int:
    """How long the header is that a frame of AAC begins with (ISO/IEC 13818-7, 6.2), 0 when it has none."""
    if len(data) < 2 or data[0] != 0xFF or data[1] & 0xF6 != 0xF0:
        return 0
    return 7 if data[1] & 1 else 9


class _Encoded:
    """Times are counted in samples; the encoder's own delay of one frame is taken off again by its packets' times."""

    def __init__(self, stream: AudioStream) -> None:
        context = stream.codec_context
        rate, layout = context.sample_rate, "stereo" if context.channels == 2 else "mono"
        self._base = stream.time_base or Fraction(1, rate)
        decoder = av.CodecContext.create(context.name, "r")
        assert isinstance(decoder, av.AudioCodecContext)
        decoder.sample_rate, decoder.layout = rate, layout
        self._decoder = decoder
        self._resampler = av.AudioResampler(format="fltp", layout=layout, rate=rate)
        self._fifo = av.AudioFifo()
        self._shift = 0
        """Samples to be added to the camera's times: they went back by so many."""
        self._next: int | None = None
        """The time of the first sample that waits."""
        # A container of its own gives the encoder's stream a full description, which is what files are made after.
        self._container = av.open(io.BytesIO(), "w", format="mp4")
        self.template = self._container.add_stream("aac", rate=rate, layout=layout)
        self._encoder = self.template.codec_context
        self._encoder.bit_rate = BIT_RATE
        self._container.start_encoding()
        self.format = SoundFormat(rate, SAMPLES)

    def convert(self, packet: "Packet[Any]") -> "Iterator[Packet[Any]]":
        rate = self.format.rate
        came = None if packet.pts is None else int(packet.pts * self._base * rate) + self._shift
        for decoded in self._decoder.decode(Packet(bytes(packet))):
            for frame in self._resampler.resample(decoded):
                frame.pts = None
                expected = None if self._next is None else self._next + self._waiting()
                if expected is None:
                    self._next = came or 0
                elif came is not None and came - expected > HOLE_S * rate:
                    # What waits for a whole frame is dropped, at most an eighth of a second.
                    self._fifo, self._next = av.AudioFifo(), came
                elif came is not None and came - expected < -HOLE_S * rate:
                    self._shift += expected - came  # the encoder takes no times that go back: they go on
                self._fifo.write(frame)
        while (piece := self._fifo.read(SAMPLES)) is not None:
            assert self._next is not None
            piece.pts, piece.time_base = self._next, Fraction(1, rate)
            self._next += SAMPLES
            yield from (each for each in self._encoder.encode(piece) if each.size)

    def _waiting(self) -> int:
        return self._fifo.samples if self._fifo.samples_written else 0
