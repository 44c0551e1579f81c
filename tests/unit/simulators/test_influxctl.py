"""The influxctl look-alike as a program: flags in, output and exit status out, as InfluxData documents them."""

import json
import re
import subprocess
import sys
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final

import pytest

from provisioner.runtime.clock import SystemClock
from provisioner.simulators.cluster import Cluster
from provisioner.simulators.cluster_token import Kind
from tests.site import INFLUXCTL

EXPIRES: Final = "2127-01-01T00:00:00Z"
EXPIRES_AT: Final = datetime(2127, 1, 1, tzinfo=UTC)
CREATE: Final = ("management", "create", "--description", "Telegraf", "--expires-at", EXPIRES)
LIST: Final = ("management", "list", "--format", "json")
UNKNOWN_ID: Final = "8c1f2f0e-4d5a-4c11-9d3e-2f5f1c7b9a10"
PATIENCE: Final = 30
"""Seconds within which any call ends."""
SLOW: Final = frozenset(
    {
        "argparse",
        "contextlib",
        "dataclasses",
        "enum",
        "json",
        "pathlib",
        "re",
        "tomllib",
        "typing",
        "uuid",
        "typer",
        "httpx",
    }
)
SHORT: Final = 2
"""Seconds after which a hanging call is given up."""


class Program:
    """Runs the look-alike over one cluster, with nothing on its standard input."""

    def __init__(self, directory: Path) -> None:
        self.cluster = Cluster(directory)
        self.flags = ("--simulator-state", str(directory))
        self._command = [*INFLUXCTL, *self.flags]

    def __call__(self, *arguments: str, answer: str = "", within: float = PATIENCE) -> subprocess.CompletedProcess[str]:
        """Run one command to its end."""
        return subprocess.run(
            [*self._command, *arguments], input=answer, capture_output=True, text=True, timeout=within, check=False
        )

    def printed(self, *arguments: str) -> Any:
        """Run one command that has to succeed, and read the JSON it prints."""
        done = self(*arguments)
        assert done.returncode == 0, done.stderr
        return json.loads(done.stdout)


@pytest.fixture
def influxctl(tmp_path: Path) -> Program:
    """Give the look-alike over an empty cluster."""
    return Program(tmp_path / "cluster")


def refused(done: subprocess.CompletedProcess[str], reason: str) -> bool:
    """Tell whether a command failed as influxctl does: exit 1, the reason on standard error and nothing else."""
    return (done.returncode, done.stdout) == (1, "") and reason in done.stderr


def config(folder: Path, text: str) -> str:
    """Write a configuration file, and give its path."""
    path = folder / "config.toml"
    path.write_text(text)
    return str(path)


def test_create_prints_the_token_once(influxctl: Program) -> None:
    """Create alone shows the string; the list shows the same token without it."""
    done = influxctl(*CREATE, "--format", "json")
    created = json.loads(done.stdout)
    string = created.pop("token")
    assert influxctl.cluster.authenticate(string)
    assert string not in done.stderr
    listing = influxctl(*LIST)
    assert json.loads(listing.stdout) == [created]
    assert string not in listing.stdout + listing.stderr


def test_list_has_the_documented_shape(influxctl: Program) -> None:
    """Times are objects of seconds and nanos; nanos of 0 and times that are not there are left out."""
    influxctl.cluster.create("for ever", None)
    token, _ = influxctl.cluster.create("Telegraf", EXPIRES_AT)
    forever, telegraf = influxctl.printed(*LIST, "--sort", "created")
    assert set(forever) == {"id", "account_id", "token_prefix", "description", "created_by", "created_at"}
    assert telegraf["id"] == token.token_id
    assert telegraf["token_prefix"] == token.prefix
    assert telegraf["created_at"]["seconds"] == int(token.created_at.timestamp())
    assert telegraf["created_at"].get("nanos", 0) == token.created_at.microsecond * 1000
    assert telegraf["expires_at"] == {"seconds": int(EXPIRES_AT.timestamp())}


def test_revoked_tokens_stay_listed(influxctl: Program) -> None:
    """Revoking several goes on after one that does not exist, fails for it, and leaves the revoked on the list."""
    first, second = (influxctl.cluster.create(name, None)[0].token_id for name in ("first", "second"))
    assert refused(influxctl("management", "revoke", "--force", first, UNKNOWN_ID, second), UNKNOWN_ID)
    assert all("revoked_at" in entry for entry in influxctl.printed(*LIST))


def test_revoke_asks_without_force(influxctl: Program) -> None:
    """Without --force nothing is revoked at the end of the input, and something is after a yes."""
    token, string = influxctl.cluster.create("Telegraf", None)
    unanswered = influxctl("management", "revoke", token.token_id)
    assert (unanswered.returncode, influxctl.cluster.authenticate(string)) == (1, True)
    answered = influxctl("management", "revoke", token.token_id, answer="y\n")
    assert (answered.returncode, influxctl.cluster.authenticate(string)) == (0, False)


