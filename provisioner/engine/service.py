"""The verbs that the edges use: reconcile, rotate, plan, status, explain, orphans."""

from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from threading import BoundedSemaphore
from typing import Final, TypeVar

from provisioner.domain import events
from provisioner.domain.by_hand import STILL_LIVE
from provisioner.domain.decide import Answer, answers, decide
from provisioner.domain.errors import ConfigurationError, IssuerUnavailableError, ProvisionerError
from provisioner.domain.memory import Memory
from provisioner.domain.model import IssuedToken, Listing, ManagedToken, Trigger, Unreadable
from provisioner.domain.retirement import Retirement, held_by_copies, out_of_reach, retirements
from provisioner.domain.snapshot import Snapshot
from provisioner.domain.status import TokenStatus, status_of
from provisioner.domain.steps import Confirm, Decision, TryStored, mint_key, revoke_key
from provisioner.domain.timing import rfc3339, whole_seconds
from provisioner.domain.trials import refusal_is_certain_at
from provisioner.engine import recollection
from provisioner.engine.apply import StepFailedError, apply
from provisioner.engine.consumers import Looks
from provisioner.engine.gather import Listings, gather, list_tokens, with_copies
from provisioner.engine.recall import Recall
from provisioner.engine.reconcile import Outcome, reconcile
from provisioner.engine.unjudged import unjudged
from provisioner.engine.world import World

T = TypeVar("T")
_MOST_TRIALS: Final = 3
_MOST_RACES: Final = 3
"""A wish is begun anew so often when another replica, rotating for a reason of its own, was faster."""
_LONGEST_WAIT: Final = timedelta(minutes=10)
"""For ``run_once``: a CronJob is not to sleep for hours."""
_JUST_AFTER: Final = timedelta(milliseconds=20)


@dataclass(frozen=True, slots=True, kw_only=True)
class Orphan:
    """A live token of ours that nothing stores."""

    token: IssuedToken
    name: str
    abandoned: bool
    """Whether its name is no longer configured: then it is revoked only on request."""
    why: str
    revoke_at: datetime | None
    """When it is revoked without being asked; None: never, or not yet known."""


@dataclass(frozen=True, slots=True, kw_only=True)
class RotationResult:
    """What came of a manual trigger for one name."""

    name: str
    request_id: str
    done: bool
    """Whether the new token is the stored one; of a compromised name also whether no other one lives."""
    already: bool
    """Whether the request had been honoured before."""
    token_id: str | None
    error: str | None
    revoked: tuple[str, ...] = ()
    """Ids of the tokens that were revoked by it."""
    still_live: tuple[str, ...] = ()
    """Ids of the other tokens of the name that live on: for the overlap, or because they could not be revoked."""


