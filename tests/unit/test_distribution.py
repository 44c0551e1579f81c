"""Tests that belong together are one worker's, and the longest begin first."""

from pathlib import Path

import pytest

from tests.distribution import FIRST, TOGETHER, Distribution, turn_of, unit_of

ROOT = Path(__file__).parents[2]


def test_tables_name_what_there_is() -> None:
    """Every file is there, every unit is one of those."""
    files = [*TOGETHER, *(name for name in FIRST if name.endswith(".py"))]
    assert [name for name in files if not (ROOT / name).is_file()] == []
    assert {name for name in FIRST if not name.endswith(".py")} == set(TOGETHER.values())


def test_what_belongs_together_is_one_unit() -> None:
    """All others are units by themselves, however many a file has."""
    demo = "tests/e2e/test_demo.py::test_demo_prints_no_token"
    assert unit_of(f"{demo}[influxctl]") == unit_of(f"{demo}[influxdb3]") == "demo"
    assert unit_of("tests/api/test_page.py::test_a") != unit_of("tests/api/test_page.py::test_b[x::y]")
    assert turn_of("tests/crash/test_hand_over.py::test_x") == turn_of("tests/crash/test_two_daemons.py::test_y") == 0
    assert (
        turn_of(demo) < turn_of("tests/e2e/test_credential.py::test_x[1]") < turn_of("tests/api/test_page.py::test_a")
    )


def test_workers_are_given_those_units(request: pytest.FixtureRequest, worker_id: str) -> None:
    """The scheduler that several workers are given their tests by is ours: xdist asks it by the same name."""
    assert "_split_scope" in vars(Distribution).keys() & vars(Distribution.__base__).keys()
    hook = request.config.pluginmanager.hook
    made = hook.pytest_xdist_make_scheduler.get_hookimpls() if worker_id != "master" else None
    assert made is None or any(each.function.__module__.endswith("conftest") for each in made)
