"""The daemon is killed at random moments, again and again; the next one puts everything right."""

import random
import signal
from collections.abc import Callable
from datetime import timedelta

import pytest

from provisioner.runtime.clock import SystemClock
from tests.crash.scene import LIVES, NAME, Scene

SEEDS = (1, 2)
KILLS = 10
MOST_LINES = 16
"""A daemon is killed when it has logged so many lines at most: about what a rotation logs."""
LONGEST_PAUSE = 0.15
"""And so many seconds behind that, at most: about as long as a call to influxctl takes."""


@pytest.mark.parametrize("seed", SEEDS)
def test_killed_at_random_moments(seed: int, stage: Callable[[str | None], Scene]) -> None:
    """After ten daemons that were killed in mid-life, one that lives on comes to rest with one token."""
    moments, scene, clock = random.Random(seed), stage(None), SystemClock()  # noqa: S311  # chance, no secret
    scene.site.content["defaults"] |= {"ttl": "4s"}
    scene.site.cluster.set(latency=0.1)  # more of its life is spent inside calls
    for _ in range(KILLS):
        started = scene.start("run")
        lines = moments.randint(0, MOST_LINES)
        scene.site.wait_for("life", lambda lines=lines: has_logged(scene, lines))
        clock.sleep(timedelta(seconds=moments.uniform(0, LONGEST_PAUSE)))
        started.kill(signal.SIGKILL)
        assert started.wait() == -signal.SIGKILL, "it was alive until then"
    scene.site.cluster.set(latency=0.0)
    scene.site.content["defaults"] = dict(LIVES)
    started = scene.start("run")
    scene.site.wait_for("rest", lambda: lasts(scene) and scene.is_at_rest())
    started.kill(signal.SIGTERM)
    assert started.wait() == 0
    scene.check()
    assert len(scene.ours()) > 1, "something was under way"


def has_logged(scene: Scene, lines: int) -> bool:
    """Tell whether the command that runs now has come so far."""
    log = scene.output.with_suffix(".err")
    return lines == 0 or (log.exists() and log.read_text().count("\n") >= lines)


def lasts(scene: Scene) -> bool:
    """Tell whether the stored token is one that the last daemon made: nothing falls due by itself any more."""
    held = scene.history(scene.site.path(NAME))
    token_id = held[max(held)].get("token_id") if held else None
    later = SystemClock().now() + timedelta(minutes=1)
    return any(token.token_id == token_id and token.is_live(later) for token in scene.ours())
