"""The protocol with a rule of minting left out: what makes a token, what asks for one, and whose it is.

Every function stands in the place of one of the product's. Its sentence is the rule that it leaves out.
"""

from collections.abc import Callable, Iterator
from dataclasses import replace
from datetime import datetime, timedelta

from provisioner.domain import checks, decide, unlisted
from provisioner.domain.errors import OutcomeUnknownError, StoreUnavailableError
from provisioner.domain.mark import Mark, Owner
from provisioner.domain.memory import Memory, TrialResult
from provisioner.domain.model import IssuedToken, Listing, MintedToken, Record, Stored, Trigger, Unreadable
from provisioner.domain.secret import SecretText
from provisioner.domain.snapshot import Snapshot
from provisioner.domain.steps import Finding, Mint
from provisioner.engine import gather, minting, recollection
from provisioner.engine.minting import Rotation
from provisioner.engine.world import World
from tests.simulation import scenes
from tests.simulation.mutation import instead_of, instead_of_check

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


@instead_of(unlisted, "unseen_predecessors", caught_by="I4", where=scenes.FORMER_DOWN)
def trust_other_lists(_original: object, _snapshot: Snapshot, _now: datetime) -> frozenset[str]:
    """What a record came after may live at an issuer that gives no list, as a new process has to assume."""
    return frozenset()


@instead_of(minting, "unseen_predecessors", caught_by="I4", where=scenes.FORMER_DOWN)
def pass_no_predecessors_on(_original: object, _snapshot: Snapshot, _now: datetime) -> frozenset[str]:
    """What may live at an issuer that gives no list is passed on from one record to the next."""
    return frozenset()


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
