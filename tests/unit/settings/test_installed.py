"""Kinds of issuers and stores from other packages: how they are found, judged, refused and built."""

import sys
from collections.abc import Callable, Iterator
from copy import deepcopy
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
import yaml

from provisioner.catalog import make_issuer, make_store
from provisioner.domain.errors import ConfigurationError
from provisioner.settings.load import Settings, json_schema, load_settings
from tests.fakes.clock import FakeClock
from tests.packages import install

ACME = Path(__file__).with_name("acme_kinds.py").read_text()
BROKEN = {
    "gone": "import no_such_library_anywhere\n",
    "unwritten": "def (:\n",
    "leaving": "raise SystemExit(0)\n",
    "raising": "raise ZeroDivisionError('at ' + 'once')\n",
}
GOOD: dict[str, Any] = {
    "instance": "prod",
    "issuers": {"mine": {"type": "acme", "url": "https://acme.example"}},
    "stores": {"shelf": {"type": "acme-shelf", "file": "shelf.db"}},
    "tokens": [{"name": "telegraf", "issuer": "mine", "destinations": [{"store": "shelf", "path": "t"}]}],
}
BUILT_IN: dict[str, Any] = {
    "issuers": {"mine": {"type": "influxctl"}},
    "stores": {
        "shelf": {"type": "vault", "address": "https://v", "auth": {"method": "token", "token": {"env": "T"}}},
    },
}
SECTIONS = {"issuers": "mine", "stores": "shelf"}
Install = Callable[..., None]


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """Give a folder on sys.path, whose modules are forgotten at the end."""
    packages = tmp_path / "packages"
    packages.mkdir()
    monkeypatch.delenv("PROVISIONER_CONFIG", raising=False)
    monkeypatch.syspath_prepend(packages)
    yield packages
    for module in [path.stem for path in packages.glob("*.py")]:
        sys.modules.pop(module, None)


@pytest.fixture
def acme(folder: Path) -> Install:
    """Give a way to install the package; each point is a name and where in the module it points."""

    def install_it(*, has_permissions: bool = False, has_raw: bool = False, **points: str) -> None:
        text = ACME
        for trait, value in (("has_permissions", has_permissions), ("has_raw", has_raw)):
            text = text.replace(f"{trait}: ClassVar[bool] = False", f"{trait}: ClassVar[bool] = {value}")
        issuers = {"acme": "ISSUER"} | points
        groups = {
            "provisioner.issuers": {name.replace("_", "-"): f"acme_kinds:{what}" for name, what in issuers.items()},
            "provisioner.stores": {"acme-shelf": "acme_kinds:STORE"},
        }
        install(folder, "acme-kinds 1.0", {"acme_kinds": text}, groups)

    return install_it


def load(tmp_path: Path, content: dict[str, Any] = GOOD, **changes: Any) -> Settings:
    """Load the good configuration with whole sections changed."""
    file = tmp_path / "provisioner.yaml"
    file.write_text(yaml.safe_dump(content | changes))
    return load_settings(file)[0]


def refusal(tmp_path: Path, content: dict[str, Any] = GOOD, **changes: Any) -> list[str]:
    """Load it in vain; give the problems."""
    with pytest.raises(ConfigurationError) as caught:
        load(tmp_path, content, **changes)
    assert caught.value.__cause__ is caught.value.__context__ is None
    return str(caught.value).splitlines()[1:]


def issuer(**changes: Any) -> dict[str, Any]:
    """Give the issuer's section with some keys changed."""
    return {"mine": GOOD["issuers"]["mine"] | changes}