@pytest.mark.parametrize(
    ("arguments", "reason"),
    [
        (("management", "create", "--description", "", "--format", "json"), "description must be a non-empty string"),
        (("management", "create", "--description", "x", "--expires-at", "tomorrow"), "tomorrow"),
        (("management", "create", "--description", "x", "--expires-at", "2127-01-01T00:00:00"), "zone"),
        (("management", "list", "--format", "yaml"), "yaml"),
        (("management", "list", "--debug"), "--debug"),
        (("management", "lists"), "lists"),
        (("management", "revoke", "--force"), "ids"),
        ((), "command"),
    ],
)
def test_bad_arguments_are_refused(influxctl: Program, arguments: tuple[str, ...], reason: str) -> None:
    """Every bad argument ends with exit 1 and a reason on standard error, and creates nothing."""
    assert refused(influxctl(*arguments), reason)
    assert influxctl.cluster.tokens() == ()


def test_global_flags_come_first(influxctl: Program, tmp_path: Path) -> None:
    """The documented global flags are taken before the command, with a profile that holds a live token."""
    _, string = influxctl.cluster.create("admin", None)
    path = config(tmp_path, f'[[profile]]\nname = "prod"\nproduct = "clustered"\nhost = "h"\nmgmt_token = "{string}"\n')
    flags = ("--config", path, "--profile", "prod", "--debug", "--timeout", "10s")
    assert [entry["description"] for entry in influxctl.printed(*flags, *LIST)] == ["admin"]


def test_only_a_live_management_token_authenticates(influxctl: Program, tmp_path: Path) -> None:
    """A dead, an unknown and a foreign credential fail as unauthenticated at every command, and have no effect."""
    token, revoked = influxctl.cluster.create("revoked", None)
    influxctl.cluster.revoke(token.token_id)
    database = influxctl.cluster.create("database", None, kind=Kind.DATABASE)[1]
    before = influxctl.cluster.tokens()
    for credential in (revoked, database, "", "M.V1.unknown"):
        path = config(tmp_path, f'[[profile]]\nname = "default"\nmgmt_token = "{credential}"\n')
        assert refused(influxctl("--config", path, *CREATE), "code = Unauthenticated")
    assert influxctl.cluster.tokens() == before


def test_guarded_cluster_wants_a_credential(influxctl: Program, tmp_path: Path) -> None:
    """With the knob set, a call without any credential fails, and one with a live credential is as ever."""
    influxctl.cluster.set(guarded=True)
    empty = config(tmp_path, '[[profile]]\nname = "default"\n')
    for flags in ((), ("--config", empty)):
        assert refused(influxctl(*flags, *CREATE), "code = Unauthenticated")
    path = config(
        tmp_path, f'[[profile]]\nname = "default"\nmgmt_token = "{influxctl.cluster.operator("management")}"\n'
    )
    assert influxctl.printed("--config", path, *CREATE, "--format", "json")["description"] == "Telegraf"


def test_other_kinds_are_none_of_its_business(influxctl: Program) -> None:
    """Admin and database tokens are neither listed nor revoked."""
    token, string = influxctl.cluster.create("x", None, kind=Kind.DATABASE)
    influxctl.cluster.operator("admin")
    assert influxctl.printed(*LIST) == []
    assert refused(influxctl("management", "revoke", "--force", token.token_id, "0"), "NotFound")
    assert influxctl.cluster.authenticate(string)


def test_wrong_clock_dates_tokens(influxctl: Program) -> None:
    """A cluster whose clock is ahead creates in the future."""
    influxctl.cluster.set(clock_ahead=3600)
    created = influxctl.printed(*CREATE, "--format", "json")["created_at"]["seconds"]
    assert created - SystemClock().now().timestamp() > 3600 - PATIENCE


def test_bad_knobs_are_said(influxctl: Program, tmp_path: Path) -> None:
    """A file with knobs that is wrong is named."""
    (tmp_path / "cluster" / "knobs.json").write_text('{"warn": "loudly"}')
    assert refused(influxctl(*LIST), "knobs.json is not understood: knob warn cannot be 'loudly'")


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ('[[profile]]\nname = "default"\nmanagement_token = "x"\n', "management_token"),
        ('colour = "red"\n[[profile]]\nname = "default"\n', "colour"),
        ('[[profile]]\nname = "other"\n', "'default' not found"),
        ("[[profile]\n", "failed to load config file"),
    ],
)
def test_bad_configuration_is_refused(influxctl: Program, tmp_path: Path, text: str, reason: str) -> None:
    """An unknown key, a missing profile and broken TOML are errors before anything is asked of the cluster."""
    assert refused(influxctl("--config", config(tmp_path, text), *LIST), reason)


@pytest.mark.parametrize("extra", [("--format", "json"), ("--format", "table")])
@pytest.mark.parametrize("style", ["object", "text"])
@pytest.mark.parametrize("warn", ["stderr", "stdout", "none"])
def test_warnings_are_printed_once_where_told(
    influxctl: Program, extra: tuple[str, ...], style: str, warn: str
) -> None:
    """Create warns once, on the stream that the knob names, in every kind of output."""
    influxctl.cluster.set(style=style, warn=warn)
    done = influxctl(*CREATE, *extra)
    found = {name: text.count("please copy") for name, text in (("stderr", done.stderr), ("stdout", done.stdout))}
    assert found == {"stderr": 0, "stdout": 0} | ({} if warn == "none" else {warn: 1})


