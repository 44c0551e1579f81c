"""The running command: no core dump, no reader of its memory, and a rotation that writes no token anywhere."""

import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import psutil
import pytest
from typer.testing import CliRunner

from provisioner.cli.main import app
from provisioner.simulators.management_api import ManagementApi
from provisioner.simulators.openbao import OpenBao
from tests.fakes.vault_server import Answer, a_server
from tests.leaks.search import PATTERNED, PLAIN, assert_untold, written_in
from tests.site import Site, a_site

on_linux = pytest.mark.skipif(sys.platform != "linux", reason="/proc and prctl are Linux's")


def core_limits(pid: int) -> list[str]:
    """Give soft and hard limit of a process's core dumps."""
    lines = Path(f"/proc/{pid}/limits").read_text().splitlines()
    return next(line.split()[4:6] for line in lines if line.startswith("Max core file size"))


@on_linux
def test_daemon_and_its_children_leave_no_core(tmp_path: Path, openbao: OpenBao) -> None:
    """While influxctl hangs in a create, neither it nor the daemon may dump core, and SIGABRT leaves none."""
    site = a_site(tmp_path, openbao)
    site.cluster.set(hang_create=1)
    with site.daemon() as process:
        site.wait_for("creation", lambda: site.cluster.tokens() != ())
        children = psutil.Process(process.pid).children()
        assert [core_limits(child.pid) for child in children] == [["0", "0"]]
        assert core_limits(process.pid) == ["0", "0"]
        assert Path(f"/proc/{process.pid}/cmdline").read_bytes().endswith(b"provisioner\0run\0")
        for child in children:
            child.kill()
        process.send_signal(signal.SIGABRT)
        assert process.wait(20) == -signal.SIGABRT
    assert not list(tmp_path.rglob("core*"))


SEEN = """
import ctypes, json, os, resource, sys
from provisioner.cli import main
from provisioner.runtime import memory
prctl = ctypes.CDLL(None).prctl
def seen():
    limits = resource.getrlimit(resource.RLIMIT_CORE)
    return [prctl(3, 0, 0, 0, 0), os.stat("/proc/self/environ").st_uid, limits]
def look(): print(json.dumps(seen()))
main.app.command()(look)
sys.argv = ["provisioner", "look"]
"""
"""A command that tells how its own process stands: dumpable, whose its files in /proc are, core limits."""


def tell(code: str) -> "subprocess.CompletedProcess[str]":
    """Run Python with that command at hand."""
    command = [sys.executable, "-c", f"{SEEN}\n{code}"]
    return subprocess.run(command, env={"PATH": os.defpath}, capture_output=True, text=True, check=False)


@on_linux
def test_every_command_is_sealed_before_it_begins() -> None:
    """By the time that a command begins, its process is not dumpable and has no core, and nothing was said of it."""
    done = tell("assert seen()[0] == 1; main.main()")
    dumpable, _, limits = json.loads(done.stdout)
    assert (dumpable, limits, done.stderr) == (0, [0, 0], "")


@on_linux
def test_files_of_a_sealed_process_are_roots() -> None:
    """Of a user without privileges: its memory, environment and open files are no longer that user's to read."""
    unprivileged = "os.getuid() or os.setresuid(65534, 65534, 65534); prctl(4, 1, 0, 0, 0)"
    done = tell(f"{unprivileged}; before = seen(); memory.seal_memory(); print(json.dumps([before, seen()]))")
    before, after = json.loads(done.stdout)
    assert before[:2] == [1, os.getuid() or 65534]
    assert after[:2] == [0, 0]


@on_linux
@pytest.mark.parametrize(
    ("broken", "warning"),
    [
        ("memory._prctl = lambda *_: -1", "could not keep other processes of this user from reading its memory"),
        ("def no(*_): raise OSError(1, 'no')\nresource.setrlimit = no", "could not forbid core dumps: [Errno 1] no"),
        ("def no(*_): raise ValueError('no')\nresource.setrlimit = no", "could not forbid core dumps: no"),
    ],
)
def test_what_cannot_be_sealed_is_said_once(broken: str, warning: str) -> None:
    """On Linux a failure is one warning, and the command goes on; the other seal is set all the same."""
    done = tell(f"{broken}\nmain.main()")
    dumpable, _, limits = json.loads(done.stdout)
    assert done.returncode == 0
    assert done.stderr.count("warning: ") == done.stderr.count(warning) == 1
    assert (dumpable == 0) != (limits == [0, 0])


