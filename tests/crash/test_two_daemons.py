"""Two real daemons at once, for two minutes: no look finds a promise broken, and in the end one token a name lives."""

from contextlib import ExitStack
from pathlib import Path

import pytest

from tests.crash.durable_openbao import DurableOpenBao
from tests.crash.two_daemons import NAMES, a_site_for_two, run_two

SECONDS = 120
"""For longer: ``python -m tests.crash.two_daemons SECONDS``."""
SLOWEST_ROTATION = 10
"""Seconds in which a token is surely rotated once: its life."""


@pytest.mark.slow
def test_two_daemons_keep_every_promise(tmp_path: Path) -> None:
    """Stored tokens work at every look, predecessors keep their overlap, foreigners stay, four live at most."""
    with ExitStack() as stack:
        bao = stack.enter_context(DurableOpenBao())
        seen = run_two(a_site_for_two(tmp_path, bao, stack), SECONDS)
    assert seen.wrong == []
    assert seen.events["rotation_finished"] >= len(NAMES) * SECONDS / SLOWEST_ROTATION
    assert seen.judged >= seen.looks / 2
