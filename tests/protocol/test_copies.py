"""A copy that is down costs nobody else anything: neither the rotation, nor the other copies, nor every later look."""

from datetime import timedelta

from provisioner.domain.events import LookFailed
from provisioner.domain.model import Trigger
from provisioner.domain.status import State, status_of
from provisioner.domain.timing import BACKOFF_LONGEST
from tests.builders import DAY, HOUR, OTHER_PLACE, PLACE, SECOND, THIRD_PLACE, a_token
from tests.rig import Rig

PRIMARY, COPY, THIRD = (place.path for place in (PLACE, OTHER_PLACE, THIRD_PLACE))
TIME_OUT = 30 * SECOND
"""How long a path that is down keeps everybody waiting who asks for it."""
WELL = [f"read {path}" for path in (PRIMARY, COPY, THIRD)]


def with_two_copies() -> tuple[Rig, list[str]]:
    """Give a rig whose token is in three places since a day, and a list of what the store is asked and told."""
    rig, asked = Rig(a_token(destinations=(PLACE, OTHER_PLACE, THIRD_PLACE))), list[str]()
    rig.reconcile()
    rig.clock.advance(DAY)
    rig.reconcile()

    def note(what: str) -> None:
        asked.append(what)
        if what.partition(" ")[2] in rig.store.down_paths:
            rig.clock.advance(TIME_OUT)

    rig.store.on_path = note
    return rig, asked


def test_look_asks_every_destination_once() -> None:
    """Where nothing is due a look costs one read for each, as before."""
    rig, asked = with_two_copies()
    rig.reconcile()
    assert asked == WELL


def test_rotation_that_is_due_waits_for_no_copy() -> None:
    """The primary is read, written and read back before anybody asks a copy."""
    rig, asked = with_two_copies()
    rig.clock.advance(20 * DAY)
    rig.store.down_paths |= {COPY, THIRD}
    due = rig.clock.now()
    rig.reconcile()
    assert asked[:3] == [f"read {PRIMARY}", f"write {PRIMARY}", f"read {PRIMARY}"]
    assert rig.record is not None
    assert rig.record.stored_at == due, "no time-out has gone by"
    assert rig.live_ids() == {"token-1", "token-2"}


def test_copy_that_was_down_before_is_asked_last() -> None:
    """In a rotation the other copy is written before the one in trouble costs its time-out once more."""
    rig, asked = with_two_copies()
    rig.store.down_paths.add(COPY)
    rig.reconcile()
    rig.clock.advance(20 * DAY)
    asked.clear()
    due = rig.clock.now()
    rig.reconcile()
    assert rig.store.document(THIRD) == rig.store.document(PRIMARY)
    assert asked.index(f"write {THIRD}") < asked.index(f"read {COPY}")
    assert asked.count(f"read {COPY}") == 1
    assert rig.store.versions[THIRD][-1][1] == due


def test_copy_that_refuses_writing_is_asked_last() -> None:
    """One that can be read and not be written is no reason for others to wait either."""
    rig, asked = with_two_copies()
    rig.store.denied_paths.add(COPY)
    rig.clock.advance(20 * DAY)
    rig.reconcile()
    rig.clock.advance(20 * DAY)
    asked.clear()
    rig.reconcile()
    assert asked.index(f"write {THIRD}") < asked.index(f"read {COPY}")


def test_copy_that_gives_no_answer_is_asked_again_in_its_own_backoff() -> None:
    """Looks in between do not ask it, say why it was not read, and wake when it is its turn."""
    rig, asked = with_two_copies()
    rig.store.down_paths.add(COPY)
    waits: list[timedelta] = []
    for number in range(1, 12):
        step = rig.reconcile().decision.step
        assert asked.count(f"read {COPY}") == number
        told = [event for event in rig.events if isinstance(event, LookFailed)]
        assert len(told) == number
        assert str(OTHER_PLACE) in told[-1].reason
        waits.append(told[-1].retry_at - rig.clock.now())
        again = rig.reconcile()
        assert asked.count(f"read {COPY}") == number, "it was asked before its backoff was over"
        standing = status_of(again.snapshot, again.decision, rig.clock.now())
        assert (standing.state, [place.in_sync for place in standing.destinations]) == (
            State.FAILING,
            [True, False, True],
        )
        assert "cannot reach" in standing.reason
        assert getattr(step, "until", None) == told[-1].retry_at
        rig.clock.advance(told[-1].retry_at - rig.clock.now())
    assert waits == sorted(waits)
    assert waits[0] < TIME_OUT
    assert waits[-1] == waits[-2] <= BACKOFF_LONGEST
    rig.store.down_paths.clear()
    outcome = rig.reconcile()
    assert all(place.in_sync for place in status_of(outcome.snapshot, outcome.decision, rig.clock.now()).destinations)
    assert outcome.memory.backoffs == {}


def test_last_look_before_a_revocation_asks_every_copy() -> None:
    """Whatever a look before it has found, a copy that gives no answer right before the revocation holds it back."""
    rig, asked = with_two_copies()
    rig.clock.advance(20 * DAY)
    rig.reconcile()
    rig.clock.advance(HOUR)
    asked.clear()

    def goes_down(what: str) -> None:
        asked.append(what)
        if asked.count(f"read {COPY}") == 1 and what == f"read {THIRD}":
            rig.store.down_paths.add(COPY)

    rig.store.on_path = goes_down
    rig.reconcile()
    assert asked[:6] == WELL * 2
    assert rig.live_ids() == {"token-1", "token-2"}
    rig.store.down_paths.clear()
    rig.settle()


def test_copy_in_its_backoff_is_asked_right_before_a_revocation() -> None:
    """A token that was given up goes at once; its backoff is no reason not to ask a copy whether it holds it."""
    rig, asked = with_two_copies()
    rig.store.down_paths.add(COPY)
    rig.reconcile()
    rig.clock.advance(20 * DAY)
    rig.reconcile()
    asked.clear()
    rig.store.on_path = asked.append
    rig.issuer.forget_expiry = True
    rig.reconcile(Trigger(request_id="by hand"))
    assert asked.count(f"read {COPY}") == 1
    assert asked[-1] != f"read {COPY}"
    assert rig.live_ids() == {"token-1", "token-2"}
    rig.issuer.forget_expiry = False
    rig.store.down_paths.clear()
    rig.settle()
