"""How a process's memory of a name changes: pure functions from one Memory to the next."""

from dataclasses import replace
from datetime import datetime, timedelta

from provisioner.domain.checks import out_of_step, permission_change, truth_is_unreadable
from provisioner.domain.consumers import Sight, Standing, Webhook, Workload
from provisioner.domain.following import NOBODY_KNOWS, counted, seen_as, sight_of, untold
from provisioner.domain.memory import Amendment, Backoff, Confirmation, EndedAttempt, Fence, Memory, Trial, TrialResult
from provisioner.domain.model import (
    Destination,
    IssuedToken,
    Listing,
    ManagedToken,
    Permission,
    Record,
    Stored,
    Unreadable,
)
from provisioner.domain.readers import unconfirmed
from provisioner.domain.retirement import current_since, retirements
from provisioner.domain.snapshot import Snapshot
from provisioner.domain.steps import (
    AMEND_KEY,
    GATHER_KEY,
    TRY_KEY,
    Confirm,
    Copy,
    Decision,
    Notify,
    Rest,
    Restart,
    Revoke,
    confirm_key,
    copy_key,
    is_mint_key,
    is_revoke_key,
    look_key,
    notify_key,
    read_key,
    restart_key,
    revoke_key,
)
from provisioner.domain.timing import backoff
from provisioner.domain.trials import still_has_to_work

_ENDED_KEPT = 32
_REVOKED_KEPT = 32


def failed(
    memory: Memory, key: str, error: str, *, now: datetime, remaining: timedelta | None, jitter: float
) -> Memory:
    """Count a failure of the effect ``key`` and put off its next try."""
    before = memory.backoffs.get(key)
    failures = before.failures + 1 if before else 1
    entry = Backoff(failures=failures, retry_at=now + backoff(failures, remaining, jitter), error=error)
    return replace(memory, backoffs={**memory.backoffs, key: entry})


def succeeded(memory: Memory, key: str) -> Memory:
    """Forget the failures of the effect ``key``."""
    return replace(memory, backoffs={name: entry for name, entry in memory.backoffs.items() if name != key})


def of_what_is_wanted(memory: Memory, snapshot: Snapshot, decision: Decision, now: datetime) -> Memory:
    """Forget the failures of effects that nobody wants any more: somebody else, or a person, has seen to them."""
    late = Rest | Copy | Confirm | Restart | Notify | Revoke
    if decision.fact == truth_is_unreadable.__name__ or not isinstance(decision.step, late):
        return memory
    wanted = {GATHER_KEY}
    if still_has_to_work(snapshot):
        wanted.add(TRY_KEY)
    if permission_change(snapshot, now) is not None:
        wanted.add(AMEND_KEY)
    if decision.hindrance is not None:
        wanted |= {key for key in memory.backoffs if is_mint_key(key)}
    wanted |= {revoke_key(plan.target) for plan in retirements(snapshot, now)}
    wanted |= {key for place in out_of_step(snapshot) for key in (copy_key(place), read_key(place))}
    wanted |= {confirm_key(destination) for destination, _ in unconfirmed(snapshot)}
    wanted |= {notify_key(webhook) for webhook in untold(snapshot)}
    wanted |= {key for workload in snapshot.token.workloads for key in _wanted_of(snapshot, workload)}
    if any(isinstance(listing, Unreadable) for listing in snapshot.listings.values()):
        wanted |= {key for key in memory.backoffs if is_revoke_key(key)}
    return replace(memory, backoffs={key: entry for key, entry in memory.backoffs.items() if key in wanted})


def _wanted_of(snapshot: Snapshot, workload: Workload) -> tuple[str, ...]:
    """Give the keys of what is wanted of a workload: as long as it cannot be read, nobody knows."""
    sight = sight_of(snapshot, workload)
    if sight is None or sight.standing is Standing.UNREADABLE:
        return look_key(workload), restart_key(workload)
    return (restart_key(workload),) if sight.standing in {Standing.BEHIND, Standing.MISSING} else ()


def gave_up(
    memory: Memory, rotation_id: str, issuer: str, *, now: datetime, may_land: bool, on_request: bool = False
) -> Memory:
    """Remember that this process will never write that rotation's token again."""
    attempt = EndedAttempt(
        rotation_id=rotation_id, issuer=issuer, ended_at=now, may_land=may_land, on_request=on_request
    )
    return replace(memory, ended=(attempt, *forgotten(memory, rotation_id).ended)[:_ENDED_KEPT])


def forgotten(memory: Memory, rotation_id: str) -> Memory:
    """Forget an attempt that ended: its token is stored after all, or has been revoked."""
    return replace(memory, ended=tuple(attempt for attempt in memory.ended if attempt.rotation_id != rotation_id))


def tried(memory: Memory, *, token_id: str, revision: str, result: TrialResult, now: datetime) -> Memory:
    """Remember what came of using the stored token."""
    before, refused_since = memory.trial, None
    if result is not TrialResult.WORKS:  # no answer is no break in a refusal
        again = before is not None and (before.token_id, before.revision) == (token_id, revision)
        refused_since = before.refused_since if before and again else None
    if result is TrialResult.REFUSED:
        refused_since = refused_since or now
    trial = Trial(token_id=token_id, revision=revision, result=result, tried_at=now, refused_since=refused_since)
    return replace(memory, trial=trial)


