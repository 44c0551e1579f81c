"""Any replica carries out a wish: what belongs to it whoever leads, nothing else, and once among all of them."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from datetime import timedelta

import pytest

from provisioner.domain.consumers import Workload, WorkloadKind
from provisioner.domain.model import Trigger
from provisioner.domain.status import LastRequest, State, TokenStatus
from provisioner.engine.recall import Recall
from provisioner.engine.reconcile import Outcome
from provisioner.engine.service import RotationResult, Service
from tests.builders import DAY, HOUR, OTHER_PLACE, PLACE, a_token
from tests.fakes.faults import Fault
from tests.protocol.test_replicas import once_at
from tests.rig import Rig, provisioned

APP = Workload(kind=WorkloadKind.DEPLOYMENT, name="app")
WISH = Trigger(request_id="change-1", reason="change 1")


def never_leads() -> bool:
    """Say no."""
    return False


def always_leads() -> bool:
    """Say yes."""
    return True


class Replica:
    """The verbs of a replica whose lease has long ended, if it ever had it."""

    def __init__(self, rig: Rig, *, leads: Callable[[], bool] = never_leads, replica: int = 0) -> None:
        self._rig, self._actor = rig, (replica, 0)
        world = replace(rig.worlds[replica], may_act=leads, leads_until=lambda: rig.clock.monotonic() - 1)
        self._service = Service(world, [rig.token], instance="prod", concurrency=1, recall=Recall())

    def rotate(self, trigger: Trigger = WISH) -> RotationResult:
        """Rotate the one name."""
        with self._acting():
            (result,) = self._service.rotate(self._service.tokens, trigger)
        return result

    def run_pass(self) -> Outcome:
        """Do what is to be done of its own accord."""
        with self._acting():
            (outcome,) = self._service.run_pass()
        return outcome

    def status(self) -> TokenStatus:
        """Tell where the one name stands."""
        return self._service.status(self._service.tokens)[0]

    @contextmanager
    def _acting(self) -> Iterator[None]:
        before, self._rig.acting = self._rig.acting, self._actor
        try:
            yield
        finally:
            self._rig.acting = before


def test_a_follower_rotates_at_a_wish_and_does_nothing_else() -> None:
    """The copy and the consumers follow; what is the leader's stays as it is: another's drift, another's orphan."""
    rig = provisioned(replace(a_token(), on_rotate=(APP,)))
    rig.workloads.add(APP)
    rig.with_copy()
    follower = Replica(rig)
    orphan = rig.orphan()
    rig.clock.advance(2 * HOUR)
    assert follower.run_pass().changed == 0
    assert rig.store.document(OTHER_PLACE.path) is None
    result = follower.rotate()
    assert (result.done, result.already, result.token_id) == (True, False, rig.current_id)
    assert set(result.still_live) == {"token-1", orphan}
    everything = {"token-1", orphan, result.token_id}
    assert rig.store.document(OTHER_PLACE.path) == rig.store.document(PLACE.path)
    assert rig.workloads.faults.calls["restart"] == 1
    rig.clock.advance(2 * HOUR)
    assert rig.live_ids() == everything
    follower.run_pass()
    again = follower.rotate()
    assert (again.done, again.already, again.revoked) == (True, True, ())
    assert rig.live_ids() == everything
    rig.settle()
    assert rig.live_ids() == {result.token_id}


def test_a_compromised_name_has_no_older_token_left_when_a_follower_is_done() -> None:
    """Its predecessor and its orphan are revoked by whoever was asked."""
    rig = provisioned()
    orphan = rig.orphan()
    result = Replica(rig).rotate(replace(WISH, compromised=True))
    assert (result.done, set(result.revoked), result.still_live) == (True, {"token-1", orphan}, ())


def test_a_revocation_that_failed_is_finished_by_the_same_wish_sent_to_another_replica() -> None:
    """The first says that it is not done; the second rotates nothing again, and does the rest."""
    rig = provisioned(replicas=2)
    rig.issuer.faults.add("revoke", Fault.REFUSED)
    wish = replace(WISH, compromised=True)
    first = Replica(rig).rotate(wish)
    assert (first.done, first.still_live) == (False, ("token-1",))
    second = Replica(rig, replica=1).rotate(wish)
    assert (second.done, second.already, second.token_id, second.revoked) == (True, True, "token-2", ("token-1",))


