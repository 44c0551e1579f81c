"""Proves a management token by using it: ``GET /databases`` of the management HTTP API answers 200 to a live one.

A failure is raised outside the handler that caught the foreign error: that one holds the request with its credential,
and must not hang on ours as its context.
"""

import re
import ssl
from datetime import timedelta
from pathlib import Path
from typing import Final

import httpx

from provisioner.domain.errors import ConfigurationError, IssuerRefusedError, IssuerUnavailableError
from provisioner.domain.secret import SecretText

_SENDABLE: Final = re.compile(r"[!-~]+")
"""What an authorisation header can carry; httpx repeats in its error whatever else it is given."""
_REFUSED: Final = frozenset({401, 403})
_CONNECTIONS: Final = httpx.Limits(max_connections=32, max_keepalive_connections=32)


class ManagementProof:
    """One shared HTTP client for one cluster's management API."""

    def __init__(self, base_url: str, *, timeout: timedelta, ca_cert: Path | None) -> None:
        """Take the API's base, such as https://HOST/api/v0; nothing is asked yet."""
        self._url = f"{base_url.rstrip('/')}/databases"
        self._client = httpx.Client(
            timeout=timeout.total_seconds(),
            verify=_trust(ca_cert) if ca_cert else True,
            follow_redirects=False,  # a credential must not follow a redirect
            trust_env=False,
            limits=_CONNECTIONS,
        )

    def works(self, token: SecretText) -> bool:
        """Use the token once. Raises IssuerUnavailableError without an answer, IssuerRefusedError on a useless one."""
        if not _SENDABLE.fullmatch(token.reveal()):
            return False  # edited by hand into something that no request can carry
        answer = self._ask(token)
        if isinstance(answer, str):
            raise IssuerUnavailableError(f"{self._url} gave no answer ({answer}): is management_api right?")
        if answer == httpx.codes.OK:
            return True
        if answer in _REFUSED:
            return False
        said = f"{self._url} answered {answer}"
        if answer == httpx.codes.TOO_MANY_REQUESTS or httpx.codes.is_server_error(answer):
            raise IssuerUnavailableError(f"{said}: it is tried again")
        raise IssuerRefusedError(f"{said}, which says nothing about the token: is management_api right?")

    def _ask(self, token: SecretText) -> int | str:
        """Give the status that was answered, or the name of the error there was instead: all else may repeat it."""
        try:
            return self._client.get(self._url, headers={"Authorization": f"Bearer {token.reveal()}"}).status_code
        except httpx.HTTPError as error:
            return type(error).__name__

    def close(self) -> None:
        """Close the connections."""
        self._client.close()


def _trust(ca_cert: Path) -> ssl.SSLContext:
    try:
        return ssl.create_default_context(cafile=str(ca_cert))
    except OSError as error:
        why = error.strerror or "it holds no certificate"
        raise ConfigurationError(
            f"ca_cert {ca_cert} cannot be used ({why}): name a PEM file with CA certificates"
        ) from None
