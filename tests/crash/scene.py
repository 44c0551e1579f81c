"""One case of the crash suite: a site with foreign neighbours, a command that dies, and what must be true at last.

No assertion names a token's string: pytest would show it.
"""

import itertools
import os
import shutil
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from pathlib import Path
from threading import Event
from typing import Any, Final

from provisioner.domain.mark import Mark, Owner
from provisioner.runtime.clock import SystemClock
from provisioner.settings.durations import parse_duration
from provisioner.simulators.cluster_token import ClusterToken
from provisioner.simulators.openbao import OpenBao
from tests.builders import uid
from tests.crash.leaks import leaks, stored_strings, versions
from tests.crash.proxy import Proxy
from tests.site import Ran, Site, a_site
from tests.switchboard import Switchboard
from tests.zygote import Started, Zygote

NAME: Final = "telegraf"
OWNER: Final = Owner("e2e", NAME)
OVERLAP: Final = timedelta(milliseconds=300)
LIVES: Final = {
    "ttl": "1h",
    "rotate_at": 0.5,
    "overlap": "300ms",
    "verify_timeout": "3s",
    "rotation_timeout": "400ms",
    "orphan_quiet_period": "500ms",
}
"""Short where the suite has to wait, and long where nothing may fall due by itself."""
MOST_LIVE_TOKENS: Final = 3
FOREIGN_SECRETS: Final = ("telegraf-2", "somebody")
_PATIENCE: Final = timedelta(seconds=60)
_PAUSE: Final = timedelta(milliseconds=20)


