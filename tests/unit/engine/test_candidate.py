"""One candidate over a fake lease, turn by turn."""

from datetime import timedelta
from itertools import pairwise

import pytest

from provisioner.domain import events
from provisioner.domain.election import NOBODY, Claim, Elector, LeaseRecord
from provisioner.engine.candidate import Candidate
from tests.fakes.clock import FakeClock
from tests.fakes.faults import Fault
from tests.fakes.lease import FakeLease

ME, OTHER = "pod-a_1", "pod-b_2"
FIFTEEN = timedelta(seconds=15)


class Bench:
    """A candidate, and everything it was heard to say."""

    def __init__(self, lease: FakeLease | None = None) -> None:
        self.clock = FakeClock()
        self.clock.advance(timedelta(seconds=1000))
        self.lease = lease or FakeLease()
        self.told: list[events.Event] = []
        self.changes: list[bool] = []
        self.candidate = Candidate(
            self.lease,
            Elector(identity=ME),
            clock=self.clock,
            observe=self.told.append,
            changed=self.changes.append,
        )

    def turns(self, seconds: float) -> None:
        """Take turns as the thread would for that long; at least one."""
        until = self.clock.monotonic() + seconds
        while True:
            pause = self.candidate.turn().total_seconds()
            if self.clock.monotonic() + pause > until:
                break
            self.clock.advance(timedelta(seconds=pause))
        self.clock.advance(timedelta(seconds=until - self.clock.monotonic()))

    def other_holds(self) -> LeaseRecord:
        """Let another process write itself down."""
        return self.lease.book.put(Claim(holder=OTHER, duration=FIFTEEN, transitions=1))

    def said(self, kind: type[events.Event]) -> list[events.Event]:
        """Give the events of a kind."""
        return [event for event in self.told if isinstance(event, kind)]

    def holder(self) -> str | None:
        """Give who the lease says leads."""
        return self.lease.book.record.holder if self.lease.book.record else None


def test_leads_when_there_is_no_lease_and_goes_on() -> None:
    """It is created once, renewed every two seconds, and told once."""
    bench = Bench()
    bench.turns(61)
    assert bench.candidate.is_leading()
    assert bench.lease.faults.calls == {"read": 1, "create": 1, "update": 30}
    assert [type(event) for event in bench.told] == [events.LeadershipGained]
    assert bench.changes == [True]
    assert bench.candidate.finish_by() is None


def test_follows_while_another_one_renews_and_leads_fifteen_seconds_after_it_stopped() -> None:
    """The other one is told once; no write is tried meanwhile."""
    bench = Bench()
    for _ in range(20):
        bench.other_holds()
        bench.turns(2)
    finish_by = bench.candidate.finish_by()
    assert finish_by is not None
    assert finish_by <= bench.clock.monotonic()
    assert set(bench.lease.faults.calls) == {"read"}
    bench.turns(12.9)
    assert not bench.candidate.is_leading()
    bench.turns(0.2)
    assert bench.candidate.is_leading()
    assert [type(event) for event in bench.told] == [events.LeaderSeen, events.LeadershipGained]
    assert bench.lease.book.record is not None
    assert bench.lease.book.record.transitions == 2


@pytest.mark.parametrize("fault", [Fault.BEFORE, Fault.REFUSED, Fault.AFTER, Fault.LATE])
def test_stops_ten_seconds_after_its_last_renewal(fault: Fault) -> None:
    """Work is told the moment as soon as one renewal was missed; the loss is told with its reason."""
    bench = Bench()
    bench.turns(2)
    bench.lease.faults.always.update(read=Fault.BEFORE, update=fault)
    bench.turns(2.5)  # the last renewal was 2.5 s ago, the one after it has failed
    assert bench.candidate.is_leading()
    assert bench.candidate.finish_by() is None
    bench.turns(2)
    assert bench.candidate.finish_by() == pytest.approx(1012)
    bench.turns(5.4)
    assert bench.candidate.is_leading()
    bench.turns(0.2)
    assert not bench.candidate.is_leading()
    assert bench.changes == [True, False]
    (lost,) = bench.said(events.LeadershipLost)
    assert isinstance(lost, events.LeadershipLost)
    assert lost.reason == "the lease could not be renewed for 10 s"
    assert bench.candidate.finish_by() == pytest.approx(1012)
    assert bench.said(events.LeaseRefused if fault is Fault.REFUSED else events.LeaseUnreachable)


