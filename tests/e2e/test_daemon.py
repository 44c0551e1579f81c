"""The daemon as a process: it rotates by itself, obeys signals, and survives being killed."""

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from provisioner.daemon import LEFT_WORK_BEHIND
from provisioner.simulators.management_api import ManagementApi
from provisioner.simulators.openbao import OpenBao
from tests.site import SHORT_LIVES, Site, a_site


@pytest.fixture
def site(tmp_path: Path, openbao: OpenBao) -> Site:
    """Give a site whose three tokens live for seconds."""
    return a_site(tmp_path, openbao, "one", "two", "three", defaults=SHORT_LIVES)


@contextmanager
def a_changed_daemon(site: Site, program: str) -> Iterator[subprocess.Popen[bytes]]:
    """Run a program that changes something in the daemon, and then is one; it is killed if it does not end."""
    log = site.folder / "run-0.txt"
    site.written.append(log)
    arguments = [sys.executable, "-c", program, str(site.config)]
    with log.open("wb") as file:
        process = subprocess.Popen(arguments, env={"PATH": os.defpath}, stdout=file, stderr=file)
        try:
            yield process
        finally:
            process.kill()
            process.wait()


def rotated(site: Site, name: str, times: int) -> bool:
    """Tell whether a token has been rotated that often."""
    return (
        site.log().count(f'"name": "{name}", "rotation_id"') > 0
        and sum(1 for line in site.log().splitlines() if '"rotation_finished"' in line and f'"{name}"' in line) > times
    )


def test_rotates_overlaps_and_revokes_by_itself(site: Site) -> None:
    """Every token rotates twice at its own moment; the stored one always works; SIGTERM ends it with status 0."""
    with ManagementApi(site.cluster) as api:
        site.content["issuers"]["cluster"]["management_api"] = api.url
        with site.daemon() as process:
            for name in ("one", "two", "three"):
                site.wait_for(f"two rotations of {name}", lambda name=name: rotated(site, name, 2))
                assert site.cluster.authenticate(site.stored(name)["token"])
                assert len(site.live(name)) <= 2
            process.send_signal(signal.SIGTERM)
            assert process.wait(30) == 0
    assert any(token.revoked_at for token in site.cluster.tokens())
    assert '"daemon_stopped"' in site.log()
    assert "Traceback" not in site.log()


def test_sighup_reads_the_configuration_again_and_keeps_the_old_one_if_it_is_bad(site: Site) -> None:
    """A refused configuration changes nothing; a good one adds a token without a restart."""
    names = site.content["tokens"]
    site.content["tokens"] = names[:1]
    with site.daemon() as process:
        site.wait_for("provisioning", lambda: rotated(site, "one", 0))
        site.content["defaults"]["ttl"] = "soon"
        _ = site.config
        process.send_signal(signal.SIGHUP)
        site.wait_for("refusal", lambda: '"configuration_refused"' in site.log())
        site.wait_for("going on", lambda: rotated(site, "one", 1))
        site.content["defaults"]["ttl"] = SHORT_LIVES["ttl"]
        site.config.write_text("on: true\n")  # YAML reads that key as true
        process.send_signal(signal.SIGHUP)
        site.wait_for("another refusal", lambda: site.log().count('"configuration_refused"') == 2)
        site.content["tokens"] = names[1:]
        _ = site.config
        process.send_signal(signal.SIGHUP)
        site.wait_for("the new token", lambda: rotated(site, "two", 0))
        process.send_signal(signal.SIGTERM)
        assert process.wait(30) == 0


def test_work_goes_on_through_several_reloads(site: Site) -> None:
    """A rotation that began under one configuration ends well though that one has been replaced twice meanwhile."""
    site.content["tokens"] = site.content["tokens"][:1]
    site.content["defaults"] = {}  # it has all the time that a busy machine takes
    site.cluster.set(activation_lag=1.5)
    with ManagementApi(site.cluster) as api:
        site.content["issuers"]["cluster"]["management_api"] = api.url
        with site.daemon() as process:
            site.wait_for("creation", lambda: '"token_created"' in site.log())
            for times in (1, 2, 3):
                process.send_signal(signal.SIGHUP)
                site.wait_for("a reload", lambda times=times: site.log().count('"configuration_reloaded"') == times)
            site.wait_for("the rotation", lambda: rotated(site, "one", 0))
            process.send_signal(signal.SIGTERM)
            assert process.wait(30) == 0
    assert len({token.token_id for token in site.cluster.tokens()}) == 1
    assert "is a bug" not in site.log()


def test_sigterm_in_mid_rotation_leaves_within_thirty_seconds(site: Site) -> None:
    """A rotation that waits for its token to work is given up; what it made is revoked before the daemon leaves."""
    site.content["tokens"] = site.content["tokens"][:1]
    site.content["defaults"] = {}
    site.cluster.set(activation_lag=3600)
    with ManagementApi(site.cluster) as api:
        site.content["issuers"]["cluster"]["management_api"] = api.url
        with site.daemon() as process:
            site.wait_for("creation", lambda: '"token_created"' in site.log())
            process.send_signal(signal.SIGTERM)
            assert process.wait(30) == 0
    assert site.live("one") == []


