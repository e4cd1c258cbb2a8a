"""Counting people: time per look, memory with four cameras, and how far counts are from the eye.

No threshold is chosen here: .30 for a single pass and .32 for the census were chosen on other images.
With YUNJIAN_EVAL_DATA set to a folder with people/coco, the counts of its images are judged too.
"""

import json
import os
import statistics
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import av
from av import VideoFrame

from agent.vision.boxes import Box
from agent.vision.detector import Detector
from agent.vision.watch import Watch, seen
from models import manifest
from tests.bench.row import Row
from tests.fakes.waiting import until
from tests.vision.rig import MEDIA, Desk, VisionProcess, frames, rtsp_server

SINGLE_THRESHOLD = 0.30
CENSUS_THRESHOLD = 0.32
CLIP_FPS = 5
LOOKS = 40
SETTLE_S = 20.0
MOST_PEOPLE = 10
"""Images with more are a crowd, not a room; also judged, in a row of their own."""

HAND_COUNTS = MEDIA.parents[2] / "tests" / "media" / "hand_counts.json"

Method = Callable[[VideoFrame], list[Box]]


def rows() -> Iterator[Row]:
    """The figures of this bench."""
    yield from _speed()
    yield from _counts_by_eye()
    yield from _process()
    if folder := os.environ.get("YUNJIAN_EVAL_DATA"):
        yield from _coco(Path(folder) / "people" / "coco")


def detector(name: str) -> Detector:
    """A model as the vision process loads it, on one thread."""
    models = manifest.load()
    return Detector(manifest.read(name, models), models[name])


def _speed() -> Iterator[Row]:
    picture = frames("room-a-sub.mp4")[0]
    times = {}
    for name in ("nanodet", "nanodet-int8"):
        loaded = detector(name)
        times[name] = _median_ms(lambda loaded=loaded: loaded.look(picture))  # type: ignore[misc]
        yield Row(f"vision.look.{name}", times[name], "ms", note="640x480 frame in, boxes out, one thread, median")
    yield Row("vision.look.int8_share", times["nanodet-int8"] / times["nanodet"], "of fp32")
    loaded = detector("nanodet-int8")
    yield Row("vision.census.nanodet-int8", _median_ms(lambda: loaded.census(picture)), "ms", note="640 and mirrored")


def _median_ms(look: Callable[[], object]) -> float:
    taken = []
    for _ in range(LOOKS):
        began = time.perf_counter()
        look()
        taken.append((time.perf_counter() - began) * 1000)
    return statistics.median(taken)


def _counts_by_eye() -> Iterator[Row]:
    truth: dict[str, dict[str, int]] = json.loads(HAND_COUNTS.read_text(encoding="utf-8"))["clips"]
    for name in ("nanodet", "nanodet-int8"):
        loaded = detector(name)
        single, census, watch = [], [], []
        for clip, people in truth.items():
            pictures = frames(clip)
            told = _watched(loaded, pictures)
            for number, count in ((int(text), count) for text, count in people.items()):
                single.append(abs(_over(loaded.look(pictures[number]), SINGLE_THRESHOLD) - count))
                census.append(abs(_over(loaded.census(pictures[number]), CENSUS_THRESHOLD) - count))
                if number in told:
                    watch.append(abs(told[number] - count))
        for method, errors in (("single", single), ("census", census), ("watch", watch)):
            within = sum(error <= 1 for error in errors) / len(errors)
            note = f"demonstration clips counted by eye, {len(errors)} frames, within one {within:.0%}"
            yield Row(f"vision.count_mae.{method}.{name}", statistics.mean(errors), "people", note=note)


def _watched(loaded: Detector, pictures: list[VideoFrame]) -> dict[int, int]:
    """What the production code says one second after each frame."""
    watch, told = Watch(), {}
    for number, picture in enumerate(pictures):
        watch = seen(watch, loaded.look(picture), SINGLE_THRESHOLD, number / CLIP_FPS)
        if number >= CLIP_FPS and (count := watch.count()):
            told[number - CLIP_FPS] = count.count
    return told


def _over(boxes: list[Box], threshold: float) -> int:
    return sum(box.score >= threshold for box in boxes)


SETTINGS = """
facility: {{id: bench, name: bench}}
paths: {{data: {folder}, runtime: {folder}}}
footage: {{volumes: ["{folder}/footage"]}}
rooms:
{rooms}
cameras:
{cameras}
"""


def _process() -> Iterator[Row]:
    clips = ("room-a", "room-b", "room-a", "room-b")
    with tempfile.TemporaryDirectory(prefix="vision-") as name, rtsp_server(MEDIA) as server:
        folder = Path(name)
        rooms = "\n".join(f"  - {{id: r{n}, name: r{n}, group: mixed}}" for n in range(len(clips)))
        cameras = "\n".join(
            f'  - {{id: c{n}, name: c{n}, room: r{n}, main: "{server.url}/{clip}-main.mp4?play_count=0", '
            f'sub: "{server.url}/{clip}-sub.mp4?play_count=0"}}'
            for n, clip in enumerate(clips)
        )
        settings = folder / "facility.yaml"
        settings.write_text(SETTINGS.format(folder=folder, rooms=rooms, cameras=cameras), "utf-8")
        with Desk(folder) as desk:
            process = VisionProcess(settings, folder)
            try:
                process.wait_until_ready()
                until(lambda: all(desk.counts(f"r{n}") for n in range(len(clips))), 30, "four rooms are counted")
                status = process.status() or {}
                before = sum(each["looks"] for each in status["cameras"]), _cpu_s(status["pid"]), time.monotonic()
                time.sleep(SETTLE_S)
                status = process.status() or {}
                lasted_s = time.monotonic() - before[2]
                looks = sum(each["looks"] for each in status["cameras"]) - before[0]
                note = f"four cameras, {looks / lasted_s / len(clips):.2f} looks per second each"
                yield Row("vision.rss", status["rss_kib"] / 1024, "MiB", note=note)
                yield Row("vision.cpu", (_cpu_s(status["pid"]) - before[1]) / lasted_s * 100, "% core", note=note)
            finally:
                process.kill()


def _cpu_s(pid: int) -> float:
    fields = Path(f"/proc/{pid}/stat").read_text(encoding="ascii").rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def _coco(folder: Path) -> Iterator[Row]:
    images = sorted(folder.rglob("*.jpg"))
    labels = {path.stem: path for path in folder.rglob("*.txt")}
    for name in ("nanodet", "nanodet-int8"):
        loaded = detector(name)
        methods: tuple[tuple[str, Method, float], ...] = (
            ("single", loaded.look, SINGLE_THRESHOLD),
            ("census", loaded.census, CENSUS_THRESHOLD),
        )
        for method, look, threshold in methods:
            errors, people = [], []
            for path in images:
                lines = labels[path.stem].read_text().splitlines() if path.stem in labels else []
                people.append(sum(line.split()[0] == "0" for line in lines if line.strip()))
                with av.open(str(path)) as image:
                    errors.append(abs(_over(look(next(image.decode(video=0))), threshold) - people[-1]))
            few = [error for error, count in zip(errors, people, strict=True) if count <= MOST_PEOPLE]
            within = sum(error <= 1 for error in few) / len(few)
            note = f"people/coco, {len(few)} images with up to {MOST_PEOPLE}, at {threshold}, within one {within:.0%}"
            yield Row(f"vision.coco_mae.{method}.{name}", statistics.mean(few), "people", note=note)
            note = f"people/coco, all {len(errors)} images, at {threshold}"
            yield Row(f"vision.coco_mae_all.{method}.{name}", statistics.mean(errors), "people", note=note)
