"""One request to Vault or OpenBao, through hvac on one shared session: here its errors become ours.

A failure is raised outside the handler that caught the foreign error: that one may hold what was sent, and must not
hang on ours as its context.
"""

import ssl
from collections.abc import Callable, Sequence
from datetime import timedelta
from http.client import NO_CONTENT
from pathlib import Path
from typing import Any, Final, TypeVar

import hvac
import hvac.exceptions
import requests
import urllib3.exceptions
from requests.adapters import HTTPAdapter
from urllib3.exceptions import ConnectTimeoutError, MaxRetryError, NewConnectionError

from provisioner.domain.errors import (
    ConflictError,
    OutcomeUnknownError,
    ProvisionerError,
    StoreRefusedError,
    StoreUnavailableError,
)
from provisioner.domain.scrub import LONGEST_PLAIN_WORD, scrub
from provisioner.domain.secret import SecretText
from provisioner.stores.vault_auth import Body

CONNECTIONS: Final = 32

T = TypeVar("T")


class DeniedError(ProvisionerError):
    """A 403: the client token may have ended; after one more login it is a refusal. Never leaves ``stores``."""


class _RedirectedError(requests.exceptions.RequestException):
    """An answer that sends us, and the credential with us, elsewhere."""


class Wire:
    """Sends single requests, none of them twice.

    Nothing of the environment gets in: no proxy, netrc, token or certificate.
    """

    def __init__(
        self, *, store: str, address: str, namespace: str | None, ca_cert: Path | None, timeout: timedelta
    ) -> None:
        """Take where to send to; ``timeout`` is for one request."""
        self._store, self._address, self._namespace, self._timeout = store, address, namespace, timeout
        self.session = requests.Session()
        self.session.trust_env = False
        self.session.verify = True if ca_cert is None else str(ca_cert)  # hvac takes the session's before its own
        self.session.hooks["response"].append(_refuse_redirect)
        adapter = HTTPAdapter(pool_connections=1, pool_maxsize=CONNECTIONS, max_retries=0)
        self.session.mount("https://", adapter)
        self.session.mount("http://", adapter)

    def send(
        self,
        request: Callable[[hvac.Client], T],
        token: SecretText | None,
        doing: str,
        *,
        remedy: str,
        writes: bool = False,
        secrets: Sequence[SecretText] = (),
        timeout: timedelta | None = None,
    ) -> T:
        """Make one request; raises DeniedError on a 403, else one of the Store port's errors.

        ``remedy`` is what to look at when it is refused, ``secrets`` are what it sends and nobody may be told.
        """
        doing = f"{doing} in store {self._store}"
        unknown = OutcomeUnknownError if writes else StoreUnavailableError
        failure: ProvisionerError
        try:
            return request(self._client(token, timeout or self._timeout))
        except hvac.exceptions.VaultError as error:
            said = _said(error, (*secrets, *((token,) if token else ())))
            failure = _vault_error(error, doing, said, remedy=remedy, writes=writes)
        except requests.exceptions.RequestException as error:
            failure = self._transport_error(error, doing, unknown)
        except OSError:  # requests' own, when the file has gone
            failure = unknown(f"{doing} failed: the file of ca_cert cannot be read; put it back")
        except (AttributeError, KeyError, TypeError, ValueError) as error:  # hvac's or ours, on JSON of another shape
            failure = unknown(
                f"{doing} was answered with something that is not Vault's ({type(error).__name__}): "
                f"is {self._address} really Vault or OpenBao?"
            )
        raise failure

    def ask(
        self,
        method: str,
        path: str,
        token: SecretText | None,
        doing: str,
        *,
        remedy: str,
        body: Body | None = None,
        timeout: timedelta | None = None,
    ) -> dict[str, Any]:
        """Send one request outside KV and give its JSON answer, empty when there is none."""

        def request(client: hvac.Client) -> dict[str, Any]:
            answer = client.adapter.request(method, f"/v1/{path}", **({} if body is None else {"json": _plain(body)}))
            has_no_content = getattr(answer, "status_code", None) == NO_CONTENT
            return {} if has_no_content else json_object(answer)

        secrets = [value for value in (body or {}).values() if isinstance(value, SecretText)]
        return self.send(request, token, doing, remedy=remedy, secrets=secrets, timeout=timeout)

    def close(self) -> None:
        """Close the connections."""
        self.session.close()

    def _client(self, token: SecretText | None, timeout: timedelta) -> hvac.Client:
        """Make a client (it is cheap); what is left out here, hvac would take from the environment."""
        return hvac.Client(
            url=self._address,
            token=token.reveal() if token else "",
            cert=(),
            timeout=timeout.total_seconds(),
            allow_redirects=False,
            session=self.session,
            namespace=self._namespace,
        )

    def _transport_error(
        self, error: requests.exceptions.RequestException, doing: str, unknown: type[ProvisionerError]
    ) -> ProvisionerError:
        if isinstance(error, _RedirectedError):
            return StoreUnavailableError(
                f"{doing} was not possible: {self._address} sends us to another server, as a standby does; "
                "give the address that leads to the active one"
            )
        if _never_sent(error):
            what = "cannot be reached"
            if isinstance(error, requests.exceptions.SSLError):
                what = "has a certificate that we do not trust; check ca_cert and the name in the address"
            return StoreUnavailableError(f"{doing} failed: {self._address} {what}")
        if isinstance(error, requests.exceptions.SSLError):
            return unknown(f"{doing} failed: TLS with {self._address} broke; check ca_cert and the address")
        timed_out = isinstance(error, requests.exceptions.Timeout)
        what = f"no answer within {self._timeout.total_seconds():g} s" if timed_out else "the connection broke"
        return unknown(f"{doing} failed: {what} from {self._address}")