class Service:
    """The use cases over one configuration. Thread-safe; at most one action per name at a time."""

    def __init__(
        self, world: World, tokens: Sequence[ManagedToken], *, instance: str, concurrency: int, recall: Recall
    ) -> None:
        self._world, self._instance, self._concurrency, self._recall = world, instance, concurrency, recall
        self._tokens = {token.name: token for token in tokens}
        self._slots = BoundedSemaphore(concurrency)

    @property
    def tokens(self) -> tuple[ManagedToken, ...]:
        """All managed tokens, in the configuration's order."""
        return tuple(self._tokens.values())

    def is_acting(self, name: str) -> bool:
        """Tell whether something is being done for the name right now."""
        return self._recall.is_acting(name)

    def select(self, names: Iterable[str] = (), selector: Iterable[tuple[str, str]] = ()) -> tuple[ManagedToken, ...]:
        """Give the named tokens (all when none is named) that carry every label of the selector."""
        wanted = list(names)
        unknown = [name for name in wanted if name not in self._tokens]
        if unknown:
            known = ", ".join(self._tokens) or "none"
            raise ConfigurationError(f"no token is named {', '.join(unknown)}; configured are: {known}")
        chosen = [self._tokens[name] for name in wanted] if wanted else list(self._tokens.values())
        return tuple(token for token in chosen if all(token.labels.get(key) == value for key, value in selector))

    # --- verbs that act ---------------------------------------------------------------------------

    def run_pass(self, tokens: Sequence[ManagedToken] | None = None) -> tuple[Outcome, ...]:
        """Reconcile the tokens (all by default), each issuer listed once for all; none once we were asked to leave."""
        chosen = self.tokens if tokens is None else tokens
        listings, started = Listings(self._world), self._world.clock.monotonic()
        begun = self._each(chosen, lambda token: self._reconcile(token, listings) if self._world.may_begin() else None)
        outcomes = [outcome for outcome in begun if outcome is not None]
        whole = tokens is None and self._world.may_begin()
        if whole:
            self._count_abandoned(listings)
        failed = sum(1 for outcome in outcomes if outcome.failures)
        took = timedelta(seconds=self._world.clock.monotonic() - started)
        self._world.observe(events.PassFinished(tokens=len(outcomes), whole=whole, failed=failed, took=took))
        return tuple(outcomes)

    def run_once(self) -> tuple[Outcome, ...]:
        """Reconcile all tokens, and look again at those whose stored token is refused, until that is certain.

        The next process would not remember since when it has been refused, and so would never replace it. It waits for
        ten minutes at most; of a token that needs longer it says so.
        """
        latest = self._world.clock.now() + _LONGEST_WAIT
        outcomes = {outcome.snapshot.token.name: outcome for outcome in self.run_pass()}
        for _ in range(_MOST_TRIALS):
            certain_at = {name: refusal_is_certain_at(outcome.snapshot) for name, outcome in outcomes.items()}
            doubtful = {name: moment for name, moment in certain_at.items() if moment is not None and moment <= latest}
            if not doubtful:
                break
            wait = max(doubtful.values()) - self._world.clock.now() + _JUST_AFTER
            self._world.clock.sleep(max(wait, timedelta(0)))
            again = self.run_pass([self._tokens[name] for name in doubtful])
            outcomes |= {outcome.snapshot.token.name: outcome for outcome in again}
        return tuple(map(_with_doubt, outcomes.values()))

    def rotate(self, tokens: Sequence[ManagedToken], trigger: Trigger) -> tuple[RotationResult, ...]:
        """Rotate the tokens now. Sent again with the same request id, it rotates nothing again."""
        listings = Listings(self._world)
        return tuple(self._each(tokens, lambda token: self._rotate(token, trigger, listings)))

    def revoke_orphans(self, orphans: Sequence[Orphan]) -> tuple[str, ...]:
        """Revoke orphans on a person's word; give an error for each that could not be.

        One of a configured name is given up for its maker, too: it is fenced off before it is revoked, so that a
        rotation that is under way with it elsewhere fails instead of storing a dead token.
        """
        errors = [self._revoke_abandoned(orphan) for orphan in orphans if orphan.abandoned]
        for name in dict.fromkeys(orphan.name for orphan in orphans if not orphan.abandoned):
            given_up = [orphan for orphan in orphans if orphan.name == name]
            errors.append(self._sweep(self._tokens[name], given_up))
        return tuple(error for error in errors if error is not None)

    # --- verbs that only look ---------------------------------------------------------------------

    def look(self, tokens: Sequence[ManagedToken], at: datetime | None = None) -> tuple[tuple[Snapshot, Decision], ...]:
        """Gather and decide for each token, as of ``at`` (default now), changing nothing."""
        listings = Listings(self._world)
        return tuple(self._each(tokens, lambda token: self._look(token, listings, at)))

    def status(self, tokens: Sequence[ManagedToken]) -> tuple[TokenStatus, ...]:
        """Tell where each token stands."""
        now = self._world.clock.now()
        return tuple(
            status_of(snapshot, decision, now, rotating=self._recall.is_acting(snapshot.token.name))
            for snapshot, decision in self.look(tokens)
        )

    def explain(self, token: ManagedToken) -> tuple[tuple[Answer, ...], Decision]:
        """Give every check of the chain with its answer, and the decision they lead to."""
        ((snapshot, decision),) = self.look([token])
        return answers(snapshot, self._world.clock.now()), decision

    def orphans(self) -> tuple[tuple[Orphan, ...], tuple[str, ...]]:
        """Give our live tokens that nothing stores, and what could not be read while looking."""
        now, listings = self._world.clock.now(), Listings(self._world)
        looked = self._each(self.tokens, lambda token: self._look(token, listings, None)[0])
        found = [orphan for snapshot in looked for orphan in _orphans_of(snapshot, now)]
        unread = [
            f"issuer {name}: {listing.reason}"
            for name, listing in listings.all().items()
            if isinstance(listing, Unreadable)
        ]
        unread += [
            f"{snapshot.token.primary}: {snapshot.primary.reason}"
            for snapshot in looked
            if isinstance(snapshot.primary, Unreadable)
        ]
        readable = [listing for listing in listings.all().values() if isinstance(listing, Listing)]
        found += [orphan for listing in readable for orphan in self._abandoned(listing, now)]
        return tuple(found), tuple(unread)

    # --- how ----------------------------------------------------------------------------------------

    def _each(self, tokens: Sequence[ManagedToken], work: Callable[[ManagedToken], T]) -> list[T]:
        """Do the work for each token, some at a time, and give the results in order."""
        if len(tokens) <= 1:
            return [work(token) for token in tokens]
        with ThreadPoolExecutor(max_workers=min(self._concurrency, len(tokens)), thread_name_prefix="token") as pool:
            return list(pool.map(work, tokens))

    def _reconcile(self, token: ManagedToken, listings: Listings, trigger: Trigger | None = None) -> Outcome:
        """Do what is to be done for a name in its turn; for a trigger, whoever leads."""
        name, world = token.name, self._world if trigger is None else self._world.at_a_wish()
        with self._recall.turn(name), self._slots:
            memory = self._recall.memory(name)
            try:
                outcome = reconcile(world, token, listings, memory=memory, trigger=trigger)
            except Exception as error:  # noqa: BLE001  # one name's record, a bug included, must not end the others
                outcome = unjudged(self._world, token, error, memory=memory, trigger=trigger)
            self._recall.remember(name, outcome.memory)
            self._tell_standing(outcome)
            return outcome

    def _tell_standing(self, outcome: Outcome) -> None:
        now, name = self._world.clock.now(), outcome.snapshot.token.name
        try:
            status = status_of(outcome.snapshot, outcome.decision, now)
            orphans = Counter(orphan.token.issuer for orphan in _orphans_of(outcome.snapshot, now))
        except Exception:  # noqa: BLE001  # a standing that cannot be described must not undo what was done
            return
        self._world.observe(events.NameStands(name=name, status=status, orphans=orphans))

    def _count_abandoned(self, listings: Listings) -> None:
        """Tell how many tokens live whose names are not configured, of each issuer that gives a list."""
        now = self._world.clock.now()
        for issuer, listing in listings.all().items():
            if isinstance(listing, Listing):
                tokens = sum(1 for _ in self._abandoned(listing, now))
                self._world.observe(events.AbandonedCounted(issuer=issuer, tokens=tokens))

    def _rotate(self, token: ManagedToken, trigger: Trigger, listings: Listings) -> RotationResult:
        outcome = self._reconcile(token, listings, trigger)
        for _ in range(_MOST_RACES):
            if not outcome.overtaken or outcome.snapshot.pending_trigger is None:
                break
            self._forgive(token.name, mint_key(trigger))
            outcome = self._reconcile(token, Listings(self._world), trigger)
        record = outcome.snapshot.record
        stored = record is not None and record.has_honoured(trigger.request_id)
        now = self._world.clock.now()
        others = [
            plan for planned in (retirements, held_by_copies, out_of_reach) for plan in planned(outcome.snapshot, now)
        ]
        plans = [plan for plan in others if plan.target.is_live(now)]
        why_not = _why_not(outcome) if self._world.may_begin() else "this process is stopping: ask the next one"
        error = None if stored else "; ".join((*outcome.failures[-1:], *filter(None, [why_not])))
        if record is not None and record.compromised and record.request_id == trigger.request_id and plans:
            error = _not_revoked(outcome, plans)
        if record is not None and record.request_id == trigger.request_id and trigger.compromised:
            error = error if record.compromised else _without_haste(trigger)
        return RotationResult(
            name=token.name,
            request_id=trigger.request_id,
            done=error is None,
            already=stored and not outcome.rotated,
            token_id=record.token_id if record else None,
            error=error,
            revoked=outcome.revoked,
            still_live=tuple(plan.target.token_id for plan in plans),
        )

    def _forgive(self, name: str, key: str) -> None:
        """Let a step be tried again at once that failed through nobody's fault."""
        with self._recall.turn(name):
            self._recall.remember(name, recollection.succeeded(self._recall.memory(name), key))

    def _look(self, token: ManagedToken, listings: Listings, at: datetime | None) -> tuple[Snapshot, Decision]:
        """Decide without acting; trying what is stored, or confirming it, is a read, and is not remembered."""
        memory = self._recall.memory(token.name)
        try:
            return self._looked(token, listings, at, memory)
        except Exception as error:  # noqa: BLE001  # the same: the other names are to be seen
            outcome = unjudged(self._world, token, error, memory=memory, trigger=None)
            return outcome.snapshot, outcome.decision

    def _looked(
        self, token: ManagedToken, listings: Listings, at: datetime | None, memory: Memory
    ) -> tuple[Snapshot, Decision]:
        memory = recollection.only_looking(memory, token)
        snapshot = with_copies(self._world, gather(self._world, token, listings, memory=memory))
        snapshot = Looks(self._world).at_all(snapshot)
        moment = at or self._world.clock.now()
        for _ in range(_MOST_TRIALS + len(token.destinations)):
            decision = decide(snapshot, moment)
            if not isinstance(decision.step, TryStored | Confirm):
                break
            snapshot = replace(snapshot, memory=self._trial(snapshot, decision, decision.step))
        return snapshot, decision

    def _trial(self, snapshot: Snapshot, decision: Decision, step: TryStored | Confirm) -> Memory:
        try:
            return apply(self._world, snapshot, decision, step).memory
        except (ProvisionerError, StepFailedError) as error:
            memory = error.memory if isinstance(error, StepFailedError) else snapshot.memory
            why = str(error.__cause__ if isinstance(error, StepFailedError) else error)
            return recollection.failed(memory, step.key, why, now=self._world.clock.now(), remaining=None, jitter=0)

    def _abandoned(self, listing: Listing, now: datetime) -> Iterable[Orphan]:
        for token in listing.tokens:
            owner = token.mark.owner if token.mark else None
            if owner is None or owner.instance != self._instance or owner.name in self._tokens:
                continue
            if token.is_live(now) or (listing.keeps_expired and token.revoked_at is None):
                why = "its name is not configured any more; it is revoked only on request"
                yield Orphan(token=token, name=owner.name, abandoned=True, why=why, revoke_at=None)

    def _revoke_abandoned(self, orphan: Orphan) -> str | None:
        """Revoke a token whose name is not configured, if a fresh list still says the same of it."""
        issuer, token_id = orphan.token.issuer, orphan.token.token_id
        try:
            listing = list_tokens(self._world, issuer)
            if isinstance(listing, Unreadable):
                raise IssuerUnavailableError(listing.reason)
            listed = listing.find(token_id)
            if listed is not None and listed.mark == orphan.token.mark and listed.revoked_at is None:
                self._world.issuers[issuer].revoke(listed)
                reason = "abandoned, revoked on request"
                self._world.observe(
                    events.TokenRevoked(name=orphan.name, issuer=issuer, token_id=token_id, reason=reason)
                )
        except ProvisionerError as error:
            return f"{token_id} of {issuer}: {error}"
        return None

    def _sweep(self, token: ManagedToken, orphans: Sequence[Orphan]) -> str | None:
        with self._recall.turn(token.name):
            memory = self._recall.memory(token.name)
            for orphan in orphans:
                if orphan.token.mark is not None:
                    memory = recollection.gave_up(
                        memory,
                        orphan.token.mark.rotation_id,
                        orphan.token.issuer,
                        now=self._world.clock.now(),
                        may_land=True,
                        on_request=True,
                    )
            self._recall.remember(token.name, memory)
        outcome = self._reconcile(token, Listings(self._world))
        gone = {orphan.token.token_id for orphan in orphans}
        left = [
            other.token_id for other in outcome.snapshot.marked() if other.token_id in gone and other.revoked_at is None
        ]
        if not left:
            return None
        return f"{', '.join(left)} of {token.name}: {'; '.join(outcome.failures) or outcome.decision.message}"


