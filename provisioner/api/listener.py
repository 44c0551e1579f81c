"""One listener: uvicorn on a thread of its own, over a socket that is open already."""

from collections.abc import Callable
from datetime import timedelta
from threading import Thread
from typing import TYPE_CHECKING, Final

import structlog

from provisioner.api.sockets import Opened
from provisioner.telemetry.bugs import kind_and_place

if TYPE_CHECKING:
    from starlette.types import ASGIApp
    from uvicorn import Server

_KEEP_ALIVE: Final = 10
_FINISH_WITHIN: Final = 2
CLOSE_WITHIN: Final = timedelta(seconds=4)


class Listener:
    """Serves from ``start`` to ``close``.

    What is heavy is imported by ``start`` itself: threads that import one package at once may find it half made.
    """

    def __init__(self, opened: Opened, make_app: "Callable[[], ASGIApp]") -> None:
        self._opened, self._make_app = opened, make_app
        self._server: Server | None = None
        self._thread = Thread(target=self._run, name=f"api {opened.where}", daemon=True)

    @property
    def where(self) -> str:
        """Where it listens."""
        return self._opened.where

    def start(self) -> None:
        """Begin."""
        self._server = self._made()
        self._thread.start()

    def is_serving(self) -> bool:
        """Tell whether its thread lives."""
        return self._thread.is_alive()

    def close(self) -> None:
        """Answer what has been asked, take nothing more, and remove the socket."""
        self._opened.remove()
        if self._server is not None:
            self._server.should_exit = True
        if self._thread.ident is not None:
            self._thread.join(CLOSE_WITHIN.total_seconds())
        self._opened.listening.close()

    def _run(self) -> None:
        try:
            if self._server is not None:
                self._server.run(sockets=[self._opened.listening])
        except Exception as error:  # noqa: BLE001  # tokens are rotated all the same; the probes see that nobody answers
            log = structlog.get_logger("provisioner.api")
            why = f"this is a bug: {kind_and_place(error, error.__traceback__)}"
            log.error("api_ended", where=self.where, error=why)  # noqa: TRY400  # a traceback has texts
            self._opened.listening.close()

    def _made(self) -> "Server":
        import uvicorn

        from provisioner.api.guard import LONGEST_HEAD
        from provisioner.api.patience import PatientProtocol

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
            timeout_keep_alive=_KEEP_ALIVE,
            timeout_graceful_shutdown=_FINISH_WITHIN,
            h11_max_incomplete_event_size=LONGEST_HEAD,
        )
        return uvicorn.Server(config)
