"""Failures that last for days, weeks, a month: tried again at the protocol's pace, told at once, and overcome.

Every pass is judged by a schedule that is worked out here from the protocol's words alone: the wait doubles from one
failure in a row to the next, up to min(15 min, 1/20 of the stored token's remaining life), jitter takes off a half of
it at most, and no wait is shorter than a second.
"""

from bisect import bisect_right
from dataclasses import dataclass, field
from datetime import datetime, timedelta

import pytest

from provisioner.domain.decide import decide
from provisioner.domain.events import LookFailed, StepFailed
from provisioner.domain.memory import Memory
from provisioner.domain.status import State, TokenStatus, status_of
from provisioner.domain.steps import Refuse, Rest
from provisioner.engine.gather import Listings, gather, with_copies
from tests.builders import DAY, HOUR, MINUTE, OTHER_PLACE, PLACE, SECOND, a_token
from tests.fakes.faults import Fault
from tests.rig import Rig, provisioned

CAP = 15 * MINUTE
FIRST = 5 * SECOND
ROUNDING = timedelta(microseconds=10)
JITTERS = (0.0, 0.999)
"""None at all, and as much as there is."""
WEEK = 7 * DAY
BEFORE_DUE = 18 * DAY
"""After the day of ``provisioned``: a token of thirty days falls due within the two days after that."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Failed:
    """One failure, when it happened, and how long the next try was put off."""

    number: int
    at: datetime
    wait: timedelta
    remaining: timedelta | None
    """How long the stored token had to live."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Look:
    """What there was to see after one pass."""

    at: datetime
    standing: TokenStatus
    fresh: TokenStatus
    """As a process tells it that remembers nothing: ``provisioner status`` beside the daemon."""


@dataclass(slots=True)
class Watch:
    """A daemon over a rig: it wakes at the moments that its decisions say, and at no other."""

    rig: Rig
    looks: list[Look] = field(default_factory=list)
    failed: dict[str, list[Failed]] = field(default_factory=dict)
    """By step; a look that failed is a ``look``."""

    def one(self) -> datetime:
        """Make one pass and keep what is seen; give when to wake."""
        rig, world, told = self.rig, self.rig.worlds[0], len(self.rig.events)
        began, record = rig.clock.now(), rig.record
        outcome = rig.reconcile()
        now, step = rig.clock.now(), outcome.decision.step
        self._note(told, began, None if record is None else record.expires_at - began)
        assert isinstance(step, Rest | Refuse), "steps were left over"
        assert now < step.until <= now + CAP, "the daemon would wake in the past, or sleep on"
        blank = with_copies(world, gather(world, rig.token, Listings(world), memory=Memory()))
        look = Look(
            at=now,
            standing=status_of(outcome.snapshot, outcome.decision, now),
            fresh=status_of(blank, decide(blank, now), now),
        )
        for standing in (look.standing, look.fresh):
            assert standing.next_step_at is None or standing.next_step_at >= now, "a next step in the past is told"
        self.looks.append(look)
        return step.until

    def for_(self, duration: timedelta) -> list[Look]:
        """Wake whenever the decisions say, for that long; give what was seen."""
        first, end = len(self.looks), self.rig.clock.now() + duration
        while self.rig.clock.now() < end:
            self.rig.clock.advance(min(self.one(), end) - self.rig.clock.now())
        self.one()
        return self.looks[first:]

    def _note(self, told: int, at: datetime, left: timedelta | None) -> None:
        remaining = left if left is not None and left > timedelta(0) else None
        for event in self.rig.events[told:]:
            if isinstance(event, StepFailed | LookFailed):
                step = event.step if isinstance(event, StepFailed) else "look"
                failed = Failed(number=event.failures, at=at, wait=event.retry_at - at, remaining=remaining)
                self.failed.setdefault(step, []).append(failed)


def a_watch(jitter: float, rig: Rig | None = None, after: timedelta = BEFORE_DUE) -> Watch:
    """Give a watch over a name that was provisioned a while ago; its waits have that jitter."""
    rig = rig or provisioned()
    rig.entropy.always = jitter
    rig.clock.advance(after)
    return Watch(rig)


def longest_wait(number: int, remaining: timedelta | None) -> timedelta:
    """Give the wait without jitter after so many failures in a row, by the protocol's words."""
    cap = CAP if remaining is None else min(CAP, remaining / 20)
    return min(FIRST * (1 << min(number - 1, 20)), cap)


def judge(failed: list[Failed], jitter: float) -> None:
    """Check every wait against the schedule, with the jitter that was asked for, and that each failure counts."""
    assert failed, "nothing was ever put off"
    for one in failed:
        wanted = max(longest_wait(one.number, one.remaining) * (1 - jitter / 2), SECOND)
        assert abs(one.wait - wanted) <= ROUNDING, f"failure {one.number} waits {one.wait} instead of {wanted}"
        assert one.wait <= max(CAP if one.remaining is None else min(CAP, one.remaining / 20), SECOND) + ROUNDING
    assert [one.number for one in failed] == list(range(1, len(failed) + 1)), "a failure was not counted"


