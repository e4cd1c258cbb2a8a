"""The page that checks a package, in a real browser, from a file."""

import base64
import hashlib
import json
import random
import shutil
from collections.abc import Callable, Iterator
from importlib import resources
from pathlib import Path
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from agent.access.package_words import (
    MEANS_ABSENT,
    MEANS_DAMAGED,
    MEANS_DERIVED,
    MEANS_MOVED,
    MEANS_UNLINKED,
    MEANS_UNVOUCHED,
    README,
)
from agent.access.packing import page
from agent.footage.chain import hash_bytes
from agent.footage.exporting.package import Wanted, build
from agent.footage.exporting.package_target import open_target
from agent.footage.timeline import NS, Gap
from tests.fakes.browser import Browser
from tests.fakes.camera import make_clip
from tests.fakes.evidence import T0, Device, around
from tests.fakes.waiting import until
from tests.footage.test_hostile_package import STRANGE, places, put

pytestmark = pytest.mark.needs_debian("chromium")

SEGMENT = "C01/main/2026-09-21_22.13.24_00000002.mp4"


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    with Browser(1000, 1200, "--accept-lang=zh-CN") as browser:
        yield browser


@pytest.fixture(scope="module", params=["sha256", "sm3"])
def packed(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> tuple[Device, Path]:
    """A package of three segments, one after a gap, and the device it is from."""
    folder = tmp_path_factory.mktemp("packed")
    make_clip(folder / "clip.mp4")
    device = Device(folder / "volume", folder / "clip.mp4", request.param)
    for start_s in (0, 4, 20):
        device.record(T0 + start_s * NS)
    film = device.film((Gap(T0 + 8 * NS, T0 + 20 * NS, "camera_silent"),))
    reasons = {"camera_silent": {"zh": "摄像机无画面", "en": "camera silent"}}
    wanted = Wanted((film,), around(T0 + NS, T0 + 23 * NS), True, page(), README.encode(), reasons)
    build(wanted, open_target(folder / "out", False), device.prove, device.sign)
    return device, folder / "out"


@pytest.fixture
def copy(packed: tuple[Device, Path], tmp_path: Path) -> tuple[Device, Path]:
    """A package to be spoilt."""
    shutil.copytree(packed[1], tmp_path / "out")
    return packed[0], tmp_path / "out"


def check(browser: Browser, package: Path, how: str = "") -> str:
    """Open the package's own page, choose its folder, and wait for the verdict."""
    browser.errors.clear()
    browser.open("about:blank")
    browser.open((package / "verify.html").as_uri() + how)
    assert browser.value("document.body.dataset.verdict") == "idle"
    browser.choose("#folder", [package])
    until(lambda: verdict(browser) not in ("idle", "working"), 30, "the page has checked")
    assert browser.errors == []
    return verdict(browser)


def verdict(browser: Browser) -> str:
    return str(browser.value("document.body.dataset.verdict"))


def enter(browser: Browser, digits: str) -> str:
    browser.value(f"$('typed').value = {json.dumps(digits)}; $('form').requestSubmit()")
    return verdict(browser)


def standings(browser: Browser) -> dict[str, str]:
    """What is wrong with which file, as the table shows it."""
    rows = browser.value(
        "[...document.querySelectorAll('#file-rows tr')].map(tr => [tr.dataset.name, tr.dataset.standing])"
    )
    return {name: standing for name, standing in rows if standing != "good"}


def words(browser: Browser, selector: str) -> str:
    return str(browser.value(f"document.querySelector({json.dumps(selector)}).innerText"))


def alter(path: Path) -> None:
    data = bytearray(path.read_bytes())
    data[len(data) // 2] ^= 1
    path.write_bytes(data)


@pytest.mark.parametrize("how", ["", "#own"])
def test_a_package_is_consistent_and_with_its_fingerprint_authentic(
    browser: Browser, packed: tuple[Device, Path], how: str
) -> None:
    """With the browser's own Ed25519, and with that of the page for browsers that have none."""
    device, package = packed
    assert check(browser, package, how) == "consistent"
    assert words(browser, "#verdict-name") == "一致，尚不能说是真实"
    assert standings(browser) == {}
    assert words(browser, "#camera-rows tr td:last-child") == "连到已签名的检查点"
    assert "摄像机无画面" in words(browser, "#gap-rows")
    assert device.fingerprint not in words(browser, "body"), "nobody is to copy it from here"
    assert enter(browser, device.fingerprint[:-1]) == "consistent"
    assert "39 位" in words(browser, "#typed-hint")
    assert enter(browser, "00000-" * 7 + "00000") == "foreign"
    slip = device.fingerprint[:-1] + str((int(device.fingerprint[-1]) + 1) % 10)
    assert enter(browser, slip) == "foreign"
    assert "第 8 组" in words(browser, "#typed-hint")
    assert device.fingerprint not in words(browser, "body")
    assert enter(browser, device.fingerprint.replace("-", " ")) == "authentic"
    assert words(browser, "#verdict-name") == "真实"
    browser.value("$('language').click()")
    assert (words(browser, "#verdict-name"), browser.value("document.documentElement.lang")) == ("Authentic", "en")


@pytest.mark.parametrize(
    ("spoil", "wrong"),
    [
        (lambda out: alter(out / SEGMENT), {SEGMENT: "altered"}),
        (lambda out: (out / SEGMENT).unlink(), {SEGMENT: "missing"}),
        (lambda out: (out / "C01/other.mp4").write_bytes(b"film"), {"C01/other.mp4": "extra"}),
        (lambda out: (out / "SHA256SUMS").unlink(), {}),
        (lambda out: alter(out / "proof/C01-main.json"), {"proof/C01-main.json": "altered"}),
        (lambda out: edit(out / "manifest.json", lambda it: it.update(purpose="x")), {}),
        (lambda out: edit(out / "signature.json", lambda it: it.update(signed=it["signed"] + "\n")), {}),
        (lambda out: edit(out / "signature.json", lambda it: it.update(public_key="")), {}),
    ],
)  # fmt: skip
def test_what_was_changed_is_shown(
    browser: Browser, copy: tuple[Device, Path], spoil: Callable[[Path], None], wrong: dict[str, str]
) -> None:
    device, package = copy
    spoil(package)
    assert check(browser, package) == "broken"
    assert standings(browser) == wrong
    assert words(browser, "#verdict-more") != ""
    assert enter(browser, device.fingerprint) == "broken", "the right fingerprint mends nothing"


def edit(path: Path, change: Callable[[Any], None]) -> None:
    value = json.loads(path.read_bytes())
    change(value)
    path.write_text(json.dumps(value, ensure_ascii=False))


def test_a_forgery_that_was_signed_again_is_never_authentic(
    browser: Browser, copy: tuple[Device, Path], tmp_path: Path
) -> None:
    device, package = copy
    alter(package / SEGMENT)
    Device(tmp_path / "forger", device.clip).forge(package)
    assert check(browser, package) == "incomplete", "no checkpoint of that key"
    assert enter(browser, device.fingerprint) == "foreign"
    assert words(browser, "#verdict-name") == "不真实"


def test_without_a_signature(browser: Browser, copy: tuple[Device, Path]) -> None:
    device, package = copy
    (package / "signature.json").unlink()
    assert check(browser, package) == "unsigned"
    assert enter(browser, device.fingerprint) == "unsigned"


def test_a_folder_that_is_no_package(browser: Browser, copy: tuple[Device, Path]) -> None:
    (copy[1] / "manifest.json").write_text(
        '{"format": "yunjian-package-1", "files": [{"name": "../x"}], "cameras": []}'
    )
    assert check(browser, copy[1]) == "none"


def test_a_folder_that_is_dropped_onto_the_page(browser: Browser, packed: tuple[Device, Path]) -> None:
    device, package = packed
    browser.open("about:blank")
    browser.open((package / "verify.html").as_uri())
    browser.drop("#drop", [package])
    until(lambda: verdict(browser) not in ("idle", "working"), 30, "the page has checked")
    assert (verdict(browser), standings(browser)) == ("consistent", {})
    assert enter(browser, device.fingerprint) == "authentic"


def test_names_are_text_and_nothing_else(browser: Browser, copy: tuple[Device, Path]) -> None:
    evil = "<img src=x onerror=document.body.dataset.verdict='authentic'>"
    edit(copy[1] / "manifest.json", lambda it: it.update(purpose=evil, facility={"id": "", "name": evil}))
    assert check(browser, copy[1]) == "broken"
    assert browser.value("document.images.length") == 0


def test_no_value_of_a_manifest_or_a_proof_makes_the_page_fall(browser: Browser, copy: tuple[Device, Path]) -> None:
    package = copy[1]
    check(browser, package)
    cases = []
    chance = random.Random(1)
    for name in ("manifest.json", "proof/C01-main.json"):
        value = json.loads((package / name).read_bytes())
        spots = list(places(value))
        strange = [each for each in STRANGE if each != float("inf")]
        cases += [[name, json.dumps(put(value, chance.choice(spots), chance.choice(strange)))] for _ in range(100)]
    told = browser.value(
        f"""(async () => {{
            const all = new Map([...$('folder').files].map(file => [file.webkitRelativePath, file])), told = [];
            for (const [name, text] of {json.dumps(cases)}) {{
                const files = new Map(all), changed = [...all.keys()].find(each => each.endsWith('/' + name));
                files.set(changed, new File([text], name));
                await begin(files);
                $('typed').value = '0'.repeat(40); compared = true; show();
                $('language').click(); $('language').click();
                told.push(judged());
            }}
            return told;
        }})()"""
    )
    assert len(told) == 200
    assert set(told) == {"broken", "none"}
    assert browser.errors == []


def test_the_page_says_what_the_command_says(packed: tuple[Device, Path]) -> None:
    content = page().decode()
    for text in (MEANS_DAMAGED, MEANS_UNVOUCHED, MEANS_UNLINKED, MEANS_MOVED, MEANS_ABSENT, MEANS_DERIVED):
        assert json.dumps([text.zh, text.en], ensure_ascii=False) in content
    assert "<script src" not in content
    assert " file:;" not in content


def test_the_page_of_a_release_works_beside_its_scripts(browser: Browser, packed: tuple[Device, Path]) -> None:
    browser.errors.clear()
    with resources.as_file(resources.files("agent.access")) as folder:
        browser.open((folder / "verify.html").as_uri())
        browser.choose("#folder", [packed[1]])
        until(lambda: verdict(browser) not in ("idle", "working"), 30, "the page has checked")
    assert (verdict(browser), browser.errors) == ("consistent", [])


@pytest.mark.parametrize("size", [0, 1, 55, 56, 63, 64, 65, 111, 112, 127, 128, 1000])
def test_the_hashes_of_the_page(browser: Browser, packed: tuple[Device, Path], size: int) -> None:
    if "verify.html" not in str(browser.value("location.href")):
        browser.open((packed[1] / "verify.html").as_uri())
    data = hashlib.shake_128(b"%d" % size).digest(size)
    given = f"unbase64('{base64.b64encode(data).decode()}')"
    assert browser.value(f"shaOf({given})") == hashlib.sha256(data).hexdigest()
    assert browser.value(f"hex(sha512({given}))") == hashlib.sha512(data).hexdigest()
    assert browser.value(f"'sm3:' + sm3({given})") == hash_bytes("sm3", data)


def test_a_long_file_is_hashed_in_pieces(browser: Browser, copy: tuple[Device, Path], tmp_path: Path) -> None:
    (tmp_path / "long").mkdir()
    with (tmp_path / "long" / "film").open("wb") as file:
        file.write(b"begin")
        file.truncate((65 << 20) + 3)
    browser.open((copy[1] / "verify.html").as_uri())
    browser.choose("#folder", [tmp_path / "long"])
    told = browser.value(
        "(async () => { const told = []; return [await digest($('folder').files[0], n => told.push(n)), told]; })()"
    )
    with (tmp_path / "long" / "film").open("rb") as file:
        assert told[0] == [hashlib.file_digest(file, "sha256").hexdigest()] * 2
    assert (len(told[1]), sum(told[1])) == (9, (65 << 20) + 3)


def test_the_signature_check_of_the_page(browser: Browser, packed: tuple[Device, Path]) -> None:
    browser.open((packed[1] / "verify.html").as_uri())

    def holds(public: bytes, signature: bytes, text: bytes) -> bool:
        given = ", ".join(f"unbase64('{base64.b64encode(each).decode()}')" for each in (public, signature, text))
        return bool(browser.value(f"ownVerify({given})"))

    # RFC 8032, 7.1, test 3
    public = bytes.fromhex("fc51cd8e6218a1a38da47ed00230f0580816ed13ba3303ac5deb911548908025")
    signature = bytes.fromhex(
        "6291d657deec24024827e69c3abe01a30ce548a284743a445e3680d7db5ac3ac"
        "18ff9b538d16f290ae67f760984dc6594a7c15e9716ed28dc027beceea1ec40a"
    )
    assert holds(public, signature, bytes.fromhex("af82"))
    assert not holds(public, signature, bytes.fromhex("af83"))
    order = (1 << 252) + 27742317777372353535851937790883648493
    malleable = signature[:32] + (int.from_bytes(signature[32:], "little") + order).to_bytes(32, "little")
    assert not holds(public, malleable, bytes.fromhex("af82")), "each signature has one form"
    for number in range(5):
        key = Ed25519PrivateKey.from_private_bytes(hashlib.sha256(b"%d" % number).digest())
        raw = key.public_key().public_bytes(Encoding.Raw, PublicFormat.Raw)
        text = b"%d" % number * 37
        assert holds(raw, key.sign(text), text)
        spoilt = bytearray(key.sign(text))
        spoilt[number * 12] ^= 4
        assert not holds(raw, bytes(spoilt), text)


def test_it_asks_nothing_of_a_network(packed: tuple[Device, Path]) -> None:
    content = page().decode()
    assert "default-src 'none'" in content
    assert "http://" not in content
    assert "https://" not in content
