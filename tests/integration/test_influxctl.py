"""The influxctl issuer against programs that misbehave, and against the simulated cluster's every mood."""

import json
import os
import signal
import sys
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread
from typing import Any

import psutil
import pytest

from provisioner.domain.errors import (
    IssuerRefusedError,
    IssuerUnavailableError,
    OutcomeUnknownError,
    ProvisionerError,
    TemporaryError,
    TokenUnreadableError,
)
from provisioner.domain.mark import Mark
from provisioner.domain.model import CreateRequest, IssuedToken, MintedToken
from provisioner.domain.secret import SecretText
from provisioner.domain.timing import whole_seconds
from provisioner.issuers import child
from provisioner.issuers.influxctl import InfluxctlIssuer
from provisioner.runtime.clock import SystemClock
from provisioner.simulators.cluster import Cluster
from provisioner.simulators.management_api import ManagementApi
from tests.builders import DAY, OWNER, uid
from tests.site import INFLUXCTL

CLOCK = SystemClock()
SECRET = "M.V1.+5JkAb1/" + "Zz9+" * 14
ID = "8c1f2f0e-4d5a-4c11-9d3e-2f5f1c7b9a10"
LISTED = IssuedToken(issuer="cluster", token_id=ID, mark=None)
LONG, SHORT = timedelta(seconds=30), timedelta(seconds=2)
Start = Callable[..., InfluxctlIssuer]


@pytest.fixture
def start() -> Iterator[Start]:
    """Give a maker of issuers, which are closed at the end."""
    started: list[InfluxctlIssuer] = []

    def make(*command: str, timeout: timedelta = LONG, **options: Any) -> InfluxctlIssuer:
        issuer = InfluxctlIssuer(name="cluster", command=command, timeout=timeout, clock=CLOCK, **options)
        started.append(issuer)
        return issuer

    yield make
    for issuer in started:
        issuer.close()


@pytest.fixture
def scripted(start: Start, tmp_path: Path) -> Start:
    """Give a maker of issuers whose influxctl is a few lines of Python."""

    def make(*lines: str, **options: Any) -> InfluxctlIssuer:
        script = tmp_path / "influxctl.py"
        script.write_text("import sys\n" + "\n".join(lines) + "\n")
        return start(sys.executable, "-I", str(script), **options)

    return make


@pytest.fixture
def cluster(tmp_path: Path) -> Cluster:
    """Give a simulated cluster."""
    return Cluster(tmp_path / "cluster")


@pytest.fixture
def simulated(start: Start, cluster: Cluster, tmp_path: Path) -> Start:
    """Give a maker of issuers that speak with the simulated cluster through the look-alike."""
    del cluster

    def make(**options: Any) -> InfluxctlIssuer:
        return start(*INFLUXCTL, "--simulator-state", str(tmp_path / "cluster"), **options)

    return make


def request(number: int = 1, description: str = "Telegraf") -> CreateRequest:
    """Give what the engine would ask for."""
    mark = Mark(OWNER, uid(number))
    expires_at = whole_seconds(CLOCK.now() + DAY)
    return CreateRequest(mark=mark, description=mark.described(description), ttl=DAY, expires_at=expires_at)


def listed(issuer: InfluxctlIssuer, minted: MintedToken) -> IssuedToken:
    """Give the token as it is listed."""
    found = issuer.list().find(minted.token_id)
    assert found is not None
    return found


OPERATIONS: dict[str, Callable[[InfluxctlIssuer], object]] = {
    "list": lambda issuer: issuer.list(),
    "create": lambda issuer: issuer.create(request()),
    "prove": lambda issuer: issuer.prove(SecretText(SECRET), ID),
    "revoke": lambda issuer: issuer.revoke(LISTED),
}


# --- the child ----------------------------------------------------------------------------------------


