"""Checks an export package, a folder or a zip, against its manifest and its signature."""

import base64
import binascii
import hashlib
import json
import os
import zipfile
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any, Final, Protocol

import pyzipper
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

from agent.footage.chain import SM3, UnknownHash, algorithm_of, digest_of, new_hash
from agent.footage.exporting.copying import Progress
from agent.footage.exporting.manifest import MANIFEST, SIGNATURE, SUMS, is_inside, sums
from agent.footage.exporting.package_verdict import (
    Chain,
    Judgement,
    NoPackage,
    Seen,
    check_proof,
    judge,
    read_manifest,
    read_signature,
)

_READ_BYTES: Final = 1 << 20
_MOST_BYTES: Final = 256 << 20
"""No manifest or proof is longer: half a million files take 250 MB."""


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
        return _check(contents, path, typed, progress)


def _check(
    contents: _Contents, path: Path, typed: str | None, progress: Progress | None
) -> tuple[dict[str, Any], Judgement]:
    sizes = contents.sizes()
    if MANIFEST not in sizes:
        raise NoPackage(f"no {MANIFEST} in {path}")
    head = _small(contents, MANIFEST, sizes)
    manifest = read_manifest(head)
    digest = hashlib.sha256(head).hexdigest()
    signature = read_signature(_small(contents, SIGNATURE, sizes) if SIGNATURE in sizes else None, digest, verify)
    seen, problems = _look(contents, sizes, manifest, progress)
    expected = sums([*((each["name"], each["sha256"]) for each in manifest["files"]), (MANIFEST, digest)])
    if SUMS not in sizes or _small(contents, SUMS, sizes) != expected:
        problems.append(f"{SUMS}: differs from {MANIFEST}")
    public = _public_key(contents, sizes) if signature is not None and signature.good else b""
    chains = []
    for each in manifest["files"]:
        if each["kind"] == "proof" and each["name"] in seen:
            chains.append(check_proof(manifest, _small(contents, each["name"], sizes), signature, public, verify))
    named = {(chain.camera, chain.stream) for chain in chains}
    for film in manifest.get("cameras", ()):
        if (film["uuid"], film["stream"]) not in named:
            chains.append(Chain(film["uuid"], film["stream"], "unproved"))
    return manifest, judge(manifest, seen, signature, chains, [*contents.problems, *problems], typed)


def verify(public: bytes, signature: bytes, text: bytes) -> bool:
    """Whether an Ed25519 signature is good."""
    try:
        Ed25519PublicKey.from_public_bytes(public).verify(signature, text)
    except (InvalidSignature, ValueError):
        return False
    return True


def _look(
    contents: _Contents, sizes: dict[str, int], manifest: dict[str, Any], progress: Progress | None
) -> tuple[dict[str, Seen], list[str]]:
    """Every file as it is, and those that cannot be read."""
    listed = {each["name"]: each for each in manifest["files"]}
    total, done = sum(size for name, size in sizes.items() if name in listed), 0
    seen: dict[str, Seen] = {}
    problems: list[str] = []
    for name, size in sizes.items():
        each = listed.get(name)
        if each is None:
            seen[name] = Seen(size, "")
            continue
        plain, other = hashlib.sha256(), _other(each.get("digest"))
        length = 0
        try:
            for data in contents.content(name):
                plain.update(data)
                if other is not None:
                    other.update(data)
                length += len(data)
                if progress is not None:
                    progress(done + length, total)
        except (OSError, ValueError) as error:
            problems.append(f"{name}: {error}")
        done += size
        digest = digest_of(other) if other is not None else plain.hexdigest()
        seen[name] = Seen(length, plain.hexdigest(), digest if each.get("digest") else None)
    return seen, problems


def _other(digest: Any) -> Any:
    try:
        return new_hash(SM3) if isinstance(digest, str) and algorithm_of(digest) == SM3 else None
    except UnknownHash:
        return None


def _public_key(contents: _Contents, sizes: dict[str, int]) -> bytes:
    try:
        return base64.b64decode(json.loads(_small(contents, SIGNATURE, sizes))["public_key"], validate=True)
    except (ValueError, KeyError, TypeError, binascii.Error):
        return b""


def _small(contents: _Contents, name: str, sizes: dict[str, int]) -> bytes:
    if sizes[name] > _MOST_BYTES:
        raise NoPackage(f"{name} is too long: {sizes[name]} bytes")
    return b"".join(contents.content(name))


class _Folder:
    """A package that is a folder, or was unpacked into one."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self.problems: list[str] = []

    def sizes(self) -> dict[str, int]:
        found: dict[str, int] = {}
        for folder, _, files in os.walk(self._path):
            for file in files:
                path = Path(folder) / file
                name = path.relative_to(self._path).as_posix()
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
        except (zipfile.BadZipFile, pyzipper.BadZipFile) as error:
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
        except pyzipper.BadZipFile as error:
            raise ValueError(str(error)) from error
        except (RuntimeError, NotImplementedError) as error:
            raise WrongPassword(str(error)) from error
