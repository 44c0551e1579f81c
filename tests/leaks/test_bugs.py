"""A bug is told by kind and place, in whatever thread, finaliser, warning or library it shows, and so is it logged."""

import logging
import os
import subprocess
import sys
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from threading import Event

import pytest
import structlog

from provisioner.domain.errors import StoreRefusedError
from provisioner.runtime.clock import SystemClock
from provisioner.scheduler import Scheduler
from tests.builders import a_record
from tests.leaks.search import PLAIN, SECRETS, assert_untold, secret_of

PRELUDE = f"""
import faulthandler, gc, logging, sys, threading, typer, warnings
from provisioner.cli import looking, main
secret = {PLAIN!r}
class Odd(Exception): pass
class Bad:
    def __del__(self): raise Odd(secret)
    def __repr__(self): return secret
def bug(*_): local = secret; raise Odd(local)
def in_thread(): thread = threading.Thread(target=bug, args=(secret,), name="t"); thread.start(); thread.join()
def doing(what): main.app.command()(what); sys.argv = ["provisioner", what.__name__]; main.main()
"""
BUGS = {
    "a bug in a command": ("def scenario(): bug()", "this is a bug: Odd at", 1),
    "an error with notes and causes": (
        "def scenario():\n    try: bug()\n    except Odd as e: e.add_note(secret); raise KeyError(secret) from e",
        "this is a bug: KeyError at",
        1,
    ),
    "a bug in a thread": ("def scenario(): in_thread()", "this is a bug in a thread: Odd at", 0),
    "a bug in a finaliser": ("def scenario(): bad = Bad(); del bad; gc.collect()", "a bug in an ending: Odd at", 0),
    "a warning": ("def scenario(): warnings.warn(secret, UserWarning)", "UserWarning at", 0),
    "a resource warning": (
        "def scenario(): warnings.simplefilter('always'); open(__import__('os').environ['ODD'], 'w'); gc.collect()",
        "ResourceWarning at",
        0,
    ),
    "a record that cannot be formatted": (
        "def scenario(): logging.warning('%d', secret); logging.warning('%s %s', secret); print('went on')",
        "went on",
        0,
    ),
    "the stack of a crash": (
        "def scenario():\n    def deep(local): faulthandler.dump_traceback(all_threads=True)\n    deep(secret)",
        "in deep",
        0,
    ),
}


@pytest.mark.parametrize("bug", BUGS)
def test_bug_is_told_by_kind_and_place(bug: str, tmp_path: Path) -> None:
    """The command's own process tells what and where, and nothing of what it held, however much is asked for."""
    code, told, status = BUGS[bug]
    done = subprocess.run(
        [sys.executable, "-X", "faulthandler", "-c", f"{PRELUDE}\n{code}\ndoing(scenario)"],
        env={"PATH": os.defpath, "TYPER_STANDARD_TRACEBACK": "1", "COLUMNS": "500", "ODD": str(tmp_path / PLAIN)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert told in done.stdout + done.stderr
    assert done.returncode == status
    assert "Traceback (most" not in done.stderr
    assert_untold(PLAIN, done.stdout, done.stderr)


@pytest.mark.parametrize("logged", ["json", "text"], indirect=True)
@pytest.mark.parametrize("kind", SECRETS)
def test_log_shows_nothing_that_it_is_given(logged: Callable[[], str], kind: str) -> None:
    """Holders, errors and mappings as values show masks and kinds; an exception is logged by kind and place."""
    record, log = a_record(token=secret_of(SECRETS[kind])), structlog.get_logger("provisioner.test")
    foreign, ours = ValueError(SECRETS[kind]), StoreRefusedError("the policy lacks update")
    log.warning("given", record=record, error=foreign, ours=ours, nested={"a": [record, foreign, {foreign}]})
    try:
        raise foreign
    except ValueError:
        log.exception("failed")
        logging.getLogger("somebody").exception("failed as well", stack_info=True)
    assert_untold(SECRETS[kind], logged())
    assert "ValueError at" in logged()
    assert "the policy lacks update" in logged()
    assert logged().count(Path(__file__).name) >= 2


@pytest.mark.parametrize("logged", ["json", "text"], indirect=True)
@pytest.mark.parametrize("kind", SECRETS)
def test_what_libraries_log_is_cleaned(logged: Callable[[], str], kind: str) -> None:
    """A library's message, its arguments and its extras: no word of it is as long as a token."""
    for name in ("urllib3.connectionpool", "hvac", "httpx", "apscheduler.scheduler", "somebody"):
        logging.getLogger(name).warning("retrying %r after %s", {"token": SECRETS[kind]}, OSError(SECRETS[kind]))
        logging.getLogger(name).debug("sending %s", SECRETS[kind])
    assert logged().count("retrying") == 5
    assert logged().count("sending") == 1
    assert_untold(SECRETS[kind], logged())


def test_bug_in_a_job_of_the_scheduler(logged: Callable[[], str]) -> None:
    """What a wake-up or the drift check lets through is logged by kind and place, and the other jobs go on."""
    woken, drifted = Event(), Event()

    def wake(_: str) -> None:
        woken.set()
        raise KeyError(PLAIN)

    def drift() -> None:
        drifted.set()
        raise ValueError(a_record(token=secret_of(PLAIN)), PLAIN)

    now = datetime(2026, 1, 1, tzinfo=UTC)
    scheduler = Scheduler(wake=wake, drift=drift, concurrency=1)
    scheduler.start(now, timedelta(hours=1))
    scheduler.wake_at("telegraf", now)
    assert woken.wait(10)
    assert drifted.wait(10)
    clock = SystemClock()
    deadline = clock.monotonic() + 10
    while scheduler._scheduler.get_job("token:telegraf"):  # stopped before, its thread would miss the job, and say so
        assert clock.monotonic() < deadline
        clock.sleep(timedelta(milliseconds=10))
    scheduler.stop()
    assert "KeyError at" in logged()
    assert "ValueError at" in logged()
    assert_untold(PLAIN, logged())