def json_object(answer: object) -> dict[str, Any]:
    """Give the JSON object that was answered; raises TypeError for whatever else hvac gives."""
    if not isinstance(answer, dict):
        raise TypeError(type(answer).__name__)
    return answer


def _plain(body: Body) -> dict[str, object]:
    """Reveal what is sent; for a wire only."""
    return {key: value.reveal() if isinstance(value, SecretText) else value for key, value in body.items()}


def _said(error: hvac.exceptions.VaultError, secrets: Sequence[SecretText]) -> str:
    """Give the server's words, without what we sent and without what looks like another secret."""
    known = tuple(secret.reveal() for secret in secrets)
    lines = "; ".join(str(line) for line in error.errors or ())
    return scrub(lines, longest=160, known=known, longest_word=LONGEST_PLAIN_WORD)


def _refuse_redirect(response: requests.Response, **_: object) -> None:
    """Take no redirect: it would carry the credential to another host. hvac would take it for a success."""
    if response.is_redirect or response.is_permanent_redirect:
        response.close()
        raise _RedirectedError


def _vault_error(
    error: hvac.exceptions.VaultError, doing: str, said: str, *, remedy: str, writes: bool
) -> ProvisionerError:
    """Tell what an answer means; ``said`` is its scrubbed text."""
    because = f": {said}" if said else ""
    kind: type[ProvisionerError] = OutcomeUnknownError if writes else StoreUnavailableError
    what = f"failed with {type(error).__name__}{because}: look at the server's own log"
    match error:
        case hvac.exceptions.Forbidden() | hvac.exceptions.Unauthorized():
            kind, what = DeniedError, f"was denied{because}: check the policy and the login"
        case hvac.exceptions.InvalidRequest() if writes and "check-and-set parameter did not match" in said:
            kind, what = ConflictError, "came too late: somebody has written since it was read"
        case hvac.exceptions.InvalidRequest() if "Upgrading from non-versioned" in said:
            kind, what = StoreUnavailableError, "was put off, since the mount is being upgraded: it is tried again"
        case hvac.exceptions.InvalidRequest() | hvac.exceptions.UnsupportedOperation():
            kind, what = StoreRefusedError, f"was refused{because}: {remedy}"
        case hvac.exceptions.InvalidPath():
            kind, what = StoreRefusedError, f"found nothing there{because}: {remedy}"
        case hvac.exceptions.RateLimitExceeded() | hvac.exceptions.VaultNotInitialized():
            kind, what = StoreUnavailableError, f"was put off{because}: it is tried again"
        case hvac.exceptions.VaultDown() if not writes or "sealed" in said.lower():
            kind, what = StoreUnavailableError, f"was not possible{because or ': sealed or a standby'}: unseal it"
        case _:
            pass
    return kind(f"{doing} {what}")


def _never_sent(error: requests.exceptions.RequestException) -> bool:
    """Tell whether the request surely never left, so that nothing can have been written.

    A refused certificate ends the handshake before it; any other failure of TLS may come behind it.
    """
    if isinstance(error, requests.exceptions.ConnectTimeout):
        return True
    cause = error.args[0] if error.args else None
    reason = cause.reason if isinstance(cause, MaxRetryError) else cause
    if isinstance(reason, urllib3.exceptions.SSLError):
        return bool(reason.args) and isinstance(reason.args[0], ssl.SSLCertVerificationError)
    return isinstance(reason, NewConnectionError | ConnectTimeoutError)
