"""The system's clock, where it is not as plain as it looks."""

import time

import pytest

from provisioner.runtime.clock import SystemClock


def test_the_time_that_a_machine_sleeps_counts_where_a_clock_counts_it(monkeypatch: pytest.MonkeyPatch) -> None:
    """Elsewhere the ordinary one is read; neither goes backwards."""
    read = [SystemClock().monotonic() for _ in range(3)]
    assert read == sorted(read)
    monkeypatch.setattr(time, "CLOCK_BOOTTIME", time.CLOCK_REALTIME, raising=False)
    assert SystemClock().monotonic() > 1e9
    monkeypatch.delattr(time, "CLOCK_BOOTTIME")
    assert SystemClock().monotonic() < 1e9
