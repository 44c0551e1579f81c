"""Three months of rotations by the real engine at each HTTP issuer, at a simulated cluster with a wrong clock."""

from contextlib import closing
from datetime import timedelta
from pathlib import Path

import pytest

from provisioner.domain.events import ClockSkewFound, Event, TokenRevoked, TokenStored
from provisioner.domain.memory import Memory
from provisioner.domain.model import Record
from provisioner.domain.steps import Rest
from provisioner.engine.gather import Listings
from provisioner.engine.observed import ObservedIssuer
from provisioner.engine.reconcile import reconcile
from provisioner.engine.world import World
from provisioner.ports.issuer import Issuer
from provisioner.simulators.cluster import Cluster
from provisioner.simulators.cluster_token import Kind
from provisioner.simulators.management_api import ManagementApi
from tests.builders import DAY, NOW, PLACE, a_token
from tests.fakes.clock import FakeClock
from tests.fakes.entropy import FakeEntropy
from tests.fakes.store import FakeStore
from tests.http_issuers import PERMISSIONS, Given, an_issuer

KINDS = {"influxdb3": Kind.ADMIN, "influxdb-management-api": Kind.DATABASE}


def calling(kind: str, cluster: Cluster, api: ManagementApi, clock: FakeClock) -> Issuer:
    """Give an issuer of that kind, called with a token that a person made."""
    if kind == "influxdb3":
        return an_issuer(kind, api.influxdb3, credential=Given(((cluster.operator("admin"), None),)), clock=clock)
    credential = Given(((cluster.operator("management"), None),))
    return an_issuer(kind, api.url, credential=credential, clock=clock, query_url=api.query_url)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("ahead", [0, 120, -120])
def test_rotations_with_a_wrong_clock(kind: str, ahead: int, tmp_path: Path) -> None:
    """Whatever the server's clock, a token is always live when it is read, and its end is known by ours."""
    clock, events = FakeClock(), list[Event]()
    cluster = Cluster(tmp_path, clock.now)
    cluster.set(clock_ahead=float(ahead))
    token = a_token(
        issuer="site",
        drift_interval=5 * DAY,
        permissions=PERMISSIONS if kind != "influxdb3" else frozenset(),
    )
    with ManagementApi(cluster) as api, closing(calling(kind, cluster, api, clock)) as issuer:
        store = FakeStore(clock)
        world = World(
            issuers={"site": ObservedIssuer(issuer, events.append)},
            stores={"vault": store},
            clock=clock,
            entropy=FakeEntropy(),
            observe=events.append,
        )
        memory = Memory()
        while clock.now() < NOW + 90 * DAY:
            outcome = reconcile(world, token, Listings(world), memory=memory)
            memory, step = outcome.memory, outcome.decision.step
            assert outcome.failures == ()
            record = store.read(PLACE, token.owner).content
            assert isinstance(record, Record)
            assert cluster.authenticate(record.token.reveal())
            true = next(one for one in cluster.tokens(KINDS[kind]) if one.token_id == record.token_id)
            assert true.expires_at is not None
            by_our_clock = true.expires_at - timedelta(seconds=ahead)
            assert abs(record.expires_at - by_our_clock) <= timedelta(seconds=1)
            assert isinstance(step, Rest)
            clock.advance(step.until - clock.now())
    stored = [event for event in events if isinstance(event, TokenStored)]
    revoked = [event for event in events if isinstance(event, TokenRevoked)]
    assert len(stored) == 5
    assert len(revoked) == 4
    assert len([event for event in events if isinstance(event, ClockSkewFound)]) == (1 if ahead else 0)
