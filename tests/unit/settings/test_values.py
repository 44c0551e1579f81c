"""Durations, windows and secret references."""

from datetime import UTC, datetime, timedelta
from pathlib import Path
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from provisioner.domain.errors import ConfigurationError
from provisioner.settings.durations import parse_duration, write_duration
from provisioner.settings.references import SecretReference, child_environment
from provisioner.settings.windows import CronWindow


@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        ("90s", 90),
        ("15m", 900),
        ("1h30m", 5400),
        ("30d", 2_592_000),
        ("2w", 1_209_600),
        ("500ms", 0.5),
        ("1.5h", 5400),
        ("P30D", 2_592_000),
        ("PT1H", 3600),
        (" 5S ", 5),
        ("0s", 0),
    ],
)
def test_durations(text: str, seconds: float) -> None:
    """Every documented form is read."""
    assert parse_duration(text) == timedelta(seconds=seconds)


@pytest.mark.parametrize(
    "value", ["", "5", 5, 5.0, True, None, "five", "5y", "-5s", "5s5", "P", "1e9d", "9" * 400 + "d"]
)
def test_no_durations(value: object) -> None:
    """Everything else is refused with a hint."""
    with pytest.raises(ValueError, match="with its unit"):
        parse_duration(value)


@given(st.integers(min_value=1, max_value=300_000_000))
def test_durations_are_written_as_they_are_read(seconds: int) -> None:
    """What is written in a message can be put back into the file."""
    assert parse_duration(write_duration(timedelta(seconds=seconds))) == timedelta(seconds=seconds)


def window(cron: str, hours: int = 2, zone: str = "UTC") -> CronWindow:
    """Give a window."""
    return CronWindow(cron=cron, duration=timedelta(hours=hours), timezone=ZoneInfo(zone))


def test_window_before_during_and_after() -> None:
    """Before it opens its opening is given, while it is open the moment itself, afterwards the next opening."""
    nightly = window("0 2 * * *")
    day = datetime(2026, 6, 1, tzinfo=UTC)
    assert nightly.next_opening(day) == day + timedelta(hours=2)
    assert nightly.next_opening(day + timedelta(hours=2)) == day + timedelta(hours=2)
    assert nightly.next_opening(day + timedelta(hours=3, minutes=59)) == day + timedelta(hours=3, minutes=59)
    assert nightly.next_opening(day + timedelta(hours=4)) == day + timedelta(hours=26)


def test_window_in_a_zone_over_the_change_of_clocks() -> None:
    """A window at 02:00 in Berlin is at 01:00 UTC in winter and at 00:00 UTC in summer."""
    nightly = window("0 2 * * *", zone="Europe/Berlin")
    assert nightly.next_opening(datetime(2026, 1, 10, 12, tzinfo=UTC)) == datetime(2026, 1, 11, 1, tzinfo=UTC)
    assert nightly.next_opening(datetime(2026, 7, 10, 12, tzinfo=UTC)) == datetime(2026, 7, 11, 0, tzinfo=UTC)
    skipped = nightly.next_opening(datetime(2026, 3, 28, 12, tzinfo=UTC))
    assert skipped is not None
    assert skipped - datetime(2026, 3, 28, 12, tzinfo=UTC) < timedelta(days=2)


@pytest.mark.parametrize("sunday", ["0", "7", "SUN"])
def test_sunday_is_zero_as_in_cron(sunday: str) -> None:
    """The days of the week are cron's, Sunday first."""
    opening = window(f"0 2 * * {sunday}").next_opening(datetime(2026, 6, 1, tzinfo=UTC))
    assert opening == datetime(2026, 6, 7, 2, tzinfo=UTC)


def test_secret_file_is_read_again_at_each_use(tmp_path: Path) -> None:
    """A file that was rotated is seen."""
    file = tmp_path / "secret"
    source = SecretReference(file=file).source()
    for text in ("first", "second"):
        file.write_text(f"{text}\n")
        assert source().reveal() == text


def test_secret_that_is_not_there_names_its_place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A missing file, an empty file and an unset variable say which they are."""
    (tmp_path / "empty").write_text("\n")
    monkeypatch.delenv("NO_SUCH_VARIABLE", raising=False)
    for reference, words in (
        (SecretReference(file=tmp_path / "none"), "none cannot be read"),
        (SecretReference(file=tmp_path / "empty"), "empty is empty"),
        (SecretReference(env="NO_SUCH_VARIABLE"), "NO_SUCH_VARIABLE is empty or not set"),
    ):
        with pytest.raises(ConfigurationError, match=words):
            reference.source()()


def test_child_sees_nothing_of_influxctl_or_vault(monkeypatch: pytest.MonkeyPatch) -> None:
    """Only a few harmless variables are handed on."""
    monkeypatch.setenv("INFLUXCTL_PROFILE", "x")
    monkeypatch.setenv("VAULT_TOKEN", "x")
    assert set(child_environment()) & {"INFLUXCTL_PROFILE", "VAULT_TOKEN"} == set()
    assert "PATH" in child_environment()
