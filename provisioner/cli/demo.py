"""The demo: a real OpenBao, a simulated InfluxDB cluster and the real daemon, all on this machine."""

import signal
import sys
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from tempfile import TemporaryDirectory
from threading import Event
from typing import Final

import yaml
from rich.console import Console
from rich.live import Live

from provisioner.cli.board import Board
from provisioner.daemon import Daemon
from provisioner.runtime.clock import SystemClock
from provisioner.simulators.cluster import Cluster
from provisioner.simulators.management_api import ManagementApi
from provisioner.simulators.openbao import OpenBao

ACTIVATION_LAG: Final = timedelta(milliseconds=600)
TOKENS: Final = (("telegraf-admin", 24), ("grafana-reader", 30), ("backup-agent", 38))
"""Names, and lives in seconds."""
_FRAMES_PER_SECOND: Final = 8


@dataclass(frozen=True, slots=True, kw_only=True)
class Stage:
    """What the demo runs on."""

    config: Path
    bao: OpenBao


def run_demo(rotations: int | None) -> None:
    """Rotate until Ctrl-C, or until that many rotations have been made; everything started is stopped."""
    console, clock, leave = Console(highlight=False), SystemClock(), Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, lambda *_: leave.set())
    with _stage(console) as stage:
        board = Board([name for name, _ in TOKENS], clock)
        daemon = Daemon(stage.config, watch=board)
        daemon.start()
        try:
            _show(console, board, leave, rotations)
        finally:
            daemon.stop()
    console.print(f"[bold green]done:[/] {board.rotations} rotations, {board.requests} requests; everything is stopped")


def _show(console: Console, board: Board, leave: Event, rotations: int | None) -> None:
    """Draw the board until it is time to go; without a terminal, print what each step did, line by line."""
    pause = 1 / _FRAMES_PER_SECOND
    told = 0
    with ExitStack() as stack:
        live = None
        if console.is_terminal:
            live = stack.enter_context(Live(board.screen(), console=console, refresh_per_second=_FRAMES_PER_SECOND))
        while not leave.wait(pause) and (rotations is None or board.rotations < rotations):
            if live is not None:
                live.update(board.screen())
                continue
            told = _print_new(console, board, told)
        if live is not None:
            live.update(board.screen(), refresh=True)
        else:
            _print_new(console, board, told)


def _print_new(console: Console, board: Board, told: int) -> int:
    told, lines = board.new_lines(told)
    for line in lines:
        console.print(line, soft_wrap=True)
    return told


@contextmanager
def _stage(console: Console) -> Iterator[Stage]:
    """Start OpenBao and the cluster, and write the configuration that an operator would write."""
    with ExitStack() as stack:
        home = Path(stack.enter_context(TemporaryDirectory(prefix="provisioner-demo-")))
        console.print("starting [bold]OpenBao[/] and a simulated [bold]InfluxDB cluster[/] …")
        bao = stack.enter_context(OpenBao())
        cluster = Cluster(home / "cluster")
        cluster.set(activation_lag=ACTIVATION_LAG.total_seconds())
        api = stack.enter_context(ManagementApi(cluster))
        (home / "vault-token").touch(mode=0o600)
        (home / "vault-token").write_text(bao.root_token.reveal())
        config = home / "provisioner.yaml"
        config.write_text(yaml.safe_dump(_configuration(home, bao, api.url), sort_keys=False))
        console.print(f"a real secret store at {bao.address}, configuration {config}")
        console.print("each token lives for seconds: created, proven, stored, replaced, revoked\n")
        yield Stage(config=config, bao=bao)


def _configuration(home: Path, bao: OpenBao, management_api: str) -> dict[str, object]:
    influxctl = [sys.executable, "-m", "provisioner.simulators.influxctl", "--simulator-state", str(home / "cluster")]
    tokens = [
        {
            "name": name,
            "issuer": "cluster",
            "ttl": f"{life}s",
            "description": f"demo token {name}",
            "destinations": [{"store": "openbao", "path": f"influx/{name}"}],
        }
        for name, life in TOKENS
    ]
    return {
        "instance": "demo",
        "issuers": {"cluster": {"type": "influxctl", "command": influxctl, "management_api": management_api}},
        "stores": {
            "openbao": {
                "type": "vault",
                "address": bao.address,
                "mount": bao.mount,
                "auth": {"method": "token", "token": {"file": str(home / "vault-token")}},
            }
        },
        "defaults": {
            "rotate_at": 0.5,
            "overlap": "4s",
            "verify_timeout": "5s",
            "rotation_timeout": "6s",
            "orphan_quiet_period": "10s",
        },
        "tokens": tokens,
        "server": {"listen": "127.0.0.1:0", "admin_socket": str(home / "admin.sock")},
        "reconcile": {"interval": "15s"},
        "log": {"format": "json", "level": "error"},
    }
