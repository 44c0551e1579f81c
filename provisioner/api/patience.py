"""The connections: so many at once, each with an end. Slow clients, idle ones and floods cost others nothing."""

import json
import logging
from asyncio import Transport
from typing import Final

import h11

from provisioner.api.problems import MEDIA_TYPE, Problem
from provisioner.runtime.http_connection import EndingProtocol

MOST_CONNECTIONS: Final = 200
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

    _ticks = 0
    _seen: tuple[object, bool] = (None, True)

    def connection_made(self, transport: Transport) -> None:  # type: ignore[override]  # as in uvicorn's own
        """Begin, unless there are too many already."""
        super().connection_made(transport)
        self.logger = _QUIET
        self.access_log = False  # an address may hold what somebody pasted by mistake
        if len(self.connections) > MOST_CONNECTIONS:
            transport.abort()
            return
        self.loop.call_later(_TICK, self._tick)

    def _tick(self) -> None:
        """Look whether anything has come to an end since; if not for too long, cut the connection off."""
        if self.transport.is_closing():
            return
        is_idle = self.cycle is None or self.cycle.response_complete
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
