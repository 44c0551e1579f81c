"""The protocol with a rule of following a rotation left out: what the end of the old token waits for."""

from collections.abc import Callable
from dataclasses import replace
from datetime import datetime, timedelta

from provisioner.domain import retirement
from provisioner.domain.consumers import Progress, Rollout, Sight
from provisioner.domain.snapshot import Snapshot
from provisioner.engine import consumers
from provisioner.engine.world import World
from tests.simulation import scenes_following as scenes
from tests.simulation.mutation import instead_of


@instead_of(retirement, "not_rolled_out", caught_by="R10", where=scenes.TAKES_HOURS)
def do_not_wait_for_roll_outs(_original: object, _snapshot: Snapshot) -> tuple[str, ...]:
    """A predecessor is kept until every workload is rolled out, where the overlap says so."""
    return ()


@instead_of(consumers, "sight_from", caught_by="R10", where=scenes.TAKES_HOURS)
def take_restarted_for_rolled_out(original: Callable[..., Sight], rollout: Rollout | None, *given: object) -> Sight:
    """A workload that was restarted is rolled out only when no old pod is left."""
    return original(rollout if rollout is None else replace(rollout, progress=Progress.COMPLETE), *given)


@instead_of(consumers, "looked_at_before_revoking", caught_by="R10", where=scenes.ROLLED_BACK)
def no_fresh_look_at_workloads(_original: object, _world: World, snapshot: Snapshot) -> Snapshot:
    """Right before a revocation workloads are looked at again: somebody may have rolled one back."""
    return snapshot


@instead_of(retirement, "_end_of_overlap", caught_by="I2", where=scenes.NEVER_ENDS)
def wait_for_ever(
    original: Callable[..., tuple[datetime, tuple[str, ...]]], *given: object
) -> tuple[datetime, tuple[str, ...]]:
    """A roll-out that never ends is waited for so long, and no longer."""
    revoke_at, left = original(*given)
    return revoke_at + timedelta(days=365) * bool(left), left
