"""PURE. What an export package says of itself, and how its parts are named.

A package is a folder or a zip:

- `<camera>/<stream>/<local time>_<seq>.mp4`: recorded segments, byte for byte;
- `joined/<camera>-<stream>_<local time>.mp4`: made from them, marked as derived;
- `proof/<camera>-<stream>.json`: the chain of evidence from the first of these segments to a signed checkpoint;
- `manifest.json`: all of this, with sizes, hashes, times and gaps; `signature.json`: its signature;
- `SHA256SUMS`: for `sha256sum -c`; `verify.html` and `README.txt` for people.

Invariants
1. Every file of the package but `manifest.json`, `signature.json` and `SHA256SUMS` stands in the manifest.
2. The same input gives the same bytes.
3. No name leaves the package: none is absolute, none has `..` in it.
"""

import json
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, tzinfo
from typing import Any, Final

from agent.footage.timeline import NS, Gap, Span

FORMAT: Final = "yunjian-package-1"
MANIFEST: Final = "manifest.json"
SIGNATURE: Final = "signature.json"
SUMS: Final = "SHA256SUMS"
PAGE: Final = "verify.html"
README: Final = "README.txt"
_TAKEN: Final = re.compile(r"(con|prn|aux|nul|com[0-9]|lpt[0-9])(\..*)?|joined|proof", re.IGNORECASE)
"""Names that Windows gives to devices, and those of the package's own folders: none of a camera's."""

UNLISTED: Final = frozenset({MANIFEST, SIGNATURE, SUMS})
"""What the manifest cannot list: itself, what signs it, and what repeats it."""


@dataclass(frozen=True, slots=True)
class Source:
    """One recorded segment as the index knows it. `path` is where it lies now; times in UTC nanoseconds.

    `digest` is what the recorder hashed, `chain` the head of the chain of evidence after it; None where the index
    knows none, as for a segment that is still being written. `before` is the head before it, `quality` how good the
    clock was and `labelled_ns` when it began by that clock, as the file itself says; `start_ns` is another time where
    the clock was found wrong later. `volume` is the one it lies on.
    """

    path: str
    seq: int
    start_ns: int
    end_ns: int
    codec: str
    width: int
    height: int
    bytes: int
    state: str
    digest: str | None = None
    chain: str | None = None
    before: str = ""
    quality: str = ""
    labelled_ns: int | None = None
    volume: str = ""


@dataclass(frozen=True, slots=True)
class Film:
    """One stream of one camera in the package: its segments in order, and what is footage and what is a gap."""

    camera_id: str
    name: str
    uuid: str
    stream: str
    sources: tuple[Source, ...]
    spans: tuple[Span, ...]
    gaps: tuple[Gap, ...]

    @property
    def title(self) -> str:
        """Its name in names of files."""
        return f"{safe(self.camera_id)}-{safe(self.stream)}"


@dataclass(frozen=True, slots=True)
class Packed:
    """One file of the package. `kind` is `segment`, `derived`, `proof`, `page` or `text`; `detail` what else there is
    to say of it."""

    name: str
    kind: str
    bytes: int
    sha256: str
    detail: Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Circumstances:
    """Who asked for what, and where."""

    facility: Mapping[str, str]
    zone: tzinfo
    requested_from_ns: int
    requested_to_ns: int
    made_ns: int
    who: str
    why: str
    tool: str
    audit: Mapping[str, Any]


def safe(text: str) -> str:
    """`text` as part of a file name on every system."""
    kept = re.sub(r'[\x00-\x1f<>:"/\\|?*\s]+', "_", text).strip("._")
    return f"{kept}_" if _TAKEN.fullmatch(kept) else kept or "_"


def is_inside(name: str) -> bool:
    """Whether a name stays inside the package."""
    parts = name.split("/")
    return not (name.startswith("/") or "\\" in name or "\0" in name or any(part in ("", ".", "..") for part in parts))


