"""The knobs: each takes values of its kind alone, and says so."""

import re
from pathlib import Path

import pytest

from provisioner.domain.errors import ConfigurationError
from provisioner.simulators.cluster import Cluster
from provisioner.simulators.knobs import Knobs
from provisioner.simulators.quick import defaults

REHEARSAL = Path(__file__).parents[3] / "docs" / "rehearsal.md"


@pytest.mark.parametrize(
    ("knob", "value", "wanted"),
    [
        ("latency", -1, "a number of seconds, 0 or more"),
        ("latency", "soon", "a number of seconds, 0 or more"),
        ("stale_list", True, "a number of seconds, 0 or more"),
        ("clock_ahead", float("nan"), "a number of seconds"),
        ("lose_answer", -1, "a whole number, 0 or more"),
        ("lose_answer", 1.5, "a whole number, 0 or more"),
        ("fail_list", True, "a whole number, 0 or more"),
        ("disk_full", 1, "true or false"),
        ("http_status", 99, "a status from 200 to 599, or 0"),
        ("retry_after", "later", "a whole number, 0 or more"),
        ("odd_answer", "strange", "one of malformed, truncated, slow, redirect, html, empty, wrong_shape"),
        ("style", "yaml", "one of object, wrapped, array, camel, rfc3339, text"),
        ("warn", None, "one of stderr, stdout, none"),
        ("secret_key", "", "a text"),
    ],
)
def test_wrong_value_is_refused(cluster: Cluster, knob: str, value: object, wanted: str) -> None:
    """What a knob cannot take is an error that names the knob and what it takes, and sets nothing."""
    cluster.set(fail_create=1)
    with pytest.raises(ValueError, match=rf"^knob {knob} cannot be .*: it takes {wanted}$"):
        cluster.set(**{knob: value})
    assert cluster.knobs() == Knobs(fail_create=1)


def test_right_values_are_taken(cluster: Cluster) -> None:
    """Whole seconds are seconds, too, and a clock may be behind."""
    cluster.set(latency=1, clock_ahead=-0.5, odd_answer="slow", http_status=429, retry_after=7, guarded=True)
    assert cluster.knobs() == Knobs(
        latency=1, clock_ahead=-0.5, odd_answer="slow", http_status=429, retry_after=7, guarded=True
    )


@pytest.mark.parametrize("content", ['{"fail_creates": 1}', '{"odd_answer": "strange"}', "{", "[]"])
def test_bad_file_is_said(cluster: Cluster, tmp_path: Path, content: str) -> None:
    """A file that was written by hand and is wrong is named."""
    path = tmp_path / "cluster" / "knobs.json"
    path.write_text(content)
    with pytest.raises(ConfigurationError, match=f"^{re.escape(str(path))} is not understood: "):
        cluster.knobs()


def test_every_knob_is_described() -> None:
    """The table of the rehearsal names every knob, and no other."""
    rows = [line.split("|")[1] for line in REHEARSAL.read_text().splitlines() if line.startswith("| `")]
    described = [name for row in rows for name in re.findall(r"`(\w+)`", row)]
    assert sorted(described) == sorted(defaults(Knobs))
