"""Which tests are one worker's, one after the other, and which begin first.

xdist's own groups are no help: xdist 3.8 names them in an item's id, which in pytest 9.2 cannot be changed any more.
"""

from typing import Final

from xdist.scheduler import LoadScopeScheduling

TOGETHER: Final = {
    "tests/contract/test_suites.py": "suites",
    "tests/crash/test_hand_over.py": "two daemons",
    "tests/crash/test_two_daemons.py": "two daemons",
    "tests/e2e/test_demo.py": "demo",
    "tests/e2e/test_extending.py": "extending",
    "tests/e2e/test_repair.py": "repair",
}
"""By file: what its tests share is made once in each worker, and takes long; or they must not run at once."""
FIRST: Final = (
    "two daemons",
    "tests/crash/test_mixed.py",
    "demo",
    "repair",
    "tests/simulation/test_exhaustive.py",
    "tests/unit/domain/test_decide_properties.py",
    "tests/e2e/test_credential.py",
    "tests/e2e/test_no_leak.py",
    "suites",
    "tests/crash/test_outages.py",
    "extending",
    "tests/e2e/test_daemon.py",
    "tests/e2e/test_following.py",
    "tests/simulation/test_random.py",
)
"""The longest units of work, or the files in which they are: no worker is left alone with one of them at the end."""


class Distribution(LoadScopeScheduling):  # type: ignore[misc]  # xdist ships no types
    """Hands out single tests, but for those that belong together."""

    def _split_scope(self, nodeid: str) -> str:
        return unit_of(nodeid)


def unit_of(nodeid: str) -> str:
    """Give the unit of work that a test belongs to."""
    return TOGETHER.get(nodeid.partition("::")[0], nodeid)


def turn_of(nodeid: str) -> int:
    """Give the place of a test's unit among all: lower ones begin sooner."""
    unit = unit_of(nodeid).partition("::")[0]
    return FIRST.index(unit) if unit in FIRST else len(FIRST)
