"""The daemon by itself: what it does when a reload meets a bug."""

from typing import Never

from structlog.testing import capture_logs

from provisioner.daemon import Daemon


class Tripping(Daemon):
    """A daemon that trips over every configuration."""

    def _open(self) -> Never:
        raise RuntimeError(BUG)


BUG = "a text that may hold a secret"


def test_reload_that_meets_a_bug_keeps_the_old_configuration() -> None:
    """It is refused by kind and place, and nothing is raised: the daemon goes on."""
    with capture_logs() as lines:
        Tripping(None).reload()
    (line,) = lines
    assert line["event"] == "configuration_refused"
    assert "RuntimeError at " in line["error"]
    assert BUG not in str(line)
