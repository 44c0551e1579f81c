"""The image, built once for all who run it."""

import hashlib
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler
from typing import Final

import pytest

from tests.answering import answering
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

    with answering(Handler) as url:
        yield f"{url}/influxctl"
