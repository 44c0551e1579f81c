"""Gather, decide, apply, and again, until there is nothing left to do for a name now."""

from dataclasses import dataclass, replace
from datetime import timedelta
from typing import Final

from provisioner.domain import events
from provisioner.domain.belonging import belongs_to_wish
from provisioner.domain.decide import decide
from provisioner.domain.errors import OvertakenError, ProvisionerError
from provisioner.domain.memory import Memory
from provisioner.domain.model import Destination, ManagedToken, Stored, Trigger, Unreadable
from provisioner.domain.scrub import scrub
from provisioner.domain.snapshot import Snapshot
from provisioner.domain.steps import (
    GATHER_KEY,
    Confirm,
    Copy,
    Decision,
    Effect,
    Mint,
    Notify,
    Refuse,
    Rest,
    Restart,
    Revoke,
    TryStored,
    copy_key,
    kind,
    read_key,
)
from provisioner.engine import recollection
from provisioner.engine.apply import StepFailedError, apply
from provisioner.engine.consumers import Looks
from provisioner.engine.gather import Listings, ask_copy, gather
from provisioner.engine.world import World

MOST_STEPS: Final = 24
"""More steps than any state can ask for in a row; then the rest waits for the next wake-up."""
TRUTH_UNREADABLE: Final = "truth_is_unreadable"


@dataclass(frozen=True, slots=True, kw_only=True)
class Outcome:
    """Where a name stands after it was reconciled."""

    snapshot: Snapshot
    decision: Decision
    memory: Memory
    failures: tuple[str, ...] = ()
    """Errors of the steps that failed on the way, in order."""
    changed: int = 0
    """How many steps had an effect."""
    revoked: tuple[str, ...] = ()
    """Ids of the tokens that were revoked on the way, in order."""
    rotated: bool = False
    """Whether a new token was made and stored on the way."""
    overtaken: bool = False
    """Whether none was, because somebody else wrote the secret first."""


def reconcile(
    world: World, token: ManagedToken, listings: Listings, *, memory: Memory, trigger: Trigger | None = None
) -> Outcome:
    """Take steps until the decision is to rest, or somebody else is to act. Trouble outside is said, not raised.

    In a world ``at_a_wish`` a person asked this very process for the trigger: what belongs to it is done whoever leads.
    """
    just_read: Stored | None = None
    looked_at: Snapshot | None = None
    failures: list[str] = []
    revoked: list[str] = []
    in_vain = set[str]()
    changed, looks = 0, Looks(world)
    rotated = overtaken = False
    for _ in range(MOST_STEPS):
        snapshot = looked_at or gather(world, token, listings, memory=memory, trigger=trigger, just_read=just_read)
        snapshot = replace(
            snapshot,
            for_wish_alone=world.is_at_a_wish and not world.may_act(),
            memory=recollection.listed(_of_what_is_stored(snapshot, memory), snapshot),
        )
        snapshot, decision = _judged(world, looks, snapshot)
        memory, step = snapshot.memory, decision.step
        if isinstance(step, Rest | Refuse):
            decision = decide(snapshot, world.clock.now())
            break
        _tell(world, token, decision)
        is_ours = world.may_act() or (world.is_at_a_wish and belongs_to_wish(step, snapshot))
        if not is_ours or _is_left(world, step, in_vain):
            break  # who leads now, the next process, or the next pass takes it from here
        looked_at = snapshot if isinstance(step, Confirm | Restart | Notify) else None  # these change neither truth
        try:
            applied = apply(world, snapshot, decision, step)
        except Exception as error:  # noqa: BLE001  # one name's trouble, a bug included, must not end the others
            memory, just_read = _failed(world, snapshot, decision, step, error), None
            failures.append(memory.backoffs[step.key].error)
            in_vain.add(step.key)
            overtaken = overtaken or isinstance(error.__cause__ or error, OvertakenError)
            # The attempt may have left a token, which is to be seen at once.
            listings = listings if looked_at else Listings(world)
            continue
        if applied.put_off is not None:
            memory, just_read = _put_off(world, snapshot, applied.memory, step.key, applied.put_off), None
            listings = Listings(world)  # this one is behind what was seen just now
            continue
        memory, just_read = recollection.succeeded(applied.memory, step.key), applied.just_read
        rotated = rotated or isinstance(step, Mint)
        changed += not isinstance(step, TryStored | Confirm | Restart | Notify)  # these only look, or come after it
        if isinstance(step, Mint) and token.credential_of:
            listings = Listings(world)  # asked with the new token, which is what the end of the old one waits for
        if applied.issued is not None:
            listings.note(applied.issued)
            revoked += [applied.issued.token_id] if isinstance(step, Revoke) else []
    _tell(world, token, decision)
    _tell_of_hindrance(world, token, decision, memory)
    if snapshot.for_wish_alone:  # what else there is to do belongs to where the name stands
        snapshot = replace(snapshot, for_wish_alone=False)
        decision = decide(snapshot, world.clock.now())
    return Outcome(
        snapshot=snapshot,
        decision=decision,
        memory=memory,
        failures=tuple(failures),
        changed=changed,
        revoked=tuple(revoked),
        rotated=rotated,
        overtaken=overtaken and not rotated,
    )


