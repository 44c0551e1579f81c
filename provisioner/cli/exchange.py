"""One request to whatever listens where a daemon should: it ends in time, and its answer is no larger than one is."""

from collections.abc import Mapping
from dataclasses import dataclass
from threading import Thread
from typing import TYPE_CHECKING, Final

from provisioner.domain.secret import SecretText

if TYPE_CHECKING:
    import httpx

WITHIN: Final = 30.0
"""Seconds for a whole answer; the time-outs of httpx are for one read at a time."""
LARGEST_ANSWER: Final = 16 * 1024 * 1024


class NoAnswerError(Exception):
    """What came is no answer, in our own words."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Heard:
    """An answer as it came."""

    status: int
    retry_after: str | None
    """Seconds, in digits."""
    body: bytes


@dataclass(frozen=True, slots=True, kw_only=True)
class Silence:
    """No answer."""

    error: Exception
    hint: str
    """What it may be, for a message."""
    is_unsent: bool
    """Whether the request was surely not sent."""


def exchange(
    client: "httpx.Client",
    verb: str,
    path: str,
    *,
    body: Mapping[str, object] | None = None,
    query: Mapping[str, str] | None = None,
    token: SecretText | None = None,
    within: float = WITHIN,
) -> Heard | Silence:
    """Make a request. No redirect is followed: the token is for whoever was named."""
    result: list[Heard | Silence] = []

    def attempt() -> None:
        import httpx

        try:
            result.append(_asked(client, client.build_request(verb, path, json=body, params=query), token))
        except (httpx.HTTPError, httpx.InvalidURL, NoAnswerError, ValueError, OSError) as error:
            result.append(Silence(error=error, hint=_hint(error), is_unsent=_is_unsent(error)))

    asking = Thread(target=attempt, name="ask", daemon=True)  # what hangs does not keep the command
    asking.start()
    asking.join(within)
    late = NoAnswerError(f"no whole answer came within {within:g} s")
    return result[0] if result else Silence(error=late, hint="", is_unsent=False)


def _asked(client: "httpx.Client", request: "httpx.Request", token: SecretText | None) -> Heard:
    request.headers["Accept-Encoding"] = "identity"
    if token is not None:
        request.headers["Authorization"] = f"Bearer {token.reveal()}"
    answer = client.send(request, stream=True, follow_redirects=False)
    try:
        body = b""
        for piece in answer.iter_raw():
            body += piece
            if len(body) > LARGEST_ANSWER:
                raise NoAnswerError(f"the answer is larger than {LARGEST_ANSWER // 1024 // 1024} MiB")
    finally:
        answer.close()
    pause = answer.headers.get("Retry-After", "")
    return Heard(
        status=answer.status_code, retry_after=pause if pause.isascii() and pause.isdigit() else None, body=body
    )


def _is_unsent(error: Exception) -> bool:
    import httpx

    never = (httpx.ConnectError, httpx.ConnectTimeout, httpx.UnsupportedProtocol, httpx.InvalidURL)
    return isinstance(error, (*never, httpx.LocalProtocolError))


def _hint(error: Exception) -> str:
    import ssl

    import httpx

    cause: BaseException | None = error
    while cause is not None and not isinstance(cause, ssl.SSLError):
        cause = cause.__cause__ or cause.__context__
    if cause is not None and not isinstance(cause, ssl.SSLCertVerificationError):
        return ": TLS failed, is it really https?"
    if isinstance(error, httpx.RemoteProtocolError | httpx.ReadError):
        return ": what listens there hung up, or speaks no HTTP; is it https?"
    return ""
