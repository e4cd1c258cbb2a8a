"""The model in use, and what is wrong when there is none."""

import shutil
from pathlib import Path

from agent.vision.loaded import LOOK_AGAIN_S, LoadedModel
from models import manifest


def test_a_damaged_manifest_is_a_fault_that_names_it_and_is_over_when_it_is_mended(tmp_path: Path) -> None:
    file = tmp_path / "manifest.json"
    file.write_text('{"models": [')
    model = LoadedModel("nanodet-int8", file, manifest.FOLDER, 1)
    model.refresh(0.0)
    assert not model.sha256()
    assert "manifest.json" in str(model.text())
    shutil.copy(manifest.FOLDER / "manifest.json", file)
    model.refresh(LOOK_AGAIN_S / 2)
    assert not model.sha256(), "it is looked at no more often than that"
    model.refresh(LOOK_AGAIN_S)
    assert model.sha256()
    assert model.text() is None


def test_a_missing_manifest_is_a_fault_too(tmp_path: Path) -> None:
    model = LoadedModel("nanodet-int8", tmp_path / "manifest.json", manifest.FOLDER, 1)
    model.refresh(0.0)
    assert model.fault is not None
    assert model.fault.file == "manifest.json"
