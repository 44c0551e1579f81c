"""A configuration that names no token yet: everything works, does nothing, and says so."""

import json
import signal
from pathlib import Path
from typing import Any

import httpx
import pytest

from provisioner.app import NO_TOKENS
from provisioner.simulators.openbao import OpenBao
from tests.site import Site, a_site


@pytest.fixture
def site(tmp_path: Path, openbao: OpenBao) -> Site:
    """Give a site with issuer and store, and no token."""
    site = a_site(tmp_path, openbao)
    site.content["tokens"] = []
    return site


@pytest.mark.parametrize("command", ["once", "plan", "status", "check"])
def test_commands_say_so_to_people_and_give_scripts_an_empty_list(site: Site, command: str) -> None:
    """Exit 0 either way; only what people read has the sentence."""
    told, listed = site.run(command), site.run(command, "--output", "json")

    assert (told.status, listed.status) == (0, 0), told.errors + listed.errors
    assert NO_TOKENS in " ".join(told.output.split())
    assert NO_TOKENS not in listed.output
    lists = [value for value in listed.json.values() if isinstance(value, list)]
    assert [[each for each in found if each.get("kind") not in {"issuer", "store"}] for found in lists] == [[]]


def test_without_the_key_it_is_the_same(site: Site) -> None:
    """A list that is left out is an empty one; who logs warns of it."""
    del site.content["tokens"]

    ran = site.run("once", "--output", "json")

    assert (ran.status, ran.json["tokens"]) == (0, [])
    assert [entry["level"] for entry in logged(ran.errors, "no_tokens")] == ["warning"]


def test_rotating_all_of_none_is_refused_with_what_to_do(site: Site) -> None:
    """Who asks for a rotation believes that there is a token: exit 2, and the key to set."""
    ran = site.run("rotate", "--all", "--direct")

    assert ran.status == 2
    assert NO_TOKENS in ran.errors


def test_the_daemon_is_ready_and_takes_its_first_token_by_a_reload(site: Site) -> None:
    """It answers, warns once for each reading of the configuration, and rotates as soon as there is something."""
    tokens = [
        {"name": "telegraf", "issuer": "cluster", "destinations": [{"store": "vault", "path": site.path("telegraf")}]}
    ]
    with site.daemon() as process:
        site.wait_for("the start", lambda: logged(site.log(), "daemon_started"))
        where = logged(site.log(), "api_listening")[0]["where"]
        with httpx.Client(base_url=f"http://{where}", timeout=20) as client:
            site.wait_for("readiness", lambda: client.get("/readyz").status_code == 200)
            assert client.get("/healthz").status_code == 200
            assert client.get("/v1/tokens").json()["tokens"] == []
            assert "No token is configured." in client.get("/").text
            assert len(logged(site.log(), "no_tokens")) == 1
            site.content["tokens"] = tokens
            _ = site.config
            process.send_signal(signal.SIGHUP)
            site.wait_for("the first token", lambda: '"token_stored"' in site.log())
            assert "No token is configured." not in client.get("/").text
        assert len(logged(site.log(), "no_tokens")) == 1
        process.send_signal(signal.SIGTERM)
        assert process.wait(30) == 0
    assert len(site.live("telegraf")) == 1


def logged(text: str, event: str) -> list[dict[str, Any]]:
    """Give what was logged of a kind."""
    lines = [json.loads(line) for line in text.splitlines() if line.startswith('{"') and line.endswith('"}')]
    return [line for line in lines if line.get("event") == event]
