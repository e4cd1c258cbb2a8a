"""PURE. Judges an export package by what was found in it.

`consistent` means: every file is as the manifest says, and the manifest is signed by the key in the package. Whoever
changes a file can make a new key and sign again, so this alone says nothing of where the package comes from.
`authentic` needs the fingerprint of the facility's device from somebody else than who brought the package.

Invariants
1. Nothing is `authentic` without a fingerprint that was given and fits, nor with anything wrong in it.
2. A file that the manifest does not name is a problem: nobody vouches for it.
"""

import base64
import binascii
import json
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Any, Final

from agent.fingerprint import NoPublicKey, fingerprint, is_same
from agent.footage.chain import UnknownHash, algorithm_of, hash_bytes
from agent.footage.exporting.manifest import FORMAT, UNLISTED, is_inside

_TEXT: Final = "yunjian-export-1"
_CHECKPOINT: Final = "yunjian-checkpoint-1\n"
_LINK: Final = "yunjian-link-1"

CLUTTER: Final = frozenset({".DS_Store", "Thumbs.db", "desktop.ini"})
"""What systems put into folders by themselves; it is no part of a package and no problem."""

Verify = Callable[[bytes, bytes, bytes], bool]
"""(public key, signature, text) -> whether the Ed25519 signature is good."""


class Standing(StrEnum):
    """How a file is."""

    GOOD = "good"
    ALTERED = "altered"
    MISSING = "missing"
    EXTRA = "extra"
    NOT_AS_RECORDED = "not_as_recorded"
    """As it was packed, but the device found it changed since it was recorded."""


class Verdict(StrEnum):
    """What the package is."""

    AUTHENTIC = "authentic"
    CONSISTENT = "consistent"
    UNSIGNED = "unsigned"
    FOREIGN = "foreign"
    """Signed by another device than the one whose fingerprint was given."""
    BROKEN = "broken"


@dataclass(frozen=True, slots=True)
class Seen:
    """A file of the package as it was found; `digest` is by the hash that the manifest names beside sha256."""

    bytes: int
    sha256: str
    digest: str | None = None


@dataclass(frozen=True, slots=True)
class Signature:
    """The signature of the manifest: whether it is good, and the fingerprint of the key that made it."""

    good: bool
    fingerprint: str


@dataclass(frozen=True, slots=True)
class Chain:
    """What a proof says of one stream of one camera: `proved` when the chain holds up to a signed checkpoint,
    `unproved` when there is nothing to check it by, else `broken`; `problem` says at which number."""

    camera: str
    stream: str
    standing: str
    problem: str = ""


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
        found = json.loads(content)
        files = found["files"]
        names = [each["name"] for each in files]
        fits = all(isinstance(each["bytes"], int) and isinstance(each["sha256"], str) for each in files)
    except (ValueError, TypeError, KeyError, RecursionError) as error:
        raise NoPackage(f"manifest.json: {error}") from error
    if found.get("format") != FORMAT or not fits:
        raise NoPackage(f"manifest.json is of another kind: {found.get('format')!r}")
    if not all(isinstance(name, str) and is_inside(name) for name in names) or len(set(names)) != len(names):
        raise NoPackage("manifest.json names files that cannot be in it")
    return dict(found)


def read_signature(content: bytes | None, manifest_sha256: str, verify: Verify) -> Signature | None:
    """The signature of a manifest; None without one."""
    if content is None:
        return None
    try:
        told = json.loads(content)
        public = base64.b64decode(told["public_key"], validate=True)
        signature = base64.b64decode(told["signature"], validate=True)
        text = str(told["signed"])
        mark = fingerprint(public)
    except (ValueError, TypeError, KeyError, binascii.Error, NoPublicKey, RecursionError):
        return Signature(False, "")
    lines = text.split("\n")
    fits = len(lines) > 1 and lines[0] == _TEXT and lines[1] == manifest_sha256
    return Signature(fits and verify(public, signature, text.encode()), mark)


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
    files = {name: _standing(each, seen.get(name)) for name, each in listed.items()}
    for name in seen:
        if name not in listed and name not in UNLISTED and name.rpartition("/")[2] not in CLUTTER:
            files[name] = Standing.EXTRA
    told = list(problems)
    broken = bool(told) or any(each is not Standing.GOOD for each in files.values())
    broken = broken or any(chain.standing == "broken" for chain in chains)
    if broken or (signature is not None and not signature.good):
        verdict = Verdict.BROKEN
    elif signature is None:
        verdict = Verdict.UNSIGNED
    elif typed is None:
        verdict = Verdict.CONSISTENT
    else:
        verdict = Verdict.AUTHENTIC if is_same(typed, signature.fingerprint) else Verdict.FOREIGN
    return Judgement(verdict, files, signature, tuple(chains), tuple(told))