def test_kinds_of_another_package_are_read_and_built(acme: Install, tmp_path: Path) -> None:
    """Settings are of the kind's own model, with its defaults; it is built from name, settings and surroundings."""
    acme()
    settings, clock = load(tmp_path), FakeClock()
    built: Any = make_issuer("mine", settings.issuers["mine"], clock)
    shelf: Any = make_store("shelf", settings.stores["shelf"], clock)
    assert (built.name, built.settings.url) == ("mine", "https://acme.example")
    assert (built.settings.type, built.settings.timeout) == ("acme", timedelta(seconds=30))
    assert built.surroundings.clock is shelf.surroundings.clock is clock
    assert (shelf.name, shelf.settings.file) == ("shelf", "shelf.db")
    assert set(built.surroundings.environment) <= {"PATH", "LANG", "LC_ALL", "TZ"} | set(shelf.surroundings.environment)
    assert [str(place) for token in settings.managed_tokens() for place in token.destinations] == ["shelf:t"]


def test_they_stand_beside_ours(acme: Install, tmp_path: Path) -> None:
    """One configuration has kinds of ours and of others."""
    acme()
    sections = {section: GOOD[section] | {"ours": BUILT_IN[section][name]} for section, name in SECTIONS.items()}
    settings = load(tmp_path, **sections)
    assert {name: each.type for name, each in settings.issuers.items()} == {"mine": "acme", "ours": "influxctl"}
    assert {name: each.type for name, each in settings.stores.items()} == {"shelf": "acme-shelf", "ours": "vault"}


def test_all_their_problems_are_told_at_once(acme: Install, tmp_path: Path) -> None:
    """Each by its key, in our words, beside the problems of ours."""
    acme()
    mine = {
        "type": "acme",
        "timeout": 5,
        "retries": 10,
        "place": {"floor": "ground", "elevator": True},
        "code": "xyz",
        "urll": "https://acme.example",
        "auth": "s3cr3t-of-mine",
    }
    lines = refusal(tmp_path, issuers={"mine": mine}, stores={"shelf": {"type": "acme-shelf"}}, log={"level": "loud"})
    assert lines == [
        "issuers.mine.url: is missing",
        "issuers.mine.auth: secrets are never written in the file: use {file: PATH} or {env: NAME}",
        "issuers.mine.timeout: write a duration with its unit, such as 30d, 12h, 15m, 90s or P30D",
        "issuers.mine.retries: must be less than or equal to 9",
        "issuers.mine.place.floor: must be a valid integer, unable to parse string as an integer",
        "issuers.mine.place.elevator: unknown key: remove it, or see `provisioner schema` for the keys there are",
        "issuers.mine.code: must match the pattern ^[a-f]+$",
        "issuers.mine.urll: unknown key, did you mean url?",
        "stores.shelf.file: is missing",
        "log.level: must be 'debug', 'info', 'warning' or 'error'",
    ]


def test_their_messages_repeat_no_value(acme: Install, tmp_path: Path) -> None:
    """What a validator of theirs puts into its message of the value is taken out of it."""
    acme()
    (line,) = refusal(tmp_path, issuers=issuer(fancy="my s3cr3t"))
    assert line == "issuers.mine.fancy: [redacted] will not do, take another"


def test_validator_that_breaks_down_is_told_without_a_trace(acme: Install, tmp_path: Path) -> None:
    """An error that is none of pydantic's says whose code it was and its kind, and no value."""
    acme()
    (line,) = refusal(tmp_path, issuers=issuer(fancy="crash-please"))
    assert line == "the settings cannot be read by acme_kinds (KeyError): have its authors mend it"


