"""The rendered pods run as a node runs them, in the image that the Dockerfile comes to.

They are nobody, can write their volumes alone, and their probes, grace and rights are those of the manifest.
"""

import json
import signal
from collections.abc import Callable, Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any, Final

import httpx
import pytest

from provisioner.runtime.clock import SystemClock
from tests.deploy.calls import asked_of, granted
from tests.deploy.dockerfile import Stage
from tests.deploy.rendered import FIRST, MINIMAL, NAMESPACE, chart, examples, one
from tests.deploy.world import World, a_world

pytestmark = pytest.mark.xdist_group("image")
COMMAND: Final = "/opt/provisioner/bin/provisioner"
NAME: Final = "telegraf-admin"
WRONG: Final = (
    "Traceback",
    "Read-only file system",
    "Permission denied",
    "admin_socket_unavailable",
)


@pytest.fixture(scope="module")
def policies() -> dict[str, str]:
    """Keep the policy that was printed: it is the same in every world."""
    return {}


@pytest.fixture
def world(request: pytest.FixtureRequest, tmp_path: Path, image: Stage, policies: dict[str, str]) -> Iterator[World]:
    """Give a world whose Vault has the policy that the pod itself prints; a parameter is values of the chart."""
    with a_world(tmp_path, image, chart(MINIMAL, *getattr(request, "param", ()))) as world:
        if not policies:
            printed = world.pod("policy").run(COMMAND, "policy", "vault")
            assert printed.returncode == 0, printed.stderr
            policies["vault"] = printed.stdout
        world.permit(policies["vault"])
        yield world


def logged(text: str, event: str) -> list[dict[str, Any]]:
    """Give what was logged of a kind."""
    lines = [json.loads(line) for line in text.splitlines() if line.startswith('{"') and line.endswith('"}')]
    return [line for line in lines if line.get("event") == event]


def wait_for(what: str, log: Path, happened: Callable[[], bool]) -> None:
    """Look until something has happened; fails when it does not in time."""
    clock = SystemClock()
    deadline = clock.monotonic() + 60
    while not happened():
        assert clock.monotonic() < deadline, f"{what} did not happen:\n{log.read_text()[-3000:]}"
        clock.sleep(timedelta(milliseconds=50))


@pytest.mark.parametrize("world", [["vaultToken.enabled=true"]], indirect=True, ids=["with a token for Vault"])
def test_the_daemon_lives_in_its_pod(world: World, tmp_path: Path) -> None:
    """It starts, is ready, rotates, is asked from inside, and ends in its grace; its volumes are empty after that."""
    pod, log, clock = world.pod("provisioner-5d9f7c-x2x4q"), tmp_path / "log", SystemClock()
    with pod.running(log) as process:
        for probe in ("startupProbe", "readinessProbe", "livenessProbe"):
            assert pod.probed(probe, world.port, clock), f"{probe}: {log.read_text()[-3000:]}"
        wait_for("the first token", log, lambda: bool(logged(log.read_text(), "token_stored")))
        status = pod.run(COMMAND, "status", "--output", "json")
        assert (status.returncode, [each["state"] for each in json.loads(status.stdout)["tokens"]]) == (0, ["ok"])
        first = world.stored()
        rotated = pod.run(COMMAND, "rotate", NAME, "--reason", "a test")
        assert rotated.returncode == 0, rotated.stderr
        assert world.stored()["token_id"] != first["token_id"]
        checked = pod.run(COMMAND, "check")
        assert checked.returncode == 0, checked.stdout
        assert "provisioner_leader 1.0" in httpx.get(f"http://127.0.0.1:{world.port}/metrics").text
        process.send_signal(signal.SIGTERM)
        assert process.wait(pod.spec["terminationGracePeriodSeconds"]) == 0
    text = log.read_text()
    assert [word for word in WRONG if word in text] == []
    assert logged(text, "leadership_released")
    assert logged(text, "leadership_gained")[0]["identity"].startswith(f"{pod.name}_")
    assert pod.written() == {"home": [], "tmp": [], "run": []}
    assert asked_of(world.server) == granted(world.rendered)
    told = world.server.cluster.list("events", NAMESPACE)["items"]
    assert [(each["reason"], each["regarding"]["name"]) for each in told] == [("Rotated", pod.name)] * 2
    works, leaked = world.stored_token_works(), first["token"] in text or world.stored()["token"] in text
    assert works
    assert not leaked, "a token's string is in the log"


def test_the_jobs_do_their_work_and_leave_nothing(world: World) -> None:
    """The containers of the examples end well, also when they are tried again, which makes no further token."""
    for made, kind in enumerate(["CronJob", "Job"], start=1):
        spec = one(kind, examples())["spec"]
        spec = spec.get("jobTemplate", {}).get("spec", spec)["template"]["spec"]
        for attempt in ("first", "second"):
            pod = world.node.pod(f"{kind.lower()}-{attempt}", spec)
            ran = pod.run()
            assert ran.returncode == 0, ran.stderr
            assert [word for word in WRONG if word in ran.stderr] == []
            assert pod.written() == {"home": [], "tmp": [], "run": []}
            leaked = world.stored()["token"] in ran.stdout + ran.stderr
            assert not leaked, "a token's string is told"
            assert len([token for token in world.cluster.tokens() if NAME in token.description]) == made
    works = world.stored_token_works()
    assert works
    assert asked_of(world.server) <= granted(world.rendered)


def test_three_values_are_enough_to_be_ready(tmp_path: Path, image: Stage) -> None:
    """With nothing else set and no Secret mounted the pod starts, is ready, and says that it has no token."""
    with a_world(tmp_path, image, chart(FIRST)) as world:
        pod, log, clock = world.pod("provisioner-5d9f7c-x2x4q"), tmp_path / "log", SystemClock()
        with pod.running(log) as process:
            for probe in ("startupProbe", "readinessProbe"):
                assert pod.probed(probe, world.port, clock), f"{probe}: {log.read_text()[-3000:]}"
            process.send_signal(signal.SIGTERM)
            assert process.wait(pod.spec["terminationGracePeriodSeconds"]) == 0
    assert len(logged(log.read_text(), "no_tokens")) == 1
    assert [word for word in WRONG if word in log.read_text()] == []
