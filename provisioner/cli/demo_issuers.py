"""The kinds of issuers that the demo can show: what each is configured like, and what its tokens are."""

import os
import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Final, Literal

if TYPE_CHECKING:  # --help needs the kinds alone
    from provisioner.simulators.cluster import Cluster
    from provisioner.simulators.management_api import ManagementApi

NAMES: Final = ("telegraf-admin", "grafana-reader", "backup-agent")
_DATABASE: Final = "metrics"
_PERMISSIONS: Final[Mapping[str, list[dict[str, str]]]] = {
    "telegraf-admin": [{"action": action, "resource": _DATABASE} for action in ("read", "write")],
    "grafana-reader": [{"action": "read", "resource": _DATABASE}],
    "backup-agent": [{"action": "read", "resource": "*"}],
}


class IssuerKind(StrEnum):
    """A built-in kind of issuer, by its ``type`` in a configuration."""

    INFLUXCTL = "influxctl"
    INFLUXDB3 = "influxdb3"
    MANAGEMENT_API = "influxdb-management-api"


@dataclass(frozen=True, slots=True, kw_only=True)
class Exhibit:
    """One kind of issuer, as the demo shows it."""

    summary: str
    """What it makes and how, for ``--help``."""
    cluster: str
    """What is simulated, for the screen."""
    tokens_live: str
    """Its tokens, and that they live, for the screen."""
    issuer: "Callable[[Path, Cluster, ManagementApi], dict[str, object]]"
    """Makes its own credential, kept in a folder, and gives what stands below ``issuers.NAME``, ``type`` apart."""
    permissions: Mapping[str, list[dict[str, str]]]
    """What each token may do, by name; empty where tokens may do everything."""

    def token(self, name: str) -> dict[str, object]:
        """Give what stands in a token of that name for this kind alone."""
        return {"permissions": self.permissions[name]} if self.permissions else {}


def write_private(path: Path, text: str) -> Path:
    """Write a file that its owner alone can read."""
    with os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w") as file:
        file.write(text)
    return path


def _influxctl(home: Path, cluster: "Cluster", api: "ManagementApi") -> dict[str, object]:
    """Call influxctl with a profile of its own; a call without a credential is refused."""
    cluster.set(guarded=True)
    command = [sys.executable, "-m", "provisioner.simulators.influxctl", "--simulator-state", str(home / "cluster")]
    profile = f'[[profile]]\nname = "default"\nmgmt_token = "{cluster.operator("management")}"\n'
    return {
        "command": command,
        "config": str(write_private(home / "influxctl.toml", profile)),
        "management_api": api.url,
    }


def _influxdb3(home: Path, cluster: "Cluster", api: "ManagementApi") -> dict[str, object]:
    return {"url": api.influxdb3, "auth": _operator(home, cluster, "admin")}


def _management_api(home: Path, cluster: "Cluster", api: "ManagementApi") -> dict[str, object]:
    return {
        "url": api.url,
        "auth": _operator(home, cluster, "management"),
        "query_url": api.query_url,
        "query_database": _DATABASE,
    }


def _operator(home: Path, cluster: "Cluster", kind: Literal["management", "admin"]) -> dict[str, str]:
    """Make a token by hand, and give the reference to the file where it stands."""
    return {"file": str(write_private(home / "operator-token", cluster.operator(kind)))}


EXHIBITS: Final[Mapping[IssuerKind, Exhibit]] = {
    IssuerKind.INFLUXCTL: Exhibit(
        summary="management tokens of Clustered and Cloud Dedicated, through influxctl",
        cluster="InfluxDB cluster",
        tokens_live="each token lives",
        issuer=_influxctl,
        permissions={},
    ),
    IssuerKind.INFLUXDB3: Exhibit(
        summary="named admin tokens of InfluxDB 3 Core and Enterprise, over HTTP",
        cluster="InfluxDB 3 Core",
        tokens_live="named admin tokens live",
        issuer=_influxdb3,
        permissions={},
    ),
    IssuerKind.MANAGEMENT_API: Exhibit(
        summary="database tokens of Clustered and Cloud Dedicated, over the management HTTP API",
        cluster="InfluxDB cluster with its management API",
        tokens_live="database tokens live",
        issuer=_management_api,
        permissions=_PERMISSIONS,
    ),
}
