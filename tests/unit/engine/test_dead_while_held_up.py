"""A stored token that is known to be dead keeps its predecessors, whatever keeps its successor from being made."""

from dataclasses import replace
from datetime import timedelta

from provisioner.domain.model import Trigger
from tests.builders import MINUTE, a_token
from tests.fakes.faults import Fault
from tests.rig import provisioned
from tests.unit.engine.test_any_replica import WISH, Replica


def test_a_predecessor_outlives_its_overlap_while_the_stored_token_is_dead_and_has_no_successor() -> None:
    """It may be the only one that works yet: what was seen of the stored one before it was revoked counts no more."""
    rig = provisioned()
    rig.reconcile(Trigger(request_id="one"))
    assert rig.current_id == "token-2"
    rig.invariants.excused.add("token-2")
    rig.issuer.revoke_by_hand("token-2")
    rig.issuer.faults.always["create"] = Fault.REFUSED
    rig.clock.advance(timedelta(hours=2))
    rig.reconcile()
    assert rig.live_ids() == {"token-1"}
    rig.issuer.faults.always.clear()
    rig.clock.advance(timedelta(hours=1))
    rig.reconcile()
    assert rig.current_id not in {"token-1", "token-2"}
    rig.settle()


def test_a_follower_revokes_no_leaked_token_while_its_successor_is_dead() -> None:
    """Whoever leads replaces the dead one first: a wish that has been honoured skips no such check."""
    rig = provisioned(replicas=2)
    follower, leaked = Replica(rig), replace(WISH, compromised=True)
    rig.issuer.faults.add("revoke", Fault.REFUSED)
    follower.rotate(leaked)
    assert rig.live_ids() == {"token-1", "token-2"}
    rig.invariants.excused.add("token-2")
    rig.issuer.revoke_by_hand("token-2")
    rig.clock.advance(20 * MINUTE)
    follower.rotate(leaked)
    assert rig.live_ids() == {"token-1"}


def test_a_stored_token_that_was_deleted_is_tried_before_a_predecessor_ends_however_seldom_one_looks() -> None:
    """An issuer that shows no revoked tokens shows none of this: that it worked hours ago says nothing."""
    rig = provisioned(replace(a_token(), drift_interval=timedelta(hours=6)))
    rig.reconcile(Trigger(request_id="one"))
    rig.invariants.excused.add("token-2")
    del rig.issuer.tokens["token-2"]
    rig.issuer.faults.always["create"] = Fault.REFUSED
    rig.pass_time(timedelta(hours=2))
    assert rig.live_ids() == {"token-1"}
    rig.issuer.faults.always.clear()
    rig.settle()
