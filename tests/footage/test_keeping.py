"""The chore of retention over many short days: what goes, what stays, what is told, and what is recorded less."""

from collections.abc import Iterator

import pytest

from agent.facts import ConditionKind
from agent.footage.custody.verify import Wanted, verify
from agent.footage.fault import Fault
from agent.footage.rows import put_rebuilt
from agent.footage.upkeep import stock
from agent.footage.upkeep.degradation import Recorded
from agent.footage.upkeep.deletion import Deletion
from agent.footage.upkeep.due import WAIT_NS
from agent.footage.upkeep.hold import Hold, Protection
from agent.footage.upkeep.keeping import Retention
from agent.footage.upkeep.retention import Policy, Reason
from tests.fakes.kept import DAY_S, UNKNOWN, Kept, S, in_memory, policy, seqs

HOUR_S = DAY_S / 24


@pytest.fixture
def kept() -> Iterator[Kept]:
    with in_memory() as folder:
        found = Kept(folder)
        yield found
        found.close()


def told(chore: Retention, kind: ConditionKind) -> Fault | None:
    return next((each for each in chore.faults() if each.kind is kind), None)


def ages(kept: Kept, camera: str) -> list[float]:
    """Days since each segment of a camera ended, oldest first."""
    with kept.index.reading() as connection:
        rows = connection.execute("SELECT end_ns FROM segment WHERE camera = ? ORDER BY seq", (camera,))
        return [(kept.clock.wall_ns() - row[0]) / S / DAY_S for row in rows]


def test_footage_goes_when_it_is_past_its_target_and_not_before(kept: Kept) -> None:
    chore = kept.retention(policy(3, 4))
    kept.live(chore, 6 * DAY_S, kept.add)
    oldest = ages(kept, kept.a)[0]
    assert oldest + 1 / 24 >= 4
    assert oldest < 4 + 1 / 24
    assert len(kept.files(kept.a)) == len(kept.rows())
    assert {each["reason"] for each in kept.tombstones()} == {"expired"}
    assert len(kept.tombstones()) == 1
    assert chore.faults() == []
    status = chore.status()["retention"]
    assert (status["minimum_days"], status["target_days"]) == (3, {"main": 4, "sub": 4})
    assert 3.9 <= status["kept_days"] <= 4.2


def test_sub_streams_have_a_term_of_their_own(kept: Kept) -> None:
    chore = kept.retention(policy(2, 2, sub=4))

    def both() -> None:
        kept.add()
        kept.add(stream="sub")

    kept.live(chore, 5 * DAY_S, both)
    rows = kept.rows()
    assert 47 <= sum(stream == "main" for _, stream, _, _ in rows) <= 50
    assert 95 <= sum(stream == "sub" for _, stream, _, _ in rows) <= 98


def test_fewer_days_are_told_for_a_day_before_anything_goes(kept: Kept) -> None:
    kept.live(kept.retention(policy(2, 5)), 5 * DAY_S, kept.add)
    chore = kept.retention(policy(2, 3))
    before = len(kept.rows())
    kept.live(chore, 0.9 * DAY_S)
    change = told(chore, ConditionKind.RETENTION_CHANGE)
    assert change is not None
    assert set(dict(change.detail)) == {"hours", "deletes_from", "deletes_to"}
    assert len(kept.rows()) >= before - 24
    kept.live(chore, 0.2 * DAY_S)
    assert told(chore, ConditionKind.RETENTION_CHANGE) is None
    assert ages(kept, kept.a)[0] < 3.1


def test_a_clock_that_is_years_ahead_for_an_hour_deletes_nothing(kept: Kept) -> None:
    chore = kept.retention(policy(2, 5))
    kept.live(chore, 3 * DAY_S, kept.add)
    kept.clock.step_wall(73 * 365 * 86_400)
    kept.live(chore, HOUR_S, kept.add)
    assert told(chore, ConditionKind.RETENTION_CHANGE) is not None
    assert len(kept.rows()) == 73
    kept.clock.step_wall(-73 * 365 * 86_400)
    kept.live(chore, HOUR_S, kept.add)
    assert chore.faults() == []
    kept.live(chore, 3 * DAY_S, kept.add)
    assert ages(kept, kept.a)[0] < 5.1, "what was labelled 2099 went with its neighbours"


