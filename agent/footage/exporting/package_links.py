"""PURE. Makes the proof that goes into a package, from what the recorder and the files say of the chain.

Where a link does not follow the one before, the file before was cut or passed over (custody/damage.py): it is named as
`loose`, with the checkpoint that signed what was left of it. `package_proof` checks what is made here, and believes
none of it.
"""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from agent.footage.chain import UnknownHash, algorithm_of, hash_bytes
from agent.footage.exporting.manifest import Film
from agent.footage.exporting.package_proof import CHECKPOINT, LINK, MOST_PASSED


@dataclass(frozen=True, slots=True)
class Content:
    """What was packed of a segment: how many bytes, and their digest by the recorder's hash."""

    bytes: int
    digest: str


@dataclass(frozen=True, slots=True)
class Link:
    """One link: its number, when it began by its label, the head before it, the text that was hashed, and its hash."""

    seq: int
    start_ns: int
    before: str
    text: str
    head: str
    is_told: bool = True
    """Whether the recorder knows the head, or it was counted here."""


@dataclass(frozen=True, slots=True)
class Linked:
    """The links of a film. `loose` are the numbers that need a checkpoint of their own; `is_cut`: the links end with
    one of those, since nobody knows what the next one follows. After those `apart` some are left out. `as_left` are
    packed as a cut had left them, which is what was signed, although the index knows what they were before."""

    links: tuple[Link, ...]
    loose: frozenset[int]
    is_cut: bool = False
    apart: frozenset[int] = frozenset()
    as_left: frozenset[int] = frozenset()


def link_text(before: str, camera: str, stream: str, link: Sequence[Any]) -> str:
    """The text whose hash is the head of the chain after a segment (chain.py); `link` is (seq, start, size, digest)."""
    content = [LINK, before, camera, stream, *link[:4]]
    return json.dumps(content, ensure_ascii=False, separators=(",", ":"))


def linked(film: Film, answer: Mapping[str, Any], contents: Mapping[int, Content]) -> Linked:
    """The links of the recorder's answer to `proof`; `contents` are what was packed, by number."""
    says = {source.seq: source.before for source in film.sources if source.before}
    last_packed = max((source.seq for source in film.sources if source.chain), default=0)
    found: list[Link] = []
    loose, apart = set[int](), set[int]()
    before, is_cut = str(answer.get("before", "")), False
    for each in answer.get("links", ()):
        seq, after = int(each[0]), each[4]
        made = _made(film, each, [before, *(link.before for link in found[: -MOST_PASSED - 1 : -1]), says.get(seq)])
        if made is None and found and seq > last_packed:
            loose.add(found[-1].seq)
            is_cut = True
            break
        if made is None and seq in contents:  # it is not what the recorder says: who checks it is to see that
            made = Link(seq, int(each[1]), before, link_text(before, film.uuid, film.stream, each), str(after))
        if made is None:  # nobody knows what it follows: it is not in the package, nor are those counted up to it
            while found and not found[-1].is_told:
                found.pop()
            apart |= {found[-1].seq} if found else set()
            before = after
            continue
        if found and made.before != before:
            passed = [at for at, link in enumerate(found) if link.before == made.before][-1:]
            loose |= {link.seq for link in found[passed[0] if passed else -1 :]}
        packed = contents.get(seq)
        if packed is not None and (packed.bytes, packed.digest) != (each[2], each[3]):
            loose.add(seq)
        found.append(made)
        before = made.head
    return Linked(tuple(found), frozenset(loose), is_cut, frozenset(apart - loose))


def as_left(
    film: Film, made: Linked, contents: Mapping[int, Content], vouchers: Mapping[int, Mapping[str, Any]]
) -> Linked:
    """The same, with files as a cut had left them where a checkpoint signed that: an index that was built again takes
    such a file for one that ought to be what the next one names. `vouchers` are the recorder's answers."""
    links, left = list(made.links), set[int]()
    for place, link in enumerate(links):
        packed, signed = contents.get(link.seq), _signed_head(film, link.seq, vouchers.get(link.seq))
        if packed is None or not signed or signed == link.head:
            continue
        text = link_text(link.before, film.uuid, film.stream, (link.seq, link.start_ns, packed.bytes, packed.digest))
        if hash_bytes(algorithm_of(signed), text.encode()) == signed:
            links[place] = replace(link, text=text, head=signed)
            left.add(link.seq)
    return replace(made, links=tuple(links), as_left=frozenset(left))


def proof(
    film: Film, answer: Mapping[str, Any], made: Linked, vouchers: Mapping[int, Mapping[str, Any]]
) -> dict[str, Any]:
    """What is put into the package.

    Every link stands there as the text that was hashed: whoever checks it need not print numbers of 64 bits.
    """
    links = made.links
    before = links[0].before if links else str(answer.get("before", ""))
    return {
        "camera": film.uuid,
        "stream": film.stream,
        "before": before,
        "links": [link.text for link in links],
        "head": links[-1].head if links else before,
        "loose": [
            {"seq": link.seq, "head": link.head, "checkpoint": _checkpoint(vouchers.get(link.seq, {}))}
            for link in links
            if link.seq in made.loose
        ],
        "apart": [{"seq": link.seq, "head": link.head} for link in links if link.seq in made.apart],
        "deleted": list(answer.get("deleted", ())),
        "tombstones": list(answer.get("tombstones", ())),
        "checkpoint": None if made.is_cut else _checkpoint(answer),
    }


def _made(film: Film, each: Sequence[Any], befores: Sequence[str | None]) -> Link | None:
    """The link with the first of these heads before it that makes it what the recorder knows; None when none does."""
    seq, start_ns, _, digest, after = each[:5]
    is_told = isinstance(after, str)
    for before in befores:
        if before is None:
            continue
        text = link_text(before, film.uuid, film.stream, each)
        try:
            head = hash_bytes(algorithm_of(after if is_told else digest), text.encode())
        except UnknownHash:
            return None
        if not is_told or head == after:
            return Link(int(seq), int(start_ns), before, text, head, is_told)
    return None


def _checkpoint(answer: Mapping[str, Any]) -> dict[str, Any] | None:
    row = answer.get("checkpoint")
    if not isinstance(row, Mapping):
        return None
    told = row.get("detail")
    detail = told if isinstance(told, Mapping) else {}
    return {
        "n": row.get("n"), "hash": row.get("hash"), "text": answer.get("checkpoint_text"),
        "signature": detail.get("signature"),
    }  # fmt: skip


def _signed_head(film: Film, seq: int, answer: Mapping[str, Any] | None) -> str:
    """The head that a checkpoint signed of a loose file; "" when there is none."""
    text = str((answer or {}).get("checkpoint_text") or "")
    try:
        loose = json.loads(text.removeprefix(CHECKPOINT)).get("loose", []) if text else []
        return next((str(each[3]) for each in loose if each[:3] == [film.uuid, film.stream, seq]), "")
    except (ValueError, TypeError, AttributeError, IndexError):
        return ""
