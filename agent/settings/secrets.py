"""Looking at the files that settings name, without reading them."""

import stat
from collections.abc import Iterator
from errno import ELOOP, ENAMETOOLONG
from os import stat_result
from pathlib import Path

from agent.facts import Text


def look_at_file(path: Path) -> Iterator[Text]:
    """What is wrong with a file that must exist. A folder that this user may not enter tells nothing."""
    found = _status(path)
    if found is None:
        yield Text(f"没有这个文件（{path}）", f"no such file ({path})")
    elif not isinstance(found, bool):
        if not stat.S_ISREG(found.st_mode):
            yield Text(f"不是普通文件（{path}）", f"not a regular file ({path})")
        elif found.st_size == 0:
            yield Text(f"文件是空的（{path}）", f"the file is empty ({path})")


def look_at_secret(path: Path) -> Iterator[Text]:
    """What is wrong with a file that must exist and that strangers must not read (mode 0640 or tighter)."""
    yield from look_at_file(path)
    found = _status(path)
    if found is None or isinstance(found, bool) or not stat.S_ISREG(found.st_mode):
        return
    if found.st_mode & 0o007:
        mode = stat.S_IMODE(found.st_mode)
        zh = f"其他用户可以读写（{path}，权限 {mode:04o}）；请执行 chmod 600"
        yield Text(zh, f"open to other users ({path}, mode {mode:04o}); run chmod 600 on it")


def _status(path: Path) -> stat_result | bool | None:
    """The status of a file; None when there is none, False when this user may not know."""
    try:
        return path.stat()
    except (FileNotFoundError, NotADirectoryError, ValueError):
        return None
    except OSError as error:
        return None if error.errno in (ENAMETOOLONG, ELOOP) else False
