"""The command dies of SIGKILL before, inside and after every call; run again, it puts everything right."""

import json
import os
import signal
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from datetime import timedelta
from threading import Event
from typing import Any

import pytest

from provisioner.domain.mark import Mark
from provisioner.settings.fail_point import OPERATIONS
from provisioner.simulators.cluster import Cluster
from tests.builders import uid
from tests.crash.proxy import cut
from tests.crash.scene import NAME, OVERLAP, OWNER, Late, Scene
from tests.crash.table import AFTER, BEFORE, EFFECTS, REQUEST, SCENARIOS, Point, Scenario, points

Stage = Callable[[str | None], Scene]
POINTS = tuple(points())
DAEMON_DIES_AT = (
    "due-issuer.create.1-kill_caller_after_create",
    "due-store.write.1-before",
    "due-store.write.1-answer-lost",
    "predecessor-issuer.revoke.1-kill_caller_after_revoke",
    "orphan-store.write.1-after",
)


@dataclass(slots=True)
class Killer:
    """Kills a process that is named later, on another thread."""

    cuts: bool = False
    """Whether the connection is cut as well."""
    holds: Event | None = None
    """Whether the request is held in the network until this is set."""
    pid: int = 0
    named: Event = field(default_factory=Event)

    def __call__(self) -> None:
        """Kill it."""
        assert self.named.wait(60)
        os.kill(self.pid, signal.SIGKILL)
        if self.cuts or (self.holds is not None and not self.holds.wait(60)):
            cut()


def staged(scenario: Scenario, stage: Stage) -> Scene:
    """Set the stage so that the scenario's command has something to do now."""
    scene = stage(scenario.beginning)
    content = scene.site.content
    match scenario.name:
        case "due":  # of a life of an hour, ten have gone already
            content["defaults"] |= {"ttl": "1d", "rotate_before": "10h"}
            del content["defaults"]["rotate_at"]
        case "predecessor":
            scene.wait(OVERLAP)
        case "orphan":
            current = scene.ours()[0].created_at
            made = Cluster(scene.site.cluster._directory, now=lambda: current + timedelta(milliseconds=1))
            made.create(str(Mark(OWNER, uid(9))), current + timedelta(days=1))
            scene.wait(OVERLAP)
        case "copy":
            content["tokens"][0]["destinations"].append({"store": "vault", "path": scene.site.path("copy")})
        case _:
            pass
    return scene


def events(scene: Scene, name: str) -> list[dict[str, Any]]:
    """Give the events of that name that were logged."""
    lines = [json.loads(line) for line in scene.log().splitlines() if line.startswith("{")]
    return [line for line in lines if line["event"] == name]


@pytest.mark.parametrize("scenario", SCENARIOS, ids=lambda scenario: scenario.name)
def test_every_crash_point_is_listed(scenario: Scenario, stage: Stage) -> None:
    """The table's calls are those, and in that order, which an undisturbed run really makes."""
    scene = staged(scenario, stage)
    assert scene.run(*scenario.command).status == 0
    made = tuple(f"{event['kind']}.{event['operation']}" for event in events(scene, "request_made"))
    assert made == scenario.calls, f"the table has to say: {made}"


def test_every_operation_is_in_the_table() -> None:
    """Each is killed before; each that has an effect also inside, in every way, and after it.

    Those on consumers are killed in ``tests/e2e/test_following.py``: no scenario here has any.
    """
    moments: dict[str, set[str]] = {}
    for point in POINTS:
        moments.setdefault(point.operation, set()).add(point.moment)
    assert set(moments) == {operation for operation in OPERATIONS if not operation.startswith("consumer.")}
    assert all(BEFORE in met for met in moments.values())
    assert all(moments[operation] == {BEFORE, *inside, AFTER} for operation, inside in EFFECTS.items())


