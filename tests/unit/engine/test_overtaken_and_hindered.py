"""A wish that was overtaken is begun anew, also where what was made in vain cannot be revoked at once."""

from tests.fakes.faults import Fault
from tests.protocol.test_replicas import once_at
from tests.rig import Rig
from tests.unit.engine.test_any_replica import Replica, always_leads


def test_a_failed_revocation_of_what_was_made_in_vain_ends_no_wish() -> None:
    """The wish is what a person waits for; the token goes in its backoff."""
    rig = Rig(replicas=2)
    leader = Replica(rig, leads=always_leads, replica=1)
    rig.watch(once_at("create", 1, leader.run_pass))
    rig.issuer.faults.add("revoke", Fault.REFUSED)
    result = Replica(rig).rotate()
    assert (result.done, result.error) == (True, None)
    rig.settle()
