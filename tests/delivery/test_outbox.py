"""The outbox of one platform: the ladder step by step, and against a small model under random happenings."""

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from agent.delivery.outbox import (
    NO_SUBSCRIBER,
    RECEIPT_MISSING_AFTER_S,
    WINDOW,
    Acked,
    Add,
    Connected,
    Fact,
    Lost,
    Moved,
    Outbox,
    Receipted,
    Redial,
    Result,
    Send,
    State,
    Tick,
)

_S = 1_000_000_000


class _Box:
    """An outbox with a clock of its own."""

    def __init__(self, receipts: bool = True, window: int = WINDOW) -> None:
        self.box = Outbox(receipts, window)
        self.now_s = 100.0

    def take(self, fact: Fact) -> list[Result]:
        return self.box.step(fact, round(self.now_s * _S))

    def after(self, seconds: float) -> list[Result]:
        self.now_s += seconds
        return self.take(Tick())


def test_at_once_while_connected_and_never_before() -> None:
    box = _Box()
    assert box.take(Add("a", 1, 1)) == []
    assert box.take(Connected()) == [Send("a", 1)]
    assert box.take(Add("b", 3, 2)) == [Send("b", 1)]


def test_the_most_urgent_first_then_the_oldest() -> None:
    box = _Box()
    for name, priority, order in (("late", 3, 1), ("door", 2, 9), ("fault", 2, 4), ("panic", 1, 20)):
        box.take(Add(name, priority, order))
    assert box.take(Connected()) == [Send("panic", 1), Send("fault", 1), Send("door", 1), Send("late", 1)]


def test_a_receipt_ends_it_and_an_acknowledgement_does_not() -> None:
    box = _Box()
    box.take(Connected())
    box.take(Add("a", 1, 1))
    assert box.take(Acked("a", 0)) == [Moved("a", State.PUBLISHED, last=False)]
    assert "a" in box.box
    assert box.take(Receipted("a", "accepted", "110-7")) == [Moved("a", State.RECEIPTED, last=True, case_no="110-7")]
    assert len(box.box) == 0
    assert box.take(Receipted("a", "accepted")) == [], "a second receipt says nothing new"


def test_without_receipts_an_acknowledgement_that_is_a_success_ends_it() -> None:
    box = _Box(receipts=False)
    box.take(Connected())
    box.take(Add("a", 1, 1))
    assert box.take(Acked("a", NO_SUBSCRIBER)) == [], "nobody was there"
    assert box.after(10) == [Send("a", 2)]
    assert box.take(Acked("a", 0x87)) == [], "forbidden"
    assert box.after(4) == [Send("a", 3)]
    assert box.take(Acked("a", 0)) == [Moved("a", State.PUBLISHED, last=True)]


def test_no_acknowledgement_sends_again_and_then_dials_anew() -> None:
    box = _Box()
    box.take(Connected())
    box.take(Add("a", 1, 1))
    assert box.after(1.9) == []
    assert box.after(0.2) == [Send("a", 2)]
    assert box.after(4.5) == [Redial()]
    assert not box.box.connected
    assert box.take(Connected()) == [Send("a", 3)]


def test_no_receipt_sends_the_same_id_again_more_and_more_rarely() -> None:
    box = _Box()
    box.take(Connected())
    box.take(Add("a", 1, 1))
    waits = []
    for attempt in (2, 3, 4, 5, 6):
        box.take(Acked("a", 0))
        waited_s = 0
        results: list[Result] = []
        while not results:
            waited_s, results = waited_s + 1, box.after(1)
        assert results == [Send("a", attempt)]
        waits.append(waited_s)
    assert waits == [10, 20, 40, 60, 60]
    assert box.box.receipt_missing_s(round(box.now_s * _S)) > RECEIPT_MISSING_AFTER_S


def test_busy_and_rejected() -> None:
    box = _Box()
    box.take(Connected())
    box.take(Add("a", 1, 1))
    assert box.take(Receipted("a", "busy")) == []
    assert box.after(10) == [Send("a", 2)]
    assert box.take(Receipted("a", "rejected")) == [Moved("a", State.FAILED, last=True)]


def test_refused_by_the_broker_is_no_delivery_and_is_told() -> None:
    box = _Box()
    box.take(Connected())
    box.take(Add("a", 1, 1))
    box.take(Acked("a", 0x87))
    assert box.box.refusals() == {0x87: 1}
    assert box.after(2) == [Send("a", 2)]


