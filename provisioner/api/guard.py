"""What stands before the application: the token of write verbs, limits of requests, and an end for every bug.

As it stands before the routes, nobody without the token learns by a write verb what there is behind it.
"""

from asyncio import timeout
from collections.abc import Callable
from dataclasses import dataclass
from hashlib import sha256
from hmac import compare_digest
from typing import Final

import structlog
from starlette.concurrency import run_in_threadpool
from starlette.datastructures import Headers, MutableHeaders
from starlette.responses import Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from provisioner.api.problems import broken, problem
from provisioner.domain.api_token import flaw_of_api_token
from provisioner.domain.errors import ConfigurationError
from provisioner.domain.secret import SecretText
from provisioner.telemetry.bugs import kind_and_place

READS: Final = frozenset({"GET", "HEAD", "OPTIONS", "TRACE"})
"""Verbs that change nothing; all others need the token over TCP, also where there is nothing behind them."""
LARGEST_BODY: Final = 65536
LONGEST_HEAD: Final = 16384
"""Bytes of request line and headers."""
BODY_WITHIN: Final = 10.0
"""Seconds for a body to arrive in full."""
_TOKEN_HELP: Final = {"WWW-Authenticate": 'Bearer realm="token-provisioner"'}
_HEADERS: Final = {
    "Cache-Control": "no-store",
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
    "Content-Security-Policy": "default-src 'none'; frame-ancestors 'none'",
}
_CHUNKED: Final = b"transfer-encoding"
TokenSource = Callable[[], Callable[[], SecretText] | None]


@dataclass(slots=True)
class _Sending:
    """An answer on its way; whatever it is, it has the headers that keep browsers from doing more with it."""

    send: Send
    has_begun: bool = False

    async def __call__(self, message: Message) -> None:
        if message["type"] == "http.response.start":
            self.has_begun = True
            headers = MutableHeaders(raw=message["headers"])
            for name, value in _HEADERS.items():
                headers.setdefault(name, value)
        await self.send(message)


class Guard:
    """An ASGI application around another. ``token`` None: whoever reaches us may write, as over the socket."""

    def __init__(self, app: ASGIApp, *, token: TokenSource | None) -> None:
        self._app, self._token = app, token
        self._log = structlog.get_logger("provisioner.api")

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer a request; of an error nothing gets out but that there was one."""
        if scope["type"] != "http":
            return
        sending = _Sending(send)
        try:
            refused = _misread(scope) or await self._refusal(scope)
            if refused is None:
                refused, receive = await _body(scope, receive)
            await (refused or self._app)(scope, receive, sending)
        except Exception as error:  # noqa: BLE001  # whatever went wrong, its text is nobody's to see
            self._log.error(
                "api_failed", error=f"this is a bug: {kind_and_place(error, error.__traceback__)}"
            )  # a traceback has texts
            if not sending.has_begun:
                await broken()(scope, receive, sending)

    async def _refusal(self, scope: Scope) -> Response | None:
        """Give why the request is not carried out, if it needs the token and does not have it."""
        if self._token is None or scope["method"] in READS:
            return None
        source = self._token()
        if source is None:
            why = "there are no write verbs here: set server.api_token, or use the admin socket"
            return problem(403, why, kind="no-write-verbs")
        try:
            wanted = await run_in_threadpool(source)
            flaw = flaw_of_api_token(wanted.reveal())
        except ConfigurationError as error:
            wanted, flaw = SecretText("-"), str(error)
        if flaw is not None:
            self._log.warning("api_token_unreadable", error=f"server.api_token: {flaw}")
            return problem(503, "the token to compare with cannot be read: the log says why", kind="token-unreadable")
        if _is_given(scope, wanted):
            return None
        return problem(401, "this verb needs the header Authorization: Bearer TOKEN", kind="token", headers=_TOKEN_HELP)


def _is_given(scope: Scope, wanted: SecretText) -> bool:
    """Tell whether a request has the token, in the one way there is.

    Compared are digests, which are equally long: how long it takes depends on nothing but what was sent.
    """
    given = [value for name, value in scope["headers"] if name == b"authorization"]
    scheme, _, credential = given[0].partition(b" ") if len(given) == 1 else (b"", b"", b"")
    digests = (sha256(each).digest() for each in (credential.strip(b" "), wanted.reveal().encode()))
    return compare_digest(*digests) and scheme.lower() == b"bearer"


def _misread(scope: Scope) -> Response | None:
    """Refuse what somebody on the way may have read otherwise: what follows it may not be the request it seems."""
    names = [name for name, _ in scope["headers"]]
    long = len(scope["raw_path"]) + len(scope["query_string"]) + sum(len(b"".join(each)) for each in scope["headers"])
    is_odd = scope["http_version"] not in {"1.0", "1.1"} or (scope["http_version"] == "1.0" and _CHUNKED in names)
    if is_odd or long > LONGEST_HEAD or (_CHUNKED in names and b"content-length" in names):
        return problem(400, "this is no HTTP request that we read", headers={"Connection": "close"})
    return None


async def _body(scope: Scope, receive: Receive) -> tuple[Response | None, Receive]:
    """Read the whole body, within its limits, before anybody works on it; give why not, or what hands it on."""
    headers, body, more = Headers(scope=scope), b"", True
    too_large = problem(413, f"a body has at most {LARGEST_BODY} bytes", headers={"Connection": "close"})
    length = headers.get("content-length", "")
    if length.isdecimal() and int(length[:20]) > LARGEST_BODY:
        return too_large, receive
    try:
        async with timeout(BODY_WITHIN):
            while more:
                message = await receive()
                if message["type"] != "http.request":
                    return None, receive
                body += message.get("body", b"")
                more = message.get("more_body", False)
                if len(body) > LARGEST_BODY:
                    return too_large, receive
    except TimeoutError:
        return problem(408, "the body did not arrive in time", headers={"Connection": "close"}), receive
    kind = headers.get("content-type", "").partition(";")[0].strip().lower()
    if body and scope["method"] not in READS and kind != "application/json":
        return problem(415, "a body has to be application/json"), receive
    return None, _again(body, receive)


def _again(body: bytes, receive: Receive) -> Receive:
    """Give the body once more, and then whatever comes."""
    is_given = False

    async def given() -> Message:
        nonlocal is_given
        if is_given:
            return await receive()
        is_given = True
        return {"type": "http.request", "body": body, "more_body": False}

    return given
