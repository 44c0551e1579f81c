"""Servers that several suites share, each on a free port, started once and stopped at the end."""

from collections.abc import Iterator
from typing import TYPE_CHECKING
from uuid import uuid4

import pytest

from provisioner.domain.model import Destination
from provisioner.simulators.openbao import OpenBao
from tests.fakes.clock import FakeClock

if TYPE_CHECKING:
    import hvac


@pytest.fixture(scope="session")
def openbao() -> Iterator[OpenBao]:
    """Give a real OpenBao with KV version 2 at ``secret/``."""
    with OpenBao() as server:
        yield server


@pytest.fixture
def clock() -> FakeClock:
    """Give a clock that stands still."""
    return FakeClock()


@pytest.fixture
def root(openbao: OpenBao) -> Iterator["hvac.Client"]:
    """Give an operator's client."""
    import hvac

    client = hvac.Client(url=openbao.address, token=openbao.root_token.reveal())
    yield client
    client.session.close()


@pytest.fixture
def place() -> Destination:
    """Give a path of this test alone."""
    return Destination(store="vault", path=f"it/{uuid4()}")
