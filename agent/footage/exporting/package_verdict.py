"""PURE. Judges an export package by what was found in it.

`consistent` means: every file is as the manifest says, every recorded segment is bound to a checkpoint, and all of it
is signed by the key in the package. Whoever changes a file can make a new key and sign again, so this alone says
nothing of where the package comes from. `authentic` needs the fingerprint of the facility's device from somebody else
than who brought the package. `incomplete`: nothing is wrong, and not all is proved: the device signs the manifest of
whoever may export, so that a segment without a chain of evidence rests on his word.

Invariants
1. Nothing is `authentic` without a fingerprint that was given and fits, nor with anything wrong in it.
2. A file that the manifest does not name is a problem: nobody vouches for it.
3. What `yunjian footage verify` finds broken, or not proved, is no better in a package (package_proof.py).
"""

import base64
import binascii
import json
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Any, Final

from agent.fingerprint import NoPublicKey, fingerprint, is_same
from agent.footage.exporting.manifest import FORMAT, UNLISTED, is_inside
from agent.footage.exporting.package_proof import Chain, Seen, Verify

_TEXT: Final = "yunjian-export-1"
_SHA256: Final = re.compile("[0-9a-f]{64}")

MOST_LIVE: Final = 2
"""Segments of a camera that may have been written still when it was exported: at the border of two, both."""

CLUTTER: Final = frozenset({".DS_Store", "Thumbs.db", "desktop.ini"})
"""What systems put into folders by themselves; it is no part of a package and no problem."""


class Standing(StrEnum):
    """How a file is."""

    GOOD = "good"
    ALTERED = "altered"
    MISSING = "missing"
    EXTRA = "extra"
    NOT_AS_RECORDED = "not_as_recorded"
    """As it was packed, but the device found it changed since it was recorded."""
    DAMAGED = "damaged"
    """Lost its end to a power cut or a disk; what is left is what the device signed then."""
    UNVOUCHED = "unvouched"
    """Damaged, or bound to a file that is, and no signature says that it is what was left."""
    UNLINKED = "unlinked"
    """In no chain of evidence: the manifest alone speaks for it."""


FINE: Final = frozenset({Standing.GOOD, Standing.DAMAGED})
DOUBTFUL: Final = frozenset({Standing.UNVOUCHED, Standing.UNLINKED})
"""Neither wrong nor proved."""


class Verdict(StrEnum):
    """What the package is."""

    AUTHENTIC = "authentic"
    CONSISTENT = "consistent"
    INCOMPLETE = "incomplete"
    """Nothing is wrong, but not all of it is proved."""
    UNSIGNED = "unsigned"
    FOREIGN = "foreign"
    """Signed by another device than the one whose fingerprint was given."""
    BROKEN = "broken"


@dataclass(frozen=True, slots=True)
class Signature:
    """The signature of the manifest: whether it is good, and the fingerprint of the key that made it."""

    good: bool
    fingerprint: str
    public: bytes = b""


@dataclass(frozen=True, slots=True)
class Judgement:
    """All that was found."""

    verdict: Verdict
    files: Mapping[str, Standing]
    signature: Signature | None
    chains: tuple[Chain, ...]
    problems: tuple[str, ...]


class NoPackage(ValueError):
    """There is no manifest, or none that this program understands."""


def read_manifest(content: bytes) -> dict[str, Any]:
    """The manifest. Raises NoPackage."""
    try:
        found = json.loads(content.decode())
        files, cameras = found["files"], found["cameras"]
        names = [each["name"] for each in files]
        fits = all(_is_file(each) for each in files) and all(_is_camera(each) for each in cameras)
        fits = fits and all(
            isinstance(found.get(key, {}), dict) for key in ("facility", "requested", "actual", "audit")
        )
    except (ValueError, TypeError, KeyError, AttributeError, RecursionError) as error:
        raise NoPackage(f"manifest.json: {type(error).__name__}: {error}") from error
    if found.get("format") != FORMAT or not fits:
        raise NoPackage(f"manifest.json is of another kind: {str(found.get('format'))[:80]!r}")
    if not all(name.isprintable() and is_inside(name) for name in names) or len(set(names)) != len(names):
        raise NoPackage("manifest.json names files that cannot be in it")
    return dict(found)


def _is_file(each: Mapping[str, Any]) -> bool:
    fits = all(isinstance(each[key], str) for key in ("name", "kind", "sha256")) and type(each["bytes"]) is int
    fits = fits and _SHA256.fullmatch(each["sha256"]) is not None
    if fits and each["kind"] == "segment":
        fits = (
            all(isinstance(each[key], str) for key in ("camera", "stream", "state", "start"))
            and type(each["seq"]) is int
        )
        times = (each["start_ns"], each.get("labelled_ns", "0"))
        fits = fits and all(isinstance(time, str) and time.isascii() and time.isdigit() for time in times)
    return fits


