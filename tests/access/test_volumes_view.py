"""`yunjian footage volumes` and `footage volume create`, as people and programs see them."""

import io
import json
from pathlib import Path

import pytest

from agent.access.console import Screen
from agent.access.volume_setup import VolumeWish, create
from agent.access.volumes_view import volumes
from agent.footage import rows
from agent.footage.disk.files import VOLUME_FILE, create_volume
from agent.footage.index import Index
from agent.footage.rows import SegmentRow
from agent.wire import Reply, Request
from tests.fakes.processes import sockets


def segment(volume: str, seq: int) -> SegmentRow:
    return SegmentRow(
        "cam", volume, "main", 1, seq, seq * 10**18, seq * 10**18 + 1, 1, 5_000_000_000, f"cam/{seq}.mp4", "h264",
        0, 0, None, None, None, "closed",
    )  # fmt: skip


@pytest.fixture
def index(tmp_path: Path) -> Path:
    """The index of one volume that is there and one that was taken away."""
    here = create_volume(tmp_path / "here", "f1")
    made = Index(tmp_path / "footage.db")
    made.prepare()
    made.start()
    made.submit(
        rows.put_volume(here.uuid, here.path, "f1", 0), rows.put_volume("gone", Path("/srv/old"), "f1", 0),
        rows.put_segment(segment(here.uuid, 1)), rows.put_segment(segment("gone", 2)),
    )  # fmt: skip
    made.stop()
    return made.path


def shown(runtime: Path, index: Path, *paths: Path, as_json: bool = False) -> tuple[int, str]:
    out = io.StringIO()
    return volumes(Screen("en", out), runtime, index, paths, "f1", as_json), out.getvalue()


def test_volumes_while_nothing_runs(tmp_path: Path, index: Path) -> None:
    status, text = shown(tmp_path, index, tmp_path / "here", tmp_path / "none", as_json=True)
    assert status == 1
    here, none, gone = json.loads(text)["volumes"]
    assert (here["state"], here["segments"], here["footage_bytes"]) == ("ready", 1, 5_000_000_000)
    assert here["days"] > 1000
    assert here["free_bytes"] > 0
    assert (none["state"], none["uuid"]) == ("missing", None)
    assert VOLUME_FILE in none["detail"]
    assert (gone["state"], gone["path"], gone["segments"]) == ("away", "/srv/old", 1)
    status, text = shown(tmp_path, index, tmp_path / "here")
    assert status == 0
    assert "/srv/old" in text
    assert "not in the settings" in text


def test_volumes_as_the_recorder_sees_them(tmp_path: Path, index: Path) -> None:
    told = {"volumes": [{"path": str(tmp_path / "here"), "ok": False, "detail": "12 bytes free"}]}

    def status(_: Request, reply: Reply) -> None:
        reply.done(told)

    with sockets() as agent:
        agent.start("record", status=status)
        ended, text = shown(agent.runtime, index, tmp_path / "here")
        assert ended == 1
        assert "not recorded to" in text
        assert "12 bytes free" in text
        told["volumes"][0]["ok"] = True
        ended, text = shown(agent.runtime, index, tmp_path / "here")
        assert ended == 0
        assert "here  recording" in text


def test_no_index_is_no_reason_not_to_tell(tmp_path: Path) -> None:
    create_volume(tmp_path / "here", "f1")
    (tmp_path / "footage.db").write_bytes(b"no database at all")
    status, text = shown(tmp_path, tmp_path / "footage.db", tmp_path / "here")
    assert status == 0
    assert "footage 0.0 GB" in text


def test_a_folder_is_made_a_volume(tmp_path: Path) -> None:
    out = io.StringIO()
    wish = VolumeWish(tmp_path / "volume")
    assert create(Screen("en", out), wish, "f1", tmp_path, as_json=True) == 0
    made = json.loads(out.getvalue())
    assert made["uuid"] == json.loads((tmp_path / "volume" / VOLUME_FILE).read_text())["volume"]
    assert made["encrypted"] in ("yes", "no", "unknown")
    # Again: it stays what it is; for another facility it is refused.
    assert create(Screen("en", io.StringIO()), wish, "f1", tmp_path, as_json=True) == 0
    errors = io.StringIO()
    assert create(Screen("en", io.StringIO(), errors), wish, "f2", tmp_path, as_json=True) == 1
    assert "belongs to agent f1" in errors.getvalue()
    assert (
        create(Screen("en", errors=io.StringIO()), VolumeWish(tmp_path, "/dev/null", "x"), "f1", tmp_path, False) == 2
    )
    assert (
        create(Screen("en", errors=io.StringIO()), VolumeWish(tmp_path, "/dev/null", "tpm"), "f1", tmp_path, False) == 4
    )
