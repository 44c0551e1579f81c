"""The API of a machine that has slept since it was started."""

import asyncio

import pytest
import uvicorn

from provisioner.api.server import Server
from provisioner.runtime.clock import SystemClock


def test_the_loop_beats_by_the_clock_that_it_is_judged_by(monkeypatch: pytest.MonkeyPatch) -> None:
    """Else it would be taken for hung for ever, and its process killed at every probe, once a machine has slept."""
    awake = SystemClock.monotonic
    monkeypatch.setattr(SystemClock, "monotonic", lambda clock: awake(clock) + 86400)
    server = Server(uvicorn.Config("nothing:here", log_config=None), "here")
    before = SystemClock().monotonic()
    asyncio.run(server.on_tick(1))
    assert before <= server.beaten_at <= SystemClock().monotonic()
