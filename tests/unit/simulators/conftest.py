"""One server of the simulated cluster's HTTP APIs for all tests here, before a cluster of each test's own."""

from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

import httpx
import pytest

from provisioner.simulators.cluster import Cluster
from provisioner.simulators.cluster_token import ClusterToken, Kind
from provisioner.simulators.management_api import ManagementApi
from tests.fakes.clock import FakeClock
from tests.switchboard import Switchboard

PATIENCE: Final = 20


@dataclass(frozen=True, slots=True)
class Visitor:
    """Asks the APIs, with the credentials that a person was given."""

    cluster: Cluster
    api: ManagementApi
    http: httpx.Client
    management: str = field(repr=False)
    admin: str = field(repr=False)

    def manage(self, method: str, path: str, **more: Any) -> httpx.Response:
        """Ask the management API, by its living credential."""
        return self.ask(method, self.api.url + path, self.management, **more)

    def influxdb3(self, method: str, path: str, **more: Any) -> httpx.Response:
        """Ask InfluxDB 3, by its living credential."""
        return self.ask(method, self.api.influxdb3 + path, self.admin, **more)

    def ask(self, method: str, url: str, credential: str = "", **more: Any) -> httpx.Response:
        """Ask, by any credential or none."""
        headers = {"authorization": f"Bearer {credential}"} if credential else {}
        return self.http.request(method, url, headers=headers | more.pop("headers", {}), **more)

    def sql(self, statement: str = "SELECT * FROM system.tokens", **more: Any) -> Any:
        """List by SQL; it has to succeed."""
        parameters = {"db": "_internal", "q": statement, "format": "json"}
        answer = self.influxdb3("GET", "/api/v3/query_sql", params=parameters | more)
        assert answer.status_code == 200, answer.text
        return answer.json()

    def made(self, kind: Kind) -> tuple[ClusterToken, ...]:
        """Give what was made through the APIs: what no person made by hand."""
        return tuple(
            token for token in self.cluster.tokens(kind) if token.description not in {"_admin", "made by hand"}
        )


@pytest.fixture(scope="session")
def served(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[ManagementApi, Switchboard, httpx.Client]]:
    """Serve, and give what turns to a test's cluster."""
    switchboard = Switchboard(tmp_path_factory.mktemp("switchboard"))
    with ManagementApi(switchboard) as api, httpx.Client(timeout=PATIENCE, trust_env=False) as http:
        yield api, switchboard, http


@pytest.fixture
def cluster(tmp_path: Path, clock: FakeClock) -> Cluster:
    """Give an empty cluster whose time is the test's."""
    return Cluster(tmp_path / "cluster", clock.now)


@pytest.fixture
def visitor(served: tuple[ManagementApi, Switchboard, httpx.Client], cluster: Cluster) -> Visitor:
    """Give somebody with a first credential for each API of the test's cluster."""
    api, switchboard, http = served
    switchboard.turn_to(cluster)
    return Visitor(cluster, api, http, cluster.operator("management"), cluster.operator("admin"))
