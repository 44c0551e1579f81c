"""The log as the product configures it, put back at the end."""

import logging
from collections.abc import Callable, Iterator
from contextlib import redirect_stderr
from io import StringIO

import pytest
import structlog

from provisioner.telemetry.logs import configure_logging


@pytest.fixture(params=["json"])
def logged(request: pytest.FixtureRequest) -> Iterator[Callable[[], str]]:
    """Log everything in one form, and give what was logged so far."""
    root, text = logging.getLogger(), StringIO()
    before, level = root.handlers[:], root.level
    with redirect_stderr(text):
        configure_logging(request.param, "debug")
    yield text.getvalue
    root.handlers[:] = before
    root.setLevel(level)
    structlog.reset_defaults()
