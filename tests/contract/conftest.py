"""The suites may skip what somebody's bench cannot do; over our own issuers and stores they may not."""

from collections.abc import Generator

import pytest


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport() -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """Make a failure of a test that was skipped."""
    report = yield
    if report.skipped:
        report.outcome = "failed"
        report.longrepr = f"skipped, and a bench of ours has every ability: {report.longrepr}"
    return report
