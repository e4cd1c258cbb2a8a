"""PURE. Tells a file that a power cut or a disk damaged from one that a person changed.

Two things happen to honest evidence, and leave a chain that does not fit:

- Cut: file k was finished and k + 1 begun, whose head names what k was; then the power went, and the last bytes of k
  were not on its disk (another disk than that of k + 1, or one that hung). What is left of k is recovered.
- Passed over: the disk of k hung, and another reel object went on elsewhere. The bytes of k were not known then, so
  k + 1 links to what stands before k.

Neither is proved by the state of a row: whoever truncates a file can write `recovered` beside it. What he cannot do:

- In every checkpoint the recorder names the segments since the last one that it has not closed, with their heads as
  they are after recovery (`loose` in checkpoint.py). A segment that was closed is not among them, and once it was
  signed beyond, naming it counts no more (journal_review.py). A file damaged later is `altered`.
- Passing over is in the link of k + 1 itself, which all that follows is bound to.
- What follows the cut names what only the memory of that boot knew: it says the same boot. A gap after a file that
  was recovered is no cut.
- After a cut the recorder began anew: one of the next `MOST_PASSED` segments is of another boot of the machine, or lies
  on another volume. Files say their boot, and what follows is bound to them. A file truncated in the middle of a
  recording is `altered`, even within the hour that no checkpoint has signed yet.
- Its bytes are proved again from that checkpoint on: a file that is not what was signed then is `altered`.

So there are three verdicts: `damaged` (a note: named by the recorder, and it is what was signed), `damaged_unproved`
(nobody has signed what it is: no checkpoint yet, or it was not whole when it ended), and `altered`. What k held beyond
its cut cannot be proved by anybody; that k + 1 was bound to more, and when, stays told for ever.

What stays open: within the hour before a checkpoint, next to a real power cut, somebody with the rights of the recorder
can pass a truncation off as damage. He can forge all that is unsigned anyway; how much that is stands in the report.
"""

from dataclasses import dataclass, replace
from typing import Final

from agent.facts import Text
from agent.footage.custody.evidence import Deleted, Doubt, Finding, FindingKind, Recorded, Unbound, Walk
from agent.footage.custody.links import link_gone, link_of, unlike_bound

MOST_PASSED: Final = 4
"""The chain goes over so many files at most (as soundness.py has it)."""

_DAMAGED_STATES: Final = frozenset({"recovered", "suspect"})

_CUT: Final = Text("断电或磁盘故障丢了尾部", "a power cut or its disk took its end")
_PASSED: Final = Text(
    "磁盘无应答时被放下，后面的文件没有接它", "let go with a disk that hung: what follows passes over it"
)
_BROKEN: Final = Text("结束时就不完整", "it was not whole when it ended")
_SKIPPED: Final = Text(
    "断电或磁盘故障丢了尾部，其后有序号没有文件",
    "a power cut or its disk took its end, and numbers after it are missing",
)
_BRIDGED: Final = Text("删除的分段里有断电损坏的", "among what was deleted was one that a power cut had damaged")


@dataclass(frozen=True, slots=True)
class Damage:
    """What a break of the chain is explained by."""

    findings: tuple[Finding, ...] = ()
    doubts: tuple[Doubt, ...] = ()


def as_signed(walk: Walk, item: Recorded) -> Recorded:
    """The segment as its file is, where a checkpoint signed that: an index that was built again from files takes such
    a file for one that ought to be what the next one names."""
    signed = walk.loose.get(item.seq)
    seen = item.seen
    if not signed or item.chain == signed or seen is None or seen.digest is None:
        return item
    as_seen = replace(item, size_bytes=seen.size_bytes, digest=seen.digest, chain=signed, state="recovered")
    return as_seen if link_of(walk, walk.head, as_seen) == signed else item


def not_whole(walk: Walk, item: Recorded, found: list[Finding]) -> list[Finding]:
    """What is found of a file, milder where the recorder named it as not whole in time."""
    if item.state == "suspect" and walk.loose.get(item.seq) == "":
        return [
            replace(each, kind=FindingKind.UNVOUCHED, detail=_BROKEN) if each.kind is FindingKind.ALTERED else each
            for each in found
        ]
    signed = walk.loose.get(item.seq)
    if signed and item.chain != signed and not found:
        detail = Text("检查点签的是另一内容", "a checkpoint signed something else")
        return [Finding(FindingKind.ALTERED, walk.camera, walk.stream, item.seq, 0, item.start_ns, item.path, detail)]
    return found


