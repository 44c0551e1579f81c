"""One listener: uvicorn on a thread of its own, over a socket that is open already, begun anew whenever it ends."""

from collections.abc import Callable
from datetime import timedelta
from threading import Event, Thread
from typing import TYPE_CHECKING, Final

import structlog

from provisioner.api.sockets import BACKLOG, Opened
from provisioner.runtime.clock import SystemClock
from provisioner.telemetry.bugs import kind_and_place

if TYPE_CHECKING:
    from starlette.types import ASGIApp

    from provisioner.api.server import Server

_KEEP_ALIVE: Final = 10
_FINISH_WITHIN: Final = 2
CLOSE_WITHIN: Final = timedelta(seconds=4)
_DEAF_AFTER: Final = 30.0
"""Seconds in which its loop has not gone round: something hangs in it."""
_FIRST_PAUSE: Final = 1.0
_LONGEST_PAUSE: Final = 60.0
_UNEXPECTED: Final = "it came to an end that nobody asked for"


class Listener:
    """Serves from ``start`` to ``close``; whatever ends it before is told, and it begins anew.

    What is heavy is imported by ``start`` itself: threads that import one package at once may find it half made.
    """

    def __init__(self, opened: Opened, make_app: "Callable[[], ASGIApp]") -> None:
        self._opened, self._make_app = opened, make_app
        self._clock = SystemClock()
        self._server: Server | None = None
        self._is_closing = Event()
        self._thread = Thread(target=self._run, name=f"api {opened.where}", daemon=True)
        self._log = structlog.get_logger("provisioner.api")

    @property
    def where(self) -> str:
        """Where it listens."""
        return self._opened.where

    def start(self) -> None:
        """Begin."""
        self._server = self._made()
        self._server.beaten_at = self._clock.monotonic()
        self._thread.start()

    def is_serving(self) -> bool:
        """Tell whether its loop goes round, once it has begun."""
        server = self._server
        beaten_at = float("-inf") if server is None else server.beaten_at
        return self._thread.ident is None or self._clock.monotonic() - beaten_at < _DEAF_AFTER

    def close(self) -> None:
        """Answer what has been asked, take nothing more, and remove the socket."""
        self._opened.remove()
        self._is_closing.set()
        if self._server is not None:
            self._server.should_exit = True
        self._opened.listening.close()
        if self._thread.ident is not None:
            self._thread.join(CLOSE_WITHIN.total_seconds())

    def _run(self) -> None:
        """Serve; tokens are rotated all the same where that ends, but nobody could ask for anything."""
        pause = _FIRST_PAUSE
        while not self._is_closing.is_set():
            began = self._clock.monotonic()
            why = self._serve()
            if self._clock.monotonic() - began > _LONGEST_PAUSE:
                pause = _FIRST_PAUSE
            if self._is_closing.is_set():
                return
            self._log.error("api_ended", where=self.where, error=f"this is a bug: {why}", begins_anew_in=pause)
            if self._is_closing.wait(pause):
                return
            pause = min(2 * pause, _LONGEST_PAUSE)

    def _serve(self) -> str:
        """Serve until that ends, and say why it did."""
        try:
            server = self._server or self._begun_anew()
            with self._opened.listening.dup() as listening:  # the server closes what it is given
                server.run(sockets=[listening])
        except (Exception, SystemExit) as error:  # noqa: BLE001  # whatever ends it, it must not stay so
            return kind_and_place(error, error.__traceback__)
        finally:
            self._let_go()
        return _UNEXPECTED

    def _let_go(self) -> None:
        if self._server is not None:
            self._server.hang_up()
        self._server = None

    def _begun_anew(self) -> "Server":
        self._server = server = self._made()
        if self._is_closing.is_set():  # meanwhile: then nobody has told this one to exit
            server.should_exit = True
        self._log.info("api_listening", where=self.where)
        return server

    def _made(self) -> "Server":
        import uvicorn

        from provisioner.api.guard import LONGEST_HEAD
        from provisioner.api.patience import PatientProtocol
        from provisioner.api.server import Server

        config = uvicorn.Config(
            self._make_app(),
            http=PatientProtocol,
            ws="none",
            lifespan="off",
            loop="asyncio",
            log_config=None,
            access_log=False,
            proxy_headers=False,
            server_header=False,
            backlog=BACKLOG,
            timeout_keep_alive=_KEEP_ALIVE,
            timeout_graceful_shutdown=_FINISH_WITHIN,
            h11_max_incomplete_event_size=LONGEST_HEAD,
        )
        return Server(config, self.where)
