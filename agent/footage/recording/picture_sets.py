"""The parameter sets of one connection's pictures, and when its picture becomes another one.

Invariants
1. Another picture is told at most `CHANGES` times in `CHANGES_NS`: each is a file of its own. Pictures that would need
   more are left out, and counted: a camera that changes its mind with every picture fills no disk with files, and no
   log.
"""

from collections import deque
from dataclasses import replace
from typing import Any, Final

import av
from av.packet import Packet
from av.video.codeccontext import VideoCodecContext

from agent.footage.mp4.parameter_sets import parameter_sets
from agent.footage.recording.arrivals import Opened
from agent.footage.timeline import NS

CHANGES: Final = 12
CHANGES_NS: Final = 10 * NS
"""More than one a second, which is the shortest distance of key frames that cameras are commonly set to."""


class PictureSets:
    """What the pictures of a connection are decoded by. Used by its reader alone."""

    def __init__(self, opened: Opened) -> None:
        self.opened = opened
        """What was last told of the connection."""
        self.leaves_out = False
        """Whether the packets that come belong to a picture which nobody was told of."""
        self.left_out = 0
        """How many of them came; counted by the reader."""
        self._sets = b""
        self._changed_ns: deque[int] = deque(maxlen=CHANGES)

    def look(self, packet: "Packet[Any]", mono_ns: int) -> Opened | None:
        """Look at a key frame before it is handed on; the connection anew when from it on the picture is another."""
        data = bytes(packet)
        sets = parameter_sets(self.opened.codec, data)
        if not sets or not self._sets or sets == self._sets:
            self._sets, self.leaves_out = sets or self._sets, self.leaves_out and not sets
            return None
        self.leaves_out = len(self._changed_ns) == CHANGES and mono_ns - self._changed_ns[0] < CHANGES_NS
        if self.leaves_out:
            return None
        size = picture_size(self.opened.codec, data)
        if size is None:  # damaged on the way: what was known goes on
            return None
        self._sets = sets
        self._changed_ns.append(mono_ns)
        self.opened = replace(self.opened, width=size[0], height=size[1], parameter_sets=sets)
        return self.opened


def picture_size(codec: str, picture: bytes) -> tuple[int, int] | None:
    """Width and height of a key frame with its parameter sets; None when it cannot be decoded."""
    decoder = av.CodecContext.create(codec, "r")
    assert isinstance(decoder, VideoCodecContext)
    try:
        frames = [*decoder.decode(Packet(picture)), *decoder.decode(None)]
    except av.error.FFmpegError:
        return None
    return (frames[0].width, frames[0].height) if frames else None
