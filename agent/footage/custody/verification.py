"""PURE. Judges the evidence of one camera and stream: what was recorded, what was deleted, what was signed.

`step` takes segments and tombstones in the order of their numbers and gives findings; `review` in journal_review.py
judges the journal, from which tombstones, holds and signed heads come.

Invariants
1. Evidence that nobody touched gives no finding.
2. After a finding the walk goes on from what the index says, or from what it should say, whichever the next segment
   follows: one change gives findings about itself, not about all that comes after it.
3. A number without segment or tombstone is no finding while the chain goes over it: a file that the disk refused
   before its first byte has a number and nothing else. A tombstone's footage with a label later than its deletion was
   labelled by a wrong clock: it is as old as what was recorded next, as retention took it to be.
4. A file that a power cut damaged is told from one that a person did (damage.py).
5. A segment without a link (recorded by the first version, or never readable again) is judged by its digest alone.
"""

from collections.abc import Callable, Iterable
from dataclasses import replace
from typing import Final

from agent.facts import Text
from agent.footage.chain import FIRST
from agent.footage.custody.damage import as_signed, judge_break, judge_bridge, not_whole, settle_doubts, unbound_after
from agent.footage.custody.evidence import NOTES, NOTHING, UNPROVED, Deleted, Finding, FindingKind, Gone, Recorded, Walk
from agent.footage.custody.links import link_gone as _link_gone
from agent.footage.custody.links import link_of as _link
from agent.footage.custody.links import unlike_bound as _unlike_bound

DAY_NS: Final = 86_400_000_000_000

BY_AGE: Final = frozenset({"expired", "quota"})
"""Reasons of a tombstone for which a segment must have been older than the minimum."""

OVERWRITTEN: Final = "overwritten"
"""The reason for which it need not, where the policy allowed that."""

PRODUCT_BEGAN_NS: Final = 1_735_689_600 * 10**9
"""2025-01-01: no label before it is believed, as retention does not."""

_NONE: Final = Text("没有列出任何分段", "it names none")

Held = Callable[[Gone, Deleted], bool]
"""Whether a hold of the journal forbade this deletion."""


def step(walk: Walk, item: Recorded | Deleted, held: Held) -> tuple[Walk, list[Finding]]:
    """Judge the next segment or tombstone."""
    start_ns = item.start_ns if isinstance(item, Recorded) else min((g.start_ns for g in item.segments), default=0)
    walk, dated = _date(walk, start_ns)
    walk, found = _deleted(walk, item, held) if isinstance(item, Deleted) else _recorded(walk, item)
    return walk, [*dated, *found]


def finish(walk: Walk, is_end: bool = True) -> list[Finding]:
    """After the last segment: what was signed and is not there. `is_end`: nothing was recorded after it."""
    doubted = [each.cut for each in walk.doubts]
    young = [_young(walk, *each) for each in walk.undated] if is_end else []
    return [*doubted, *young, *_pass_marks(walk, None)[1]]


def with_places(findings: Iterable[tuple[Finding, str, str]]) -> list[Finding]:
    """Findings of one camera and stream, each with the digest in the index and that of the file ("" when not known).
    A file that stands in the place of another one is told as that."""
    known: list[tuple[Finding, str, str]] = []
    told: set[tuple[FindingKind, int]] = set()
    for finding, digest, seen in findings:
        # Damage shows in the file and in the chain after it.
        if finding.kind not in NOTES | UNPROVED or (finding.kind, finding.seq) not in told:
            known.append((finding, digest, seen))
            told.add((finding.kind, finding.seq))
    indexed = {digest for each, digest, _ in known if each.kind is FindingKind.ALTERED and digest}
    return [
        replace(
            each, kind=FindingKind.REORDERED, detail=Text("这是另一个分段的文件", "it is the file of another segment")
        )
        if each.kind is FindingKind.ALTERED and seen != digest and seen in indexed
        else each
        for each, digest, seen in known
    ]


def _recorded(walk: Walk, item: Recorded) -> tuple[Walk, list[Finding]]:
    item = as_signed(walk, item)
    walk, settled = settle_doubts(walk, item)
    made = _link(walk, walk.head, item)
    follows = not item.chain or walk.head is None or item.chain in (made, _link(walk, walk.other_head, item))
    found = not_whole(walk, item, _file_finding(walk, item))
    damage = None if follows else judge_break(walk, item)
    if damage is not None:
        found = [*damage.findings, *found]
        walk = replace(walk, doubts=(*walk.doubts, *damage.doubts))
    elif not follows:
        chain_finding = _chain_finding(walk, item)
        # One change of a row breaks its link and contradicts its file; the file says it better.
        if not found or chain_finding.kind is FindingKind.REMOVED:
            found = [chain_finding, *found]
    walk, missed = _pass_marks(walk, item.seq)
    head = item.chain or walk.head
    # Whether the index or the computed link is right shows at the next segment.
    other = made if item.chain and not follows and damage is None else None
    unbound = unbound_after(walk, item)
    walk = replace(walk, head=head, other_head=other, last_seq=item.seq, last=item, unbound=unbound)
    walk, wrong = _meet_mark(walk, item.seq, head)
    return walk, _once([*settled, *missed, *found, *wrong])