def _is_camera(each: Mapping[str, Any]) -> bool:
    lists = [each.get(key, []) for key in ("footage", "gaps")]
    fits = all(isinstance(each[key], str) for key in ("id", "uuid", "stream"))
    return fits and all(isinstance(some, list) and all(isinstance(one, dict) for one in some) for some in lists)


def read_signature(content: bytes | None, manifest_sha256: str, verify: Verify) -> Signature | None:
    """The signature of a manifest; None without one."""
    if content is None:
        return None
    try:
        told = json.loads(content.decode())
        public = base64.b64decode(told["public_key"], validate=True)
        signature = base64.b64decode(told["signature"], validate=True)
        text = str(told["signed"])
        mark = fingerprint(public)
    except (ValueError, TypeError, KeyError, binascii.Error, NoPublicKey, RecursionError):
        return Signature(False, "")
    lines = text.split("\n")
    fits = len(lines) > 1 and lines[0] == _TEXT and lines[1] == manifest_sha256
    good = fits and verify(public, signature, text.encode(errors="replace"))
    return Signature(good, mark, public if good else b"")


def judge(
    manifest: Mapping[str, Any],
    seen: Mapping[str, Seen],
    signature: Signature | None,
    chains: Sequence[Chain],
    problems: Iterable[str] = (),
    typed: str | None = None,
) -> Judgement:
    """The verdict. `seen` are all files of the package, `typed` the fingerprint that a person gave."""
    listed = {each["name"]: each for each in manifest["files"]}
    films = {(each["id"], each["stream"]): (each["uuid"], each["stream"]) for each in manifest["cameras"]}
    by_film = {(chain.camera, chain.stream): chain for chain in chains}
    live = _live(manifest)
    marks = {(chain.camera, chain.stream): (frozenset(chain.damaged), frozenset(chain.unvouched)) for chain in chains}
    files: dict[str, Standing] = {}
    for name, each in listed.items():
        files[name] = _standing(each, seen.get(name))
        if each["kind"] == "segment":
            chain = by_film.get(films.get((each["camera"], each["stream"]), ("", "")))
            marked = marks[chain.camera, chain.stream] if chain is not None else (frozenset[int](), frozenset[int]())
            files[name] = _as_proved(each["seq"], files[name], chain, *marked)
    for name in seen:
        if name not in listed and name not in UNLISTED and name.rpartition("/")[2] not in CLUTTER:
            files[name] = Standing.EXTRA
    told = list(problems)
    broken = bool(told) or any(each not in FINE | DOUBTFUL for each in files.values())
    broken = broken or any(chain.standing == "broken" for chain in chains)
    used = {films.get((each["camera"], each["stream"])) for each in listed.values() if each["kind"] == "segment"}
    partly = any(each in DOUBTFUL and name not in live for name, each in files.items()) or any(
        chain.standing in ("doubtful", "unproved") for film, chain in by_film.items() if film in used
    )
    if broken or (signature is not None and not signature.good):
        verdict = Verdict.BROKEN
    elif signature is None:
        verdict = Verdict.UNSIGNED
    elif typed is not None and not is_same(typed, signature.fingerprint):
        verdict = Verdict.FOREIGN
    elif partly:
        verdict = Verdict.INCOMPLETE
    else:
        verdict = Verdict.CONSISTENT if typed is None else Verdict.AUTHENTIC
    return Judgement(verdict, files, signature, tuple(chains), tuple(told))


def _live(manifest: Mapping[str, Any]) -> set[str]:
    """The newest segments of each film, as far as they were being written still: no chain can hold them yet."""
    films: dict[tuple[str, str], list[tuple[int, str, str]]] = {}
    for each in manifest["files"]:
        if each["kind"] == "segment":
            films.setdefault((each["camera"], each["stream"]), []).append((each["seq"], each["state"], each["name"]))
    found: set[str] = set()
    for segments in films.values():
        for _, state, name in sorted(segments)[: -MOST_LIVE - 1 : -1]:
            if state != "open":
                break
            found.add(name)
    return found


def _as_proved(
    seq: int, standing: Standing, chain: Chain | None, damaged: frozenset[int], unvouched: frozenset[int]
) -> Standing:
    """How a segment is, by its chain of evidence, too."""
    if standing not in (Standing.GOOD, Standing.NOT_AS_RECORDED):
        return standing
    if seq in unvouched:
        return Standing.UNVOUCHED
    if seq in damaged:
        return Standing.DAMAGED
    if chain is not None and chain.standing in ("broken", "unproved"):
        return standing  # which the film says already
    linked = chain is not None and seq in chain.linked
    return standing if linked or standing is not Standing.GOOD else Standing.UNLINKED


def _standing(listed: Mapping[str, Any], found: Seen | None) -> Standing:
    if found is None:
        return Standing.MISSING
    if (found.bytes, found.sha256) != (listed["bytes"], listed["sha256"]):
        return Standing.ALTERED
    return Standing.NOT_AS_RECORDED if listed.get("as_recorded") is False else Standing.GOOD
