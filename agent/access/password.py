"""The password of a zip: from a file or from the terminal, never from the command line, where everybody reads it."""

import getpass
from collections.abc import Callable
from pathlib import Path
from typing import Final

from agent.access.console import Screen
from agent.facts import Text

LEAST: Final = 8
"""Letters: the zip's own key is made with few rounds, so a short password is soon guessed."""


class NoPassword(Exception):
    """None was given that will do. `text` says why."""

    def __init__(self, text: Text) -> None:
        super().__init__(text.en)
        self.text = text


def password_of(
    screen: Screen,
    file: Path | None,
    ask: bool,
    *,
    new: bool,
    read: Callable[[str], str] = getpass.getpass,
) -> bytes | None:
    """The password: the first line of `file`, or asked for on the terminal, twice when it is `new`. None when
    neither is wanted. Raises NoPassword."""
    if file is None and not ask:
        return None
    if file is not None:
        try:
            lines = file.read_text(encoding="utf-8").splitlines()
        except (OSError, UnicodeDecodeError) as error:
            raise NoPassword(Text(f"密码文件读不了：{error}", f"the password file cannot be read: {error}")) from error
        typed = lines[0] if lines else ""
    else:
        typed = read(screen.t("密码：", "Password: "))
        if new and read(screen.t("再输入一次：", "Again: ")) != typed:
            raise NoPassword(Text("两次输入的密码不同", "the two are not the same"))
    if new and len(typed) < LEAST:
        raise NoPassword(Text(f"密码至少 {LEAST} 个字符", f"a password has at least {LEAST} characters"))
    return typed.encode()
