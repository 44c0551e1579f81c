"""Rotation by hand, with a real daemon: through its socket, over HTTP with the token, and without it."""

import json
import signal
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx
import pytest

from provisioner.simulators.openbao import OpenBao
from tests.leaks.search import assert_untold, written_in
from tests.site import Site, a_site

API_TOKEN = "sesame-open-7d1f"
NAMES = ("one", "two", "three")


@pytest.fixture
def site(tmp_path: Path, openbao: OpenBao) -> Site:
    """Give a site whose daemon has write verbs over TCP; its token and what it stores are of the test's folder."""
    folder = tmp_path / "site"
    folder.mkdir()
    (tmp_path / "api-token").write_text(API_TOKEN)
    site = a_site(folder, openbao, *NAMES)
    site.content["server"]["api_token"] = {"file": str(tmp_path / "api-token")}
    site.content["tokens"][0]["labels"] = {"team": "metrics"}
    return site


@contextmanager
def running(site: Site) -> Iterator[str]:
    """Run the daemon until all tokens are stored, and give where it listens; it ends well."""
    listening = len(logged(site, "api_listening"))
    with site.daemon() as process:
        site.wait_for("the tokens", lambda: site.log().count('"token_stored"') == len(NAMES))
        site.wait_for("listening", lambda: len(logged(site, "daemon_started")) > listening // 2)
        yield f"http://{logged(site, 'api_listening')[listening]['where']}"
        process.send_signal(signal.SIGTERM)
        assert process.wait(30) == 0
    assert not (site.folder / "admin.sock").exists()
    assert "is a bug" not in site.log()


def logged(site: Site, event: str) -> list[dict[str, Any]]:
    """Give the log's entries of an event."""
    lines = [line for line in site.log().splitlines() if line.startswith("{") and line.endswith("}")]
    return [entry for entry in map(json.loads, lines) if entry.get("event") == event]


def test_three_ways_are_one_rotation(site: Site, tmp_path: Path) -> None:
    """Socket, HTTP and --direct with one request id rotate once; status knows who, when and why."""
    token_file = str(tmp_path / "api-token")
    command = ("rotate", "one", "--request-id", "change-1", "--reason", "change 1", "-o", "json")
    with running(site) as url:
        first = site.run(*command)
        assert first.status == 0
        (rotation,) = first.json["rotations"]
        assert [phase["name"] for phase in rotation["phases"]][:5] == [
            "preflight",
            "create",
            "prove",
            "commit",
            "read_back",
        ]
        assert "one: create" in first.errors
        stored = site.stored("one")
        assert (stored["token_id"], stored["request_id"]) == (rotation["token_id"], "change-1")
        over_http = site.run(*command, "--server", url, "--token-file", token_file)
        assert (over_http.status, over_http.json["rotations"][0]["id"]) == (0, rotation["id"])
        directly = site.run(*command, "--direct")
        assert (directly.status, directly.json["rotations"][0]["already"]) == (0, True)
        differs = site.run("rotate", "one", "--request-id", "change-1", "--compromised")
        assert differs.status == 1
        assert "choose another request id" in differs.errors
        (shown,) = site.run("status", "one", "-o", "json").json["tokens"]
        last = shown["last_request"]
        assert (last["request_id"], last["reason"], last["via"]) == ("change-1", "change 1", "socket")
        assert last["by"]
        assert last["asked_at"]
        assert "change 1" in site.run("status", "one").output
        assert "change 1" in httpx.get(url).text
        (told,) = site.run("status", "one", "--server", url, "-o", "json").json["tokens"]
        assert told["last_request"] == last
        assert "change 1" in site.run("status", "--server", url).output
        unknown = site.run("status", "nobody", "--server", url)
        assert (unknown.status, "no token is named nobody" in unknown.errors) == (2, True)
    (shown,) = site.run("status", "one", "-o", "json").json["tokens"]
    assert shown["last_request"] | {"stored_at": None} == last | {"stored_at": None}
    assert site.stored("one")["token_id"] == rotation["token_id"]
    assert len([token for token in site.cluster.tokens() if "/one " in token.description]) == 2
    assert logged(site, "rotation_asked_for")[0]["reason"] == "change 1"
    assert_untold(API_TOKEN, *written_in(site.folder))
    for token in (stored["token"], site.stored("two")["token"]):
        assert_untold(str(token).removeprefix("M.V1."), *written_in(site.folder))


def test_all_and_selector_and_no_wait(site: Site) -> None:
    """Labels choose; all are rotated at their pace; --no-wait leaves at once and says what it began."""
    with running(site):
        one = site.run("rotate", "--selector", "team=metrics", "-o", "json")
        assert [row["name"] for row in one.json["rotations"]] == ["one"]
        every = site.run("rotate", "--all", "-o", "json")
        assert [(row["name"], row["state"]) for row in every.json["rotations"]] == [(name, "done") for name in NAMES]
        left = site.run("rotate", "two", "--no-wait", "--request-id", "later", "-o", "json")
        assert (left.status, left.json["rotations"][0]["state"] in {"waiting", "running"}) == (0, True)
        site.wait_for("its end", lambda: site.stored("two").get("request_id") == "later")
        unknown = site.run("rotate", "nobody")
        assert (unknown.status, "no token is configured" in unknown.errors) == (1, True)


def test_failure_is_followed_to_its_end(site: Site) -> None:
    """The command ends with 1 and says why; said again, it ends well; the old token works meanwhile."""
    with running(site):
        site.cluster.set(fail_create=1)
        before = site.stored("one")["token_id"]
        failed = site.run("rotate", "one", "--request-id", "r", "-o", "json")
        assert failed.status == 1
        assert "create failed" in failed.json["rotations"][0]["error"]
        assert "one: create" in failed.errors
        assert site.stored("one")["token_id"] == before
        site.wait_for("a good end", lambda: site.run("rotate", "one", "--request-id", "r").status == 0)
        assert site.stored("one")["request_id"] == "r"


def test_compromised_says_so_before_and_leaves_no_overlap(site: Site) -> None:
    """The predecessor is revoked by the time that the command ends."""
    with running(site):
        before = site.stored("one")["token"]
        done = site.run("rotate", "one", "--compromised")
        assert done.status == 0
        assert "without overlap" in done.errors
        assert not site.cluster.authenticate(before)


def test_without_a_daemon_it_says_what_to_do(site: Site, tmp_path: Path) -> None:
    """Exit 4, and nothing was asked of anybody: at no socket, at a dead one, at an address where nobody listens."""
    (tmp_path / "dead.sock").touch()
    for options in ([], ["--socket", str(tmp_path / "dead.sock")], ["--server", "http://127.0.0.1:9"]):
        ran = site.run("rotate", "one", *options)
        assert ran.status == 4
        assert "--direct" in ran.errors
        assert "Traceback" not in ran.errors
    assert site.cluster.tokens() == ()
    assert site.run("status", "--server", "http://127.0.0.1:9").status == 4
    for wrong in (
        ["--direct", "--reason", "x" * 301],
        ["--direct", "--request-id", "a b"],
        ["--ca-cert", "x"],
        ["--direct", "--server", "http://x"],
        ["--token-file", "x"],
        ["--socket", "x", "--direct"],
    ):
        assert site.run("rotate", "one", *wrong).status == 2


def test_token_is_read_again_at_each_use(site: Site, tmp_path: Path) -> None:
    """The old one is refused from the moment on at which the file has another; without any file nobody may write."""
    with running(site) as url:
        path = f"{url}/v1/tokens/one/rotate"

        def status_with(token: str) -> int:
            return httpx.post(path, headers={"Authorization": f"Bearer {token}"}, json={"request_id": "r"}).status_code

        assert (status_with(API_TOKEN), status_with("another")) == (202, 401)
        (tmp_path / "api-token").write_text("another\n")
        assert (status_with(API_TOKEN), status_with("another")) == (401, 202)
        (tmp_path / "api-token").unlink()
        assert (status_with(API_TOKEN), status_with("another")) == (503, 503)


def test_second_daemon_leaves_the_socket_of_the_first_alone(site: Site) -> None:
    """It says who has it, and ends; the first goes on. One that was killed is followed without a word."""
    with site.daemon() as first:
        site.wait_for("the tokens", lambda: site.log().count('"token_stored"') == len(NAMES))
        second = site.run("run")
        assert second.status == 2
        assert "a living process listens on" in second.errors
        assert (site.folder / "admin.sock").stat().st_mode & 0o777 == 0o600
        first.kill()
        first.wait()
    assert (site.folder / "admin.sock").exists()
    with running(site):
        assert site.run("rotate", "one").status == 0


def test_without_a_folder_for_the_socket_the_daemon_runs_on(site: Site) -> None:
    """It warns, and answers over TCP."""
    site.content["server"]["admin_socket"] = str(site.folder / "missing" / "admin.sock")
    with running(site) as url:
        assert httpx.get(f"{url}/healthz").status_code == 200
    assert "No such file" in logged(site, "admin_socket_unavailable")[0]["error"]


def test_port_in_use_and_reload_of_server_settings(site: Site) -> None:
    """A port that somebody has ends the daemon with exit 2; a reload keeps what it listens on, and says so."""
    with site.daemon() as process:
        site.wait_for("listening", lambda: len(logged(site, "api_listening")) == 2)
        where = str(logged(site, "api_listening")[0]["where"])
        site.content["server"] |= {"listen": where, "admin_socket": str(site.folder / "other.sock")}
        second = site.run("run")
        assert (second.status, "cannot be opened" in second.errors) == (2, True)
        process.send_signal(signal.SIGHUP)
        site.wait_for("the reload", lambda: bool(logged(site, "configuration_reloaded")))
        assert logged(site, "server_kept")
        assert httpx.get(f"http://{where}/readyz").status_code in {200, 503}
