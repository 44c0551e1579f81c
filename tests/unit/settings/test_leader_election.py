"""The settings of leader election: what is refused, with its reason."""

from datetime import timedelta
from pathlib import Path

import pytest

from provisioner.domain.election import Terms
from provisioner.domain.errors import ConfigurationError
from tests.unit.settings.test_load import GOOD, load


def test_the_times_are_those_that_kubernetes_itself_uses(tmp_path: Path) -> None:
    """And it is off unless it is switched on."""
    election = load(GOOD, tmp_path).leader_election
    assert not election.enabled
    terms = Terms()
    assert election.lease_duration == terms.lease_duration == timedelta(seconds=15)
    assert election.renew_deadline == terms.renew_deadline == timedelta(seconds=10)
    assert election.retry_period == terms.retry_period == timedelta(seconds=2)


@pytest.mark.parametrize(
    ("changed", "why"),
    [
        ({"lease_duration": "15500ms"}, "leader_election: lease_duration must be whole seconds"),
        ({"lease_duration": "10s"}, "leader_election: renew_deadline must be shorter than lease_duration"),
        ({"renew_deadline": "15s"}, "leader_election: renew_deadline must be shorter than lease_duration"),
        ({"retry_period": "6s"}, "leader_election: retry_period must be at most half of renew_deadline"),
        ({"retry_period": "0s"}, "leader_election.retry_period: "),
        ({"lease_name": "Our Lease"}, "leader_election.lease_name: must be lower-case letters"),
        ({"namespace": "a/b"}, "leader_election.namespace: must be lower-case letters"),
        ({"renew_deadlin": "3s"}, "leader_election.renew_deadlin: unknown key, did you mean renew_deadline?"),
    ],
)
def test_refused(tmp_path: Path, changed: dict[str, str], why: str) -> None:
    """Each with the key and the remedy."""
    with pytest.raises(ConfigurationError, match="refused") as raised:
        load({**GOOD, "leader_election": changed}, tmp_path)
    assert why in str(raised.value)


def test_other_times_that_fit_are_taken(tmp_path: Path) -> None:
    """For clusters whose API server is slow."""
    times = {"lease_duration": "60s", "renew_deadline": "40s", "retry_period": "5s"}
    assert load({**GOOD, "leader_election": times}, tmp_path).leader_election.lease_duration == timedelta(minutes=1)
