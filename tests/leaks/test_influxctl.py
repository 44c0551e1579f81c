"""Whatever influxctl prints, and wherever: nothing of a token comes out of us, and none goes in by its arguments."""

import json
import os
import shlex
from collections.abc import Callable, Iterator
from contextlib import ExitStack, closing
from dataclasses import asdict, dataclass
from datetime import timedelta
from pathlib import Path

import pytest

from provisioner.domain.decide import answers
from provisioner.domain.errors import IssuerRefusedError, OutcomeUnknownError, ProvisionerError
from provisioner.domain.mark import Mark
from provisioner.domain.memory import Memory
from provisioner.domain.model import CreateRequest, IssuedToken
from provisioner.domain.status import status_of
from provisioner.engine.gather import Listings
from provisioner.engine.observed import ObservedIssuer, ObservedStore
from provisioner.engine.reconcile import Outcome, reconcile
from provisioner.engine.world import World
from provisioner.issuers.child import run_child
from provisioner.issuers.influxctl import InfluxctlIssuer
from provisioner.settings.references import child_environment
from provisioner.telemetry.logs import LogObserver
from tests.builders import DAY, NOW, OWNER, a_token, uid
from tests.fakes.clock import FakeClock
from tests.fakes.entropy import FakeEntropy
from tests.fakes.store import FakeStore
from tests.leaks.search import PATTERNED, PLAIN, SECRETS, assert_untold, everything_about, secret_of, written_in

MARK = Mark(OWNER, uid(7))
REQUEST = CreateRequest(mark=MARK, description=MARK.described("Telegraf"), ttl=DAY, expires_at=NOW + DAY)
LISTED = IssuedToken(issuer="cluster", token_id=uid(8), mark=None)
HANGS = -1
Issuer = Callable[..., InfluxctlIssuer]


