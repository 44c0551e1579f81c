"""A store with a reader: what is proven is what consumers can read, and old tokens wait for that."""

from dataclasses import replace

import pytest

from provisioner.domain.events import DestinationConfirmed, StepFailed
from provisioner.domain.model import Trigger
from provisioner.domain.status import State, TokenStatus, status_of
from provisioner.engine.reconcile import Outcome
from tests.builders import DAY, HOUR, MINUTE, OTHER_PLACE, PLACE, SECOND, a_token
from tests.fakes.faults import Fault
from tests.fakes.store import FakeStore
from tests.rig import Rig, provisioned

READ_PLACE = replace(PLACE, has_reader=True)
READ_COPY = replace(OTHER_PLACE, has_reader=True)
TOKEN = a_token(destinations=(READ_PLACE,))


def standing(rig: Rig, outcome: Outcome) -> TokenStatus:
    """Give what ``status`` says of an outcome."""
    return status_of(outcome.snapshot, outcome.decision, rig.clock.now())


def rotated(rig: Rig, *, compromised: bool = False) -> Outcome:
    """Rotate at a person's wish."""
    return rig.reconcile(Trigger(request_id="by hand", compromised=compromised))


def test_the_read_back_of_a_rotation_is_the_readers() -> None:
    """A rotation costs no request more than without one, and nothing is left to be confirmed."""
    rig = provisioned(TOKEN)
    before = rig.store.faults.calls.copy()
    outcome = rotated(rig)
    assert rig.store.faults.calls - before == {"preflight": 1, "read": 1, "write": 1, "confirm": 1}
    assert [place.readable for place in standing(rig, outcome).destinations] == [True]
    assert [event for event in rig.events if isinstance(event, DestinationConfirmed)] == []


def test_without_a_reader_nothing_is_asked() -> None:
    """A store without one costs no request, and nobody says whether consumers can read."""
    rig = provisioned()
    outcome = rotated(rig)
    assert rig.store.faults.calls["confirm"] == 0
    assert [place.readable for place in standing(rig, outcome).destinations] == [None]


def test_a_fresh_process_confirms_every_destination_once() -> None:
    """One request for each destination, when the process begins; none in the passes after it."""
    rig = provisioned(a_token(destinations=(READ_PLACE, READ_COPY)))
    rig.crash()
    before = rig.store.faults.calls["confirm"]
    for _ in range(3):
        outcome = rig.reconcile()
        rig.clock.advance(HOUR)
    assert rig.store.faults.calls["confirm"] - before == 2
    assert outcome.changed == 0
    assert [place.readable for place in standing(rig, outcome).destinations] == [True, True]


def test_only_destinations_with_a_reader_are_confirmed() -> None:
    """A copy is confirmed when it was written; a primary without a reader is read by ourselves as ever."""
    rig = provisioned(a_token(destinations=(PLACE, READ_COPY)))
    rotated(rig)
    confirmed = [event.destination for event in rig.events if isinstance(event, DestinationConfirmed)]
    assert confirmed == [str(READ_COPY)] * 2
    assert rig.store.faults.calls["confirm"] == 2


def test_a_fence_of_ours_asks_for_no_new_look() -> None:
    """We moved the revision ourselves, and what it holds is unchanged."""
    rig = provisioned(TOKEN)
    orphan = rig.orphan()
    before = rig.store.faults.calls.copy()
    rig.pass_time(2 * HOUR)
    made = rig.store.faults.calls - before
    assert orphan not in rig.live_ids()
    assert (made["write"], made["confirm"]) == (1, 0)


def test_an_edit_by_hand_asks_for_a_new_look() -> None:
    """Another revision is another thing to be read."""
    rig = provisioned(TOKEN)
    before = rig.store.faults.calls["confirm"]
    rig.store.put_by_hand(PLACE.path, dict(rig.store.document(PLACE.path) or {}))
    rig.reconcile()
    assert rig.store.faults.calls["confirm"] == before + 1


