"""Puts an answer of the simulated cluster on its wire: whole, or as badly as the outcome says."""

import asyncio
from collections.abc import Awaitable, Callable, Mapping, MutableMapping
from dataclasses import dataclass
from http import HTTPStatus
from typing import Any, Final

from provisioner.simulators.http_faults import Delivery, Outcome

BEAT: Final = 0.1
"""Seconds between two looks at whether it is time to go, and between two drops."""
_BODYLESS: Final = frozenset({HTTPStatus.NO_CONTENT, HTTPStatus.NOT_MODIFIED})
_DROP: Final = b" "

Scope = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[MutableMapping[str, Any]]]
Send = Callable[[MutableMapping[str, Any]], Awaitable[None]]


@dataclass(frozen=True, slots=True)
class Wire:
    """The server below, as far as an answer concerns it."""

    is_leaving: Callable[[], bool]
    """Whether it is to stop, and nobody may be kept waiting."""
    hang_up: Callable[[Any], None]
    """End the connection with that client, after what was sent has been sent."""


class Deliverable:
    """One answer on its way: an ASGI application, as every response of Starlette's is."""

    def __init__(self, outcome: Outcome, wire: Wire, headers: Mapping[str, str]) -> None:
        """Take what is answered, and the headers that every answer of this API has."""
        self._outcome, self._wire, self._headers = outcome, wire, headers

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer."""
        answer, delivery = self._outcome.answer, self._outcome.delivery
        body = b"" if answer.status in _BODYLESS else answer.body
        if delivery is Delivery.WHOLE:
            await self._begin(send, len(body))
            await send({"type": "http.response.body", "body": body})
            return
        if delivery is Delivery.CUT:
            await self._begin(send, len(body))
            await send({"type": "http.response.body", "body": body[: len(body) // 2], "more_body": True})
        elif delivery is Delivery.DRIPPING:
            await self._begin(send, None)
            await self._until_gone(receive, send)
        elif delivery is Delivery.NEVER:
            await self._until_gone(receive, None)
        self._wire.hang_up(scope["client"])
        while (await receive())["type"] != "http.disconnect":
            pass

    async def _begin(self, send: Send, length: int | None) -> None:
        headers = {**self._headers, **self._outcome.answer.headers}
        if length is not None and self._outcome.answer.status not in _BODYLESS:
            headers["content-length"] = str(length)
        encoded = [(name.encode(), value.encode()) for name, value in headers.items()]
        await send({"type": "http.response.start", "status": self._outcome.answer.status, "headers": encoded})

    async def _until_gone(self, receive: Receive, drip: Send | None) -> None:
        """Wait for the client to give up or the server to leave, dripping meanwhile where it is asked for."""
        while not self._wire.is_leaving():
            try:
                async with asyncio.timeout(BEAT):
                    if (await receive())["type"] == "http.disconnect":
                        return
            except TimeoutError:
                if drip is not None:
                    await drip({"type": "http.response.body", "body": _DROP, "more_body": True})