def test_who_asked_when_and_why_is_told_by_every_replica() -> None:
    """The record has it, and so has the status of a process that was not asked, until somebody else asks."""
    rig = provisioned(replicas=2)
    wish = replace(
        WISH, by="alice", via="http", at=rig.clock.now() - timedelta(seconds=3), reason="key M.V1.abc leaked"
    )
    Replica(rig).rotate(wish)
    other = Replica(rig, replica=1)
    last = other.status().last_request
    assert rig.record is not None
    assert last == LastRequest(
        request_id="change-1",
        compromised=False,
        stored_at=rig.record.stored_at,
        asked_at=wish.at,
        by="alice",
        via="http",
        reason="key [redacted] leaked",
    )
    other.rotate(replace(wish, by="bob"))
    assert other.status().last_request == last
    rig.clock.advance(20 * DAY)
    Replica(rig, leads=always_leads, replica=1).run_pass()
    assert other.status().last_request is None


def test_the_same_wish_sent_to_two_replicas_rotates_once() -> None:
    """One after the other: the second tells what the first has made, and touches nothing."""
    rig = provisioned(replicas=2)
    first, writes = Replica(rig).rotate(), rig.store.faults.calls["write"]
    second = Replica(rig, replica=1).rotate()
    assert (second.done, second.already, second.token_id) == (True, True, first.token_id)
    assert (rig.issuer.faults.calls["create"], rig.store.faults.calls["write"]) == (2, writes)


@pytest.mark.parametrize("operation", ["list", "read", "preflight", "create", "prove", "write"])
@pytest.mark.parametrize("leads", [True, False])
@pytest.mark.parametrize("request_id", ["change-1", "another", None])
def test_two_replicas_at_the_same_moment(operation: str, request_id: str | None, *, leads: bool) -> None:
    """Whatever the other does in the middle of a wish, rotating of its own accord too: the wish is done in the end."""
    rig = provisioned(replicas=2)
    if request_id is None:
        rig.clock.advance(20 * DAY)  # it is due, and the leader sees that
    one = Replica(rig, leads=lambda: leads)
    other = Replica(rig, leads=always_leads, replica=1)
    again: list[RotationResult] = []

    def interfere() -> None:
        if request_id is None:
            other.run_pass()
        else:
            again.append(other.rotate(Trigger(request_id=request_id)))

    rig.watch(once_at(operation, 1, interfere))
    result = one.rotate()
    rig.watch(lambda _: None)
    assert (result.done, result.error) == (True, None)
    assert all(each.done for each in again)
    assert rig.record is not None
    assert rig.record.has_honoured("change-1")
    if request_id == "change-1":
        assert (result.already, again[0].already) == (True, False)
        assert result.token_id == again[0].token_id
        assert rig.live_ids() == {"token-1", result.token_id}
    else:
        assert result.already is False
    rig.settle()
    assert rig.live_ids() == {rig.current_id}


def test_a_wish_that_is_overtaken_again_and_again_ends() -> None:
    """It says by what, and leaves nothing behind."""
    rig = provisioned(replicas=2)
    other, number = Replica(rig, replica=1), iter(range(100))
    busy = False

    def interfere(operation: str) -> None:
        nonlocal busy
        if operation == "write" and not busy:
            busy = True
            other.rotate(Trigger(request_id=f"other-{next(number)}", compromised=True))
            busy = False

    rig.watch(interfere)
    result = Replica(rig).rotate()
    rig.watch(lambda _: None)
    assert not result.done
    assert "somebody else wrote the secret first" in (result.error or "")
    assert next(number) == 4
    rig.settle()


def test_a_leader_that_loses_its_lease_in_the_middle_of_a_wish_ends_it() -> None:
    """The copy is written all the same: the wish is this process's, whoever leads."""
    rig = provisioned()
    rig.with_copy()
    leading = True

    def lose() -> None:
        nonlocal leading
        leading = False

    rig.watch(once_at("create", 1, lose))
    result = Replica(rig, leads=lambda: leading).rotate()
    assert (result.done, result.already) == (True, False)
    assert rig.store.document(OTHER_PLACE.path) == rig.store.document(PLACE.path)


def test_a_follower_that_comes_to_lead_goes_on_where_its_wish_ended() -> None:
    """Its first pass finds the rotation, revokes the predecessor in its time, and is well."""
    rig = provisioned()
    leading = False
    service = Replica(rig, leads=lambda: leading)
    service.rotate()
    leading = True
    rig.clock.advance(rig.token.overlap + timedelta(seconds=1))
    assert service.run_pass().revoked == ("token-1",)
    assert service.status().state is State.OK


def test_a_wish_without_haste_is_not_done_for_one_that_has_it() -> None:
    """The id is used up for another wish: to say that it is done would leave the leaked token alive."""
    rig = provisioned(replicas=2)
    Replica(rig).rotate()
    result = Replica(rig, replica=1).rotate(replace(WISH, compromised=True))
    assert (result.done, result.already) == (False, True)
    assert "choose another request id" in (result.error or "")
    assert rig.live_ids() == {"token-1", "token-2"}