def test_time_out_kills_what_the_child_started(scripted: Start, tmp_path: Path) -> None:
    """At the time-out the whole process group ends, grandchildren included."""
    issuer = scripted(
        "import subprocess, time, pathlib",
        "grandchild = subprocess.Popen(['sleep', '600'])",
        f"pathlib.Path({str(tmp_path / 'pid')!r}).write_text(str(grandchild.pid))",
        "time.sleep(600)",
        timeout=SHORT,
    )
    with pytest.raises(OutcomeUnknownError, match="did not end within 2 s and was killed"):
        issuer.create(request())
    assert has_ended(int((tmp_path / "pid").read_text()))


def test_grandchild_left_behind_is_killed(scripted: Start, tmp_path: Path) -> None:
    """What an influxctl that ended well leaves running ends with it."""
    issuer = scripted(
        "import subprocess, pathlib",
        "grandchild = subprocess.Popen(['sleep', '600'])",
        f"pathlib.Path({str(tmp_path / 'pid')!r}).write_text(str(grandchild.pid))",
        "print('[]')",
    )
    assert issuer.list().tokens == ()
    assert has_ended(int((tmp_path / "pid").read_text()))


@pytest.mark.parametrize("ending", ["print('[]', flush=True)", "print('[]', flush=True); time.sleep(600)"])
def test_stream_held_open_does_not_hold_us(scripted: Start, tmp_path: Path, ending: str) -> None:
    """Who leaves the group with our streams, as a browser may, delays neither the answer nor the time-out."""
    issuer = scripted(
        "import subprocess, pathlib, time",
        "gone = subprocess.Popen(['sleep', '60'], start_new_session=True)",
        f"pathlib.Path({str(tmp_path / 'pid')!r}).write_text(str(gone.pid))",
        ending,
        timeout=SHORT,
    )
    began = CLOCK.monotonic()
    try:
        if "sleep" in ending:
            with pytest.raises(IssuerUnavailableError, match="was killed"):
                issuer.list()
        else:
            assert issuer.list().tokens == ()
        assert CLOCK.monotonic() - began < 20
    finally:
        psutil.Process(int((tmp_path / "pid").read_text())).kill()


def has_ended(pid: int) -> bool:
    """Wait a little for a process to end, and tell whether it has."""
    try:
        process = psutil.Process(pid)
        return process.status() == psutil.STATUS_ZOMBIE or process.wait(5) in {None, -signal.SIGKILL}
    except psutil.NoSuchProcess:
        return True
    except psutil.TimeoutExpired:
        return process.status() == psutil.STATUS_ZOMBIE