def test_a_clock_of_1970_deletes_nothing_by_age(kept: Kept) -> None:
    kept.live(kept.retention(policy(2, 3)), 2.9 * DAY_S, kept.add)
    kept.clock.step_wall(-kept.clock.wall_ns() / S)
    kept.clock.now_quality = UNKNOWN
    chore = kept.retention(policy(2, 3))
    before = kept.rows()
    kept.live(chore, 2 * DAY_S)
    assert kept.rows() == before
    assert chore.status()["retention"]["clock_believed"] is False


def test_held_footage_stays_and_the_rest_around_it_goes(kept: Kept) -> None:
    chore = kept.retention(policy(2, 2))
    from_ns = kept.clock.wall_ns() + 600 * S
    kept.hold(Hold("h", kept.a, from_ns, from_ns + 300 * S, "ann", "complaint", None, 0, None))
    kept.hold(Hold("i", None, from_ns + 900 * S, from_ns + 960 * S, "ann", "all", None, 0, None))

    def both() -> None:
        kept.add(kept.a)
        kept.add(kept.b)

    kept.live(chore, 4 * DAY_S, both)
    assert [seq for seq in seqs(kept.rows(), kept.a) if seq < 40] == [11, 12, 13, 14, 15, 26]
    assert [seq for seq in seqs(kept.rows(), kept.b) if seq < 40] == [26]
    assert chore.status()["retention"]["held_bytes"] > 0
    assert [(each["first_seq"], each["last_seq"]) for each in kept.tombstones() if each["camera"] == kept.a][:2] == [
        (1, 10), (16, 25),
    ]  # fmt: skip


def test_a_hold_ends_with_its_term_and_then_its_footage_goes(kept: Kept) -> None:
    chore = kept.retention(policy(2, 2))
    now_ns = kept.clock.wall_ns()
    kept.hold(Hold("h", kept.a, now_ns, now_ns + 600 * S, "ann", "x", None, 0, now_ns + 3 * DAY_S * S))
    kept.live(chore, 2.9 * DAY_S, kept.add)
    assert seqs(kept.rows(), kept.a)[0] == 1
    kept.live(chore, 0.3 * DAY_S, kept.add)
    assert seqs(kept.rows(), kept.a)[0] > 10


class Late(Kept):
    """A volume that comes while footage is being deleted knows of a hold."""

    def known_holds(self) -> list[Hold] | None:
        all_of_it = Hold("h", None, 0, None, "ann", "x", None, 0, None)
        return [all_of_it] if self.tombstones() else []


def test_a_hold_that_comes_between_two_batches_of_a_step_is_heeded() -> None:
    with in_memory() as folder:
        kept = Late(folder)
        chore = kept.retention(policy(2, 2))
        kept.live(chore, 1.5 * DAY_S)
        for _ in range(200):
            kept.clock.move(1)
            kept.add(length_s=1)
        for _ in range(8):
            kept.clock.move(500)
            chore.step(kept.now)
        left = len(kept.rows())
        kept.close()
    assert 200 - 64 <= left < 200


def test_nothing_goes_while_the_holds_are_not_known(kept: Kept) -> None:
    chore = kept.retention(policy(2, 2))
    kept.holds = None
    kept.live(chore, 3 * DAY_S, kept.add)
    assert len(kept.rows()) == 72


def test_over_its_quota_each_camera_gives_the_same_share_of_its_target(kept: Kept) -> None:
    chore = kept.retention(policy(2, 9, quota_bytes=150_000))

    def both() -> None:
        kept.add(kept.a, size_bytes=1000)
        kept.add(kept.b, size_bytes=1500)

    kept.live(chore, 5 * DAY_S, both)
    one, other = ages(kept, kept.a)[0], ages(kept, kept.b)[0]
    assert 2.3 < one < 2.7, "150 kB at 2.5 kB an hour are 60 hours"
    assert abs(one - other) < 0.1
    assert {each["reason"] for each in kept.tombstones()} == {"quota"}
    assert told(chore, ConditionKind.RETENTION_BREACH) is None


