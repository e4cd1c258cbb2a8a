"""PURE. Following people from look to look, so that one bad frame neither adds nor takes away anybody.

Invariants
1. A track has one id for its life, and no id is used twice.
2. Only a box of at least `BIRTH_SCORE` begins a track; a weaker one may only go on with one. (A tracker whose
   births take low scores makes ghosts.)
3. Life is measured in seconds, never in frames: looks may come at any rate, and stop.
4. Each box goes on with at most one track, each track with at most one box.
"""

from dataclasses import dataclass, replace
from math import hypot
from typing import Final

from agent.vision.boxes import Box

BIRTH_SCORE: Final = 0.45
"""Design of vision, "counting methods"."""

CONFIRM_S: Final = 0.2
"""A track counts from its second sighting at least this much later: a flicker of one frame is nobody."""

KEEP_S: Final = 1.5
"""Somebody hidden behind another for this long stays counted."""

KEEP_AT_EDGE_S: Final = 0.4
"""Somebody last seen touching the edge of the picture has most likely left it."""

EDGE: Final = 0.01
"""As a part of the picture: nearer than this to its edge is touching it."""

REACH: Final = 0.7
"""How far a person may go between two looks, in heights of the box per `REACH_S`: 1.2 m for an adult of 1.7 m."""

REACH_S: Final = 0.5

RESIZE: Final = 1.8
"""The same person's box does not grow or shrink in height by more than this between two looks."""


@dataclass(frozen=True, slots=True)
class Track:
    """One person. Times are monotonic seconds."""

    id: int
    box: Box
    born_s: float
    seen_s: float
    confirmed: bool = False


@dataclass(frozen=True, slots=True)
class Tracks:
    """Everybody who is followed in one picture."""

    people: tuple[Track, ...] = ()
    next_id: int = 1

    def count(self) -> int:
        """How many people are there, those hidden for a moment included."""
        return sum(track.confirmed for track in self.people)


def step(tracks: Tracks, boxes: list[Box], now_s: float) -> Tracks:
    """After a look at `now_s` that found `boxes` (each at or above the camera's threshold).

    Boxes are matched to tracks best pair first, by how far apart they are for a person of that size and time.
    """
    pairs = sorted(
        (_apart(track, box, now_s), place, number)
        for place, track in enumerate(tracks.people)
        for number, box in enumerate(boxes)
    )
    matched: dict[int, int] = {}
    taken: set[int] = set()
    for apart, place, number in pairs:
        if apart > 1:
            break
        if place not in matched and number not in taken:
            matched[place] = number
            taken.add(number)
    people = []
    for place, track in enumerate(tracks.people):
        if place in matched:
            confirmed = track.confirmed or now_s - track.born_s >= CONFIRM_S
            people.append(replace(track, box=boxes[matched[place]], seen_s=now_s, confirmed=confirmed))
        elif now_s - track.seen_s < _patience_s(track):
            people.append(track)
    next_id = tracks.next_id
    for number, box in enumerate(boxes):
        if number not in taken and box.score >= BIRTH_SCORE:
            people.append(Track(next_id, box, now_s, now_s))
            next_id += 1
    return Tracks(tuple(people), next_id)


def _apart(track: Track, box: Box, now_s: float) -> float:
    """How unlikely it is that a box shows a track's person: over 1 it is somebody else."""
    old_height, height = track.box.bottom - track.box.top, box.bottom - box.top
    if min(old_height, height) <= 0 or max(old_height, height) > RESIZE * min(old_height, height):
        return 2
    # Feet hide behind furniture, heads seldom: the top of the box stands for the person.
    across = (box.left + box.right - track.box.left - track.box.right) / 2
    down = box.top - track.box.top
    # Parts of width and of height differ by the shape of the picture: 4:3 is taken as its usual shape.
    distance = hypot(across * 4 / 3, down)
    reach = REACH * max(old_height, height) * max(1.0, (now_s - track.seen_s) / REACH_S)
    return distance / reach


def _patience_s(track: Track) -> float:
    box = track.box
    at_edge = box.left < EDGE or box.top < EDGE or box.right > 1 - EDGE or box.bottom > 1 - EDGE
    return KEEP_AT_EDGE_S if at_edge or not track.confirmed else KEEP_S
