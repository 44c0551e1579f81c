"""Three candidates, stopped before and after every call: at no moment do two of them lead.

Time is the true one; each process has a clock of its own that began elsewhere and runs faster or slower. A process may
be stopped for any time at any call, its requests and answers get lost, and its writes land late. Who leads is asked at
every true moment, as the work of the daemon asks: so a stopped process counts as what it would find on its next step.
Each has times of its own, as while a new configuration is rolled out; and a process may end, and another one take its
place.
"""

from dataclasses import dataclass
from datetime import timedelta
from itertools import product
from typing import Final

import pytest
from greenlet import getcurrent, greenlet
from hypothesis import given, settings
from hypothesis import strategies as st

from provisioner.domain.election import Elector, LeaseRecord, Terms
from provisioner.engine.candidate import Candidate
from tests.fakes.clock import FakeClock
from tests.fakes.faults import Fault
from tests.fakes.lease import FakeLease, LeaseBook, Write

RATES: Final = (0.85, 1.0, 1.15)
"""How fast the clocks run: further apart than any two that are worth the name."""
TERMS: Final = (
    Terms(),
    Terms(
        lease_duration=timedelta(seconds=30), renew_deadline=timedelta(seconds=20), retry_period=timedelta(seconds=5)
    ),
    Terms(lease_duration=timedelta(seconds=6), renew_deadline=timedelta(seconds=4), retry_period=timedelta(seconds=1)),
)
"""Shorter and longer ones, a third apart like those by default."""
THROTTLED: Final = timedelta(seconds=7)
CALM: Final = timedelta(seconds=60)
TICK: Final = timedelta(milliseconds=250)


class DrivenClock(FakeClock):
    """A clock that is moved on by true time, at a rate of its own."""

    def __init__(self, rate: float, began: float) -> None:
        super().__init__()
        self.rate, self.elapsed = rate, began

    def pass_by(self, true: timedelta) -> None:
        """Let true time go by."""
        self.advance(true * self.rate)


class StoppedLease(FakeLease):
    """A lease at which its process can be stopped before and after every effect."""

    def read(self) -> LeaseRecord | None:
        """Read, with a stop before and after."""
        _stop()
        try:
            return super().read()
        finally:
            _stop()

    def _written(self, operation: str, write: Write) -> LeaseRecord:
        """Write, with a stop before and after."""
        _stop()
        try:
            return super()._written(operation, write)
        finally:
            _stop()


def _stop() -> None:
    parent = getcurrent().parent
    assert parent is not None
    parent.switch()


class Process:
    """One candidate, run step by step."""

    def __init__(self, name: str, book: LeaseBook, rate: float, began: float, terms: Terms) -> None:
        self.name, self.terms = name, terms
        self.clock = DrivenClock(rate, began)
        self.lease = StoppedLease(book)
        self.candidate = Candidate(
            self.lease,
            Elector(identity=name, terms=terms),
            clock=self.clock,
            observe=lambda _: None,
            changed=lambda _: None,
        )
        self._wake_at = began
        self._inside = False
        self._run = greenlet(self._turns)

    def step(self) -> None:
        """Go on to the next stop; between turns, only when it is time."""
        if self._inside or self.clock.monotonic() >= self._wake_at:
            self._run.switch()

    def _turns(self) -> None:
        while True:
            self._inside = True
            pause = self.candidate.turn()
            self._inside, self._wake_at = False, self.clock.monotonic() + pause.total_seconds()
            _stop()

    def end(self) -> None:
        """Die, wherever it stands."""
        self._run.throw()


@dataclass(frozen=True, slots=True)
class Happening:
    """True time goes by, something may go wrong with a process's next request, and the process takes a step."""

    who: int
    after: float
    fault: Fault | None
    lands: bool
    """Whether writes that are late land now."""
    throttles: bool = False
    """Whether a server that gives no answer asks to be left alone."""
    dies: bool = False
    """Whether the process dies instead, and another one begins in its place."""


HAPPENINGS = st.builds(
    Happening,
    who=st.integers(0, 2),
    after=st.sampled_from([0.0, 0.0, 0.0, 0.0, 0.5, 2.0, 2.0, 4.0, 7.9, 9.9, 12.9, 15.1, 31.0, 60.0]),
    fault=st.sampled_from([None, None, None, None, Fault.BEFORE, Fault.REFUSED, Fault.AFTER, Fault.LATE]),
    lands=st.booleans(),
    throttles=st.booleans(),
    dies=st.sampled_from([False] * 9 + [True]),
)


