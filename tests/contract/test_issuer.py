"""The Issuer port's promises, kept by the fake and by influxctl with both ways of proof alike."""

import sys
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path

import pytest

from provisioner.domain.model import Permission
from provisioner.domain.secret import SecretText
from provisioner.issuers.influxctl import InfluxctlIssuer
from provisioner.runtime.clock import SystemClock
from provisioner.simulators.cluster import Cluster
from provisioner.simulators.management_api import ManagementApi
from provisioner.testing.issuer import IssuerBench, IssuerContract
from tests.fakes.clock import FakeClock
from tests.fakes.faults import Fault
from tests.fakes.issuer import FakeIssuer

READS, WRITES = (frozenset({Permission(action=action, resource="metrics")}) for action in ("read", "write"))


@pytest.fixture(
    params=[
        "fake, by the list",
        "fake, by use",
        "fake with permissions, by use",
        "influxctl, by the list",
        "influxctl, by use",
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
    with ManagementApi(cluster) as api:
        issuer = InfluxctlIssuer(
            name="cluster",
            command=[
                sys.executable,
                "-m",
                "provisioner.simulators.influxctl",
                "--simulator-state",
                str(tmp_path / "cluster"),
            ],
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


class TestIssuer(IssuerContract):
    """Every issuer of ours, by the suite that others run over theirs."""
