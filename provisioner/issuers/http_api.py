"""One call to an issuer's HTTP API: here httpx's errors, and what the server says, become ours.

A failure is raised outside the handler that caught the foreign error: that one holds the request with its credential,
and must not hang on ours as its context. Of what the server says, no word is told that is long enough for a token.
"""

import re
from datetime import timedelta
from http import HTTPStatus
from http.cookiejar import CookieJar, DefaultCookiePolicy
from pathlib import Path
from typing import Final
from urllib.parse import urlsplit

import httpx

from provisioner.domain.errors import (
    ConfigurationError,
    CredentialRefusedError,
    IssuerUnavailableError,
)
from provisioner.domain.secret import SecretText
from provisioner.domain.timing import rfc3339, whole_seconds
from provisioner.issuers.http_answer import Answer
from provisioner.issuers.http_call import Call, refusal, unanswered
from provisioner.issuers.http_failure import FOREIGN, Failure, failure_of, trust
from provisioner.issuers.http_transport import Patience, PatientTransport
from provisioner.issuers.retry_after import Pause, http_date, wished_pause
from provisioner.issuers.server_clock import ServerClock
from provisioner.issuers.token_json import SENDABLE
from provisioner.ports.clock import Clock

_HOST: Final = re.compile(r"[^\s\[\]/@?#%]+")


class HttpApi:
    """One server, one pool of connections, one pause. Safe to call from several threads.

    The deadline is for the whole of a call: waiting for a connection, sending, and reading the answer to its end.
    """

    def __init__(
        self, *, name: str, url: str, ca_cert: Path | None, timeout: timedelta, clock: Clock, key: str = ""
    ) -> None:
        """Take where it is, for the issuer ``name``, and the key that says so; nothing is asked yet."""
        self._name, self._url, self._timeout, self._clock = name, url.rstrip("/"), timeout, clock
        self._host = _host(key or f"issuers.{name}.url", url)
        self._patience, self._pause, self.server_clock = Patience(clock.monotonic), Pause(clock), ServerClock()
        transport = PatientTransport(self._patience, trust(ca_cert) if url.startswith("https:") else None)
        self._client = httpx.Client(
            transport=transport,
            follow_redirects=False,  # a credential must not follow a redirect
            trust_env=False,
            cookies=CookieJar(DefaultCookiePolicy(allowed_domains=())),  # a session of one token would prove another
            headers={"Accept": "application/json", "Accept-Encoding": "identity", "User-Agent": "token-provisioner"},
        )

    def ask(self, call: Call, token: SecretText) -> Answer:
        """Send it once, and give an answer of yes, or one that the caller handles.

        Raises CredentialRefusedError (nothing was done), IssuerRefusedError (a person has to mend something),
        IssuerUnavailableError (surely nothing was done, or nothing would have been), and OutcomeUnknownError.
        """
        place = f"{call.doing} at {self._name}"
        until = self._pause.until()
        if until is not None:
            when = rfc3339(whole_seconds(until))
            raise IssuerUnavailableError(f"{place} waits: {self._host} asked to be left alone until {when}")
        if not SENDABLE.fullmatch(token.reveal()):  # httpx repeats in its error whatever else it is given
            raise CredentialRefusedError(f"{place}: the credential holds what no request can carry: put it right")
        answer = self._exchange(call, token)
        if isinstance(answer, Failure):
            raise unanswered(answer, call, place, self._host, within=self._timeout)
        if answer.status in call.handled:
            return answer
        error = refusal(answer, answer.words(token), call, place, self._host)
        if error is not None:
            raise error
        return answer

    def close(self) -> None:
        """Close the connections."""
        self._client.close()

    def _exchange(self, call: Call, token: SecretText) -> Answer | Failure:
        """Send and read. Foreign errors end here: they may repeat anything that was sent or received."""
        began = self._clock.monotonic()
        try:
            with self._patience.of(self._timeout.total_seconds()):
                request = self._client.build_request(
                    call.method,
                    f"{self._url}{call.path}",
                    params=call.query or None,
                    json=call.body,
                    content=call.content,
                    headers={"Authorization": f"Bearer {token.reveal()}"},
                )
                response = self._client.send(request, stream=True)
                self._heed(response, took=timedelta(seconds=self._clock.monotonic() - began))
                return Answer.read(response)
        except FOREIGN as error:
            return failure_of(error)

    def _heed(self, response: httpx.Response, *, took: timedelta) -> None:
        """Take note of the server's clock, and of the pause that it asks for."""
        now, said = self._clock.now(), http_date(response.headers.get("date"))
        if said is not None and response.status_code < HTTPStatus.INTERNAL_SERVER_ERROR:  # else a proxy's, perhaps
            self.server_clock.measure(said, answered_at=now, took=took)
        if response.status_code >= HTTPStatus.BAD_REQUEST:
            self._pause.begin(wished_pause(response.headers.get("retry-after"), now=said or now))


def _host(key: str, url: str) -> str:
    """Give host and port as messages name them; raises ConfigurationError for what leads nowhere."""
    try:
        parts = urlsplit(url)
        if _HOST.fullmatch(parts.hostname or "") and parts.port != 0:
            return httpx.URL(url).netloc.decode("ascii", "replace")
    except (ValueError, httpx.InvalidURL):
        pass
    raise ConfigurationError(f"{key} is no address that can be asked: it should look like https://HOST:PORT")
