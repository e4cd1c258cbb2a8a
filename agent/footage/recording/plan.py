"""What is to be recorded of a camera."""

from dataclasses import dataclass
from typing import Final

from agent.camera_address import Address

MAIN: Final = "main"
SUB: Final = "sub"
STREAMS: Final = (MAIN, SUB)


@dataclass(frozen=True, slots=True)
class CameraPlan:
    """One stream of a camera that is to be recorded. `uuid` names the camera on disk, `id` everywhere else."""

    id: str
    uuid: str
    name: str
    address: Address
    stream: str = MAIN
    sound: bool = False
    """Whether its sound is recorded, too."""

    @property
    def key(self) -> tuple[str, str]:
        """What names the reel: camera uuid and stream."""
        return self.uuid, self.stream

    @property
    def subject(self) -> str:
        """What conditions of this stream are told of."""
        return f"camera/{self.id}" if self.stream == MAIN else f"camera/{self.id}/{self.stream}"
