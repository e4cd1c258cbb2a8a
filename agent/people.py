"""How many people are in each room, as vision told it last, and what platforms are told of it. Used by the alarm desk's
thread alone."""

from collections.abc import Callable
from typing import Any, Final

from agent.clock import Clock
from agent.delivery.alerts import people_message
from agent.delivery.payload import Identity, local_time
from agent.facts import PeopleCounted

PEOPLE_EVERY_S: Final = 60.0
"""A head count that does not change is told to the platforms this often."""


class People:
    """The newest count of each room, by its id."""

    def __init__(
        self, identity: Identity, clock: Clock, new_id: Callable[[], str], tell: Callable[[dict[str, Any]], None]
    ) -> None:
        """`tell` publishes a message of telemetry."""
        self.rooms: dict[str, PeopleCounted] = {}
        self._identity = identity
        self._clock = clock
        self._new_id = new_id
        self._tell = tell
        self._told: dict[str, tuple[int, int]] = {}

    def take(self, fact: PeopleCounted) -> None:
        """Vision counted. An older count than the newest is nothing."""
        before = self.rooms.get(fact.room_id)
        if before is not None and fact.at.mono_ns < before.at.mono_ns:
            return
        self.rooms[fact.room_id] = fact
        count, told_ns = self._told.get(fact.room_id, (-1, 0))
        now_ns = self._clock.mono_ns()
        if count != fact.count or now_ns - told_ns > PEOPLE_EVERY_S * 1e9:
            self._told[fact.room_id] = (fact.count, now_ns)
            time = local_time(fact.at.wall_ns, self._identity.zone_of_time)
            self._tell(people_message(fact, self._identity, self._new_id(), time))
