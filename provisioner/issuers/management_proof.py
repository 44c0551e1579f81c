"""Proves a management token by using it: ``GET /databases`` of the management HTTP API answers 200 to a live one."""

from datetime import timedelta
from http import HTTPStatus
from pathlib import Path
from typing import Final

from provisioner.domain.errors import CredentialRefusedError
from provisioner.domain.secret import SecretText
from provisioner.issuers.http_api import HttpApi
from provisioner.issuers.http_call import Call
from provisioner.ports.clock import Clock

_DATABASES: Final = Call(
    doing="proving a token",
    method="GET",
    path="/databases",
    right="to be a management token",
    handled=frozenset({HTTPStatus.FORBIDDEN}),
)


class ManagementProof:
    """One shared HTTP client for one cluster's management API."""

    def __init__(self, base_url: str, *, issuer: str, timeout: timedelta, ca_cert: Path | None, clock: Clock) -> None:
        """Take the API's base, such as https://HOST/api/v0; nothing is asked yet."""
        name = f"management_api of {issuer}"
        key = f"issuers.{issuer}.management_api"
        self._api = HttpApi(name=name, url=base_url, ca_cert=ca_cert, timeout=timeout, clock=clock, key=key)

    def works(self, token: SecretText) -> bool:
        """Use the token once. Raises IssuerUnavailableError without an answer, IssuerRefusedError on a useless one."""
        try:
            return self._api.ask(_DATABASES, token).status != HTTPStatus.FORBIDDEN
        except CredentialRefusedError:
            return False

    def close(self) -> None:
        """Close the connections."""
        self._api.close()
