"""Looks at the workloads that a rotation restarts, restarts them, and tells webhooks."""

from dataclasses import replace
from typing import Final

from provisioner.domain import events
from provisioner.domain.consumers import Notice, Sight, Standing, Workload
from provisioner.domain.errors import ProvisionerError, TemporaryError
from provisioner.domain.following import is_rolled_out, seen_as, sight_from, sight_of
from provisioner.domain.memory import Memory
from provisioner.domain.model import IssuedToken, Record
from provisioner.domain.retirement import kept_from_consumers, retirements
from provisioner.domain.scrub import scrub
from provisioner.domain.snapshot import Snapshot
from provisioner.domain.steps import Decision, Notify, Restart, look_key
from provisioner.engine import recollection
from provisioner.engine.world import World

_STUCK: Final = frozenset({Standing.STALLED, Standing.MISSING})


class Looks:
    """The looks of one pass over one name: at each workload once for each rotation."""

    def __init__(self, world: World) -> None:
        self._world = world
        self._done: set[tuple[Workload, str]] = set()

    def at_those_in_question(self, snapshot: Snapshot) -> Snapshot:
        """Look at the workloads of which something depends on how they stand: those not seen to be rolled out.

        While a destination does not hold the token yet nothing does: none is restarted, and no predecessor ends.
        """
        record = snapshot.record
        if record is None or kept_from_consumers(snapshot, record):
            return snapshot
        wanted = [workload for workload in snapshot.token.workloads if not is_rolled_out(snapshot, workload)]
        return self._look(snapshot, record, wanted)

    def at_all(self, snapshot: Snapshot) -> Snapshot:
        """Look at every workload, for people."""
        record = snapshot.record
        return snapshot if record is None else self._look(snapshot, record, list(snapshot.token.workloads))

    def _look(self, snapshot: Snapshot, record: Record, workloads: list[Workload]) -> Snapshot:
        """Look at them, those in trouble last; after one that gave no answer the others need not be waited for, too."""
        backoffs = snapshot.memory.backoffs
        for workload in sorted(workloads, key=lambda each: look_key(each) in backoffs):
            waiting = snapshot.memory.must_wait(look_key(workload), self._world.clock.now())
            if (workload, record.rotation_id) in self._done:
                continue
            if waiting is not None:
                snapshot = _still_unread(snapshot, record, workload, waiting.error, self._world)
                continue
            self._done.add((workload, record.rotation_id))
            snapshot, is_answered = looked_at(self._world, snapshot, record, workload)
            if not is_answered:
                break
        return snapshot


def _still_unread(snapshot: Snapshot, record: Record, workload: Workload, why: str, world: World) -> Snapshot:
    """Note of a workload that waits for its next look that nobody knows how it stands with a token stored since."""
    sight = seen_as(Standing.UNREADABLE, why, record, sight_of(snapshot, workload), world.clock.now())
    return replace(snapshot, memory=recollection.saw(snapshot.memory, workload, sight))


def looked_at_before_revoking(world: World, snapshot: Snapshot) -> Snapshot:
    """Look afresh at every workload that a token to be revoked is kept for: somebody may have rolled it back since."""
    record = snapshot.record
    if record is None or record.compromised or snapshot.token.until_rolled_out is None:
        return snapshot
    for workload in snapshot.token.workloads:
        snapshot, is_answered = looked_at(world, snapshot, record, workload)
        if not is_answered:
            break
    return snapshot


def looked_at(world: World, snapshot: Snapshot, record: Record, workload: Workload) -> tuple[Snapshot, bool]:
    """Read one workload, and remember how it stands; tell whether there was an answer."""
    now, before, memory = world.clock.now(), sight_of(snapshot, workload), snapshot.memory
    try:
        rollout = world.workloads.read(workload, snapshot.token.owner)
    except ProvisionerError as error:
        why = scrub(str(error))
        sight = seen_as(Standing.UNREADABLE, why, record, before, now)
        memory = recollection.saw(_failed(world, snapshot, workload, why), workload, sight)
        return replace(snapshot, memory=memory), not isinstance(error, TemporaryError)
    sight = sight_from(rollout, record, before, now)
    _tell(world, snapshot.token.name, workload, before, sight)
    memory = recollection.saw(recollection.succeeded(memory, look_key(workload)), workload, sight)
    return replace(snapshot, memory=memory), True


def restart(world: World, snapshot: Snapshot, decision: Decision, step: Restart) -> Memory:
    """Let a workload replace its pods."""
    world.workloads.restart(step.workload, step.record)
    restarted = events.ConsumerRestarted(
        name=snapshot.token.name,
        consumer=str(step.workload),
        rotation_id=step.record.rotation_id,
        reason=decision.message,
    )
    world.observe(restarted)
    return recollection.restarted(snapshot.memory, step.workload, step.record, now=world.clock.now())


def notify(world: World, snapshot: Snapshot, step: Notify) -> Memory:
    """Tell a webhook."""
    record, token = step.record, snapshot.token
    notice = Notice(
        instance=token.owner.instance,
        name=token.name,
        rotation_id=record.rotation_id,
        token_id=record.token_id,
        issuer=record.issuer,
        issued_at=record.issued_at,
        expires_at=record.expires_at,
        stored_at=record.stored_at,
        compromised=record.compromised,
        destinations=tuple((place.store, place.path) for place in token.destinations),
    )
    world.notifier.deliver(step.webhook, notice)
    delivered = events.WebhookDelivered(name=token.name, webhook=str(step.webhook), rotation_id=record.rotation_id)
    world.observe(delivered)
    return recollection.told(snapshot.memory, step.webhook, record.rotation_id)


def tell_left_behind(world: World, snapshot: Snapshot, target: IssuedToken) -> None:
    """Say so when a token was revoked although workloads may have it yet."""
    left = [plan.left_behind for plan in retirements(snapshot, world.clock.now()) if plan.target == target]
    for consumers in filter(None, left):
        behind = events.ConsumersLeftBehind(name=snapshot.token.name, token_id=target.token_id, consumers=consumers)
        world.observe(behind)


def _failed(world: World, snapshot: Snapshot, workload: Workload, why: str) -> Memory:
    """Count a failed look towards its backoff, and tell."""
    key = look_key(workload)
    memory = recollection.failed(
        snapshot.memory, key, why, now=world.clock.now(), remaining=None, jitter=world.entropy.jitter()
    )
    backoff = memory.backoffs[key]
    failed = events.LookFailed(
        name=snapshot.token.name,
        reason=f"{workload} could not be read: {why}",
        failures=backoff.failures,
        retry_at=backoff.retry_at,
    )
    world.observe(failed)
    return memory


def _tell(world: World, name: str, workload: Workload, before: Sight | None, sight: Sight) -> None:
    """Tell of what is news to this process; that all is as it should be is none to one that has just begun."""
    if before is not None and before.standing is sight.standing:
        return
    if sight.standing in _STUCK:
        stuck = events.ConsumerStuck(
            name=name, consumer=str(workload), standing=sight.standing.value, reason=sight.message
        )
        world.observe(stuck)
    if sight.standing is Standing.ROLLED_OUT and before is not None:
        world.observe(events.ConsumerRolledOut(name=name, consumer=str(workload), rotation_id=sight.rotation_id))
