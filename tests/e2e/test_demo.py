"""The demo, of each kind of issuer: it rotates, ends, tells no token, and leaves nothing behind."""

import os
import re
import signal
import stat
import subprocess
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from datetime import timedelta
from pathlib import Path
from typing import Any

import hvac
import psutil
import pytest
import yaml

from provisioner.cli.demo_issuers import NAMES, IssuerKind
from provisioner.domain.scrub import scrub
from provisioner.runtime.clock import SystemClock
from provisioner.settings.issuers import ISSUERS
from provisioner.simulators.cluster import Cluster
from tests.leaks.search import assert_untold
from tests.site import COMMAND

ROTATIONS = 3
PATIENCE = timedelta(seconds=90)
LOOKS_LIKE_A_TOKEN = re.compile(r"M\.V1\.|apiv\d_|dev-[0-9a-f]{8}")


@dataclass(frozen=True, slots=True, kw_only=True)
class Seen:
    """What was there while a demo ran."""

    issuer: dict[str, Any]
    secrets: list[str] = field(repr=False)
    modes: dict[str, int]
    cluster_was_guarded: bool
    children: dict[psutil.Process, str]


@dataclass(frozen=True, slots=True)
class Demo:
    """A demo in a process of its own, with a folder of its own for temporary files."""

    process: "subprocess.Popen[bytes]"
    folder: Path

    @property
    def temporary(self) -> Path:
        """Where its temporary files are, and nobody else's."""
        return self.folder / "tmp"

    @property
    def said(self) -> str:
        """Give what it has printed so far."""
        return (self.folder / "output.txt").read_text()

    @property
    def last_words(self) -> str:
        """Give the end of that for a failure, free of whatever looks like a token."""
        return scrub(self.said[-3000:], longest=3000)

    @property
    def children(self) -> dict[psutil.Process, str]:
        """Give what it has started and what has not ended yet, each with what it is."""
        return {child: str(child) for child in psutil.Process(self.process.pid).children(recursive=True)}

    def wait_for(self, what: str, happened: Callable[[], bool]) -> None:
        """Look until something has happened; fails when the demo ends before, or takes too long."""
        clock = SystemClock()
        deadline = clock.monotonic() + PATIENCE.total_seconds()
        while not happened():
            assert self.process.poll() is None, f"the demo ended before {what}: {self.last_words}"
            assert clock.monotonic() < deadline, f"{what} did not come: {self.last_words}"
            clock.sleep(timedelta(milliseconds=50))

    def look(self) -> Seen:
        """Wait until every token is stored, and read them as an operator of this machine could."""
        self.wait_for("the first tokens", lambda: all(self.has_stored(name, 1) for name in NAMES))
        home = next(self.temporary.glob("provisioner-demo-*"))
        content = yaml.safe_load((home / "provisioner.yaml").read_text())
        private = [home / name for name in ("vault-token", "operator-token", "influxctl.toml")]
        private = [path for path in private if path.exists()]
        credentials = [path.read_text() for path in private if path.suffix != ".toml"]
        credentials += [line for path in private for line in re.findall(r'mgmt_token = "(.+)"', path.read_text())]
        return Seen(
            issuer=content["issuers"]["cluster"],
            secrets=[*credentials, *_stored(content["stores"]["openbao"]["address"], home / "vault-token")],
            modes={path.name: stat.S_IMODE(path.stat().st_mode) for path in private},
            cluster_was_guarded=Cluster(home / "cluster").knobs().guarded,
            children=self.children,
        )

    def has_stored(self, name: str, version: int) -> bool:
        """Tell whether it said that it has stored that version of a token."""
        return re.search(rf"{name} +stored .+ version {version}\n", self.said) is not None


def _stored(address: str, root_token: Path) -> list[str]:
    """Read what consumers do."""
    client = hvac.Client(url=address, token=root_token.read_text())
    read = client.secrets.kv.v2.read_secret_version
    try:
        secrets = [read(path=f"influx/{name}", raise_on_deleted_version=True) for name in NAMES]
    finally:
        client.session.close()
    return [secret["data"]["data"]["token"] for secret in secrets]


Shown = dict[IssuerKind, tuple[Demo, Seen]]
of_each_kind = pytest.mark.parametrize("kind", IssuerKind)


@contextmanager
def a_demo(folder: Path, *options: str) -> Iterator[Demo]:
    """Start the command as a person would; it is killed at the end, if it has not ended by then."""
    (folder / "tmp").mkdir()
    with (folder / "output.txt").open("wb") as output:
        process = subprocess.Popen(
            [str(COMMAND), "demo", *options],
            env={"PATH": os.defpath, "TMPDIR": str(folder / "tmp")},
            stdout=output,
            stderr=output,
            cwd=folder,
            start_new_session=True,
        )
    try:
        yield Demo(process, folder)
    finally:
        if process.poll() is None:
            process.kill()
        process.wait()