def test_killed_daemon_is_followed_by_one_that_puts_it_right(site: Site) -> None:
    """After SIGKILL in mid-rotation the next daemon ends with one live token a name, the stored one."""
    site.content["tokens"] = site.content["tokens"][:1]
    with ManagementApi(site.cluster) as api:
        site.content["issuers"]["cluster"]["management_api"] = api.url
        site.cluster.set(activation_lag=2)
        for _ in range(3):
            created = site.log().count('"token_created"')
            with site.daemon() as process:
                site.wait_for("creation", lambda created=created: site.log().count('"token_created"') > created)
                process.kill()
                process.wait()
        site.cluster.set(activation_lag=0)
        site.content["defaults"] = SHORT_LIVES | {"ttl": "1h"}  # what it makes is not replaced as it leaves
        with site.daemon() as process:
            site.wait_for("provisioning", lambda: rotated(site, "one", 0))
            site.wait_for("the orphans' end", lambda: len(site.live("one")) <= 1)
            process.send_signal(signal.SIGTERM)
            assert process.wait(30) == 0
    assert {token.token_id for token in site.live("one")} <= {site.stored("one")["token_id"]}


def test_work_that_hangs_does_not_keep_the_daemon(site: Site) -> None:
    """When the time to leave is over while influxctl hangs, the process ends all the same, and says so."""
    site.cluster.set(hang_list=1)
    program = (
        "import datetime, pathlib, sys, provisioner.daemon as daemon;"
        "daemon.LEAVE_WITHIN = datetime.timedelta(seconds=0.5);"
        "daemon.run_daemon(pathlib.Path(sys.argv[1]))"
    )
    with a_changed_daemon(site, program) as process:
        site.wait_for("the list that hangs", lambda: site.cluster.knobs().hang_list == 0)
        process.send_signal(signal.SIGTERM)
        assert process.wait(10) == LEFT_WORK_BEHIND  # influxctl itself would be waited for twice as long
    assert '"daemon_left_work_behind"' in site.log()


def test_a_good_bye_that_hangs_does_not_keep_the_daemon(site: Site) -> None:
    """All its work is done, and a store does not take back our client token: it ends in its time all the same."""
    program = (
        "import datetime, pathlib, sys, threading, provisioner.daemon as daemon, provisioner.stores.vault as vault;"
        "daemon.LEAVE_WITHIN = datetime.timedelta(seconds=2);"
        "vault.VaultStore.close = lambda self: threading.Event().wait();"
        "daemon.run_daemon(pathlib.Path(sys.argv[1]))"
    )
    with a_changed_daemon(site, program) as process:
        site.wait_for("its start", lambda: '"daemon_started"' in site.log())
        process.send_signal(signal.SIGTERM)
        assert process.wait(25) == LEFT_WORK_BEHIND


def test_no_signal_is_missed(site: Site) -> None:
    """A signal that reaches another thread, or comes right before the daemon waits for one, ends it all the same."""
    program = (
        "import pathlib, signal, sys, threading, provisioner.daemon as daemon;"
        "started = threading.Event();"
        "start = daemon.Daemon.start;"
        "daemon.Daemon.start = lambda self: (start(self), started.set());"
        "here = lambda: signal.pthread_kill(threading.get_ident(), signal.SIGTERM);"
        "poke = lambda: (started.wait(), threading.Event().wait(0.5), here(), threading.Event().wait());"
        "threading.Thread(target=poke, daemon=True).start();"
        "daemon.run_daemon(pathlib.Path(sys.argv[1]))"
    )
    with a_changed_daemon(site, program) as process:
        assert process.wait(20) == 0
    assert '"daemon_stopped"' in site.log()


def test_sigterm_is_not_lost_behind_a_thousand_sighups(site: Site) -> None:
    """More reloads are asked for than there is room to note, and then the end: that comes first."""
    program = (
        "import os, pathlib, signal, sys, provisioner.daemon as daemon;"
        "start = daemon.Daemon.start;"
        "ask = lambda number, times: [os.kill(os.getpid(), number) for _ in range(times)];"
        "daemon.Daemon.start = lambda self: (start(self), ask(signal.SIGHUP, 1000), ask(signal.SIGTERM, 1));"
        "daemon.run_daemon(pathlib.Path(sys.argv[1]))"
    )
    with a_changed_daemon(site, program) as process:
        assert process.wait(30) == 0
    assert '"daemon_stopped"' in site.log()
    assert '"configuration_reloaded"' not in site.log()


def test_bad_configuration_ends_the_daemon_at_once(site: Site) -> None:
    """Nothing is started: exit 2."""
    site.content["defaults"] = {"ttl": "soon"}
    with site.daemon() as process:
        assert process.wait(20) == 2
    assert "defaults.ttl" in site.log()
