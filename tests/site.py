"""What an operator has on one machine: a real OpenBao, a simulated cluster, a configuration, and the command."""

import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import timedelta
from pathlib import Path
from typing import Any, Final
from uuid import uuid4

import hvac
import yaml

from provisioner.runtime.clock import SystemClock
from provisioner.simulators.cluster import Cluster
from provisioner.simulators.cluster_token import ClusterToken
from provisioner.simulators.openbao import OpenBao
from tests.zygote import Zygotes

COMMAND = Path(sys.executable).parent / "provisioner"
INFLUXCTL: Final = (
    sys.executable,
    "-I",  # the environment has no say,
    "-S",  # and it needs nothing that is installed: to look for that is a third of its start
    "-c",
    (
        f"import sys; sys.path.insert(0, {str(Path(__file__).parents[1])!r}); "
        "from provisioner.simulators.influxctl import main; main()"
    ),
)
ZYGOTES: Final = Zygotes()
"""What runs the commands that come to an end; daemons are started as everybody starts them."""
SHORT_LIVES = {
    "ttl": "12s",
    "rotate_at": 0.5,
    "overlap": "2s",
    "verify_timeout": "3s",
    "rotation_timeout": "3s",
    "orphan_quiet_period": "4s",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Ran:
    """What came of one command."""

    status: int
    output: str = field(repr=False)
    errors: str

    @property
    def json(self) -> Any:
        """The output as JSON."""
        return json.loads(self.output)


@dataclass(slots=True)
class Site:
    """One configuration and what it speaks of; paths in the store are of this site alone."""

    folder: Path
    bao: OpenBao
    cluster: Cluster
    prefix: str
    content: dict[str, Any]
    written: list[Path] = field(default_factory=list)

    @property
    def config(self) -> Path:
        """The configuration file, as it is now."""
        path = self.folder / "provisioner.yaml"
        path.write_text(yaml.safe_dump(self.content))
        return path

    def run(self, *arguments: str, timeout: float = 60, **environment: str) -> Ran:
        """Run the command to its end; what it wrote is kept for a leak search."""
        kept = self.folder / f"run-{len(self.written)}.txt"
        self.written.append(kept)
        output = kept.with_suffix(".out")
        status = ZYGOTES.run(
            *arguments,
            output=output,
            environment={"PATH": os.defpath, "PROVISIONER_CONFIG": str(self.config), **environment},
            timeout=timeout,
        )
        said, complained = output.read_text(), output.with_suffix(".err").read_text()
        kept.write_text(f"{said}\n{complained}")
        return Ran(status=status, output=said, errors=complained)

    @contextmanager
    def daemon(self, **environment: str) -> Iterator["subprocess.Popen[bytes]"]:
        """Run the daemon; it is killed at the end if it has not ended by then."""
        kept = self.folder / f"run-{len(self.written)}.txt"
        self.written.append(kept)
        with kept.open("wb") as log:
            process = subprocess.Popen(
                [str(COMMAND), "run"],
                env={"PATH": os.defpath, "PROVISIONER_CONFIG": str(self.config), **environment},
                stdout=log,
                stderr=log,
                cwd=self.folder,
            )
            try:
                yield process
            finally:
                if process.poll() is None:
                    process.send_signal(signal.SIGKILL)
                process.wait()

    def log(self) -> str:
        """Everything that the commands wrote."""
        return "\n".join(path.read_text() for path in self.written)

    def path(self, name: str) -> str:
        """Where the configuration stores a token."""
        return f"{self.prefix}/{name}"

    def stored(self, name: str) -> dict[str, Any]:
        """What a consumer reads."""
        client = self.vault()
        try:
            data: dict[str, Any] = client.secrets.kv.v2.read_secret_version(
                path=self.path(name), mount_point="secret", raise_on_deleted_version=True
            )["data"]["data"]
        finally:
            client.session.close()
        return data

    def put(self, name: str, document: dict[str, Any]) -> None:
        """Write as a person would."""
        client = self.vault()
        client.secrets.kv.v2.create_or_update_secret(path=self.path(name), secret=document, mount_point="secret")
        client.session.close()

    def delete(self, name: str, *, metadata: bool = False) -> None:
        """Delete the newest version as a person would, or the secret with all that the store knows of it."""
        client = self.vault()
        kv = client.secrets.kv.v2
        delete = kv.delete_metadata_and_all_versions if metadata else kv.delete_latest_version_of_secret
        delete(path=self.path(name), mount_point="secret")
        client.session.close()

    def events(self, name: str) -> list[dict[str, Any]]:
        """What the log says of a name, line by line."""
        lines = [line for line in self.log().splitlines() if line.startswith("{") and '"timestamp"' in line]
        return [entry for entry in map(json.loads, lines) if entry.get("name") == name]

    def vault(self) -> hvac.Client:
        """An operator's client; to be closed."""
        return hvac.Client(url=self.bao.address, token=self.bao.root_token.reveal())

    def live(self, name: str) -> list[ClusterToken]:
        """The live tokens of a name, by the cluster's own word."""
        mark, now = f"[provisioner/{self.content['instance']}/{name} ", SystemClock().now()
        return [token for token in self.cluster.tokens() if mark in token.description and token.is_live(now)]

    def wait_for(self, what: str, happened: Any, seconds: float = 90) -> None:
        """Look until something has happened; fails when it does not in time."""
        clock = SystemClock()
        deadline = clock.monotonic() + seconds
        while not happened():
            assert clock.monotonic() < deadline, f"{what} did not happen in {seconds} s:\n{self.log()[-3000:]}"
            clock.sleep(timedelta(milliseconds=50))


def a_site(folder: Path, bao: OpenBao, *names: str, defaults: dict[str, Any] | None = None) -> Site:
    """Build a site with those tokens, stored in Vault."""
    (folder / "vault-token").write_text(bao.root_token.reveal())
    auth = {"method": "token", "token": {"file": str(folder / "vault-token")}}
    store = {"type": "vault", "address": bao.address, "auth": auth}
    return a_site_on(folder, store, *names, bao=bao, defaults=defaults)


def name_of(store: dict[str, Any]) -> str:
    """Give the name of a store in a configuration: its kind, up to the first hyphen."""
    return str(store["type"]).partition("-")[0]


def a_site_on(
    folder: Path,
    store: dict[str, Any],
    *names: str,
    bao: OpenBao | None = None,
    defaults: dict[str, Any] | None = None,
) -> Site:
    """Build a site with those tokens, stored in a store of any kind."""
    prefix = f"site/{uuid4()}"
    influxctl = [*INFLUXCTL, "--simulator-state", str(folder / "cluster")]
    content: dict[str, Any] = {
        "instance": "e2e",
        "issuers": {"cluster": {"type": "influxctl", "command": influxctl, "timeout": "20s"}},
        "stores": {name_of(store): store},
        "defaults": dict(defaults or {}),
        "tokens": [
            {"name": name, "issuer": "cluster", "destinations": [{"store": name_of(store), "path": f"{prefix}/{name}"}]}
            for name in names or ("telegraf",)
        ],
        "server": {"listen": "127.0.0.1:0", "admin_socket": str(folder / "admin.sock")},
        "reconcile": {"interval": "5s"},
        "log": {"level": "debug"},
    }
    return Site(folder, bao or OpenBao(), Cluster(folder / "cluster"), prefix, content)
