"""A root credential that rotates itself beside others, with a real OpenBao and the guarded look-alike of influxctl."""

import os
import signal
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from datetime import timedelta
from pathlib import Path
from threading import Event, Thread

import psutil

from provisioner.issuers.private_directory import PREFIX, places_to_choose
from provisioner.runtime.clock import SystemClock
from provisioner.simulators.management_api import ManagementApi
from provisioner.simulators.openbao import OpenBao
from tests.crash.leaks import leaks
from tests.site import SHORT_LIVES, Site, a_site

NAMES = ("root", "telegraf", "grafana")
LIVES: dict[str, object] = dict(SHORT_LIVES)
_SELDOM = 10
OFTEN = timedelta(milliseconds=40)


def a_guarded_site(folder: Path, bao: OpenBao) -> tuple[Site, str]:
    """Give a site whose cluster lets nobody in without a live token; and the operator's own, to begin with."""
    site = a_site(folder, bao, *NAMES, defaults=LIVES)
    _, initial = site.cluster.create("the operator's own", None)
    site.cluster.set(guarded=True)
    (folder / "influxctl.toml").write_text(f'[[profile]]\nname = "default"\nmgmt_token = "{initial}"\n')
    site.content["issuers"]["cluster"] |= {"config": str(folder / "influxctl.toml"), "credential": "root"}
    site.content["reconcile"] = {"interval": "1s"}
    return site, initial


class Watch:
    """Looks again and again: whether a credential works, and what children and their profiles show."""

    def __init__(self, site: Site, daemon: int) -> None:
        self._site, self._daemon = site, daemon
        self.seen: dict[str, set[str]] = {name: set() for name in NAMES}
        """By name: the token strings that were stored."""
        self.without_credential = 0
        self.samples = 0
        self.profiles: dict[Path, int] = {}
        """Private profiles that this daemon's calls had: their modes."""
        self.shown: set[str] = set()
        """Arguments and environments of influxctl."""

    def look(self) -> None:
        """Take one sample."""
        self.samples += 1
        string = str(self._site.stored("root")["token"])
        self.without_credential += not self._site.cluster.authenticate(string) and not self._site.cluster.authenticate(
            str(self._site.stored("root")["token"])  # it may have been replaced, and revoked, since it was read
        )
        self.seen["root"].add(string)
        for name in NAMES[1:] if self.samples % _SELDOM == 0 else ():
            self.seen[name].add(str(self._site.stored(name)["token"]))

    def look_at_children(self) -> None:
        """Note what influxctl was started with, and where its profile is."""
        for child in self.children():
            with suppress(psutil.Error, ValueError, IndexError, OSError):
                command = child.cmdline()
                self.shown.add(f"{command} {child.environ()}")
                profile = Path(command[command.index("--config") + 1])
                if PREFIX in str(profile):  # else it is the one that a person wrote
                    self.profiles[profile] = profile.stat().st_mode & 0o777

    def children(self) -> list[psutil.Process]:
        """Give the programs that the daemon runs now."""
        with suppress(psutil.Error):
            return psutil.Process(self._daemon).children(recursive=True)
        return []

    @contextmanager
    def going_on(self) -> Iterator[None]:
        """Look at the children all the time, on a thread."""
        enough, clock = Event(), SystemClock()

        def go_on() -> None:
            while not enough.is_set():
                self.look_at_children()
                clock.sleep(OFTEN)

        thread = Thread(target=go_on)
        thread.start()
        try:
            yield
        finally:
            enough.set()
            thread.join()


def take_initial_away(site: Site, folder: Path) -> None:
    """Do what the documentation says, once the stored one works."""
    (folder / "influxctl.toml").write_text('[[profile]]\nname = "default"\n')
    (own,) = [token for token in site.cluster.tokens() if token.description == "the operator's own"]
    site.cluster.revoke(own.token_id)