@pytest.fixture(scope="module")
def shown(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Shown]:
    """Run one demo of each kind, all at once, to their ends."""
    with ExitStack() as stack:
        demos: dict[IssuerKind, Demo] = {}
        for kind in IssuerKind:
            options = ("--issuer", kind.value, "--rotations", str(ROTATIONS))
            demos[kind] = stack.enter_context(a_demo(tmp_path_factory.mktemp("demo"), *options))
        seen = {kind: (demo, demo.look()) for kind, demo in demos.items()}
        for demo, _ in seen.values():
            demo.process.wait(PATIENCE.total_seconds())
        yield seen


def leaves_nothing(demo: Demo, children: dict[psutil.Process, str]) -> None:
    """Check that it has ended well, its servers with it, and that no temporary file is left."""
    status = demo.process.wait(PATIENCE.total_seconds())
    assert status == 0, demo.last_words
    says_so = "everything is stopped" in demo.said
    assert says_so
    assert any("bao" in what for what in children.values()), "OpenBao was not seen to run"
    left = [child for child in children if child.is_running()]
    for child in left:
        child.kill()
    assert left == []
    assert list(demo.temporary.iterdir()) == []


@of_each_kind
def test_demo_rotates_and_ends_by_itself(shown: Shown, kind: IssuerKind) -> None:
    """Each kind rotates so often, nothing fails, and then it is over: status 0, no process, no file."""
    demo, seen = shown[kind]
    leaves_nothing(demo, seen.children)
    done = re.search(r"done: (\d+) rotations", demo.said)
    assert done is not None, demo.last_words
    assert int(done[1]) >= ROTATIONS
    nothing_failed = " failed " not in demo.said
    assert nothing_failed, demo.last_words
    assert any(demo.has_stored(name, 2) for name in NAMES)


@of_each_kind
def test_demo_calls_an_issuer_that_asks_for_a_credential(shown: Shown, kind: IssuerKind) -> None:
    """The issuer is of that kind; what it is called with stands in a file for its owner alone."""
    _, seen = shown[kind]
    assert seen.issuer["type"] == kind
    named = Path(seen.issuer["config"] if kind is IssuerKind.INFLUXCTL else seen.issuer["auth"]["file"])
    assert seen.modes == {"vault-token": 0o600, named.name: 0o600}
    assert seen.cluster_was_guarded or kind is not IssuerKind.INFLUXCTL


@of_each_kind
def test_demo_proves_tokens_by_using_them(shown: Shown, kind: IssuerKind) -> None:
    """New tokens are listed at once, and work a moment later: that was noticed."""
    demo, _ = shown[kind]
    noticed = re.search(r"proven .+ works at the \d+\. try", demo.said) is not None
    assert noticed, demo.last_words


@of_each_kind
def test_demo_prints_no_token(shown: Shown, kind: IssuerKind) -> None:
    """Neither the tokens that it stored first, nor its own credentials, nor anything that looks like one."""
    demo, seen = shown[kind]
    assert len(set(seen.secrets)) == len(NAMES) + 2
    for secret in seen.secrets:
        assert_untold(secret, demo.said)
    looks_like_one = LOOKS_LIKE_A_TOKEN.search(demo.said) is not None
    assert not looks_like_one


def test_ctrl_c_ends_the_demo_with_everything_stopped(tmp_path: Path) -> None:
    """Without an option, Ctrl-C in the midst of the first rotations ends it: status 0, no process, no file."""
    with a_demo(tmp_path) as demo:
        demo.wait_for("a token", lambda: " created " in demo.said)
        children = demo.children
        os.killpg(demo.process.pid, signal.SIGINT)  # a terminal sends it to all that it sees
        leaves_nothing(demo, children)
    rotated = re.search(r"done: (\d+) rotations", demo.said)
    assert rotated is not None
    assert rotated[1] == "0"


def test_unknown_kind_is_refused(tmp_path: Path) -> None:
    """A kind that there is not is exit 2, and the message names those that there are."""
    with a_demo(tmp_path, "--issuer", "influxdb2") as demo:
        assert demo.process.wait(PATIENCE.total_seconds()) == 2
    for word in ("--issuer", "influxdb2", *IssuerKind):
        assert word in demo.said.replace("\n", " ")
    assert list(demo.temporary.iterdir()) == []


def test_every_built_in_kind_can_be_shown() -> None:
    """A kind that is added has a demo, too."""
    assert set(IssuerKind) == set(ISSUERS)