def local(at_ns: int, zone: tzinfo) -> str:
    """ISO 8601 with milliseconds, in the facility's time zone."""
    moment = datetime.fromtimestamp(at_ns // NS, UTC).replace(microsecond=at_ns % NS // 1_000_000 * 1000)
    return moment.astimezone(zone).isoformat(timespec="milliseconds")


def stamp(at_ns: int, zone: tzinfo) -> str:
    """A local time as part of a file name: `2026-11-21_17.30.00`."""
    return datetime.fromtimestamp(at_ns // NS, UTC).astimezone(zone).strftime("%Y-%m-%d_%H.%M.%S")


def segment_name(film: Film, source: Source, zone: tzinfo) -> str:
    """Where a segment lies in the package."""
    return f"{safe(film.camera_id)}/{safe(film.stream)}/{stamp(source.start_ns, zone)}_{source.seq:08d}.mp4"


def joined_name(film: Film, from_ns: int, zone: tzinfo, number: int) -> str:
    """Where a joined file lies; `number` counts those of the film from 1."""
    return f"joined/{film.title}_{number:02d}_{stamp(from_ns, zone)}.mp4"


def proof_name(film: Film) -> str:
    """Where the proof of a film lies."""
    return f"proof/{film.title}.json"


def segment_detail(film: Film, source: Source, zone: tzinfo, found: str | None) -> dict[str, Any]:
    """What the manifest says of a segment beside size and sha256; `found` is the digest of what was packed, by the
    same hash as the recorder's."""
    moved = source.labelled_ns not in (None, source.start_ns)
    return {
        "camera": film.camera_id, "stream": film.stream, "seq": source.seq,
        "start": local(source.start_ns, zone), "end": local(source.end_ns, zone),
        "start_ns": str(source.start_ns), "end_ns": str(source.end_ns),
        **({"labelled_ns": str(source.labelled_ns)} if moved else {}),
        **({"volume": source.volume} if source.volume else {}),
        "codec": source.codec, "width": source.width, "height": source.height, "state": source.state,
        "clock": source.quality, "digest": source.digest, "chain": source.chain,
        "as_recorded": None if source.digest is None or source.state == "open" else found == source.digest,
    }  # fmt: skip


def manifest(
    films: Sequence[Film],
    files: Iterable[Packed],
    around: Circumstances,
    reasons: Mapping[str, Mapping[str, str]],
    proofs: Mapping[str, Mapping[str, Any]],
) -> dict[str, Any]:
    """The manifest. `reasons` are the words for reasons of gaps, by language; `proofs` the recorder's answers to
    `proof`, by the title of the film.

    Nanoseconds are text in it: most programs lose digits of such numbers.
    """
    listed = sorted(files, key=lambda each: each.name)
    spans = [span for film in films for span in film.spans]
    actual = {}
    if spans:
        actual = _range(min(each.from_ns for each in spans), max(each.to_ns for each in spans), around.zone)
    return {
        "format": FORMAT,
        "made_at": local(around.made_ns, around.zone),
        "made_by": around.who,
        "purpose": around.why,
        "tool": around.tool,
        "facility": dict(around.facility),
        "time_zone": str(around.zone),
        "requested": _range(around.requested_from_ns, around.requested_to_ns, around.zone),
        "actual": actual,
        "audit": dict(around.audit),
        "key": next((key for answer in proofs.values() if (key := _key(answer)) is not None), None),
        "cameras": [_film(film, around, reasons, proofs.get(film.title)) for film in films],
        "files": [
            {"name": each.name, "kind": each.kind, "bytes": each.bytes, "sha256": each.sha256, **each.detail}
            for each in listed
        ],
    }


def as_bytes(value: Mapping[str, Any]) -> bytes:
    """A manifest or a proof as it stands in its file."""
    return json.dumps(value, ensure_ascii=False, indent=1).encode() + b"\n"


def sums(files: Iterable[tuple[str, str]]) -> bytes:
    """SHA256SUMS of (name, sha256)."""
    return "".join(f"{digest}  {name}\n" for name, digest in sorted(files)).encode()


def _range(from_ns: int, to_ns: int, zone: tzinfo) -> dict[str, str]:
    return {"from": local(from_ns, zone), "to": local(to_ns, zone), "from_ns": str(from_ns), "to_ns": str(to_ns)}


def _key(answer: Mapping[str, Any]) -> dict[str, Any] | None:
    row = answer.get("key")
    detail = row.get("detail") if isinstance(row, Mapping) else None
    if not isinstance(detail, Mapping):
        return None
    return {
        "algorithm": "ed25519", "public_key": detail.get("public_key"), "fingerprint": detail.get("fingerprint"),
    }  # fmt: skip


def _film(
    film: Film,
    around: Circumstances,
    reasons: Mapping[str, Mapping[str, str]],
    answer: Mapping[str, Any] | None,
) -> dict[str, Any]:
    first, last = (film.sources[0], film.sources[-1]) if film.sources else (None, None)
    row = (answer or {}).get("checkpoint")
    return {
        "id": film.camera_id,
        "name": film.name,
        "uuid": film.uuid,
        "stream": film.stream,
        "footage": [_range(each.from_ns, each.to_ns, around.zone) for each in film.spans],
        "gaps": [
            {
                **_range(gap.from_ns, around.requested_to_ns if gap.to_ns is None else gap.to_ns, around.zone),
                "reason": str(gap.reason), "words": dict(reasons.get(str(gap.reason), {})), "detail": gap.detail,
            }
            for gap in film.gaps
        ],
        "segments": len(film.sources),
        "chain": {"before": first.before if first else None, "after": last.chain if last else None},
        "proof": proof_name(film) if answer else None,
        "checkpoint": {"n": row.get("n"), "hash": row.get("hash"), "at_ns": str(row.get("at_ns"))} if row else None,
    }  # fmt: skip
