"""What a power cut costs: this agent, `ffmpeg -c copy -f segment` and Debian's `motion` in passthrough.

Each records the same camera in the same seconds, onto a disk of its own that logs its writes (tests/faults/rigs), and
the power of all goes at the same moments. What is lost is the time from the cut back to the last picture that plays,
by the camera's own log. Ours is recovered first, as its start does; the others have nothing to recover with.

A second figure is what syncing every second costs the disk: bytes written to it, by the file system and its journal,
the index and its log included, for each byte of video.
"""

import random
import shutil
import subprocess
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from statistics import median

from tests.bench.row import Row
from tests.fakes.encoded import pictures
from tests.fakes.waiting import until
from tests.faults.power_cut import MOST_LOSS_S, PoweredRun
from tests.faults.rigs.judge import EndlessCamera, pictures_in
from tests.faults.rigs.logged_disk import NEEDS, LoggedDisk
from tests.faults.rigs.write_log import FLUSH, SECTOR

SETTLE_S = 35.0
"""The kernel writes what nobody syncs after 30 s (vm.dirty_expire_centisecs): from then on every disk is as usual."""

WINDOW_S = 130.0
CUTS = 60
SIZE = (224, 160)
"""Pictures of noise in this size are 4 Mbit/s at 25 frames a second."""

MANY = (1, 4, 16)
MANY_WINDOW_S = 60.0
MOST_WRITTEN = 1.03
"""Of one camera alone the journal of the file system takes 5 %: a commit of 24 KiB each second. Four share it."""


def rows() -> Iterator[Row]:
    """The figures of this bench; about eight minutes. Needs root."""
    missing = [name for name in NEEDS if shutil.which(name) is None]
    if missing:
        yield Row("power cut", 0, "s", note=f"left out: {', '.join(missing)} is missing")
        return
    yield from _losses()
    yield from _written()


class Peer:
    """Another recorder at work on a disk of its own."""

    def __init__(self, name: str, program: str, command: Callable[[str, Path], list[str]]) -> None:
        self.name = name
        self.program = program
        self._command = command

    def start(self, running: ExitStack, url: str) -> None:
        """Record from now on."""
        self.disk = running.enter_context(LoggedDisk())
        (self.disk.mount / "video").mkdir()
        command = self._command(url, self.disk.mount / "video")
        self._process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        running.callback(self._end)

    def stop(self) -> None:
        """The run is over."""
        self.disk.freeze()
        self._end()

    def _end(self) -> None:
        self._process.kill()
        self._process.wait(10)


def _ffmpeg(fragmented: bool) -> Callable[[str, Path], list[str]]:
    def command(url: str, folder: Path) -> list[str]:
        flags = ["-segment_format_options", "movflags=+frag_keyframe+empty_moov+default_base_moof"]
        return [
            "ffmpeg", "-nostdin", "-loglevel", "error", "-rtsp_transport", "tcp", "-i", url, "-an", "-c", "copy",
            "-f", "segment", "-segment_time", "60", "-reset_timestamps", "1", *(flags if fragmented else []),
            str(folder / "%03d.mp4"),
        ]  # fmt: skip

    return command


def _motion(url: str, folder: Path) -> list[str]:
    """Everything is recorded, as it comes, in files of a minute."""
    settings = {
        "daemon": "off", "netcam_url": url, "netcam_use_tcp": "on", "width": SIZE[0], "height": SIZE[1],
        "framerate": 25, "emulate_motion": "on", "movie_output": "on", "movie_passthrough": "on",
        "movie_max_time": 60, "picture_output": "off", "target_dir": folder, "webcontrol_port": 0, "stream_port": 0,
        "log_level": 3,
    }  # fmt: skip
    file = folder.parent.parent / "motion.conf"
    file.write_text("".join(f"{name} {value}\n" for name, value in settings.items()))
    return ["motion", "-c", str(file)]


