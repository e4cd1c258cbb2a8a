"""What each model is: file, source, licence, sha256, input, decoder, measured accuracy.

Standard library only, so that every process and the recipe can read it.
"""

import argparse
import hashlib
import json
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from typing import Any

FOLDER = Path(__file__).parent
"""Where `manifest.json` is, and where the models are when the settings name no other folder."""


class ModelProblem(StrEnum):
    """Why a model cannot be used."""

    UNKNOWN = "unknown"
    MISSING = "missing"
    ALTERED = "altered"
    UNREADABLE = "unreadable"


class ModelFault(Exception):
    """A model cannot be used. `file` names the file concerned; `problem` says why, `detail` in more words."""

    def __init__(self, file: str, problem: ModelProblem, detail: str) -> None:
        super().__init__(f"{file}: {detail}")
        self.file = file
        self.problem = problem
        self.detail = detail


class BadManifest(ValueError):
    """The manifest itself is damaged."""


@dataclass(frozen=True, slots=True)
class Source:
    """A published package that models are made from. `sha256` is that of the package file."""

    package: str
    registry: str
    licence: str
    sha256: str


@dataclass(frozen=True, slots=True)
class Measured:
    """One accuracy figure, and the command that measured it."""

    what: str
    value: float
    command: str


@dataclass(frozen=True, slots=True)
class Input:
    """What the network takes: `layout` NCHW or NHWC, `colour` BGR or RGB, height and width multiples of `multiple_of`.

    A value of the picture goes in as (value - mean) / std of its channel.
    """

    name: str
    dtype: str
    layout: str
    colour: str
    multiple_of: int
    mean: tuple[float, float, float]
    std: tuple[float, float, float]


@dataclass(frozen=True, slots=True)
class Model:
    """One model file. `decoder` names the arithmetic that turns its outputs into boxes or key points."""

    name: str
    file: str
    sha256: str
    source: Source
    source_files: tuple[str, ...]
    input: Input
    decoder: str
    precision: str
    accuracy: tuple[Measured, ...]


def load(path: Path = FOLDER / "manifest.json") -> Mapping[str, Model]:
    """Every model, by name. Raises BadManifest when the file is damaged, OSError when it cannot be read."""
    try:
        document = json.loads(path.read_text(encoding="utf-8"))
        sources = {name: Source(**values) for name, values in document["sources"].items()}
        return {each["name"]: _model(each, sources) for each in document["models"]}
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise BadManifest(f"{path.name}: {error}") from error


def read(name: str, models: Mapping[str, Model], folder: Path = FOLDER) -> bytes:
    """The bytes of a model, checked against the manifest.

    They are read once, so that what was checked is what is used. Raises ModelFault.
    """
    model = models.get(name)
    if model is None:
        raise ModelFault(name, ModelProblem.UNKNOWN, f"no such model in the manifest; there are {', '.join(models)}")
    try:
        content = (folder / model.file).read_bytes()
    except FileNotFoundError as error:
        raise ModelFault(model.file, ModelProblem.MISSING, "the file is missing; `make models` builds it") from error
    except OSError as error:
        raise ModelFault(model.file, ModelProblem.UNREADABLE, f"cannot be read: {error.strerror}") from error
    found = hashlib.sha256(content).hexdigest()
    if found != model.sha256:
        detail = f"sha256 is {found[:16]}..., the manifest says {model.sha256[:16]}...; `make models` builds it anew"
        raise ModelFault(model.file, ModelProblem.ALTERED, detail)
    return content


def _model(values: dict[str, Any], sources: dict[str, Source]) -> Model:
    given = values["input"]
    return Model(
        name=values["name"],
        file=values["file"],
        sha256=values["sha256"],
        source=sources[values["source"]],
        source_files=tuple(values["source_files"]),
        input=Input(**{**given, "mean": tuple(given["mean"]), "std": tuple(given["std"])}),
        decoder=values["decoder"],
        precision=values["precision"],
        accuracy=tuple(Measured(**each) for each in values["accuracy"]),
    )


def main(arguments: list[str] | None = None) -> int:
    """`python -m models.manifest --check`: 0 when every model is there and unaltered."""
    parser = argparse.ArgumentParser(prog="python -m models.manifest", description=main.__doc__)
    parser.add_argument("--check", action="store_true", required=True, help="compare every file with its sha256")
    parser.add_argument("--folder", type=Path, default=FOLDER, help="where the models are")
    parser.add_argument("-q", "--quiet", action="store_true", help="say nothing, answer by the exit status alone")
    asked = parser.parse_args(arguments)
    wrong = 0
    models = load()
    for name, model in models.items():
        try:
            read(name, models, asked.folder)
            told = "ok"
        except ModelFault as fault:
            wrong, told = 1, fault.detail
        if not asked.quiet:
            print(f"{model.file}: {told}")
    return wrong


if __name__ == "__main__":
    sys.exit(main())
