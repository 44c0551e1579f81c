"""The look-alike kills whoever called it, or itself, around an effect."""

import signal
import subprocess
import sys
from pathlib import Path
from typing import Final

import pytest

from provisioner.runtime.clock import SystemClock
from provisioner.simulators.cluster import Cluster
from tests.site import INFLUXCTL

_CALLER: Final = "import subprocess, sys; sys.exit(subprocess.run(sys.argv[1:]).returncode % 256)"
"""A program that runs another one, and ends with its status: 247 when that died of SIGKILL."""
_KILLED: Final = -signal.SIGKILL % 256


@pytest.fixture
def cluster(tmp_path: Path) -> Cluster:
    """Give a cluster with one token."""
    cluster = Cluster(tmp_path / "cluster")
    cluster.create("first", None)
    return cluster


def call(folder: Path, *arguments: str) -> "subprocess.CompletedProcess[bytes]":
    """Let a program call influxctl."""
    influxctl = (*INFLUXCTL, "--simulator-state", str(folder / "cluster"))
    return subprocess.run(
        [sys.executable, "-c", _CALLER, *influxctl, "management", *arguments],
        capture_output=True,
        timeout=30,
        check=False,
    )


@pytest.mark.parametrize("operation", ["create", "revoke"])
@pytest.mark.parametrize(
    ("knob", "status", "has_effect"),
    [
        ("kill_caller_before", -signal.SIGKILL, False),
        ("kill_caller_after", -signal.SIGKILL, True),
        ("die_after", _KILLED, True),
    ],
)
def test_kills_once(
    operation: str, knob: str, status: int, cluster: Cluster, tmp_path: Path, *, has_effect: bool
) -> None:
    """The right process dies at the right side of the effect, nothing is printed, and the next call is well."""
    (first,) = cluster.tokens()
    cluster.set(**{f"{knob}_{operation}": 1})
    arguments = ("create", "--description", "x") if operation == "create" else ("revoke", "--force", first.token_id)
    done = call(tmp_path, *arguments)
    assert (done.returncode, done.stdout) == (status, b"")
    tokens, now = cluster.tokens(), SystemClock().now()
    happened = len(tokens) == 2 if operation == "create" else not tokens[0].is_live(now)
    assert happened is has_effect
    assert call(tmp_path, *arguments).returncode == 0