def _losses() -> Iterator[Row]:
    peers = [
        Peer("ffmpeg, fragmented mp4", "ffmpeg", _ffmpeg(True)),
        Peer("ffmpeg, mp4", "ffmpeg", _ffmpeg(False)),
        Peer("motion, passthrough", "motion", _motion),
    ]
    peers = [peer for peer in peers if shutil.which(peer.program) is not None]
    with ExitStack() as running:
        camera = EndlessCamera(pictures(8, SIZE, noise=True))
        running.callback(camera.stop)
        ours = running.enter_context(PoweredRun({"one": camera}, segment_s=60))
        for peer in peers:
            peer.start(running, camera.url())
        until(lambda: ours.recording.is_recording("one"), 30, "the camera is recorded")
        time.sleep(SETTLE_S)
        from_ns = time.time_ns()
        time.sleep(WINDOW_S)
        to_ns = time.time_ns()
        ours.end()
        for peer in peers:
            peer.stop()
        chance = random.Random(1)
        moments = sorted(chance.randrange(from_ns, to_ns) for _ in range(CUTS))
        found = list(ours.judge([ours.disk.cut_at(at, place) for place, at in enumerate(moments)]))
        broken = sum(bool(each.broken) for each in found)
        note = f"{CUTS} cuts, 4 Mbit/s, files of 60 s; closed files, index and disk wrong after {broken} of them"
        yield from _loss_rows("agent", [each.loss_s["one"] for each in found], note, MOST_LOSS_S)
        sent_ns = {each.number: each.wall_ns for each in camera.log}
        for peer in peers:
            lost = []
            for cut, mount in peer.disk.left_by([peer.disk.cut_at(at, place) for place, at in enumerate(moments)]):
                played = [sent_ns[number] for number in _playable(mount / "video") if number in sent_ns]
                lost.append((cut.wall_ns - max(played, default=from_ns - int(SETTLE_S * 1e9))) / 1e9)
            yield from _loss_rows(peer.name, lost, "the same cuts")


def _loss_rows(name: str, lost: list[float], note: str, target: float | None = None) -> Iterator[Row]:
    yield Row(f"footage lost at a power cut, median: {name}", median(lost), "s", note=note)
    most = max(lost)
    yield Row(
        f"footage lost at a power cut, most: {name}", most, "s", target, None if target is None else most <= target
    )


def _playable(folder: Path) -> Iterator[int]:
    """The number of every picture in the files that open, as far as they play."""
    for path in folder.rglob("*"):
        if path.is_file():
            yield from (number for number, _ in pictures_in(path) if number is not None)


def _written() -> Iterator[Row]:
    """Bytes to the disk for each byte of video, of some numbers of cameras."""
    for count in MANY:
        with ExitStack() as running:
            cameras = {f"c{number}": EndlessCamera(pictures(8, SIZE, noise=True)) for number in range(count)}
            for camera in cameras.values():
                running.callback(camera.stop)
            run = running.enter_context(PoweredRun(cameras, segment_s=60))
            until(lambda run=run, cameras=cameras: run.recording.is_recording(*cameras), 30, "all are recorded")  # type: ignore[misc]
            time.sleep(5)
            began_ns, before = time.time_ns(), _video_bytes(run)
            time.sleep(MANY_WINDOW_S)
            ended_ns, after = time.time_ns(), _video_bytes(run)
            run.end()
            first, last = run.disk.count_at(began_ns), run.disk.count_at(ended_ns)
            written = sum(entry.sectors for entry in run.disk.entries[first:last] if entry.writes) * SECTOR
            flushes = sum(bool(entry.flags & FLUSH) for entry in run.disk.entries[first:last])
            ratio = written / (after - before)
            seconds = (ended_ns - began_ns) / 1e9
            yield Row(
                f"bytes to the disk for a byte of video, {count} x 4 Mbit/s", ratio, "", MOST_WRITTEN,
                ratio <= MOST_WRITTEN,
                f"{seconds:.0f} s; footage, file system with journal, footage.db; {flushes / seconds:.1f} flushes/s",
            )  # fmt: skip


def _video_bytes(run: PoweredRun) -> int:
    """What the cameras sent so far, by what the recorder took."""
    return sum(int(each["bytes"]) for each in run.recording.status()["cameras"])
