"""Whoever touches one thing of the evidence is found, and it is called what it is."""

from dataclasses import dataclass, field, replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agent.footage.chain import FIRST, hash_bytes, link
from agent.footage.custody.evidence import Deleted, Finding, FindingKind, Gone, Mark, Recorded, Said, Seen, Walk
from agent.footage.custody.verification import DAY_NS, finish, step, with_places

_CAMERA, _STREAM = "c1", "main"
_BEGIN_NS = 1_790_000_000_000_000_000
_DELETED_NS = _BEGIN_NS + 400 * DAY_NS

Stones = tuple[tuple[int, int], ...]
"""First and last number of each tombstone."""


@dataclass
class Evidence:
    """What was recorded of one camera, with the parts of it that a tamper changes."""

    items: list[Recorded | Deleted]
    marks: list[Mark]
    read: bool = True
    held: frozenset[int] = frozenset()
    loose: dict[int, str] = field(default_factory=dict)

    def findings(self) -> list[Finding]:
        """What the walk finds, in its order."""
        walk = Walk(_CAMERA, _STREAM, FIRST, marks=tuple(self.marks), loose=self.loose)
        walk = replace(walk, covered=max((each.seq for each in self.marks), default=0))
        found: list[Finding] = []
        for item in self.items:
            if isinstance(item, Recorded) and not self.read and item.seen is not None:
                item = replace(item, seen=Seen(item.seen.size_bytes))
            walk, some = step(walk, item, lambda gone, _: gone.seq in self.held)
            found += some
        found += finish(walk)
        return with_places((each, *self._digests(each)) for each in found)

    def _digests(self, finding: Finding) -> tuple[str, str]:
        item = next((each for each in self.items if isinstance(each, Recorded) and each.seq == finding.seq), None)
        return (item.digest, (item.seen.digest or "") if item.seen else "") if item else ("", "")

    def segment(self, seq: int) -> int:
        """The place of a segment among the items."""
        return next(at for at, each in enumerate(self.items) if isinstance(each, Recorded) and each.seq == seq)

    def change(self, seq: int, **values: object) -> None:
        at = self.segment(seq)
        item = self.items[at]
        assert isinstance(item, Recorded)
        self.items[at] = replace(item, **values)  # type: ignore[arg-type]

    def get(self, seq: int) -> Recorded:
        item = self.items[self.segment(seq)]
        assert isinstance(item, Recorded)
        return item


def _evidence(
    count: int,
    deleted: Stones = (),
    marks: tuple[int, ...] = (),
    skipped: frozenset[int] = frozenset(),
    algorithm: str = "sha256",
) -> Evidence:
    """Segments 1 to `count`; those in `deleted` (first, last) have a tombstone, those `skipped` never were."""
    head, previous = FIRST, ""
    heads: dict[int, str] = {}
    items: list[Recorded | Deleted] = []
    gone: list[Gone] = []
    before = FIRST
    for seq in range(1, count + 1):
        if seq in skipped:
            continue
        start_ns, size = _BEGIN_NS + seq * 60_000_000_000, 1000 + seq
        digest = hash_bytes(algorithm, b"film %d" % seq)
        chain = link(algorithm, head, _CAMERA, _STREAM, seq, start_ns, size, digest)
        stone = next((each for each in deleted if each[0] <= seq <= each[1]), None)
        if stone is not None:
            before = before if gone else head
            gone.append(Gone(seq, start_ns, start_ns + 60_000_000_000, size, digest))
            if seq == stone[1]:
                items.append(Deleted(seq, before, chain, "expired", _DELETED_NS, 30, tuple(gone)))
                gone = []
        else:
            said = Said(_CAMERA, _STREAM, seq, start_ns, head)
            seen = Seen(size, digest, said)
            row = (size, digest, previous, chain, f"p/{seq}.mp4", seq, seen)
            items.append(Recorded(seq, start_ns, start_ns, False, *row))
        head, previous, heads[seq] = chain, digest, chain
    return Evidence(items, [Mark(seq, heads[seq], 100 + seq) for seq in marks])


_counts = st.integers(6, 14)
_stones = st.sampled_from([(), ((1, 2),), ((1, 1),), ((3, 4),), ((1, 2), (4, 4))])
_marks = st.sampled_from([(), (2,), (2, 5), (1, 2, 3, 4, 5, 6), (6,)])
_skipped = st.sampled_from([frozenset[int](), frozenset({5}), frozenset({5, 6})])
_algorithms = st.sampled_from(["sha256", "sm3"])


