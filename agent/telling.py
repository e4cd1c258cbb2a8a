"""What zones and lasting states are told as: the alerts, and the change that is stored with them. Used by the alarm
desk's thread alone."""

from collections.abc import Callable, Iterable, Mapping
from functools import partial

from agent.clock import Clock, stamp
from agent.delivery import rows
from agent.delivery.alerts import Numbered, condition_alert, zone_alert
from agent.delivery.numbers import Numbers
from agent.delivery.outgoing import Outgoing
from agent.delivery.payload import Identity, input_alert_id
from agent.facts import ConditionKind, InputChanged, Stamp
from agent.safety.conditions import Over, Raised
from agent.safety.incidents import Incident
from agent.safety.panel import Panel
from agent.safety.zone_change import ZoneChange
from agent.safety.zones import Meaning


class Telling:
    """Makes alerts of what the panel and the watch decided, and brings them out."""

    def __init__(
        self,
        panel: Panel,
        identity: Identity,
        names: Mapping[str, str],
        numbers: Numbers,
        out: Outgoing,
        clock: Clock,
        fact_safe: Callable[[rows.FactKey], None],
        tell_zones: Callable[[], None],
    ) -> None:
        """`names` are what people call subjects; `fact_safe` is told of each stored fact; `tell_zones` shows the
        platforms how zones and areas stand."""
        self._panel = panel
        self._identity = identity
        self._names = names
        self._numbers = numbers
        self._out = out
        self._clock = clock
        self._fact_safe = fact_safe
        self._tell_zones = tell_zones

    def change(
        self,
        change: ZoneChange,
        fact: InputChanged | None,
        at: Stamp,
        pressed_ns: int = 0,
        after: Callable[[], None] | None = None,
        late: bool = False,
    ) -> None:
        """What a zone is told of: because of `fact`, or without one. `after` is run once it is stored."""
        key = (fact.board_uid, fact.boot_id, fact.event_id) if fact is not None else None
        late = late or (fact is not None and fact.late)
        alerts = []
        for told in change.told:
            alert_id = input_alert_id(*key, told.part) if key is not None else self._numbers.new_id()
            numbered = Numbered(alert_id, self._numbers.seq(), at.wall_ns, at.quality, pressed_ns)
            cause, who = str(told.cause), self._identity
            alerts.append(
                zone_alert(
                    change.zone, told.meaning, cause, told.incident, numbered, who, late, change.armed,
                    told.held_back, told.drill,
                )
            )  # fmt: skip
        # A press with an id of its own may go out before it is stored: told again, it is the same message.
        at_once = key is not None and any(told.meaning is Meaning.PANIC for told in change.told)
        write = rows.Write(
            incidents=change.incidents,
            zones=((change.zone.id, change.state),),
            areas=change.areas,
            seen_input=key,
            at_ns=at.wall_ns,
        )
        # What was not stored is not acknowledged: the board keeps it, for the next start to take.
        self._out.bring_out(alerts, write, at_once=at_once, after=after, refused=lambda: None)
        if change.seen_by_people or change.areas:
            self._tell_zones()

    def conditions(self, results: Iterable[Raised | Over], key: rows.FactKey | None) -> None:
        """What began or ended of what lasts: because of the fact `key`, or by what the desk sees itself."""
        now = stamp(self._clock)
        for result in results:
            over = isinstance(result, Over)
            lapsed = isinstance(result, Over) and result.lapsed
            condition = result.condition
            kind, subject = str(condition.kind), condition.subject
            name = self._names.get(subject, subject)
            if over:
                incident = self._panel.restore(kind, subject, now.wall_ns)
            else:
                room_id = subject.removeprefix("room/") if subject.startswith("room/") else None
                new_id, began_ns = self._numbers.new_id(), condition.since.wall_ns
                incident = self._panel.trigger(
                    Incident(
                        new_id, kind, subject, name, room_id, latching=False, triggered_ns=began_ns, last_ns=began_ns
                    )
                )
            at = condition.at if over and not lapsed else now if over else condition.since
            numbered = Numbered(self._numbers.new_id(), self._numbers.seq(), at.wall_ns, at.quality)
            alert = condition_alert(condition, over, lapsed, name, incident, numbered)
            write = rows.Write(incidents=(incident,) if incident else (), seen_fact=key, at_ns=now.wall_ns)
            after = partial(self._fact_safe, key) if key is not None else None
            # That storing fails can wait for no store.
            at_once = condition.kind is ConditionKind.STORE_FAILING
            self._out.bring_out([alert], write, at_once=at_once, after=after)
