"""The influxctl issuer called with a managed token: its private profiles, and which credential comes when."""

import json
import os
import sys
import tomllib
from collections.abc import Callable, Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from provisioner.domain.errors import (
    ConfigurationError,
    CredentialRefusedError,
    IssuerRefusedError,
    IssuerUnavailableError,
    OutcomeUnknownError,
)
from provisioner.domain.secret import SecretText
from provisioner.issuers.credential import ManagedCredential
from provisioner.issuers.influxctl import InfluxctlIssuer
from provisioner.issuers.influxctl_profile import Profile
from provisioner.runtime.clock import SystemClock
from tests.builders import OWNER, PLACE, a_record, an_issued
from tests.fakes.clock import FakeClock
from tests.fakes.store import FakeStore
from tests.integration.test_influxctl import request

CLOCK = SystemClock()
STORED, INITIAL, NEWER = "M.V1.+Abc1stored/" + "Zz9+" * 14, "M.V1.+Abc1initial", "M.V1.+Abc1newer"
CONFIG = """
[[profile]]
name = "other"
host = "elsewhere"
mgmt_token = "M.V1.of-another-profile"
[[profile]]
name = "default"
product = "clustered"
host = "cluster.example.com"
token = "apiv1_for-queries"
AUTH
[profile.tls]
insecure = true
"""
SCRIPT = """
import json, os, sys, tomllib
from pathlib import Path
log = Path(__file__).with_name("calls")
config = Path(sys.argv[sys.argv.index("--config") + 1])
profile = [entry for entry in tomllib.loads(config.read_text())["profile"] if entry["name"] == "default"][0]
action = sys.argv[sys.argv.index("management") + 1]
with log.open("a") as file:
    told = {"argv": sys.argv, "environ": dict(os.environ), "config": str(config), "profile": profile, "action": action,
            "mode": config.stat().st_mode & 0o777, "cwd": os.getcwd(), "text": config.read_text()}
    file.write(json.dumps(told) + "\\n")
answers = json.loads(Path(__file__).with_name("answers").read_text())
out, err, status = answers.get(profile.get("mgmt_token", ""), answers["anybody"]).get(action, ["[]", "", 0])
print(out); print(err, file=sys.stderr); sys.exit(status)
"""
UNAUTHENTICATED = ["", "Error: rpc error: code = Unauthenticated desc = who is it?", 1]
REFUSING = dict.fromkeys(("list", "create", "revoke"), UNAUTHENTICATED)
CREATED = [json.dumps({"id": "new", "token": "M.V1.+Abc1" + "created" * 6}), "", 0]
Make = Callable[..., "Bench"]


class Bench:
    """An issuer whose influxctl is a script that notes how it was called."""

    def __init__(self, folder: Path, auth: str, stored: str | None, **options: Any) -> None:
        self.folder, self.store = folder, FakeStore(FakeClock())
        self.config = folder / "config.toml"
        self.config.write_text(CONFIG.replace("AUTH", auth))
        (folder / "influxctl.py").write_text(SCRIPT)
        self.answer()
        if stored is not None:
            self.put(stored)
        given: dict[str, Any] = {
            "config": self.config,
            "credential": ManagedCredential(owner=OWNER, places=[(self.store, PLACE)]),
            "command": [sys.executable, "-I", str(folder / "influxctl.py")],
        }
        self.issuer = InfluxctlIssuer(name="cluster", timeout=timedelta(seconds=20), clock=CLOCK, **(given | options))

    def put(self, string: str, number: int = 1) -> None:
        """Store a token, whatever is stored."""
        before = str(len(self.store.versions.get(PLACE.path, [])))
        self.store.write(PLACE, OWNER, a_record(number, token=SecretText(string)), before)

    def answer(self, anybody: dict[str, list[Any]] | None = None, **by_token: dict[str, list[Any]]) -> None:
        """Say what influxctl answers to whom: STORED, INITIAL and NEWER by their names."""
        names = {"stored": STORED, "initial": INITIAL, "newer": NEWER}
        answers = {names[name]: answer for name, answer in by_token.items()} | {"anybody": anybody or {}}
        (self.folder / "answers").write_text(json.dumps(answers))

    @property
    def calls(self) -> list[dict[str, Any]]:
        """How influxctl was called, in order."""
        log = self.folder / "calls"
        return [json.loads(line) for line in log.read_text().splitlines()] if log.exists() else []

    def callers(self) -> list[str | None]:
        """With which tokens it was called, in order."""
        return [call["profile"].get("mgmt_token") for call in self.calls]


@pytest.fixture
def make(tmp_path: Path) -> Iterator[Make]:
    """Give a maker of benches."""
    made: list[Bench] = []

    def bench(auth: str = f'mgmt_token = "{INITIAL}"', stored: str | None = STORED, **options: Any) -> Bench:
        made.append(Bench(tmp_path, auth, stored, **options))
        return made[-1]

    yield bench
    for one in made:
        one.issuer.close()


