"""The key of a device: made once, never over another, readable by nobody else; its fingerprint as people read it."""

import base64
import subprocess
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agent.fingerprint import NoPublicKey, fingerprint, from_pem, is_same, to_pem
from agent.footage.custody.device_key import KEY_FILE, PUBLIC_FILE, KeyUnusable, device_key, public_key
from agent.footage.custody.seen import signature_is_right


def test_the_first_start_makes_a_key_and_the_next_ones_keep_it(tmp_path: Path) -> None:
    assert public_key(tmp_path) is None
    made = device_key(tmp_path, "1")
    assert made.lost == ""
    assert (tmp_path / KEY_FILE).stat().st_mode & 0o777 == 0o600
    assert public_key(tmp_path) == made.public
    assert device_key(tmp_path, "2") == made
    signature = made.sign(b"text")
    assert signature_is_right(made.public, b"text", signature)
    assert not signature_is_right(made.public, b"texT", signature)
    assert not signature_is_right(made.public[::-1], b"text", signature)
    assert sorted(path.name for path in tmp_path.iterdir()) == [KEY_FILE, PUBLIC_FILE]


def test_other_programs_read_the_public_key(tmp_path: Path) -> None:
    made = device_key(tmp_path, "1")
    command = ["openssl", "pkey", "-pubin", "-in", str(tmp_path / PUBLIC_FILE), "-outform", "DER"]
    told = subprocess.run(command, capture_output=True, check=True).stdout
    assert told[-32:] == made.public


def test_a_public_key_that_is_wrong_is_told_again_and_a_mode_that_is_too_open_closed(tmp_path: Path) -> None:
    made = device_key(tmp_path, "1")
    (tmp_path / PUBLIC_FILE).write_text("nothing")
    (tmp_path / KEY_FILE).chmod(0o644)
    assert device_key(tmp_path, "2") == made
    assert public_key(tmp_path) == made.public
    assert (tmp_path / KEY_FILE).stat().st_mode & 0o777 == 0o600


def test_a_key_that_is_gone_or_damaged_is_replaced_and_what_is_left_of_it_kept(tmp_path: Path) -> None:
    first = device_key(tmp_path, "1")
    (tmp_path / KEY_FILE).unlink()
    second = device_key(tmp_path, "2")
    assert second.lost == "gone"
    assert second.public != first.public
    for number, rubbish in enumerate(
        (b"", b"-----BEGIN PRIVATE KEY-----\nAAAA\n-----END PRIVATE KEY-----\n", b"\xff" * 99)
    ):
        (tmp_path / KEY_FILE).write_bytes(rubbish)
        third = device_key(tmp_path, f"3{number}")
        assert third.lost == "damaged"
        assert (tmp_path / f"{KEY_FILE}.damaged-3{number}").read_bytes() == rubbish


def test_a_key_of_another_kind_is_no_key(tmp_path: Path) -> None:
    command = ["openssl", "genpkey", "-algorithm", "EC", "-pkeyopt", "ec_paramgen_curve:P-256", "-out"]
    subprocess.run([*command, str(tmp_path / KEY_FILE)], check=True, capture_output=True)
    assert device_key(tmp_path, "1").lost == "damaged"


def test_a_disk_that_refuses_makes_no_second_key(tmp_path: Path) -> None:
    """A directory where the key should be cannot be read as a file: nothing is concluded from that."""
    (tmp_path / KEY_FILE).mkdir()
    with pytest.raises(KeyUnusable):
        device_key(tmp_path, "1")
    with pytest.raises(KeyUnusable):
        device_key(tmp_path / "nowhere", "1")


def test_a_key_that_was_exchanged_while_it_is_in_use_signs_nothing(tmp_path: Path) -> None:
    made = device_key(tmp_path, "1")
    other = tmp_path / "other"
    other.mkdir()
    device_key(other, "1")
    (other / KEY_FILE).rename(tmp_path / KEY_FILE)
    with pytest.raises(KeyUnusable, match="another key"):
        made.sign(b"text")


@given(st.binary(min_size=32, max_size=32))
def test_a_fingerprint_is_forty_digits_that_people_may_write_as_they_like(public: bytes) -> None:
    named = fingerprint(public)
    assert [len(each) for each in named.split("-")] == [5] * 8
    assert all(int(each) < 65536 for each in named.split("-"))
    assert is_same(named.replace("-", " "), named)
    assert is_same(f"指纹 {named.replace('-', '')}", named)
    assert not is_same(named[:-1], named)
    assert not is_same(named[:-1] + str((int(named[-1]) + 1) % 10), named)
    assert from_pem(to_pem(public)) == public


def test_a_fingerprint_is_the_one_that_is_documented() -> None:
    """sha256 of 32 zero bytes is 66687aadf862bd776c8fc18b8e9f8e20...: 0x6668 = 26216, 0x7aad = 31405, ..."""
    assert fingerprint(bytes(32)) == "26216-31405-63586-48503-27791-49547-36511-36384"


@pytest.mark.parametrize("text", ["", "-----BEGIN PUBLIC KEY-----\n!\n-----END PUBLIC KEY-----", to_pem(bytes(31))])
def test_what_is_no_public_key_is_refused(text: str) -> None:
    with pytest.raises(NoPublicKey):
        from_pem(text)
    with pytest.raises(NoPublicKey):
        fingerprint(base64.b64decode("AAAA"))
