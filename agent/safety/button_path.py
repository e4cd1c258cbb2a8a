"""PURE. The way of one press, from the contact to each platform's receipt, and when each step was done.

Invariants
1. A press went through when every platform has it: by its receipt, or by its broker's acknowledgement where the
   platform sends none. With no platform at all it went nowhere.
2. A verdict, once given, stays.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any, Final

RECEIPT_WITHIN_S: Final = 60.0
"""A press that a platform has not receipted after this long did not go through: receipts come within seconds."""


@dataclass(frozen=True, slots=True)
class Leg:
    """The way to one platform. Times are monotonic ns, None: not yet."""

    acknowledged_ns: int | None = None
    receipted_ns: int | None = None
    case_no: str = ""
    done: bool = False
    rejected: bool = False


@dataclass(frozen=True, slots=True)
class Way:
    """A press of a zone: `id` of its alert, `at_ns` in UTC, the other times monotonic ns. `contact_ns` is when the
    contact changed, as the board tells; `board_ns` when its first byte was here; `published_ns` when the alert was
    handed to the connections."""

    id: str
    zone_id: str
    zone_name: str
    kind: str
    who: str
    at_ns: int
    contact_ns: int
    board_ns: int
    published_ns: int
    legs: Mapping[str, Leg] = field(default_factory=dict)


def moved(way: Way, platform: str, state: str, last: bool, case_no: str, now_ns: int) -> Way:
    """The way after a platform's broker or the platform itself answered: `state` as in delivery.outbox.State."""
    leg = way.legs.get(platform)
    if leg is None or leg.done:
        return way
    acknowledged_ns = now_ns if leg.acknowledged_ns is None and state != "failed" else leg.acknowledged_ns
    after = replace(leg, acknowledged_ns=acknowledged_ns, done=last)
    if state == "receipted":
        after = replace(after, receipted_ns=now_ns, case_no=case_no)
    return replace(way, legs={**way.legs, platform: replace(after, rejected=state == "failed")})


def verdict(way: Way, now_ns: int) -> str | None:
    """None while it is under way; then an empty text when it went through, or a code: no_platform, rejected, or
    no_receipt."""
    if not way.legs:
        return "no_platform"
    if any(leg.rejected for leg in way.legs.values()):
        return "rejected"
    if all(leg.done for leg in way.legs.values()):
        return ""
    return "no_receipt" if now_ns - way.published_ns > RECEIPT_WITHIN_S * 1e9 else None


def path_values(way: Way) -> dict[str, Any]:
    """Each step, in milliseconds after the contact changed: for the register, for people and for programs."""

    def ms(ns: int | None) -> float | None:
        return None if ns is None else round((ns - way.contact_ns) / 1e6, 1)

    return {
        "event_id": way.id,
        "board_ms": ms(way.board_ns),
        "published_ms": ms(way.published_ns),
        "platforms": {
            name: {
                "acknowledged_ms": ms(leg.acknowledged_ns),
                "receipted_ms": ms(leg.receipted_ns),
                "case_no": leg.case_no,
                "done": leg.done,
                "rejected": leg.rejected,
            }
            for name, leg in way.legs.items()
        },
    }
