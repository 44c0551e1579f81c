"""What the verbs say and do in an emergency, and that what others have put right is no failure any more."""

from dataclasses import replace
from datetime import timedelta

import pytest

from provisioner.domain.mark import Mark, Owner
from provisioner.domain.model import Destination, Stored, Trigger
from provisioner.engine.recall import Recall
from provisioner.engine.service import RotationResult, Service
from tests.builders import DAY, HOUR, MINUTE, OTHER_PLACE, PLACE, a_token, uid
from tests.fakes.faults import Fault
from tests.fakes.issuer import FakeIssuer
from tests.fakes.store import FakeStore
from tests.rig import Rig, provisioned


def a_service(rig: Rig) -> Service:
    """Give the verbs over the rig's world, in a process that remembers nothing."""
    return Service(rig.worlds[0], [rig.token], instance="prod", concurrency=1, recall=Recall())


def rotate(service: Service, request_id: str = "leak", *, compromised: bool = True) -> RotationResult:
    """Rotate the one name."""
    (result,) = service.rotate(service.tokens, Trigger(request_id=request_id, compromised=compromised))
    return result


def edit_token(rig: Rig) -> None:
    """Change the stored string, as a person could."""
    document = dict(rig.store.document(PLACE.path) or {})
    rig.store.put_by_hand(PLACE.path, document | {"token": "mistyped"})


def test_once_makes_sure_of_a_refused_token_and_replaces_it() -> None:
    """Run once a day it would never know since when the token is refused: it waits for that, and no longer."""
    rig = provisioned(proves_by_use=True)
    edit_token(rig)
    began = rig.clock.now()
    (outcome,) = a_service(rig).run_once()
    assert rig.current_id == "token-2"
    assert outcome.failures == ()
    assert rig.token.verify_timeout <= rig.clock.now() - began < rig.token.verify_timeout + MINUTE
    rig.settle()


def test_once_waits_for_nothing_when_all_is_well() -> None:
    """Neither with a token that works nor with one whose issuer gives no answer."""
    rig = provisioned(proves_by_use=True)
    for fault in (None, Fault.BEFORE):
        if fault is not None:
            edit_token(rig)
            rig.issuer.faults.always["prove"] = fault
        a_service(rig).run_once()
        assert rig.clock.sleeps == []
        assert rig.current_id == "token-1"


def test_compromised_is_done_when_no_older_token_lives() -> None:
    """It names what it revoked: the predecessor and the orphan that lived."""
    rig = provisioned()
    orphan = rig.orphan()
    result = rotate(a_service(rig))
    assert (result.done, result.error, result.still_live) == (True, None, ())
    assert set(result.revoked) == {"token-1", orphan}


@pytest.mark.parametrize("trouble", ["revoke", "copy"])
def test_compromised_is_not_done_while_an_older_token_lives(trouble: str) -> None:
    """Its revocation fails, or a destination that cannot be written holds it: the error says so, a repeat ends it."""
    rig = provisioned()
    rig.with_copy()
    rig.reconcile()
    if trouble == "revoke":
        rig.issuer.faults.add("revoke", Fault.REFUSED)
    else:
        rig.store.denied_paths.add(OTHER_PLACE.path)
    result = rotate(a_service(rig))
    assert (result.done, result.revoked, result.still_live) == (False, (), ("token-1",))
    assert result.token_id == rig.current_id == "token-2"
    assert "the new token is stored" in (result.error or "")
    assert ("says no" if trouble == "revoke" else str(OTHER_PLACE)) in (result.error or "")
    rig.store.denied_paths.clear()
    again = rotate(a_service(rig))
    assert (again.done, again.revoked) == (True, ("token-1",))
    assert rig.issuer.faults.calls["create"] == 2


@pytest.mark.parametrize("remembers", [True, False])
def test_compromised_is_not_done_while_an_issuer_that_gives_no_list_may_hold_the_token(remembers: bool) -> None:  # noqa: FBT001  # a column of the table
    """A new process knows it from the stored record alone; once there is a list again, a repeat ends it."""
    rig = Rig(a_token(issuer="former"))
    rig.reconcile()
    rig.clock.advance(DAY)
    rig.token = a_token()
    service = a_service(rig)
    service.run_pass()
    rig.former.faults.always["list"] = Fault.BEFORE
    service = service if remembers else a_service(rig)
    result = rotate(service)
    assert (result.done, result.revoked, result.token_id) == (False, ("token-1",), "token-2")
    assert result.still_live == ("former-1" if remembers else f"rotation {uid(1)}",)
    assert "former gives no list" in (result.error or "")
    rig.clock.advance(HOUR)
    (status,) = service.status(service.tokens)
    assert not status.healthy
    assert [(plan.revoke_at, plan.overdue) for plan in status.awaiting_revocation] == [(None, True)]
    rig.former.faults.always.clear()
    again = rotate(service)
    assert (again.done, again.revoked, again.still_live) == (True, ("former-1",), ())


def test_a_request_that_was_honoured_long_ago_is_done_whatever_lives_now() -> None:
    """What a later rotation without haste has replaced keeps its overlap, and is no failure of the old request."""
    rig = provisioned()
    service = a_service(rig)
    rotate(service)
    rotate(service, "later", compromised=False)
    again = rotate(service)
    assert (again.done, again.already, again.still_live) == (True, True, ("token-2",))


