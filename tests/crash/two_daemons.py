"""Two daemons at once on one configuration, watched all the while.

``python -m tests.crash.two_daemons SECONDS`` runs it for as long as wanted, on servers of its own, and tells of it.
"""

import signal
import sys
from collections import Counter
from contextlib import ExitStack
from dataclasses import dataclass, field
from datetime import timedelta
from json import loads
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, Final

import hvac

from provisioner.runtime.clock import SystemClock
from provisioner.simulators.management_api import ManagementApi
from tests.crash.durable_openbao import DurableOpenBao
from tests.crash.history import MOST_LIVE, Bystanders, check_promises, is_at_rest, live
from tests.site import Site, a_site

NAMES: Final = ("one", "two", "three")
OVERLAP: Final = timedelta(seconds=2)
LIVES: Final = {
    "ttl": "20s",
    "rotate_at": 0.25,
    "overlap": f"{OVERLAP.seconds}s",
    "verify_timeout": "3s",
    "rotation_timeout": "3s",
    "orphan_quiet_period": "4s",
}
"""Rotated every few seconds, with a life so long that no busy machine lets one come to its end."""
REPLICAS: Final = 2
_LOOK_EVERY: Final = timedelta(milliseconds=100)
_TRIES_TO_REST: Final = 30


@dataclass(slots=True)
class Seen:
    """What was seen of two daemons."""

    looks: int = 0
    judged: int = 0
    """Looks between which the stored token did not change, so that it had to work."""
    most_live: int = 0
    wrong: list[str] = field(default_factory=list)
    events: Counter[str] = field(default_factory=Counter)
    conflicts: int = 0
    """Writes that were refused because the other daemon had written first."""


def run_two(site: Site, seconds: float) -> Seen:
    """Run two daemons for that long and look on; afterwards bring everything to rest, and check all that happened."""
    seen, clock = Seen(), SystemClock()
    bystanders = Bystanders(site)
    with ExitStack() as stack:
        sockets = [{"PROVISIONER__SERVER__ADMIN_SOCKET": str(site.folder / f"{n}.sock")} for n in range(REPLICAS)]
        processes = [stack.enter_context(site.daemon(**socket)) for socket in sockets]
        site.wait_for("tokens", lambda: all(_is_stored(site, name) for name in NAMES))
        client = site.vault()
        stack.callback(client.session.close)
        until = clock.monotonic() + seconds
        while clock.monotonic() < until:
            for name in NAMES:
                _look(site, client, name, seen)
            assert [process.poll() for process in processes] == [None] * REPLICAS, "a daemon has ended"
            clock.sleep(_LOOK_EVERY)
        attended_until = clock.now()
        for process in processes:
            process.send_signal(signal.SIGTERM)
        assert [process.wait(30) for process in processes] == [0] * REPLICAS
    _count(site, seen)
    check_promises(
        site, *NAMES, bystanders=bystanders, overlap=OVERLAP, replicas=REPLICAS, attended_until=attended_until
    )
    unattended = {site.stored(name)["token_id"] for name in NAMES}  # these may end before anybody starts again
    _bring_to_rest(site)
    check_promises(site, *NAMES, bystanders=bystanders, overlap=OVERLAP, replicas=REPLICAS, excused=unattended)
    return seen


def a_site_for_two(folder: Path, bao: DurableOpenBao, stack: ExitStack) -> Site:
    """Give a site of three tokens that live for seconds, proven by use."""
    site = a_site(folder, bao, *NAMES, defaults=LIVES)
    site.content["issuers"]["cluster"]["management_api"] = stack.enter_context(ManagementApi(site.cluster)).url
    return site


def _is_stored(site: Site, name: str) -> bool:
    try:
        return "token" in site.stored(name)
    except hvac.exceptions.InvalidPath:
        return False


def _look(site: Site, client: hvac.Client, name: str, seen: Seen) -> None:
    """Judge the stored token, if it is the same before and after it was tried."""
    before = _read(site, client, name)
    works = site.cluster.authenticate(before["token"])
    count = len(live(site, name))
    seen.looks += 1
    seen.most_live = max(seen.most_live, count)
    if count > MOST_LIVE + REPLICAS - 1:
        seen.wrong.append(f"{count} tokens of {name} live")
    if _read(site, client, name)["token_id"] == before["token_id"]:
        seen.judged += 1
        if not works:
            seen.wrong.append(f"the stored token {before['token_id']} of {name} does not work")


def _read(site: Site, client: hvac.Client, name: str) -> dict[str, Any]:
    answer = client.secrets.kv.v2.read_secret_version(
        path=site.path(name), mount_point="secret", raise_on_deleted_version=True
    )
    document: dict[str, Any] = answer["data"]["data"]
    return document


def _count(site: Site, seen: Seen) -> None:
    """Count what the two logs tell."""
    for line in site.log().splitlines():
        if not line.startswith("{"):
            continue
        entry = loads(line)
        seen.events[entry["event"]] += 1
        seen.conflicts += entry["event"] == "request_made" and entry["result"] == "ConflictError"


def _bring_to_rest(site: Site) -> None:
    """Reconcile until one token of each name lives; one that is still due is replaced by one that is not for long."""
    site.content["defaults"] = LIVES | {"ttl": "1h"}
    for _ in range(_TRIES_TO_REST):
        if all(is_at_rest(site, name) for name in NAMES):
            return
        site.run("once")
    raise AssertionError(f"no rest:\n{site.log()[-3000:]}")


def main() -> None:
    """Run it by itself."""
    with ExitStack() as stack:
        folder = Path(stack.enter_context(TemporaryDirectory(prefix="provisioner-two-")))
        bao = stack.enter_context(DurableOpenBao())
        seen = run_two(a_site_for_two(folder, bao, stack), float(sys.argv[1]))
        sys.stdout.write(f"{seen}\n")


if __name__ == "__main__":
    main()
