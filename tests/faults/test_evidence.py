"""The evidence of a real record process, and what `verify` says when somebody touches it: running, stopped, on media
that cannot be written, after a lost index, with another key."""

import base64
import json
import os
import shutil
import signal
import sqlite3
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import closing
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from agent.facts import ConditionKind
from agent.fingerprint import from_pem, is_same
from agent.footage.chain import link
from agent.footage.custody import journal_copy
from agent.footage.custody.seen import signature_is_right
from agent.wire import Refused, call
from tests.fakes.camera import RtspServer, make_clip
from tests.fakes.recording import Recording
from tests.fakes.waiting import until


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RtspServer]:
    folder = tmp_path_factory.mktemp("media")
    make_clip(folder / "a.mp4", fps=25)
    found = RtspServer(folder)
    found.start()
    yield found
    found.stop()


@pytest.fixture(scope="module")
def past(tmp_path_factory: pytest.TempPathFactory, server: RtspServer) -> Recording:
    """A facility that recorded four segments in three runs, signed them and was stopped; to be copied, not changed."""
    found = Recording(tmp_path_factory.mktemp("past"), {"one": server.url("a.mp4")})
    found.make_volume()
    try:
        for files in (2, 3, 4):  # two of one run, and then a run for each: a segment takes ten seconds
            found.start()
            until(partial(_has_files, found, files), 60, f"segment {files} is begun")
            until(lambda: found.is_recording("one"), 20, "it is recorded")
            if files == 4:
                call(found.runtime / "record.sock", "checkpoint", timeout_s=30)
                assert verify(found)["verdict"] == "consistent", "while it records"
            assert found.stop() == 0
    finally:
        found.close()
    return found


@pytest.fixture
def facility(tmp_path: Path, server: RtspServer, past: Recording) -> Iterator[Recording]:
    found = Recording(tmp_path, {"one": server.url("a.mp4")})
    shutil.copytree(past.volume, found.volume, dirs_exist_ok=True)
    shutil.copytree(past.folder / "data", tmp_path / "data", dirs_exist_ok=True)
    yield found
    found.close()


def verify(facility: Recording, *more: str) -> dict[str, Any]:
    """What the command says, and that its exit status fits."""
    command = [sys.executable, "-m", "agent", "footage", "verify", "--config", str(facility.settings), "--json", *more]
    ended = subprocess.run(command, capture_output=True, text=True, check=False)
    assert ended.returncode in (0, 1), ended.stderr
    told: dict[str, Any] = json.loads(ended.stdout)
    assert ended.returncode == (0 if told["ok"] else 1)
    return told


def first(facility: Recording, *more: str) -> tuple[str, int | None]:
    """Kind and number of the first finding."""
    told = verify(facility, *more)
    assert told["verdict"] == "broken"
    return told["first"][0]["kind"], told["first"][0]["seq"]


def change(facility: Recording, sql: str, *values: object) -> None:
    """Somebody edits footage.db."""
    with closing(sqlite3.connect(facility.index)) as connection:
        assert connection.execute(sql, values).rowcount == 1
        connection.commit()


def flip(path: Path, at: int = -2000) -> None:
    """Somebody edits a file, and leaves its size and its times as they were."""
    before = path.stat()
    data = bytearray(path.read_bytes())
    data[at] ^= 1
    path.write_bytes(data)
    os.utime(path, ns=(before.st_atime_ns, before.st_mtime_ns))


def fingerprint_of(facility: Recording) -> str:
    command = [sys.executable, "-m", "agent", "footage", "fingerprint", "--config", str(facility.settings)]
    return subprocess.run(command, capture_output=True, text=True, check=True).stdout.strip()


