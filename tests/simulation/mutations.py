"""The protocol with one rule left out, many times over: the simulation must catch each.

Every function below stands in the place of one of the product's. Its sentence is the rule that it leaves out.
``python -m tests.simulation.mutations`` prints how each is caught.
"""

import sys
from collections.abc import Callable, Iterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any, Final

from provisioner.domain import checks, decide, retirement
from provisioner.domain.errors import OutcomeUnknownError, ProvisionerError, StoreUnavailableError
from provisioner.domain.mark import Mark, Owner
from provisioner.domain.model import (
    EndedAttempt,
    IssuedToken,
    Listing,
    Memory,
    MintedToken,
    Record,
    Reservation,
    Snapshot,
    Stored,
    TrialResult,
    Trigger,
    Unreadable,
)
from provisioner.domain.retirement import Retirement
from provisioner.domain.secret import SecretText
from provisioner.domain.steps import Copy, Decision, Finding, Mint, Revoke
from provisioner.engine import apply, gather, recollection
from provisioner.engine.minting import Rotation
from provisioner.engine.world import World
from tests.simulation import scenes
from tests.simulation.mutation import LISTED, instead_of, instead_of_check, table

_LONG_AGO: Final = datetime(2020, 1, 1, tzinfo=UTC)


# --- minting ------------------------------------------------------------------------------------------


@instead_of(Rotation, "_phase", caught_by="R1", where=scenes.CHANCE)
def mint_before_preflight(
    original: Callable[..., object], rotation: Rotation, name: str, work: Callable[[], object]
) -> object:
    """Nothing is created before the store has said that it would take a write."""
    return None if name == "preflight" else original(rotation, name, work)


@instead_of(Rotation, "_create", caught_by="R2", where=scenes.CHANCE)
def create_again(original: Callable[..., object], rotation: Rotation) -> object:
    """A create of unknown outcome is not repeated: it may have made a token."""
    try:
        return original(rotation)
    except OutcomeUnknownError:
        rotation._store.preflight(rotation._token.primary)
        return original(rotation)


@instead_of(Rotation, "_write", caught_by="R2", where=scenes.CHANCE)
def mint_again_instead_of_writing_again(_original: object, rotation: Rotation, record: Record) -> str:
    """A write that failed is sent again with the same token: no other is made for it."""
    place, revision = rotation._token.primary, rotation._step.primary.revision
    try:
        return rotation._store.write(place, rotation._token.owner, record, revision)
    except (StoreUnavailableError, OutcomeUnknownError):
        rotation._store.preflight(place)
        another = rotation._record(*rotation._create())
        return rotation._store.write(place, rotation._token.owner, another, revision)


@instead_of(Rotation, "_prove", caught_by="R5", where=scenes.CHANCE)
def commit_unproven(_original: object, _rotation: Rotation, _minted: MintedToken) -> None:
    """A new token is stored only once it was seen to work."""


@instead_of(Rotation, "_prove", caught_by="I1 R6", where=scenes.CHANCE)
def revoke_before_commit(original: Callable[..., None], rotation: Rotation, minted: MintedToken) -> None:
    """The predecessor lives until its successor is stored, and for the overlap after that."""
    original(rotation, minted)
    before = rotation._step.primary.record
    predecessor = rotation._issuer.list().find(before.token_id) if before else None
    if predecessor is not None:
        rotation._issuer.revoke(predecessor)


@instead_of(Rotation, "_write", caught_by="I1 R4", where=scenes.HAND_AND_CHECK)
def no_compare_and_set(original: Callable[..., str], rotation: Rotation, record: Record) -> str:
    """A commit names the revision that was gathered before the token was made."""
    newest = rotation._store.read(rotation._token.primary, rotation._token.owner)
    rotation._step = replace(rotation._step, primary=newest)
    return original(rotation, record)


@instead_of(Rotation, "_landed_before", caught_by="I1 R4", where=scenes.CHANCE)
def commit_against_newer_revision(_original: object, rotation: Rotation, record: Record) -> str:
    """After a conflict the new token is given up: somebody else's is stored."""
    place, owner = rotation._token.primary, rotation._token.owner
    return rotation._store.write(place, owner, record, rotation._store.read(place, owner).revision)