def check_proof(
    manifest: Mapping[str, Any], content: bytes, signature: Signature | None, public: bytes, verify: Verify
) -> Chain:
    """Follow the chain of evidence of one film, from its first segment to the signed checkpoint."""
    camera = stream = ""
    try:
        proof = json.loads(content)
        camera, stream, before, head = (str(proof[key]) for key in ("camera", "stream", "before", "head"))
        links = [str(each) for each in proof["links"]]
        after, problem = _follow(links, before, head, camera, stream)
        problem = problem or _unlinked(manifest, camera, stream, after)
        if problem:
            return Chain(camera, stream, "broken", problem)
        checkpoint = proof["checkpoint"]
        if not checkpoint or signature is None:
            return Chain(camera, stream, "unproved")
        text = str(checkpoint["text"])
        signed = base64.b64decode(checkpoint["signature"], validate=True)
        heads = json.loads(text.removeprefix(_CHECKPOINT))["heads"] if text.startswith(_CHECKPOINT) else []
        last = max(after, default=0)
    except (ValueError, TypeError, KeyError, IndexError, UnknownHash, binascii.Error, RecursionError) as error:
        return Chain(camera, stream, "broken", f"{type(error).__name__}: {error}")
    if [camera, stream, last, head] not in heads:
        return Chain(camera, stream, "broken", "checkpoint: heads")
    if not verify(public, signed, text.encode()):
        return Chain(camera, stream, "broken", "checkpoint: signature")
    return Chain(camera, stream, "proved")


def _standing(listed: Mapping[str, Any], found: Seen | None) -> Standing:
    if found is None:
        return Standing.MISSING
    if (found.bytes, found.sha256) != (listed["bytes"], listed["sha256"]):
        return Standing.ALTERED
    recorded = listed.get("digest")
    if listed.get("as_recorded") is False:
        return Standing.NOT_AS_RECORDED
    if listed.get("as_recorded") is True and found.digest not in (None, recorded):
        return Standing.ALTERED
    return Standing.GOOD


def _follow(
    links: Sequence[str], before: str, head: str, camera: str, stream: str
) -> tuple[dict[int, tuple[int, str]], str]:
    """Size and digest by number of every link that holds, and what is wrong with the first that does not."""
    after: dict[int, tuple[int, str]] = {}
    for place, text in enumerate(links):
        mark, said_before, of_camera, of_stream, seq, _, size, digest = json.loads(text)
        if (mark, said_before, of_camera, of_stream) != (_LINK, before, camera, stream) or seq <= max(after, default=0):
            return after, f"#{seq}"
        expected = json.loads(links[place + 1])[1] if place + 1 < len(links) else head
        if hash_bytes(algorithm_of(expected), text.encode()) != expected:
            return after, f"#{seq}"
        after[seq], before = (size, digest), expected
    return after, ""


def _unlinked(manifest: Mapping[str, Any], camera: str, stream: str, after: Mapping[int, tuple[int, str]]) -> str:
    ids = {each["id"] for each in manifest["cameras"] if each["uuid"] == camera and each["stream"] == stream}
    for each in manifest["files"]:
        if each["kind"] != "segment" or each["camera"] not in ids or each["stream"] != stream:
            continue
        chained = each["digest"] is not None and each["state"] != "open" and each["chain"] is not None
        if chained and after.get(each["seq"]) != (each["bytes"], each["digest"]):
            return f"#{each['seq']} {each['name']}"
    return ""
