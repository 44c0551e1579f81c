"""The image, built once for all who run it."""

import hashlib
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Thread
from typing import Any, Final

import pytest

from tests.deploy import box
from tests.deploy.dockerfile import Stage, build

INFLUXCTL: Final = b"""#!/opt/provisioner/bin/python
import sys

from provisioner.simulators.influxctl import main

sys.argv[1:1] = ["--simulator-state", "/cluster"]
main()
"""
"""What the image is given for influxctl: the look-alike, over a cluster that is mounted there."""


@pytest.fixture(scope="session")
def image(tmp_path_factory: pytest.TempPathFactory) -> Stage:
    """Give what the Dockerfile comes to, with influxctl brought in by its build arguments."""
    if not box.can_be_made():
        pytest.skip("this machine lets nobody mount: no container can be imitated")
    with served(INFLUXCTL) as url:
        checksum = hashlib.sha256(INFLUXCTL).hexdigest()
        return build(tmp_path_factory.mktemp("image"), INFLUXCTL_URL=url, INFLUXCTL_SHA256=checksum)


@contextmanager
def served(content: bytes) -> Iterator[str]:
    """Serve one file on this machine, and give its address."""

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(200)
            self.end_headers()
            self.wfile.write(content)

        def log_message(self, format: str, *args: Any) -> None:  # noqa: A002  # the base class's name
            del format, args

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        thread = Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        try:
            yield f"http://127.0.0.1:{server.server_port}/influxctl"
        finally:
            server.shutdown()
            thread.join()
