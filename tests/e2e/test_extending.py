"""docs/extending.md: its two packages, installed as they stand there, keep the contract and work in the command."""

import importlib.util
import json
import re
import sqlite3
import sys
from contextlib import closing
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

from tests.extending import run, unpack
from tests.site import COMMAND

CONTRACTS = {"turnstile": 14, "table": 16}
"""Package -> how many tests its contract suite has at least."""


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Give a folder with the files of the document, and its packages installed in ``packages``."""
    folder = tmp_path_factory.mktemp("extending")
    unpack(folder)
    return folder


def imported(path: Path) -> ModuleType:
    """Import a test file of the document, for the server in it."""
    spec = importlib.util.spec_from_file_location(path.stem, path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.mark.parametrize("package", CONTRACTS)
def test_examples_keep_the_contract(package: str, site: Path) -> None:
    """Every test of the suite passes over the example, and none is skipped, with warnings as errors."""
    pytest_ = (sys.executable, "-m", "pytest", "-q", "-W", "error", "-p", "no:cacheprovider", "--rootdir", str(site))
    ran = run(site, *pytest_, str(site / package))
    assert ran.status == 0, ran.output + ran.errors
    (passed,) = re.findall(r"^(\d+) passed in", ran.output, re.MULTILINE)
    assert int(passed) >= CONTRACTS[package]


def test_examples_work_in_the_command(site: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """``check`` is content, ``once`` makes a token there and stores it, once, and it can be the issuer's credential."""
    monkeypatch.syspath_prepend(site / "packages")
    turnstile: Any = imported(site / "turnstile/test_turnstile.py")
    table = tmp_path / "secrets.db"
    with turnstile.FakeTurnstile() as server:
        (tmp_path / "auth").write_text(server.secret_of(server.add("an operator's", None)["id"]))
        environment = {
            "PROVISIONER_CONFIG": str(site / "provisioner.yaml"),
            "PROVISIONER__ISSUERS__GATE__URL": server.url,
            "PROVISIONER__ISSUERS__GATE__AUTH__FILE": str(tmp_path / "auth"),
            "PROVISIONER__STORES__TABLE__FILE": str(table),
        }
        ran = [run(site, str(COMMAND), *words, **environment) for words in (["check"], ["once"], ["once"])]
        (tmp_path / "auth").write_text("of-nobody")
        managed = environment | {"PROVISIONER__ISSUERS__GATE__CREDENTIAL": "door-reader"}
        ran += [run(site, str(COMMAND), "check", **each) for each in (managed, environment)]
        server.shutdown()
    assert [each.status for each in ran] == [0, 0, 0, 0, 1], "\n".join(each.output + each.errors for each in ran)
    with closing(sqlite3.connect(table)) as database:
        ((document,),) = database.execute("select document from secrets where path = 'doors/reader'").fetchall()
    stored = json.loads(document)
    made = [token for token in server.tokens.values() if "[provisioner/prod-eu/door-reader " in token["note"]]
    assert [token["id"] for token in made] == [stored["token_id"]]
    assert server.tokens[stored["token"]] is made[0]
    assert not any(stored["token"] in text for each in ran for text in (each.output, each.errors))


def test_without_the_package_the_command_says_what_to_install(site: Path) -> None:
    """The same configuration is refused with the types that there are, in two lines and without a traceback."""
    environment = {"PROVISIONER_CONFIG": str(site / "provisioner.yaml"), "PYTHONPATH": ""}
    ran = run(site, str(COMMAND), "check", **environment)
    assert ran.status == 2
    told = " ".join(ran.errors.split())
    assert "issuers.gate: type must be one of 'influxctl'" in told
    assert "'turnstile': correct it, or install the package that brings it" in told
    assert "stores.table: type must be one of 'vault'" in told
    assert "Traceback" not in told
