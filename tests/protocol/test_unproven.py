"""A stored token that cannot be proven, or is refused now and then: what status says, and what comes of it."""

from datetime import timedelta

import pytest

from provisioner.domain.model import Trigger
from provisioner.domain.status import State, TokenStatus, status_of
from provisioner.engine.recall import Recall
from provisioner.engine.service import Service
from tests.builders import DAY, HOUR, MINUTE, PLACE, a_token
from tests.fakes.faults import Fault
from tests.rig import Rig, provisioned


def standing(rig: Rig) -> TokenStatus:
    """Reconcile, and tell where the name stands."""
    outcome = rig.reconcile()
    return status_of(outcome.snapshot, outcome.decision, rig.clock.now())


def edit_token(rig: Rig) -> None:
    """Change the stored string, as a person could: it is refused from now on."""
    document = dict(rig.store.document(PLACE.path) or {})
    rig.store.put_by_hand(PLACE.path, document | {"token": "mistyped"})


def test_an_unlisted_token_that_cannot_be_tried_is_a_failure() -> None:
    """It may well be dead: gone from the list, with nobody to ask whether it works."""
    rig = provisioned(proves_by_use=True)
    rig.issuer.stale = 3650 * DAY
    rig.issuer.faults.always["prove"] = Fault.BEFORE
    for _ in range(3):
        rig.clock.advance(DAY)
        seen = standing(rig)
        assert seen.state is State.FAILING
        assert "token-1 is not listed, and could not be tried" in seen.reason


def test_a_predecessor_that_is_kept_since_nothing_can_be_tried_is_a_failure_in_its_time() -> None:
    """Within the overlap nothing hangs on the trial; after it the old token outlives its time."""
    rig = provisioned(proves_by_use=True)
    rig.reconcile(Trigger(request_id="r1"))
    rig.crash()
    rig.issuer.faults.always["prove"] = Fault.BEFORE
    rig.pass_time(rig.token.overlap + 10 * MINUTE)
    assert standing(rig).state is State.OK
    rig.pass_time(10 * MINUTE)
    seen = standing(rig)
    assert seen.state is State.FAILING
    assert "token-2 is listed as live, and could not be tried" in seen.reason
    rig.settle()
    assert standing(rig).state is State.OK


def test_no_answer_is_no_break_in_a_refusal() -> None:
    """Refused, no answer, refused: it stays a failure all the while, and is replaced when the refusal is certain."""
    rig = provisioned(proves_by_use=True)
    edit_token(rig)
    assert standing(rig).state is State.FAILING
    rig.clock.advance(6 * MINUTE)
    rig.issuer.faults.add("prove", Fault.BEFORE)
    assert standing(rig).state is State.FAILING
    assert rig.current_id == "token-1"
    rig.clock.advance(MINUTE)
    assert standing(rig).state is State.OK
    assert rig.current_id == "token-2"
    rig.settle()


def test_a_token_that_works_again_is_refused_no_more() -> None:
    """Only a success ends a refusal: the next one begins anew."""
    rig = provisioned(proves_by_use=True)
    rig.crash()
    rig.issuer.activation_lag = 2 * DAY
    assert standing(rig).state is State.FAILING
    rig.issuer.activation_lag = timedelta(0)
    rig.clock.advance(6 * MINUTE)
    assert standing(rig).state is State.OK
    assert rig.current_id == "token-1"


def test_trying_keeps_its_pace_and_is_forgotten_after_a_rotation() -> None:
    """While nobody answers it is tried seldom; a rotation proves another token, and no error remains of the old one."""
    rig = provisioned(proves_by_use=True)
    rig.crash()
    rig.issuer.faults.always["prove"] = Fault.BEFORE
    before = rig.issuer.faults.calls["prove"]
    for _ in range(60):
        rig.reconcile()
        rig.clock.advance(MINUTE)
    assert 5 <= rig.issuer.faults.calls["prove"] - before <= 15
    rig.issuer.faults.always.clear()
    rig.reconcile(Trigger(request_id="r1"))
    assert standing(rig).last_error is None
    assert rig.memories[0].backoffs == {}


@pytest.mark.parametrize(("verify_timeout", "replaced"), [(5 * MINUTE, True), (6 * HOUR, False)])
def test_once_does_not_sleep_for_hours(verify_timeout: timedelta, *, replaced: bool) -> None:
    """A refusal that is certain only much later is left to the daemon, and told of."""
    rig = provisioned(a_token(verify_timeout=verify_timeout), proves_by_use=True)
    edit_token(rig)
    service = Service(rig.worlds[0], [rig.token], instance="prod", concurrency=1, recall=Recall())
    began = rig.clock.now()
    (outcome,) = service.run_once()
    assert rig.clock.now() - began <= 10 * MINUTE
    assert (rig.current_id == "token-2") is replaced
    assert any("let the daemon replace it" in failure for failure in outcome.failures) is not replaced


def test_once_goes_on_after_a_trial_without_an_answer() -> None:
    """No answer at the moment when a refusal would be certain: it tries again instead of leaving."""
    rig = provisioned(proves_by_use=True)
    edit_token(rig)
    before = rig.issuer.faults.calls["prove"]

    def interfere(operation: str) -> None:
        if operation == "prove" and rig.issuer.faults.calls["prove"] == before + 1:
            rig.issuer.faults.add("prove", Fault.BEFORE)

    rig.issuer.faults.before_call = interfere
    service = Service(rig.worlds[0], [rig.token], instance="prod", concurrency=1, recall=Recall())
    service.run_once()
    assert rig.current_id == "token-2"
