"""The only writer: performs one step, and tells how memory and view change by it."""

from dataclasses import dataclass, replace
from datetime import datetime
from typing import assert_never

from provisioner.domain import events
from provisioner.domain.decide import decide
from provisioner.domain.errors import (
    AttemptFailedError,
    ConflictError,
    IssuerRefusedError,
    IssuerUnavailableError,
    ProvisionerError,
    StoreUnavailableError,
)
from provisioner.domain.memory import Memory, TrialResult
from provisioner.domain.model import IssuedToken, ManagedToken, Record, Stored
from provisioner.domain.snapshot import Snapshot
from provisioner.domain.steps import Amend, Confirm, Copy, Decision, Effect, Mint, Notify, Restart, Revoke, TryStored
from provisioner.domain.trials import refusal_is_certain_at
from provisioner.engine import consumers, recollection
from provisioner.engine.gather import Listings, gather, with_copies
from provisioner.engine.minting import Rotation
from provisioner.engine.world import World


@dataclass(frozen=True, slots=True, kw_only=True)
class Applied:
    """What one step changed."""

    memory: Memory
    just_read: Stored | None = None
    """The primary as it was read back, so that it need not be read again."""
    issued: IssuedToken | None = None
    """A token created, amended or revoked, so that the list need not be asked for again."""
    put_off: str | None = None
    """Why nothing was done, and is to be done only after a while, if still."""


class StepFailedError(Exception):
    """Carries the memory out of a step that failed; the cause is the error to tell. Never leaves the engine."""

    def __init__(self, memory: Memory) -> None:
        super().__init__("a step failed")
        self.memory = memory


def apply(world: World, snapshot: Snapshot, decision: Decision, step: Effect) -> Applied:
    """Perform ``step``; raises a ProvisionerError, or StepFailedError when memory has changed all the same."""
    match step:
        case Mint():
            return _mint(world, snapshot, decision, step)
        case TryStored():
            return _try_stored(world, snapshot, step)
        case Amend():
            return _amend(world, snapshot, decision, step)
        case Copy():
            return _copy(world, snapshot, decision, step)
        case Confirm() | Restart() | Notify():
            return Applied(memory=_for_consumers(world, snapshot, decision, step))
        case Revoke():
            return _revoke(world, snapshot, decision, step)
        case _:
            assert_never(step)


def _for_consumers(world: World, snapshot: Snapshot, decision: Decision, step: Confirm | Restart | Notify) -> Memory:
    """See that consumers can read the stored token, or let them."""
    match step:
        case Confirm():
            return _confirm(world, snapshot, step)
        case Restart():
            return consumers.restart(world, snapshot, decision, step)
        case Notify():
            return consumers.notify(world, snapshot, step)
        case _:
            assert_never(step)


def _mint(world: World, snapshot: Snapshot, decision: Decision, step: Mint) -> Applied:
    rotation = Rotation(world, snapshot, step, fact=decision.fact, reason=decision.message)
    try:
        rotated = rotation.run()
    except Exception as error:  # a bug after the create must not lose sight of the token either
        if not rotation.may_exist:
            raise
        memory = recollection.gave_up(
            snapshot.memory,
            rotation.mark.rotation_id,
            snapshot.token.issuer,
            now=world.clock.now(),
            may_land=rotation.may_land,
        )
        raise StepFailedError(memory) from error
    memory = snapshot.memory
    if rotated.stored is not None:
        memory = recollection.tried(
            memory,
            token_id=rotated.record.token_id,
            revision=rotated.stored.revision,
            result=TrialResult.WORKS,
            now=world.clock.now(),
        )
        place = rotated.stored.destination
        if place.has_reader:
            memory = recollection.confirmed(memory, place, rotated.stored.revision, now=world.clock.now())
    return Applied(memory=memory, just_read=rotated.stored, issued=rotated.issued)


def _try_stored(world: World, snapshot: Snapshot, step: TryStored) -> Applied:
    record, now = step.record, world.clock.now
    try:
        works = world.issuers[record.issuer].prove(record.token, record.token_id) and _is_taken(
            world, snapshot.token, record
        )
    except IssuerUnavailableError as error:
        memory = recollection.tried(
            snapshot.memory,
            token_id=record.token_id,
            revision=step.revision,
            result=TrialResult.NO_ANSWER,
            now=now(),
        )
        raise StepFailedError(memory) from error
    result = TrialResult.WORKS if works else TrialResult.REFUSED
    tried = events.StoredTokenTried(name=snapshot.token.name, token_id=record.token_id, result=result.value)
    world.observe(tried)
    memory = recollection.tried(
        snapshot.memory, token_id=record.token_id, revision=step.revision, result=result, now=now()
    )
    if not works:
        certain_at = refusal_is_certain_at(replace(snapshot, memory=memory))
        world.observe(events.StoredTokenRefused(name=tried.name, token_id=record.token_id, certain_at=certain_at))
    return Applied(memory=memory)


