"""Rotations by hand: each wish once, however often it is sent, followed phase by phase, with an end in every case."""

from collections.abc import Callable
from dataclasses import replace
from threading import Event

import pytest

from provisioner.domain import events
from provisioner.domain.by_hand import ByHand, NotTakenError, Progress, RequestDiffersError, Wish
from provisioner.domain.model import Trigger
from provisioner.engine.desk import Desk
from provisioner.engine.recall import Recall
from provisioner.engine.service import RotationResult, Service
from tests.builders import OTHER_PLACE, PLACE
from tests.fakes.faults import Fault
from tests.rig import Rig, provisioned

WISH = Wish(request_id="change-1", reason="change 1", by="alice")
PATIENCE = 10


def a_desk(rig: Rig) -> tuple[Desk, Service]:
    """Give a desk over a real engine in a world of fakes."""
    desks: list[Desk] = []

    def tell(event: events.Event) -> None:
        desks[0](event)

    world = replace(rig.worlds[0], observe=tell)
    service = Service(world, [rig.token], instance="prod", concurrency=2, recall=Recall())

    def rotate(name: str, trigger: Trigger) -> RotationResult:
        return service.rotate(service.select([name]), trigger)[0]

    desks.append(Desk(rig.clock, instance="prod", concurrency=2, rotate=rotate))
    return desks[0], service


def ended(desk: Desk, wish: Wish = WISH, name: str = "telegraf") -> ByHand:
    """Ask, wait for the end of everything, and give how it ended."""
    (asked,) = desk.ask([name], wish)
    wait_for(lambda: seen(desk, asked).has_ended)
    return seen(desk, asked)


def seen(desk: Desk, asked: ByHand) -> ByHand:
    """Give the rotation as far as it is."""
    found = desk.get(asked.id)
    assert found is not None
    return found


def wait_for(happened: Callable[[], bool]) -> None:
    """Look until it has."""
    pause = Event()
    for _ in range(PATIENCE * 100):
        if happened():
            return
        pause.wait(0.01)
    raise AssertionError("it did not happen")


def test_wish_is_carried_out_and_followed() -> None:
    """Every phase has its beginning, its end and what came of it, the copy too; who, when and why stay with it."""
    rig = provisioned()
    rig.with_copy()
    rig.reconcile()
    desk, _ = a_desk(rig)
    rotation = ended(desk)
    names = [phase.name for phase in rotation.phases]
    assert names == ["preflight", "create", "prove", "commit", "read_back", "copy"]
    assert all(phase.ended_at is not None and not phase.failed for phase in rotation.phases)
    said = {phase.name: phase.said for phase in rotation.phases}
    assert said["create"] == "token-2"
    assert (said["commit"], said["copy"]) == (f"{PLACE}, version 2", f"{OTHER_PLACE}, version 2")
    assert (rotation.progress, rotation.token_id, rotation.error) == (Progress.DONE, "token-2", None)
    assert rotation.still_live == ("token-1",)
    assert (rotation.request.by, rotation.request.reason, rotation.request.via) == ("alice", "change 1", "socket")
    assert rotation.request.asked_at == rotation.asked_at


def test_same_wish_is_the_same_rotation() -> None:
    """Sent again, and sent by another way: one token is made. Another process is told that it was honoured."""
    rig = provisioned()
    desk, _ = a_desk(rig)
    first = ended(desk)
    again = ended(desk, replace(WISH, via="http", by="bob"))
    assert again == first
    other, _ = a_desk(rig)
    assert (ended(other).id, ended(other).already) == (first.id, True)
    assert rig.issuer.faults.calls["create"] == 2


@pytest.mark.parametrize("other", [replace(WISH, reason="another"), replace(WISH, compromised=True)])
def test_another_wish_of_the_same_id_is_refused(other: Wish) -> None:
    """Nothing is done for it."""
    rig = provisioned()
    desk, _ = a_desk(rig)
    ended(desk)
    with pytest.raises(RequestDiffersError, match="choose another request id"):
        desk.ask(["telegraf"], other)
    assert rig.issuer.faults.calls["create"] == 2


def test_one_that_failed_is_begun_again() -> None:
    """It says why and at which phase; the same wish then ends well, under the same id."""
    rig = provisioned()
    rig.issuer.faults.add("create", Fault.BEFORE)
    desk, _ = a_desk(rig)
    failed = ended(desk)
    assert failed.progress is Progress.FAILED
    assert "create failed" in (failed.error or "")
    assert [(phase.name, phase.failed) for phase in failed.phases][:2] == [("preflight", False), ("create", True)]
    rig.clock.advance(rig.token.drift_interval)
    done = ended(desk)
    assert (done.id, done.progress, done.tries) == (failed.id, Progress.DONE, 2)


def test_bug_leaves_nobody_waiting() -> None:
    """It ends, and tells no text of what went wrong."""

    def rotate(_: str, __: Trigger) -> RotationResult:
        raise KeyError("M.V1.secret")

    desk = Desk(provisioned().clock, instance="prod", concurrency=1, rotate=rotate)
    assert ended(desk).error == "unexpected KeyError: a bug"


def test_what_has_not_begun_when_it_closes_has_failed() -> None:
    """What has begun comes to its end; nothing more is taken."""
    rig, go_on, begun = provisioned(), Event(), Event()

    def rotate(name: str, trigger: Trigger) -> RotationResult:
        begun.set()
        go_on.wait(PATIENCE)
        return RotationResult(
            name=name, request_id=trigger.request_id, done=True, already=False, token_id="t", error=None
        )

    desk = Desk(rig.clock, instance="prod", concurrency=1, rotate=rotate)
    first, second = desk.ask(["one", "two"], WISH)
    assert begun.wait(PATIENCE)
    assert (seen(desk, first).progress, seen(desk, second).progress) == (Progress.RUNNING, Progress.WAITING)
    desk._is_closed = True  # close() would wait
    go_on.set()
    desk.close()
    assert seen(desk, first).progress is Progress.DONE
    assert "stopping" in (seen(desk, second).error or "")
    with pytest.raises(NotTakenError, match="stopping"):
        desk.ask(["three"], WISH)


def test_oldest_that_ended_are_forgotten_and_no_more_are_taken_than_can_be_kept() -> None:
    """A flood of wishes fills no memory."""
    go_on = Event()
    go_on.set()

    def rotate(name: str, trigger: Trigger) -> RotationResult:
        go_on.wait(PATIENCE)
        return RotationResult(
            name=name, request_id=trigger.request_id, done=True, already=False, token_id="t", error=None
        )

    desk = Desk(provisioned().clock, instance="prod", concurrency=1, rotate=rotate, most_kept=2)
    first, second, third = (ended(desk, name=name) for name in ("one", "two", "three"))
    assert desk.all() == (third, second)
    assert desk.get(first.id) is None
    go_on.clear()
    desk.ask(["four", "five"], WISH)
    with pytest.raises(NotTakenError, match="wait for them"):
        desk.ask(["six"], WISH)
    go_on.set()
    desk.close()
