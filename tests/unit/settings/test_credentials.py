"""`credential` on an issuer: which managed token it may name, and what else it needs."""

from copy import deepcopy
from pathlib import Path
from typing import Any

import pytest

from provisioner.domain.errors import ConfigurationError, IssuerRefusedError
from provisioner.issuers.credential import ManagedCredential
from provisioner.settings.load import load_settings
from tests.builders import OWNER, PLACE
from tests.fakes.clock import FakeClock
from tests.fakes.store import FakeStore
from tests.unit.settings.test_load import GOOD


def loaded(folder: Path, **issuers: dict[str, Any]) -> Any:
    """Load the good configuration with these issuers beside its own."""
    import yaml

    content: dict[str, Any] = deepcopy(dict(GOOD))
    content["issuers"] |= issuers
    (folder / "provisioner.yaml").write_text(yaml.safe_dump(content))
    return load_settings(folder / "provisioner.yaml")[0]


def test_names_the_issuers_that_are_called_with_a_token(tmp_path: Path) -> None:
    """One token may be the credential of several issuers, its own among them."""
    own = {"type": "influxctl", "config": "/etc/influxctl.toml", "credential": "telegraf"}
    other = {"type": "influxdb-management-api", "url": "https://host/api/v0", "credential": "telegraf"}
    (token,) = loaded(tmp_path, **{"cluster-a": own, "databases": other}).managed_tokens()
    assert token.credential_of == ("cluster-a", "databases")


@pytest.mark.parametrize(
    ("issuer", "words"),
    [
        (
            {"type": "influxctl", "credential": "telegraf"},
            "issuers.b.config: is missing: calls by telegraf are made with profiles from influxctl's config",
        ),
        (
            {"type": "influxctl", "config": "/c", "credential": "nobody"},
            "issuers.b.credential: no token is named 'nobody'; there are: telegraf",
        ),
        (
            {"type": "influxdb3", "url": "https://core:8181", "credential": "telegraf"},
            "issuers.b.credential: telegraf is issued by cluster-a, which has type influxctl",
        ),
        ({"type": "influxdb3", "url": "https://core:8181"}, "issuers.b.auth: is missing"),
    ],
)
def test_refused_with_a_remedy(tmp_path: Path, issuer: dict[str, Any], words: str) -> None:
    """The key is named, and what it lacks."""
    with pytest.raises(ConfigurationError) as caught:
        loaded(tmp_path, b=issuer)
    assert words in str(caught.value)


def test_issuer_that_can_never_begin_says_what_it_needs() -> None:
    """Without a stored credential and without another, the message names the key to begin with."""
    credential = ManagedCredential(owner=OWNER, places=[(FakeStore(FakeClock()), PLACE)])
    with pytest.raises(IssuerRefusedError, match="configure `auth` of the issuer to begin with"):
        next(credential.candidates())
