"""The protocol with a rule of retiring left out: when a token ends, and what is done before it is revoked.

Every function stands in the place of one of the product's. Its sentence is the rule that it leaves out.
"""

from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any, Final

from provisioner.domain import retirement
from provisioner.domain.errors import ProvisionerError
from provisioner.domain.memory import EndedAttempt, Memory
from provisioner.domain.model import IssuedToken, Record, Reservation, Stored
from provisioner.domain.retirement import Retirement
from provisioner.domain.snapshot import Snapshot
from provisioner.domain.steps import Copy, Decision, Revoke
from provisioner.engine import apply, recollection
from provisioner.engine.world import World
from tests.simulation import scenes
from tests.simulation.mutation import instead_of

_LONG_AGO: Final = datetime(2020, 1, 1, tzinfo=UTC)


# --- when a token ends --------------------------------------------------------------------------------


@instead_of(retirement, "_predecessor", caught_by="I1", where=scenes.CHANCE)
def no_overlap(original: Callable[..., Retirement], snapshot: Snapshot, *given: object) -> Retirement:
    """A token that was replaced lives on for the overlap."""
    return original(replace(snapshot, token=replace(snapshot.token, overlap=timedelta(0))), *given)


@instead_of(retirement, "current_since", caught_by="I1", where=scenes.ROLLED_BACK)
def no_overlap_after_roll_back(_original: object, _snapshot: Snapshot) -> None:
    """A newer token, too, has its overlap, when a person has restored an older one over it."""


@instead_of(retirement, "stored_since", caught_by="I1", where=scenes.ROLLED_BACK)
def count_overlap_from_sending(_original: object, _stored: Stored, record: Record) -> datetime:
    """An overlap begins when the store took the record, not when the record was first sent."""
    return record.stored_at


@instead_of(retirement, "_given_up", caught_by="I1", where=scenes.LANDED_LATE)
def no_overlap_after_giving_up(original: Callable[..., Retirement], *given: Any) -> Retirement:
    """What was given up may have landed and been current: then it has its overlap."""
    return replace(original(*given), revoke_at=given[-1].ended_at)


@instead_of(retirement, "_predecessor", caught_by="I2", where=scenes.CHANCE)
def keep_predecessors(original: Callable[..., Retirement], *given: object) -> Retirement:
    """A token that was replaced ends after the overlap."""
    return replace(original(*given), revoke_at=None)


@instead_of(retirement, "_orphan", caught_by="I2", where=scenes.CHANCE)
def keep_orphans(original: Callable[..., Retirement], *given: object) -> Retirement:
    """A token that was never stored ends after the quiet period."""
    return replace(original(*given), revoke_at=None)


@instead_of(retirement, "_orphan", caught_by="R3", where=scenes.HAND_AND_CHECK)
def no_quiet_period(original: Callable[..., Retirement], snapshot: Snapshot, *given: object) -> Retirement:
    """An orphan is left alone for the quiet period: its maker may be about to store it."""
    return original(replace(snapshot, token=replace(snapshot.token, orphan_quiet_period=timedelta(0))), *given)


@instead_of(Memory, "ended_attempt", caught_by="R3", where=scenes.HAND_AND_CHECK)
def take_attempts_of_others_for_ended(_original: object, _memory: Memory, rotation_id: str) -> EndedAttempt:
    """Only an attempt that this very process began and ended needs no quiet period."""
    return EndedAttempt(rotation_id=rotation_id, issuer="cluster", ended_at=_LONG_AGO, may_land=True, on_request=True)


@instead_of(retirement, "_stands_in_the_way", caught_by="I2", where=scenes.CHANCE)
def make_no_room(_original: object, *_given: object) -> bool:
    """With nothing stored and three live tokens, the youngest goes: else nothing could ever be minted."""
    return False


@instead_of(Snapshot, "is_stored", caught_by="R6", where=scenes.COPY_AHEAD)
def look_at_primary_only(original: Callable[..., bool], snapshot: Snapshot, token: IssuedToken) -> bool:
    """What any destination holds is never revoked."""
    return original(replace(snapshot, copies=()), token)


@instead_of(retirement, "_held_everywhere_since", caught_by="I1", where=scenes.COPY_BEHIND)
def no_overlap_for_copies(_original: object, snapshot: Snapshot) -> datetime | None:
    """Consumers of a copy that was brought up to date late have their overlap, too."""
    return retirement.current_since(snapshot)


@instead_of(retirement, "_behind", caught_by="R6", where=scenes.COPY_BEHIND)
def do_not_wait_for_copies(_original: object, _snapshot: Snapshot) -> None:
    """A predecessor is kept until every destination is known to hold the current token."""


