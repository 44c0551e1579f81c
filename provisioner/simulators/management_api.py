"""The simulated cluster's management HTTP API, as far as it proves tokens: ``GET /databases`` in both path styles."""

from datetime import timedelta
from threading import Thread
from types import TracebackType
from typing import Any, Self

from provisioner.domain.errors import ConfigurationError
from provisioner.runtime.clock import SystemClock
from provisioner.simulators.cluster import Cluster
from provisioner.simulators.openbao import free_port

_READY_WITHIN = timedelta(seconds=10)
_PAUSE = timedelta(milliseconds=10)


class ManagementApi:
    """Serves on a free loopback port, on a thread of this process, while the context lasts."""

    def __init__(self, cluster: Cluster) -> None:
        """Take whose tokens are to be believed; nothing listens yet."""
        self._cluster = cluster
        self.port = free_port()
        self.url = f"http://127.0.0.1:{self.port}/api/v0"
        self._server: Any = None
        self._thread: Thread | None = None

    def __enter__(self) -> Self:
        """Start, and wait until it listens."""
        import uvicorn

        config = uvicorn.Config(
            _app(self._cluster),
            host="127.0.0.1",
            port=self.port,
            log_config=None,
            log_level="error",  # its comings and goings are not the news of whoever configured the root logger
            access_log=False,
            lifespan="off",
        )
        self._server = uvicorn.Server(config)
        self._server.install_signal_handlers = lambda: None
        self._thread = Thread(target=self._server.run, name="management api", daemon=True)
        self._thread.start()
        clock = SystemClock()
        deadline = clock.monotonic() + _READY_WITHIN.total_seconds()
        while not self._server.started:
            if clock.monotonic() > deadline or not self._thread.is_alive():
                raise ConfigurationError("the simulated management API did not start")
            clock.sleep(_PAUSE)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Stop, and wait until nothing listens."""
        self._server.should_exit = True
        if self._thread is not None:
            self._thread.join()


def _app(cluster: Cluster) -> Any:  # noqa: ANN401  # FastAPI is imported when used
    from fastapi import FastAPI, Request
    from fastapi.responses import JSONResponse

    app = FastAPI(openapi_url=None)

    def databases(request: Request) -> JSONResponse:
        knobs = cluster.knobs()
        SystemClock().sleep(timedelta(seconds=knobs.latency))
        if knobs.http_status:
            return JSONResponse({"code": knobs.http_status, "message": "as the knob says"}, knobs.http_status)
        scheme, _, string = request.headers.get("authorization", "").partition(" ")
        if scheme == "Bearer" and cluster.authenticate(string):
            return JSONResponse([])
        return JSONResponse({"code": 401, "message": "unauthorized"}, 401)

    for path in ("/api/v0/databases", "/api/v0/accounts/{account}/clusters/{cluster}/databases"):
        app.add_api_route(path, databases, methods=["GET"])
    return app
