"""No effect hangs on its being told: an observer or a log that fails is no trouble of the work."""

import logging
from contextlib import redirect_stderr
from io import StringIO
from typing import Never

import pytest
import structlog

from provisioner.domain.events import Event, PassFinished
from provisioner.telemetry.logs import LOSSES, LogObserver, configure_logging
from provisioner.telemetry.observers import Observers
from tests.builders import MINUTE

PASSED = PassFinished(tokens=1, whole=True, failed=0, took=MINUTE)


class Full(StringIO):
    """A stream on a disk that is full."""

    def write(self, _: str) -> Never:
        """Write nothing."""
        raise OSError("no space left on device")


def closed() -> StringIO:
    """Give a stream that was closed."""
    stream = StringIO()
    stream.close()
    return stream


def test_what_an_observer_raises_goes_no_further() -> None:
    """It is counted, and the others are told all the same."""
    told: list[Event] = []

    def failing(_: Event) -> None:
        raise OSError("no space left on device")

    observers = Observers(failing, told.append)
    observers(PASSED)
    assert (told, observers.lost) == ([PASSED], 1)


@pytest.mark.parametrize("stream", [Full(), closed()], ids=["full", "closed"])
def test_a_log_that_cannot_be_written_raises_nothing(stream: StringIO) -> None:
    """Neither the events' lines nor the daemon's own; each is counted once."""
    lost = LOSSES.lines
    root = logging.getLogger()
    before, level = root.handlers[:], root.level
    try:
        with redirect_stderr(stream):
            configure_logging("json", "debug")
        log = structlog.get_logger("provisioner.daemon")
        LogObserver()(PASSED)
        assert log.info("daemon_started") is None
        assert LOSSES.lines == lost + 2
    finally:
        root.handlers[:] = before
        root.setLevel(level)
        structlog.reset_defaults()