def test_what_nobody_touched_is_consistent_and_authentic_with_the_fingerprint(facility: Recording) -> None:
    told = verify(facility)
    assert told["verdict"] == "consistent"
    assert told["findings"] == []
    assert told["segments"] >= 4
    assert told["read_bytes"] == sum(path.stat().st_size for path in facility.files("one"))
    assert told["journal"]["checkpoints"] >= 2
    named = fingerprint_of(facility)
    assert verify(facility, "--fingerprint", named.replace("-", " "))["verdict"] == "authentic"
    other = named[:-1] + str((int(named[-1]) + 1) % 10)
    assert verify(facility, "--fingerprint", other)["verdict"] == "other_key"
    assert verify(facility, "--quick")["read_bytes"] == 0
    assert verify(facility, "-c", "nobody")["segments"] == 0
    assert verify(facility, "-c", "one", "--from", "now-1h")["segments"] == told["segments"]
    assert verify(facility, "--to", "now-1h")["segments"] == 0


def test_the_key_is_readable_by_nobody_else_and_in_no_log(facility: Recording, past: Recording) -> None:
    key = past.folder / "data" / "device.key"
    assert key.stat().st_mode & 0o777 == 0o600
    secret = "".join(key.read_text().splitlines()[1:-1])
    assert secret not in past.log.read_text()
    assert secret not in json.dumps(verify(facility))


@pytest.mark.parametrize("seq", [1, 3])
def test_a_byte_that_was_changed_is_found(facility: Recording, seq: int) -> None:
    flip(facility.files("one")[seq - 1])
    assert first(facility) == ("altered", seq)
    assert verify(facility, "--quick")["verdict"] == "consistent"


def test_people_are_told_in_their_language(facility: Recording) -> None:
    def told(language: str) -> str:
        command = [sys.executable, "-m", "agent", "--lang", language, "footage", "verify"]
        command += ["--config", str(facility.settings)]
        return subprocess.run(command, capture_output=True, text=True, check=False).stdout

    assert "CONSISTENT. Whether it is authentic" in told("en")
    assert "--fingerprint" in told("zh")
    flip(facility.files("one")[2])
    english, chinese = told("en"), told("zh")
    assert "one main  segment 3  " in english
    assert "  altered  " in english
    assert "NOT CONSISTENT" in english
    assert "第 3 段" in chinese
    assert "内容被改动" in chinese


def test_a_file_that_was_deleted_or_swapped_is_found(facility: Recording) -> None:
    files = facility.files("one")
    kept = files[1].read_bytes()
    files[1].unlink()
    assert first(facility) == ("missing", 2)
    assert first(facility, "--quick") == ("missing", 2)
    files[1].write_bytes(files[2].read_bytes())
    files[2].write_bytes(kept)
    assert first(facility) == ("reordered", 2)


def test_a_row_that_was_deleted_leaves_a_file_and_a_hole(facility: Recording) -> None:
    change(facility, "DELETE FROM segment WHERE seq = 2")
    kinds = {each["kind"] for each in verify(facility)["findings"]}
    assert kinds == {"removed_outside_policy", "unindexed_file"}
    facility.files("one")[1].unlink()
    assert first(facility) == ("removed_outside_policy", 2)


def test_an_end_that_was_cut_off_is_found_by_what_was_signed(facility: Recording) -> None:
    with closing(sqlite3.connect(facility.index)) as connection:
        connection.execute("DELETE FROM segment WHERE seq >= 3")
        connection.commit()
    for path in facility.files("one")[2:]:
        path.unlink()
    assert first(facility) == ("removed_outside_policy", 3)


def test_a_row_that_was_edited_is_found(facility: Recording) -> None:
    change(facility, "UPDATE segment SET start_ns = start_ns + 1 WHERE seq = 2")
    assert first(facility) == ("chain_broken", 2)


