"""The recipe: `python -m models.build` makes every model of the manifest out of published packages.

A model that is there with the right sha256 is left alone. Runs in an environment made from
requirements/models.lock. Options for those who change the recipe: `--calibrate` measures the ranges for the
8-bit model anew, `--accept` writes the sha256 of what was built into the manifest.
"""

import argparse
import hashlib
import json
import os
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import av
import numpy as np
import numpy.typing as npt

from models import manifest, tfjs
from models.convert import convert, free_height_and_width, to_bytes
from models.fetch import FetchFailed, fetch, take_out
from models.quantise import Ranges, measure, quantise

MANIFEST = manifest.FOLDER / "manifest.json"
CALIBRATION = manifest.FOLDER / "nanodet-calibration.json"
MEDIA = manifest.FOLDER.parent / "agent" / "demo" / "media"
CALIBRATION_CLIPS = ("room-a-sub.mp4", "room-b-sub.mp4")
CALIBRATION_SIDE = 416
EVERY_NTH_FRAME = 5


def main(arguments: list[str] | None = None) -> int:
    """Build what is asked for; 0 when everything is there and as the manifest says."""
    parser = argparse.ArgumentParser(prog="python -m models.build", description=__doc__)
    parser.add_argument("--only", metavar="NAME", help="build this model alone")
    parser.add_argument("--cache", type=Path, metavar="DIR", help="keep the fetched packages here")
    parser.add_argument("--folder", type=Path, default=manifest.FOLDER, help="where the models go")
    parser.add_argument("--calibrate", action="store_true", help="measure the ranges for the 8-bit model anew")
    parser.add_argument("--accept", action="store_true", help="write what was built into the manifest")
    asked = parser.parse_args(arguments)
    models = manifest.load()
    if asked.only is not None and asked.only not in models:
        parser.error(f"no model {asked.only}; there are {', '.join(models)}")
    wanted = [models[asked.only]] if asked.only else list(models.values())
    missing = [each for each in wanted if asked.calibrate or asked.accept or not _is_there(each, asked.folder)]
    for model in wanted:
        if model not in missing:
            print(f"models: {model.file} is there", flush=True)
    if not missing:
        return 0
    try:
        with tempfile.TemporaryDirectory(prefix="yunjian-models-") as scratch:
            return _build(missing, asked.folder, asked.cache, Path(scratch), asked.calibrate, asked.accept)
    except (FetchFailed, tfjs.BadGraph) as error:
        print(f"models: {error}", file=sys.stderr)
        return 1


def _build(
    wanted: list[manifest.Model], folder: Path, cache: Path | None, scratch: Path, calibrate: bool, accept: bool
) -> int:
    for source in dict.fromkeys(each.source for each in wanted):
        package = fetch(source, cache or scratch)
        names = {name for each in wanted if each.source == source for name in each.source_files}
        take_out(package, sorted(names), scratch)
    if calibrate:
        _calibrate(scratch)
    failed = 0
    for model in wanted:
        began = time.monotonic()
        content = RECIPES[model.name](scratch)
        found = hashlib.sha256(content).hexdigest()
        if accept:
            _accept(model.name, found)
        elif found != model.sha256:
            print(f"models: {model.file} came out as {found}; the manifest says {model.sha256}", file=sys.stderr)
            failed = 1
            continue
        _write(folder / model.file, content)
        print(
            f"models: {model.file} built in {time.monotonic() - began:.1f} s, {len(content) / 1e6:.1f} MB", flush=True
        )
    return failed


def _nanodet(sources: Path) -> bytes:
    return to_bytes(free_height_and_width(convert(tfjs.read(sources / "nanodet.json"))))


def _nanodet_int8(sources: Path) -> bytes:
    table: Ranges = {name: (low, high) for name, (low, high) in json.loads(CALIBRATION.read_text())["ranges"].items()}
    return quantise(_nanodet(sources), table)


def _multipose(sources: Path) -> bytes:
    return to_bytes(convert(tfjs.read(sources / "movenet-multipose.json"), (1, "height", "width", 3)))


RECIPES: dict[str, Callable[[Path], bytes]] = {
    "nanodet": _nanodet,
    "nanodet-int8": _nanodet_int8,
    "movenet-multipose": _multipose,
}
"""How each model is made from the files of its package."""


def _calibrate(sources: Path) -> None:
    given = manifest.load()["nanodet"].input
    ranges = measure(_nanodet(sources), _pictures(given))
    how = f"every {EVERY_NTH_FRAME}th frame of {', '.join(CALIBRATION_CLIPS)}, letterboxed to {CALIBRATION_SIDE}"
    document = {"measured_on": how, "command": "python -m models.build --calibrate --accept", "ranges": ranges}
    _write(CALIBRATION, (json.dumps(document, indent=1) + "\n").encode())
    print(f"models: {CALIBRATION.name} measured anew, {len(ranges)} tensors", flush=True)


def _pictures(given: manifest.Input) -> Iterator[npt.NDArray[np.float32]]:
    for clip in CALIBRATION_CLIPS:
        with av.open(str(MEDIA / clip)) as container:
            for number, frame in enumerate(container.decode(video=0)):
                if number % EVERY_NTH_FRAME:
                    continue
                height = round(CALIBRATION_SIDE * frame.height / frame.width)
                small = frame.to_ndarray(width=CALIBRATION_SIDE, height=height, format="bgr24")
                picture = np.zeros((CALIBRATION_SIDE, CALIBRATION_SIDE, 3), np.float32)
                top = (CALIBRATION_SIDE - height) // 2
                picture[top : top + height] = small
                scaled = (picture - np.array(given.mean)) / np.array(given.std)
                yield scaled.transpose(2, 0, 1)[None].astype(np.float32)


def _is_there(model: manifest.Model, folder: Path) -> bool:
    try:
        manifest.read(model.name, {model.name: model}, folder)
    except manifest.ModelFault:
        return False
    return True


def _accept(name: str, sha256: str) -> None:
    document = json.loads(MANIFEST.read_text(encoding="utf-8"))
    for each in document["models"]:
        if each["name"] == name:
            each["sha256"] = sha256
    _write(MANIFEST, (json.dumps(document, indent=2, ensure_ascii=False) + "\n").encode())


def _write(path: Path, content: bytes) -> None:
    """Write a file whole or not at all."""
    path.parent.mkdir(parents=True, exist_ok=True)
    scratch = path.with_name(f".{path.name}.{os.getpid()}")
    with scratch.open("wb") as file:
        file.write(content)
        file.flush()
        os.fsync(file.fileno())
    scratch.replace(path)


if __name__ == "__main__":
    sys.exit(main())
