"""The one model in use: checked, loaded, watched for change, tried again while it cannot be used.

Invariants
1. Only bytes whose sha256 is the manifest's become a network.
2. A file that is altered or lost later is a fault at once; the checked network in memory goes on counting.
"""

import logging
from collections.abc import Mapping
from pathlib import Path
from typing import Final

from agent.facts import Text
from agent.vision.detector import Detector, DetectorBroken
from models.manifest import BadManifest, Model, ModelFault, ModelProblem, load, read

log = logging.getLogger(__name__)

LOOK_AGAIN_S: Final = 5.0
"""How often the file is looked at. Unchanged costs one stat."""

_SAID: Final[Mapping[ModelProblem, tuple[str, str]]] = {
    ModelProblem.UNKNOWN: ("清单中没有这个模型", "is not in the manifest"),
    ModelProblem.MISSING: ("模型文件不存在", "is missing"),
    ModelProblem.ALTERED: ("模型文件被改动，校验和不符", "was altered: its sha256 is not the manifest's"),
    ModelProblem.UNREADABLE: ("模型文件读不了", "cannot be read"),
}


class LoadedModel:
    """Owned by the thread that looks; `fault` and `detector` change only in `refresh` and `broken`."""

    def __init__(self, name: str, manifest_file: Path, folder: Path, threads: int) -> None:
        """Use the model `name` of the manifest, its file in `folder`, on `threads` threads."""
        self.name = name
        self.detector: Detector | None = None
        self.fault: ModelFault | None = None
        self._manifest_file = manifest_file
        self._models: Mapping[str, Model] = {}
        self._folder = folder
        self._threads = threads
        self._looked_s: float | None = None
        self._known: tuple[int, int, int] | None = None

    def sha256(self) -> str:
        """The sha256 of the model in use, empty while there is none."""
        return self.detector.model.sha256 if self.detector else ""

    def refresh(self, now_s: float) -> None:
        """Look at the file when it is time; load it when it is new or was at fault. `now_s` is monotonic."""
        if self._looked_s is not None and now_s - self._looked_s < LOOK_AGAIN_S:
            return
        self._looked_s = now_s
        if not self._models and not self._read_manifest():
            return
        state = self._file_state()
        if self.fault is None and self.detector is not None and state == self._known:
            return
        try:
            content = read(self.name, self._models, self._folder)
            if self.detector is None:
                self.detector = Detector(content, self._models[self.name], self._threads)
            if self.fault is not None:
                log.info("model %s can be used again", self.fault.file)
            self.fault, self._known = None, state
        except ModelFault as fault:
            self._report(fault)
        except DetectorBroken as error:
            self._report(ModelFault(self._models[self.name].file, ModelProblem.UNREADABLE, str(error)))

    def broken(self, error: DetectorBroken) -> None:
        """The network failed on a frame: drop it, and load it anew when it is time."""
        self.detector = None
        self._report(ModelFault(self._models[self.name].file, ModelProblem.UNREADABLE, str(error)))

    def text(self) -> Text | None:
        """What is wrong, for people; None when nothing is."""
        if self.fault is None:
            return None
        zh, en = _SAID[self.fault.problem]
        return Text(f"{self.fault.file}：{zh}", f"{self.fault.file} {en}")

    def _read_manifest(self) -> bool:
        """A manifest that is missing or damaged is a fault like a model's: the process stays, and looks again."""
        try:
            self._models = load(self._manifest_file)
        except (BadManifest, OSError) as error:
            self._report(ModelFault(self._manifest_file.name, ModelProblem.UNREADABLE, str(error)))
            return False
        return True

    def _report(self, fault: ModelFault) -> None:
        if self.fault is None or self.fault.detail != fault.detail:
            log.error("model %s", fault)
        self.fault = fault

    def _file_state(self) -> tuple[int, int, int] | None:
        model = self._models.get(self.name)
        if model is None:
            return None
        try:
            found = (self._folder / model.file).stat()
        except OSError:
            return None
        return found.st_ino, found.st_size, found.st_mtime_ns
