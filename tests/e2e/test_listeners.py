"""The listeners of a real daemon stay alive: out of files, and after a bug that ends one of them."""

import json
import os
import resource
import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import ExitStack, closing, contextmanager
from pathlib import Path
from typing import Any

import httpx
import psutil
import pytest

from provisioner.simulators.openbao import OpenBao
from tests.site import Site, a_site

HEALTH = "/healthz"


@pytest.fixture
def site(tmp_path: Path, openbao: OpenBao) -> Site:
    """Give a site with one token, which is looked at each second."""
    site = a_site(tmp_path, openbao)
    site.content["reconcile"] = {"interval": "1s"}
    return site


def logged(site: Site, event: str) -> list[dict[str, Any]]:
    """Give the log's entries of an event."""
    lines = [line for line in site.log().splitlines() if line.startswith("{") and line.endswith("}")]
    return [entry for entry in map(json.loads, lines) if entry.get("event") == event]


@contextmanager
def clients(site: Site) -> Iterator[tuple[httpx.Client, httpx.Client]]:
    """Give one of each listener, when both listen."""
    site.wait_for("the token", lambda: bool(logged(site, "token_stored")))
    tcp, unix = (str(entry["where"]) for entry in logged(site, "api_listening")[:2])
    transport = httpx.HTTPTransport(uds=unix)
    with (
        httpx.Client(base_url=f"http://{tcp}", timeout=20) as over_tcp,
        httpx.Client(base_url="http://daemon", transport=transport, timeout=20) as over_socket,
    ):
        yield over_tcp, over_socket


def facts(client: httpx.Client) -> tuple[int, dict[str, bool]]:
    """Give the status of the health, and its facts; 0 where nobody answers."""
    try:
        answer = client.get(HEALTH)
    except httpx.TransportError:
        return 0, {}
    return answer.status_code, answer.json()["facts"]


def test_out_of_files_nobody_spins_and_all_is_well_again_afterwards(site: Site) -> None:
    """It is said once, costs next to no time, and the waiting are answered as soon as there are files again."""
    with site.daemon() as process, clients(site) as (tcp, _), ExitStack() as stack:
        running = psutil.Process(process.pid)
        _, hard = resource.prlimit(process.pid, resource.RLIMIT_NOFILE)
        resource.prlimit(process.pid, resource.RLIMIT_NOFILE, (running.num_fds() + 2, hard))
        host, _, port = tcp.base_url.netloc.decode().rpartition(":")
        for _ in range(20):
            stack.enter_context(closing(socket.create_connection((host, int(port)), timeout=20)))
        site.wait_for("a word of it", lambda: bool(logged(site, "api_out_of_files")))
        spent = sum(running.cpu_times()[:2])
        lines, passes = len(site.log().splitlines()), len(logged(site, "pass_finished"))
        site.wait_for("some passes", lambda: len(logged(site, "pass_finished")) >= passes + 4)
        assert len(site.log().splitlines()) < lines + 100
        assert sum(running.cpu_times()[:2]) - spent < 2
        resource.prlimit(process.pid, resource.RLIMIT_NOFILE, (hard, hard))
        site.wait_for("an answer", lambda: facts(tcp)[0] == 200)
        assert site.run("rotate", "telegraf").status == 0
    (said,) = logged(site, "api_out_of_files")
    assert (said["level"], "ulimit -n" in said["remedy"]) == ("warning", True)
    assert "Traceback" not in site.log()


BROKEN = """
import pathlib, sys, provisioner.api.server as server, provisioner.daemon as daemon
broken, well = pathlib.Path(sys.argv[2]), server.Server.on_tick
async def on_tick(self, counter):
    if broken.exists() and self._where.startswith("127"):
        raise KeyError("M.V1.hidden")
    return await well(self, counter)
server.Server.on_tick = on_tick
daemon.run_daemon(pathlib.Path(sys.argv[1]))
"""


def test_a_listener_that_a_bug_ends_is_told_of_by_the_other_and_begun_anew(site: Site) -> None:
    """Rotation goes on meanwhile; at its end the daemon leaves as always."""
    log, broken = site.folder / "run-0.txt", site.folder / "broken"
    site.written.append(log)
    with (
        log.open("wb") as file,
        subprocess.Popen(
            [sys.executable, "-c", BROKEN, str(site.config), str(broken)],
            env={"PATH": os.defpath},
            stdout=file,
            stderr=file,
        ) as process,
    ):
        try:
            with clients(site) as (tcp, unix):
                assert facts(tcp) == facts(unix) == (200, {"scheduler_beats": True, "listeners_serve": True})
                broken.touch()
                told = (503, {"scheduler_beats": True, "listeners_serve": False})
                site.wait_for("the other's word", lambda: facts(unix) == told)
                assert site.run("rotate", "telegraf").status == 0
                broken.unlink()
                site.wait_for("both", lambda: facts(tcp)[0] == facts(unix)[0] == 200)
            process.terminate()
            assert process.wait(30) == 0
        finally:
            process.kill()
    ended = logged(site, "api_ended")
    assert "KeyError at" in ended[0]["error"]
    assert "hidden" not in site.log()
    assert not (site.folder / "admin.sock").exists()