def most_tries(began: datetime, ended: datetime, expires_at: datetime) -> int:
    """Count the tries that fit in between, when every wait is as short as jitter may make it."""
    moment, tries = began, 0
    while moment <= ended:
        tries += 1
        remaining = expires_at - moment if expires_at > moment else None
        moment += max(longest_wait(tries, remaining) / 2, SECOND)
    return tries


def is_settled(watch: Watch, token_id: str) -> bool:
    """Tell whether that token is the stored one, with everything well."""
    last = watch.looks[-1]
    return watch.rig.current_id == token_id and {last.standing.state, last.fresh.state} == {State.OK}


@pytest.mark.parametrize("jitter", JITTERS)
def test_store_down_for_a_week_in_which_rotation_falls_due(jitter: float) -> None:
    """Nothing is created; it is unknown from the first look on, and rotated within one cap after the store is back."""
    watch = a_watch(jitter)
    rig = watch.rig
    creates = rig.issuer.faults.calls["create"]
    rig.store.down = True
    looks = watch.for_(WEEK)
    assert rig.issuer.faults.calls["create"] == creates
    judge(watch.failed["look"], jitter)
    assert len(looks) <= most_tries(looks[0].at, looks[-1].at, rig.clock.now() + WEEK)
    for look in looks:
        assert look.standing.state is look.fresh.state is State.UNKNOWN
        assert "cannot be reached" in look.standing.reason
        assert look.standing.last_error is not None
    rig.store.down = False
    watch.for_(CAP)
    assert is_settled(watch, "token-2")
    assert watch.looks[-1].standing.last_error is None


def test_store_down_until_the_token_has_expired() -> None:
    """While the store cannot be read, the end of what it held still bounds the waits, and they never end."""
    rig = provisioned(a_token(ttl=2 * DAY, rotate_at=0.9))
    watch = a_watch(0.0, rig, after=22 * HOUR)
    rig.invariants.excused.add("token-1")
    rig.store.down = True
    looks = watch.for_(4 * HOUR)
    judge(watch.failed["look"], 0.0)
    assert min(one.wait for one in watch.failed["look"][8:]) < MINUTE
    assert len(looks) < 200
    assert watch.failed["look"][-1].remaining is None
    rig.store.down = False
    watch.for_(CAP)
    assert is_settled(watch, "token-2")


@pytest.mark.parametrize("jitter", JITTERS)
@pytest.mark.parametrize("operations", [("list",), ("list", "create", "prove", "revoke")], ids=["list", "all"])
def test_issuer_down_for_a_week_in_which_rotation_falls_due(operations: tuple[str, ...], jitter: float) -> None:
    """While its tokens cannot be listed nothing is created; it is rotated within one cap after the issuer is back."""
    watch = a_watch(jitter)
    rig = watch.rig
    creates, changes = rig.issuer.faults.calls["create"], rig.store.changes
    rig.issuer.faults.always |= dict.fromkeys(operations, Fault.BEFORE)
    looks = watch.for_(WEEK)
    assert (rig.issuer.faults.calls["create"], rig.store.changes) == (creates, changes)
    judge(watch.failed["look"], jitter)
    for look in looks:
        assert look.standing.state is look.fresh.state is State.UNKNOWN
        assert "could not be listed" in look.standing.reason
        assert look.standing.next_step == "rest"
    rig.issuer.faults.always.clear()
    watch.for_(CAP)
    assert is_settled(watch, "token-2")


def test_former_issuer_down_for_days_delays_no_rotation() -> None:
    """Its list says nothing of what is due here; what it holds is swept when it is back."""
    watch = a_watch(0.0)
    rig = watch.rig
    rig.former.faults.always["list"] = Fault.BEFORE
    watch.for_(5 * DAY)
    assert is_settled(watch, "token-2")
    assert watch.failed == {}


@pytest.mark.parametrize(("jitter", "duration"), [(0.0, 21 * DAY), (0.999, 13 * DAY)])
def test_creates_refused_for_three_weeks(jitter: float, duration: timedelta) -> None:
    """Past the expiry and beyond: failing from the first failure on, at the schedule's pace, and never terminal.

    A process that remembers nothing calls it unhealthy a good while before the expiry, too.
    """
    watch = a_watch(jitter)
    rig = watch.rig
    rig.invariants.excused.add("token-1")
    rig.issuer.faults.always["create"] = Fault.REFUSED
    made, record = rig.issuer.faults.calls["create"], rig.record
    assert record is not None
    looks = watch.for_(duration)
    failed = watch.failed["mint"]
    moments = [one.at for one in failed]
    judge(failed, jitter)
    tries = rig.issuer.faults.calls["create"] - made
    assert tries == len(failed) <= most_tries(failed[0].at, rig.clock.now(), record.expires_at)
    assert len(looks) <= tries + duration / CAP, "a hot loop"
    assert rig.live_ids() == set()
    for look in looks:
        if look.at < failed[0].at:
            assert look.standing.state is State.OK
            continue
        assert look.standing.state is State.FAILING
        assert look.standing.failed_attempts == bisect_right(moments, look.at)
        assert "create failed" in (look.standing.last_error or "")
        assert "says no" in look.standing.reason
        assert look.standing.next_step == "mint"
        assert look.fresh.state is (State.DUE if look.at <= failed[0].at + 10 * MINUTE else State.FAILING)
    rig.issuer.faults.always.clear()
    watch.for_(CAP)
    assert rig.current_id == "token-2"
    assert is_settled(watch, "token-2")
    assert (watch.looks[-1].standing.last_error, watch.looks[-1].standing.failed_attempts) == (None, 0)


