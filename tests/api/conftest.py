"""A fake daemon behind both real listeners."""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import httpx
import pytest

from provisioner.api.application import create_app
from provisioner.api.listener import Listener
from provisioner.api.sockets import open_tcp, open_unix
from provisioner.api.view import HTTP, SOCKET
from provisioner.settings.references import SecretReference
from tests.fakes.view import FakeView

API_TOKEN = "sesame-open-7d1f"


@dataclass(slots=True)
class Served:
    """Clients of both listeners, and what is behind them."""

    view: FakeView
    listeners: tuple[Listener, Listener]
    url: str
    tcp: httpx.Client
    unix: httpx.Client
    socket: Path

    def token_from(self, file: Path) -> None:
        """Read the token from a file from now on, as the daemon does."""
        self.view.token_source = SecretReference(file=file).source()

    def with_token(self, token: str = API_TOKEN) -> dict[str, str]:
        """Give the header of somebody who has the token."""
        self.view.token = API_TOKEN
        return {"Authorization": f"Bearer {token}"}


@pytest.fixture(scope="session")
def listening(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    """Serve once for all."""
    path = tmp_path_factory.mktemp("api") / "admin.sock"
    view = FakeView()
    opened = open_tcp("127.0.0.1", 0)
    listeners = (
        Listener(opened, lambda: create_app(view, via=HTTP)),
        Listener(open_unix(path), lambda: create_app(view, via=SOCKET)),
    )
    for listener in listeners:
        listener.start()
    url = f"http://{opened.where}"
    transport = httpx.HTTPTransport(uds=str(path))
    with httpx.Client(base_url=url, timeout=20) as tcp, httpx.Client(base_url="http://d", transport=transport) as unix:
        yield Served(view, listeners, url, tcp, unix, path)
    for listener in listeners:
        listener.close()
    view.desk.close()
    assert not path.exists()


@pytest.fixture
def served(listening: Served) -> Served:
    """Give it as it was at first."""
    view = listening.view
    view.token, view.token_source, view.trips = None, None, None
    view.is_leaving, view.well = False, True
    view.wishes.clear()
    return listening
