"""A child that nothing can end does not hold us."""

import os
import subprocess
from datetime import timedelta
from pathlib import Path

import pytest

from provisioner.issuers.child import run_child


class Unending(subprocess.Popen[bytes]):
    """A child that hangs in the kernel, as far as we can see."""

    def wait(self, timeout: float | None = None) -> int:
        """Find it running still, however long that takes."""
        assert timeout is not None, "waited without end"
        super().wait(timeout)
        raise subprocess.TimeoutExpired("child", timeout)


def test_a_child_that_even_sigkill_does_not_end_is_left_behind(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """It counts as killed at its time-out, and nobody waits for it without end."""
    monkeypatch.setattr(subprocess, "Popen", Unending)
    ended = run_child(["true"], timeout=timedelta(seconds=5), home=tmp_path, environment={"PATH": os.defpath})
    assert ended.status is None
