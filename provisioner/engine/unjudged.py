"""A name over which our own code trips: nothing is done for it, it is told as its failure, and tried again."""

from provisioner.domain import events
from provisioner.domain.decide import decide
from provisioner.domain.memory import Memory
from provisioner.domain.model import ManagedToken, Trigger, Unreadable
from provisioner.domain.snapshot import Snapshot
from provisioner.domain.steps import GATHER_KEY
from provisioner.engine import recollection
from provisioner.engine.reconcile import Outcome
from provisioner.engine.world import World


def unjudged(
    world: World, token: ManagedToken, error: Exception, *, memory: Memory, trigger: Trigger | None
) -> Outcome:
    """Give the outcome of a name that cannot be judged: as if its truths were unreadable, in the backoff of looking."""
    now, reason = world.clock.now(), f"unexpected {type(error).__name__}: this is a bug"
    memory = recollection.failed(memory, GATHER_KEY, reason, now=now, remaining=None, jitter=world.entropy.jitter())
    unreadable = Unreadable(reason=reason)
    snapshot = Snapshot(
        token=token,
        primary=unreadable,
        copies=tuple(unreadable for _ in token.destinations[1:]),
        listings=dict.fromkeys(world.issuers, unreadable),
        trigger=trigger,
        memory=memory,
    )
    backoff = memory.backoffs[GATHER_KEY]
    world.observe(
        events.LookFailed(name=token.name, reason=reason, failures=backoff.failures, retry_at=backoff.retry_at)
    )
    return Outcome(snapshot=snapshot, decision=decide(snapshot, now), memory=memory, failures=(reason,))