def test_a_process_that_was_stopped_leads_no_more_before_its_thread_has_noticed() -> None:
    """Leading is a matter of time: nobody has to take a turn for it to end."""
    bench = Bench()
    bench.turns(1)
    bench.clock.advance(timedelta(seconds=60))
    assert not bench.candidate.is_leading()
    finish_by = bench.candidate.finish_by()
    assert finish_by is not None
    assert finish_by < bench.clock.monotonic()
    bench.other_holds()
    bench.turns(0.5)
    assert [type(event) for event in bench.told[1:]] == [events.LeadershipLost, events.LeaderSeen]
    assert bench.holder() == OTHER


def test_a_renewal_whose_answer_was_lost_does_not_end_leading() -> None:
    """The same write again is refused; a look then says that it is ours, and it goes on at once."""
    bench = Bench()
    bench.turns(1)
    bench.lease.faults.add("update", Fault.AFTER)
    bench.turns(30)
    assert bench.candidate.is_leading()
    assert not bench.said(events.LeadershipLost)
    assert bench.said(events.LeaseUnreachable)


def test_a_lease_that_another_one_took_ends_leading_at_the_next_renewal() -> None:
    """Somebody wrote it by hand, or clocks ran apart: we believe the lease."""
    bench = Bench()
    bench.turns(1)
    bench.other_holds()
    bench.turns(1.5)
    assert not bench.candidate.is_leading()
    (lost,) = bench.said(events.LeadershipLost)
    assert isinstance(lost, events.LeadershipLost)
    assert lost.reason == f"{OTHER} holds the lease"


def test_a_lease_that_was_deleted_is_created_again() -> None:
    """And leading goes on, unless another one created it first."""
    bench = Bench()
    bench.turns(1)
    bench.lease.book.record = None
    bench.turns(2)
    assert bench.holder() == ME
    assert bench.changes == [True]
    bench.lease.book.record = None

    def be_first(operation: str) -> None:
        if operation == "create":
            bench.other_holds()

    bench.lease.faults.before_call = be_first
    bench.turns(2)
    assert bench.holder() == OTHER
    assert bench.changes == [True, False]


def test_an_answer_that_comes_after_the_deadline_does_not_make_a_leader() -> None:
    """What it was sent for has passed by then."""
    bench = Bench()
    bench.lease.faults.before_call = lambda operation: (
        bench.clock.advance(timedelta(seconds=11)) if operation == "create" else None
    )
    bench.candidate.turn()
    assert not bench.candidate.is_leading()
    assert bench.changes == []
    bench.turns(0.1)
    assert bench.candidate.is_leading()


def test_leaving_releases_the_lease_for_another_one_to_lead_at_once() -> None:
    """It leads no more before the release is written."""
    bench = Bench()
    bench.turns(1)
    led_at_release = []
    bench.lease.faults.before_call = lambda _: led_at_release.append(bench.candidate.is_leading())
    bench.candidate.leave()
    assert led_at_release == [False, False]
    assert bench.holder() == NOBODY
    assert bench.changes == [True, False]
    assert bench.said(events.LeadershipReleased)
    other = Bench(bench.lease)
    bench.lease.faults.before_call = lambda _: None
    other.turns(0)
    assert other.candidate.is_leading()


def test_leaving_releases_nothing_that_is_not_ours() -> None:
    """A follower that leaves does not disturb the leader."""
    bench = Bench()
    bench.other_holds()
    bench.turns(1)
    bench.candidate.leave()
    assert bench.holder() == OTHER
    assert not bench.said(events.LeadershipReleased)


def test_leaving_without_an_answer_is_told_and_ends() -> None:
    """The lease ends by itself."""
    bench = Bench()
    bench.turns(1)
    bench.lease.faults.always["update"] = Fault.BEFORE
    bench.candidate.leave()
    assert not bench.candidate.is_leading()
    assert bench.said(events.LeaseUnreachable)


def _raise(_: bool) -> None:  # noqa: FBT001  # as it is called
    raise RuntimeError("a bug that may hold a secret")


def _fail_to_call(_: str) -> None:
    raise RuntimeError("a bug that may hold a secret")


@pytest.mark.parametrize("break_it", ["the lease", "who is told"])
def test_nothing_raises_out_of_a_turn(break_it: str) -> None:
    """A bug counts as a failure, is told by its kind alone, and the next turn comes."""
    bench = Bench()
    if break_it == "the lease":
        bench.lease.faults.before_call = _fail_to_call
    else:
        bench.candidate._changed = _raise
    assert bench.candidate.turn() <= timedelta(seconds=2)
    (failed,) = bench.said(events.LeaseUnreachable)
    assert isinstance(failed, events.LeaseUnreachable)
    assert failed.error == "unexpected RuntimeError"


