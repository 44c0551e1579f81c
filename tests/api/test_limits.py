"""Slow, greedy and broken clients cost others nothing; the socket is nobody else's."""

import socket
from contextlib import ExitStack, closing
from pathlib import Path
from urllib.parse import urlsplit

import httpx
import pytest

from provisioner.api import guard, patience
from provisioner.api.sockets import SocketUnavailableError, open_tcp, open_unix
from provisioner.domain.errors import ConfigurationError
from tests.api.conftest import Served


def connected(served: Served) -> socket.socket:
    """Give a connection."""
    parts = urlsplit(served.url)
    return socket.create_connection((parts.hostname, parts.port or 0), timeout=20)


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


def test_a_flood_of_connections_is_cut_off_at_the_limit(served: Served, monkeypatch: pytest.MonkeyPatch) -> None:
    """Those that are there are served on."""
    monkeypatch.setattr(patience, "MOST_CONNECTIONS", 8)
    assert served.tcp.get("/healthz").status_code == 200
    with ExitStack() as stack:
        for _ in range(20):
            stack.enter_context(closing(connected(served)))
        assert served.tcp.get("/healthz").status_code == 200
        with pytest.raises(httpx.TransportError), httpx.Client(base_url=served.url) as late:
            late.get("/healthz")


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