@dataclass(frozen=True, slots=True, kw_only=True)
class Around:
    """What all cases share."""

    bao: OpenBao
    zygote: Zygote
    switchboard: Switchboard
    to_store: Proxy
    """A proxy to OpenBao."""
    to_issuer: Proxy
    """A proxy to the management API."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Beginning:
    """A state that was made once, and with which a case may begin: what the cluster and the store hold."""

    cluster: Path
    document: Mapping[str, Any] = field(repr=False)


@dataclass(frozen=True, slots=True)
class Late:
    """A request that the network holds, whose sender is dead."""

    release: Event = field(default_factory=Event)
    answered: Event = field(default_factory=Event)

    def let_go(self) -> None:
        """Let it reach its server, and wait for the answer that nobody waits for any more."""
        self.release.set()
        assert self.answered.wait(60)


@dataclass(slots=True)
class Scene:
    """A site of one case."""

    around: Around
    site: Site
    neighbours: tuple[ClusterToken, ...] = ()
    runs: int = 0
    late: Late | None = None

    def begin(self, beginning: Beginning | None) -> None:
        """Set the stage: what was there before, and tokens and secrets of others."""
        if beginning is not None:
            shutil.copytree(beginning.cluster, self.site.cluster._directory, dirs_exist_ok=True)
            self.site.put(NAME, dict(beginning.document))
        expires_at = SystemClock().now() + timedelta(days=1)
        descriptions = (
            "no mark, somebody's telegraf",
            str(Mark(Owner("other", NAME), uid(1))),
            str(Mark(Owner("e2e", f"{NAME}-2"), uid(2))),
        )
        self.neighbours = tuple(self.site.cluster.create(text, expires_at)[0] for text in descriptions)
        for name in FOREIGN_SECRETS:
            self.site.put(name, {"theirs": name})
        self.around.switchboard.turn_to(self.site.cluster)

    # --- the command ----------------------------------------------------------------------------------

    def start(self, *arguments: str, **environment: str) -> Started:
        """Start the command."""
        self.runs += 1
        seen = {"PATH": os.defpath, "TMPDIR": str(self.site.folder), "PROVISIONER_CONFIG": str(self.site.config)}
        return self.around.zygote.start(*arguments, output=self.output, environment=seen | environment)

    def run(self, *arguments: str, **environment: str) -> Ran:
        """Run the command to its end."""
        status = self.start(*arguments, **environment).wait()
        errors = self.output.with_suffix(".err").read_text()
        return Ran(status=status, output=self.output.read_text(), errors=errors)

    @property
    def output(self) -> Path:
        """Where the last run wrote."""
        return self.site.folder / f"run-{self.runs}.out"

    def log(self) -> str:
        """What all runs logged."""
        return "\n".join(path.read_text() for path in sorted(self.site.folder.glob("run-*.err")))

    # --- what is --------------------------------------------------------------------------------------

    def ours(self) -> list[ClusterToken]:
        """All tokens of the name that were ever made."""
        return [token for token in self.site.cluster.tokens() if _owner(token) == OWNER]

    def live(self) -> set[str]:
        """Ids of the live ones, by the cluster's own word."""
        now = SystemClock().now()
        return {token.token_id for token in self.ours() if token.is_live(now)}

    def documents(self) -> list[Mapping[str, object]]:
        """What the destinations hold, the primary first."""
        places = self.site.content["tokens"][0]["destinations"]
        found = [self.history(place["path"]) for place in places]
        return [history[max(history)] for history in found if history]

    def history(self, path: str) -> Mapping[int, Mapping[str, object]]:
        """Every version of a secret."""
        client = self.site.vault()
        try:
            return versions(client, path)
        finally:
            client.session.close()

    def is_at_rest(self) -> bool:
        """Tell whether every destination holds the one live token."""
        held = [document.get("token_id") for document in self.documents()]
        places = self.site.content["tokens"][0]["destinations"]
        return len(held) == len(places) and {str(token_id) for token_id in held} == self.live()

    def converge(self) -> None:
        """Reconcile until all is at rest, each time at the moment that the last run itself named."""
        clock = SystemClock()
        deadline = clock.monotonic() + _PATIENCE.total_seconds()
        while True:
            ran = self.run("once", "-o", "json")
            assert ran.status in {0, 1}, ran.errors
            if self.is_at_rest():
                return
            moment = _last_revocation(ran)
            pause = _PAUSE if moment is None else max(_PAUSE, moment - clock.now())
            comes_to_rest = clock.monotonic() + pause.total_seconds() < deadline
            assert comes_to_rest, f"it does not come to rest in time:\n{self.log()[-6000:]}"
            clock.sleep(pause)

    def wait(self, duration: timedelta) -> None:
        """Wait until so much time has passed."""
        until = SystemClock().now() + duration
        self.site.wait_for("time", lambda: SystemClock().now() > until)

    # --- what must be ---------------------------------------------------------------------------------

    def check(self) -> None:
        """Check everything that must be true in the end, whatever happened."""
        primary, *copies = self.documents()
        works = self.site.cluster.authenticate(str(primary["token"]))
        differing = sum(copy != primary for copy in copies)
        assert self.live() == {primary["token_id"]}, "exactly one live token, and the stored one"
        assert works, "the stored token works"
        assert differing == 0, "every destination holds the same"
        self._check_neighbours()
        assert most_at_once(self.ours()) <= MOST_LIVE_TOKENS, "I4"
        self._check_overlaps()
        self._check_leaks()
        assert "this is a bug" not in self.log()
        assert "Traceback" not in self.log()

    def _check_neighbours(self) -> None:
        now = {token.token_id: token for token in self.site.cluster.tokens()}
        assert all(now[token.token_id] == token for token in self.neighbours), "a foreign token was touched"
        for name in FOREIGN_SECRETS:
            assert self.history(self.site.path(name)) == {1: {"theirs": name}}, "a foreign secret was touched"

    def _check_overlaps(self) -> None:
        """What was stored lives for the overlap after it was replaced."""
        tokens = {token.token_id: token for token in self.ours()}
        overlap = parse_duration(self.site.content["defaults"]["overlap"])
        held = [document for document in self.history(self.site.path(NAME)).values() if "token_id" in document]
        for before, after in itertools.pairwise(held):
            ended = tokens[str(before["token_id"])].revoked_at
            if before["token_id"] != after["token_id"] and ended is not None:
                assert ended >= datetime.fromisoformat(str(after["stored_at"])) + overlap, "a predecessor's overlap"

    def _check_leaks(self) -> None:
        client = self.site.vault()
        try:
            places = [place["path"] for place in self.site.content["tokens"][0]["destinations"]]
            strings = {string for path in places for string in stored_strings(client, path)}
        finally:
            client.session.close()
        found, known = leaks(strings, self.site.folder), len(strings)
        assert known > 0, "there is something to look for"
        assert found == []


def a_scene(folder: Path, around: Around, beginning: Beginning | None = None) -> Scene:
    """Build a site behind the proxies, with what was there before."""
    site = a_site(folder, around.bao, NAME, defaults=LIVES)
    site.content["stores"]["vault"]["address"] = around.to_store.address
    site.content["issuers"]["cluster"]["management_api"] = f"{around.to_issuer.address}/api/v0"
    scene = Scene(around, site)
    scene.begin(beginning)
    return scene


def most_at_once(tokens: list[ClusterToken]) -> int:
    """Give how many of these were live at the same moment, at most."""
    changes = [(token.created_at, 1) for token in tokens]
    ends = [[end for end in (token.revoked_at, token.expires_at) if end is not None] for token in tokens]
    changes += [(min(moments), -1) for moments in ends if moments]
    live = most = 0
    for _, change in sorted(changes):
        live += change
        most = max(most, live)
    return most


def _owner(token: ClusterToken) -> Owner | None:
    mark = Mark.found_in(token.description)
    return mark.owner if mark else None


def _last_revocation(ran: Ran) -> datetime | None:
    """Give when the last token that awaits its end may go, by the command's own word."""
    awaiting = ran.json["tokens"][0]["awaiting_revocation"]
    moments = [datetime.fromisoformat(entry["revoke_at"]) for entry in awaiting if entry["revoke_at"]]
    return max(moments, default=None)
