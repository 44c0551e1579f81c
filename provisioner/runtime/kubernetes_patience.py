"""One deadline for a whole request to Kubernetes: the time-outs of lightkube's client are for one read at a time.

An answer that comes byte by byte would never end by those, and with it the thread that renews a lease.
"""

import threading
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from datetime import timedelta
from typing import TYPE_CHECKING, Any, Final, Protocol

from provisioner.runtime.clock import SystemClock

if TYPE_CHECKING:
    import ssl

    from lightkube import Client


class _Patience(threading.local):
    """Until when the request that is under way on this thread may take."""

    until: float | None = None

    def left(self, timeout: float | None, over: type[Exception]) -> float | None:
        """Give the seconds that one operation may take; raises ``over`` when there are none."""
        if self.until is None:
            return timeout
        left = self.until - SystemClock().monotonic()
        if left <= 0:
            raise over
        return left if timeout is None else min(left, timeout)


_PATIENCE: Final = _Patience()


@contextmanager
def within(patience: timedelta) -> Iterator[None]:
    """Let every request of a client that was made patient end after that long, on this thread, in this context."""
    before, _PATIENCE.until = _PATIENCE.until, SystemClock().monotonic() + patience.total_seconds()
    try:
        yield
    finally:
        _PATIENCE.until = before


def make_patient(client: "Client") -> None:
    """Let a client heed ``within``: its connections, and those through proxies, get a network of ours beneath them."""
    http: Any = client._client._client  # noqa: SLF001  # lightkube has no way in; a test sees if it goes astray
    for transport in (http._transport, *http._mounts.values()):  # noqa: SLF001  # the same
        if transport is not None:
            pool = transport._pool  # noqa: SLF001  # the same
            pool._network_backend = _Network(pool._network_backend)  # noqa: SLF001  # the same


class _Stream(Protocol):
    """A connection as httpcore2 has it."""

    def read(self, max_bytes: int, timeout: float | None = None) -> bytes:
        """Read what is there."""

    def write(self, buffer: bytes, timeout: float | None = None) -> None:
        """Write it all."""

    def close(self) -> None:
        """Close it."""

    def start_tls(
        self, ssl_context: "ssl.SSLContext", server_hostname: str | None = None, timeout: float | None = None
    ) -> "_Stream":
        """Shake hands."""

    def get_extra_info(self, info: str) -> Any:  # noqa: ANN401  # httpcore2's own
        """Tell what is asked of it."""


class _Network:
    """Opens connections."""

    def __init__(self, inner: Any) -> None:  # noqa: ANN401  # httpcore2's
        self._inner = inner

    def connect_tcp(
        self,
        host: str,
        port: int,
        timeout: float | None = None,
        local_address: str | None = None,
        socket_options: Iterable[Any] | None = None,
    ) -> _Stream:
        """Connect."""
        import httpcore2

        left = _PATIENCE.left(timeout, httpcore2.ConnectTimeout)
        return _PatientStream(self._inner.connect_tcp(host, port, left, local_address, socket_options))

    def sleep(self, seconds: float) -> None:
        """Wait."""
        self._inner.sleep(seconds)


class _PatientStream:
    """A connection on which nothing takes longer than is left."""

    def __init__(self, inner: _Stream) -> None:
        self._inner = inner

    def read(self, max_bytes: int, timeout: float | None = None) -> bytes:
        """Read what is there."""
        import httpcore2

        return self._inner.read(max_bytes, _PATIENCE.left(timeout, httpcore2.ReadTimeout))

    def write(self, buffer: bytes, timeout: float | None = None) -> None:
        """Write it all."""
        import httpcore2

        self._inner.write(buffer, _PATIENCE.left(timeout, httpcore2.WriteTimeout))

    def close(self) -> None:
        """Close it."""
        self._inner.close()

    def start_tls(
        self, ssl_context: "ssl.SSLContext", server_hostname: str | None = None, timeout: float | None = None
    ) -> _Stream:
        """Shake hands."""
        import httpcore2

        left = _PATIENCE.left(timeout, httpcore2.ConnectTimeout)
        return _PatientStream(self._inner.start_tls(ssl_context, server_hostname, left))

    def get_extra_info(self, info: str) -> Any:  # noqa: ANN401  # httpcore2's own
        """Tell what is asked of it."""
        return self._inner.get_extra_info(info)