def test_failures_are_told_at_first_and_then_once_a_minute() -> None:
    """An outage of an hour does not fill the log, nor does it go unsaid."""
    bench = Bench()
    bench.lease.faults.always["read"] = Fault.REFUSED
    bench.turns(60 * 60)
    assert len(bench.said(events.LeaseRefused)) == pytest.approx(63, abs=1)


def test_a_server_that_always_conflicts_is_asked_no_more_than_it_must() -> None:
    """The first conflict is looked into at once, those after it every two seconds."""
    bench = Bench()

    def touch(operation: str) -> None:
        if operation != "read":
            bench.lease.book.put(Claim(holder=NOBODY, duration=FIFTEEN, transitions=1))

    bench.lease.faults.before_call = touch
    bench.turns(20)
    assert bench.lease.faults.calls["read"] <= 13


def test_the_thread_takes_turns_until_it_leaves() -> None:
    """Started, it leads by itself; left, it has ended and released."""
    bench = Bench()
    bench.candidate.start()
    bench.candidate.leave()
    thread = bench.candidate._thread
    assert thread is not None
    assert not thread.is_alive()
    assert bench.changes == [True, False]
    assert bench.holder() == NOBODY


def test_a_throttled_leader_comes_back_when_it_was_asked_to() -> None:
    """Two renewals are refused with the wish to wait three seconds: it comes three seconds later, and leads on."""
    bench = Bench()
    bench.turns(1)
    bench.lease.retry_after = timedelta(seconds=3)
    bench.lease.faults.add("update", Fault.BEFORE, Fault.BEFORE)
    asked: list[float] = []
    bench.lease.faults.before_call = lambda operation: (
        asked.append(bench.clock.monotonic()) if operation == "update" else None
    )
    bench.turns(12)
    assert [later - earlier for earlier, later in pairwise(asked[:4])] == pytest.approx([3, 3, 2])
    assert bench.candidate.is_leading()
    assert bench.changes == [True]


def test_a_server_that_asks_for_an_hour_ends_no_leading() -> None:
    """The renewal is tried again while there is time for it."""
    bench = Bench()
    bench.turns(1)
    bench.lease.retry_after = timedelta(hours=1)
    bench.lease.faults.add("update", Fault.BEFORE)
    bench.turns(12)
    assert bench.candidate.is_leading()
    assert bench.changes == [True]


def test_a_renewal_that_lands_in_the_middle_of_a_release_does_not_keep_the_lease() -> None:
    """The release is refused then; a second look says that it is still ours."""
    bench = Bench()
    bench.turns(2)
    bench.lease.faults.add("update", Fault.LATE)
    bench.turns(1)

    def land(operation: str) -> None:
        if operation == "update":
            bench.lease.book.deliver()

    bench.lease.faults.before_call = land
    bench.candidate.leave()
    assert bench.holder() == NOBODY
    assert bench.said(events.LeadershipReleased)


@pytest.mark.parametrize("held_by", [None, OTHER, NOBODY])
@pytest.mark.parametrize("asked_at", range(1, 9))
def test_who_is_asked_to_leave_stops_at_whichever_call_and_releases_what_it_holds(
    asked_at: int, held_by: str | None
) -> None:
    """Nothing is written after that but the release; what another one holds stays as it is."""
    bench = Bench()
    if held_by is not None:
        bench.lease.book.put(Claim(holder=held_by, duration=FIFTEEN, transitions=1))
    calls: list[str] = []

    def asked(operation: str) -> None:
        calls.append(operation)
        if len(calls) == asked_at:
            bench.candidate._leave.set()

    bench.lease.faults.before_call = asked
    while not bench.candidate._leave.is_set():
        bench.clock.advance(bench.candidate.turn())
        if held_by == OTHER:
            bench.other_holds()
    holds, before = bench.holder() == ME, len(calls)
    assert before == asked_at
    bench.candidate.leave()
    assert calls[before:] == (["read", "update"] if holds else ["read"])
    assert bench.holder() in ({NOBODY} if holds else {held_by})
    assert bool(bench.said(events.LeadershipReleased)) == holds
    assert not bench.candidate.is_leading()