def _first(evidence: Evidence) -> tuple[FindingKind, int]:
    found = evidence.findings()
    assert found, "it was not found"
    return found[0].kind, found[0].seq


@given(
    _counts,
    _stones,
    _marks,
    st.sampled_from([frozenset[int](), frozenset({5}), frozenset({5, 6})]),
    _algorithms,
    st.booleans(),
)
def test_what_nobody_touched_gives_no_finding(
    count: int, stones: Stones, marks: tuple[int, ...], skipped: frozenset[int], algorithm: str, read: bool
) -> None:
    evidence = _evidence(count, stones, tuple(each for each in marks if each not in skipped), skipped, algorithm)
    evidence.read = read
    assert evidence.findings() == []


_at = st.integers(5, 6)
"""Segments that every one of the samples has."""


@given(_counts, _stones, _marks, _at)
def test_a_flipped_byte(count: int, stones: Stones, marks: tuple[int, ...], at: int) -> None:
    evidence = _evidence(count, stones, marks)
    evidence.change(at, seen=replace(_seen(evidence, at), digest=hash_bytes("sha256", b"touched")))
    assert [(each.kind, each.seq) for each in evidence.findings()] == [(FindingKind.ALTERED, at)]
    evidence.read = False
    assert evidence.findings() == [], "without reading, the same size is the same file: that is what quick means"


@given(_counts, _stones, _marks, _at, st.booleans())
def test_another_size(count: int, stones: Stones, marks: tuple[int, ...], at: int, read: bool) -> None:
    evidence = _evidence(count, stones, marks)
    evidence.read = read
    evidence.change(at, seen=replace(_seen(evidence, at), size_bytes=17, digest=hash_bytes("sha256", b"short")))
    assert [(each.kind, each.seq) for each in evidence.findings()] == [(FindingKind.ALTERED, at)]


@given(_counts, _stones, _marks, _at, st.booleans())
def test_a_deleted_file(count: int, stones: Stones, marks: tuple[int, ...], at: int, read: bool) -> None:
    evidence = _evidence(count, stones, marks)
    evidence.read = read
    evidence.change(at, seen=None)
    assert [(each.kind, each.seq) for each in evidence.findings()] == [(FindingKind.MISSING, at)]


@given(_counts, _stones, _marks, _at, st.booleans())
def test_a_deleted_row(count: int, stones: Stones, marks: tuple[int, ...], at: int, read: bool) -> None:
    evidence = _evidence(count, stones, marks)
    evidence.read = read
    del evidence.items[evidence.segment(at)]
    if at == count and at not in marks:
        assert evidence.findings() == [], "an end that was never signed can be cut off: the file that is left tells"
        return
    assert _first(evidence) == (FindingKind.REMOVED, at)
    assert {each.kind for each in evidence.findings()} == {FindingKind.REMOVED}


@given(_counts, st.booleans())
def test_two_files_that_changed_places(count: int, size_too: bool) -> None:
    evidence = _evidence(count)
    one, other = _seen(evidence, 5), _seen(evidence, 6)
    for at, seen in ((5, other), (6, one)):
        size = seen.size_bytes if size_too else _seen(_evidence(count), at).size_bytes
        evidence.change(at, seen=replace(seen, size_bytes=size))
    assert _first(evidence) == (FindingKind.REORDERED, 5)


@given(_counts)
def test_two_files_that_say_nothing_of_themselves_changed_places(count: int) -> None:
    evidence = _evidence(count)
    one, other = _seen(evidence, 5), _seen(evidence, 6)
    evidence.change(5, seen=Seen(one.size_bytes, other.digest))
    evidence.change(6, seen=Seen(other.size_bytes, one.digest))
    assert [(each.kind, each.seq) for each in evidence.findings()] == [
        (FindingKind.REORDERED, 5), (FindingKind.REORDERED, 6),
    ]  # fmt: skip


@given(_counts, _stones, st.booleans())
def test_two_rows_that_changed_places(count: int, stones: Stones, read: bool) -> None:
    evidence = _evidence(count, stones)
    evidence.read = read
    one, other = evidence.get(5), evidence.get(6)
    at, then = evidence.segment(5), evidence.segment(6)
    evidence.items[at], evidence.items[then] = replace(other, seq=5), replace(one, seq=6)
    assert _first(evidence) == (FindingKind.REORDERED, 5)


