"""Serves a simulated HTTP API on a free loopback port, on a thread of this process."""

from datetime import timedelta
from pathlib import Path
from threading import Thread
from types import TracebackType
from typing import Any, Self

from provisioner.domain.errors import ConfigurationError
from provisioner.runtime.clock import SystemClock
from provisioner.simulators.openbao import free_port

_READY_WITHIN = timedelta(seconds=10)
_PAUSE = timedelta(milliseconds=10)


class LoopbackServer:
    """Serves an ASGI application while the context lasts; may be entered again, on the same port."""

    def __init__(self, what: str, *, certificate: Path | None = None, key: Path | None = None) -> None:
        """Choose a port; nothing listens yet. ``what`` names it in errors.

        With a ``certificate``, a PEM file, it speaks TLS; that file holds the key as well where no ``key`` is named.
        """
        self._what, self.certificate, self.key = what, certificate, key
        self.port = free_port()
        self._server: Any = None
        self._thread: Thread | None = None

    def application(self) -> Any:  # noqa: ANN401  # the web framework is imported when used
        """Give what is served; for each class its own."""
        raise NotImplementedError

    def stopping(self) -> None:
        """Let go of what would keep requests from ending; for each class its own, nothing by default."""

    def __enter__(self) -> Self:
        """Start, and wait until it listens."""
        import uvicorn

        from provisioner.runtime.http_connection import EndingProtocol

        config = uvicorn.Config(
            self.application(),
            host="127.0.0.1",
            port=self.port,
            http=EndingProtocol,
            log_config=None,
            log_level="critical",  # its comings and goings are not the news of whoever configured the root logger
            access_log=False,
            lifespan="off",
            timeout_graceful_shutdown=1,
            ssl_certfile=self.certificate,
            ssl_keyfile=self.key,
        )
        self._server = uvicorn.Server(config)
        self._server.install_signal_handlers = lambda: None
        self._thread = Thread(target=self._server.run, name=self._what, daemon=True)
        self._thread.start()
        clock = SystemClock()
        deadline = clock.monotonic() + _READY_WITHIN.total_seconds()
        while not self._server.started:
            if clock.monotonic() > deadline or not self._thread.is_alive():
                raise ConfigurationError(f"{self._what} did not start")
            clock.sleep(_PAUSE)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Stop, and wait until nothing listens."""
        self.stopping()
        self._server.should_exit = True
        if self._thread is not None:
            self._thread.join()
