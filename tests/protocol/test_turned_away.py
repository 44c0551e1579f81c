"""A stored credential that an issuer turns away, while another one gets in or another issuer says nothing."""

from dataclasses import replace
from datetime import datetime

import pytest

from provisioner.domain.mark import Owner
from provisioner.domain.model import Trigger
from provisioner.domain.snapshot import Snapshot
from provisioner.domain.status import State, status_of
from provisioner.domain.steps import Decision
from tests.builders import HOUR, MINUTE, OTHER_PLACE, PLACE, a_token
from tests.fakes.faults import Fault
from tests.rig import Rig, credentialed
from tests.simulation.scenes_credentials import BOTH


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


@pytest.mark.parametrize("fault", [Fault.BEFORE, Fault.REFUSED])
def test_edited_string_while_another_issuer_is_silent(fault: Fault) -> None:
    """The word of the issuer that issued it is enough: nobody can use what is stored."""
    rig = credentialed(of=BOTH, keeps_initial=True)
    edited = rig.current_id
    rig.former.faults.always |= {"accepts": fault, "list": fault}
    rig.store.put_by_hand(PLACE.path, dict(rig.store.document(PLACE.path) or {}) | {"token": "nobody's"})
    rig.invariants.requests_forgotten = True
    rig.pass_time(HOUR)
    assert rig.current_id != edited
    rig.settle()


@pytest.mark.parametrize("fault", [Fault.BEFORE, Fault.REFUSED])
def test_deleted_secret_while_another_issuer_is_silent(fault: Fault) -> None:
    """Called with the copy's token, which ends, its own issuer does not wait for another: that would lock out all."""
    rig = credentialed(a_token(destinations=(PLACE, OTHER_PLACE)), of=BOTH)
    rig.former.faults.always |= {"accepts": fault, "list": fault}
    rig.store.delete_newest(PLACE.path)
    rig.reconcile()
    assert rig.current_id is not None
    rig.settle()


@pytest.mark.parametrize("restart", [True, False])
def test_edited_string_is_replaced_with_the_copys(*, restart: bool) -> None:
    """With no initial one left a copy is the way back in, and is not written over with what is refused."""
    rig = credentialed(a_token(destinations=(PLACE, OTHER_PLACE)))
    edited = rig.current_id
    rig.store.put_by_hand(PLACE.path, dict(rig.store.document(PLACE.path) or {}) | {"token": "nobody's"})
    rig.invariants.requests_forgotten = True
    rig.reconcile()
    assert dict(rig.store.document(OTHER_PLACE.path) or {})["token"] == rig.issuer.strings[str(edited)]
    if restart:
        rig.crash()
    rig.pass_time(HOUR, step=MINUTE)
    assert rig.current_id != edited
    rig.settle()


def test_roll_back_to_a_dead_one_is_replaced_with_the_copys() -> None:
    """A restored version whose token was revoked is no way in; what the copy still holds is."""
    rig = credentialed(a_token(destinations=(PLACE, OTHER_PLACE)))
    older = dict(rig.store.document(PLACE.path) or {})
    rig.reconcile(Trigger(request_id="now"))
    rig.pass_time(3 * HOUR)
    rig.invariants.excused.add(str(older["token_id"]))
    rig.store.put_by_hand(PLACE.path, older)
    rig.invariants.requests_forgotten = True
    rig.reconcile()
    assert rig.current_id != older["token_id"]
    rig.settle()


def test_credential_whose_name_was_changed() -> None:
    """What is stored under the old name is another's now: with no initial one the message says so."""
    rig = credentialed()
    rig.token = replace(rig.token, owner=Owner("prod", "renamed"))
    rig.invariants.locked_out = True
    message = rig.reconcile().decision.message
    assert "(a secret that is not ours is there: its owner is 'provisioner/prod/telegraf')" in message


def test_status_tells_who_is_called_with_another_credential() -> None:
    """What somebody left there is no lasting way in: the name is failing until the stored one is taken."""
    rig = credentialed(of=BOTH, keeps_initial=True)
    rig.former.barred.add(rig.issuer.strings[str(rig.current_id)])
    told = status_of(*_looked(rig))
    assert told.state is State.FAILING
    assert told.reason.endswith("former did not take the stored token, and was called with another credential")
    rig.former.barred.clear()
    assert status_of(*_looked(rig)).state is State.OK
    rig.settle()


def _looked(rig: Rig) -> tuple[Snapshot, Decision, datetime]:
    outcome = rig.reconcile()
    return outcome.snapshot, outcome.decision, rig.clock.now()