@given(_counts, _stones, _marks, _at, st.booleans(), st.sampled_from(["start_ns", "digest", "chain", "size_bytes"]))
def test_a_row_that_was_edited(
    count: int, stones: Stones, marks: tuple[int, ...], at: int, read: bool, what: str
) -> None:
    evidence = _evidence(count, stones, marks)
    evidence.read = read
    row = evidence.get(at)
    values: dict[str, dict[str, object]] = {
        "start_ns": {"start_ns": row.start_ns + 1, "indexed_start_ns": row.start_ns + 1},
        "digest": {"digest": "0" * 64},
        "chain": {"chain": "0" * 64},
        "size_bytes": {"size_bytes": row.size_bytes + 1},
    }
    evidence.change(at, **values[what])
    kind, seq = _first(evidence)
    assert seq == at
    # Without reading the file nobody can know whether it or its row has the wrong size.
    assert kind is (FindingKind.ALTERED if what == "size_bytes" and not read else FindingKind.CHAIN_BROKEN)


@given(_counts, _at)
def test_an_indexed_start_that_is_not_the_file_s(count: int, at: int) -> None:
    evidence = _evidence(count)
    evidence.change(at, indexed_start_ns=_BEGIN_NS)
    assert _first(evidence) == (FindingKind.CHAIN_BROKEN, at)
    evidence.change(at, rectified=True)
    assert evidence.findings() == []


@given(_counts, _stones, _at, st.booleans())
def test_a_file_and_its_row_that_were_edited_together(count: int, stones: Stones, at: int, read: bool) -> None:
    """Bytes, digest and link are made to fit; the next segment goes on from what was there."""
    evidence = _evidence(max(count, at + 1), stones)
    evidence.read = read
    row = evidence.get(at)
    said = row.seen.said if row.seen else None
    assert said is not None
    digest = hash_bytes("sha256", b"forged")
    chain = link("sha256", said.before, _CAMERA, _STREAM, at, row.start_ns, row.size_bytes, digest)
    evidence.change(at, digest=digest, chain=chain, seen=replace(_seen(evidence, at), digest=digest))
    assert [(each.kind, each.seq) for each in evidence.findings()] == [(FindingKind.ALTERED, at)]


@given(st.integers(7, 14), _stones)
def test_a_chain_made_anew_contradicts_what_was_signed(count: int, stones: Stones) -> None:
    """Everything from number 5 on is forged without a flaw, but for the signature of a checkpoint."""
    honest = _evidence(count, stones, (6,))
    forged = _evidence(count, stones)
    head, previous = forged.get(5).seen.said.before, forged.get(5).previous  # type: ignore[union-attr]
    for seq in range(5, count + 1):
        row = forged.get(seq)
        digest = hash_bytes("sha256", b"forged %d" % seq)
        chain = link("sha256", head, _CAMERA, _STREAM, seq, row.start_ns, row.size_bytes, digest)
        said = Said(_CAMERA, _STREAM, seq, row.start_ns, head)
        forged.change(seq, digest=digest, previous=previous, chain=chain, seen=Seen(row.size_bytes, digest, said))
        head, previous = chain, digest
    assert forged.findings() == []
    forged.marks = honest.marks
    assert [(each.kind, each.seq, each.n) for each in forged.findings()] == [(FindingKind.CHECKPOINT_BROKEN, 6, 106)]


@given(_counts, st.integers(2, 5))
def test_an_end_that_was_cut_off_after_it_was_signed(count: int, keep: int) -> None:
    evidence = _evidence(count, marks=(6,))
    evidence.items = evidence.items[:keep]
    assert [(each.kind, each.seq) for each in evidence.findings()] == [(FindingKind.REMOVED, keep + 1)]


@given(_counts, _marks)
def test_a_tombstone_that_was_taken_away(count: int, marks: tuple[int, ...]) -> None:
    evidence = _evidence(count, ((3, 4),), marks)
    evidence.items = [each for each in evidence.items if isinstance(each, Recorded)]
    assert _first(evidence) == (FindingKind.REMOVED, 3)
    evidence = _evidence(count, ((1, 2),), marks)
    evidence.items = [each for each in evidence.items if isinstance(each, Recorded)]
    assert _first(evidence) == (FindingKind.REMOVED, 1)


