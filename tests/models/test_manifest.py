import json
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from models import manifest
from models.manifest import BadManifest, ModelFault, ModelProblem


@pytest.mark.parametrize("name", sorted(manifest.load()))
def test_what_was_built_is_what_the_manifest_says(name: str) -> None:
    assert manifest.read(name, manifest.load())


def test_every_model_says_where_it_is_from_and_how_exact_it_is() -> None:
    for model in manifest.load().values():
        assert len(model.sha256) == len(model.source.sha256) == 64
        assert model.source.licence == "Apache-2.0"
        assert model.decoder
        # Key points are not used yet: their figures come with the falls.
        assert model.accuracy or model.decoder == "movenet-multipose", f"{model.name} has no measured accuracy"
        assert all(each.command for each in model.accuracy)


def test_a_fault_names_the_file_and_what_is_wrong(tmp_path: Path) -> None:
    models = manifest.load()
    file = tmp_path / "nanodet-int8.onnx"

    def fault(name: str) -> ModelFault:
        with pytest.raises(ModelFault) as found:
            manifest.read(name, models, tmp_path)
        return found.value

    assert fault("nanodet-int8").problem is ModelProblem.MISSING
    assert fault("nanodet-int8").file == "nanodet-int8.onnx"
    shutil.copy(manifest.FOLDER / file.name, file)
    assert manifest.read("nanodet-int8", models, tmp_path) == file.read_bytes()
    file.write_bytes(file.read_bytes()[:-1])
    assert fault("nanodet-int8").problem is ModelProblem.ALTERED
    file.unlink()
    file.mkdir()
    assert fault("nanodet-int8").problem is ModelProblem.UNREADABLE
    assert fault("no-such").problem is ModelProblem.UNKNOWN


@pytest.mark.parametrize(
    "text", ["", "[]", "{}", '{"sources": {}, "models": [{"name": "a"}]}', '{"sources": {"a": {"b": 1}}, "models": []}']
)
def test_a_damaged_manifest_is_told(tmp_path: Path, text: str) -> None:
    (tmp_path / "manifest.json").write_text(text, "utf-8")
    with pytest.raises(BadManifest):
        manifest.load(tmp_path / "manifest.json")


def test_the_check_answers_by_its_exit_status_without_any_package(tmp_path: Path) -> None:
    command = [sys.executable, "-S", "-m", "models.manifest", "--check"]
    folder = manifest.FOLDER.parent
    good = subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False)
    assert good.returncode == 0, good.stderr
    bad = subprocess.run([*command, "--folder", str(tmp_path)], cwd=folder, capture_output=True, text=True, check=False)
    assert bad.returncode == 1
    assert "nanodet-int8.onnx: the file is missing" in bad.stdout
    quiet = subprocess.run([*command, "-q"], cwd=folder, capture_output=True, text=True, check=False)
    assert (quiet.returncode, quiet.stdout) == (0, "")


def test_the_table_of_ranges_is_whole() -> None:
    table = json.loads((manifest.FOLDER / "nanodet-calibration.json").read_text(encoding="utf-8"))
    assert len(table["ranges"]) > 60
    assert all(low <= 0 <= high for low, high in table["ranges"].values())