def test_a_rotation_without_haste_tells_what_still_lives() -> None:
    """For the overlap: that is no failure."""
    result = rotate(a_service(provisioned()), compromised=False)
    assert (result.done, result.revoked, result.still_live) == (True, (), ("token-1",))


def test_failures_that_others_have_put_right_are_forgotten() -> None:
    """A revocation that a person made, and a copy that another process wrote: no last error stays behind."""
    rig = provisioned(replicas=2)
    rig.with_copy()
    rig.reconcile()
    rig.clock.advance(20 * DAY)
    rig.store.denied_paths.add(OTHER_PLACE.path)
    rig.reconcile()
    assert set(rig.memories[0].backoffs) == {f"copy:{OTHER_PLACE}"}
    rig.store.denied_paths.clear()
    rig.reconcile(replica=1)
    rig.issuer.faults.always["revoke"] = Fault.BEFORE
    rig.clock.advance(HOUR + timedelta(seconds=1))
    rig.reconcile()
    assert set(rig.memories[0].backoffs) == {"revoke:token-1"}
    rig.issuer.revoke_by_hand("token-1")
    rig.reconcile()
    assert rig.memories[0].backoffs == {}


def test_failures_are_kept_while_nothing_can_be_read() -> None:
    """An outage is no reason to begin anew with the shortest wait."""
    rig = provisioned()
    rig.clock.advance(20 * DAY)
    rig.issuer.faults.always["create"] = Fault.BEFORE
    rig.reconcile()
    rig.store.down = True
    rig.reconcile()
    assert rig.memories[0].backoffs["mint"].failures == 1


def test_an_older_request_is_not_blamed_for_what_a_later_one_left() -> None:
    """A wish without haste, sent again while the revocation of a later emergency fails, is done all the same."""
    rig = provisioned()
    service = a_service(rig)
    rotate(service, "plain", compromised=False)
    rig.issuer.faults.always["revoke"] = Fault.REFUSED
    assert not rotate(service).done
    assert rotate(service, "plain", compromised=False).done


def test_a_revocation_at_an_issuer_that_cannot_be_listed_keeps_its_pace() -> None:
    """While the list is missing nobody knows whether the token is gone: its failures still count."""
    rig = provisioned()
    rig.former.add(Mark(rig.token.owner, uid(900)).described("left over"), rig.clock.now() + DAY)
    rig.clock.advance(2 * HOUR)
    rig.former.faults.always["revoke"] = Fault.BEFORE
    rig.reconcile()
    assert set(rig.memories[0].backoffs) == {"revoke:former-1"}
    rig.former.faults.add("list", Fault.BEFORE)
    rig.reconcile()
    assert set(rig.memories[0].backoffs) == {"revoke:former-1"}


@pytest.mark.parametrize("read_by", ["use", "reader"])
def test_a_request_sent_again_by_another_process_was_honoured_already(read_by: str) -> None:
    """That process tries the stored token, or has a reader look at it: that is no rotation."""
    place = replace(PLACE, has_reader=read_by == "reader")
    rig = provisioned(a_token(destinations=(place,)), proves_by_use=read_by == "use")
    assert not rotate(a_service(rig), compromised=False).already
    assert rotate(a_service(rig), compromised=False).already


class TrippingStore(FakeStore):
    """A store over one of whose places our own code trips."""

    def read(self, destination: Destination, owner: Owner) -> Stored:
        """Trip, or read."""
        if destination == PLACE:
            raise RuntimeError
        return super().read(destination, owner)


def test_a_name_that_our_code_trips_over_does_not_end_the_others() -> None:
    """It is told as its own failure, in a pass and in a look, and the other name is provisioned."""
    rig = Rig()
    issuers, stores = {"cluster": FakeIssuer(rig.clock)}, {"vault": TrippingStore(rig.clock)}
    world = replace(rig.worlds[0], issuers=issuers, stores=stores)
    other = a_token(owner=Owner("prod", "other"), destinations=(OTHER_PLACE,))
    service = Service(world, [rig.token, other], instance="prod", concurrency=2, recall=Recall())
    tripped, provisioned_ = service.run_pass()
    assert tripped.failures == ("unexpected RuntimeError: this is a bug",)
    assert provisioned_.changed
    seen, stored = service.status(service.tokens)
    assert (seen.healthy, stored.healthy) == (False, True)
    assert "unexpected RuntimeError" in seen.reason


def test_a_storing_time_at_the_end_of_the_calendar_stops_nothing() -> None:
    """Somebody wrote the year 9999: it is read as none, put right, and the name rotates on."""
    rig = provisioned()
    rig.reconcile(Trigger(request_id="again"))
    document = dict(rig.store.document(PLACE.path) or {})
    rig.store.put_by_hand(PLACE.path, document | {"stored_at": "9999-12-31T23:59:59Z"})
    (outcome,) = a_service(rig).run_pass()
    assert outcome.failures == ()
    assert (rig.store.document(PLACE.path) or {})["stored_at"] == document["issued_at"]
    rig.settle()
