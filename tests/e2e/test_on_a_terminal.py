"""Rotation by hand as a person sees it: the phases live, on a pseudo-terminal, with a daemon and without one."""

import signal
from pathlib import Path

import pytest

from provisioner.simulators.openbao import OpenBao
from tests.leaks.search import assert_untold, written_in
from tests.site import Site, a_site
from tests.terminal import Typed, typed

HIDDEN, SHOWN = "\x1b[?25l", "\x1b[?25h"
"""A live display hides the cursor, and shows it again at its end."""
PHASES = ("preflight", "create", "prove", "commit", "read back")


@pytest.fixture
def site(tmp_path: Path, openbao: OpenBao) -> Site:
    """Give a site with two tokens, at which everything takes a while."""
    (tmp_path / "site").mkdir()
    site = a_site(tmp_path / "site", openbao, "one", "two")
    site.content["reconcile"] = {"interval": "1h"}
    return site


def assert_live(command: Typed, *names: str) -> None:
    """Demand that the phases were shown live, and then the result; no line of a log between."""
    seen = command.seen()
    live, result = seen.index(HIDDEN), seen.rindex(SHOWN)
    board = seen[live:result]
    for name in names:
        assert name in board
    assert [phase for phase in PHASES if phase not in board] == []
    assert board.count("\x1b[2K") > 2  # lines are written over
    assert "rotated" in seen[result:]
    assert '"event"' not in seen


def test_through_the_daemon_the_phases_are_shown_live(site: Site) -> None:
    """While it goes on, and then what came of it; a compromised name is warned of before anything is done."""
    with site.daemon():
        site.wait_for("the tokens", lambda: site.log().count('"token_stored"') == 2)
        site.wait_for("the end of it", lambda: '"pass_finished"' in site.log())
        site.cluster.set(latency=0.3)
        with typed(site, "rotate", "one", "--compromised") as command:
            assert command.wait() == 0
        assert_live(command, "one")
        seen = command.seen()
        assert seen.index("without overlap") < seen.index("preflight")
        assert "revoke" in seen
    assert_untold(str(site.stored("one")["token"]).removeprefix("M.V1."), *written_in(site.folder))


def test_directly_they_are_shown_just_as_live(site: Site) -> None:
    """Without a daemon, of several names at once; the record says by what way."""
    site.cluster.set(latency=0.3)
    with typed(site, "rotate", "--all", "--direct", "--compromised", "--reason", "change 1") as command:
        assert command.wait() == 0
    assert_live(command, "one", "two")
    seen = command.seen()
    assert seen.index("without overlap") < seen.index("preflight")
    stored = site.stored("one")
    assert (stored["requested_via"], stored["request_reason"]) == ("direct", "change 1")
    assert_untold(str(stored["token"]).removeprefix("M.V1."), *written_in(site.folder))


def test_what_goes_wrong_is_said_above_the_phases(site: Site) -> None:
    """The log's warnings are there, the command fails, and the error is in the result."""
    site.cluster.set(fail_create=1)
    with typed(site, "rotate", "one", "--direct") as command:
        assert command.wait() == 1
    seen = command.seen()
    assert "step_failed" in seen
    assert "create failed" in seen[seen.rindex(SHOWN) :]


@pytest.mark.parametrize("how", [signal.SIGINT, signal.SIGTERM])
def test_an_interrupt_lets_what_is_in_flight_end(site: Site, how: signal.Signals) -> None:
    """Ctrl-C or a Job's end in the middle of a rotation: it is finished, and said how to ask for it again."""
    site.cluster.set(latency=1)
    with typed(site, "rotate", "one", "--direct", "--request-id", "change-1") as command:
        site.wait_for("the create", lambda: "create" in command.seen())
        command.process.send_signal(how)
        assert command.wait() != 0
    assert "change-1" in command.seen()
    assert "Traceback" not in command.seen()
    site.cluster.set(latency=0)
    assert site.stored("one")["request_id"] == "change-1"
    again = site.run("rotate", "one", "--direct", "--request-id", "change-1", "-o", "json")
    assert (again.status, again.json["rotations"][0]["already"]) == (0, True)
    assert len(site.live("one")) == 1