def test_the_footage_of_a_volume_that_is_gone_for_good_does_not_count_against_the_quota(kept: Kept) -> None:
    chore = kept.retention(policy(2, 9, quota_bytes=150_000))
    kept.live(chore, 1 * DAY_S, kept.add)
    for _ in range(200):
        path = kept.volume / kept.add(kept.b).path
        path.unlink()
    kept.index.submit(("UPDATE segment SET volume = 'gone' WHERE camera = ?", (kept.b,))).done.wait(5)
    kept.live(chore, 2 * DAY_S, kept.add)
    assert len(seqs(kept.rows(), kept.a)) == 72
    assert told(chore, ConditionKind.RETENTION_BREACH) is None
    assert len(seqs(kept.rows(), kept.b)) == 200, "what it had is known still"


def test_a_camera_that_is_not_configured_any_more_expires_like_the_others(kept: Kept) -> None:
    chore = kept.retention(policy(2, 3))
    kept.live(chore, 1 * DAY_S, lambda: (kept.add(kept.a), kept.add(kept.b)))
    kept.live(chore, 4 * DAY_S, lambda: kept.add(kept.a))
    assert seqs(kept.rows(), kept.b) == []
    assert kept.files(kept.b) == []
    assert len(seqs(kept.rows(), kept.a)) >= 72


def test_when_nothing_may_go_that_is_told_and_less_is_recorded(kept: Kept) -> None:
    chore = kept.retention(policy(4, 6, quota_bytes=50_000))
    kept.recorded = [Recorded(kept.a, "main", 16.0), Recorded(kept.a, "sub", 1.0), Recorded(kept.b, "main", 16.0, 1)]
    kept.live(chore, 3 * DAY_S, kept.add)
    breach = told(chore, ConditionKind.RETENTION_BREACH)
    assert breach is not None
    assert dict(breach.detail)["rule"] == "quota"
    assert len(kept.rows()) == 72, "nothing was deleted"
    assert kept.spared == {(kept.a, "main")}
    assert chore.status()["retention"]["breach"] == "quota"
    kept.live(chore, 4 * DAY_S)
    assert told(chore, ConditionKind.RETENTION_BREACH) is None
    assert kept.spared == frozenset()


def test_after_a_short_want_of_room_all_is_recorded_again_at_once(kept: Kept) -> None:
    """The disk is full for seconds: another hour without pictures of a room would be a worse loss than the want."""
    plenty, short = (policy(4, 6, reserve_bytes=reserve) for reserve in (1 << 20, 1 << 50))
    chore = kept.retention(plenty)
    kept.recorded = [Recorded(kept.a, "main", 16.0), Recorded(kept.b, "main", 16.0, 1)]
    kept.live(chore, 1.1 * DAY_S)
    chore._policy = short
    kept.live(chore, 10, step_s=5)
    assert kept.spared == {(kept.b, "main")}
    chore._policy = plenty
    kept.live(chore, 10, step_s=5)
    assert kept.spared == frozenset()
    assert told(chore, ConditionKind.RETENTION_BREACH) is not None, "it is told for an hour"


def test_the_ring_does_not_overwrite_while_the_index_is_built_again(kept: Kept) -> None:
    """A new index knows the newest files first: the oldest that it knows is not the oldest there is."""
    chore = kept.retention(policy(4, 6, quota_bytes=50_000, overwrite=True))
    kept.index.submit(("DELETE FROM note WHERE name LIKE 'rebuilt/%'", ())).done.wait(5)
    kept.live(chore, 3 * DAY_S, kept.add)
    assert kept.tombstones() == []
    assert told(chore, ConditionKind.RETENTION_BREACH) is not None
    kept.index.submit(put_rebuilt(kept.uuid)).done.wait(5)
    kept.live(chore, DAY_S, kept.add)
    assert {each["reason"] for each in kept.tombstones()} == {"overwritten"}


def test_the_ring_overwrites_the_oldest_that_is_not_held_only_when_the_policy_says_so(kept: Kept) -> None:
    chore = kept.retention(policy(4, 6, quota_bytes=50_000, overwrite=True))
    now_ns = kept.clock.wall_ns()
    kept.hold(Hold("h", kept.a, now_ns, now_ns + 120 * S, "ann", "x", None, 0, None))
    kept.live(chore, 4 * DAY_S, kept.add)
    assert seqs(kept.rows(), kept.a)[:2] == [1, 2]
    assert len(kept.rows()) <= 52
    assert {each["reason"] for each in kept.tombstones()} == {"overwritten"}
    assert told(chore, ConditionKind.RETENTION_BREACH) is not None


