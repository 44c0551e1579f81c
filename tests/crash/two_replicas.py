"""Two daemons of which one leads, on a simulated Kubernetes: who leads, by their logs, and what they wrote."""

import json
import os
import signal
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from provisioner.simulators.kubernetes import Key
from provisioner.simulators.kubernetes_server import NAMESPACE, KubernetesServer
from tests.site import COMMAND, Site

LEASE = "provisioner"


@dataclass(slots=True)
class Replica:
    """One of them."""

    process: "subprocess.Popen[bytes]"
    log: Path
    token: str
    """Its bearer token at the API server."""

    def entries(self) -> list[dict[str, Any]]:
        """What it logged."""
        lines = self.log.read_text().splitlines()
        return [json.loads(line) for line in lines if line.startswith("{") and line.endswith("}")]

    def said(self, event: str) -> list[dict[str, Any]]:
        """Its log entries of an event."""
        return [entry for entry in self.entries() if entry["event"] == event]

    def identity(self) -> str | None:
        """By which it leads, once it has."""
        gained = self.said("leadership_gained")
        return str(gained[0]["identity"]) if gained else None

    def stop(self, how: signal.Signals) -> None:
        """Send it a signal."""
        self.process.send_signal(how)


@contextmanager
def a_replica(site: Site, server: KubernetesServer) -> Iterator[Replica]:
    """Run one more daemon, with an account of its own; it is killed at the end if it has not ended by then."""
    number = len(site.written)
    token = server.add_account(f"replica-{number}")
    kubeconfig = server.kubeconfig(site.folder.parent / f"kubeconfig-{number}", token=token)
    log = site.folder / f"run-{number}.txt"
    site.written.append(log)
    with log.open("wb") as out:
        process = subprocess.Popen(
            [str(COMMAND), "run"],
            env={
                "PATH": os.defpath,
                "PROVISIONER_CONFIG": str(site.config),
                "PROVISIONER__SERVER__ADMIN_SOCKET": str(site.folder / f"{number}.sock"),
                "KUBECONFIG": str(kubeconfig),
            },
            stdout=out,
            stderr=out,
            cwd=site.folder,
        )
        try:
            yield Replica(process, log, token)
        finally:
            if process.poll() is None:
                process.send_signal(signal.SIGKILL)
            process.wait()


def is_between_passes(replica: Replica) -> bool:
    """Tell whether nothing is under way there, as far as its log says."""
    told = [entry["event"] for entry in replica.entries() if not entry["event"].startswith(("lease", "leader"))]
    return told[-1:] == ["pass_finished"]


def holder(server: KubernetesServer) -> str | None:
    """Give who leads, by the lease."""
    found = [item for item in server.cluster.list("leases", NAMESPACE)["items"] if item["metadata"]["name"] == LEASE]
    return (found[0]["spec"].get("holderIdentity") or None) if found else None


def lease(server: KubernetesServer) -> dict[str, Any]:
    """Give the lease's content."""
    spec: dict[str, Any] = server.cluster.get(Key("leases", NAMESPACE, LEASE))["spec"]
    return spec
