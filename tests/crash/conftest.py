"""One durable OpenBao for a module, healed before each test, and a site on it."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from provisioner.simulators.management_api import ManagementApi
from tests.crash.durable_openbao import DurableOpenBao
from tests.crash.watched import NAME, TIMES
from tests.site import Site, a_site


@pytest.fixture(scope="module")
def one_bao() -> Iterator[DurableOpenBao]:
    """Give a server for this module."""
    with DurableOpenBao() as server:
        yield server


@pytest.fixture
def bao(one_bao: DurableOpenBao) -> DurableOpenBao:
    """Give the server, running and unsealed, whatever the test before did to it."""
    one_bao.heal()
    return one_bao


@pytest.fixture
def site(tmp_path: Path, bao: DurableOpenBao) -> Iterator[Site]:
    """Give a site whose token is rotated every few seconds and proven by use."""
    site = a_site(tmp_path, bao, NAME, defaults=TIMES)
    site.content["reconcile"]["interval"] = "1s"
    site.content["stores"]["vault"]["timeout"] = "1s"
    with ManagementApi(site.cluster) as api:
        site.content["issuers"]["cluster"] |= {"management_api": api.url, "timeout": "2s"}
        yield site
