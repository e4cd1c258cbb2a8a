"""Bytes of recorded files, on their way into an export."""

import errno
import os
from collections.abc import Callable, Iterator, Sequence
from typing import Final

from agent.footage.exporting.joined import Copied
from agent.footage.timeline import GapReason

Progress = Callable[[int, int], None]
"""Told now and then how many bytes are written, and of how many. May raise to cancel."""

_COPY_BYTES: Final = 8 << 20
_READ_BYTES: Final = 1 << 20

_NO_KERNEL_COPY: Final = (errno.EXDEV, errno.ENOSYS, errno.EOPNOTSUPP, errno.EINVAL, errno.EBADF, errno.EPERM)
"""copy_file_range is not to be had between these two files."""


class Unreadable(Exception):
    """A recorded file went away, or cannot be read, after it was planned for. `reason` is that of the gap."""

    def __init__(self, path: str, error: OSError) -> None:
        super().__init__(str(error))
        self.path = path
        self.reason = GapReason.FILE_MISSING if isinstance(error, FileNotFoundError) else GapReason.FILE_DAMAGED


def pieces_of(copies: Sequence[Copied]) -> Iterator[bytes]:
    """The bytes of these ranges, for a target that the kernel cannot copy to. Raises Unreadable."""
    with _Sources() as sources:
        for each in copies:
            at, end = each.offset, each.offset + each.size
            while at < end:
                data = _read(sources.number(each.path), at, min(_READ_BYTES, end - at), each.path)
                yield data
                at += len(data)


class _Sources:
    """The recorded file that is being read; one at a time, for a day has more of them than may be open."""

    def __init__(self) -> None:
        self._path = ""
        self._number = -1

    def __enter__(self) -> "_Sources":
        return self

    def __exit__(self, *_: object) -> None:
        if self._number >= 0:
            os.close(self._number)
            self._number = -1

    def number(self, path: str) -> int:
        """A descriptor to read the file. Raises Unreadable."""
        if path != self._path:
            self.__exit__()
            try:
                self._number = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
            except OSError as error:
                self._path = ""
                raise Unreadable(path, error) from error
            self._path = path
        return self._number


class Copying:
    """Bytes from recorded files to the end of one that is being written; in the kernel where it can."""

    def __init__(self, target: int, progress: Progress | None, total: int, done: int) -> None:
        self._target = target
        self._progress = progress
        self._total = total
        self._done = done
        self._in_kernel = True

    def copy(self, copies: Sequence[Copied]) -> None:
        """Copy the ranges, one after the other. Raises Unreadable when a file cannot be read, OSError when the
        target cannot be written."""
        with _Sources() as sources:
            for each in copies:
                self._range(sources.number(each.path), each)

    def _range(self, source: int, copied: Copied) -> None:
        at, end = copied.offset, copied.offset + copied.size
        while at < end:
            count = min(_COPY_BYTES, end - at)
            done = self._by_kernel(source, at, count) if self._in_kernel else 0
            if not done:
                data = _read(source, at, count, copied.path)
                write_all(self._target, data)
                done = len(data)
            at += done
            self._done += done
            if self._progress is not None:
                self._progress(min(self._done, self._total), self._total)

    def _by_kernel(self, source: int, at: int, count: int) -> int:
        try:
            return os.copy_file_range(source, self._target, count, at)
        except OSError as error:
            if error.errno in (errno.EIO, *_NO_KERNEL_COPY):  # reading or writing? the plain way tells
                self._in_kernel = False
                return 0
            raise


def _read(source: int, at: int, count: int, path: str) -> bytes:
    try:
        data = os.pread(source, count, at)
    except OSError as error:
        raise Unreadable(path, error) from error
    if not data:
        raise Unreadable(path, OSError(errno.EIO, "the file is shorter than it was"))
    return data


def write_all(number: int, data: bytes) -> None:
    """Write all of `data`. Raises OSError."""
    view = memoryview(data)
    while view:
        view = view[os.write(number, view) :]
