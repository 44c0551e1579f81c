"""The way of the command line to a daemon behind TLS, with a CA of one's own."""

import ssl
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread
from typing import Any

import httpx
import pytest

from provisioner.cli.reach import over_http
from provisioner.domain.errors import ConfigurationError, DaemonUnreachableError
from tests.api.conftest import API_TOKEN, Served
from tests.certificates import Certificate, a_certificate


@pytest.fixture(scope="module")
def certificate(tmp_path_factory: pytest.TempPathFactory) -> Certificate:
    """Give one of a CA that nobody knows."""
    return a_certificate(tmp_path_factory.mktemp("tls"))


@contextmanager
def behind_tls(url: str, certificate: Certificate) -> Iterator[str]:
    """Put TLS before a daemon, as an operator does, and give where."""

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def pass_on(self) -> None:
            body = self.rfile.read(int(self.headers.get("content-length", 0)))
            kept = {name: self.headers[name] for name in ("authorization", "content-type") if name in self.headers}
            answer = httpx.request(self.command, f"{url}{self.path}", content=body, headers=kept)
            self.send_response(answer.status_code)
            self.send_header("content-type", answer.headers["content-type"])
            self.send_header("content-length", str(len(answer.content)))
            self.end_headers()
            self.wfile.write(answer.content)

        do_GET = do_POST = pass_on  # noqa: N815  # the names that its base looks for

        def log_message(self, *_: Any) -> None:
            """Say nothing."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate.certificate, certificate.key)
    server.socket = context.wrap_socket(server.socket, server_side=True)
    server.handle_error = lambda *_: None  # type: ignore[method-assign]  # a client that does not trust us breaks off
    thread = Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        yield f"https://127.0.0.1:{server.server_address[1]}"
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


def test_a_daemon_behind_tls_is_asked_with_its_ca(served: Served, certificate: Certificate, tmp_path: Path) -> None:
    """Rotations are asked for with the token, and the tokens are told."""
    served.view.token = API_TOKEN
    (tmp_path / "token").write_text(f"{API_TOKEN}\n")
    with behind_tls(served.url, certificate) as url:
        with over_http(url, tmp_path / "token", certificate.ca) as reach:
            (asked,) = reach.ask({"names": ["telegraf"], "request_id": "by-tls", "reason": "change 1"})
            assert [each["id"] for each in reach.rotations("by-tls")] == [asked["id"]]
            instance, tokens = reach.standings()
            assert (instance, [each["name"] for each in tokens]) == ("prod", ["telegraf", "grafana"])
        with (
            over_http(url, tmp_path / "token") as reach,
            pytest.raises(DaemonUnreachableError, match=r"not trusted .*--ca-cert FILE"),
        ):
            reach.standings()
    assert [names for names, _ in served.view.wishes] == [("telegraf",)]


def test_a_ca_that_cannot_be_used_is_said(tmp_path: Path) -> None:
    """With the option, and what is wrong."""
    (tmp_path / "no.pem").write_text("no certificate")
    for path, why in ((tmp_path / "missing.pem", "No such file"), (tmp_path / "no.pem", "no certificate in PEM")):
        with pytest.raises(ConfigurationError, match=rf"--ca-cert .* {why}"):
            over_http("https://localhost", None, path)
    with pytest.raises(ConfigurationError, match="begins with https"):
        over_http("http://localhost", None, tmp_path / "no.pem")