def kill_at(scene: Scene, point: Point) -> None:
    """Run the scenario's command into its death at that point; fails when it does not come so far."""
    if point.moment in {BEFORE, AFTER}:
        ran = scene.run(
            *point.scenario.command, PROVISIONER_FAIL_POINT=f"{point.operation}:{point.moment}:{point.count}"
        )
        assert ran.status == -signal.SIGKILL, ran.errors
        (met,) = events(scene, "fail_point_met")
        assert met["point"] == f"{point.operation}:{point.moment}"
    elif point.operation in {"issuer.create", "issuer.revoke"}:
        scene.site.cluster.set(**{point.moment: 1})
        ran = scene.run(*point.scenario.command)
        assert getattr(scene.site.cluster.knobs(), point.moment) == 0, "the knob was used"
        ended = {"die_after_create": 1, "die_after_revoke": 0}.get(point.moment, -signal.SIGKILL)
        assert ran.status == ended, ran.errors  # after a revocation the list is asked, and says that all is well
    else:
        kill_at_request(scene, point)


def kill_at_request(scene: Scene, point: Point) -> None:
    """Kill the command while its request is on the way, or the answer to it."""
    killer = Killer(cuts=point.moment != "request-late")
    proxy, method, path = {
        "issuer.prove": (scene.around.to_issuer, "GET", "/databases"),
        "store.read": (scene.around.to_store, "GET", scene.site.prefix),
        "store.write": (scene.around.to_store, "POST", scene.site.prefix),
    }[point.operation]
    if point.moment == "request-late":
        scene.late = Late()
        killer.holds = scene.late.release
        proxy.at(method, path, scene.late.answered.set, answered=True, count=point.count)
    happened = proxy.at(method, path, killer, answered=point.moment == "answer-lost", count=point.count)
    started = scene.start(*point.scenario.command)
    killer.pid = started.pid
    killer.named.set()
    assert started.wait() == -signal.SIGKILL
    assert happened.is_set()


@pytest.mark.parametrize("point", POINTS, ids=str)
def test_killed_and_run_again(point: Point, stage: Stage) -> None:
    """Wherever it dies: in the end one token lives, it is the stored one, and nothing foreign was touched."""
    kill_and_run_again(point, stage)


@pytest.mark.parametrize("name", DAEMON_DIES_AT)
def test_killed_daemon_and_run_again(name: str, stage: Stage) -> None:
    """The daemon dies in the same way."""
    (point,) = (point for point in POINTS if str(point) == name)
    kill_and_run_again(replace(point, scenario=replace(point.scenario, command=("run",))), stage)


@pytest.mark.parametrize("moment", [AFTER, "answer-lost"])
def test_a_kill_takes_nothing_of_the_overlap(moment: str, stage: Stage) -> None:
    """An overlap so long that no slow machine keeps it by accident is kept by the runs after the kill."""
    (point,) = (point for point in POINTS if str(point) == f"due-store.write.1-{moment}")
    scene = staged(point.scenario, stage)
    scene.site.content["defaults"]["overlap"] = "3s"
    kill_at(scene, point)
    scene.converge()
    scene.check()
    check_outcome(scene, point.scenario, set())


def kill_and_run_again(point: Point, stage: Stage) -> None:
    """Kill the command, run it until all is at rest, and check everything."""
    scene = staged(point.scenario, stage)
    before = {token.token_id for token in scene.ours() if token.token_id in scene.live()}
    kill_at(scene, point)
    if point.scenario.name == "by-hand":
        sent_again = scene.run(*point.scenario.command)
        assert sent_again.status == 0, sent_again.errors
        scene.wait(OVERLAP)
    scene.converge()
    if scene.late is not None:
        scene.late.let_go()
    scene.check()
    check_outcome(scene, point.scenario, before)


def check_outcome(scene: Scene, scenario: Scenario, before: set[str]) -> None:
    """Check that the scenario's own purpose was reached, once."""
    held = [document for document in scene.history(scene.site.path(NAME)).values() if "token_id" in document]
    stored = list(dict.fromkeys(str(document["token_id"]) for document in held))
    match scenario.name:
        case "first":
            assert len(stored) == 1
        case "due":
            assert len(stored) == 2, "rotated once"
        case "by-hand":
            assert len(stored) == 2, "I6"
            assert [document["request_id"] for document in held[1:]] == [REQUEST] * (len(held) - 1)
        case _:
            assert len(stored) == 1, "nothing was minted"
            assert stored[0] in before
