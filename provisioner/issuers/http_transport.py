"""Connections on which one deadline ends a whole request: the time-outs of httpx are for one read at a time.

A connection is in the hands of one thread at a time. httpcore's own pool looks at connections that other threads use:
it gives away one that is being closed, and closes one that has just been given away.
"""

import ssl
import threading
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from functools import partial
from http import HTTPStatus
from typing import Any, Final

import httpcore
import httpx

_CONNECTIONS: Final = 32
_SPOKEN: Final = frozenset({b"http", b"https"})
_WITHOUT_BODY: Final = frozenset({HTTPStatus.NO_CONTENT, HTTPStatus.NOT_MODIFIED})
_KEPT_FOR: Final = 5.0
"""Seconds for which an idle connection is kept: servers and what stands between close theirs, and seldom sooner."""


class Patience(threading.local):
    """How long the request that is under way on this thread may still take."""

    def __init__(self, monotonic: Callable[[], float]) -> None:
        self._monotonic = monotonic
        self._until: float | None = None

    @contextmanager
    def of(self, seconds: float) -> Iterator[None]:
        """Let everything that is done on this thread in the context end after that long."""
        self._until = self._monotonic() + seconds
        try:
            yield
        finally:
            self._until = None

    def left(self, over: type[httpcore.TimeoutException]) -> float | None:
        """Give the seconds that are left; raises ``over`` when none are."""
        if self._until is None:
            return None
        left = self._until - self._monotonic()
        if left <= 0:
            raise over
        return left


class PatientTransport(httpx.BaseTransport):
    """HTTP/1.1 connections for httpx, kept for a while; httpcore's errors come out as they are.

    Nothing is sent twice, and nothing of the environment gets in: no proxy, no certificate. An answer that was there
    before its request is none: a server, or what stands between, that answers once too often must not give one token
    to two names.
    """

    def __init__(self, patience: Patience, trust: ssl.SSLContext | None) -> None:
        self._kept = _Kept(patience, trust)

    def handle_request(self, request: httpx.Request) -> httpx.Response:
        """Send a request; the body of its answer is still to be read."""
        address = request.url
        asked = httpcore.Request(
            method=request.method,
            url=httpcore.URL(
                scheme=address.raw_scheme, host=address.raw_host, port=address.port, target=address.raw_path
            ),
            headers=request.headers.raw,
            content=request.stream,
        )
        if asked.url.scheme not in _SPOKEN:
            raise httpcore.UnsupportedProtocol
        connection = self._kept.take(asked.url.origin)
        try:
            answer = connection.handle_request(asked)
            _check_turn(answer)
        except BaseException:
            self._kept.give_back(connection, is_good=False)
            raise
        body = _Body(answer, partial(self._kept.give_back, connection))
        return httpx.Response(answer.status, headers=answer.headers, stream=body, request=request)

    def close(self) -> None:
        """Close the connections; those that are in use, with their answers."""
        self._kept.close()


def _check_turn(answer: httpcore.Response) -> None:
    """Refuse what was there before it was asked for."""
    stream = answer.extensions["network_stream"]
    if isinstance(stream, _Stream) and not stream.has_read:
        raise httpcore.RemoteProtocolError("the answer was there before the request")


