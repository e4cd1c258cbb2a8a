"""What all settings are made of: names, and models that know their keys."""

from typing import Annotated, Any

from pydantic import BaseModel, ConfigDict, Field


def told(zh: str, en: str) -> dict[str, Any]:
    """What is allowed, in words, where a pattern alone would tell people nothing. Read by wording.py."""
    return {"x-allowed-zh": zh, "x-allowed-en": en}


Identifier = Annotated[
    str,
    Field(
        pattern=r"^[A-Za-z0-9][A-Za-z0-9_-]{0,31}$",
        json_schema_extra=told(
            "1 到 32 个字母、数字、- 或 _，以字母或数字开头",
            "1 to 32 letters, digits, - or _, not starting with - or _",
        ),
    ),
]
"""A name that stands in topics, paths and messages: letters, digits, - and _."""

Name = Annotated[str, Field(min_length=1, max_length=100)]
"""What people call it."""


class Closed(BaseModel):
    """A frozen section that refuses unknown keys."""

    model_config = ConfigDict(extra="forbid", frozen=True, strict=False, allow_inf_nan=False)