def test_text_ends_with_the_bare_token(influxctl: Program) -> None:
    """The plain output is a box with the token's facts, and the string alone on the last line."""
    done = influxctl(*CREATE)
    *box, last = done.stdout.splitlines()
    assert influxctl.cluster.authenticate(last)
    assert last not in "".join(box)
    assert re.search(rf"\| +expires at \| {EXPIRES} +\|", done.stdout)


@pytest.mark.parametrize(
    ("style", "path"),
    [("wrapped", ["token", "secret"]), ("array", [0, "secret"]), ("camel", ["secret"]), ("rfc3339", ["secret"])],
)
def test_styles_hold_the_token_where_they_say(influxctl: Program, style: str, path: list[str | int]) -> None:
    """Each style puts the string under the chosen key, in its own wrapping."""
    influxctl.cluster.set(style=style, secret_key="secret")
    found = influxctl.printed(*CREATE, "--format", "json")
    for step in path:
        found = found[step]
    assert influxctl.cluster.authenticate(found)


@pytest.mark.parametrize(
    ("knob", "arguments", "effect"),
    [
        ("fail_create", (*CREATE, "--format", "json"), 0),
        ("lose_answer", (*CREATE, "--format", "json"), 1),
        ("fail_list", LIST, 0),
    ],
)
def test_counted_failures_fail_that_often(
    influxctl: Program, knob: str, arguments: tuple[str, ...], effect: int
) -> None:
    """The first call fails, without an effect or after it as the knob says; the second is as ever."""
    influxctl.cluster.set(**{knob: 1})
    assert refused(influxctl(*arguments), "rpc error")
    assert len(influxctl.cluster.tokens()) == effect
    assert influxctl(*arguments).returncode == 0


@pytest.mark.parametrize(
    ("knobs", "arguments", "effect"),
    [
        ({"hang_create": 1}, CREATE, 1),
        ({"hang_list": 1}, LIST, 0),
        ({"unauthenticated": True}, CREATE, 0),
    ],
)
def test_hanging_calls_never_answer(
    influxctl: Program, knobs: dict[str, object], arguments: tuple[str, ...], effect: int
) -> None:
    """A call that is told to hang has to be ended from outside; only a create has had its effect."""
    influxctl.cluster.set(**knobs)
    with pytest.raises(subprocess.TimeoutExpired):
        influxctl(*arguments, within=SHORT)
    assert len(influxctl.cluster.tokens()) == effect


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="only Linux has a disk that is always full")
def test_full_disk_fails_what_would_be_kept(influxctl: Program) -> None:
    """Create and revoke say that there is no space and leave no trace, the list still answers; then all is as ever."""
    token, string = influxctl.cluster.create("before", EXPIRES_AT)
    influxctl.cluster.set(disk_full=True)
    for arguments in ((*CREATE, "--format", "json"), ("management", "revoke", "--force", token.token_id)):
        assert refused(influxctl(*arguments), "No space left on device")
    assert [entry["id"] for entry in influxctl.printed(*LIST)] == [token.token_id]
    assert influxctl.cluster.authenticate(string)
    influxctl.cluster.set(disk_full=False)
    assert influxctl("management", "revoke", "--force", token.token_id).returncode == 0
    assert not influxctl.cluster.authenticate(string)


@pytest.mark.parametrize("call", [LIST, (*CREATE, "--format", "json")], ids=["list", "create"])
def test_only_what_starts_fast_is_imported(influxctl: Program, tmp_path: Path, call: tuple[str, ...]) -> None:
    """A plain call imports little, however much the program can do: nothing that takes longer than the call itself."""
    _, string = influxctl.cluster.create("admin", None)
    path = config(tmp_path, f'[[profile]]\nname = "default"\nmgmt_token = "{string}"\n')
    begun = [*INFLUXCTL[:-1], f"{INFLUXCTL[-1]}; print(*sorted(sys.modules), file=sys.stderr)", *influxctl.flags]
    done = subprocess.run(
        [*begun, "--config", path, *call], capture_output=True, text=True, timeout=PATIENCE, check=True
    )
    imported = set(done.stderr.splitlines()[-1].split())
    assert {"provisioner.simulators.cluster", "datetime"} <= imported
    assert {name for name in imported if "." not in name}.isdisjoint(SLOW)


def test_it_is_a_module_to_run(influxctl: Program) -> None:
    """As the demo and the documents start it."""
    begun = [sys.executable, "-m", "provisioner.simulators.influxctl", *influxctl.flags]
    done = subprocess.run([*begun, *LIST], capture_output=True, text=True, timeout=PATIENCE, check=True)
    assert json.loads(done.stdout) == []
