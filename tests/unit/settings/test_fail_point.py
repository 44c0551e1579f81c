"""The variable that kills a process in a test: what it may say, and that nothing else can."""

from pathlib import Path

import pytest
import yaml

from provisioner.domain.errors import ConfigurationError
from provisioner.settings.fail_point import OPERATIONS, VARIABLE, FailPoint, fail_point
from provisioner.settings.load import load_settings
from tests.unit.settings.test_load import GOOD


def test_nothing_is_set(monkeypatch: pytest.MonkeyPatch) -> None:
    """As it is everywhere but in a crash test."""
    monkeypatch.delenv(VARIABLE, raising=False)
    assert fail_point() is None


@pytest.mark.parametrize("operation", OPERATIONS)
def test_points(operation: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Every call to an issuer or a store has a moment before and one after it, and can be counted."""
    monkeypatch.setenv(VARIABLE, f"{operation}:before")
    assert fail_point() == FailPoint(operation=operation, after=False, count=1)
    monkeypatch.setenv(VARIABLE, f"{operation}:after:12")
    assert fail_point() == FailPoint(operation=operation, after=True, count=12)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "store.write",
        "store.write:",
        "store.write:inside",
        "store.write:after:0",
        "store.write:after:-1",
        "store.write:after:x",
        "store.write:after:1:1",
        "store.create:after",
        "store.check:before",
        "Store.Write:before",
        " store.write:before",
        "store.write:before\n",
    ],
)
def test_what_it_cannot_mean_is_refused(text: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """A point that does not exist would never be reached, and its test would pass."""
    monkeypatch.setenv(VARIABLE, text)
    with pytest.raises(ConfigurationError, match=r"PROVISIONER_FAIL_POINT must be OPERATION:before .* store\.write"):
        fail_point()


def test_the_configuration_cannot_set_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """No key of the file does it, nor a variable that overrides one."""
    file = tmp_path / "provisioner.yaml"
    for key in ("fail_point", VARIABLE, VARIABLE.lower()):
        file.write_text(yaml.safe_dump({**GOOD, key: "store.write:before"}))
        with pytest.raises(ConfigurationError, match="unknown key"):
            load_settings(file)
    file.write_text(yaml.safe_dump(dict(GOOD)))
    monkeypatch.setenv("PROVISIONER__FAIL_POINT", "store.write:before")
    with pytest.raises(ConfigurationError, match="fail_point: unknown key"):
        load_settings(file)
