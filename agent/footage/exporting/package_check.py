"""Checks an export package, a folder or a zip, against its manifest and its signature."""

import hashlib
import os
import struct
import zipfile
import zlib
from collections.abc import Iterator
from contextlib import closing
from lzma import LZMAError
from pathlib import Path
from typing import Any, Final, Protocol

import pyzipper
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

from agent.footage.chain import SM3, UnknownHash, algorithm_of, digest_of, new_hash
from agent.footage.exporting.copying import Progress
from agent.footage.exporting.manifest import MANIFEST, SIGNATURE, SUMS, is_inside, sums
from agent.footage.exporting.package_proof import Chain, Seen, check_proof
from agent.footage.exporting.package_verdict import Judgement, NoPackage, judge, read_manifest, read_signature
from agent.footage.exporting.recorded import DESCRIBED_BYTES, described

_READ_BYTES: Final = 1 << 20
_SMALL_BYTES: Final = 16 << 20
_BYTES_A_FILE: Final = 4096
"""No manifest or proof is longer than the one and, for every file of the package, the other: a tenth of it is usual.
A bomb of a few kilobytes is not unpacked into all the memory of who checks it."""

_NO_CONTENT: Final = (
    zipfile.BadZipFile, pyzipper.BadZipFile, zlib.error, LZMAError, struct.error, EOFError, OverflowError,
    NotImplementedError,
)  # fmt: skip
"""What the reading of a damaged or hostile zip raises."""


class WrongPassword(Exception):
    """The zip has a password, and this is not it."""


class _Contents(Protocol):
    """The files of a package."""

    problems: list[str]

    def sizes(self) -> dict[str, int]:
        """Every file, by name."""

    def content(self, name: str) -> Iterator[bytes]:
        """The bytes of one. Raises OSError, ValueError when they cannot be read."""

    def close(self) -> None:
        """Let go."""


def check_package(
    path: Path, typed: str | None = None, password: bytes | None = None, progress: Progress | None = None
) -> tuple[dict[str, Any], Judgement]:
    """The manifest of a package and what is to be said of it. `typed` is the fingerprint that a person gave.

    Raises NoPackage when there is none, WrongPassword, OSError.
    """
    with closing(_Folder(path) if path.is_dir() else _Zip(path, password)) as contents:
        return _Checking(contents, path).run(typed, progress)


class _Checking:
    """One package being checked: the folder of the manifest that lies highest, as who packs a folder again puts one
    around it."""

    def __init__(self, contents: _Contents, path: Path) -> None:
        found = contents.sizes()
        heads = [name for name in found if name == MANIFEST or name.endswith(f"/{MANIFEST}")]
        highest = min((name.count("/") for name in heads), default=0)
        heads = [name for name in heads if name.count("/") == highest]
        if len(heads) != 1:
            raise NoPackage(f"{'no' if not heads else 'more than one'} {MANIFEST} in {path}")
        self._prefix = heads[0].removesuffix(MANIFEST)
        self._contents = contents
        self._sizes = {
            name.removeprefix(self._prefix): size for name, size in found.items() if name.startswith(self._prefix)
        }
        self._problems = contents.problems

    def run(self, typed: str | None, progress: Progress | None) -> tuple[dict[str, Any], Judgement]:
        head = self._small(MANIFEST)
        manifest = read_manifest(head or b"")
        digest = hashlib.sha256(head or b"").hexdigest()
        signature = read_signature(self._small(SIGNATURE) if SIGNATURE in self._sizes else None, digest, verify)
        seen = self._look(manifest, progress)
        expected = sums([*((each["name"], each["sha256"]) for each in manifest["files"]), (MANIFEST, digest)])
        if SUMS not in self._sizes or self._small(SUMS) != expected:
            self._problems.append(f"{SUMS}: differs from {MANIFEST}")
        public = signature.public if signature is not None else b""
        chains = [
            check_proof(manifest, self._small(each["name"]) or b"", seen, public, verify)
            for each in manifest["files"]
            if each["kind"] == "proof" and each["name"] in seen
        ]
        named = {(chain.camera, chain.stream) for chain in chains}
        for film in manifest["cameras"]:
            if (film["uuid"], film["stream"]) not in named:
                chains.append(Chain(film["uuid"], film["stream"], "unproved"))
        return manifest, judge(manifest, seen, signature, chains, self._problems, typed)

    def _look(self, manifest: dict[str, Any], progress: Progress | None) -> dict[str, Seen]:
        """Every file as it is; those that cannot be read are told. Of another size than it should be, none is read."""
        listed = {each["name"]: each for each in manifest["files"]}
        total, done = sum(size for name, size in self._sizes.items() if name in listed), 0
        seen: dict[str, Seen] = {}
        for name, size in self._sizes.items():
            each = listed.get(name)
            if each is None or each["bytes"] != size:
                seen[name] = Seen(size, "")
                continue
            plain, other = hashlib.sha256(), _other(each.get("digest"))
            length, head = 0, b""
            try:
                for data in self._contents.content(self._prefix + name):
                    head = head or data[:DESCRIBED_BYTES]
                    plain.update(data)
                    if other is not None:
                        other.update(data)
                    length += len(data)
                    if progress is not None:
                        progress(done + length, total)
            except (OSError, ValueError) as error:
                self._problems.append(f"{name}: {error}")
            done += size
            digest = digest_of(other) if other is not None else plain.hexdigest()
            said = described(head) if each["kind"] == "segment" else {}
            seen[name] = Seen(length, plain.hexdigest(), digest, said)
        return seen

    def _small(self, name: str) -> bytes | None:
        """A file that is taken whole; None when it cannot be read. Raises NoPackage when it is too long."""
        if self._sizes[name] > _SMALL_BYTES + _BYTES_A_FILE * len(self._sizes):
            raise NoPackage(f"{name} is too long: {self._sizes[name]} bytes")
        try:
            return b"".join(self._contents.content(self._prefix + name))
        except (OSError, ValueError) as error:
            self._problems.append(f"{name}: {error}")
            return None


