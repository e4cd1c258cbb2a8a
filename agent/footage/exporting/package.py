"""Footage of several cameras as one package that others can check: originals, joined files, proofs, a manifest.

Invariants
1. A recorded segment is packed byte for byte and hashed on the way; one that is not as it was recorded is packed all
   the same, and the manifest says so.
2. A segment that goes away meanwhile is a gap with its reason, and no end of the export.
3. The manifest is written when all that it lists is in the package, and signed after that.
"""

import hashlib
import os
from collections.abc import Callable, Iterable, Iterator, Mapping, Set
from dataclasses import dataclass, replace
from datetime import datetime
from itertools import count
from typing import Any, Final

from agent.facts import Text
from agent.footage.chain import SM3, UnknownHash, algorithm_of, digest_of, new_hash
from agent.footage.exporting import manifest as made
from agent.footage.exporting.copying import Progress, Unreadable, pieces_of
from agent.footage.exporting.export import NoFootage, Planned, plan_joined, refused
from agent.footage.exporting.manifest import Circumstances, Film, Packed, Source
from agent.footage.exporting.package_links import Content, as_left, linked, proof
from agent.footage.exporting.package_target import PackageTarget
from agent.footage.exporting.recorded import description, end_ns, read, whole_bytes
from agent.footage.mp4.samples import NotOurs
from agent.footage.timeline import NS, Gap, GapReason, SegmentRef, Span, ledger, merge

_READ_BYTES: Final = 1 << 20

NOT_YET: Final = "not_yet"
"""In the place of a gap's reason: footage comes fragment by fragment, the last one is not on the disk."""

NOT_YET_NS: Final = 3 * NS

Prove = Callable[[Film], Mapping[str, Any] | None]
"""The recorder's answer to `proof` for a film; None when there is none."""

Vouch = Callable[[Film, int], Mapping[str, Any] | None]
"""The recorder's answer to `proof` for one segment that is `loose`: the checkpoint that signed what was left; None when
it does not answer."""

Sign = Callable[[str], Mapping[str, Any] | None]
"""The recorder's answer to `sign_manifest` for the sha256 of a manifest; None when it cannot be signed."""


@dataclass(frozen=True, slots=True)
class Wanted:
    """What goes into the package. `page` and `readme` are files for people; `reasons` words for reasons of gaps."""

    films: tuple[Film, ...]
    around: Circumstances
    joined: bool
    page: bytes
    readme: bytes
    reasons: Mapping[str, Mapping[str, str]]
    sound: bool = True
    """In joined files."""


@dataclass(frozen=True, slots=True)
class Built:
    """The package that came out. `altered` are segments that are not as they were recorded, by their name in it."""

    films: tuple[Film, ...]
    files: tuple[Packed, ...]
    bytes: int
    manifest_sha256: str
    signature: Mapping[str, Any] | None
    altered: tuple[str, ...]
    resumed: int
    """How many segments an interrupted attempt had left whole."""


def needed_bytes(films: Iterable[Film], joined: bool) -> int:
    """How much room a package takes, but for what is small beside video."""
    media = sum(source.bytes for film in films for source in film.sources)
    return media * (2 if joined else 1) + media // 500 + (1 << 20)


def build(
    wanted: Wanted,
    target: PackageTarget,
    prove: Prove,
    sign: Sign,
    progress: Progress | None = None,
    vouch: Vouch | None = None,
) -> Built:
    """Write a package. Raises NoFootage when nothing can be read, ExportFailed when it cannot be written; what
    `progress`, `prove`, `vouch` and `sign` raise comes through. In each case `target` keeps its other name."""
    try:
        return _Building(wanted, target, progress).run(prove, vouch or (lambda film, seq: {}), sign)
    except OSError as error:
        raise refused(error) from error
    finally:
        target.leave()


