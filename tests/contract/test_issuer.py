"""The Issuer port's promises, kept by the fake, by influxctl, and by both issuers that speak HTTP alike."""

from collections.abc import Iterator
from datetime import datetime, timedelta
from pathlib import Path

import pytest

from provisioner.domain.model import Permission
from provisioner.domain.secret import SecretText
from provisioner.issuers.influxctl import InfluxctlIssuer
from provisioner.runtime.clock import SystemClock
from provisioner.simulators.cluster import Cluster
from provisioner.simulators.cluster_token import Kind
from provisioner.simulators.management_api import ManagementApi
from provisioner.testing.issuer import IssuerBench, IssuerContract
from tests.fakes.clock import FakeClock
from tests.fakes.faults import Fault
from tests.fakes.issuer import FakeIssuer
from tests.http_issuers import Given, an_issuer
from tests.site import INFLUXCTL

READS, WRITES = (frozenset({Permission(action=action, resource="metrics")}) for action in ("read", "write"))


@pytest.fixture(
    params=[
        "fake, by the list",
        "fake, by use",
        "fake with permissions, by use",
        "influxctl, by the list",
        "influxctl, by use",
        "influxdb3, by use",
        "management API, by reading back",
        "management API, by use",
    ]
)
def bench(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[IssuerBench]:
    """Give each issuer."""
    by_use = request.param.endswith("by use")
    if request.param.startswith("fake"):
        amends = "with permissions" in request.param
        fake = FakeIssuer(FakeClock(), proves_by_use=by_use, has_permissions=amends, amends_permissions=amends)
        yield IssuerBench(
            issuer=fake,
            clock=fake.clock,
            permissions=READS if amends else frozenset(),
            other_permissions=WRITES if amends else None,
            make_credential=lambda: SecretText(fake.add("an operator's", None)[1]),
            add_foreign=lambda description, expires_at: fake.add(description, expires_at)[0].token_id,
            lose_next_answer=lambda: fake.faults.add("create", Fault.AFTER),
            fail_next_list=lambda: fake.faults.add("list", Fault.BEFORE),
        )
        return
    cluster = Cluster(tmp_path / "cluster")
    (tmp_path / "influxctl.toml").write_text('[[profile]]\nname = "default"\n')
    with ManagementApi(cluster) as api:
        if not request.param.startswith("influxctl"):
            http = (
                influxdb3_bench(cluster, api) if "influxdb3" in request.param else database_bench(cluster, api, by_use)
            )
            yield http
            http.issuer.close()
            return
        issuer = InfluxctlIssuer(
            name="cluster",
            command=[*INFLUXCTL, "--simulator-state", str(tmp_path / "cluster")],
            config=tmp_path / "influxctl.toml",
            timeout=timedelta(seconds=20),
            clock=SystemClock(),
            management_api=api.url if by_use else None,
        )
        yield IssuerBench(
            issuer=issuer,
            clock=SystemClock(),
            make_credential=lambda: SecretText(cluster.create("an operator's", None)[1]),
            add_foreign=lambda description, expires_at: cluster.create(description, expires_at)[0].token_id,
            lose_next_answer=lambda: cluster.set(lose_answer=1),
            fail_next_list=lambda: cluster.set(fail_list=1),
        )
        issuer.close()


def influxdb3_bench(cluster: Cluster, api: ManagementApi) -> IssuerBench:
    """Give named admin tokens, called with the operator token."""
    credential = Given(((cluster.operator("admin"), None),))

    def add(name: str, expires_at: datetime | None) -> str:
        return cluster.create(name, expires_at, kind=Kind.ADMIN)[0].token_id

    return IssuerBench(
        issuer=an_issuer("influxdb3", api.influxdb3, credential=credential),
        clock=SystemClock(),
        wrong_token=SecretText("apiv3_wrong"),
        make_credential=lambda: SecretText(cluster.create("an operator's", None, kind=Kind.ADMIN)[1]),
        add_foreign=add,
        lose_next_answer=lambda: cluster.set(lose_answer=1),
        fail_next_list=lambda: cluster.set(fail_list=1),
    )


def database_bench(cluster: Cluster, api: ManagementApi, by_use: bool) -> IssuerBench:  # noqa: FBT001  # one of two
    """Give database tokens, called with a management token."""
    credential = Given(((cluster.operator("management"), None),))

    def add(description: str, expires_at: datetime | None) -> str:
        return cluster.create(description, expires_at, kind=Kind.DATABASE)[0].token_id

    return IssuerBench(
        issuer=an_issuer(
            "influxdb-management-api", api.url, credential=credential, query_url=api.query_url if by_use else None
        ),
        clock=SystemClock(),
        wrong_token=SecretText("apiv1_wrong"),
        permissions=READS,
        other_permissions=WRITES,
        make_credential=lambda: SecretText(cluster.create("an operator's", None)[1]),
        add_foreign=add,
        lose_next_answer=lambda: cluster.set(lose_answer=1),
        fail_next_list=lambda: cluster.set(fail_list=1),
    )


class TestIssuer(IssuerContract):
    """Every issuer of ours, by the suite that others run over theirs."""