def test_environment_lies_on_top_of_theirs(acme: Install, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A variable overrides a key of another package's kind as it does one of ours, and may name the kind."""
    acme()
    monkeypatch.setenv("PROVISIONER__ISSUERS__MINE__RETRIES", "7")
    monkeypatch.setenv("PROVISIONER__ISSUERS__MINE__PLACE", "{floor: 2}")
    monkeypatch.setenv("PROVISIONER__ISSUERS__MINE__TIMEOUT", "5s")
    monkeypatch.setenv("PROVISIONER__STORES__SHELF__TYPE", "acme-shelf")
    monkeypatch.setenv("PROVISIONER__STORES__SHELF__FILE", "other.db")
    settings = load(tmp_path, stores={"shelf": {"type": "vault"}})
    mine, shelf = settings.issuers["mine"].model_dump(), settings.stores["shelf"].model_dump()
    assert (mine["retries"], mine["place"], mine["timeout"]) == (7, {"floor": 2}, "5s")
    assert shelf["file"] == "other.db"
    monkeypatch.setenv("PROVISIONER__ISSUERS__MINE__RETRIE", "7")
    assert refusal(tmp_path) == ["issuers.mine.retrie: unknown key, did you mean retries?"]


def test_kind_that_is_not_installed(acme: Install, tmp_path: Path) -> None:
    """The refusal names the type, those that are built in, those that are installed, and the remedy; others follow."""
    acme()
    lines = refusal(tmp_path, issuers={"mine": {"type": "akme", "urll": "x"}}, instance="Not A Label")
    assert lines == [
        "instance: must be lower-case letters, digits and hyphens, at most 63 (a DNS label)",
        (
            "issuers.mine: type must be one of 'influxctl', 'influxdb3', 'influxdb-management-api' (installed besides:"
            " 'acme'), and is 'akme': correct it, or install the package that brings it"
        ),
    ]


def test_type_that_may_be_a_secret_is_not_repeated(tmp_path: Path) -> None:
    """A token in the place of the type is not shown, whatever its form."""
    (line,) = refusal(
        tmp_path, BUILT_IN | {k: GOOD[k] for k in ("instance", "tokens")}, issuers={"mine": {"type": 26 * "q7"}}
    )
    assert "q7" not in line
    assert "'[redacted]': correct it" in line


@pytest.mark.parametrize(
    ("point", "words"),
    [
        ("gone:KIND", "cannot be loaded (ModuleNotFoundError: No module named 'no_such_library_anywhere')"),
        ("unwritten:KIND", "cannot be loaded (SyntaxError: invalid syntax"),
        ("raising:KIND", "cannot be loaded (ZeroDivisionError: at once)"),
        ("leaving:KIND", "cannot be loaded (SystemExit: 0)"),
        ("acme_kinds:CHILDLESS", "is not usable: its settings fail (TypeError)"),
        ("acme_kinds:NOTHING", "cannot be loaded (AttributeError: module 'acme_kinds' has no attribute 'NOTHING')"),
        ("acme_kinds", "is not usable: acme_kinds is no IssuerKind of provisioner.settings.kinds"),
        ("acme_kinds:STORE", "is not usable: acme_kinds:STORE is no IssuerKind of provisioner.settings.kinds"),
        ("acme_kinds:PLAIN", "is not usable: its settings are no subclass of provisioner.settings.model.IssuerSection"),
        ("acme_kinds:NO_CLASS", "its settings are no subclass of provisioner.settings.model.IssuerSection"),
        ("acme_kinds:LOOSE", "is not usable: its settings take unknown keys"),
    ],
)
def test_package_that_cannot_be_used(point: str, words: str, acme: Install, folder: Path, tmp_path: Path) -> None:
    """What is wrong with a package is a problem of the configuration like any other, and names the package."""
    acme()
    install(folder, "odd-kinds 2.1", BROKEN, {"provisioner.issuers": {"odd": point}})
    lines = refusal(tmp_path, issuers=issuer(type="odd"), log={"level": "loud"})
    assert len(lines) == 2, lines
    assert lines[0].startswith(f"issuers.mine: type 'odd' {'' if 'CHILDLESS' in point else 'of odd-kinds 2.1 '}")
    assert words in lines[0]
    assert lines[1].startswith("log.level: ")


@pytest.mark.parametrize("content", [b"[provisioner.issuers]\nno value\n", b"[provisioner.issuers]\nx = \xff:x\n"])
def test_package_whose_description_is_damaged(content: bytes, acme: Install, folder: Path, tmp_path: Path) -> None:
    """It makes what all packages bring unreadable: that is told, with what to do."""
    acme()
    install(folder, "odd-kinds 2.1", {}, {})
    (folder / "odd_kinds-2.1.dist-info" / "entry_points.txt").write_bytes(content)
    with pytest.raises(ConfigurationError, match=r"damaged entry_points\.txt, install it anew"):
        load(tmp_path)
    load(tmp_path, **BUILT_IN)


def test_two_packages_with_one_kind(acme: Install, folder: Path, tmp_path: Path) -> None:
    """Which of two would be taken is not left to chance."""
    acme()
    install(folder, "other-acme 3.0", {}, {"provisioner.issuers": {"acme": "acme_kinds:ISSUER"}})
    (line,) = refusal(tmp_path)
    assert line == (
        "issuers.mine: type 'acme' is brought by acme-kinds 1.0 and other-acme 3.0: uninstall all of them but one"
    )


def test_kind_of_ours_cannot_be_taken_over(acme: Install, tmp_path: Path) -> None:
    """A package that brings one by a name of ours is refused as soon as any package is looked at, and never used."""
    acme(influxctl="ISSUER")
    (line,) = refusal(tmp_path)
    assert line == (
        "issuers: acme-kinds 1.0 brings a kind named 'influxctl', which is built in and cannot be taken over:"
        " uninstall it, or rename its entry point"
    )
    settings = load(tmp_path, issuers=BUILT_IN["issuers"])
    assert type(settings.issuers["mine"]).__module__ == "provisioner.settings.issuers"


def test_no_package_is_looked_at_for_kinds_of_ours(acme: Install, folder: Path, tmp_path: Path) -> None:
    """With built-in types alone no code of others is run, whatever is installed."""
    acme()
    install(folder, "odd-kinds 2.1", BROKEN, {"provisioner.issuers": {"odd": "raising:KIND"}})
    load(tmp_path, **BUILT_IN)
    assert "acme_kinds" not in sys.modules
    load(tmp_path)
    assert "acme_kinds" in sys.modules


def test_permissions_of_theirs(acme: Install, tmp_path: Path) -> None:
    """Permissions are refused unless the kind says that its tokens have them."""
    acme()
    tokens = deepcopy(GOOD["tokens"])
    tokens[0]["permissions"] = [{"action": "read", "resource": "doors"}]
    (line,) = refusal(tmp_path, tokens=tokens)
    assert line == "tokens[telegraf].permissions: tokens of mine (type acme) have no permissions: leave it out"


def test_permissions_where_they_have_them(acme: Install, tmp_path: Path) -> None:
    """A kind whose tokens have permissions is handed them as they are."""
    acme(has_permissions=True)
    tokens = deepcopy(GOOD["tokens"])
    tokens[0]["permissions"] = [{"action": "read", "resource": "doors"}]
    (token,) = load(tmp_path, tokens=tokens).managed_tokens()
    assert [str(permission) for permission in token.permissions] == ["read:doors"]


@pytest.mark.parametrize("has_raw", [False, True])
def test_bare_tokens_in_theirs(acme: Install, tmp_path: Path, *, has_raw: bool) -> None:
    """``format: raw`` is refused unless the kind says that it can hold a bare token."""
    acme(has_raw=has_raw)
    tokens = deepcopy(GOOD["tokens"])
    tokens[0]["destinations"][0]["format"] = "raw"
    if has_raw:
        assert load(tmp_path, tokens=tokens).managed_tokens()
        return
    (line,) = refusal(tmp_path, tokens=tokens)
    words = "stores of type acme-shelf hold JSON alone: leave it out"
    assert line == f"tokens[telegraf].destinations[0].format: {words}"


def test_managed_credential_of_theirs(acme: Install, tmp_path: Path) -> None:
    """A kind that declares the key is called with a managed token, which has to be there."""
    acme()
    (token,) = load(tmp_path, issuers=issuer(credential="telegraf")).managed_tokens()
    assert token.credential_of == ("mine",)
    (line,) = refusal(tmp_path, issuers=issuer(credential="nobody"))
    assert line == "issuers.mine.credential: no token is named 'nobody'; there are: telegraf"


def test_reader_of_theirs(acme: Install, tmp_path: Path) -> None:
    """A kind with the key is read back as consumers read, when it stands there."""
    acme()
    readers = [{}, {"reader": "consumer"}]
    shelves = [load(tmp_path, stores={"shelf": GOOD["stores"]["shelf"] | reader}) for reader in readers]
    assert [settings.managed_tokens()[0].primary.has_reader for settings in shelves] == [False, True]


@pytest.mark.parametrize(
    ("kind", "words"),
    [
        ("HALF", "has no create, prove, revoke, amend, accepts: another version"),
        ("FAILS", "could not be built (RuntimeError at "),
        ("LEAVES", "could not be built (SystemExit at "),
        ("SHY", "has no list, create, prove, revoke, amend, accepts, close: another version"),
        ("REFUSES", "issuers.mine.url: is not mine"),
    ],
)
def test_kind_that_cannot_be_built(kind: str, words: str, acme: Install, tmp_path: Path) -> None:
    """What a package fails to build is an error of the configuration, without its text."""
    acme(odd=kind)
    settings = load(tmp_path, issuers=issuer(type="odd"))
    with pytest.raises(ConfigurationError) as caught:
        make_issuer("mine", settings.issuers["mine"], FakeClock())
    assert words in str(caught.value)
    assert "acme.example" not in str(caught.value)
    assert caught.value.__cause__ is caught.value.__context__ is None


def test_schema_allows_kinds_of_others() -> None:
    """An editor takes any section whose type is none of ours, and ours as they are."""
    for section, ours in (("issuers", "influxctl"), ("stores", "vault")):
        (entry,) = json_schema()["properties"][section]["patternProperties"].values()
        *_, others = entry["oneOf"]
        assert (others["type"], others["required"]) == ("object", ["type"])
        assert set(others["properties"]) == {"type"}
        assert set(others["properties"]["type"]["not"]["enum"]) == set(entry["discriminator"]["mapping"])
        assert ours in others["properties"]["type"]["not"]["enum"]


@pytest.mark.parametrize("failure", ["RuntimeError", "SystemExit"])
@pytest.mark.parametrize("asked", ["called_with", "has_reader"])
def test_settings_that_cannot_say_what_they_are(
    asked: str, failure: str, acme: Install, folder: Path, tmp_path: Path
) -> None:
    """What we ask of them between the keys may fail, too: that is a problem of the configuration, told without text."""
    acme()
    text = (folder / "acme_kinds.py").read_text()
    base = "IssuerSection" if asked == "called_with" else "StoreSection"
    odd = f"\n    @property\n    def {asked}(self):\n        raise {failure}('M.V1.hidden')\n"
    text += f"\nclass Odd({base}):\n    url: str = ''\n    file: str = ''\n{odd}\n"
    kind = base.replace("Section", "Kind")
    text += f"from provisioner.settings.kinds import {kind}\nODD = {kind}(settings=Odd, build=print)\n"
    group = "issuers" if asked == "called_with" else "stores"
    install(folder, "odd-kinds 2.1", {"odd_kinds": text}, {f"provisioner.{group}": {"odd": "odd_kinds:ODD"}})
    ours = {"issuers": issuer(), "stores": GOOD["stores"]}
    odd_one = {"issuers": {"mine": {"type": "odd"}}, "stores": {"shelf": {"type": "odd"}}}[group]
    (line,) = refusal(tmp_path, **(ours | {group: odd_one}))
    assert line.startswith("the settings cannot be read by ")
    assert f"({failure}): have its authors mend it" in line


def test_what_a_package_prints_while_it_is_loaded_gets_into_no_output(
    acme: Install, folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """It is on standard error: standard output may be JSON."""
    acme()
    module = folder / "acme_kinds.py"
    module.write_text(module.read_text() + "\nprint('hello from acme')\n")
    load(tmp_path)
    out, err = capsys.readouterr()
    assert (out, "hello from acme" in err) == ("", True)