@instead_of(retirement, "unreadable", caught_by="R8", where=scenes.KEPT_FROM_READER)
def do_not_wait_for_consumers(_original: object, _snapshot: Snapshot) -> None:
    """A predecessor is kept until consumers were seen to read the current token, where a store has a reader."""


# --- revoking: fence, look again, revoke --------------------------------------------------------------


@instead_of(apply, "_fence", caught_by="I1", where=scenes.HAND_AND_CHECK)
def no_fence(_original: object, _world: World, snapshot: Snapshot, step: Revoke) -> Memory:
    """Before a token is revoked that may be committed yet, the unchanged record is written again."""
    return recollection.fenced(snapshot.memory, snapshot, step.primary.revision)


@instead_of(recollection, "found", caught_by="I1", where=scenes.BACK_TO_A_FENCE)
def remember_fence_for_ever(_original: object, memory: Memory, _primary: Stored) -> Memory:
    """A fence is forgotten once the store is found at another revision: that of the fence may come back."""
    return memory


@instead_of(apply, "_fence", caught_by="I1", where=scenes.NOTHING_STORED)
def no_reservation(original: Callable[..., Memory], world: World, snapshot: Snapshot, step: Revoke) -> Memory:
    """Where nothing is stored, a reservation is written instead: it moves the revision just as well."""
    if not isinstance(step.fence, Reservation):
        return original(world, snapshot, step)
    return recollection.fenced(snapshot.memory, snapshot, step.primary.revision)


@instead_of(retirement, "_fence", caught_by="R7", where=scenes.HAND_AND_CHECK)
def always_reserve(_original: object, _primary: Stored) -> Reservation:
    """A fence writes again what is stored: a reservation would take the token away."""
    return Reservation()


@instead_of(apply, "_fence", caught_by="I1 R4", where=scenes.HAND_AND_CHECK)
def fence_without_compare_and_set(
    original: Callable[..., Memory], world: World, snapshot: Snapshot, step: Revoke
) -> Memory:
    """A fence, too, names the revision gathered, lest it write an old record over a new one."""
    place = snapshot.token.primary
    newest = world.stores[place.store].read(place, snapshot.token.owner)
    return original(world, snapshot, replace(step, primary=replace(step.primary, revision=newest.revision)))


@instead_of(apply, "_copy", caught_by="I1 R4", where=scenes.SPELLED_OTHERWISE)
def copy_without_compare_and_set(
    original: Callable[..., object], world: World, snapshot: Snapshot, decision: Decision, step: Copy
) -> object:
    """A record that is only spelled anew names the revision gathered, lest an old one come back."""
    place = step.destination
    newest = world.stores[place.store].read(place, snapshot.token.owner)
    return original(world, snapshot, decision, replace(step, revision=newest.revision))


@instead_of(recollection, "fenced", caught_by="I2", where=scenes.CHANCE)
def forget_fence(_original: object, memory: Memory, _snapshot: Snapshot, _revision: str) -> Memory:
    """A process remembers what it fenced off, or it would fence for ever and never revoke."""
    return memory


@instead_of(recollection, "gave_up", caught_by="I1", where=scenes.WRITES_LOST)
def revoke_at_once_after_unknown_outcome(original: Callable[..., Memory], *given: object, **named: object) -> Memory:
    """A token whose commit ended in an unknown outcome is fenced off like any other: the write may land late."""
    return original(*given, **(named | {"may_land": False}))


@instead_of(retirement, "_is_predecessor", caught_by="I1", where=scenes.SAME_INSTANT)
def equal_age_is_older(original: Callable[..., bool], snapshot: Snapshot, record: Record, target: IssuedToken) -> bool:
    """Only a token that is surely older than the current one needs no fence."""
    current = snapshot.current
    equal = current is not None and current.created_at == target.created_at and current.issuer == target.issuer
    return equal or original(snapshot, record, target)


@instead_of(apply, "_revoke", caught_by="I1", where=scenes.HAND_AND_CHECK)
def no_fresh_look(_original: object, world: World, snapshot: Snapshot, _decision: object, step: Revoke) -> object:
    """Right before a revocation both truths are read again: what was an orphan may have been stored."""
    memory = apply._fence(world, snapshot, step)
    try:
        world.issuers[step.target.issuer].revoke(step.target)
    except ProvisionerError as error:
        raise apply.StepFailedError(memory) from error
    return apply.Applied(memory=memory, issued=apply._as_revoked(step.target, world.clock.now()))
