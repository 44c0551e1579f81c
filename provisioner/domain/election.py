"""Who leads: the pure decision of one elector, the way of client-go, over a lease that everybody reads and writes.

A leader counts its time from the moment *before* the write that renewed its lease, and acts for ``renew_deadline``.
Everybody else counts from the moment *after* the read that first showed that write, and waits for the whole
``lease_duration``. So the old leader has stopped before a new one can begin, whatever the clocks on the wall say: each
process measures by its own monotonic clock, and they need to run at about the same rate, not to show the same time.
"""

from dataclasses import dataclass, field, replace
from datetime import timedelta
from typing import Final

LEASE_DURATION: Final = timedelta(seconds=15)
"""How long others leave a lease alone after they saw it renewed."""
RENEW_DEADLINE: Final = timedelta(seconds=10)
"""How long a leader acts after it last renewed."""
RETRY_PERIOD: Final = timedelta(seconds=2)
"""How often an elector looks, or renews."""
NOBODY: Final = ""
"""The holder of a lease that was released."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Terms:
    """The times of an election; every elector of a lease should have the same."""

    lease_duration: timedelta = LEASE_DURATION
    renew_deadline: timedelta = RENEW_DEADLINE
    retry_period: timedelta = RETRY_PERIOD

    @property
    def overdue_after(self) -> timedelta:
        """After which time without a renewal work in flight is told its deadline: one renewal was missed."""
        return min(2 * self.retry_period, self.renew_deadline)


@dataclass(frozen=True, slots=True, kw_only=True)
class LeaseRecord:
    """What a lease says."""

    version: str
    """The server's word for this very state: it changes with every write."""
    holder: str
    """The identity of who leads; ``NOBODY`` when it was released."""
    duration: timedelta
    """How long its holder asked to be left alone."""
    transitions: int
    """How often another holder took it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Claim:
    """What a lease is to say."""

    holder: str
    duration: timedelta
    """In whole seconds, one at least: that is what a lease can say."""
    transitions: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Sighting:
    """A lease as this process knows it."""

    record: LeaseRecord
    since: float
    """The monotonic moment after the read that first showed this version."""
    gone_since: float | None = None
    """The monotonic moment after the read that first showed no lease any more: somebody deleted it, perhaps right after
    its holder has renewed it, and that one leads all the same."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Standing:
    """What one elector knows."""

    sighting: Sighting | None = None
    """None: there is no lease, as far as we know."""
    renewed_at: float | None = None
    """The monotonic moment before the last write that made us the holder; None when we do not lead."""

    def leads_until(self, terms: Terms) -> float | None:
        """Give the monotonic moment at which we stop leading unless we renew; None when we do not lead."""
        return None if self.renewed_at is None else self.renewed_at + terms.renew_deadline.total_seconds()

    def is_leading(self, terms: Terms, now: float) -> bool:
        """Tell whether we lead at a monotonic moment."""
        until = self.leads_until(terms)
        return until is not None and now < until


@dataclass(frozen=True, slots=True, kw_only=True)
class Acquire:
    """Write ourselves down as the holder."""

    transitions: int
    """What the lease counts then."""
    over: str | None
    """The version that is written over; None: there is no lease, and one is created."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Renew:
    """Write ourselves down again."""

    transitions: int
    over: str


@dataclass(frozen=True, slots=True, kw_only=True)
class WaitUntil:
    """Somebody else leads: look again at a monotonic moment."""

    moment: float


@dataclass(frozen=True, slots=True, kw_only=True)
class StepDown:
    """Stop leading, then decide again."""

    reason: str


Move = Acquire | Renew | WaitUntil | StepDown


@dataclass(frozen=True, slots=True, kw_only=True)
class Elector:
    """The rules for one process."""

    identity: str
    """Of this process alone: a process that was started again is somebody else."""
    terms: Terms = field(default_factory=Terms)

    def decide(self, standing: Standing, now: float) -> Move:
        """Give the one thing to do at a monotonic moment, by what the process knows."""
        known = standing.sighting
        if standing.renewed_at is not None and not standing.is_leading(self.terms, now):
            deadline = self.terms.renew_deadline.total_seconds()
            return StepDown(reason=f"the lease could not be renewed for {deadline:g} s")
        if known is None:
            return Acquire(transitions=0, over=None)
        record = known.record
        if record.holder == self.identity:
            return Renew(transitions=record.transitions, over=record.version)
        if standing.renewed_at is not None:
            whose = f"{record.holder} holds the lease" if record.holder != NOBODY else "somebody released the lease"
            return StepDown(reason=whose)
        is_gone = known.gone_since is not None
        since = known.since if known.gone_since is None else known.gone_since
        free_at = since + self._duration(record).total_seconds()
        if record.holder == NOBODY or now >= free_at:
            return Acquire(transitions=record.transitions + 1, over=None if is_gone else record.version)
        return WaitUntil(moment=min(free_at, now + self.terms.retry_period.total_seconds()))

    def pause_after(self, standing: Standing, now: float, asked: timedelta) -> timedelta:
        """Give how long to leave a server alone that asked for so long, at a monotonic moment.

        A leader comes back in time to renew once more before its deadline, everybody else after ``lease_duration`` at
        the latest: a server must not end leading, nor keep a cluster without a leader, by a large number.
        """
        until = standing.leads_until(self.terms)
        longest = self.terms.lease_duration
        if until is not None:
            longest = timedelta(seconds=max(0.0, until - now)) - self.terms.retry_period
        return max(timedelta(0), min(asked, longest))

    def saw(self, standing: Standing, record: LeaseRecord | None, at: float) -> Standing:
        """Note what a read showed that had ended at a monotonic moment."""
        known = standing.sighting
        if record is None:
            if known is None or known.record.holder in {NOBODY, self.identity}:
                return Standing(renewed_at=standing.renewed_at)
            gone = replace(known, gone_since=at if known.gone_since is None else known.gone_since)
            return Standing(sighting=gone, renewed_at=standing.renewed_at)
        if known is not None and known.record.version == record.version:
            return Standing(sighting=replace(known, gone_since=None), renewed_at=standing.renewed_at)
        return Standing(sighting=Sighting(record=record, since=at), renewed_at=standing.renewed_at)

    def held(self, record: LeaseRecord, sent_at: float, at: float) -> Standing:
        """Note a write that made us the holder: sent at one monotonic moment, answered at the other."""
        return Standing(sighting=Sighting(record=record, since=at), renewed_at=sent_at)

    def stepped_down(self, standing: Standing) -> Standing:
        """Note that we lead no more."""
        return Standing(sighting=standing.sighting)

    def _duration(self, record: LeaseRecord) -> timedelta:
        """How long a holder is left alone: as it asked; our own time where it asked for none."""
        return record.duration if record.duration > timedelta(0) else self.terms.lease_duration
