"""The search for leaks finds what it looks for."""

from pathlib import Path

import hvac
import pytest

from provisioner.domain.model import Destination
from tests.crash.leaks import leaks, stored_strings

TOKEN = "M.V1.q1W2e3R4t5Y6u7I8o9P0a1S2d3F4g5H6j7K8l9Z0x1C2"


@pytest.mark.parametrize(
    "text", [f"x{TOKEN[5:17]}x", f"{TOKEN[-12:]}", "of somebody who died: M.V1.AbCdEfG", f"<{TOKEN}>"]
)
def test_parts_and_shapes_are_found(text: str, tmp_path: Path) -> None:
    """Twelve characters in a row are enough, and so is the shape of a token that nobody knows."""
    (tmp_path / "deep").mkdir()
    (tmp_path / "deep" / "file").write_text(text)
    (tmp_path / "clean").write_text("nothing to see")
    assert leaks([TOKEN], tmp_path) == [str(tmp_path / "deep" / "file")]
    assert leaks([TOKEN], outputs=["nothing", text]) == ["output 1"]


@pytest.mark.parametrize("text", ["", "M.V1.abcd", f"{TOKEN[5:16]}", f"{TOKEN[-11:]}"])
def test_what_may_be_shown_is_no_leak(text: str, tmp_path: Path) -> None:
    """The prefix that influxctl lists, and fewer characters."""
    (tmp_path / "file").write_text(text)
    assert leaks([TOKEN], tmp_path) == []


def test_strings_of_every_version(root: hvac.Client, place: Destination) -> None:
    """Every version counts, a deleted one and a reservation do not, and a path that never was has none."""
    assert stored_strings(root, place.path) == set()
    for document in ({"token": "one"}, {"owner": "a reservation"}, {"token": "three"}, {"token": "four"}):
        root.secrets.kv.v2.create_or_update_secret(path=place.path, secret=document)
    root.secrets.kv.v2.delete_secret_versions(path=place.path, versions=[3])
    assert stored_strings(root, place.path) == {"one", "four"}
