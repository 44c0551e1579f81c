"""The connections: so many at once, so many of a client, each with an end. Slow clients and floods cost others nothing.

Where there are too many, the one that has been idle for the longest makes room: whoever has something to ask is heard.
"""

import json
import logging
from asyncio import Transport
from typing import Final

import h11

from provisioner.api.problems import MEDIA_TYPE, Problem
from provisioner.api.server import most_connections
from provisioner.runtime.http_connection import EndingProtocol

MOST_CONNECTIONS: Final = 200
MOST_OF_A_CLIENT: Final = 50
"""Of one address over TCP; over the socket there is but one user."""
_TICK: Final = 5.0
_TICKS_WITHOUT_REQUEST: Final = 3
"""A connection that has sent no whole head within so many ticks is closed."""
_TICKS_OF_A_REQUEST: Final = 12
"""One whose answer is not taken within so many ticks is cut off."""
_QUIET: Final = logging.getLogger("uvicorn.error.connection")
_QUIET.setLevel(logging.ERROR)
"""What strangers send is no reason for a line of the log each."""


class PatientProtocol(EndingProtocol):
    """One connection, as uvicorn speaks it, with limits."""

    idle_since = 0.0
    """By the loop's clock; it holds while it is idle."""
    _ticks = 0
    _seen: tuple[object, bool] = (None, True)

    def connection_made(self, transport: Transport) -> None:  # type: ignore[override]  # as in uvicorn's own
        """Begin, unless there are too many already."""
        super().connection_made(transport)
        self.logger = _QUIET
        self.idle_since = self.loop.time()
        self.access_log = False  # an address may hold what somebody pasted by mistake
        others = [each for each in self.connections if each is not self and isinstance(each, PatientProtocol)]
        others = [each for each in others if not each.transport.is_closing()]
        of_the_same = [each for each in others if self.client and each.client and each.client[0] == self.client[0]]
        is_full = len(others) >= most_connections(MOST_CONNECTIONS) and not _make_room_among(others)
        if is_full or (len(of_the_same) >= MOST_OF_A_CLIENT and not _make_room_among(of_the_same)):
            transport.abort()
            return
        self.loop.call_later(_TICK, self._tick)

    @property
    def is_idle(self) -> bool:
        """Whether nothing is to be answered: no whole head has come since the last answer."""
        return self.cycle is None or self.cycle.response_complete

    def on_response_complete(self) -> None:
        """Note that it is idle from now on."""
        self.idle_since = self.loop.time()
        super().on_response_complete()

    def _tick(self) -> None:
        """Look whether anything has come to an end since; if not for too long, cut the connection off."""
        if self.transport.is_closing():
            return
        is_idle = self.is_idle
        seen = (self.cycle, is_idle)
        self._ticks = self._ticks + 1 if seen == self._seen else 1
        self._seen = seen
        if self._ticks >= (_TICKS_WITHOUT_REQUEST if is_idle else _TICKS_OF_A_REQUEST):
            self.transport.abort()
            return
        self.loop.call_later(_TICK, self._tick)

    def send_400_response(self, msg: str) -> None:
        """Answer what is no HTTP, or has too long a head, as every other error is answered."""
        del msg
        told = Problem(
            type="about:blank", title="Bad Request", status=400, detail="this is no HTTP request that we read"
        )
        body = json.dumps(told.model_dump(exclude_none=True)).encode()
        headers = [
            (b"content-type", MEDIA_TYPE.encode()),
            (b"content-length", str(len(body)).encode()),
            (b"connection", b"close"),
        ]
        for event in (
            h11.Response(status_code=400, headers=headers, reason=b"Bad Request"),
            h11.Data(data=body),
            h11.EndOfMessage(),
        ):
            self.transport.write(self.conn.send(event) or b"")
        self.transport.close()


def _make_room_among(connections: list[PatientProtocol]) -> bool:
    """Cut off the one that has been idle for the longest; tell whether there is one."""
    idle = [each for each in connections if each.is_idle]
    if not idle:
        return False
    min(idle, key=lambda each: each.idle_since).transport.abort()
    return True