def verify(public: bytes, signature: bytes, text: bytes) -> bool:
    """Whether an Ed25519 signature is good."""
    try:
        Ed25519PublicKey.from_public_bytes(public).verify(signature, text)
    except (InvalidSignature, ValueError):
        return False
    return True


def _other(digest: Any) -> Any:
    try:
        return new_hash(SM3) if isinstance(digest, str) and algorithm_of(digest) == SM3 else None
    except UnknownHash:
        return None


class _Folder:
    """A package that is a folder, or was unpacked into one."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self.problems: list[str] = []

    def sizes(self) -> dict[str, int]:
        found: dict[str, int] = {}
        for folder, folders, files in os.walk(self._path):
            for file in [*files, *(each for each in folders if (Path(folder) / each).is_symlink())]:
                path = Path(folder) / file
                name = os.fsencode(path.relative_to(self._path).as_posix()).decode("utf-8", "replace")
                if path.is_symlink() or not path.is_file():
                    self.problems.append(f"{name}: is no plain file")
                else:
                    found[name] = path.stat().st_size
        return found

    def close(self) -> None:
        pass

    def content(self, name: str) -> Iterator[bytes]:
        with (self._path / name).open("rb") as file:
            while data := file.read(_READ_BYTES):
                yield data


class _Zip:
    """A package that is a zip."""

    def __init__(self, path: Path, password: bytes | None) -> None:
        self.problems: list[str] = []
        try:
            self._zip: Any = pyzipper.AESZipFile(path)
        except (*_NO_CONTENT, ValueError) as error:
            raise NoPackage(f"{path}: {error}") from error
        if password is not None:
            self._zip.setpassword(password)

    def sizes(self) -> dict[str, int]:
        found: dict[str, int] = {}
        for each in self._zip.infolist():
            if each.is_dir():
                continue
            if each.filename in found or not is_inside(each.filename):
                self.problems.append(f"{each.filename}: twice in the zip, or outside of it")
            found[each.filename] = each.file_size
        return found

    def close(self) -> None:
        self._zip.close()

    def content(self, name: str) -> Iterator[bytes]:
        try:
            with self._zip.open(name) as file:
                while data := file.read(_READ_BYTES):
                    yield data
        except _NO_CONTENT as error:
            raise ValueError(str(error) or type(error).__name__) from error
        except RuntimeError as error:
            if "password" not in str(error):
                raise ValueError(str(error)) from error
            raise WrongPassword(str(error)) from error
