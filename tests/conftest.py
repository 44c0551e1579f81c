"""Servers that several suites share, each on a free port, started once and stopped at the end."""

import gc
import os
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any
from uuid import uuid4

import pytest

from provisioner.domain.model import Destination
from provisioner.simulators.openbao import OpenBao
from provisioner.simulators.secrets_manager_server import SecretsManagerServer
from tests.aws import ACCESS_KEY, SECRET_KEY, Moto
from tests.distribution import Distribution, turn_of
from tests.fakes.clock import FakeClock
from tests.site import ZYGOTES

if TYPE_CHECKING:
    import hvac


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Let the slow ones begin first, so that no worker is left alone with one of them at the end."""
    items.sort(key=lambda item: turn_of(item.nodeid))


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_make_scheduler(config: pytest.Config, log: Any) -> Distribution | None:
    """Give what hands out the tests, where they are handed out in groups."""
    if config.getoption("dist") != "loadgroup":
        return None
    config.option.loadscopereorder = False  # the order is ours
    return Distribution(config, log)


def pytest_collection_finish() -> None:
    """Let the collector of garbage leave alone what the imports made, and look seldom: a fifth of the time was its."""
    gc.collect()
    gc.freeze()
    gc.set_threshold(100_000, 20, 20)


def pytest_sessionfinish() -> None:
    """End what was started for all tests."""
    ZYGOTES.close()


@pytest.fixture(scope="session")
def openbao() -> Iterator[OpenBao]:
    """Give a real OpenBao with KV version 2 at ``secret/``."""
    with OpenBao() as server:
        yield server


@pytest.fixture(scope="session")
def moto() -> Iterator[Moto]:
    """Give moto's server, which plays AWS."""
    with Moto() as server:
        yield server


@pytest.fixture
def aws(aws_identity: None) -> Iterator[SecretsManagerServer]:
    """Give the project's own simulated Secrets Manager, strict where moto is not, with nothing in it."""
    del aws_identity
    with SecretsManagerServer() as server:
        yield server


@pytest.fixture
def aws_identity(monkeypatch: pytest.MonkeyPatch) -> None:
    """Give boto3's chain credentials to find, and let nothing of this machine in."""
    for name in ("AWS_PROFILE", "AWS_REGION", "AWS_DEFAULT_REGION", "AWS_SESSION_TOKEN", "AWS_ENDPOINT_URL"):
        monkeypatch.delenv(name, raising=False)
    for name in ("AWS_CONFIG_FILE", "AWS_SHARED_CREDENTIALS_FILE"):
        monkeypatch.setenv(name, os.devnull)
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", ACCESS_KEY)
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", SECRET_KEY)


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