@pytest.mark.parametrize("what", ["before", "after", "digest", "one less", "none"])
def test_a_tombstone_that_was_edited(what: str) -> None:
    evidence = _evidence(8, ((3, 4),))
    at, stone = next((at, each) for at, each in enumerate(evidence.items) if isinstance(each, Deleted))
    match what:
        case "before":
            stone = replace(stone, before="0" * 64)
        case "after":
            stone = replace(stone, after="0" * 64)
        case "digest":
            stone = replace(stone, segments=(replace(stone.segments[0], digest="0" * 64), *stone.segments[1:]))
        case "one less":
            stone = replace(stone, segments=stone.segments[:1])
        case "none":
            stone = replace(stone, segments=())
    evidence.items[at] = stone
    assert evidence.findings()


@pytest.mark.parametrize(
    ("reason", "days", "overwriting", "held", "wrong"),
    [
        ("expired", 31, False, False, False), ("expired", 29, False, False, True), ("quota", 29, True, False, True),
        ("overwritten", 1, True, False, False), ("overwritten", 1, False, False, True),
        ("overwritten", 31, False, False, False), ("expired", 31, False, True, True),
        ("overwritten", 1, True, True, True),
    ],
)  # fmt: skip
def test_what_had_to_be_kept(reason: str, days: int, overwriting: bool, held: bool, wrong: bool) -> None:
    evidence = _evidence(8, ((3, 4),), (5,))
    at, stone = next((at, each) for at, each in enumerate(evidence.items) if isinstance(each, Deleted))
    deleted_ns = stone.segments[-1].end_ns + days * DAY_NS
    evidence.items[at] = replace(stone, reason=reason, deleted_ns=deleted_ns, overwriting=overwriting)
    evidence.held = frozenset({3, 4}) if held else frozenset()
    found = [(each.kind, each.seq) for each in evidence.findings()]
    assert found == ([(FindingKind.REMOVED, 3), (FindingKind.REMOVED, 4)] if wrong else [])


def test_segments_of_the_first_version_have_no_link() -> None:
    evidence = _evidence(8)
    old = [replace(evidence.get(seq), seq=seq, chain="") for seq in (1, 2)]
    fresh = _evidence(8).items[2:]
    head = FIRST
    linked: list[Recorded | Deleted] = []
    for each in fresh:
        assert isinstance(each, Recorded)
        chain = link("sha256", head, _CAMERA, _STREAM, each.seq, each.start_ns, each.size_bytes, each.digest)
        said = Said(_CAMERA, _STREAM, each.seq, each.start_ns, head)
        linked.append(replace(each, chain=chain, seen=Seen(each.size_bytes, each.digest, said)))
        head = chain
    evidence.items = [*old, *linked]
    assert evidence.findings() == []
    evidence.change(2, seen=replace(_seen(evidence, 2), digest="0" * 64))
    assert _first(evidence) == (FindingKind.ALTERED, 2)


def test_a_walk_that_begins_in_the_middle() -> None:
    evidence = _evidence(8, marks=(2, 6))
    walk = Walk(_CAMERA, _STREAM, None, marks=tuple(evidence.marks[1:]))
    for seq in range(5, 9):
        walk, found = step(walk, evidence.get(seq), lambda gone, deleted: False)
        assert found == []
    assert finish(walk) == []


# What a power cut, or a disk, did to a file is none of what a person does.


def _reboots(evidence: Evidence, at: int) -> None:
    """Files say in which boot they were recorded: from `at` on in another one."""
    for item in list(evidence.items):
        if isinstance(item, Recorded) and item.seen is not None and item.seen.said is not None:
            said = replace(item.seen.said, boot="b2" if item.seq >= at else "b1")
            evidence.change(item.seq, seen=replace(item.seen, said=said))


def _cut(evidence: Evidence, at: int, state: str = "recovered") -> str:
    """Number `at` lost its end, and its row agrees with what is left; what follows names what it was. Its head."""
    row, seen = evidence.get(at), _seen(evidence, at)
    assert seen.said is not None
    digest, size = hash_bytes("sha256", b"what is left of %d" % at), row.size_bytes - 7
    head = link("sha256", seen.said.before, _CAMERA, _STREAM, at, row.start_ns, size, digest)
    cut = replace(seen, size_bytes=size, digest=digest)
    evidence.change(at, size_bytes=size, digest=digest, chain=head, seen=cut, state=state)
    return head