def test_predecessors_wait_until_consumers_can_read() -> None:
    """The rotation stands, and the old token is kept, for its whole overlap from when consumers can read."""
    rig = provisioned(TOKEN)
    rig.store.kept_from_reader.add(PLACE.path)
    told = standing(rig, rotated(rig))
    assert rig.current_id == "token-2"
    assert told.state is State.FAILING
    assert [(place.in_sync, place.readable) for place in told.destinations] == [(True, False)]
    assert f"consumers cannot read {PLACE}" in told.reason
    (waiting,) = told.awaiting_revocation
    assert (waiting.token_id, waiting.revoke_at) == ("token-1", None)
    assert f"consumers cannot read {PLACE}: the fake store denied its reader" in waiting.why
    rig.pass_time(3 * HOUR)
    assert rig.live_ids() == {"token-1", "token-2"}
    assert {event.step for event in rig.events if isinstance(event, StepFailed)} == {"confirm"}

    rig.store.kept_from_reader.clear()
    rig.pass_time(15 * MINUTE)
    assert standing(rig, rig.reconcile()).state is State.OK
    assert rig.live_ids() == {"token-1", "token-2"}, "consumers have their overlap from now on"
    rig.pass_time(HOUR)
    assert rig.live_ids() == {"token-2"}


def test_another_process_holds_back_as_well() -> None:
    """What keeps the old token is that nobody has seen consumers read, not that somebody remembers their failure."""
    rig = provisioned(TOKEN)
    rig.store.kept_from_reader.add(PLACE.path)
    rotated(rig)
    rig.clock.advance(DAY)
    rig.crash()
    assert standing(rig, rig.reconcile()).state is State.FAILING
    assert rig.live_ids() == {"token-1", "token-2"}


def test_a_leaked_token_dies_all_the_same() -> None:
    """Consumers who cannot read have a broken token either way: ``--compromised`` does not wait for them."""
    rig = provisioned(TOKEN)
    rig.store.kept_from_reader.add(PLACE.path)
    outcome = rotated(rig, compromised=True)
    assert outcome.revoked == ("token-1",)
    assert rig.live_ids() == {"token-2"}
    assert standing(rig, outcome).state is State.FAILING


@pytest.mark.parametrize("fault", [Fault.BEFORE, Fault.REFUSED])
def test_a_reader_in_trouble_for_two_months_stops_no_rotation(fault: Fault) -> None:
    """It is tried for ever, at most every 15 minutes; rotations go on, and everything ends well once it answers."""
    rig = provisioned(a_token(drift_interval=HOUR, destinations=(READ_PLACE,)))
    rig.store.faults.always["confirm"] = fault
    before = rig.store.faults.calls["confirm"]
    rig.pass_time(40 * DAY, step=6 * HOUR)
    assert rig.current_id == "token-3"
    assert rig.store.faults.calls["confirm"] - before < 40 * DAY / (7 * MINUTE)
    rig.settle()


def test_what_the_reader_sees_must_be_the_record(monkeypatch: pytest.MonkeyPatch) -> None:
    """A reader that reads an older version, or another place, has not seen what consumers are to read."""
    rig = provisioned(TOKEN)
    rig.crash()
    older = replace(rig.store.confirm(PLACE, rig.token.owner), revision="0")
    monkeypatch.setattr(FakeStore, "confirm", lambda *_: older)
    outcome = rig.reconcile()
    assert standing(rig, outcome).state is State.FAILING
    assert "reads something else there than we do" in outcome.failures[0]


def test_a_failed_look_is_tried_again_after_its_backoff() -> None:
    """A failed look is tried again when its backoff says, and not before."""
    rig = provisioned(TOKEN)
    rig.crash()
    rig.store.faults.add("confirm", Fault.BEFORE)
    outcome = rig.reconcile()
    told = standing(rig, outcome)
    assert told.next_step == "confirm"
    assert told.next_step_at is not None
    rig.clock.advance(told.next_step_at - rig.clock.now() - SECOND / 10)
    assert rig.reconcile().decision.step == outcome.decision.step
    rig.clock.advance(SECOND / 10)
    assert standing(rig, rig.reconcile()).state is State.OK


@pytest.mark.parametrize("count", [1, 2, 3])
@pytest.mark.parametrize("kept", [False, True])
def test_process_that_dies_before_a_look_loses_nothing(count: int, kept: bool) -> None:  # noqa: FBT001  # a column of the table
    """Before the read-back of a rotation, or a look after it: the rotation stands, and its predecessor waits."""
    rig = provisioned(a_token(destinations=(READ_PLACE, READ_COPY)))
    if kept:
        rig.store.kept_from_reader.add(OTHER_PLACE.path)
    died = rig.reconcile_and_die_before("confirm", count, Trigger(request_id="by hand"))
    assert died == (count < 3)
    assert rig.current_id == "token-2"
    rig.pass_time(2 * HOUR)
    assert rig.live_ids() == ({"token-1", "token-2"} if kept else {"token-2"})
    rig.store.kept_from_reader.clear()
    rig.settle()