@pytest.mark.parametrize("broken", ["resource.setrlimit = no", "sys.modules['resource'] = None"])
def test_other_platforms_have_nothing_to_fail(broken: str) -> None:
    """Where prctl or limits are missing, nothing is said."""
    elsewhere = "def no(*_): raise ValueError('no')\nmemory._prctl, sys.platform = no, 'other'"
    done = tell(f"{elsewhere}\n{broken}\nprint(memory.seal_memory())")
    assert (done.stdout, done.stderr) == ("()\n", "")


def test_keys_of_connections_are_written_to_no_file(tmp_path: Path) -> None:
    """Whoever sets SSLKEYLOGFILE is told that it is not heeded, and no client opens the file."""
    file = tmp_path / "keys"
    clients = ("trust(None)", "ssl.create_default_context()", "urllib3.util.create_urllib3_context()")
    shown = ", ".join(f"{client}.keylog_filename" for client in clients)
    code = (
        "import atexit, ssl, sys, urllib3\nfrom provisioner.cli import main\n"
        "from provisioner.issuers.http_failure import trust\nsys.argv[1:] = ['--version']\n"
        f"atexit.register(lambda: print({shown}))\nmain.main()"
    )
    environment = {"PATH": os.defpath, "SSLKEYLOGFILE": str(file)}
    command = [sys.executable, "-c", code]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=True)
    assert done.stdout.splitlines()[-1] == "None None None"
    assert done.stderr.count("SSLKEYLOGFILE is not heeded") == 1
    assert str(file) not in done.stderr
    assert not file.exists()


COMMANDS = (["check"], ["plan"], ["status"], ["explain", "telegraf"], ["orphans"], ["once"])


@pytest.mark.usefixtures("logged")
@pytest.mark.parametrize("status", [400, 403])
def test_commands_at_a_store_that_repeats(site: Site, status: int) -> None:
    """A store that answers with our own credential: no command tells it, as JSON or as a table, nor any file."""
    secret_file = site.folder / "vault-token"
    with a_server() as server:
        server.answers = [Answer(status=status, echoes=True)]
        site.content["stores"]["vault"]["address"] = server.address
        secret_file.write_text(PLAIN)
        told = []
        for command in COMMANDS:
            for form in ("json", "table"):
                ran = CliRunner().invoke(app, ["--config", str(site.config), *command, "--output", form])
                assert ran.exception is None or isinstance(ran.exception, SystemExit)
                told.append(ran.output)
    secret_file.unlink()
    assert server.count("GET /v1/") > 0
    assert [index for index, text in enumerate(told[::2]) if "[redacted]" not in text] == []
    assert_untold(PLAIN, *told, *written_in(site.folder))


def test_inline_secret_is_not_repeated(site: Site) -> None:
    """A secret typed into the file: exit 2, the key, and not the value."""
    site.content["stores"]["vault"]["auth"]["token"] = PLAIN
    ran = site.run("check", "--output", "json")
    assert ran.status == 2
    assert "stores.vault.auth.token" in ran.errors
    assert_untold(PLAIN, ran.output, ran.errors)


def test_rotation_leaves_no_token_in_any_file(site: Site, tmp_path: Path) -> None:
    """HOME, temporary folder and working folder hold none of the strings, though influxctl printed two of them."""
    home, temporary = tmp_path / "home", tmp_path / "tmp"
    home.mkdir()
    temporary.mkdir()
    strings = []
    with ManagementApi(site.cluster) as api:
        site.content["issuers"]["cluster"]["management_api"] = api.url
        for command in (["once"], ["rotate", "telegraf", "--direct"]):
            ran = site.run(*command, HOME=str(home), TMPDIR=str(temporary))
            assert ran.status == 0
            strings.append(str(site.stored("telegraf")["token"]))
    assert len(set(strings)) == 2
    for string in strings:
        assert_untold(string.removeprefix("M.V1."), *written_in(tmp_path))


@pytest.fixture
def site(tmp_path: Path, openbao: OpenBao) -> Site:
    """Give a site with one token."""
    return a_site(tmp_path, openbao)


def test_search_of_files_can_fail(tmp_path: Path) -> None:
    """A token in a file, or in a file's name, is found."""
    (tmp_path / "deep").mkdir()
    (tmp_path / "deep" / "file").write_bytes(b"\xff" + PATTERNED.encode())
    with pytest.raises(AssertionError, match="parts of the secret"):
        assert_untold(PATTERNED, *written_in(tmp_path))