def _passed_over(at: int, marks: tuple[int, ...], count: int = 10) -> tuple[Evidence, str]:
    """Number `at` was let go with a disk that hung, and recovered later. Evidence, and its head."""
    evidence = _evidence(count, marks=marks, skipped=frozenset({at}))
    before = evidence.get(at - 1)
    start_ns, size, digest = _BEGIN_NS + at * 60_000_000_000, 700, hash_bytes("sha256", b"let go")
    head = link("sha256", before.chain, _CAMERA, _STREAM, at, start_ns, size, digest)
    seen = Seen(size, digest, Said(_CAMERA, _STREAM, at, start_ns, before.chain, "b1"))
    row = Recorded(
        at, start_ns, start_ns, False, size, digest, before.digest, head, f"p/{at}.mp4", at, seen, "recovered", "v1"
    )
    evidence.items.insert(evidence.segment(at - 1) + 1, row)
    return evidence, head


@given(st.integers(8, 14), st.sampled_from([5, 6]), st.integers(0, 3), st.booleans())
def test_a_power_cut_is_a_note_once_it_is_signed(count: int, at: int, later: int, read: bool) -> None:
    evidence = _evidence(count, marks=(count,))
    evidence.read = read
    _reboots(evidence, min(at + 2 + later, count))
    evidence.loose = {at: _cut(evidence, at)}
    assert [(each.kind, each.seq) for each in evidence.findings()] == [(FindingKind.DAMAGED, at)]


def test_a_power_cut_that_was_not_signed_yet_is_neither_fine_nor_altered() -> None:
    evidence = _evidence(10)
    _reboots(evidence, 7)
    _cut(evidence, 5)
    assert [(each.kind, each.seq) for each in evidence.findings()] == [(FindingKind.UNVOUCHED, 5)]
    evidence.marks = _evidence(10, marks=(8,)).marks
    evidence.loose = {5: ""}
    assert [(each.kind, each.seq) for each in evidence.findings()] == [(FindingKind.UNVOUCHED, 5)]


@pytest.mark.parametrize("marks", [(), (8,), (2, 8)])
@pytest.mark.parametrize("state", ["recovered", "suspect"])
def test_a_closed_file_truncated_by_hand_is_altered_whatever_its_row_says(marks: tuple[int, ...], state: str) -> None:
    evidence = _evidence(12, marks=marks)
    _reboots(evidence, 20)
    _cut(evidence, 5, state)
    assert [(each.kind, each.seq) for each in evidence.findings()] == [(FindingKind.ALTERED, 5)]


def test_one_truncated_before_a_real_reboot_is_altered_once_it_was_signed_beyond() -> None:
    evidence = _evidence(12, marks=(6, 10))
    _reboots(evidence, 7)
    _cut(evidence, 5)
    assert [(each.kind, each.seq) for each in evidence.findings()] == [(FindingKind.ALTERED, 5)]


@pytest.mark.parametrize("read", [True, False])
def test_what_is_taken_away_after_a_real_cut_is_missed(read: bool) -> None:
    """Number 5 was cut, recovered and signed; what follows it, on another disk, is bound to what was recovered."""
    evidence = _evidence(12, marks=(2, 12))
    evidence.read = read
    _reboots(evidence, 6)
    evidence.change(5, state="recovered", volume="v1")
    evidence.loose = {5: evidence.get(5).chain}
    for seq in range(6, 13):
        evidence.change(seq, volume="v2")
    assert evidence.findings() == []
    evidence.items = [each for each in evidence.items if not isinstance(each, Recorded) or each.seq not in (6, 7, 8)]
    found = [(each.kind, each.seq) for each in evidence.findings()]
    assert found == [(FindingKind.REMOVED, 6) if read else (FindingKind.UNVOUCHED, 5)]


def test_what_a_cut_left_may_not_change_any_more() -> None:
    evidence = _evidence(12, marks=(10,))
    _reboots(evidence, 7)
    evidence.loose = {5: _cut(evidence, 5)}
    as_left = evidence.get(5)
    _cut(evidence, 5)
    assert FindingKind.ALTERED in {each.kind for each in evidence.findings()}
    evidence.change(5, size_bytes=as_left.size_bytes, digest=as_left.digest, chain=as_left.chain)
    assert (FindingKind.ALTERED, 5) in {(each.kind, each.seq) for each in evidence.findings()}