def test_a_journal_that_was_edited_cut_or_made_anew_is_found(facility: Recording) -> None:
    before = verify(facility)["journal"]
    newest = before["newest_checkpoint"]["n"]
    outside = f"{before['n']}:{before['hash']}"
    assert verify(facility, "--checkpoint", outside)["verdict"] == "consistent"
    change(facility, "UPDATE journal SET at_ns = at_ns + 1 WHERE n = ?", newest)
    assert {each["kind"] for each in verify(facility)["findings"]} == {"journal_broken"}
    change(facility, "DELETE FROM journal WHERE n = ?", newest)
    assert {each["kind"] for each in verify(facility)["findings"]} == {"journal_broken"}, "the copy has it still"
    shutil.rmtree(journal_copy.folder(facility.volume))
    assert verify(facility)["verdict"] == "consistent", "without any copy only who kept a checkpoint can tell"
    assert verify(facility, "--checkpoint", outside)["findings"][0]["kind"] == "journal_broken"


@pytest.mark.needs_debian("mount")
def test_media_that_cannot_be_written_are_verified(facility: Recording) -> None:
    with closing(sqlite3.connect(facility.index)) as connection:
        connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    before = sorted(path for path in facility.folder.rglob("*") if path.is_file())
    subprocess.run(["mount", "--bind", "-o", "ro", facility.folder, facility.folder], check=True)
    try:
        assert verify(facility)["verdict"] == "consistent"
    finally:
        subprocess.run(["umount", facility.folder], check=True)
    assert sorted(path for path in facility.folder.rglob("*") if path.is_file() and path.suffix != ".log") == [
        path for path in before if path.suffix != ".log"
    ]


def test_a_volume_that_is_away_is_not_called_verified(facility: Recording) -> None:
    facility.volume.rename(facility.folder / "elsewhere")
    told = verify(facility)
    assert told["verdict"] == "incomplete"
    assert told["findings"] == []
    assert verify(facility, "--volume", str(facility.folder / "elsewhere"))["read_bytes"] > 0


def test_after_a_lost_index_chain_and_signatures_are_what_they_were(facility: Recording) -> None:
    before = verify(facility)
    for path in facility.index.parent.glob("footage.db*"):
        path.unlink()
    facility.start()
    status = until(lambda: _signed(facility, before["journal"]["n"]), 40, "the journal goes on from the volume's copy")
    assert status["journal"]["n"] > before["journal"]["n"]
    until(lambda: not _rebuilding(facility), 40, "the index is rebuilt")
    until(lambda: len(facility.files("one")) > before["segments"] + 1, 40, "another segment is closed")
    time.sleep(1.5)
    told = verify(facility, "--fingerprint", fingerprint_of(facility))
    assert told["findings"] == []
    assert told["verdict"] == "authentic"
    assert told["segments"] > before["segments"]
    flip(facility.files("one")[1])
    assert first(facility) == ("altered", 2)


def test_a_kill_leaves_evidence_that_is_consistent(facility: Recording) -> None:
    facility.start()
    seen = len(facility.files("one"))
    until(lambda: len(facility.files("one")) > seen + 1, 40, "a segment is closed, and one is open")
    facility.kill()
    facility.start()
    until(lambda: len(facility.files("one")) > seen + 2, 60, "recording goes on")
    assert verify(facility)["findings"] == []


@pytest.mark.parametrize("how", ["gone", "damaged", "replaced"])
def test_a_lost_key_is_told_noted_and_replaced(facility: Recording, how: str) -> None:
    key = facility.folder / "data" / "device.key"
    named = fingerprint_of(facility)
    match how:
        case "gone":
            key.unlink()
        case "damaged":
            key.write_text(key.read_text()[:60])
        case "replaced":
            key.unlink()
            (key.parent / "device.pub").unlink()
    facility.start()
    status = until(lambda: _other_key(facility, named), 20, "another key is used")
    facility.desk.wait_for(ConditionKind.EVIDENCE_BROKEN, "key/device", True, 10)
    assert (len(list(key.parent.glob("device.key.damaged-*"))) == 1) == (how == "damaged")
    until(lambda: facility.status()["checkpoint"] is not None, 20, "it signs")
    told = verify(facility)
    assert [each["why"] for each in told["keys"]] == ["first", how]
    assert told["verdict"] == "consistent"
    assert verify(facility, "--fingerprint", named)["verdict"] == "other_key"
    both = verify(facility, "--fingerprint", named, "--fingerprint", status["fingerprint"])
    assert both["verdict"] == "authentic"


