"""Three kinds of issuers, two stores and the daemon's own credentials, all rotating at once: no promise is broken."""

from contextlib import ExitStack
from pathlib import Path

import pytest

from tests.crash.mixed import NAMES, a_mixed_stage, run_mixed

SECONDS = 40
"""For longer: ``python -m tests.crash.mixed SECONDS``."""
EACH = 2
"""How often each name is to be rotated at least."""


@pytest.mark.slow
def test_every_kind_of_issuer_and_store_rotates_at_once(tmp_path: Path) -> None:
    """Stored tokens work at every look, the daemon's own among them; each was rotated, and its predecessor revoked."""
    with ExitStack() as stack:
        seen = run_mixed(a_mixed_stage(tmp_path, stack), SECONDS, each=EACH)
    assert seen.wrong == []
    assert all(seen.rotations[name] >= EACH for name in NAMES), seen.rotations
    assert all(seen.revocations[name] >= EACH for name in NAMES), seen.revocations
    assert seen.judged >= seen.looks / 2
