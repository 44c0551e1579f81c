"""The program that serves the simulated cluster's HTTP APIs for a rehearsal."""

import re
import signal
import subprocess
import sys
from pathlib import Path

import httpx

from provisioner.simulators.cluster import Cluster

PATIENCE = 30


def test_serves_with_a_first_credential(tmp_path: Path) -> None:
    """It says where it is, writes each credential for its owner alone, and ends well at SIGTERM."""
    admin, management = tmp_path / "admin", tmp_path / "management"
    admin.write_text("from before, for all to read")
    command = [sys.executable, "-m", "provisioner.simulators.serve", "--simulator-state", str(tmp_path / "cluster")]
    for kind, path in (("admin", admin), ("management", management)):
        command += ["--operator", kind, str(path)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as server:
        try:
            assert server.stdout is not None
            said = "".join(server.stdout.readline() for _ in range(3))
            (url,) = re.findall(r"^management API (http://127\.0\.0\.1:\d+/api/v0)$", said, re.MULTILINE)
            credential = {"authorization": f"Bearer {management.read_text()}"}
            assert httpx.get(f"{url}/tokens", headers=credential, timeout=PATIENCE).json() == []
            server.send_signal(signal.SIGTERM)
            assert server.wait(PATIENCE) == 0
        finally:
            server.kill()
    assert [oct(path.stat().st_mode)[-3:] for path in (admin, management)] == ["600", "600"]
    assert Cluster(tmp_path / "cluster").authenticate(admin.read_text())


def test_unknown_kind_is_refused(tmp_path: Path) -> None:
    """A database token is nothing that a person makes first."""
    command = [sys.executable, "-m", "provisioner.simulators.serve", "--simulator-state", str(tmp_path / "cluster")]
    done = subprocess.run(
        [*command, "--operator", "database", str(tmp_path / "x")],
        capture_output=True,
        text=True,
        timeout=PATIENCE,
        check=False,
    )
    assert (done.returncode, "'database' is none of management, admin" in done.stderr) == (2, True)
