"""Slow, greedy and broken clients cost others nothing; the socket is nobody else's."""

import socket
from collections.abc import Callable
from contextlib import ExitStack, closing
from datetime import timedelta
from pathlib import Path
from urllib.parse import urlsplit

import httpx
import pytest
import structlog.testing

from provisioner.api import guard, patience, server
from provisioner.api.application import create_app
from provisioner.api.listener import Listener
from provisioner.api.sockets import SocketUnavailableError, open_tcp, open_unix
from provisioner.api.view import HTTP
from provisioner.domain.errors import ConfigurationError
from provisioner.runtime.clock import SystemClock
from tests.api.conftest import Served
from tests.api.wire import Wire


def connected(served: Served, source: str = "127.0.0.1") -> socket.socket:
    """Give a connection from an address."""
    parts = urlsplit(served.url)
    return socket.create_connection((parts.hostname, parts.port or 0), timeout=20, source_address=(source, 0))


@pytest.fixture
def _impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(patience, "_TICK", 0.05)
    monkeypatch.setattr(guard, "BODY_WITHIN", 0.2)


@pytest.mark.usefixtures("_impatient")
@pytest.mark.parametrize("sent", [b"", b"GET /healthz HTTP/1.1\r\nHost: x\r\n"], ids=["nothing", "half a head"])
def test_who_sends_no_whole_head_is_cut_off(served: Served, sent: bytes) -> None:
    """And others are answered meanwhile."""
    with closing(connected(served)) as slow:
        slow.sendall(sent)
        assert served.tcp.get("/healthz").status_code == 200
        try:
            assert slow.recv(100) == b""
        except ConnectionResetError:
            return


@pytest.mark.usefixtures("_impatient")
def test_who_sends_no_whole_body_is_answered_all_the_same(served: Served) -> None:
    """With 408, when it has had its time."""
    with closing(connected(served)) as slow:
        token = served.with_token()["Authorization"]
        head = f"POST /v1/rotations HTTP/1.1\r\nHost: x\r\nContent-Length: 9\r\nAuthorization: {token}\r\n\r\n"
        slow.sendall(f"{head}{{".encode())
        assert slow.recv(4096).startswith(b"HTTP/1.1 408")


@pytest.mark.parametrize(
    "sent", [b"GET / HTTP/1.1\r\nX: " + b"x" * 20_000, b"\x16\x03\x01 no HTTP\r\n\r\n"], ids=["long", "no HTTP"]
)
def test_what_is_no_request_is_a_problem_too(served: Served, sent: bytes) -> None:
    """400 in our own words, and the connection is closed."""
    with closing(connected(served)) as client:
        client.sendall(sent)
        answer = client.recv(4096)
    assert answer.startswith(b"HTTP/1.1 400")
    assert b"application/problem+json" in answer


def flood(served: Served, count: int, stack: ExitStack, *, source: str = "127.0.0.1", sent: bytes = b"") -> None:
    """Open that many connections from an address, of which none asks for anything whole."""
    for _ in range(count):
        stack.enter_context(closing(connected(served, source))).sendall(sent)


def asked_from(served: Served, source: str) -> int:
    """Ask once from an address, on a connection of its own."""
    transport = httpx.HTTPTransport(local_address=source)
    with httpx.Client(base_url=served.url, transport=transport, timeout=20) as client:
        return client.get("/healthz").status_code


@pytest.mark.parametrize("sent", [b"", b"GET /healthz HTTP/1.1\r\nX: "], ids=["nothing", "half a head"])
def test_a_flood_by_one_client_costs_others_nothing(served: Served, sent: bytes) -> None:
    """Nor itself: the connections that ask for nothing make room, those of others stay."""
    with ExitStack() as stack, closing(connected(served, "127.0.0.3")) as other:
        flood(served, 2 * patience.MOST_CONNECTIONS, stack, sent=sent)
        assert asked_from(served, "127.0.0.2") == 200
        assert asked_from(served, "127.0.0.1") == 200
        other.sendall(b"GET /healthz HTTP/1.1\r\nHost: x\r\n\r\n")
        assert other.recv(4096).startswith(b"HTTP/1.1 200")


def test_a_flood_from_many_addresses_makes_room_for_who_asks(served: Served, monkeypatch: pytest.MonkeyPatch) -> None:
    """Whoever has been idle for the longest goes first."""
    monkeypatch.setattr(patience, "MOST_CONNECTIONS", 12)
    with ExitStack() as stack:
        for number in range(4, 10):
            flood(served, 5, stack, source=f"127.0.0.{number}")
        assert asked_from(served, "127.0.0.2") == 200
        assert served.tcp.get("/healthz").status_code == 200


def test_who_has_just_come_stays(served: Served, monkeypatch: pytest.MonkeyPatch) -> None:
    """Though others come after it, before it has asked."""
    monkeypatch.setattr(patience, "MOST_OF_A_CLIENT", 8)
    with ExitStack() as stack:
        flood(served, 8, stack)
        assert asked_from(served, "127.0.0.2") == 200  # by now all of them are there
        fresh = stack.enter_context(closing(connected(served)))
        flood(served, 4, stack)
        assert asked_from(served, "127.0.0.2") == 200
        fresh.sendall(b"GET /healthz HTTP/1.1\r\nHost: x\r\n\r\n")
        assert fresh.recv(4096).startswith(b"HTTP/1.1 200")