def _orphans_of(snapshot: Snapshot, now: datetime) -> Iterable[Orphan]:
    for plan in retirements(snapshot, now):
        if plan.is_orphan:
            yield Orphan(
                token=plan.target, name=snapshot.token.name, abandoned=False, why=plan.why, revoke_at=plan.revoke_at
            )


def _not_revoked(outcome: Outcome, plans: Sequence[Retirement]) -> str:
    """Say that the new token is stored, and why an old one lives on although it was called compromised."""
    failed = [outcome.memory.backoffs.get(revoke_key(plan.target)) for plan in plans]
    whys = [
        f"{plan.target.token_id} {plan.why}" + (f" (revoking it failed: {backoff.error})" if backoff else "")
        for plan, backoff in zip(plans, failed, strict=True)
    ]
    return f"{STILL_LIVE}: {'; '.join(whys)}"


def _without_haste(trigger: Trigger) -> str:
    return (
        f"request {trigger.request_id} has rotated it already, and not as compromised, so that older tokens live on"
        " for the overlap: choose another request id"
    )


def _why_not(outcome: Outcome) -> str:
    hindrance = outcome.decision.hindrance
    return (
        outcome.decision.message
        if hindrance is None or outcome.failures
        else f"{outcome.decision.message}; {hindrance}"
    )


def _with_doubt(outcome: Outcome) -> Outcome:
    """Say what replaces a token that was refused, and not for long enough to be sure of it."""
    certain_at = refusal_is_certain_at(outcome.snapshot)
    if certain_at is None:
        return outcome
    why = (
        f"the stored token was refused, which is certain at {rfc3339(whole_seconds(certain_at))} and not waited for:"
        " let the daemon replace it, or run once with a verify_timeout below 10 minutes"
    )
    return replace(outcome, failures=(*outcome.failures, why))
