"""Servers that several suites share, each on a free port, started once and stopped at the end."""

from collections.abc import Iterator

import pytest

from provisioner.simulators.openbao import OpenBao
from tests.fakes.clock import FakeClock


@pytest.fixture(scope="session")
def openbao() -> Iterator[OpenBao]:
    """Give a real OpenBao with KV version 2 at ``secret/``."""
    with OpenBao() as server:
        yield server


@pytest.fixture
def clock() -> FakeClock:
    """Give a clock that stands still."""
    return FakeClock()