def test_root_rotates_five_times_beside_others(tmp_path: Path, openbao: OpenBao) -> None:
    """At no moment is there no working credential, and none of them is seen anywhere but in memory and the store."""
    site, initial = a_guarded_site(tmp_path, openbao)
    with ManagementApi(site.cluster) as api:
        site.content["issuers"]["cluster"]["management_api"] = api.url
        with site.daemon() as daemon:
            watch = Watch(site, daemon.pid)
            with watch.going_on():
                for name in NAMES:
                    site.wait_for(
                        f"{name} is stored", lambda name=name: len(site.live(name)) >= 1 and _is_stored(site, name)
                    )
                checked = site.run("check")
                take_initial_away(site, tmp_path)
                site.wait_for("all have rotated", lambda: _all_rotated(watch), seconds=90)
            daemon.send_signal(signal.SIGTERM)
            assert daemon.wait(30) == 0
    assert checked.status == 0, checked.output
    assert "called with its managed token root" in checked.output
    assert watch.without_credential == 0
    assert watch.samples > 50
    assert set(watch.profiles.values()) == {0o600}
    assert {profile.parents[2] for profile in watch.profiles} == {next(iter(places_to_choose())).path}
    assert not any(profile.parents[1].exists() for profile in watch.profiles)
    strings = {initial, *(string for seen in watch.seen.values() for string in seen)}
    assert watch.shown
    assert leaks(strings, tmp_path / "cluster", outputs=(site.log(), *watch.shown)) == []


def _is_stored(site: Site, name: str) -> bool:
    try:
        return bool(site.stored(name)["token"])
    except Exception:  # noqa: BLE001  # hvac's own, while nothing is there yet
        return False


def _has_profile(watch: Watch) -> bool:
    watch.look_at_children()
    return bool(watch.profiles)


def _all_rotated(watch: Watch) -> bool:
    watch.look()
    return len(watch.seen["root"]) >= 6 and all(len(seen) >= 4 for seen in watch.seen.values())


def test_killed_daemon_leaves_no_profile(tmp_path: Path, openbao: OpenBao) -> None:
    """Who is killed in the middle of a call leaves a profile to the next process, which takes it away and goes on."""
    site, _ = a_guarded_site(tmp_path, openbao)
    with site.daemon() as daemon:
        site.wait_for("root is stored", lambda: _is_stored(site, "root"))
        daemon.send_signal(signal.SIGTERM)
        daemon.wait(30)
    site.cluster.set(hang_list=1)
    with site.daemon() as daemon:
        watch = Watch(site, daemon.pid)
        site.wait_for("a profile is written", lambda: _has_profile(watch))
        orphans = watch.children()
        os.kill(daemon.pid, signal.SIGKILL)
        daemon.wait()
    for orphan in orphans:  # the real influxctl ends by a time-out of its own
        with suppress(psutil.Error):
            orphan.kill()
    site.cluster.set(hang_list=0)
    once = site.run("once")
    assert once.status == 0, once.errors
    assert not any(profile.exists() for profile in watch.profiles)


def test_all_is_lost_and_the_runbook_helps(tmp_path: Path, openbao: OpenBao) -> None:
    """Root is revoked by hand and no other is left: a fresh token in the profile, and the daemon goes on by itself."""
    site, _ = a_guarded_site(tmp_path, openbao)
    site.content["defaults"] = LIVES | {"ttl": "1h"}
    with site.daemon():
        site.wait_for("root is stored", lambda: _is_stored(site, "root"))
        take_initial_away(site, tmp_path)
        lost = site.stored("root")
        for token in site.live("root"):
            site.cluster.revoke(token.token_id)
        checked = site.run("check")
        assert checked.status == 1
        assert "put a live management token into mgmt_token" in checked.output
        _, fresh = site.cluster.create("made in an emergency", None)
        (tmp_path / "influxctl.toml").write_text(f'[[profile]]\nname = "default"\nmgmt_token = "{fresh}"\n')
        site.wait_for("a new root is stored", lambda: site.stored("root")["token_id"] != lost["token_id"])
        site.wait_for("it is called with it", lambda: "called with its managed token root" in site.run("check").output)