def _judged(world: World, looks: Looks, snapshot: Snapshot) -> tuple[Snapshot, Decision]:
    """Decide, and before anything that can wait look at the copies and the consumers in question."""
    decision = decide(snapshot, world.clock.now())
    if isinstance(decision.step, Rest | Refuse | Revoke | Notify) and decision.fact != TRUTH_UNREADABLE:
        asked = snapshot if isinstance(decision.step, Notify) else _ask_copies(world, snapshot)
        snapshot = looks.at_those_in_question(asked)
        decision = decide(snapshot, world.clock.now())
    snapshot = _note_unreadable(world, snapshot, decision)
    wanted = recollection.of_what_is_wanted(snapshot.memory, snapshot, decision, world.clock.now())
    return replace(snapshot, memory=wanted), decision


def _is_left(world: World, step: Effect, in_vain: set[str]) -> bool:
    """Tell whether a step is not to be begun in this pass: nothing new once somebody has asked us to leave.

    Nor is a webhook told again: while one hangs, the backoff of another ends; who waits for the name comes first.
    """
    is_again = isinstance(step, Notify) and step.key in in_vain
    return is_again or (isinstance(step, Mint | Restart | Notify) and not world.may_begin())


def _ask_copies(world: World, snapshot: Snapshot) -> Snapshot:
    """Ask one copy after another, those in trouble last, up to the first that has to be written.

    No rotation waits for a copy: it was decided on before any is asked. Nor does a copy wait for another that was in
    trouble before, however long that one takes to give no answer.
    """
    backoffs = snapshot.memory.backoffs

    def is_in_trouble(place: Destination) -> bool:
        return read_key(place) in backoffs or copy_key(place) in backoffs

    for place in sorted(snapshot.token.destinations[1:], key=is_in_trouble):
        if snapshot.memory.must_wait(read_key(place), world.clock.now()) is None:
            snapshot = _note_copy(world, ask_copy(world, snapshot, place), place)
        if isinstance(decide(snapshot, world.clock.now()).step, Copy):
            break
    return snapshot


def _note_copy(world: World, snapshot: Snapshot, place: Destination) -> Snapshot:
    """Count a copy's failed read towards the backoff of asking it, and tell; or forget such failures."""
    key, read = read_key(place), snapshot.copies[snapshot.token.destinations.index(place) - 1]
    if not isinstance(read, Unreadable):
        return replace(snapshot, memory=recollection.succeeded(snapshot.memory, key))
    memory = recollection.failed(
        snapshot.memory,
        key,
        read.reason,
        now=world.clock.now(),
        remaining=_remaining(world, snapshot),
        jitter=world.entropy.jitter(),
    )
    backoff = memory.backoffs[key]
    failed = events.LookFailed(
        name=snapshot.token.name,
        reason=f"{place} could not be read: {read.reason}",
        failures=backoff.failures,
        retry_at=backoff.retry_at,
    )
    world.observe(failed)
    return replace(snapshot, memory=memory)


