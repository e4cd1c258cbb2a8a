"""Where a package is written: a folder or a zip, under another name until it is whole.

Invariants
1. Until `finish` everything lies below `.<name>.part`; `finish` brings it to the disk and gives it its name.
2. What an interrupted export left is taken up only by one that was told to, and only what is whole of it.
3. Two exports never write the same package: the first holds a lock.
"""

import fcntl
import os
import shutil
import struct
import zipfile
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager, suppress
from datetime import datetime
from pathlib import Path
from typing import IO, Any, Final, Protocol

import pyzipper

from agent.facts import Text
from agent.footage.disk.files import sync_directory
from agent.footage.exporting.export import ExportFailed

_READ_BYTES: Final = 1 << 20
_LONG_BYTES: Final = 1 << 30
"""From here on a zip entry gets sizes of 64 bits: with a password it is a little longer than its file."""

_LOCAL: Final = struct.Struct("<4s5H3I2H")
_LOCAL_MARK: Final = b"PK\3\4"
_ZIP64, _AES = 0x0001, 0x9901


class Writer(Protocol):
    """What takes the bytes of one file."""

    def write(self, data: bytes, /) -> object:
        """Add bytes."""


class PackageTarget(Protocol):
    """Takes the files of a package one after the other."""

    def kept(self, name: str) -> Iterator[bytes] | None:
        """What an earlier attempt left under a name; None when that is nothing."""

    def keep(self, name: str) -> None:
        """What `kept` gave is good: do not write it again."""

    def entry(self, name: str, size: int, at: datetime) -> AbstractContextManager[Writer]:
        """Write a file of about `size` bytes that is of the time `at`. An exception inside leaves none."""

    def finish(self) -> int:
        """Bring everything to the disk under its name; how many bytes it takes. Raises OSError."""

    def leave(self) -> None:
        """Let go; what is whole stays below `.<name>.part`. Does nothing after `finish`."""


def staged(target: Path) -> Path:
    """Where a package is written before it is whole."""
    return target.with_name(f".{target.name}.part")


def note(target: Path) -> Path:
    """Where an export that goes on notes what was asked of it."""
    return target.with_name(f".{target.name}.part.json")


def remove_staged(target: Path) -> None:
    """Delete what an export left that was interrupted, or found nothing. Raises OSError."""
    stage = staged(target)
    if stage.is_dir():
        shutil.rmtree(stage)
    else:
        stage.unlink(missing_ok=True)
    note(target).unlink(missing_ok=True)


def refuse_target(target: Path, resume: bool) -> None:
    """Raise ExportFailed when it is there already, or when an interrupted export left something and this is not to
    `resume` it."""
    if target.exists():
        raise ExportFailed(Text(f"已存在，不覆盖：{target}", f"is there already, not written over: {target}"))
    if staged(target).exists() and not resume:
        raise ExportFailed(
            Text(
                f"有一次未完成的导出：{staged(target)}；加 --resume 继续，或删除后重来",
                f"an export was interrupted: {staged(target)}; go on with --resume, or delete it and begin again",
            )
        )


def open_target(target: Path, resume: bool, password: bytes | None = None) -> PackageTarget:
    """A zip when the name ends so, else a folder. Raises ExportFailed as `refuse_target`, and when another export is
    writing it; OSError."""
    refuse_target(target, resume)
    return ZipTarget(target, password) if target.suffix.lower() == ".zip" else FolderTarget(target)