class Cluster:
    """All processes over one lease."""

    def __init__(self, rates: tuple[float, ...], terms: tuple[Terms, ...] = (Terms(), Terms())) -> None:
        self.book = LeaseBook()
        began = (5.0, 9e5, 400.0)
        self.processes = [
            Process(name, self.book, rate, start, own)
            for name, rate, start, own in zip("abc", rates, began, terms, strict=False)
        ]
        self.led, self.died = 0, 0

    def pass_by(self, true: timedelta) -> None:
        """Let true time go by for both."""
        for process in self.processes:
            process.clock.pass_by(true)
        self.check()

    def check(self) -> None:
        """See that at most one leads now."""
        leading = [process.candidate.is_leading() for process in self.processes]
        assert sum(leading) <= 1, "two lead at the same moment"
        self.led += any(leading)

    def let(self, happening: Happening) -> None:
        """Let it happen."""
        self.pass_by(timedelta(seconds=happening.after))
        if happening.lands:
            self.book.deliver()
        process = self.processes[happening.who]
        if happening.dies:
            self.replace(process)
            return
        process.lease.retry_after = THROTTLED * happening.throttles
        if happening.fault is not None:
            for operation in ("read", "create", "update"):
                process.lease.faults.queues[operation] = [happening.fault]
        process.step()
        self.check()

    def replace(self, process: Process) -> None:
        """Let a process die, and another one begin with another clock."""
        self.died += 1
        process.end()
        clock, name = process.clock, f"{process.name[0]}{self.died}"
        another = Process(name, self.book, clock.rate, clock.elapsed / 3, process.terms)
        self.processes[self.processes.index(process)] = another

    @property
    def somebody_leads_within(self) -> timedelta:
        """Give the longest true time, without faults, until one leads."""
        lease = max(process.terms.lease_duration for process in self.processes)
        retry = max(process.terms.retry_period for process in self.processes)
        return (lease + 2 * retry + THROTTLED) / min(RATES) + 2 * TICK

    def calm_down(self, until_led: timedelta | None = None) -> None:
        """Let a minute go by in which nothing goes wrong; or until somebody leads, which is to be soon enough."""
        for process in self.processes:
            process.lease.faults.queues.clear()
        for _ in range((until_led or CALM) // TICK):
            if until_led is not None and any(process.candidate.is_leading() for process in self.processes):
                return
            self.pass_by(TICK)
            for process in self.processes:
                for _ in range(4):
                    process.step()
                    self.check()
        assert until_led is None, "nobody leads in time"


@settings(max_examples=250, deadline=None)
@given(
    rates=st.tuples(*[st.sampled_from(RATES)] * 3),
    terms=st.tuples(*[st.sampled_from(TERMS)] * 3),
    happenings=st.lists(HAPPENINGS, min_size=10, max_size=90),
)
def test_never_do_two_lead_and_one_does_after_calm(
    rates: tuple[float, ...], terms: tuple[Terms, ...], happenings: list[Happening]
) -> None:
    """Whatever happens in whatever order, with stops of any length and clocks that run apart by a third."""
    cluster = Cluster(rates, terms)
    for happening in happenings:
        cluster.let(happening)
    cluster.calm_down(cluster.somebody_leads_within)
    cluster.calm_down()
    assert sum(process.candidate.is_leading() for process in cluster.processes) == 1


def test_leading_is_handed_over_at_all() -> None:
    """The rule above is not kept by nobody ever leading: one leads, is stopped for a minute, and the other leads."""
    cluster = Cluster((1.15, 0.85))
    cluster.calm_down()
    first = next(process for process in cluster.processes if process.candidate.is_leading())
    (second,) = (process for process in cluster.processes if process is not first)
    for _ in range(CALM // TICK):
        cluster.pass_by(TICK)
        second.step()
    assert second.candidate.is_leading()
    assert not first.candidate.is_leading()
    cluster.calm_down()
    assert second.candidate.is_leading()
    assert cluster.book.record is not None
    assert cluster.book.record.transitions == 1
    assert cluster.book.record == cluster.book.past[-1]


@pytest.mark.parametrize("stopped_at", range(12))
def test_stopped_at_each_call_and_for_each_time_the_other_leads_only_once_the_first_does_not(stopped_at: int) -> None:
    """All of them: one is stopped at its first, second, … stop, goes on for some steps, and is stopped for good."""
    for pause, steps, rates in product((1, 5, 8, 12, 14, 40), range(4), ((1.0, 1.0), (0.85, 1.15))):
        cluster = Cluster(rates)
        first, second = cluster.processes
        for _ in range(stopped_at):
            first.step()
            cluster.pass_by(TICK * 2)
        for seconds, steps_after in ((pause, steps), (20, 0)):
            for _ in range(timedelta(seconds=seconds) // (2 * TICK)):
                for _ in range(4):
                    second.step()
                    cluster.check()
                cluster.pass_by(2 * TICK)
            for _ in range(steps_after):
                first.step()
                cluster.check()
        assert second.candidate.is_leading()


@pytest.mark.parametrize("stopped", [True, False])
@pytest.mark.parametrize("after", range(0, 16, 3))
def test_a_lease_that_is_deleted_makes_no_second_leader(after: int, *, stopped: bool) -> None:
    """Whether the leader goes on and creates it again, or is stopped there: the other one waits as ever, then leads."""
    cluster = Cluster((0.85, 1.15))
    cluster.calm_down()
    first = next(process for process in cluster.processes if process.candidate.is_leading())
    (second,) = (process for process in cluster.processes if process is not first)
    for _ in range(after):
        cluster.pass_by(TICK)
        first.step()
    cluster.book.record = None
    for _ in range(CALM // TICK):
        for process in (second,) if stopped else (second, first):
            for _ in range(4):
                process.step()
                cluster.check()
        cluster.pass_by(TICK)
    assert second.candidate.is_leading() == stopped
    assert first.candidate.is_leading() != stopped