def test_child_sees_nothing_of_ours(scripted: Start, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The child has the given environment, a private HOME, no input, no terminal, and a session of its own."""
    monkeypatch.setenv("INFLUXCTL_PROFILE", "other")
    monkeypatch.setenv("VAULT_TOKEN", SECRET)
    seen = tmp_path / "seen.json"
    issuer = scripted(
        "import json, os, pathlib, stat",
        "environment = pathlib.Path('/proc/self/environ').read_text().split('\\0')",
        "home = os.environ['HOME']",
        "seen = {'names': sorted(line.partition('=')[0] for line in environment if line), 'argv': sys.argv[1:],",
        "    'input': sys.stdin.read(), 'leads': os.getsid(0) == os.getpid(), 'home': home,",
        "    'mode': stat.S_IMODE(os.stat(home).st_mode), 'owner': os.stat(home).st_uid == os.getuid()}",
        f"pathlib.Path({str(seen)!r}).write_text(json.dumps(seen))",
        "print('[]')",
        environment={"PATH": "/usr/bin:/bin", "LANG": "C.UTF-8"},
        config=Path("/etc/influxctl/config.toml"),
        profile="mine",
    )
    issuer.list()
    said = json.loads(seen.read_text())
    names = ["HOME", "LANG", "PATH", "XDG_CACHE_HOME", "XDG_CONFIG_HOME", "XDG_DATA_HOME", "XDG_STATE_HOME"]
    assert said["names"] == names
    flags = ["--config", "/etc/influxctl/config.toml", "--profile", "mine"]
    assert said["argv"] == [*flags, "management", "list", "--format", "json"]
    assert (said["input"], said["leads"], said["mode"], said["owner"]) == ("", True, 0o700, True)
    issuer.close()
    assert not Path(said["home"]).exists()


def test_child_cannot_read_our_input(scripted: Start) -> None:
    """A prompt finds no input, though there is some: nobody answers for the operator."""
    issuer = scripted("""print('[{"id": "%s"}]' % sys.stdin.read().strip() if not sys.stdin.isatty() else 'x')""")
    ours, (reading, writing) = os.dup(0), os.pipe()
    os.write(writing, b"yes")
    os.close(writing)
    os.dup2(reading, 0)
    try:
        with pytest.raises(IssuerRefusedError, match="no id"):
            issuer.list()
    finally:
        os.dup2(ours, 0)
        os.close(ours)
        os.close(reading)


def test_flags_are_those_of_the_documentation(scripted: Start, tmp_path: Path) -> None:
    """Create and revoke are called as documented, without flags that only some versions know."""
    issuer = scripted(
        f"with open({str(tmp_path / 'calls')!r}, 'a') as file: print(*sys.argv[1:], sep='|', file=file)",
        f"""print('{{"id": "{ID}", "token": "{SECRET}"}}')""",
    )
    wanted = request()
    issuer.create(wanted)
    issuer.revoke(LISTED)
    expires_at = wanted.expires_at.strftime("%Y-%m-%dT%H:%M:%SZ")
    assert (tmp_path / "calls").read_text().splitlines() == [
        f"management|create|--description|{wanted.description}|--expires-at|{expires_at}|--format|json",
        f"management|revoke|--force|{ID}",
    ]


def test_home_that_was_cleaned_away_is_made_anew(scripted: Start, tmp_path: Path) -> None:
    """A cleaner of temporary files does not stop a process that lives for months."""
    issuer = scripted(
        "import os, pathlib",
        f"pathlib.Path({str(tmp_path / 'home')!r}).write_text(os.environ['HOME'])",
        "print('[]')",
    )
    issuer.list()
    Path((tmp_path / "home").read_text()).rmdir()
    assert issuer.list().tokens == ()


@pytest.mark.parametrize("operation", OPERATIONS)
def test_missing_program_is_said(start: Start, operation: str) -> None:
    """Without influxctl every operation is refused, and the remedy is named."""
    with pytest.raises(IssuerRefusedError, match=r"influxctl-that-is-not-there cannot be run .*install influxctl"):
        OPERATIONS[operation](start("influxctl-that-is-not-there"))


def test_program_that_may_not_be_run_is_said(start: Start, tmp_path: Path) -> None:
    """A file without the right to execute it is no program."""
    (tmp_path / "influxctl").write_text("#!/bin/sh\n")
    with pytest.raises(IssuerRefusedError, match="cannot be run"):
        start(str(tmp_path / "influxctl")).list()


def test_relative_paths_count_from_here(start: Start, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The child runs elsewhere; its program and its configuration are still found."""
    monkeypatch.chdir(tmp_path)
    program = tmp_path / "influxctl"
    program.write_text('#!/bin/sh\ntest -f "$2" && echo "[]"\n')
    program.chmod(0o700)
    (tmp_path / "config.toml").touch()
    assert start("./influxctl", config=Path("config.toml")).list().tokens == ()


def test_list_longer_than_we_read_is_refused(scripted: Start, monkeypatch: pytest.MonkeyPatch) -> None:
    """A list that was not read to its end is no shorter list."""
    monkeypatch.setattr(child, "LONGEST_OUTPUT", 4096)
    issuer = scripted("import json", "print(json.dumps([{'id': str(n)} for n in range(5000)], indent=2))")
    with pytest.raises(IssuerRefusedError, match="was not understood"):
        issuer.list()


def test_endless_output_ends_at_the_time_out(scripted: Start, monkeypatch: pytest.MonkeyPatch) -> None:
    """Output without end on both streams neither blocks nor fills the memory."""
    monkeypatch.setattr(child, "LONGEST_OUTPUT", 4096)
    issuer = scripted("while True: sys.stdout.write('x' * 9999), sys.stderr.write('y' * 9999)", timeout=SHORT)
    with pytest.raises(IssuerUnavailableError, match="was killed"):
        issuer.list()


@pytest.mark.parametrize("printed", [b"\xff\xfe\x00garbage", b"<html>", b"[1, 2]", b"{", b"ok"])
def test_garbage_is_not_understood(scripted: Start, printed: bytes) -> None:
    """Garbage with status 0 is refused as a list, and unreadable as the answer of a create."""
    issuer = scripted(f"sys.stdout.buffer.write({printed!r})")
    with pytest.raises(IssuerRefusedError, match="was not understood"):
        issuer.list()
    with pytest.raises(TokenUnreadableError, match="was not understood"):
        issuer.create(request())


# --- what it says ---------------------------------------------------------------------------------------

REFUSED, UNAVAILABLE, UNKNOWN = IssuerRefusedError, IssuerUnavailableError, OutcomeUnknownError
SAID: list[tuple[str, type[ProvisionerError], type[ProvisionerError]]] = [
    ("rpc error: code = Unauthenticated desc = invalid token", REFUSED, REFUSED),
    ("Error: 401 Unauthorized", REFUSED, REFUSED),
    ("rpc error: code = PermissionDenied desc = no", REFUSED, REFUSED),
    ("Error: token has expired", REFUSED, REFUSED),
    ("Please visit https://login.example/activate and enter the code ABCD", REFUSED, REFUSED),
    ("flag provided but not defined: -expires-at", REFUSED, REFUSED),
    ("failed to load config file: open /x: permission denied", REFUSED, REFUSED),
    ('profile "prod" not found', REFUSED, REFUSED),
    ("dial tcp 10.0.0.1:443: connect: connection refused", UNAVAILABLE, UNAVAILABLE),
    ("dial tcp: lookup cluster-host: no such host", UNAVAILABLE, UNAVAILABLE),
    ("tls: failed to verify certificate: x509: unknown authority", UNAVAILABLE, UNAVAILABLE),
    ("rpc error: code = Unavailable desc = error reading from server: EOF", UNAVAILABLE, UNKNOWN),
    ("rpc error: code = DeadlineExceeded desc = context deadline exceeded", UNAVAILABLE, UNKNOWN),
    ("rpc error: code = Internal desc = what", UNAVAILABLE, UNKNOWN),
    ("error writing cache for profile default: permission denied", UNAVAILABLE, UNKNOWN),
    ("panic: runtime error", UNAVAILABLE, UNKNOWN),
    ("", UNAVAILABLE, UNKNOWN),
]


@pytest.mark.parametrize(("complaint", "of_list", "of_create"), SAID, ids=[said[0][:40] for said in SAID])
def test_failures_are_told_apart(
    scripted: Start, complaint: str, of_list: type[ProvisionerError], of_create: type[ProvisionerError]
) -> None:
    """A create counts as surely without effect only when what was said leaves no doubt."""
    issuer = scripted(f"print({complaint!r}, file=sys.stderr)", "sys.exit(1)")
    with pytest.raises(of_list):
        issuer.list()
    with pytest.raises(of_create):
        issuer.create(request())


@pytest.mark.parametrize("words", ["device code verification", "unauthorized access probe", "config file not found"])
def test_our_own_words_mean_nothing(scripted: Start, words: str) -> None:
    """A description that influxctl repeats when it fails is no evidence that nothing was created."""
    issuer = scripted("print('failed:', sys.argv[4], file=sys.stderr)", "print(sys.argv[4])", "sys.exit(1)")
    with pytest.raises(OutcomeUnknownError):
        issuer.create(request(description=words))


def test_answer_without_id_is_completed_by_the_list(scripted: Start) -> None:
    """A bare token string, as old versions print it, gets its id by its mark from the list."""
    wanted = request()
    entry = {"id": ID, "description": wanted.description}
    issuer = scripted(f"print({SECRET!r} if 'create' in sys.argv else {json.dumps([entry])!r})")
    assert issuer.create(wanted).token_id == ID


def test_answer_whose_id_nobody_knows_is_unreadable(scripted: Start) -> None:
    """A token that cannot be tracked by its id is not handed on."""
    issuer = scripted(f"print({SECRET!r} if 'create' in sys.argv else '[]')")
    with pytest.raises(TokenUnreadableError, match="no id"):
        issuer.create(request())


@pytest.mark.parametrize("operation", OPERATIONS)
@pytest.mark.parametrize(
    "ending",
    ["sys.exit(1)", "sys.exit(0)", "import time; time.sleep(600)"],
    ids=["failing", "ending", "hanging"],
)
def test_no_secret_in_any_error(scripted: Start, operation: str, ending: str) -> None:
    """Whatever influxctl prints, and wherever, the string enters no error and nothing it was raised from."""
    issuer = scripted(
        f'for stream in (sys.stdout, sys.stderr): print(\'[{{"odd": "{SECRET}"\', {SECRET!r}, file=stream, flush=True)',
        ending,
        timeout=SHORT,
    )
    try:
        OPERATIONS[operation](issuer)
    except ProvisionerError as caught:
        assert_nowhere(SECRET, caught)
    else:
        assert (operation, ending) == ("revoke", "sys.exit(0)")


def assert_nowhere(secret: str, error: BaseException | None) -> None:
    """Look for a secret in an error and its whole chain, as any log or dump could show it."""
    while error is not None:
        shown = f"{error} {error!r} {error.args} {vars(error)}"
        assert secret not in shown
        assert secret[5:25] not in shown
        error = error.__cause__ or error.__context__


# --- the simulated cluster ------------------------------------------------------------------------------


@pytest.mark.parametrize("warn", ["stderr", "stdout", "none"])
@pytest.mark.parametrize("style", ["object", "wrapped", "array", "camel", "rfc3339", "text"])
def test_every_output_style_is_understood(simulated: Start, cluster: Cluster, style: str, warn: str) -> None:
    """A token is created and found on the list in whatever style influxctl prints."""
    cluster.set(style=style, warn=warn, secret_key="new_secret")
    issuer, wanted = simulated(), request()
    minted = issuer.create(wanted)
    assert cluster.authenticate(minted.token.reveal())
    found = listed(issuer, minted)
    assert (found.mark, found.expires_at, minted.expires_at) == (wanted.mark, wanted.expires_at, wanted.expires_at)


def test_cut_create_is_unreadable_and_listed(simulated: Start, cluster: Cluster) -> None:
    """Half an answer gives no token; the one that was created is on the list with its mark."""
    cluster.set(cut_output=1)
    issuer = simulated()
    with pytest.raises(TokenUnreadableError):
        issuer.create(request(7))
    assert [token.mark for token in issuer.list().tokens] == [Mark(OWNER, uid(7))]


def test_cut_list_is_refused(simulated: Start, cluster: Cluster) -> None:
    """Half a list is no list."""
    for number in range(4):
        cluster.create(f"somebody's {number}", None)
    cluster.set(cut_output=1)
    with pytest.raises(IssuerRefusedError, match="cut short"):
        simulated().list()


@pytest.mark.parametrize("operation", ["list", "create"])
def test_device_login_is_never_waited_for(simulated: Start, cluster: Cluster, operation: str) -> None:
    """Without a credential influxctl wants a browser: every call ends, says what to do, and has no effect."""
    cluster.set(unauthenticated=True)
    with pytest.raises(IssuerRefusedError, match=r"not authenticated.*mgmt_token"):
        OPERATIONS[operation](simulated(timeout=SHORT))
    assert cluster.tokens() == ()


def test_configured_token_authenticates(simulated: Start, cluster: Cluster, tmp_path: Path) -> None:
    """The profile's token is used; once it is revoked, the error says that it has to be replaced."""
    own, string = cluster.create("the provisioner's own", None)
    config = tmp_path / "config.toml"
    config.write_text(f'[[profile]]\nname = "p"\nproduct = "clustered"\nhost = "h"\nmgmt_token = "{string}"\n')
    assert simulated(config=config, profile="p").list().find(own.token_id) is not None
    with pytest.raises(IssuerRefusedError, match="profile 'other' not found"):
        simulated(config=config, profile="other").list()
    cluster.revoke(own.token_id)
    with pytest.raises(IssuerRefusedError, match="not authenticated") as caught:
        simulated(config=config, profile="p", timeout=SHORT).list()
    assert_nowhere(string, caught.value)


def test_unknown_key_in_the_configuration_is_said(simulated: Start, tmp_path: Path) -> None:
    """What influxctl refuses in its file comes through, so that a person can mend it."""
    config = tmp_path / "config.toml"
    config.write_text('[[profile]]\nname = "default"\nmanagement_token = "x"\n')
    with pytest.raises(IssuerRefusedError, match=r"unknown keys.*management_token"):
        simulated(config=config).list()


def test_hanging_create_may_have_landed(simulated: Start, cluster: Cluster) -> None:
    """A create killed at its time-out is unknown, and is tried once only."""
    cluster.set(hang_create=1)
    with pytest.raises(OutcomeUnknownError):
        simulated(timeout=SHORT).create(request())
    assert len(cluster.tokens()) == 1


def test_hanging_list_and_revoke_are_temporary(simulated: Start, cluster: Cluster) -> None:
    """A list or a revocation killed at its time-out may be repeated."""
    token, _ = cluster.create("somebody's", None)
    cluster.set(hang_list=1, hang_revoke=1)
    issuer = simulated(timeout=SHORT)
    with pytest.raises(IssuerUnavailableError):
        issuer.list()
    victim = IssuedToken(issuer="cluster", token_id=token.token_id, mark=None)
    with pytest.raises(TemporaryError):
        issuer.revoke(victim)
    issuer.revoke(victim)
    assert cluster.tokens()[0].revoked_at is not None


def test_failed_revocation_is_no_success(simulated: Start, cluster: Cluster) -> None:
    """A revocation that failed says so, also when a stale list does not show the token yet."""
    issuer = simulated()
    minted = issuer.create(request())
    token = listed(issuer, minted)
    cluster.set(fail_revoke=2)
    with pytest.raises(TemporaryError):
        issuer.revoke(token)
    cluster.set(stale_list=3600)
    with pytest.raises(TemporaryError):
        issuer.revoke(token)
    cluster.set(stale_list=0)
    assert listed(issuer, minted).revoked_at is None


def test_unknown_id_counts_as_revoked(simulated: Start) -> None:
    """What is gone from the cluster needs no revocation."""
    simulated().revoke(LISTED)


def test_token_is_proven_by_a_fresh_list(simulated: Start, cluster: Cluster) -> None:
    """Without an API to use it at, a token is proven once the list shows it live."""
    issuer = simulated()
    cluster.set(stale_list=3600)
    minted = issuer.create(request())
    assert not issuer.prove(minted.token, minted.token_id)
    cluster.set(stale_list=0)
    assert issuer.prove(minted.token, minted.token_id)
    cluster.revoke(minted.token_id)
    assert not issuer.prove(minted.token, minted.token_id)


def test_token_is_proven_by_use_once_it_is_active(simulated: Start, cluster: Cluster) -> None:
    """A new token is refused until it becomes active, which is no error."""
    with ManagementApi(cluster) as api:
        issuer = simulated(management_api=api.url)
        cluster.set(activation_lag=3600)
        minted = issuer.create(request())
        assert not issuer.prove(minted.token, minted.token_id)
        cluster.set(activation_lag=0)
        assert issuer.prove(minted.token, minted.token_id)


@pytest.mark.parametrize("path", ["", "/", "/accounts/1111/clusters/1111"])
def test_both_styles_of_the_api_are_served(simulated: Start, cluster: Cluster, path: str) -> None:
    """The base may be the specification's or the products' own."""
    _, string = cluster.create("somebody's", None)
    with ManagementApi(cluster) as api:
        assert simulated(management_api=api.url + path).prove(SecretText(string), "any")


@pytest.mark.parametrize(
    ("status", "error"),
    [(302, REFUSED), (400, REFUSED), (404, REFUSED), (429, UNAVAILABLE), (500, UNAVAILABLE), (503, UNAVAILABLE)],
)
def test_useless_answers_prove_nothing(
    simulated: Start, cluster: Cluster, status: int, error: type[ProvisionerError]
) -> None:
    """Only 200, 401 and 403 say something about the token; for the rest the error names the address."""
    cluster.set(http_status=status)
    with ManagementApi(cluster) as api:
        issuer = simulated(management_api=api.url)
        with pytest.raises(error, match=rf"management_api of .* 127\.0\.0\.1:{api.port} .*\b{status}\b") as caught:
            issuer.prove(SecretText(SECRET), ID)
    assert_nowhere(SECRET, caught.value)


def test_token_does_not_follow_a_redirect(simulated: Start) -> None:
    """A token goes to the configured address and nowhere else, and what is found elsewhere proves nothing."""
    asked: list[str] = []

    class Elsewhere(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            asked.append(self.path)
            self.send_response(302 if self.path == "/databases" else 200)
            self.send_header("Location", "/elsewhere")
            self.send_header("Content-Length", "0")
            self.end_headers()

        def log_message(self, format: str, *args: object) -> None:  # noqa: A002  # the parent's name
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Elsewhere) as server:
        thread = Thread(target=server.serve_forever)
        thread.start()
        issuer = simulated(management_api=f"http://127.0.0.1:{server.server_port}")
        try:
            with pytest.raises(IssuerRefusedError, match="a credential must not follow"):
                issuer.prove(SecretText(SECRET), ID)
        finally:
            issuer.close()
            server.shutdown()
            thread.join()
    assert asked == ["/databases"]


def test_api_that_is_down_proves_nothing(simulated: Start, cluster: Cluster) -> None:
    """Without an answer nothing is known about the token."""
    with ManagementApi(cluster) as api:
        issuer = simulated(management_api=api.url)
    with pytest.raises(IssuerUnavailableError, match="cannot be reached") as caught:
        issuer.prove(SecretText(SECRET), ID)
    assert SECRET not in f"{caught.value!r}"


def test_threads_do_not_disturb_one_another(simulated: Start, cluster: Cluster) -> None:
    """Creates at the same time give as many tokens, each with its own string and mark."""
    issuer = simulated()
    with ThreadPoolExecutor(6) as pool:
        minted = list(pool.map(lambda number: issuer.create(request(number)), range(1, 13)))
    assert all(cluster.authenticate(token.token.reveal()) for token in minted)
    marks = {token.token_id: token.mark for token in issuer.list().tokens}
    assert marks == {token.token_id: Mark(OWNER, uid(number)) for number, token in enumerate(minted, 1)}


def test_cluster_keeps_no_string(simulated: Start, tmp_path: Path) -> None:
    """The simulated cluster's files hold no token string: what is lost is lost, as in a real one."""
    minted = simulated().create(request())
    kept = "".join(path.read_text() for path in (tmp_path / "cluster").iterdir())
    assert minted.token.reveal() not in kept
    assert minted.token_id in kept