def test_an_export_is_noted_and_signed_and_its_segments_are_proved(facility: Recording) -> None:
    facility.start()
    socket = facility.runtime / "record.sock"
    until(lambda: facility.status()["checkpoint"], 20, "it signs")
    answer = call(socket, "sign_manifest", {"sha256": "ab" * 32, "who": "王园长/1000", "why": "x"}, timeout_s=30)
    public = from_pem((facility.folder / "data" / "device.pub").read_text())
    assert base64.b64decode(answer["public_key"]) == public
    assert signature_is_right(public, answer["signed"].encode(), base64.b64decode(answer["signature"]))
    assert is_same(answer["fingerprint"], fingerprint_of(facility))
    assert answer["signed"].split("\n")[1] == "ab" * 32
    with pytest.raises(Refused):
        call(socket, "sign_manifest", {"sha256": "../etc"}, timeout_s=30)
    with closing(sqlite3.connect(facility.index)) as connection:
        kind, detail = connection.execute("SELECT kind, detail FROM journal WHERE n = ?", (answer["n"],)).fetchone()
        camera = connection.execute("SELECT camera FROM segment LIMIT 1").fetchone()[0]
    assert (kind, json.loads(detail)["who"]) == ("export", "王园长/1000")
    proof = call(socket, "proof", {"camera": camera, "stream": "main", "first_seq": 2, "last_seq": 3}, timeout_s=30)
    _check_proof(proof, camera)


def _check_proof(proof: dict[str, Any], camera: str) -> None:
    """The links, computed from nothing but the proof, lead to a head that is signed with the key in it."""
    head = proof["before"]
    heads = {}
    for seq, start_ns, size, digest, told in proof["links"]:
        head = link("sha256", head, camera, "main", seq, start_ns, size, digest)
        assert told in (None, head)
        heads[seq] = head
    assert [seq for seq in heads if seq <= 3] == [2, 3]
    detail = proof["checkpoint"]["detail"]
    ((_, _, seq, signed_head),) = detail["heads"]
    assert seq >= 3
    assert heads[seq] == signed_head
    public = base64.b64decode(proof["key"]["detail"]["public_key"])
    signature = base64.b64decode(detail["signature"])
    assert signature_is_right(public, proof["checkpoint_text"].encode(), signature)
    assert not signature_is_right(public, proof["checkpoint_text"].encode() + b" ", signature)


def test_the_record_process_never_loads_the_library_that_signs(facility: Recording) -> None:
    facility.start()
    until(lambda: facility.status()["checkpoint"], 20, "it signs")
    assert "cryptography" not in Path(f"/proc/{facility.pid}/maps").read_text()
    os.kill(facility.pid, signal.SIGTERM)


def _has_files(facility: Recording, count: int) -> bool:
    return len(facility.files("one")) >= count


def _signed(facility: Recording, after_n: int) -> dict[str, Any] | None:
    status = facility.status()
    checkpoint = status.get("checkpoint")
    return status if checkpoint and checkpoint["n"] > after_n else None


def _other_key(facility: Recording, named: str) -> dict[str, Any] | None:
    status = facility.status()
    return status if status.get("fingerprint") not in (None, named) else None


def _rebuilding(facility: Recording) -> bool:
    with closing(sqlite3.connect(f"file:{facility.index}?mode=ro", uri=True)) as connection:
        names = {row[0] for row in connection.execute("SELECT name FROM note")}
    return "rebuilding" in names and not any(name.startswith("rebuilt/") for name in names)
