"""What ``check`` says of issuers."""

from dataclasses import replace
from datetime import timedelta

import pytest

from provisioner.domain.model import Listing
from provisioner.engine.inspection import inspect
from provisioner.engine.world import World
from provisioner.runtime.entropy import SystemEntropy
from tests.builders import an_issued
from tests.fakes.clock import FakeClock
from tests.fakes.issuer import FakeIssuer


class SkewedIssuer(FakeIssuer):
    """A fake whose list tells of a wrong clock."""

    skew = timedelta(0)

    def list(self) -> Listing:
        """See the port."""
        return replace(super().list(), clock_skew=self.skew)


@pytest.mark.parametrize(
    ("seconds", "says"), [(0, None), (120, "120 s ahead of ours"), (-31, "31 s behind ours")], ids=str
)
def test_wrong_clock_is_a_warning(seconds: int, says: str | None) -> None:
    """An issuer whose clock is wrong is named with by how much and the remedy."""
    issuer = SkewedIssuer(FakeClock())
    issuer.skew = timedelta(seconds=seconds)
    world = World(
        issuers={"cluster": issuer}, stores={}, clock=issuer.clock, entropy=SystemEntropy(), observe=lambda _: None
    )
    listed, *warnings = inspect(world, [])
    assert listed.ok
    assert [line.ok for line in warnings] == [False] * (says is not None)
    assert all(says is not None and says in line.message and "NTP" in line.message for line in warnings)


@pytest.mark.parametrize("is_same", [True, False])
def test_cluster_that_is_configured_twice_is_a_warning(*, is_same: bool) -> None:
    """Two issuers that list the same token of ours are one cluster; two lists of different ones are two."""
    issuers = {name: FakeIssuer(FakeClock(), name=name) for name in ("one", "two")}
    for name, issuer in issuers.items():
        issuer.tokens["7"] = an_issued(1 if is_same or name == "one" else 2, issuer=name, token_id="7")
    clock = issuers["one"].clock
    lines = inspect(
        World(issuers=dict(issuers), stores={}, clock=clock, entropy=SystemEntropy(), observe=lambda _: None), []
    )
    warnings = [(line.name, line.message) for line in lines if not line.ok]
    assert [name for name, _ in warnings] == ["two"] * is_same
    assert all("one lists, as one cluster does" in message for _, message in warnings)
