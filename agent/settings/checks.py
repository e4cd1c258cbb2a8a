"""Rules that span several keys, and what only the machine can answer: does that file exist, does that zone.

They look at the plain values of the file, so that they speak even when another key is wrong, and at nothing
that `models.py` has already refused.
"""

from typing import Any

from agent.facts import Text
from agent.settings.models import Settings
from agent.settings.wording import Place

Found = tuple[Place, Text]


def check(values: dict[str, Any], settings: Settings | None) -> tuple[list[Found], list[Found]]:
    """The mistakes and the warnings in `values`; `settings` is None when the models refused them."""
    return [], []