def unbound_after(walk: Walk, item: Recorded | Deleted) -> tuple[Unbound, ...]:
    """The segments up to this one, without a break, that what follows need not be bound to."""
    if isinstance(item, Recorded):
        if item.state not in _DAMAGED_STATES or not _may_be_damaged(walk, item.seq):
            return ()
        head = item.chain or walk.head or ""
        one = Unbound(walk.head, head, item.seq, item.start_ns, item.digest, item.volume, item.path)
        return (*walk.unbound, one)[-MOST_PASSED:]
    last = item.segments[-1]
    if not walk.loose.get(last.seq):
        return ()
    before: str | None = item.before
    for gone in item.segments[:-1]:
        before = link_gone(walk, before, gone, item.after)
    return (Unbound(before, item.after, last.seq, last.start_ns, last.digest, "", "", item.n),)


def judge_break(walk: Walk, item: Recorded) -> Damage | None:
    """Why a segment does not follow the head before it, if damage is why."""
    for at in range(len(walk.unbound) - 1, -1, -1):
        before = walk.unbound[at].before
        if before is not None and link_of(walk, before, item) == item.chain:
            told = [_told(walk, each, _PASSED) for each in walk.unbound[at:]]
            return Damage(tuple(each for each in told if each is not None)) if None not in told else None
    if not walk.unbound or walk.unbound[-1].seq != walk.last_seq:
        return None
    last, said = walk.unbound[-1], item.seen.said if item.seen else None
    if said is not None and link_of(walk, said.before, item) != item.chain:
        return None
    cut_said = walk.last.seen.said if walk.last is not None and walk.last.seen is not None else None
    if said is not None and cut_said is not None and said.boot and cut_said.boot and said.boot != cut_said.boot:
        return None  # only who wrote a file knows what it was: after a start the chain goes on from what was left of it
    cut = _told(walk, last, _CUT)
    if cut is None:
        return None
    if item.seq > last.seq + 1:  # a file that the disk refused has a number, too; so has one that was taken away
        return Damage((replace(cut, kind=FindingKind.UNVOUCHED, detail=_SKIPPED),))
    if said is None or not said.boot or (last.volume and item.volume != last.volume):
        return Damage((cut,))
    altered = unlike_bound(walk, last, 0, Text("文件", "file"))
    return Damage((), (Doubt(cut, altered, said.boot, item.volume, item.seq + MOST_PASSED),))


def settle_doubts(walk: Walk, item: Recorded) -> tuple[Walk, list[Finding]]:
    """What became clear with this segment of cuts that were doubted."""
    found: list[Finding] = []
    left: list[Doubt] = []
    said = item.seen.said if item.seen else None
    for each in walk.doubts:
        if said is None or not said.boot or said.boot != each.boot or item.volume != each.volume:
            found.append(each.cut)
        elif item.seq >= each.until_seq:
            found.append(each.altered)
        else:
            left.append(each)
    return (replace(walk, doubts=tuple(left)) if walk.doubts else walk), found


def judge_bridge(walk: Walk, item: Deleted, unlinked: int) -> Finding | None:
    """A note where a tombstone does not bridge what it stands for, because the chain was damaged there."""
    head: str | None = item.before
    for gone in item.segments[unlinked:]:
        head = link_gone(walk, head, gone, item.after)
    loose = [seq for seq in (walk.last_seq, *(gone.seq for gone in item.segments)) if walk.loose.get(seq)]
    if not item.after or head == item.after or not loose:
        return None
    return Finding(FindingKind.DAMAGED, walk.camera, walk.stream, loose[0], item.n, None, "", _BRIDGED)


def _may_be_damaged(walk: Walk, seq: int) -> bool:
    return seq in walk.loose or seq > walk.covered


def _told(walk: Walk, last: Unbound, why: Text) -> Finding | None:
    """The note about one segment; None when a checkpoint signed something else of it."""
    signed = walk.loose.get(last.seq, "")
    if signed and signed != last.chain:
        return None
    kind = FindingKind.DAMAGED if signed else FindingKind.UNVOUCHED
    return Finding(kind, walk.camera, walk.stream, last.seq, last.n, last.start_ns, last.path, why)
