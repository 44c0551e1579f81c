"""The simulated cluster's HTTP APIs on one port: the management API, InfluxDB 3, and the data plane."""

import asyncio
from datetime import timedelta
from email.utils import format_datetime
from http import HTTPStatus
from pathlib import Path
from threading import Thread
from types import TracebackType
from typing import Any, Final, Self

from provisioner.domain.errors import ConfigurationError
from provisioner.runtime.clock import SystemClock
from provisioner.simulators import data_routes, influxdb3_routes, management_routes
from provisioner.simulators.cluster import Cluster
from provisioner.simulators.http_answers import Answer, Asked, Route, text_answer
from provisioner.simulators.http_delivery import BEAT, Deliverable, Wire
from provisioner.simulators.http_faults import ELSEWHERE, Delivery, Outcome, carry_out
from provisioner.simulators.openbao import free_port

_READY_WITHIN: Final = timedelta(seconds=10)
_PAUSE: Final = timedelta(milliseconds=10)
_ROUTES: Final = (*management_routes.ROUTES, *influxdb3_routes.ROUTES, *data_routes.ROUTES)


class ManagementApi:
    """Serves on a free loopback port, on a thread of this process, while the context lasts."""

    def __init__(
        self, cluster: Cluster, *, port: int | None = None, certificate: Path | None = None, key: Path | None = None
    ) -> None:
        """Take whose tokens are to be believed, and a certificate for 127.0.0.1 to speak TLS; nothing listens yet."""
        self._cluster = cluster
        self.port = port or free_port()
        self._base = f"{'https' if certificate else 'http'}://127.0.0.1:{self.port}"
        self.url = f"{self._base}/api/v0"
        """The base of the management API; under it, accounts/ID/clusters/ID is one, too."""
        self.influxdb3 = self._base
        """The base of InfluxDB 3."""
        self.query_url = self._base
        """The base of the data plane."""
        self.followed: list[str] = []
        """The methods of the requests that followed a redirect."""
        self.requests = 0
        """How many requests have come."""
        self._certificate, self._key = certificate, key
        self._server: Any = None
        self._thread: Thread | None = None

    def __enter__(self) -> Self:
        """Start, and wait until it listens."""
        import uvicorn

        config = uvicorn.Config(
            self._app(),
            host="127.0.0.1",
            port=self.port,
            http="h11",
            log_config=None,
            log_level="error",  # its comings and goings are not the news of whoever configured the root logger
            access_log=False,
            lifespan="off",
            server_header=False,
            date_header=False,  # the cluster's clock may be wrong
            ssl_certfile=self._certificate,
            ssl_keyfile=self._key,
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

    def _app(self) -> Any:  # noqa: ANN401  # FastAPI is imported when used
        from fastapi import FastAPI

        app = FastAPI(openapi_url=None)
        for route in _ROUTES:
            for path in route.paths:
                app.router.add_route(path, self._endpoint(route), methods=list(route.methods))
        app.router.add_route(ELSEWHERE, self._elsewhere, methods=["GET", "POST", "PATCH", "DELETE"])
        return app

    def _endpoint(self, route: Route) -> Any:  # noqa: ANN401  # the same
        """Give what answers the requests of a route."""
        wire = Wire(is_leaving=lambda: bool(self._server.should_exit), hang_up=self._hang_up)

        async def answer(request: Any) -> Any:  # noqa: ANN401  # the same
            asked = Asked(
                cluster=self._cluster,
                headers=request.headers,
                query=request.query_params,
                path=request.path_params,
                body=await request.body(),
            )
            self.requests += 1
            in_time = await self._wait(self._cluster.knobs().latency)
            outcome = carry_out(route, asked, self._base) if in_time else Outcome(Answer(), Delivery.CLOSED)
            shared = {"cluster-uuid": self._cluster.instance()} if route.dialect.names_instance else {}
            return Deliverable(outcome, wire, {**shared, "date": format_datetime(self._cluster.now(), usegmt=True)})

        async def endpoint(request: Any) -> Any:  # noqa: ANN401  # the same
            try:
                return await answer(request)
            except ConfigurationError as error:  # the knobs are not understood
                return Deliverable(Outcome(text_answer(str(error), HTTPStatus.INTERNAL_SERVER_ERROR)), wire, {})

        return endpoint

    async def _wait(self, seconds: float) -> bool:
        """Wait so long; False when the server is to stop before."""
        while seconds > 0 and not self._server.should_exit:
            pause = min(seconds, BEAT)
            await asyncio.sleep(pause)
            seconds -= pause
        return seconds <= 0

    async def _elsewhere(self, request: Any) -> Any:  # noqa: ANN401  # the same
        """Take note of who followed a redirect."""
        from fastapi.responses import JSONResponse

        self.followed.append(request.method)
        return JSONResponse([])

    def _hang_up(self, client: object) -> None:
        for connection in list(self._server.server_state.connections):
            if connection.client == client:
                connection.transport.close()
