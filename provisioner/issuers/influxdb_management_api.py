"""InfluxDB Clustered and Cloud Dedicated: database tokens over the management HTTP API."""

from datetime import timedelta
from pathlib import Path

from provisioner.domain.model import CreateRequest, IssuedToken, Listing, MintedToken, Permission
from provisioner.domain.secret import SecretText
from provisioner.ports.clock import Clock
from provisioner.ports.credential import Credential


class ManagementApiIssuer:
    """The Issuer port over HTTP."""

    def __init__(
        self,
        *,
        name: str,
        url: str,
        credential: Credential,
        query_url: str | None,
        query_database: str | None,
        ca_cert: Path | None,
        timeout: timedelta,
        clock: Clock,
    ) -> None:
        """Take where it is and what to call it with; nothing is asked yet."""
        raise NotImplementedError

    @property
    def name(self) -> str:
        """The name the configuration gives it."""
        raise NotImplementedError

    def list(self) -> Listing:
        """See the port."""
        raise NotImplementedError

    def create(self, request: CreateRequest) -> MintedToken:
        """See the port."""
        raise NotImplementedError

    def prove(self, token: SecretText, token_id: str) -> bool:
        """See the port."""
        raise NotImplementedError

    def revoke(self, token: IssuedToken) -> None:
        """See the port."""
        raise NotImplementedError

    def amend(self, token: IssuedToken, permissions: frozenset[Permission]) -> None:
        """See the port."""
        raise NotImplementedError

    def accepts(self, credential: SecretText) -> bool:
        """See the port."""
        raise NotImplementedError

    def close(self) -> None:
        """See the port."""