def _file_finding(walk: Walk, item: Recorded) -> list[Finding]:
    """What is wrong with the file of a segment, as one finding at most."""
    seen = item.seen

    def finding(kind: FindingKind, detail: Text = NOTHING) -> list[Finding]:
        return [Finding(kind, walk.camera, walk.stream, item.seq, 0, item.start_ns, item.path, detail)]

    if seen is None:
        return finding(FindingKind.MISSING)
    if item.named_seq != item.seq:
        return finding(
            FindingKind.REORDERED, Text(f"文件名的序号是 {item.named_seq}", f"its file has number {item.named_seq}")
        )
    said = seen.said
    if said is not None and (said.camera, said.stream, said.seq) != (walk.camera, walk.stream, item.seq):
        named = f"{said.camera} {said.stream} {said.seq}"
        return finding(FindingKind.REORDERED, Text(f"文件自述为 {named}", f"the file says that it is {named}"))
    differs = seen.size_bytes != item.size_bytes or (seen.digest is not None and seen.digest != item.digest)
    starts_elsewhere = said is not None and said.start_ns != item.start_ns
    if (differs or starts_elsewhere) and seen.digest is not None:
        as_seen = replace(
            item, size_bytes=seen.size_bytes, digest=seen.digest, start_ns=said.start_ns if said else item.start_ns
        )
        if item.chain and _link(walk, walk.head, as_seen) == item.chain:
            return finding(
                FindingKind.CHAIN_BROKEN,
                Text("文件未变，索引的记载变了", "the file is right, what the index says of it is not"),
            )
    if seen.size_bytes != item.size_bytes:
        return finding(
            FindingKind.ALTERED,
            Text(
                f"{seen.size_bytes} 字节，应为 {item.size_bytes}",
                f"{seen.size_bytes} bytes instead of {item.size_bytes}",
            ),
        )
    if differs:
        return finding(FindingKind.ALTERED)
    if starts_elsewhere:
        return finding(
            FindingKind.CHAIN_BROKEN, Text("文件自述的起点不同", "the file says that it starts at another time")
        )
    if item.indexed_start_ns != item.start_ns and not item.rectified:
        return finding(
            FindingKind.CHAIN_BROKEN, Text("索引记载的起点不同", "the index says that it starts at another time")
        )
    return []


def _chain_finding(walk: Walk, item: Recorded) -> Finding:
    """Why a segment does not follow the head before it."""
    last = walk.last
    skipped = item.seq > walk.last_seq + 1
    named = bool(item.previous) and last is not None and bool(last.digest)
    same_before = named and last is not None and item.previous == last.digest
    if skipped and not same_before:
        return _removed(walk, walk.last_seq + 1, 0, item.start_ns, _numbers(walk.last_seq + 1, item.seq - 1))
    said = item.seen.said if item.seen else None
    sound = said is not None and _link(walk, said.before, item) == item.chain
    if last is not None and ((named and not same_before) or (sound and not skipped)):
        return _unlike_bound(walk, last, 0, Text("文件", "file"))
    detail = Text("与前一个分段不相连", "its link does not follow the one before")
    return Finding(FindingKind.CHAIN_BROKEN, walk.camera, walk.stream, item.seq, 0, item.start_ns, item.path, detail)


def _deleted(walk: Walk, item: Deleted, held: Held) -> tuple[Walk, list[Finding]]:
    if not item.segments:
        return walk, [Finding(FindingKind.JOURNAL_BROKEN, walk.camera, walk.stream, n=item.n, detail=_NONE)]
    first, found = item.segments[0], list[Finding]()
    bridge = judge_bridge(walk, item, unlinked(walk, item))
    passed = any(each.before == item.before for each in walk.unbound)
    if walk.head is not None and item.before not in (walk.head, walk.other_head) and not passed:
        found.append(_before_tombstone(walk, item, first))
    walk, missed = _pass_marks(walk, first.seq)
    head: str | None = item.before
    skipped = unlinked(walk, item)
    for at, gone in enumerate(item.segments):
        forbidden = _forbidden(gone, item, held)
        if forbidden and gone.end_ns > item.deleted_ns and not held(gone, item):
            walk = replace(walk, undated=(*walk.undated, (gone, item)))
        elif forbidden:
            found.append(_removed(walk, gone.seq, item.n, gone.start_ns, forbidden))
        if at < skipped:
            continue
        head = None if bridge is not None else _link_gone(walk, head, gone, item.after)
        walk, wrong = _meet_mark(walk, gone.seq, head)
        found += wrong
    if bridge is not None:
        found.append(bridge)
    elif item.after and head != item.after:
        detail = Text("删除记录接不上前后", "the tombstone does not bridge what it stands for")
        found.append(
            Finding(FindingKind.CHAIN_BROKEN, walk.camera, walk.stream, first.seq, item.n, first.start_ns, "", detail)
        )
    last_seq = item.segments[-1].seq
    unbound = unbound_after(walk, item)
    walk = replace(walk, head=item.after, other_head=None, last_seq=last_seq, last=None, unbound=unbound)
    return walk, _once([*missed, *found])