class _Kept:
    """Connections that nobody uses: who takes one has it alone, and gives it back."""

    def __init__(self, patience: Patience, trust: ssl.SSLContext | None) -> None:
        self._patience, self._trust, self._backend = patience, trust, _Backend(patience)
        self._lock, self._free = threading.Lock(), threading.Semaphore(_CONNECTIONS)
        self._idle: list[httpcore.HTTPConnection] = []
        self._is_over = False

    def take(self, origin: httpcore.Origin) -> httpcore.HTTPConnection:
        """Give the one that was used last, or one to be opened; raises PoolTimeout when too many are in use."""
        if not self._free.acquire(timeout=self._patience.left(httpcore.PoolTimeout)):
            raise httpcore.PoolTimeout
        with self._lock:
            spent = [one for one in self._idle if one.has_expired()]
            good = [one for one in self._idle if one not in spent]
            taken = next((one for one in reversed(good) if one.can_handle_request(origin)), None)
            self._idle = [one for one in good if one is not taken]
        for one in spent:
            one.close()
        return taken if taken is not None else self._new(origin)

    def give_back(self, connection: httpcore.HTTPConnection, *, is_good: bool = True) -> None:
        """Keep it, where it can carry a further request; else close it."""
        with self._lock:
            is_kept = is_good and connection.is_idle() and not self._is_over
            if is_kept:
                self._idle.append(connection)
        try:
            if not is_kept:
                connection.close()
        finally:
            self._free.release()

    def close(self) -> None:
        """Close them all, and keep none from now on."""
        with self._lock:
            idle, self._idle, self._is_over = self._idle, [], True
        for connection in idle:
            connection.close()

    def _new(self, origin: httpcore.Origin) -> httpcore.HTTPConnection:
        return httpcore.HTTPConnection(
            origin,
            ssl_context=self._trust,
            keepalive_expiry=_KEPT_FOR,
            http2=False,
            retries=0,
            network_backend=self._backend,
        )


class _Body(httpx.SyncByteStream):
    """The body of an answer as it arrives.

    Where an answer has none by its status, whatever follows it all the same would stay on the connection as the
    beginning of the next one: that connection is not used again.
    """

    def __init__(self, answer: httpcore.Response, give_back: Callable[..., None]) -> None:
        self._answer, self._give_back = answer, give_back
        self._is_closed = False

    def __iter__(self) -> Iterator[bytes]:
        yield from self._answer.iter_stream()

    def close(self) -> None:
        """Give the connection back; one on which something is still to come, or may be, is closed."""
        if self._is_closed:
            return
        self._is_closed = True
        try:
            self._answer.close()
        finally:
            self._give_back(is_good=self._answer.status not in _WITHOUT_BODY)


class _Backend(httpcore.NetworkBackend):
    """Opens connections to a host; each of its addresses is tried for what is left of the patience."""

    def __init__(self, patience: Patience) -> None:
        self._inner, self._patience = httpcore.SyncBackend(), patience

    def connect_tcp(
        self,
        host: str,
        port: int,
        timeout: float | None = None,
        local_address: str | None = None,
        socket_options: Iterable[Any] | None = None,
    ) -> httpcore.NetworkStream:
        """Connect."""
        del timeout
        left = self._patience.left(httpcore.ConnectTimeout)
        return _Stream(self._inner.connect_tcp(host, port, left, local_address, socket_options), self._patience)


class _Stream(httpcore.NetworkStream):
    """A connection on which nothing takes longer than is left."""

    def __init__(self, inner: httpcore.NetworkStream, patience: Patience) -> None:
        self._inner, self._patience = inner, patience
        self.has_read = False
        """Whether anything was read since the last write: else what follows is left over from the answer before."""

    def read(self, max_bytes: int, timeout: float | None = None) -> bytes:
        """Read what is there."""
        del timeout
        self.has_read = True
        return self._inner.read(max_bytes, self._patience.left(httpcore.ReadTimeout))

    def write(self, buffer: bytes, timeout: float | None = None) -> None:
        """Write it all."""
        del timeout
        self.has_read = False
        self._inner.write(buffer, self._patience.left(httpcore.WriteTimeout))

    def start_tls(
        self, ssl_context: ssl.SSLContext, server_hostname: str | None = None, timeout: float | None = None
    ) -> httpcore.NetworkStream:
        """Shake hands."""
        del timeout
        left = self._patience.left(httpcore.ConnectTimeout)
        return _Stream(self._inner.start_tls(ssl_context, server_hostname, left), self._patience)

    def close(self) -> None:
        """Close it."""
        self._inner.close()

    def get_extra_info(self, info: str) -> Any:  # noqa: ANN401  # httpcore's own
        """Tell what httpcore asks of it, such as whether it is still open."""
        return self._inner.get_extra_info(info)
