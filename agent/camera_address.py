"""Where a camera is, and how its password gets into the address that libav opens, and nowhere else."""

from dataclasses import dataclass, replace
from pathlib import Path
from urllib.parse import quote, urlsplit, urlunsplit

from agent.camera_words import Why, detail


class NoPassword(Exception):
    """The password file cannot be read. The text is a detail of `camera_words` that names the file."""


@dataclass(frozen=True, slots=True)
class Address:
    """An RTSP address, or an `onvif://` one behind which the stream for `profile` (main or sub) is to be found.
    `password_file` is read at every attempt; its content is never kept or shown."""

    url: str
    transport: str = "tcp"
    username: str | None = None
    password_file: Path | None = None
    profile: str = "main"

    def at(self, url: str) -> "Address":
        """The same camera at another URL."""
        return replace(self, url=url)

    def with_credentials(self) -> str:
        """The address that libav opens. Raises NoPassword."""
        if self.username is None:
            return self.url
        parts = urlsplit(self.url)
        user = f"{quote(self.username, safe='')}:{quote(self.password(), safe='')}"
        return urlunsplit(parts._replace(netloc=f"{user}@{parts.netloc}"))

    def password(self) -> str:
        """What the password file holds now. Raises NoPassword."""
        if self.password_file is None:
            return ""
        try:
            return self.password_file.read_text(encoding="utf-8").strip()
        except OSError as error:
            raise NoPassword(detail(Why.NO_PASSWORD_FILE, f"{self.password_file}: {error.strerror}")) from error
        except ValueError:
            # From nothing: the error's text holds bytes of the password.
            raise NoPassword(detail(Why.PASSWORD_NOT_TEXT, self.password_file)) from None

    def password_stamp(self) -> str:
        """Another one whenever the password file was written, moved or replaced; nothing of what is in it."""
        if self.password_file is None:
            return ""
        try:
            seen = self.password_file.stat()
        except OSError:
            return "none"
        return f"{seen.st_mtime_ns}-{seen.st_ino}-{seen.st_size}"
