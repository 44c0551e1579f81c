"""One POST to an address of the operator's, as carefully as issuers are asked: one deadline, no redirect, no proxy.

Of the answer only its status is told. It lives here because the connections do; the composition root lends it out.
"""

from collections.abc import Mapping
from datetime import timedelta
from pathlib import Path
from threading import Lock

import httpx

from provisioner.domain.errors import ConfigurationError
from provisioner.issuers.http_failure import FOREIGN, Stage, failure_of, trust
from provisioner.issuers.http_transport import Patience, PatientTransport
from provisioner.ports.clock import Clock


class HttpPost:
    """Posts to any address, with connections that are kept for each set of trusted certificates. Thread-safe."""

    def __init__(self, *, timeout: timedelta, clock: Clock) -> None:
        """Take how long a whole POST may last; nothing is connected yet."""
        self._timeout, self._patience, self._lock = timeout, Patience(clock.monotonic), Lock()
        self._clients: dict[Path | None, httpx.Client] = {}

    def __call__(
        self, url: str, body: bytes, headers: Mapping[str, str], ca_cert: Path | None = None
    ) -> tuple[int | None, str]:
        """Give the status of the answer, or None and why there was none; no word of it holds the address."""
        try:
            client = self._client(ca_cert)
        except ConfigurationError as error:
            return None, str(error)
        try:
            with (
                self._patience.of(self._timeout.total_seconds()),
                client.stream("POST", url, content=body, headers=headers) as answer,
            ):
                return answer.status_code, ""
        except FOREIGN as error:
            failure = failure_of(error)
        match failure.stage:
            case Stage.UNTRUSTED:
                return None, f"its certificate is not trusted{failure.because}: name its CA in ca_cert"
            case Stage.NOT_SENT:
                return None, f"it cannot be reached{failure.because}"
            case Stage.TIMED_OUT:
                return None, f"no answer within {self._timeout.total_seconds():g} s"
            case Stage.BROKEN:
                return None, f"the connection broke{failure.because}"

    def close(self) -> None:
        """Close the connections."""
        with self._lock:
            clients, self._clients = list(self._clients.values()), {}
        for client in clients:
            client.close()

    def _client(self, ca_cert: Path | None) -> httpx.Client:
        with self._lock:
            if ca_cert not in self._clients:
                transport = PatientTransport(self._patience, trust(ca_cert))
                self._clients[ca_cert] = httpx.Client(transport=transport, follow_redirects=False, trust_env=False)
            return self._clients[ca_cert]
