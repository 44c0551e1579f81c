"""One process that stands for election: looks at the lease, writes it, and knows at every moment whether it leads.

Whether it leads is a matter of time, not of a thread: when the thread hangs, in a request or because the whole process
was stopped, leading ends at its deadline all the same.
"""

from collections.abc import Callable
from dataclasses import replace
from datetime import timedelta
from threading import Event, Thread
from typing import Final, assert_never

from provisioner.domain import events
from provisioner.domain.election import (
    NOBODY,
    Acquire,
    Claim,
    Elector,
    LeaseRecord,
    Renew,
    Standing,
    StepDown,
    WaitUntil,
)
from provisioner.domain.errors import (
    LeaseConflictError,
    LeaseGoneError,
    LeaseRefusedError,
    LeaseUnavailableError,
    ProvisionerError,
)
from provisioner.ports.clock import Clock
from provisioner.ports.lease import Lease
from provisioner.ports.observer import Observer

_TELL_FIRST: Final = 3
_TELL_EVERY: Final = 30
"""Failures in a row: the first few are told, and then one a minute."""
_RELEASED_FOR: Final = timedelta(seconds=1)
"""What a released lease says of its duration, as client-go writes it."""
_NOW: Final = timedelta(0)


class Candidate:
    """Stands for election on a thread of its own, from ``start`` to ``leave``; nothing raises out of it."""

    def __init__(
        self,
        lease: Lease,
        elector: Elector,
        *,
        clock: Clock,
        observe: Observer,
        changed: Callable[[bool], None] = lambda _: None,
    ) -> None:
        """Take what it needs; ``changed`` is told, by the thread, that this process leads now, or no more."""
        self._lease, self._elector, self._clock, self._observe = lease, elector, clock, observe
        self._changed = changed
        self._standing = Standing()
        self._ended_at = clock.monotonic()
        self._must_look, self._conflicted = True, False
        self._failures = 0
        self._leader: str | None = None
        self._leave = Event()
        self._thread: Thread | None = None

    # --- what others ask, on any thread -------------------------------------------------------------

    def is_leading(self) -> bool:
        """Tell whether this process may act now."""
        return self._standing.is_leading(self._elector.terms, self._clock.monotonic())

    def finish_by(self) -> float | None:
        """Give the monotonic moment by which all work must have ended.

        None while leading is certain to go on: it is renewed in time, and the moment moves on with every renewal. It
        has passed when this process does not lead.
        """
        standing, terms = self._standing, self._elector.terms
        until = standing.leads_until(terms)
        if until is None or standing.renewed_at is None:
            return self._ended_at
        overdue_at = standing.renewed_at + terms.overdue_after.total_seconds()
        return until if self._clock.monotonic() >= overdue_at else None

    # --- the thread ---------------------------------------------------------------------------------

    def start(self) -> None:
        """Begin."""
        self._thread = Thread(target=self._run, name="leader election", daemon=True)
        self._thread.start()

    def leave(self) -> None:
        """Stop leading and release the lease, so that another process can lead at once; for when all work has ended."""
        self._leave.set()
        if self._thread is not None:
            self._thread.join()
        self.release()

    def _run(self) -> None:
        while not self._leave.wait(self.turn().total_seconds()):
            pass

    def turn(self) -> timedelta:
        """Look, decide and write once; give how long to wait before the next turn. Never raises."""
        started = self._clock.monotonic()
        try:
            pause = self._take_turn()
        except (LeaseConflictError, LeaseGoneError):
            pause = self._period_since(started) if self._conflicted else _NOW
            self._must_look = self._conflicted = True
        except LeaseUnavailableError as error:
            self._failed(error)
            asked = self._elector.pause_after(self._standing, self._clock.monotonic(), error.retry_after)
            pause = max(asked, self._period_since(started))
        except Exception as error:  # noqa: BLE001  # a thread that ended would leave everybody without a leader
            self._failed(error)
            pause = self._period_since(started)
        return min(pause, self._until_the_deadline())

    def _take_turn(self) -> timedelta:
        """Do the one thing to do; give how long to wait after it."""
        started = self._clock.monotonic()
        self._step_down_if_due()
        if self._standing.renewed_at is None or self._must_look:
            self._look()
            self._step_down_if_due()
            if self._leave.is_set():  # nothing is taken that would have to be given back at once
                return _NOW
        now = self._clock.monotonic()
        match self._elector.decide(self._standing, now):
            case WaitUntil(moment=moment):
                self._succeeded()
                return timedelta(seconds=max(0.0, moment - now))
            case StepDown(reason=reason):
                self._lose(reason)
                return _NOW
            case Acquire(transitions=transitions, over=over):
                self._write(transitions, over)
            case Renew(transitions=transitions, over=over):
                self._write(transitions, over)
            case other:
                assert_never(other)
        return self._period_since(started)

    def _step_down_if_due(self) -> None:
        move = self._elector.decide(self._standing, self._clock.monotonic())
        if isinstance(move, StepDown):
            self._lose(move.reason)
            self._must_look = True

    def _look(self) -> None:
        record = self._lease.read()
        self._standing = self._elector.saw(self._standing, record, self._clock.monotonic())
        self._must_look = False
        holder = NOBODY if record is None else record.holder
        if holder not in {NOBODY, self._elector.identity, self._leader}:
            self._observe(events.LeaderSeen(lease=self._lease.name, holder=holder))
        self._leader = holder

    def _write(self, transitions: int, over: str | None) -> None:
        """Write ourselves down as the holder; leading begins, or goes on, with the moment before that."""
        claim = self._claim(self._elector.identity, self._elector.terms.lease_duration, transitions)
        led, sent_at = self._standing.renewed_at is not None, self._clock.monotonic()
        record = self._lease.create(claim) if over is None else self._lease.update(claim, over)
        at = self._clock.monotonic()
        held = self._elector.held(record, sent_at, at)
        self._succeeded()
        if not held.is_leading(self._elector.terms, at):  # the answer came too late to begin with
            self._standing = replace(held, renewed_at=self._standing.renewed_at)
            return
        self._standing = held
        if not led:
            self._gain(record)

    def _claim(self, holder: str, duration: timedelta, transitions: int) -> Claim:
        return Claim(holder=holder, duration=duration, transitions=transitions)

    # --- what changes -------------------------------------------------------------------------------

    def _gain(self, record: LeaseRecord) -> None:
        self._leader = record.holder
        gained = events.LeadershipGained(
            lease=self._lease.name, identity=self._elector.identity, transitions=record.transitions
        )
        self._observe(gained)
        self._changed(True)

    def _lose(self, reason: str) -> None:
        self._end()
        lost = events.LeadershipLost(lease=self._lease.name, identity=self._elector.identity, reason=reason)
        self._observe(lost)
        self._changed(False)

    def _end(self) -> None:
        """Lead no more, from the moment at which the deadline came, or from now if that is sooner."""
        until, now = self._standing.leads_until(self._elector.terms), self._clock.monotonic()
        self._ended_at = now if until is None else min(until, now)
        self._standing = self._elector.stepped_down(self._standing)

    def release(self) -> None:
        """Stop leading, then write nobody down as the holder, if we are; never raises."""
        led = self._standing.renewed_at is not None
        self._end()
        try:
            if self._gave_back():
                released = events.LeadershipReleased(lease=self._lease.name, identity=self._elector.identity)
                self._observe(released)
        except Exception as error:  # noqa: BLE001  # we are leaving: the lease ends by itself
            self._failed(error)
        if led:
            self._changed(False)

    def _gave_back(self) -> bool:
        """Release what a fresh look says is ours: a write whose answer was lost may have made it so, even now."""
        for may_look_again in (True, False):
            record = self._lease.read()
            if record is None or record.holder != self._elector.identity:
                break
            try:
                self._lease.update(self._claim(NOBODY, _RELEASED_FOR, record.transitions), record.version)
            except LeaseConflictError:
                if may_look_again:
                    continue
                raise
            return True
        return False

    # --- failures and pauses ------------------------------------------------------------------------

    def _failed(self, error: Exception) -> None:
        """Count a failed look or write, and tell of the first few and then now and then."""
        self._failures += 1
        if self._failures > _TELL_FIRST and self._failures % _TELL_EVERY:
            return
        text = str(error) if isinstance(error, ProvisionerError) else f"unexpected {type(error).__name__}"
        kind = events.LeaseRefused if isinstance(error, LeaseRefusedError) else events.LeaseUnreachable
        self._observe(kind(lease=self._lease.name, error=text, failures=self._failures))

    def _succeeded(self) -> None:
        self._failures, self._conflicted = 0, False

    def _period_since(self, started: float) -> timedelta:
        """Give what is left of the retry period."""
        return max(_NOW, self._elector.terms.retry_period - timedelta(seconds=self._clock.monotonic() - started))

    def _until_the_deadline(self) -> timedelta:
        """Give how long this process still leads if nothing is renewed, so that its end is told in time."""
        until = self._standing.leads_until(self._elector.terms)
        return timedelta.max if until is None else max(_NOW, timedelta(seconds=until - self._clock.monotonic()))