def test_profile_of_a_call(make: Make) -> None:
    """It is 0600, in memory, holds the one token and no other secret, and is gone when the call has ended."""
    bench = make('[profile.auth.oauth2]\nclient_id = "someone"\n[profile.auth.token]\ntoken_file = "/x"')
    assert bench.issuer.list().credential == a_record().rotation_id
    (call,) = bench.calls
    assert call["mode"] == 0o600
    assert tomllib.loads(call["text"])["profile"] == [
        {
            "name": "default",
            "product": "clustered",
            "host": "cluster.example.com",
            "tls": {"insecure": True},
            "mgmt_token": STORED,
        }
    ]
    assert not Path(call["config"]).exists()
    assert Path(call["cwd"]) == Path(call["config"]).parent == Path(call["environ"]["HOME"])
    shown = json.dumps([call["argv"], call["environ"]])
    assert STORED not in shown
    if os.path.ismount("/dev/shm"):  # where memory can be had
        assert call["config"].startswith("/dev/shm/")
        assert bench.issuer.list().warnings == ()


def test_gone_when_influxctl_cannot_be_run(make: Make) -> None:
    """Whatever goes wrong, the file is removed."""
    bench = make(command=["/no/such/influxctl"])
    with pytest.raises(IssuerRefusedError):
        bench.issuer.list()
    assert not [path for path in bench.issuer._private.here().rglob("*") if path.is_file()]


def test_stored_then_read_again_then_initial(make: Make) -> None:
    """A refused credential is read again, and the configuration as it stands comes last."""
    bench = make()
    bench.answer(stored=REFUSING, newer=REFUSING)
    read = bench.store.read

    def replaced(*given: Any) -> Any:
        stored = read(*given)
        if len(bench.store.versions[PLACE.path]) == 1:
            bench.put(NEWER, 2)
        return stored

    object.__setattr__(bench, "store", bench.store)
    credential = ManagedCredential(owner=OWNER, places=[(_Reads(replaced), PLACE)])
    issuer = InfluxctlIssuer(
        name="cluster",
        command=[sys.executable, "-I", str(bench.folder / "influxctl.py")],
        timeout=timedelta(seconds=20),
        clock=CLOCK,
        config=bench.config,
        credential=credential,
    )
    assert issuer.list().credential is None
    assert bench.callers() == [STORED, NEWER, INITIAL]
    assert bench.calls[-1]["config"] == str(bench.config)
    issuer.close()


class _Reads(FakeStore):
    """A store that is read by a function."""

    __slots__ = ("_by",)

    def __init__(self, by: Callable[..., Any]) -> None:
        super().__init__(FakeClock())
        self._by = by

    def read(self, *given: Any) -> Any:
        """Read by the function."""
        return self._by(*given)


def test_without_an_initial_one_the_refusal_is_told(make: Make) -> None:
    """The profile has no authentication of its own: nobody is asked to log in, and the message says what to do."""
    bench = make(auth="")
    bench.answer(REFUSING)
    with pytest.raises(CredentialRefusedError, match="put a live management token into mgmt_token"):
        bench.issuer.list()
    assert bench.callers() == [STORED]


def test_nothing_stored(make: Make) -> None:
    """The configuration as it stands is used; without authentication in it the message says where to put one."""
    bench = make(stored=None)
    assert bench.issuer.list().credential is None
    assert bench.callers() == [INITIAL]
    bare = make(auth="", stored=None)
    with pytest.raises(IssuerRefusedError, match=r"telegraf, is not stored at vault:influx/telegraf.* no initial one"):
        bare.issuer.list()


def test_store_gives_no_answer(make: Make) -> None:
    """Nobody is called: the initial one is not the way round a store that is down."""
    bench = make()
    bench.store.down = True
    with pytest.raises(IssuerUnavailableError, match="cannot be read from vault:influx/telegraf"):
        bench.issuer.create(request())
    assert bench.calls == []


@pytest.mark.parametrize(
    ("said", "callers"),
    [
        ("rpc error: code = Unauthenticated desc = no", [STORED, INITIAL]),
        ("token has been revoked", [STORED, INITIAL]),
        ("open your browser at https://x.example/activate", [STORED, INITIAL]),
        ("rpc error: code = Unavailable desc = 401 unauthorized by a proxy, connection reset", [STORED]),
        ("rpc error: code = PermissionDenied desc = no", [STORED]),
        ("rpc error: code = Internal desc = who knows", [STORED]),
    ],
)
def test_create_goes_on_only_when_surely_nothing_was_created(make: Make, said: str, callers: list[str]) -> None:
    """Another credential creates only where the first was turned away as a stranger."""
    bench = make()
    bench.answer({"create": CREATED}, stored={"create": ["", f"Error: {said}", 1]})
    try:
        assert bench.issuer.create(request()).token_id == "new"
    except (IssuerRefusedError, OutcomeUnknownError):
        assert callers == [STORED]
    assert bench.callers() == callers


