"""What ``check`` says of issuers."""

from dataclasses import replace
from datetime import timedelta

import pytest

from provisioner.domain.model import Listing
from provisioner.engine.inspection import inspect
from provisioner.engine.world import World
from provisioner.runtime.entropy import SystemEntropy
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
