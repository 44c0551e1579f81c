"""Serves the simulated cluster's HTTP APIs for a rehearsal.

``python -m provisioner.simulators.serve --simulator-state DIR [--port N] [--operator KIND FILE]…`` until Ctrl-C.
"""

import argparse
import os
import signal
from pathlib import Path
from threading import Event

from provisioner.simulators.cluster import Cluster
from provisioner.simulators.management_api import ManagementApi

_KINDS = ("management", "admin")


def main(arguments: list[str] | None = None) -> None:
    """Serve until Ctrl-C or SIGTERM."""
    parser = argparse.ArgumentParser(prog="python -m provisioner.simulators.serve", allow_abbrev=False)
    parser.add_argument("--simulator-state", required=True, type=Path, metavar="DIR")
    parser.add_argument("--port", type=int, help="a free one, when it is not given")
    parser.add_argument("--operator", nargs=2, action="append", default=[], metavar=("KIND", "FILE"))
    options = parser.parse_args(arguments)
    cluster = Cluster(options.simulator_state)
    for kind, path in options.operator:
        if kind not in _KINDS:
            parser.error(f"argument --operator: {kind!r} is none of {', '.join(_KINDS)}")
        write_operator(cluster, kind, Path(path))
    leave = Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, lambda *_: leave.set())
    with ManagementApi(cluster, port=options.port) as api:
        print(f"management API {api.url}\nInfluxDB 3 {api.influxdb3}\ndata plane {api.query_url}", flush=True)
        leave.wait()


def write_operator(cluster: Cluster, kind: str, path: Path) -> None:
    """Write the string of a token made by hand where its owner alone can read it; a file that is there is replaced."""
    path.unlink(missing_ok=True)
    with os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w") as file:
        file.write(cluster.operator("admin" if kind == "admin" else "management"))


if __name__ == "__main__":
    main()