def test_what_retention_knows_of_time_survives_the_loss_of_the_index(kept: Kept) -> None:
    chore = kept.retention(policy(2, 3))
    kept.live(chore, 2 * DAY_S, kept.add)
    kept.close()
    for path in kept.folder.glob("footage.db*"):
        path.unlink()
    kept.begin()
    chore = kept.retention(policy(2, 3))
    kept.live(chore, 60)
    with kept.index.reading() as connection:
        assert connection.execute("SELECT COUNT(*) FROM journal WHERE kind = 'policy'").fetchone()[0] > 0
    assert told(chore, ConditionKind.RETENTION_CHANGE) is None
    assert chore.status()["retention"]["change_in_s"] is None


def test_weeks_of_real_days_are_judged_clean_by_verification(kept: Kept) -> None:
    """By age, by quota, around holds, and finished after a crash while the required days were made more."""
    real, hour = 86_400, 3600

    def days(minimum: int, quota_bytes: int | None = None) -> Policy:
        return Policy(minimum * real * S, {"main": 5 * real * S, "sub": 7 * real * S}, quota_bytes, reserve_bytes=0)

    def live(chore: Retention, seconds: float, step_s: float) -> None:
        for _ in range(round(seconds / step_s)):
            kept.clock.move(step_s)
            if step_s == hour:
                for stream in ("main", "sub"):
                    kept.add(stream=stream, length_s=hour)
            chore.step(kept.now)

    def verified() -> list[str]:
        wanted = Wanted(kept.index.path, kept.volumes())
        return [f"{each.kind} {each.seq} {each.detail.en}" for each in verify(wanted, lambda *_: None).findings]

    chore = kept.retention(days(3), wait_ns=WAIT_NS)
    live(chore, real + 120, 60)
    first_ns = kept.clock.wall_ns()
    kept.hold(Hold("h", kept.a, first_ns + 5 * hour * S, first_ns + 7 * hour * S, "ann", "x", None, 0, None))
    live(chore, 6 * real, hour)
    assert {each["reason"] for each in kept.tombstones()} == {"expired"}
    chore = kept.retention(days(3, quota_bytes=200_000), wait_ns=WAIT_NS)
    live(chore, 2 * real, hour)
    assert {each["reason"] for each in kept.tombstones()} == {"expired", "quota"}
    assert verified() == []
    with kept.index.reading() as connection:
        protection = Protection(kept.known_holds() or [], kept.clock.wall_ns())
        some = stock.oldest(connection, (kept.a, "main"), kept.volumes(), protection, kept.clock.wall_ns(), 6)
    now_ns = kept.clock.wall_ns()
    young = [each for each in some if each.end_ns <= now_ns - 3 * real * S]
    dying = Deletion(kept.index, kept.journal, 3)
    dying._mark([(each, Reason.QUOTA) for each in young], now_ns)
    (kept.volume / young[0].path).unlink()
    kept.restart()
    assert len(young) == 6
    assert all(each.end_ns > now_ns - 5 * real * S for each in young)
    chore = kept.retention(days(5), wait_ns=WAIT_NS)
    live(chore, 60, 60)
    left = {seq for _, stream, seq, _ in kept.rows() if stream == "main"}
    assert {each.seq for each in young} - left == {young[0].seq}, "what was not unlinked yet stays"
    assert verified() == []


def test_a_file_that_cannot_be_deleted_is_told(kept: Kept) -> None:
    chore = kept.retention(policy(2, 2))
    first = kept.add()
    stubborn = kept.volume / first.path
    stubborn.unlink()
    stubborn.mkdir()
    (stubborn / "x").touch()
    kept.live(chore, 3 * DAY_S, kept.add)
    failing = told(chore, ConditionKind.DELETION_FAILING)
    assert failing is not None
    assert dict(failing.detail)["path"] == str(stubborn)
    assert len(kept.rows()) < 55
    (stubborn / "x").unlink()
    stubborn.rmdir()
    kept.live(chore, 120)
    assert told(chore, ConditionKind.DELETION_FAILING) is None
    assert seqs(kept.rows(), kept.a)[0] > 1