def _lock(number: int, target: Path) -> None:
    try:
        fcntl.flock(number, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError as error:
        raise ExportFailed(Text(f"另一个导出正在写 {target}", f"another export is writing {target}")) from error


class FolderTarget:
    """A package as a folder."""

    def __init__(self, target: Path) -> None:
        self._target = target
        self._stage = staged(target)
        self._stage.mkdir(mode=0o750, exist_ok=True)
        self._number = os.open(self._stage, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        self._names: set[str] = set()
        try:
            _lock(self._number, target)
        except ExportFailed:
            os.close(self._number)
            raise

    def kept(self, name: str) -> Iterator[bytes] | None:
        path = self._stage / name
        return _read(path) if path.is_file() else None

    def keep(self, name: str) -> None:
        self._names.add(name)

    @contextmanager
    def entry(self, name: str, size: int, at: datetime) -> Iterator[Writer]:
        path = self._stage / name
        path.parent.mkdir(mode=0o750, parents=True, exist_ok=True)
        try:
            number = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC | os.O_NOFOLLOW, 0o640)
            with os.fdopen(number, "wb") as file:
                yield file
                file.flush()
                os.utime(file.fileno(), (at.timestamp(), at.timestamp()))
                os.fsync(file.fileno())
        except BaseException:
            with suppress(OSError):
                path.unlink()
            raise
        self._names.add(name)

    def finish(self) -> int:
        size = 0
        for folder, _, files in os.walk(self._stage, topdown=False):
            for file in files:
                path = Path(folder) / file
                if str(path.relative_to(self._stage)) in self._names:
                    size += path.stat().st_size
                else:
                    path.unlink()  # of an earlier attempt, and no longer wanted
            if Path(folder) != self._stage and not any(Path(folder).iterdir()):
                Path(folder).rmdir()
            else:
                sync_directory(Path(folder))
        self._stage.rename(self._target)
        note(self._target).unlink(missing_ok=True)
        sync_directory(self._target.absolute().parent)
        self.leave()
        return size

    def leave(self) -> None:
        if self._number >= 0:
            os.close(self._number)
            self._number = -1


class ZipTarget:
    """A package as one zip: stored, for video does not shrink; with a password in AES-256 (WinZip's AE-2)."""

    def __init__(self, target: Path, password: bytes | None) -> None:
        self._target = target
        number = os.open(staged(target), os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW, 0o640)
        self._file: IO[bytes] = os.fdopen(number, "r+b")
        try:
            _lock(number, target)
            self._found = list(_whole_entries(self._file, password is not None))
        except BaseException:
            self._file.close()
            raise
        self._file.seek(0)
        self._zip: Any
        if password is None:
            self._zip = zipfile.ZipFile(self._file, "w", zipfile.ZIP_STORED)
        else:
            self._zip = pyzipper.AESZipFile(self._file, "w", pyzipper.ZIP_STORED, encryption=pyzipper.WZ_AES)
            self._zip.setpassword(password)
        for each in self._found:
            self._zip.NameToInfo[each.filename] = each
        self._done = False

    def kept(self, name: str) -> Iterator[bytes] | None:
        if not self._found or self._found[0].filename != name:
            return None
        return self._content(self._found[0])

    def keep(self, name: str) -> None:
        info = self._found.pop(0)
        self._zip.filelist.append(info)
        self._zip.start_dir = info.header_offset + _entry_bytes(self._file, info)

    @contextmanager
    def entry(self, name: str, size: int, at: datetime) -> Iterator[Writer]:
        self._forget()
        info = self._zip.zipinfo_cls(name) if hasattr(self._zip, "zipinfo_cls") else zipfile.ZipInfo(name)
        info.compress_type = zipfile.ZIP_STORED
        info.external_attr = 0o640 << 16
        info.date_time = max(at, at.replace(year=1980)).timetuple()[:6]  # a zip knows no earlier year
        info.file_size = size
        start = self._zip.start_dir
        handle = self._zip.open(info, "w", force_zip64=size >= _LONG_BYTES)
        try:
            yield handle
        except BaseException:
            with suppress(OSError, RuntimeError, ValueError):
                handle.close()
            self._drop(name, start)
            raise
        handle.close()

    def finish(self) -> int:
        self._forget()
        self._zip.close()
        self._file.flush()
        self._file.truncate(self._file.tell())
        os.fsync(self._file.fileno())
        size = os.fstat(self._file.fileno()).st_size
        staged(self._target).rename(self._target)
        note(self._target).unlink(missing_ok=True)
        sync_directory(self._target.absolute().parent)
        self._file.close()
        self._done = True
        return size

    def leave(self) -> None:
        if self._done:
            return
        self._zip.fp = None  # or it would write a directory when it is forgotten, and look complete
        with suppress(OSError):
            self._file.close()
        self._done = True

    def _content(self, info: Any) -> Iterator[bytes]:
        try:
            with self._zip.open(info, "r") as file:
                while data := file.read(_READ_BYTES):
                    yield data
        except (zipfile.BadZipFile, pyzipper.BadZipFile):
            return
        except RuntimeError as error:
            if "password" not in str(error):
                raise
            zh, en = "密码与中断的那次导出不同", "the password is not that of the interrupted export"
            raise ExportFailed(Text(zh, en)) from error

    def _forget(self) -> None:
        """Drop what an earlier attempt left beyond what was kept."""
        for each in self._found:
            self._zip.NameToInfo.pop(each.filename, None)
        if self._found:
            self._found = []
            self._cut(self._zip.start_dir)

    def _drop(self, name: str, start: int) -> None:
        """Take back the entry that was being written."""
        self._zip.filelist[:] = [each for each in self._zip.filelist if each.filename != name]
        self._zip.NameToInfo.pop(name, None)
        self._cut(start)

    def _cut(self, at: int) -> None:
        self._zip.start_dir = at
        with suppress(OSError):
            self._file.seek(at)
            self._file.truncate(at)


def _read(path: Path) -> Iterator[bytes]:
    with path.open("rb") as file:
        while data := file.read(_READ_BYTES):
            yield data


def _whole_entries(file: IO[bytes], encrypted: bool) -> Iterator[Any]:
    """The entries that were written to their end, by the headers before them: the last of an interrupted zip says a
    size of zero. Stops at one that is encrypted when this is not, and the other way round."""
    size, at = os.fstat(file.fileno()).st_size, 0
    while at + _LOCAL.size <= size:
        file.seek(at)
        mark, _, flags, method, clock, day, crc, packed, plain, name_bytes, extra_bytes = _LOCAL.unpack(
            file.read(_LOCAL.size)
        )
        if mark != _LOCAL_MARK or bool(flags & 1) != encrypted:
            return
        name = file.read(name_bytes).decode("utf-8" if flags & 0x800 else "cp437")
        extra = dict(_extras(file.read(extra_bytes)))
        if _ZIP64 in extra and len(extra[_ZIP64]) >= 16:
            plain, packed = struct.unpack_from("<2Q", extra[_ZIP64])
        end = at + _LOCAL.size + name_bytes + extra_bytes + packed
        if not packed or end > size:
            return
        info: Any = pyzipper.zipfile_aes.AESZipInfo(name) if encrypted else zipfile.ZipInfo(name)
        info.compress_type, info.flag_bits, info.external_attr = zipfile.ZIP_STORED, flags, 0o640 << 16
        date = (day >> 9) + 1980, day >> 5 & 15, day & 31, clock >> 11, clock >> 5 & 63, (clock & 31) * 2
        info.date_time = date
        info.CRC, info.compress_size, info.file_size, info.header_offset = crc, packed, plain, at
        if encrypted:
            if method != pyzipper.zipfile_aes.WZ_AES_COMPRESS_TYPE or len(extra.get(_AES, b"")) != 7:
                return
            info.wz_aes_version, info.wz_aes_vendor_id, info.wz_aes_strength, _ = struct.unpack("<H2sBH", extra[_AES])
        yield info
        at = end


def _entry_bytes(file: IO[bytes], info: Any) -> int:
    """How long an entry is with the header before it."""
    file.seek(info.header_offset)
    header = _LOCAL.unpack(file.read(_LOCAL.size))
    return _LOCAL.size + int(header[9]) + int(header[10]) + int(info.compress_size)


def _extras(data: bytes) -> Iterator[tuple[int, bytes]]:
    at = 0
    while at + 4 <= len(data):
        kind, length = struct.unpack_from("<2H", data, at)
        yield kind, data[at + 4 : at + 4 + length]
        at += 4 + length
