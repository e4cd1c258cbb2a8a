"""One camera's way from boxes to a count: threshold, tracks, median. No I/O; the caller gives frames and time."""

from dataclasses import dataclass, field
from typing import Final

from agent.vision.boxes import Box
from agent.vision.count import Count, Sample, add, settle
from agent.vision.tracks import Tracks, step

METHOD: Final = "watch-416-median5"
"""Names in every count how it was made: single pass, side 416, tracks, median of five looks."""


@dataclass(frozen=True, slots=True)
class Watch:
    """What is known of one camera's picture."""

    tracks: Tracks = field(default_factory=Tracks)
    samples: tuple[Sample, ...] = ()

    def count(self) -> Count | None:
        """How many people, or None while there were too few looks."""
        return settle(self.samples)


def seen(watch: Watch, boxes: list[Box], threshold: float, now_s: float) -> Watch:
    """After a look at `now_s` (monotonic seconds) that found `boxes`."""
    believed = [box for box in boxes if box.score >= threshold]
    tracks = step(watch.tracks, believed, now_s)
    return Watch(tracks, add(watch.samples, Sample(now_s, tracks.count(), len(believed))))