class _Building:
    """One package being written."""

    def __init__(self, wanted: Wanted, target: PackageTarget, progress: Progress | None) -> None:
        self._wanted = wanted
        self._target = target
        self._progress = progress
        self._around = wanted.around
        self._total = sum(source.bytes for film in wanted.films for source in film.sources) * (1 + wanted.joined)
        self._done = 0
        self._files: list[Packed] = []
        self._names: dict[str, str] = {}
        """What a segment is called in the package, by where it was recorded."""
        self._contents: dict[str, dict[int, Content]] = {}
        """What was packed of segments that are in the chain, by the title of the film and their number."""
        self._bad: dict[str, GapReason] = {}
        self._altered: list[str] = []
        self._resumed = 0

    def run(self, prove: Prove, vouch: Vouch, sign: Sign) -> Built:
        films = [self._originals(film) for film in self._wanted.films]
        if not any(film.sources for film in films):
            raise NoFootage(Text("这段时间没有可读的录像", "nothing in this range can be read"))
        if self._wanted.joined:
            for film in films:
                self._joined(film)
        films = [self._judged(film) for film in films]
        proofs: dict[str, Mapping[str, Any]] = {}
        for film in films:
            answer = self._prove(film, prove, vouch) if any(source.chain for source in film.sources) else None
            if answer is not None:
                proofs[film.title] = answer
        self._small(made.PAGE, "page", self._wanted.page)
        self._small(made.README, "text", self._wanted.readme)
        content = made.as_bytes(made.manifest(films, self._files, self._around, self._wanted.reasons, proofs))
        digest = hashlib.sha256(content).hexdigest()
        self._put(made.MANIFEST, content)
        listed = [(each.name, each.sha256) for each in self._files]
        self._put(made.SUMS, made.sums([*listed, (made.MANIFEST, digest)]))
        signature = sign(digest)
        if signature is not None:
            self._put(made.SIGNATURE, made.as_bytes(signature))
        size = self._target.finish()
        self._tell(self._total)
        return Built(tuple(films), tuple(self._files), size, digest, signature, tuple(self._altered), self._resumed)

    def _prove(self, film: Film, prove: Prove, vouch: Vouch) -> Mapping[str, Any] | None:
        """Pack the proof of a film; the recorder's answer, None when it does not give all of it."""
        answer = prove(film)
        if answer is None:
            return None
        contents = self._contents.get(film.title, {})
        links = linked(film, answer, contents)
        vouchers = {seq: vouch(film, seq) for seq in sorted(links.loose)}
        known = {seq: told for seq, told in vouchers.items() if told is not None}
        if len(known) < len(vouchers):
            return None
        links = as_left(film, links, contents, known)
        self._files = [self._as_left(each, film) if _is_of(each, film, links.as_left) else each for each in self._files]
        self._small(made.proof_name(film), "proof", made.as_bytes(proof(film, answer, links, known)))
        return answer

    def _as_left(self, packed: Packed, film: Film) -> Packed:
        """The entry of a file that is as a cut had left it, which was signed."""
        self._altered.remove(packed.name)
        content = self._contents[film.title][packed.detail["seq"]]
        detail = {**packed.detail, "state": "recovered", "digest": content.digest, "as_recorded": True}
        return replace(packed, detail=detail)

    def _originals(self, film: Film) -> Film:
        kept: list[Source] = []
        for source in film.sources:
            try:
                kept.append(self._original(film, source))
            except Unreadable as gone:
                self._bad[source.path] = gone.reason
        return replace(film, sources=tuple(kept))

    def _original(self, film: Film, source: Source) -> Source:
        name = self._names[source.path] = made.segment_name(film, source, self._around.zone)
        begun = self._done
        hashed = self._kept(name, source)
        if hashed is None:
            hashed = self._copied(name, source)
        else:
            self._resumed += 1
        self._done = begun + source.bytes
        self._tell(self._done)
        said = description(source.path)
        label = said.get("start_ns")
        source = replace(
            source, bytes=hashed.size, quality=_text(said, "quality"), before=_text(said, "chain"),
            labelled_ns=label if type(label) is int else None,
        )  # fmt: skip
        if source.state == "open":
            source = replace(source, end_ns=_end_of(source))
        elif source.chain:
            self._contents.setdefault(film.title, {})[source.seq] = Content(hashed.size, hashed.digest)
        detail = made.segment_detail(film, source, self._around.zone, hashed.digest)
        if detail["as_recorded"] is False:
            self._altered.append(name)
        self._files.append(Packed(name, "segment", hashed.size, hashed.sha256, detail))
        return source

    def _kept(self, name: str, source: Source) -> "_Hashed | None":
        """What an earlier attempt left, when it is what was recorded."""
        content = self._target.kept(name)
        if content is None or source.digest is None or source.state == "open":
            return None
        hashed = _Hashed(source.digest)
        for data in content:
            hashed.feed(data)
            self._tell(self._done + hashed.size)
        if hashed.digest != source.digest:
            return None
        self._target.keep(name)
        return hashed

    def _copied(self, name: str, source: Source) -> "_Hashed":
        hashed = _Hashed(source.digest)
        with _open(source) as (number, size), self._target.entry(name, size, self._moment(source.start_ns)) as writer:
            while hashed.size < size:
                data = _read(number, min(_READ_BYTES, size - hashed.size), source.path)
                hashed.feed(data)
                writer.write(data)
                self._tell(self._done + hashed.size)
        return hashed

    def _joined(self, film: Film) -> None:
        from_ns, to_ns = self._around.requested_from_ns, self._around.requested_to_ns
        segments = [_reference(source) for source in film.sources]
        comment = {"camera": film.camera_id, "stream": film.stream}
        ready = self._done + sum(source.bytes for source in film.sources)
        numbers = count(1)
        again = True
        while again:
            again = False
            planned = plan_joined(
                segments, from_ns, to_ns, self._bad, split_at_gaps=True, comment=comment, sound=self._wanted.sound,
                most_bytes={source.path: source.bytes for source in film.sources if source.state == "open"},
            )  # fmt: skip
            for each in planned:
                try:
                    self._join(film, each, next(numbers))
                except Unreadable as gone:  # its original is in the package; what is left of this part is joined
                    self._bad[gone.path], from_ns, again = gone.reason, each.from_ns, True
                    break
        self._done = ready
        self._tell(ready)

    def _join(self, film: Film, planned: Planned, number: int) -> None:
        name = made.joined_name(film, planned.from_ns, self._around.zone, number)
        hashed = _Hashed(None)
        begun = self._done
        size = len(planned.head) + planned.media_bytes
        with self._target.entry(name, size, self._moment(planned.from_ns)) as writer:
            for data in _chained(planned.head, pieces_of(planned.copies)):
                hashed.feed(data)
                writer.write(data)
                self._tell(begun + hashed.size)
        self._done = begun + planned.media_bytes
        zone = self._around.zone
        detail = {
            "camera": film.camera_id, "stream": film.stream, "derived": True, "frames": planned.frames,
            "start": made.local(planned.from_ns, zone), "end": made.local(planned.to_ns, zone),
            "start_ns": str(planned.from_ns), "end_ns": str(planned.to_ns),
            "from": sorted(self._names[path] for path in {copied.path for copied in planned.copies}),
        }  # fmt: skip
        self._files.append(Packed(name, "derived", hashed.size, hashed.sha256, detail))

    def _judged(self, film: Film) -> Film:
        """The film with what it holds and what is missing, now that this is known."""
        spans = merge(Span(source.start_ns, source.end_ns) for source in film.sources)
        there = {source.path for source in film.sources}
        before = next(each for each in self._wanted.films if each.title == film.title)
        gone = [
            Gap(source.start_ns, source.end_ns, self._bad[source.path], "")
            for source in before.sources
            if source.path not in there
        ]
        asked = self._around.requested_from_ns, self._around.requested_to_ns
        found = ledger(spans, [*film.gaps, *gone], *asked)
        return replace(film, spans=tuple(spans), gaps=tuple(self._not_yet(gap) for gap in found.gaps))

    def _not_yet(self, gap: Gap) -> Gap:
        """Up to now, the last moments are not there yet; that is no gap of the recording."""
        around = self._around
        last = gap.to_ns == around.requested_to_ns and around.made_ns - around.requested_to_ns < NOT_YET_NS
        short = gap.to_ns is not None and gap.to_ns - gap.from_ns < NOT_YET_NS
        return replace(gap, reason=NOT_YET) if last and short and gap.reason == GapReason.UNRECORDED else gap

    def _small(self, name: str, kind: str, content: bytes) -> None:
        self._put(name, content)
        self._files.append(Packed(name, kind, len(content), hashlib.sha256(content).hexdigest(), {}))

    def _put(self, name: str, content: bytes) -> None:
        with self._target.entry(name, len(content), self._moment(self._around.made_ns)) as writer:
            writer.write(content)

    def _moment(self, at_ns: int) -> datetime:
        """A time of the package's files, in the facility's zone."""
        return datetime.fromtimestamp(at_ns // NS, self._around.zone)

    def _tell(self, done: int) -> None:
        if self._progress is not None:
            self._progress(min(done, self._total), self._total)


class _Hashed:
    """What was fed to it: its size, its sha256, and its digest by the hash of the recorder."""

    def __init__(self, like: str | None) -> None:
        """`like` is a digest: the same hash is computed beside sha256."""
        self.size = 0
        self._sha256 = hashlib.sha256()
        self._other = None
        if like is not None:
            try:
                self._other = new_hash(SM3) if algorithm_of(like) == SM3 else None
            except UnknownHash:
                self._other = None

    def feed(self, data: bytes) -> None:
        self.size += len(data)
        self._sha256.update(data)
        if self._other is not None:
            self._other.update(data)

    @property
    def sha256(self) -> str:
        return self._sha256.hexdigest()

    @property
    def digest(self) -> str:
        return self.sha256 if self._other is None else digest_of(self._other)


class _open:  # noqa: N801 - used as a function
    """A segment to be copied: a descriptor and how many bytes of it. Raises Unreadable."""

    def __init__(self, source: Source) -> None:
        self._source = source

    def __enter__(self) -> tuple[int, int]:
        try:
            self._number = os.open(self._source.path, os.O_RDONLY | os.O_CLOEXEC)
            size = os.fstat(self._number).st_size
            if self._source.state == "open":
                size = whole_bytes(self._number)
        except OSError as error:
            raise Unreadable(self._source.path, error) from error
        return self._number, size

    def __exit__(self, *_: object) -> None:
        os.close(self._number)


def _read(number: int, count: int, path: str) -> bytes:
    try:
        data = os.read(number, count)
    except OSError as error:
        raise Unreadable(path, error) from error
    if not data:
        raise Unreadable(path, OSError("the file is shorter than it was"))
    return data


def _chained(first: bytes, rest: Iterator[bytes]) -> Iterator[bytes]:
    yield first
    yield from rest


def _is_of(packed: Packed, film: Film, seqs: Set[int]) -> bool:
    """Whether a file of the package is one of these segments of a film."""
    detail = packed.detail
    is_segment = packed.kind == "segment" and (detail["camera"], detail["stream"]) == (film.camera_id, film.stream)
    return is_segment and detail["seq"] in seqs


def _reference(source: Source) -> SegmentRef:
    return SegmentRef(
        source.path, source.start_ns, source.end_ns, source.codec, source.width, source.height, source.bytes,
        source.state,
    )  # fmt: skip


def _end_of(source: Source) -> int:
    """When the last picture is over that was packed of a segment that is being recorded."""
    try:
        recorded = read(_reference(source), source.bytes)
    except (OSError, NotOurs):
        recorded = None
    return source.end_ns if recorded is None else end_ns(recorded)


def _text(said: Mapping[str, Any], key: str) -> str:
    found = said.get(key)
    return found if isinstance(found, str) else ""