@instead_of(decide, "live_marked", caught_by="I4", where=scenes.CHANCE)
def no_guard_of_three(_original: object, _snapshot: Snapshot, _now: datetime) -> int:
    """With three live tokens of a name nothing is minted, however many answers were lost."""
    return 0


@instead_of(decide, "live_marked", caught_by="I4", where=scenes.LOST_ANSWERS)
def count_listed_tokens_only(_original: object, snapshot: Snapshot, now: datetime) -> int:
    """The guard counts what no list shows yet: tokens that our own lost creates may have made."""
    return sum(1 for token in snapshot.marked() if token.is_live(now))


@instead_of(decide, "live_marked", caught_by="I2", where=scenes.CHANCE)
def count_dead_tokens(_original: object, snapshot: Snapshot, _now: datetime) -> int:
    """The guard counts live tokens: dead ones, which stay listed, do not stop rotation for ever."""
    return len(snapshot.marked())


@instead_of(Mark, "described", caught_by="I2", where=scenes.CHANCE)
def no_mark(_original: object, _mark: Mark, description: str) -> str:
    """Every token that we create carries our mark: it is how a token whose answer was lost is known again."""
    return description


# --- reasons to mint ----------------------------------------------------------------------------------


@instead_of_check(checks.truth_is_unreadable, caught_by="I4", where=scenes.CROWDED)
def mint_blind(_original: object, _snapshot: Snapshot, _now: datetime) -> Finding:
    """While a truth cannot be read nothing is minted."""
    return Finding(message="never mind")


@instead_of(decide, "_unlisted", caught_by="I4", where=scenes.CROWDED_FORMER)
def mint_blind_after_a_move(_original: object, _snapshot: Snapshot, _now: datetime) -> None:
    """While the issuer of the stored token gives no list, nothing is minted at another."""


@instead_of(gather, "list_tokens", caught_by="I4", where=scenes.CROWDED)
def unreadable_list_is_empty(original: Callable[..., Listing | Unreadable], world: World, issuer: str) -> Listing:
    """A list that could not be read is not an empty one."""
    listing = original(world, issuer)
    return Listing(tokens=()) if isinstance(listing, Unreadable) else listing


@instead_of_check(checks.secret_is_foreign, caught_by="I3", where=scenes.CHANCE)
def overwrite_foreign_secret(_original: object, _snapshot: Snapshot, _now: datetime) -> Finding:
    """A secret without our owner field is never overwritten."""
    return Finding(message="never mind")


@instead_of_check(checks.stored_token_is_dead, caught_by="R4", where=scenes.NOT_LISTED)
def trust_stale_list(original: Callable[..., Finding], snapshot: Snapshot, now: datetime) -> Finding:
    """A stored token that its list does not show is not dead yet: the list may be stale, so it is tried first."""
    if snapshot.record is None or snapshot.current is not None or not isinstance(snapshot.primary, Stored):
        return original(snapshot, now)
    return Finding(message="not listed", step=Mint(primary=snapshot.primary, trigger=snapshot.pending_trigger))


@instead_of(recollection, "tried", caught_by="R4", where=scenes.NOT_LISTED)
def take_silence_for_refusal(
    original: Callable[..., Memory], *given: object, result: TrialResult, **named: object
) -> Memory:
    """A trial without an answer says nothing."""
    silent = result is TrialResult.NO_ANSWER
    return original(*given, result=TrialResult.REFUSED if silent else result, **named)


@instead_of_check(checks.stored_token_is_dead, caught_by="I2", where=scenes.CHANCE)
def leave_dead_token_stored(_original: object, _snapshot: Snapshot, _now: datetime) -> Finding:
    """A stored token that somebody revoked is replaced."""
    return Finding(message="never mind")


@instead_of_check(checks.rotation_is_due, caught_by="I1", where=scenes.FIVE_WEEKS)
def never_due(_original: object, _snapshot: Snapshot, _now: datetime) -> Finding:
    """A token is replaced before its life ends."""
    return Finding(message="never mind")