def test_an_index_built_again_takes_what_a_cut_left_for_another_file() -> None:
    """Its row has the digest that the next file names, which the file does not have."""
    evidence = _evidence(12, marks=(10,))
    _reboots(evidence, 7)
    digest = evidence.get(5).digest
    evidence.loose = {5: _cut(evidence, 5)}
    evidence.change(5, digest=digest, chain="ab" * 32, state="suspect")
    assert [(each.kind, each.seq) for each in evidence.findings()] == [(FindingKind.DAMAGED, 5)]
    evidence.loose = {5: ""}
    assert [(each.kind, each.seq) for each in evidence.findings()] == [(FindingKind.UNVOUCHED, 5)]


def test_a_file_let_go_with_a_disk_that_hung_is_passed_over() -> None:
    evidence, head = _passed_over(5, (8,))
    evidence.loose = {5: head}
    assert [(each.kind, each.seq) for each in evidence.findings()] == [(FindingKind.DAMAGED, 5)]
    evidence.loose = {5: ""}
    assert [(each.kind, each.seq) for each in evidence.findings()] == [(FindingKind.UNVOUCHED, 5)]
    evidence.loose = {}
    assert [(each.kind, each.seq) for each in evidence.findings()] == [(FindingKind.ALTERED, 5)], "put in afterwards"
    evidence.marks = []
    assert [(each.kind, each.seq) for each in evidence.findings()] == [(FindingKind.UNVOUCHED, 5)]


@pytest.mark.parametrize("stone", [(4, 7), (5, 5), (6, 7), (2, 5), (1, 5), (5, 8)])
def test_what_was_damaged_may_be_deleted(stone: tuple[int, int]) -> None:
    for passed in (True, False):
        if passed:
            evidence, head = _passed_over(5, (9,))
        else:
            evidence = _evidence(10, marks=(9,))
            _reboots(evidence, 7)
            head = _cut(evidence, 5)
        evidence.loose = {5: head}
        first, last = stone
        living = {each.seq: each for each in evidence.items if isinstance(each, Recorded)}
        gone = tuple(
            Gone(seq, each.start_ns, each.start_ns + 60_000_000_000, each.size_bytes, each.digest)
            for seq, each in living.items()
            if first <= seq <= last
        )
        before = living[first - 1].chain if first > 1 else FIRST
        tomb = Deleted(90, before, living[last].chain, "expired", _DELETED_NS, 30, gone)
        evidence.items = [each for seq, each in living.items() if seq < first]
        evidence.items += [tomb, *(each for seq, each in living.items() if seq > last)]
        assert {each.kind for each in evidence.findings()} == {FindingKind.DAMAGED}, (stone, passed)


@pytest.mark.parametrize(("next_days", "wrong"), [(-40, False), (-10, True), (500, True), (-30000, True)])
def test_a_label_from_the_future_is_as_old_as_what_follows(next_days: int, wrong: bool) -> None:
    """A clock was wrong and never put right: retention took such footage for as old as what was recorded next."""
    evidence = _evidence(6, ((3, 3),), (6,))
    at, stone = next((at, each) for at, each in enumerate(evidence.items) if isinstance(each, Deleted))
    label_ns = _DELETED_NS + 1000 * DAY_NS
    gone = Gone(3, label_ns, label_ns + 60_000_000_000, 1, hash_bytes("sha256", b"x"))
    after = link("sha256", stone.before, _CAMERA, _STREAM, 3, label_ns, 1, gone.digest)
    stone = replace(stone, segments=(gone,), after=after)
    head = after
    items: list[Recorded | Deleted] = [*evidence.items[:at], stone]
    for seq in (4, 5):
        start_ns = _DELETED_NS + next_days * DAY_NS + seq
        chain = link("sha256", head, _CAMERA, _STREAM, seq, start_ns, 9, "ab" * 32)
        seen = Seen(9, "ab" * 32, Said(_CAMERA, _STREAM, seq, start_ns, head))
        items.append(Recorded(seq, start_ns, start_ns, False, 9, "ab" * 32, "", chain, "p", seq, seen))
        head = chain
    evidence.items, evidence.marks = items, []
    found = [(each.kind, each.seq) for each in evidence.findings()]
    assert found == ([(FindingKind.REMOVED, 3)] if wrong else [])


def _seen(evidence: Evidence, seq: int) -> Seen:
    seen = evidence.get(seq).seen
    assert seen is not None
    return seen