def _date(walk: Walk, start_ns: int) -> tuple[Walk, list[Finding]]:
    """What begins at `start_ns` was recorded next: what was deleted under a label from the future is no younger."""
    left: list[tuple[Gone, Deleted]] = []
    found: list[Finding] = []
    for gone, item in walk.undated:
        if not PRODUCT_BEGAN_NS <= start_ns <= item.deleted_ns:
            left.append((gone, item))
        elif start_ns > item.deleted_ns - item.minimum_days * DAY_NS:
            found.append(_young(walk, gone, item))
    return (replace(walk, undated=tuple(left)) if walk.undated else walk), found


def _young(walk: Walk, gone: Gone, item: Deleted) -> Finding:
    detail = Text(
        "标记的时间晚于删除，其后的录像也未满期限", "labelled later than deleted, and what follows was too young"
    )
    return _removed(walk, gone.seq, item.n, gone.start_ns, detail)


def unlinked(walk: Walk, item: Deleted) -> int:
    """How many segments a tombstone begins with that were recorded by the first version, without a link."""
    if item.before == item.after:
        return len(item.segments)
    if item.before != FIRST:
        return 0
    for skipped in range(len(item.segments)):
        head: str | None = item.before
        for gone in item.segments[skipped:]:
            head = _link_gone(walk, head, gone, item.after)
        if head == item.after:
            return skipped
    return 0


def _before_tombstone(walk: Walk, item: Deleted, first: Gone) -> Finding:
    if first.seq > walk.last_seq + 1:
        detail = _numbers(walk.last_seq + 1, first.seq - 1)
        return _removed(walk, walk.last_seq + 1, item.n, first.start_ns, detail)
    if walk.last is not None:
        return _unlike_bound(walk, walk.last, item.n, Text("删除记录", "tombstone"))
    detail = Text("删除记录与前面不相连", "the tombstone does not follow what is before it")
    return Finding(FindingKind.CHAIN_BROKEN, walk.camera, walk.stream, first.seq, item.n, first.start_ns, "", detail)


def _forbidden(gone: Gone, item: Deleted, held: Held) -> Text | None:
    """Why this segment could not be deleted then; None when it could."""
    if held(gone, item):
        return Text("删除时在封存中", "it was held")
    young = gone.end_ns > item.deleted_ns - item.minimum_days * DAY_NS
    if item.reason in BY_AGE and young:
        return Text(f"删除时未满 {item.minimum_days} 天", f"it was younger than {item.minimum_days} days")
    if item.reason == OVERWRITTEN and young and not item.overwriting:
        return Text("被覆盖，而当时不允许", "it was overwritten, which the policy did not allow")
    return None


def _numbers(first: int, last: int) -> Text:
    return Text(f"第 {first} 到 {last} 段", f"number {first} to {last}")


def _removed(walk: Walk, seq: int, n: int, at_ns: int | None, detail: Text) -> Finding:
    return Finding(FindingKind.REMOVED, walk.camera, walk.stream, seq, n, at_ns, "", detail)


def _pass_marks(walk: Walk, next_seq: int | None) -> tuple[Walk, list[Finding]]:
    """Signed heads of numbers that lie before `next_seq` (the end) and were not met."""
    found: list[Finding] = []
    at = walk.mark_at
    while at < len(walk.marks) and (next_seq is None or walk.marks[at].seq < next_seq):
        mark = walk.marks[at]
        if mark.seq > walk.last_seq and not found:
            detail = Text(
                f"检查点 {mark.n} 签名时已有第 {mark.seq} 段",
                f"number {mark.seq} was there when checkpoint {mark.n} was signed",
            )
            found.append(_removed(walk, walk.last_seq + 1, mark.n, None, detail))
        at += 1
    return replace(walk, mark_at=at) if at != walk.mark_at else walk, found


def _meet_mark(walk: Walk, seq: int, head: str | None) -> tuple[Walk, list[Finding]]:
    found: list[Finding] = []
    at = walk.mark_at
    while at < len(walk.marks) and walk.marks[at].seq <= seq:
        mark = walk.marks[at]
        if mark.seq == seq and head is not None and mark.head != head and not found:
            detail = Text(f"检查点 {mark.n} 签的是另一个值", f"another head was signed in checkpoint {mark.n}")
            found.append(Finding(FindingKind.CHECKPOINT_BROKEN, walk.camera, walk.stream, seq, mark.n, detail=detail))
        at += 1
    return replace(walk, mark_at=at) if at != walk.mark_at else walk, found


def _once(findings: list[Finding]) -> list[Finding]:
    """Without what says again what an earlier one says of the same segment."""
    told: dict[tuple[FindingKind, int], Finding] = {}
    for each in findings:
        told.setdefault((each.kind, each.seq), each)
    return list(told.values())
