"""PURE. From looks to one steady count with an interval.

Invariants
1. low <= count <= high, and none is negative.
2. One look of five that differs from those around it changes nothing, neither count nor interval.
3. Nothing is said before there are enough looks to say it.
"""

from dataclasses import dataclass
from statistics import median_low
from typing import Final

SAMPLES: Final = 5
"""The count is the median of this many looks: cuts jitter three to seven times (design of vision, "time")."""

FEWEST: Final = 3
"""With fewer looks than this a single bad one would decide."""

SELDOM_S: Final = 10.0
"""Looks that come so seldom that `FEWEST` of them take this long are not waited for any longer."""

MAX_AGE_S: Final = 20.0
"""An older look says nothing about now. Long enough for three key frames of a main stream that has one every 6 s."""


@dataclass(frozen=True, slots=True)
class Sample:
    """One look: how many people are tracked, and how many boxes are at or above the camera's threshold."""

    at_s: float
    tracked: int
    seen: int


@dataclass(frozen=True, slots=True)
class Count:
    """How many people; the truth is taken to lie between `low` and `high`."""

    count: int
    low: int
    high: int


def add(samples: tuple[Sample, ...], sample: Sample) -> tuple[Sample, ...]:
    """The looks that count after one more: the newest `SAMPLES`, none older than `MAX_AGE_S` before it."""
    young = tuple(each for each in samples if sample.at_s - each.at_s <= MAX_AGE_S)
    return (*young, sample)[-SAMPLES:]


def settle(samples: tuple[Sample, ...]) -> Count | None:
    """What the looks say together, or None while there are fewer than `SAMPLES`, unless looks come seldom.

    The first looks see people whom the tracker does not believe yet: a count of too few of them is 0 in a full room.
    The interval is what the looks reach without the one that differs most: people whom the tracker does not yet
    believe widen it upwards, people hidden for a moment downwards.
    """
    if len(samples) < FEWEST:
        return None
    if len(samples) < SAMPLES and samples[-1].at_s - samples[0].at_s < SELDOM_S:
        return None
    tracked = sorted(each.tracked for each in samples)
    every = sorted([*tracked, *(each.seen for each in samples)])
    spare = 2 if len(samples) == SAMPLES else 0
    count = median_low(tracked)
    return Count(count, min(count, every[spare]), max(count, every[-1 - spare]))