def test_revoke_by_the_initial_one(make: Make) -> None:
    """A refused revocation is tried by the next credential."""
    bench = make()
    bench.answer(stored=REFUSING)
    bench.issuer.revoke(an_issued())
    assert bench.callers() == [STORED, INITIAL]


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (lambda config: config.unlink(), r"config.toml \(issuers.cluster.config\) cannot be read \(No such file"),
        (lambda config: config.write_text(f"mgmt_token = {STORED}"), "is not TOML: mend it"),
        (lambda config: config.write_bytes(b"\xff" + STORED.encode()), "is not TOML: mend it"),
        (lambda config: config.write_text('[[profile]]\nname = "a"'), r"has no \[\[profile\]\] with name = 'default'"),
        (lambda config: config.write_text(f'profile = "{STORED}"'), r"has no \[\[profile\]\] with name = 'default'"),
    ],
)
def test_unusable_config(make: Make, change: Callable[[Path], object], words: str) -> None:
    """The file and the remedy are named, and nothing of its content."""
    bench = make()
    change(bench.config)
    with pytest.raises(IssuerRefusedError, match=words) as caught:
        bench.issuer.list()
    error: BaseException | None = caught.value
    while error is not None:
        assert STORED not in repr(error)
        error = error.__context__
    assert bench.calls == []


def test_config_is_missing() -> None:
    """Without a config file there is nothing to make profiles from."""
    credential = ManagedCredential(owner=OWNER, places=[(FakeStore(FakeClock()), PLACE)])
    with pytest.raises(ConfigurationError, match=r"issuers.cluster.config is missing"):
        InfluxctlIssuer(name="cluster", command=["x"], timeout=timedelta(1), clock=CLOCK, credential=credential)


@pytest.mark.parametrize(
    ("answers", "accepted"),
    [
        ({}, True),
        ({"revoke": ["", "Error: rpc error: code = NotFound desc = token not found", 1]}, True),
        ({"revoke": ["", "Error: something that nobody has documented", 1]}, True),
        ({"list": UNAUTHENTICATED}, False),
        ({"revoke": UNAUTHENTICATED}, False),
        ({"revoke": ["", "Error: rpc error: code = PermissionDenied desc = no", 1]}, False),
        ({"list": ["", "Error: dial tcp: connection refused", 1]}, None),
        ({"revoke": ["", "Error: rpc error: code = Unavailable desc = try again", 1]}, None),
        ({"revoke": ["", "Error: dial tcp: no such host", 1]}, None),
    ],
)
def test_accepts(make: Make, answers: dict[str, list[Any]], accepted: bool | None) -> None:  # noqa: FBT001  # of a table
    """A list and a revocation of what nobody has; no answer is an error, and only a stranger is refused."""
    bench = make()
    bench.answer(newer=answers)
    if accepted is None:
        with pytest.raises(IssuerUnavailableError):
            bench.issuer.accepts(SecretText(NEWER))
    else:
        assert bench.issuer.accepts(SecretText(NEWER)) is accepted
    assert set(bench.callers()) == {NEWER}
    revoked = [call["argv"][-1] for call in bench.calls if call["action"] == "revoke"]
    assert all(len(token_id) == 36 and token_id not in {"new", "id-1"} for token_id in revoked)


def test_hopeless_login_is_not_waited_for(make: Make) -> None:
    """Influxctl that waits for a person to log in is ended at once, and the next credential is tried."""
    bench = make()
    script = (bench.folder / "influxctl.py").read_text().partition("answers =")[0]
    waits = (
        f'if profile.get("mgmt_token") != "{INITIAL}":',
        '    print("open your browser", file=sys.stderr, flush=True)',
        "    import threading; threading.Event().wait()",
        'print("[]")',
    )
    (bench.folder / "influxctl.py").write_text(script + "\n".join(waits))
    before = CLOCK.monotonic()
    assert bench.issuer.list().credential is None
    assert CLOCK.monotonic() - before < 15
    assert bench.callers() == [STORED, INITIAL]


def test_without_credential_no_file_is_written(make: Make) -> None:
    """The configuration is given as it is, and its HOME is where temporary files go."""
    bench = make(credential=None)
    bench.issuer.list()
    assert bench.calls[0]["config"] == str(bench.config)
    assert list(Path(bench.calls[0]["cwd"]).iterdir()) == []


@pytest.mark.parametrize("odd", ["\ud800", "\n", "\x00", "\x1b[2J", " ", "é", "\u2028"])
def test_credential_that_no_request_can_carry_is_refused_untold(make: Make, tmp_path: Path, odd: str) -> None:
    """It is put into no profile: the encoder's error would hold the whole of it. The initial one is used instead."""
    bench = make(stored=f"{STORED}{odd}tail")
    token, profile = SecretText(f"{STORED}{odd}tail"), Profile(issuer="cluster", config=bench.config)
    with (
        pytest.raises(CredentialRefusedError, match="no request can carry") as caught,
        profile.holding(token, tmp_path),
    ):
        pass
    assert "stored" not in f"{caught.value!r}"
    assert (caught.value.__cause__, caught.value.__context__) == (None, None)
    assert not list(tmp_path.glob("call-*"))
    bench.issuer.list()
    assert bench.callers() == [INITIAL]