def _of_what_is_stored(snapshot: Snapshot, memory: Memory) -> Memory:
    """Note when the stored token ends; it was not given up, if its late write has made it the current one after all."""
    record, life = snapshot.record, snapshot.life
    if isinstance(snapshot.primary, Unreadable):
        return memory
    memory = recollection.found(memory, snapshot.primary)
    if record is None or life is None:
        return replace(memory, expires_at=None)
    return replace(recollection.forgotten(memory, record.rotation_id), expires_at=life[1])


def _note_unreadable(world: World, snapshot: Snapshot, decision: Decision) -> Snapshot:
    """Count a failed look towards the backoff of looking, or forget such failures."""
    if decision.fact != TRUTH_UNREADABLE:
        return replace(snapshot, memory=recollection.succeeded(snapshot.memory, GATHER_KEY))
    memory = recollection.failed(
        snapshot.memory,
        GATHER_KEY,
        decision.message,
        now=world.clock.now(),
        remaining=_remaining(world, snapshot),
        jitter=world.entropy.jitter(),
    )
    return replace(snapshot, memory=memory)


def _failed(world: World, snapshot: Snapshot, decision: Decision, step: Effect, error: Exception) -> Memory:
    """Put the step off, and tell the observers why."""
    memory = snapshot.memory
    if isinstance(error, StepFailedError):
        memory, error = error.memory, error.__cause__ if isinstance(error.__cause__, Exception) else error
    text = str(error) if isinstance(error, ProvisionerError) else f"unexpected {type(error).__name__}"
    memory = recollection.failed(
        memory,
        step.key,
        scrub(text),
        now=world.clock.now(),
        remaining=_remaining(world, snapshot),
        jitter=world.entropy.jitter(),
    )
    backoff = memory.backoffs[step.key]
    failure = events.StepFailed(
        name=snapshot.token.name,
        step=kind(step),
        fact=decision.fact,
        error=backoff.error,
        failures=backoff.failures,
        retry_at=backoff.retry_at,
    )
    world.observe(failure)
    return memory


def _put_off(world: World, snapshot: Snapshot, memory: Memory, key: str, why: str) -> Memory:
    """Let a step wait that was not taken: that is no failure to tell of, and yet must not be tried again at once."""
    remaining, jitter = _remaining(world, snapshot), world.entropy.jitter()
    return recollection.failed(memory, key, why, now=world.clock.now(), remaining=remaining, jitter=jitter)


def _remaining(world: World, snapshot: Snapshot) -> timedelta | None:
    """Give how long the stored token has to live; None when nothing hangs on it any more."""
    expires_at = snapshot.memory.expires_at
    remaining = timedelta(0) if expires_at is None else expires_at - world.clock.now()
    return remaining if remaining > timedelta(0) else None


def _tell(world: World, token: ManagedToken, decision: Decision) -> None:
    step = kind(decision.step)
    world.observe(events.Decided(name=token.name, fact=decision.fact, step=step, message=decision.message))
    if decision.hindrance is not None:
        held_up = events.StepHeldUp(name=token.name, fact=decision.fact, hindrance=decision.hindrance)
        world.observe(held_up)


def _tell_of_hindrance(world: World, token: ManagedToken, decision: Decision, memory: Memory) -> None:
    """Tell, once a pass, that nothing can be done for a name: for whoever reads the log and not the status."""
    if isinstance(decision.step, Refuse):
        world.observe(events.NameRefused(name=token.name, fact=decision.fact, reason=decision.message))
    looking = memory.backoffs.get(GATHER_KEY)
    if decision.fact == TRUTH_UNREADABLE and looking is not None:
        failed = events.LookFailed(
            name=token.name, reason=looking.error, failures=looking.failures, retry_at=looking.retry_at
        )
        world.observe(failed)
