"""A stored credential that an issuer turns away, while another one gets in or another issuer says nothing."""

from provisioner.domain.model import Trigger
from tests.builders import HOUR
from tests.rig import Rig, credentialed


def turned_away() -> Rig:
    """Give a rig whose stored credential worked, and is turned away from now on; the initial one is left."""
    rig = credentialed(keeps_initial=True)
    rig.reconcile(Trigger(request_id="now"))
    rig.issuer.barred.add(rig.issuer.strings[str(rig.current_id)])
    rig.invariants.restraint.reasons_unknown = True
    return rig


def test_turned_away_after_it_has_worked() -> None:
    """That it worked once is not the last word: it is tried again, and replaced before the initial one ends."""
    rig = turned_away()
    before = rig.current_id
    rig.pass_time(7 * HOUR)
    assert rig.current_id != before
    rig.initial = None
    rig.settle()