@dataclass(frozen=True, slots=True, kw_only=True)
class Says:
    """What influxctl does: ``{0}`` is the token, ``{1}`` its first half."""

    out: str = ""
    err: str = ""
    status: int = 1

    def bytes_of(self, text: str, token: str) -> bytes:
        """Put the token in; a ``~`` becomes a byte that is no UTF-8."""
        return text.replace("{0}", token).replace("{1}", token[: len(token) // 2]).encode().replace(b"~", b"\xff")


MOODS = {
    "token in the output of a failure": Says(out="{0}\n"),
    "token alone on standard error": Says(err="{0}\n"),
    "token in an error line": Says(err="Error: token {0} could not be kept\n"),
    "token joined to other words": Says(err="Error: saving token={0}: no space left\n"),
    "token in colour": Says(err="Error: \x1b[31m{0}\x1b[0m was refused\n"),
    "token where it is not authenticated": Says(err="Error: 401 Unauthorized ({0})\n"),
    "token in a misuse": Says(err='flag provided but not defined: -{0} in "{0}"\n'),
    "token in an address": Says(err='Get "https://x.example/v0?token={0}": dial tcp: no such host\n'),
    "token before a login": Says(out="{0}\nopen your browser at https://x.example/activate?code={0}\n"),
    "unknown key": Says(out='{"id": "1", "odd": "{0}"}', status=0),
    "token as a key": Says(out='{"id": "1", "{0}": {}}', status=0),
    "truncated JSON": Says(out='{\n "id": "1",\n "token": "{0}', status=0),
    "half of the token": Says(out='{\n "id": "1",\n "token": "{1}', err="{1}", status=0),
    "two documents": Says(out='{"token": "{0}"}\n{"token": "{0}x"}\n', status=0),
    "two different strings": Says(out='{"token": "{0}", "secret": "{0}x"}', status=0),
    "no UTF-8": Says(out='{"odd~": "{0}~"}', err="~{0}~", status=0),
    "no UTF-8 in a failure": Says(err="~{0}~\n"),
    "only on standard error": Says(err='{"token": "{0}"}\n', status=0),
    "time-out with all of it": Says(out='{"token": "{0}"', err="created {0}\n", status=HANGS),
    "time-out in mid-word": Says(out="{1}", err="created {1}", status=HANGS),
}


@pytest.fixture
def issuer(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Issuer]:
    """Give a maker of issuers whose influxctl is in that mood when it is asked for a thing."""
    with ExitStack() as stack:
        monkeypatch.setattr("tempfile.tempdir", str(tmp_path))  # its private HOME is searched, too

        def make(says: Says, token: str, *, to: str, **options: object) -> InfluxctlIssuer:
            (tmp_path / "out").write_bytes(says.bytes_of(says.out, token))
            (tmp_path / "err").write_bytes(says.bytes_of(says.err, token))
            ending = "exec sleep 60" if says.status == HANGS else f"exit {says.status}"
            told = f"cat {shlex.quote(str(tmp_path / 'out'))}; cat {shlex.quote(str(tmp_path / 'err'))} >&2; {ending}"
            lines = ["#!/bin/sh", f'case " $* " in *" {to} "*) {told};; *" list "*) echo "[]";; esac']
            timeout = timedelta(seconds=0.4 if says.status == HANGS else 20)
            return stack.enter_context(
                closing(InfluxctlIssuer(name="cluster", command=[script(tmp_path, lines)], timeout=timeout, **options))  # type: ignore[arg-type]  # options of any kind
            )

        yield make


def script(folder: Path, lines: list[str]) -> str:
    """Write a program."""
    program = folder / "influxctl"
    program.write_text("\n".join(lines) + "\n")
    program.chmod(0o700)
    return str(program)


@pytest.mark.parametrize("mood", MOODS)
@pytest.mark.parametrize("kind", SECRETS)
def test_create_tells_nothing(issuer: Issuer, mood: str, kind: str, logged: Callable[[], str], tmp_path: Path) -> None:
    """Neither the error with all behind it, nor event, log, status, explanation or file holds any part of the token."""
    token, clock = SECRETS[kind], FakeClock()
    made = issuer(MOODS[mood], token, to="create", clock=clock)
    told = [_ending(lambda: made.create(REQUEST))]
    outcome, events = _reconciled(made, clock)
    told += [repr(outcome), *events, repr(answers(outcome.snapshot, clock.now())), logged()]
    told.append(json.dumps(asdict(status_of(outcome.snapshot, outcome.decision, clock.now())), default=str))
    for given in ("out", "err"):
        (tmp_path / given).unlink()
    assert_untold(token, *told, *written_in(tmp_path))
    assert "RotationStarted" in "".join(events)


@pytest.mark.parametrize(
    "mood", ["token in an error line", "token where it is not authenticated", "no UTF-8", "time-out in mid-word"]
)
@pytest.mark.parametrize("kind", SECRETS)
@pytest.mark.parametrize("operation", ["list", "revoke"])
def test_list_and_revoke_tell_nothing(issuer: Issuer, operation: str, mood: str, kind: str) -> None:
    """An error that repeats somebody's token, whatever that looks like, repeats it to nobody."""
    made = issuer(MOODS[mood], SECRETS[kind], to=operation, clock=FakeClock())
    call: Callable[[], object] = made.list if operation == "list" else lambda: made.revoke(LISTED)
    assert_untold(SECRETS[kind], _ending(call))


def _ending(call: Callable[[], object]) -> str:
    """Give all that can be seen of how a call ended."""
    try:
        return repr(call())
    except ProvisionerError as error:
        return everything_about(error)


def _reconciled(issuer: InfluxctlIssuer, clock: FakeClock) -> tuple[Outcome, list[str]]:
    """Let the engine work with that issuer; give what came of it and every event."""
    events: list[str] = []
    log = LogObserver()

    def observe(event: object) -> None:
        events.append(repr(event))
        log(event)  # type: ignore[arg-type]  # an event, as World says

    world = World(
        issuers={"cluster": ObservedIssuer(issuer, observe)},
        stores={"vault": ObservedStore(FakeStore(clock), observe)},
        clock=clock,
        entropy=FakeEntropy(),
        observe=observe,
    )
    return reconcile(world, a_token(), Listings(world), memory=Memory()), events


@pytest.mark.parametrize(
    ("complaint", "told"),
    [
        ("rpc error: code = ResourceExhausted desc = limit of 100 tokens reached", None),
        ('Post "https://cluster-host.eu-west-1.example.com:443/api/v0/tokens": dial tcp: no such host', None),
        ("open /etc/provisioner/influxctl/config.toml: permission denied", None),
        (f"token {uid(3)} is in use since 2026-03-01T12:00:00Z", None),
        (f"token {PLAIN} is in use", "[redacted] is in use"),
    ],
)
def test_what_an_operator_needs_is_told(issuer: Issuer, complaint: str, told: str | None) -> None:
    """Reasons, addresses, paths, ids and times come through a failed create; a word as long as a token does not."""
    made = issuer(Says(err=f"{complaint}\n"), "", to="create", clock=FakeClock())
    with pytest.raises(ProvisionerError) as caught:
        made.create(REQUEST)
    assert (told or complaint) in str(caught.value)


def test_output_of_a_child_is_a_secret(tmp_path: Path) -> None:
    """What a child printed has no textual form, and is taken into no plain data."""
    program = script(tmp_path, ["#!/bin/sh", f"echo {PLAIN}; echo {PATTERNED} >&2"])
    ended = run_child([program], timeout=timedelta(seconds=20), home=tmp_path, environment={"PATH": os.defpath})
    assert ended.output == secret_of(f"{PLAIN}\n")
    with pytest.raises(TypeError) as caught:
        asdict(ended)
    for secret in SECRETS.values():
        assert_untold(secret, repr(ended), str(ended), everything_about(caught.value))


def test_child_gets_no_secret(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Neither arguments nor environment of any call hold a token, or a variable of ours or of a store."""
    for name in ("PROVISIONER__X__Y", "PROVISIONER_CONFIG", "VAULT_TOKEN", "AWS_SECRET_ACCESS_KEY"):
        monkeypatch.setenv(name, PLAIN)
    seen = shlex.quote(str(tmp_path / "seen"))
    answer = f'{{"id": "{uid(8)}", "token": "{PLAIN}"}}'
    lines = [
        "#!/bin/sh",
        f"tr '\\0' '\\n' < /proc/$$/environ >> {seen}; tr '\\0' ' ' < /proc/$$/cmdline >> {seen}; echo >> {seen}",
        f"case \" $* \" in *\" create \"*) echo '{answer}';; *) echo '[]';; esac",
    ]
    made = InfluxctlIssuer(
        name="cluster",
        command=[script(tmp_path, lines)],
        timeout=timedelta(seconds=20),
        clock=FakeClock(),
        environment=child_environment(),
    )
    with closing(made):
        minted = made.create(REQUEST)
        made.prove(minted.token, minted.token_id)
        made.revoke(LISTED)
        made.list()
    said = (tmp_path / "seen").read_text()
    assert minted.token == secret_of(PLAIN)
    assert said.count("management ") == 4
    assert_untold(PLAIN, said)
    names = {line.partition("=")[0] for line in said.splitlines() if "=" in line}
    assert not [name for name in names if name.startswith(("PROVISIONER", "VAULT_", "AWS_"))]


@pytest.mark.parametrize(("words", "kind"), [("unauthorized", IssuerRefusedError), ("what", OutcomeUnknownError)])
def test_kinds_of_failures_are_still_told_apart(issuer: Issuer, words: str, kind: type[ProvisionerError]) -> None:
    """What was said decides about the kind of a failure, though a token stands beside it that is not told."""
    made = issuer(Says(err=f"{words}: {PLAIN}\n"), "", to="create", clock=FakeClock())
    with pytest.raises(kind):
        made.create(REQUEST)
