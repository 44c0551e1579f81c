"""Two replicas at once, with pauses of any length: what the fence, compare-and-set and the last look are for."""

from collections.abc import Callable

import pytest

from provisioner.domain.model import Trigger
from tests.builders import DAY, HOUR, MINUTE
from tests.fakes.faults import Fault
from tests.rig import Rig, provisioned

OPERATIONS = ("list", "read", "preflight", "create", "prove", "write", "revoke")


def once_at(operation: str, count: int, do: Callable[[], object]) -> Callable[[str], None]:
    """Give an interference that does something before the ``count``-th call of an operation, and never again."""
    seen = 0
    done = False

    def interfere(called: str) -> None:
        nonlocal seen, done
        if done or called != operation:
            return
        seen += 1
        if seen == count:
            done = True
            do()

    return interfere


@pytest.mark.parametrize("operation", OPERATIONS[:-1])
@pytest.mark.parametrize("pause_hours", [0, 3])
def test_first_provisioning_by_two(operation: str, pause_hours: int) -> None:
    """While one replica is paused before any call of its first provisioning, another does the whole of it."""
    rig = Rig(replicas=2)

    def other() -> None:
        rig.clock.advance(pause_hours * HOUR)
        rig.reconcile(replica=1)

    rig.watch(once_at(operation, 1, other))
    rig.reconcile(replica=0)
    rig.watch(lambda _: None)
    rig.settle()


@pytest.mark.parametrize("operation", OPERATIONS[:-1])
@pytest.mark.parametrize("count", [1, 2])
@pytest.mark.parametrize("pause_hours", [0, 3])
def test_rotation_by_two(operation: str, count: int, pause_hours: int) -> None:
    """While one replica is paused before any call of a rotation, another rotates, sweeps, and rests."""
    rig = provisioned(replicas=2)
    rig.clock.advance(20 * DAY)

    def other() -> None:
        for _ in range(3):
            rig.clock.advance(pause_hours * HOUR)
            rig.reconcile(replica=1)

    rig.watch(once_at(operation, count, other))
    rig.reconcile(replica=0)
    rig.watch(lambda _: None)
    rig.settle()


@pytest.mark.parametrize("operation", OPERATIONS)
@pytest.mark.parametrize("count", [1, 2, 3])
def test_sweep_by_two(operation: str, count: int) -> None:
    """While one replica is paused before any call of a sweep, another sweeps and rotates."""
    rig = provisioned(replicas=2)
    rig.orphan()
    rig.clock.advance(2 * HOUR)

    def other() -> None:
        rig.reconcile(replica=1)
        rig.reconcile(Trigger(request_id="by hand"), replica=1)

    rig.watch(once_at(operation, count, other))
    rig.reconcile(replica=0)
    rig.watch(lambda _: None)
    rig.settle()


@pytest.mark.parametrize("by_use", [True, False])
def test_paused_before_commit_while_the_other_sweeps(*, by_use: bool) -> None:
    """A mints and proves X and is paused for hours; B sees X as an orphan and sweeps it; A's commit must fail."""
    rig = provisioned(replicas=2, proves_by_use=by_use)
    trigger = Trigger(request_id="a")

    def other() -> None:
        rig.clock.advance(5 * HOUR)
        rig.reconcile(replica=1)

    rig.watch(once_at("write", 1, other))
    rig.reconcile(trigger, replica=0)
    rig.watch(lambda _: None)
    assert rig.record is not None
    rig.settle()


def test_paused_before_first_commit_while_the_other_sweeps() -> None:
    """The same with nothing stored: a reservation is what makes A's commit fail."""
    rig = Rig(replicas=2)

    def other() -> None:
        rig.clock.advance(5 * HOUR)
        rig.issuer.faults.always["create"] = Fault.BEFORE
        rig.reconcile(replica=1)
        rig.issuer.faults.always.clear()

    rig.watch(once_at("write", 1, other))
    rig.reconcile(replica=0)
    rig.watch(lambda _: None)
    rig.settle()


def test_sweeper_paused_between_look_and_revoke() -> None:
    """B looks, and is paused before it revokes X; A wants to commit X meanwhile, and cannot."""
    rig = provisioned(replicas=2)
    trigger = Trigger(request_id="a")
    commits: list[bool] = []

    def commit_attempt() -> None:
        commits.append(rig.current_id == "token-1")

    def other() -> None:
        rig.clock.advance(5 * HOUR)
        rig.watch(once_at("revoke", 1, commit_attempt))
        rig.reconcile(replica=1)

    rig.watch(once_at("write", 1, other))
    rig.reconcile(trigger, replica=0)
    rig.watch(lambda _: None)
    assert commits == [True]
    rig.settle()


def test_same_request_to_two_replicas_rotates_once() -> None:
    """A request sent to both replicas at the same moment rotates once."""
    rig = provisioned(replicas=2)
    trigger = Trigger(request_id="same")
    rig.watch(once_at("write", 1, lambda: rig.reconcile(trigger, replica=1)))
    rig.reconcile(trigger, replica=0)
    rig.watch(lambda _: None)
    rig.clock.advance(MINUTE)
    rig.reconcile(trigger, replica=1)
    rig.settle()


def test_commit_that_landed_unseen_and_was_replaced_keeps_its_overlap() -> None:
    """A commit lands without an answer, another replica rotates on, and only then the first one conflicts.

    Its token was the current one for a while: whoever read it must have the overlap.
    """
    rig = provisioned(replicas=2)
    rig.clock.advance(20 * DAY)

    def nobody_answers() -> None:
        rig.store.faults.add("write", Fault.AFTER)
        rig.store.faults.add("read", Fault.BEFORE)

    def other_rotates() -> None:
        rig.reconcile(Trigger(request_id="r"), replica=1)

    first, second = once_at("write", 1, nobody_answers), once_at("write", 2, other_rotates)

    def interfere(operation: str) -> None:
        if rig.acting is not None and rig.acting[0] == 0:
            first(operation)
            second(operation)

    rig.watch(interfere)
    rig.reconcile(replica=0)
    rig.watch(lambda _: None)
    assert rig.record is not None
    assert rig.record.request_id == "r"
    rig.settle()
