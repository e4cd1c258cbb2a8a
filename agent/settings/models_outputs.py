"""Settings of sirens, strobes and other outputs, and of what sounds."""

from typing import Annotated, Literal

from pydantic import Field

from agent.settings.base import Closed, Identifier, Name


class Output(Closed):
    """One output of a bridge, and what hangs on it."""

    id: Identifier
    name: Name
    kind: Literal["siren", "strobe", "led", "relay"]
    bridge: Identifier
    output: Literal["siren", "strobe"]
    standby: bool = False


_Sound = Literal["siren", "strobe", "none"]


class Sounds(Closed):
    """What each kind of incident asks for: siren and light, light alone, or nothing."""

    panic: _Sound = "siren"
    tamper: _Sound = "siren"
    intrusion: _Sound = "siren"
    door_forced: _Sound = "siren"
    after_hours_presence: _Sound = "siren"
    gas: _Sound = "siren"
    smoke: _Sound = "siren"
    water: _Sound = "strobe"
    other: _Sound = "siren"


class Alarms(Closed):
    """How alarms sound, and when people are where nobody is meant to be."""

    siren_s: Annotated[int, Field(ge=10, le=1800)] = 180
    resound_s: Annotated[int, Field(ge=5, le=300)] = 30
    presence_s: Annotated[int, Field(ge=0, le=600)] = 20
    sounds: Sounds = Sounds()
