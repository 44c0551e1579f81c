"""A daemon at work among foreign things: it comes to rest before and after whatever is done to it, and is judged."""

import signal
import subprocess
from collections.abc import Collection, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import timedelta

from tests.crash.history import Bystanders, check_promises, is_at_rest
from tests.site import Site

NAME = "alpha"
OVERLAP = timedelta(seconds=1)
CALM, HURRY = 0.5, 0.15
"""After which part of its life a token is rotated: some nine seconds, and one to three, by its name."""
TIMES = {
    "ttl": "20s",
    "rotate_at": CALM,
    "overlap": f"{OVERLAP.seconds}s",
    "verify_timeout": "2s",
    "rotation_timeout": "2s",
    "orphan_quiet_period": "3s",
}
"""A rotation that is due leaves a token with so long a life that an outage of some seconds costs nobody anything."""


@dataclass(frozen=True, slots=True)
class Work:
    """A daemon at work."""

    site: Site
    process: "subprocess.Popen[bytes]"

    def hurry(self) -> None:
        """Have every token rotated again and again, from now on."""
        self._rotate_at(HURRY)

    def calm(self) -> None:
        """Let every token live longer than it takes to come to rest."""
        self._rotate_at(CALM)

    def _rotate_at(self, part: float) -> None:
        self.site.content["defaults"]["rotate_at"] = part
        _ = self.site.config  # written anew
        reloads = said(self.site, "configuration_reloaded")
        self.process.send_signal(signal.SIGHUP)
        wait_for_more(self.site, "configuration_reloaded", than=reloads)


@contextmanager
def at_work(site: Site, *names: str, excused: Collection[str] = ()) -> Iterator[Work]:
    """Run the daemon; at the end it rotates, is at rest by itself, leaves with status 0, and has kept its promises.

    ``excused`` are tokens that a person revoked; it may grow meanwhile.
    """
    bystanders = Bystanders(site)
    with site.daemon() as process:
        work = Work(site, process)
        come_to_rest(site, *names)
        yield work
        finished = {name: said(site, "rotation_finished", f'"{name}"') for name in names}
        work.hurry()
        for name in names:
            wait_for_more(site, "rotation_finished", f'"{name}"', than=finished[name])
        work.calm()
        come_to_rest(site, *names)
        leave(process)
    check_promises(site, *names, bystanders=bystanders, overlap=OVERLAP, excused=excused)


def come_to_rest(site: Site, *names: str) -> None:
    """Wait until the one live token of each name is the stored one, and works."""
    for name in names:
        site.wait_for(f"rest of {name}", lambda name=name: said(site, "token_stored", name) and is_at_rest(site, name))


def leave(process: "subprocess.Popen[bytes]") -> None:
    """Ask the daemon, which has lived until now, to leave."""
    assert process.poll() is None, "the daemon has ended"
    process.send_signal(signal.SIGTERM)
    assert process.wait(30) == 0


def said(site: Site, *parts: str) -> int:
    """Count the lines of the log that hold all those texts."""
    return sum(all(part in line for part in parts) for line in site.log().splitlines())


def wait_for_more(site: Site, *parts: str, than: int) -> None:
    """Wait until the log has more such lines than that."""
    site.wait_for(f"{' '.join(parts)} once more", lambda: said(site, *parts) > than)