def _is_taken(world: World, token: ManagedToken, record: Record) -> bool:
    """Tell whether one of the issuers that are called with a token takes it: all would hardly be wrong.

    While some say nothing, the no of the one that issued it is enough.
    """
    refused, silent = set[str](), None
    for name in token.credential_of:
        try:
            if world.issuers[name].accepts(record.token):
                return True
            refused.add(name)
        except (IssuerUnavailableError, IssuerRefusedError) as error:
            silent = error
    if silent is not None and record.issuer not in refused:
        raise silent
    return not token.credential_of


def _amend(world: World, snapshot: Snapshot, decision: Decision, step: Amend) -> Applied:
    target = step.target
    world.issuers[target.issuer].amend(target, step.permissions)
    amended = events.PermissionsAmended(
        name=snapshot.token.name,
        issuer=target.issuer,
        token_id=target.token_id,
        permissions=tuple(map(str, sorted(step.permissions))),
        reason=decision.message,
    )
    world.observe(amended)
    memory = recollection.amended(snapshot.memory, target, step.permissions, now=world.clock.now())
    return Applied(memory=memory, issued=replace(target, permissions=step.permissions))


def _copy(world: World, snapshot: Snapshot, decision: Decision, step: Copy) -> Applied:
    token, place = snapshot.token, step.destination
    revision = world.stores[place.store].write(place, token.owner, step.record, step.revision)
    written = events.DestinationWritten(
        name=token.name,
        destination=str(place),
        revision=revision,
        token_id=step.record.token_id,
        fact=decision.fact,
        reason=decision.message,
    )
    world.observe(written)
    memory = snapshot.memory
    if place == token.primary and isinstance(snapshot.primary, Stored):
        memory = recollection.moved(memory, snapshot.primary, revision)
    return Applied(memory=memory)


def _confirm(world: World, snapshot: Snapshot, step: Confirm) -> Memory:
    """Read a destination by the reader of its store; whatever else it sees than we did is not what consumers need."""
    name, place = snapshot.token.name, step.destination
    try:
        seen = world.stores[place.store].confirm(place, snapshot.token.owner)
        if seen.record != step.record or seen.revision != step.revision:
            raise StoreUnavailableError(f"the reader of store {place.store} reads something else there than we do")
    except ProvisionerError as error:
        raise AttemptFailedError(f"consumers cannot read {place}: {error}") from error
    world.observe(events.DestinationConfirmed(name=name, destination=str(place), revision=step.revision))
    return recollection.confirmed(snapshot.memory, place, step.revision, now=world.clock.now())


def _revoke(world: World, snapshot: Snapshot, decision: Decision, step: Revoke) -> Applied:
    """Fence if needed, read both truths afresh, and revoke only if they still say the very same."""
    memory = _fence(world, snapshot, step) if step.fence is not None else snapshot.memory
    fresh = gather(world, snapshot.token, Listings(world), memory=memory, trigger=snapshot.trigger)
    fresh = replace(fresh, for_wish_alone=snapshot.for_wish_alone)
    fresh = with_copies(world, fresh, afresh=True)  # one in its backoff may hold the token all the same
    fresh = consumers.looked_at_before_revoking(world, fresh)
    memory = fresh.memory
    again = decide(fresh, world.clock.now()).step
    agreed = isinstance(again, Revoke) and again.target == step.target and again.fence is None
    if not agreed or fresh.is_stored(step.target):
        return Applied(memory=memory, put_off="a fresh look at the lists and the store did not agree")
    try:
        world.check_acts()
        world.issuers[step.target.issuer].revoke(step.target)
    except ProvisionerError as error:
        raise StepFailedError(memory) from error
    revoked = events.TokenRevoked(
        name=snapshot.token.name,
        issuer=step.target.issuer,
        token_id=step.target.token_id,
        reason=decision.message,
    )
    world.observe(revoked)
    consumers.tell_left_behind(world, fresh, step.target)
    if step.target.mark is not None:  # many an issuer lists it no more: it counts as none that may live yet
        memory = recollection.forgotten(memory, step.target.mark.rotation_id)
    gone = _as_revoked(step.target, world.clock.now())
    return Applied(memory=recollection.revoked(memory, gone), issued=gone)


def _fence(world: World, snapshot: Snapshot, step: Revoke) -> Memory:
    """Write the unchanged record again: the revision moves, and no earlier write can land any more."""
    token, place, memory = snapshot.token, snapshot.token.primary, snapshot.memory
    if step.fence is None:
        return memory
    try:
        revision = world.stores[place.store].write(place, token.owner, step.fence, step.primary.revision)
    except ConflictError:
        return memory  # somebody wrote since: the fresh look judges
    moved = recollection.moved(memory, step.primary, revision)
    world.observe(
        events.RevisionFenced(name=token.name, destination=str(place), revision=revision, token_id=step.target.token_id)
    )
    return recollection.fenced(moved, snapshot, revision)


def _as_revoked(token: IssuedToken, now: datetime) -> IssuedToken:
    return replace(token, revoked_at=now)