@instead_of_check(checks.issuer_has_changed, caught_by="R4", where=scenes.CHANCE)
def edit_mints(original: Callable[..., Finding], snapshot: Snapshot, now: datetime) -> Finding:
    """Editing a life, a margin or a label mints nothing."""
    record, life = snapshot.record, snapshot.token.ttl
    edited = record is not None and abs(record.expires_at - record.issued_at - life) > timedelta(minutes=30)
    if not edited or not isinstance(snapshot.primary, Stored):
        return original(snapshot, now)
    return Finding(message="edited", step=Mint(primary=snapshot.primary, trigger=snapshot.pending_trigger))


@instead_of(Record, "has_honoured", caught_by="I6", where=scenes.CHANCE)
def forget_honoured_request(_original: object, _record: Record, _request_id: str) -> bool:
    """A request that the record knows of rotates nothing."""
    return False


@instead_of(Record, "has_honoured", caught_by="I6", where=scenes.ASKED_LONG_AGO)
def remember_last_request_only(_original: object, record: Record, request_id: str) -> bool:
    """The record remembers the requests before the last one, too."""
    return request_id == record.request_id


@instead_of(Snapshot, "pending_trigger", caught_by="I6", where=scenes.ASKED_AND_DUE)
def blame_honoured_request(_original: object, snapshot: Snapshot) -> Trigger | None:
    """A rotation that is due is not put down to a request that was honoured before."""
    return snapshot.trigger


@instead_of(gather, "repaired", caught_by="I2", where=scenes.CHANCE)
def no_repair(_original: object, snapshot: Snapshot) -> Snapshot:
    """What somebody damaged in a record is read off the lists again, while the record says which token it holds."""
    return snapshot


@instead_of_check(checks.destination_differs, caught_by="I2", where=scenes.CHANCE)
def leave_copies_behind(_original: object, _snapshot: Snapshot, _now: datetime) -> Finding:
    """Every other destination is brought to what the primary holds."""
    return Finding(message="never mind")


# --- whose token it is --------------------------------------------------------------------------------


@instead_of(Listing, "of", caught_by="I3", where=scenes.CHANCE)
def take_marks_of_others(_original: object, listing: Listing, _owner: Owner) -> Iterator[IssuedToken]:
    """A token with another owner's mark is foreign."""
    return (token for token in listing.tokens if token.mark is not None)


@instead_of(Listing, "of", caught_by="I3", where=scenes.CHANCE)
def take_unmarked_tokens(
    original: Callable[..., Iterator[IssuedToken]], listing: Listing, owner: Owner
) -> Iterator[IssuedToken]:
    """A token without a mark is foreign."""
    yield from original(listing, owner)
    yield from (token for token in listing.tokens if token.mark is None)


@instead_of(Listing, "of", caught_by="I3", where=scenes.CHANCE)
def match_owner_by_prefix(_original: object, listing: Listing, owner: Owner) -> Iterator[IssuedToken]:
    """An owner is matched as a whole: ``telegraf-2`` is not ``telegraf``."""
    return (token for token in listing.tokens if token.mark and str(token.mark.owner).startswith(str(owner)))


@instead_of(Snapshot, "is_stored", caught_by="I1", where=scenes.CHANCE)
def match_by_value(_original: object, snapshot: Snapshot, token: IssuedToken) -> bool:
    """What is stored is found by its id on lists, which show no strings."""
    return snapshot.record is not None and snapshot.record.token.reveal() == token.token_id


@instead_of(SecretText, "__repr__", caught_by="I5", where=scenes.CHANCE)
def show_secrets(_original: object, secret: SecretText) -> str:
    """A token's string masks itself wherever it is written by accident."""
    return secret.reveal()


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
    return EndedAttempt(rotation_id=rotation_id, ended_at=_LONG_AGO, may_land=True, on_request=True)


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


# --- revoking: fence, look again, revoke --------------------------------------------------------------


@instead_of(apply, "_fence", caught_by="I1", where=scenes.HAND_AND_CHECK)
def no_fence(_original: object, _world: World, snapshot: Snapshot, step: Revoke) -> Memory:
    """Before a token is revoked that may be committed yet, the unchanged record is written again."""
    return recollection.fenced(snapshot.memory, snapshot, step.primary.revision)


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


MUTATIONS: Final = tuple(LISTED)
if __name__ == "__main__":
    for line in table(MUTATIONS):
        sys.stdout.write(line)
        sys.stdout.flush()