def test_connections_that_are_at_work_make_no_room(served: Served, monkeypatch: pytest.MonkeyPatch) -> None:
    """With all of them waiting for the rest of a body there is none for one more, until they are answered."""
    monkeypatch.setattr(patience, "MOST_OF_A_CLIENT", 8)
    head = b"GET /healthz HTTP/1.1\r\nHost: x\r\nContent-Length: 5\r\n\r\n"
    with ExitStack() as stack:
        flood(served, 8, stack, source="127.0.0.2", sent=head)
        assert asked_from(served, "127.0.0.3") == 200  # by now all of them were read
        with pytest.raises(httpx.TransportError):
            asked_from(served, "127.0.0.2")


def test_few_open_files_are_not_all_taken(monkeypatch: pytest.MonkeyPatch) -> None:
    """A quarter of them at most."""
    for files, most in ((1_000_000, 200), (800, 200), (100, 25), (2, 1), (server.UNLIMITED, 200)):
        monkeypatch.setattr("resource.getrlimit", lambda _, files=files: (files, files))
        assert server.most_connections(200) == most


@pytest.mark.parametrize("how", [RuntimeError("M.V1.hidden"), SystemExit(1), None], ids=["bug", "exit", "return"])
def test_a_listener_that_ends_by_itself_is_begun_anew(
    served: Served, monkeypatch: pytest.MonkeyPatch, how: BaseException | None
) -> None:
    """It is told, and answers again at the same place; who was connected is hung up on, who comes then waits."""
    monkeypatch.setattr("provisioner.api.listener._FIRST_PAUSE", 0.05)
    listener = Listener(open_tcp("127.0.0.1", 0), lambda: create_app(served.view, via=HTTP))
    listener.start()
    ended = listener._server
    assert ended is not None

    async def end(_: int) -> bool:
        if how is not None:
            raise how
        return True

    with (
        structlog.testing.capture_logs() as logged,
        Wire(f"http://{listener.where}") as kept,
        httpx.Client(base_url=f"http://{listener.where}", timeout=20) as late,
    ):
        assert kept.ask("GET", "/healthz").status == 200
        monkeypatch.setattr(ended, "on_tick", end)
        wait_until(lambda: listener._server not in {ended, None})
        assert late.get("/healthz").status_code == 200
        assert kept.is_over()
        assert listener.is_serving()
        listener.close()
    (told,) = [entry for entry in logged if entry["event"] == "api_ended"]
    assert (told["where"], told["log_level"], told["begins_anew_in"]) == (listener.where, "error", 0.05)
    assert [entry["event"] for entry in logged] == ["api_ended", "api_listening"]
    assert "hidden" not in str(logged)


def test_a_listener_whose_loop_hangs_or_has_ended_serves_no_more(
    served: Served, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The health of the process tells."""
    listener = served.listeners[0]
    assert listener.is_serving()
    monkeypatch.setattr("provisioner.api.listener._DEAF_AFTER", 0.0)
    assert not listener.is_serving()
    monkeypatch.undo()
    assert listener.is_serving()


def wait_until(happened: Callable[[], bool]) -> None:
    """Look until something has happened; fails when it does not in time."""
    clock = SystemClock()
    deadline = clock.monotonic() + 30
    while not happened():
        assert clock.monotonic() < deadline
        clock.sleep(timedelta(milliseconds=20))


def test_socket_is_ours_alone(served: Served) -> None:
    """Its mode is 0600, and a second one is not made in its place while it lives."""
    assert served.socket.stat().st_mode & 0o777 == 0o600
    with pytest.raises(ConfigurationError, match="a living process listens"):
        open_unix(served.socket)
    assert served.unix.get("/healthz").status_code == 200


def test_socket_of_a_dead_process_is_replaced_and_that_of_a_follower_left(tmp_path: Path) -> None:
    """Nothing else is left in the folder; what is no socket is not touched; who was replaced removes nothing."""
    path = tmp_path / "admin.sock"
    dead = open_unix(path)
    dead.listening.close()
    alive = open_unix(path)
    assert [each.name for each in tmp_path.iterdir()] == ["admin.sock"]
    dead.remove()
    assert path.exists()
    alive.remove()
    alive.listening.close()
    assert not path.exists()
    path.write_text("a file")
    with pytest.raises(ConfigurationError, match="is no socket"):
        open_unix(path)
    assert path.read_text() == "a file"


@pytest.mark.parametrize("place", ["missing/admin.sock", "x" * 120], ids=["no folder", "too long"])
def test_socket_that_cannot_be_made_says_why(tmp_path: Path, place: str) -> None:
    """And leaves nothing behind."""
    with pytest.raises(SocketUnavailableError, match="cannot be made"):
        open_unix(tmp_path / place)
    assert list(tmp_path.iterdir()) == []


def test_port_that_somebody_has_is_refused() -> None:
    """Naming the setting."""
    first = open_tcp("127.0.0.1", 0)
    with closing(first.listening), pytest.raises(ConfigurationError, match=r"server\.listen"):
        open_tcp("127.0.0.1", int(first.where.rpartition(":")[2]))