def test_a_broker_that_hangs_up_over_a_refused_alert_does_not_get_it_at_once_again() -> None:
    box = _Box()
    box.take(Connected())
    box.take(Add("forbidden", 1, 1))
    box.take(Acked("forbidden", 0x87))
    box.take(Lost())
    box.take(Add("panic", 1, 2))
    assert box.take(Connected()) == [Send("panic", 1)]
    assert box.after(2) == [Send("forbidden", 2), Send("panic", 2)]


def test_what_was_on_its_way_is_sent_again_after_a_loss() -> None:
    box = _Box()
    box.take(Connected())
    box.take(Add("a", 1, 1))
    box.take(Add("b", 1, 2))
    box.take(Acked("a", 0))
    box.take(Lost())
    assert box.after(100) == []
    assert box.take(Connected()) == [Send("a", 2), Send("b", 2)]


def test_a_panic_does_not_wait_for_the_window() -> None:
    box = _Box(window=2)
    box.take(Connected())
    sent = [result for order in range(5) for result in box.take(Add(f"door-{order}", 3, order))]
    assert len(sent) == 2
    assert box.take(Add("panic", 1, 99)) == [Send("panic", 1)]
    assert box.take(Acked("door-0", 0))[1:] == [], "the panic holds the place"
    assert Send("door-2", 1) in box.take(Acked("panic", 0))


class _Model(RuleBasedStateMachine):
    """Ten lines of truth: what is open, what was sent over this connection and not answered, whether connected."""

    @initialize(receipts=st.booleans())
    def begin(self, receipts: bool) -> None:
        self.receipts = receipts
        self.box = Outbox(receipts, window=3)
        self.now_ns, self.order = 10 * _S, 0
        self.connected = False
        self.open: dict[str, int] = {}
        self.on_the_way: set[str] = set()

    def take(self, fact: Fact) -> None:
        urgent: list[int] = []
        for result in self.box.step(fact, self.now_ns):
            match result:
                case Send():
                    assert self.connected, "sent while not connected"
                    assert result.id in self.open, "sent what is done"
                    urgent.append(self.open[result.id])
                    others = sum(1 for each in self.on_the_way if self.open.get(each, 1) > 1)
                    assert self.open[result.id] == 1 or result.id in self.on_the_way or others < 3, "window"
                    self.on_the_way.add(result.id)
                case Moved():
                    if result.last:
                        del self.open[result.id]
                        self.on_the_way.discard(result.id)
                case Redial():
                    self.connected = False
                    self.on_the_way.clear()
        assert urgent == sorted(urgent), "less urgent before more urgent"

    @rule(priority=st.integers(1, 3))
    def add(self, priority: int) -> None:
        self.order += 1
        self.open[f"e{self.order}"] = priority
        self.take(Add(f"e{self.order}", priority, self.order))

    @rule()
    def connect(self) -> None:
        if not self.connected:
            self.connected = True
            self.take(Connected())

    @rule()
    def lose(self) -> None:
        self.connected = False
        self.on_the_way.clear()
        self.take(Lost())

    @rule(seconds=st.sampled_from([0.1, 1.0, 2.5, 11.0, 61.0]))
    def wait(self, seconds: float) -> None:
        self.now_ns += round(seconds * _S)
        self.take(Tick())

    @precondition(lambda self: self.on_the_way)
    @rule(data=st.data(), code=st.sampled_from([0, 0, 0, NO_SUBSCRIBER, 0x87, 0x97]))
    def answer(self, data: st.DataObject, code: int) -> None:
        name = data.draw(st.sampled_from(sorted(self.on_the_way)))
        self.on_the_way.discard(name)
        self.take(Acked(name, code))

    @precondition(lambda self: self.open)
    @rule(data=st.data(), status=st.sampled_from(["accepted", "duplicate", "rejected", "busy"]))
    def receipt(self, data: st.DataObject, status: str) -> None:
        name = data.draw(st.sampled_from([*sorted(self.open), "never heard of"]))
        if status == "busy":
            self.on_the_way.discard(name)
        self.take(Receipted(name, status))

    @invariant()
    def nothing_is_lost(self) -> None:
        assert all(name in self.box for name in self.open)
        assert len(self.box) == len(self.open)

    def teardown(self) -> None:
        """A platform that works again gets everything."""
        self.connect()
        for _ in range(400):
            if not self.open:
                return
            for name in sorted(self.on_the_way):
                self.on_the_way.discard(name)
                self.take(Acked(name, 0))
                if name in self.open:
                    self.take(Receipted(name, "accepted"))
            self.wait(2.5)
            self.connect()
        raise AssertionError(f"never delivered: {self.open}")


TestOutboxAgainstModel = _Model.TestCase
TestOutboxAgainstModel.settings = settings(max_examples=150, stateful_step_count=40, deadline=None)
