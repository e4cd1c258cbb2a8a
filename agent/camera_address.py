"""Where a camera is, and how its password gets into the address that libav opens, and nowhere else."""

from dataclasses import dataclass
from pathlib import Path
from urllib.parse import quote, urlsplit, urlunsplit


class NoPassword(Exception):
    """The password file cannot be read. The text names the file, for people."""


@dataclass(frozen=True, slots=True)
class Address:
    """An RTSP address. `password_file` is read at every attempt; its content is never kept or shown."""

    url: str
    transport: str = "tcp"
    username: str | None = None
    password_file: Path | None = None

    def with_credentials(self) -> str:
        """The address that libav opens. Raises NoPassword."""
        if self.username is None:
            return self.url
        parts = urlsplit(self.url)
        user = f"{quote(self.username, safe='')}:{quote(self._password(), safe='')}"
        return urlunsplit(parts._replace(netloc=f"{user}@{parts.netloc}"))

    def _password(self) -> str:
        if self.password_file is None:
            return ""
        try:
            return self.password_file.read_text(encoding="utf-8").strip()
        except OSError as error:
            raise NoPassword(f"the password file {self.password_file} cannot be read: {error.strerror}") from error
        except ValueError:
            # From nothing: the error's text holds bytes of the password.
            raise NoPassword(f"the password file {self.password_file} is no UTF-8 text") from None
