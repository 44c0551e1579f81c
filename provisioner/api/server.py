"""uvicorn's server as we run it: it tells that it lives, and what its loop trips over is told in our words, seldom."""

import asyncio
import errno
import resource
from contextlib import suppress
from socket import SHUT_RDWR, socket
from typing import Any, Final

import structlog
import uvicorn

from provisioner.runtime.clock import SystemClock
from provisioner.telemetry.bugs import kind_and_place

_OUT_OF: Final = frozenset({errno.EMFILE, errno.ENFILE, errno.ENOBUFS, errno.ENOMEM})
_SAY_EVERY: Final = 60.0
SHARE_OF_FILES: Final = 4
"""Each listener takes that part of the files that the process may open at most: rotations need some, too."""
UNLIMITED: Final = resource.RLIM_INFINITY


def most_connections(wished: int) -> int:
    """Give how many connections may be open at once."""
    files, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    return wished if files == UNLIMITED else max(1, min(wished, files // SHARE_OF_FILES))


class Server(uvicorn.Server):
    """One server; ``where`` it listens goes into its log lines."""

    def __init__(self, config: uvicorn.Config, where: str) -> None:
        super().__init__(config)
        self._where, self._said_at = where, float("-inf")
        self._clock = SystemClock()
        self._log = structlog.get_logger("provisioner.api")
        self.beaten_at = float("-inf")
        """When its loop was last seen to go round, by our clock: the loop's own leaves out what the machine slept."""

    async def startup(self, sockets: list[socket] | None = None) -> None:
        """Begin, and be told of what nobody catches."""
        asyncio.get_running_loop().set_exception_handler(self._tell)
        await super().startup(sockets)

    async def on_tick(self, counter: int) -> bool:
        """Note that the loop goes round; ten times a second."""
        self.beaten_at = self._clock.monotonic()
        return await super().on_tick(counter)

    def hang_up(self) -> None:
        """End every connection that is left when the loop is there no more: nobody would answer on it."""
        for connection in self.server_state.connections:
            with suppress(OSError, AttributeError):  # closed already, or half made
                connection.transport.get_extra_info("socket").shutdown(SHUT_RDWR)

    def _tell(self, loop: asyncio.AbstractEventLoop, context: dict[str, Any]) -> None:
        """Tell of an error that nobody caught.

        Out of files, asyncio tries again to take connections each second, and tells so once for each that may wait.
        """
        error = context.get("exception")
        if isinstance(error, OSError) and error.errno in _OUT_OF:
            if loop.time() - self._said_at >= _SAY_EVERY:
                self._said_at = loop.time()
                remedy = "raise the limit of open files (ulimit -n), or see who holds so many connections"
                self._log.warning("api_out_of_files", where=self._where, error=error.strerror, remedy=remedy)
            return
        why = kind_and_place(error, error.__traceback__) if error is not None else "an unhandled condition of the loop"
        self._log.error("api_failed", where=self._where, error=f"this is a bug: {why}")
