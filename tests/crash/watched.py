"""A daemon at work among foreign things: it comes to rest before and after whatever is done to it, and is judged."""

import signal
import subprocess
from collections.abc import Collection, Iterator
from contextlib import contextmanager
from datetime import timedelta

from tests.crash.history import Bystanders, check_promises, is_at_rest
from tests.site import Site

NAME = "telegraf"
OVERLAP = timedelta(seconds=1)
QUICK = {
    "ttl": "20s",
    "rotate_at": 0.15,
    "overlap": f"{OVERLAP.seconds}s",
    "verify_timeout": "2s",
    "rotation_timeout": "2s",
    "orphan_quiet_period": "3s",
}
"""Rotated every three seconds, and far from its end when it is: an outage of some seconds costs nobody anything."""


@contextmanager
def at_work(site: Site, *names: str, excused: Collection[str] = ()) -> Iterator["subprocess.Popen[bytes]"]:
    """Run the daemon; at the end it is at rest by itself, leaves with status 0, and has kept its promises.

    ``excused`` are tokens that a person revoked; it may grow meanwhile.
    """
    bystanders = Bystanders(site)
    with site.daemon() as process:
        come_to_rest(site, *names)
        yield process
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