def test_somebody_else_s_rotation_ends_the_failure() -> None:
    """What another process has rotated is no failure of ours any more: the state does not stay failing for weeks."""
    watch = a_watch(0.0, provisioned(replicas=2), after=BEFORE_DUE + 2 * DAY)
    rig = watch.rig
    rig.issuer.faults.add("create", Fault.BEFORE)
    watch.one()
    assert watch.looks[-1].standing.state is State.FAILING
    rig.reconcile(replica=1)
    watch.one()
    assert is_settled(watch, "token-2")
    assert watch.looks[-1].standing.failed_attempts == 0


@pytest.mark.parametrize(("jitter", "duration"), [(0.0, 30 * DAY), (0.999, 3 * DAY)])
def test_revocation_that_fails_for_a_month(jitter: float, duration: timedelta) -> None:
    """It is tried at the schedule's pace and told with its error; overdue, it is unhealthy; then it is done at once."""
    watch = a_watch(jitter, provisioned(a_token(ttl=120 * DAY)), after=80 * DAY)
    rig = watch.rig
    rig.issuer.faults.always["revoke"] = Fault.REFUSED
    looks = watch.for_(duration)
    failed = watch.failed["revoke"]
    moments = [one.at for one in failed]
    judge(failed, jitter)
    assert rig.issuer.faults.calls["revoke"] == len(failed)
    assert rig.live_ids() == {"token-1", "token-2"}
    for look in looks:
        if look.at < failed[0].at:
            assert look.standing.state is State.OK
            continue
        (waiting,) = look.standing.awaiting_revocation
        assert waiting.token_id == "token-1"
        assert "says no" in (waiting.last_error or "")
        assert waiting.failed_attempts == bisect_right(moments, look.at)
        assert waiting.revoke_at == failed[0].at
        late = look.at > failed[0].at + CAP
        assert look.standing.state is look.fresh.state is (State.FAILING if late else State.OK)
        assert waiting.overdue == look.fresh.awaiting_revocation[0].overdue == late
        assert ("token-1 is overdue" in look.standing.reason) == late
        assert look.standing.failed_attempts == 0, "no rotation has failed"
    rig.issuer.faults.always.clear()
    watch.for_(CAP)
    assert rig.live_ids() == {"token-2"}
    assert is_settled(watch, "token-2")
    assert watch.looks[-1].standing.last_error is None


@pytest.mark.parametrize("jitter", JITTERS)
@pytest.mark.parametrize("readable", [False, True], ids=["down", "read-only"])
def test_copy_that_cannot_be_written_for_a_week(readable: bool, jitter: float) -> None:  # noqa: FBT001  # a column of the table
    """It delays no rotation, holds back the end of the predecessor, is told as out of sync, and is made up for."""
    rig = provisioned()
    rig.with_copy()
    rig.reconcile()
    watch = a_watch(jitter, rig)
    (rig.store.denied_paths if readable else rig.store.down_paths).add(OTHER_PLACE.path)
    looks = watch.for_(WEEK)
    assert rig.current_id == "token-2"
    assert rig.live_ids() == {"token-1", "token-2"}
    if readable:
        judge(watch.failed["copy"], jitter)
    rotated = [look for look in looks if look.standing.token_id == "token-2"]
    assert rotated
    for number, look in enumerate(rotated):
        primary, copy = look.standing.destinations
        assert (primary.in_sync, copy.in_sync) == (True, False)
        assert look.standing.state is State.FAILING
        assert str(OTHER_PLACE) in look.standing.reason
        (waiting,) = look.standing.awaiting_revocation
        assert (waiting.token_id, waiting.revoke_at) == ("token-1", None)
        assert str(OTHER_PLACE) in waiting.why
        late = look.at > rotated[0].at + CAP
        assert look.fresh.state is (State.FAILING if late or not readable else State.OK), number
    rig.store.down_paths.clear()
    rig.store.denied_paths.clear()
    watch.for_(CAP)
    assert rig.store.document(OTHER_PLACE.path) == rig.store.document(PLACE.path)
    assert rig.live_ids() == {"token-1", "token-2"}, "consumers of the late copy have their overlap too"
    watch.for_(HOUR)
    assert rig.live_ids() == {"token-2"}
    assert is_settled(watch, "token-2")
