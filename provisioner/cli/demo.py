"""The demo: a real OpenBao, a simulated InfluxDB cluster and the real daemon, all on this machine."""

import signal
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
from provisioner.cli.demo_issuers import EXHIBITS, NAMES, Exhibit, IssuerKind, write_private
from provisioner.daemon import Daemon
from provisioner.runtime.clock import SystemClock
from provisioner.simulators.cluster import Cluster
from provisioner.simulators.management_api import ManagementApi
from provisioner.simulators.openbao import OpenBao

ACTIVATION_LAG: Final = timedelta(milliseconds=600)
LIVES: Final = dict(zip(NAMES, (24, 30, 38), strict=True))
"""Names, and lives in seconds."""
_FRAMES_PER_SECOND: Final = 8


@dataclass(frozen=True, slots=True, kw_only=True)
class Stage:
    """What the demo runs on."""

    config: Path
    bao: OpenBao


def run_demo(rotations: int | None, kind: IssuerKind) -> None:
    """Rotate until Ctrl-C, or until that many rotations have been made; everything started is stopped."""
    console, clock, leave = Console(highlight=False), SystemClock(), Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, lambda *_: leave.set())
    with _stage(console, kind) as stage:
        board = Board(NAMES, clock)
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
def _stage(console: Console, kind: IssuerKind) -> Iterator[Stage]:
    """Start OpenBao and the cluster, and write the configuration that an operator would write."""
    exhibit = EXHIBITS[kind]
    with ExitStack() as stack:
        home = Path(stack.enter_context(TemporaryDirectory(prefix="provisioner-demo-")))
        console.print(f"starting [bold]OpenBao[/] and a simulated [bold]{exhibit.cluster}[/] …")
        bao = stack.enter_context(OpenBao())
        cluster = Cluster(home / "cluster")
        cluster.set(activation_lag=ACTIVATION_LAG.total_seconds())
        api = stack.enter_context(ManagementApi(cluster))
        issuer = {"type": kind.value, **exhibit.issuer(home, cluster, api)}
        config = home / "provisioner.yaml"
        config.write_text(yaml.safe_dump(_configuration(home, bao, exhibit, issuer), sort_keys=False))
        console.print(f"a real secret store at {bao.address}, configuration {config}")
        console.print(f"{exhibit.tokens_live} for seconds: created, proven, stored, replaced, revoked\n")
        yield Stage(config=config, bao=bao)


def _configuration(home: Path, bao: OpenBao, exhibit: Exhibit, issuer: dict[str, object]) -> dict[str, object]:
    bao_token = write_private(home / "vault-token", bao.root_token.reveal())
    tokens = [
        {
            "name": name,
            "issuer": "cluster",
            "ttl": f"{life}s",
            "description": f"demo token {name}",
            **exhibit.token(name),
            "destinations": [{"store": "openbao", "path": f"influx/{name}"}],
        }
        for name, life in LIVES.items()
    ]
    return {
        "instance": "demo",
        "issuers": {"cluster": issuer},
        "stores": {
            "openbao": {
                "type": "vault",
                "address": bao.address,
                "mount": bao.mount,
                "auth": {"method": "token", "token": {"file": str(bao_token)}},
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