def listed(memory: Memory, snapshot: Snapshot) -> Memory:
    """Remember the tokens of the name on every list that could be read."""
    readable = {name: listing for name, listing in snapshot.listings.items() if isinstance(listing, Listing)}
    tokens = {name: tuple(listing.of(snapshot.token.owner)) for name, listing in readable.items()}
    now_seen = {token.mark.rotation_id for token in snapshot.marked() if token.mark is not None}
    before = memory.seen & set(snapshot.record.predecessors) if snapshot.record is not None else memory.seen
    return replace(
        memory,
        listed={**memory.listed, **tokens},
        seen=before | now_seen,
        amendment=_still_unseen(memory, snapshot),
    )


def amended(memory: Memory, token: IssuedToken, permissions: frozenset[Permission], *, now: datetime) -> Memory:
    """Remember that this process changed what a token may do."""
    return replace(memory, amendment=Amendment(token_id=token.token_id, permissions=permissions, at=now))


def _still_unseen(memory: Memory, snapshot: Snapshot) -> Amendment | None:
    """Give the amendment that no later list has shown: once seen, whatever differs is somebody else's doing."""
    done = memory.amendment
    for listing in snapshot.listings.values():
        if done is None or not isinstance(listing, Listing) or listing.asked_at is None or listing.asked_at <= done.at:
            continue
        token = listing.find(done.token_id)
        if token is not None and token.permissions == done.permissions:
            return None
    return done


def revoked(memory: Memory, token: IssuedToken) -> Memory:
    """Remember that this process revoked a token."""
    others = tuple(other for other in memory.revoked if other.token_id != token.token_id)
    return replace(memory, revoked=(token, *others)[:_REVOKED_KEPT])


def confirmed(memory: Memory, destination: Destination, revision: str, *, now: datetime) -> Memory:
    """Remember that the reader of its store has read a destination at that revision; maybe after failures."""
    had_failed = confirm_key(destination) in memory.backoffs
    confirmation = Confirmation(revision=revision, since=now if had_failed else None)
    return replace(memory, confirmed={**memory.confirmed, str(destination): confirmation})


def saw(memory: Memory, workload: Workload, sight: Sight) -> Memory:
    """Remember how a workload stands."""
    return replace(memory, sights={**memory.sights, workload: sight})


def restarted(memory: Memory, workload: Workload, record: Record, *, now: datetime) -> Memory:
    """Remember that this process restarted a workload: how far it is, is for the next look to tell."""
    count = counted(memory, workload, record, now)
    sight = seen_as(Standing.ROLLING_OUT, "it was restarted just now", record, memory.sights.get(workload), now)
    return saw(replace(memory, restarts={**memory.restarts, workload: count}), workload, sight)


def told(memory: Memory, webhook: Webhook, rotation_id: str) -> Memory:
    """Remember that a webhook took note of a rotation."""
    return replace(memory, notified={**memory.notified, webhook: rotation_id})


def only_looking(memory: Memory, token: ManagedToken) -> Memory:
    """Let nobody know whether webhooks were told that this process never told: whoever acts may have told them."""
    known = memory.notified.keys() | {webhook for webhook in token.webhooks if notify_key(webhook) in memory.backoffs}
    unknown = dict.fromkeys((webhook for webhook in token.webhooks if webhook not in known), NOBODY_KNOWS)
    return replace(memory, notified={**memory.notified, **unknown})


def moved(memory: Memory, before: Stored, revision: str) -> Memory:
    """Remember that we ourselves moved the revision without changing the token: what was seen of it still counts."""
    trial = memory.trial_of(before)
    confirmation = memory.confirmation_of(before)
    if confirmation is not None:
        moved_on = replace(confirmation, revision=revision)
        memory = replace(memory, confirmed={**memory.confirmed, str(before.destination): moved_on})
    return memory if trial is None else replace(memory, trial=replace(trial, revision=revision))


def fenced(memory: Memory, snapshot: Snapshot, revision: str) -> Memory:
    """Remember that every rotation on the snapshot's lists is fenced off while the store is at ``revision``."""
    rotations = frozenset(token.mark.rotation_id for token in snapshot.marked() if token.mark is not None)
    fence = Fence(
        revision=revision,
        rotation_ids=rotations,
        rotation_id=snapshot.record.rotation_id if snapshot.record is not None else None,
        over=snapshot.primary.revision if isinstance(snapshot.primary, Stored) else None,
        stored_since=current_since(snapshot),
    )
    return replace(memory, fence=fence)


def found(memory: Memory, primary: Stored) -> Memory:
    """Forget what was seen of the primary at another revision: it may come back, by a person's hand, with other news.

    A label that is rolled back brings an old revision back, and after a secret was deleted with all that belonged to
    it numbering begins anew.
    """
    place = str(primary.destination)
    fence, trial, confirmation = memory.fence, memory.trial, memory.confirmed.get(place)
    if confirmation is not None and confirmation.revision != primary.revision:
        kept = {name: seen for name, seen in memory.confirmed.items() if name != place}
        memory = replace(memory, confirmed=kept)
    return replace(
        memory,
        fence=fence if fence is not None and primary.revision in {fence.revision, fence.over} else None,
        trial=trial if trial is not None and trial.revision == primary.revision else None,
    )
