"""What people do to the secret between two looks of one process: it is looked at afresh, and overlaps are kept."""

from provisioner.domain.model import Trigger
from tests.builders import DAY, HOUR, MINUTE, PLACE, a_token
from tests.rig import Rig, provisioned


def _fenced_once(rig: Rig) -> None:
    """Let an orphan of long ago be fenced off and revoked: the fence is remembered."""
    rig.orphan()
    rig.pass_time(2 * DAY)
    assert rig.memories[0].fence is not None


def test_deleted_secret_whose_numbering_begins_anew_meets_no_fence_of_long_ago() -> None:
    """The secret is deleted with its metadata: the second token after it comes to the revision of the old fence."""
    rig = provisioned()
    _fenced_once(rig)
    rig.invariants.requests_forgotten = True
    rig.store.on_person()
    rig.store.versions[PLACE.path] = []
    rig.store.changes += 1
    rig.reconcile()
    rig.pass_time(DAY)
    assert rig.reconcile(Trigger(request_id="by hand")).revoked == ()
    rig.settle()


def test_label_that_was_moved_back_meets_no_fence_of_long_ago() -> None:
    """A roll-back brings the revision of an old fence back: the token that it replaced has its overlap."""
    rig = provisioned(a_token(overlap=2 * HOUR))
    _fenced_once(rig)
    versions = rig.store.versions[PLACE.path]
    fenced = len(versions)
    rig.reconcile(Trigger(request_id="by hand"))
    rig.pass_time(90 * MINUTE)
    rig.store.on_person()
    del versions[fenced:]
    versions[-1] = (versions[-1][0], rig.clock.now())
    rig.store.changes += 1
    rig.invariants.requests_forgotten = True
    rig.pass_time(HOUR)
    assert len(rig.live_ids()) == 2
    rig.settle()
