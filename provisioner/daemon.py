"""The daemon: wakes names at their moments until it is asked to leave, and re-reads its configuration on SIGHUP."""

import os
import signal
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from datetime import datetime, timedelta
from itertools import count
from pathlib import Path
from socket import socketpair
from threading import Lock, Thread
from typing import Final

import structlog

from provisioner.app import Application, candidate_of, opened
from provisioner.domain.errors import ConfigurationError
from provisioner.engine.candidate import Candidate
from provisioner.engine.recall import Recall
from provisioner.engine.reconcile import Outcome
from provisioner.engine.standings import Standings
from provisioner.front import Front
from provisioner.ports.observer import Observer
from provisioner.runtime.clock import SystemClock
from provisioner.scheduler import Scheduler
from provisioner.telemetry.bugs import kind_and_place
from provisioner.telemetry.logs import LOSSES, LogObserver
from provisioner.telemetry.metrics import Metrics
from provisioner.telemetry.observers import Observers

FINISH_WITHIN: Final = timedelta(seconds=20)
"""After SIGTERM, work in flight is given that long; an attempt that does not make it is given up and swept."""
LEAVE_WITHIN: Final = timedelta(seconds=27)
"""After that the process leaves whatever still hangs; Kubernetes kills at 30 s."""
LEFT_WORK_BEHIND: Final = 1
"""The exit status then."""
_MANY: Final = 4096
"""More signals than can be waiting for us."""


@dataclass(slots=True, kw_only=True)
class _Reign:
    """One configuration while it holds, and after that until the last of its work has ended."""

    application: Application
    stack: ExitStack
    at_work: int = 0
    is_replaced: bool = False


class Daemon:
    """One running configuration, its schedule, and the way to replace it."""

    def __init__(self, config: Path | None, *, watch: Observer | None = None) -> None:
        """Take where the configuration is, and who else is told what happens; nothing is read yet."""
        self._config = config
        self._clock = SystemClock()
        self._recall = Recall()
        self._swap = Lock()
        self._reign: _Reign | None = None
        self._finish_by: float | None = None
        self._scheduler: Scheduler | None = None
        self._candidate: Candidate | None = None
        self._election = ExitStack()
        self._log = structlog.get_logger("provisioner.daemon")
        self._standings = Standings(self._clock)
        watching = [] if watch is None else [watch]
        self._observers = Observers(LogObserver(), *watching, self._standings)
        metrics = Metrics(self._clock, acts=self.may_act, lost=lambda: self._observers.lost + LOSSES.lines)
        self._observers.add(metrics)
        self._front = Front(self, self._clock, metrics, self._standings)

    def start(self) -> None:
        """Read the configuration and begin; raises ConfigurationError when it is refused."""
        self._reign = self._open()
        application = self._reign.application
        settings = application.settings
        self._scheduler = Scheduler(wake=self._wake, drift=self._drift, concurrency=settings.reconcile.concurrency)
        self._candidate = candidate_of(application, self._clock, self._lead, self._election)
        self._observers.add(self._front.open(application))
        self._front.start()
        self._scheduler.start(self._clock.now(), settings.reconcile.interval)
        if self._candidate is not None:
            self._candidate.start()
        names = [token.name for token in application.service.tokens]
        self._log.info(
            "daemon_started", instance=settings.instance, tokens=names, config=str(application.settings_path)
        )

    def reload(self) -> None:
        """Read the configuration again; when it is refused, say why and go on with the old one."""
        try:
            reign = self._open()
        except ConfigurationError as error:
            self._refuse(str(error))
            return
        except Exception as error:  # noqa: BLE001  # a bug that one file brings out must not end what works: see _refuse
            self._refuse(f"this is a bug: {kind_and_place(error, error.__traceback__)}")
            return
        with self._swap:
            before, self._reign = self._reign, reign
        scheduler, application = self._scheduler, reign.application
        if before is None or scheduler is None:
            return
        self._replaced(before)
        kept = {token.name for token in application.service.tokens}
        for token in before.application.service.tokens:
            if token.name not in kept:
                scheduler.forget(token.name)
        scheduler.drift_every(self._clock.now(), application.settings.reconcile.interval)
        self._front.configured(application)
        self._say_what_is_kept(before.application, application)
        self._log.info("configuration_reloaded", instance=application.settings.instance, tokens=sorted(kept))

    def _refuse(self, why: str) -> None:
        """Say that the old configuration is kept: without the daemon every token would expire unrotated."""
        self._log.error("configuration_refused", error=why, kept="the configuration read before")

    def stop(self) -> bool:
        """Start nothing more, finish what is in flight, and let go of everything, within LEAVE_WITHIN.

        False when something still hangs then: its threads would keep the process from ending.
        """
        self._finish_by = self._clock.monotonic() + FINISH_WITHIN.total_seconds()
        self._log.info("daemon_stopping", finish_within=FINISH_WITHIN.total_seconds())
        if self._scheduler is None:
            return True
        ending = Thread(target=self._end, args=[self._scheduler], name="stop", daemon=True)
        ending.start()
        ending.join(LEAVE_WITHIN.total_seconds())
        if ending.is_alive():
            self._log.warning("daemon_left_work_behind", remedy="the next process sweeps what it left")
            self._front.close()
            return False
        self._log.info("daemon_stopped")
        return True

    def _end(self, scheduler: Scheduler) -> None:
        """Finish what is in flight, as the leader until then; only then somebody else is let lead."""
        scheduler.stop()
        self._front.finish()
        if self._candidate is not None:
            self._candidate.leave()
        self._election.close()
        self._front.close()
        if self._reign is not None:
            self._reign.stack.close()

    def may_act(self) -> bool:
        """Tell whether this process acts: always without leader election, else while it leads."""
        return self._candidate is None or self._candidate.is_leading()

    def has_others(self) -> bool:
        """Tell whether other replicas may act, too: at a person's wish any of them does."""
        return self._candidate is not None

    def is_beating(self) -> bool:
        """Tell whether the scheduler hands out work."""
        return self._scheduler is not None and self._scheduler.is_beating()

    def is_leaving(self) -> bool:
        """Tell whether somebody asked us to leave."""
        return self._finish_by is not None

    def wake(self, name: str) -> None:
        """Have a name looked at at once."""
        if self._scheduler is not None and self._finish_by is None:
            self._scheduler.wake_at(name, self._clock.now())

    def _leads_until(self) -> float | None:
        """Give the moment by which all work of our own accord must have ended, because our lease ends."""
        return None if self._candidate is None else self._candidate.finish_by()

    def _lead(self, leading: bool) -> None:  # noqa: FBT001  # as the candidate calls it
        """Look at everything at once when we begin to lead; wake nobody when we lead no more."""
        scheduler = self._scheduler
        if scheduler is None or self._finish_by is not None:
            return
        with self.current() as application:
            if leading:
                scheduler.drift_every(self._clock.now(), application.settings.reconcile.interval)
                return
            for token in application.service.tokens:
                scheduler.forget(token.name)

    def _say_what_is_kept(self, before: Application, after: Application) -> None:
        listens = [(each.settings.server.listen, each.settings.server.admin_socket) for each in (before, after)]
        if listens[0] != listens[1]:
            self._log.warning("server_kept", remedy="restart the daemon for its new settings to hold")
        if before.settings.leader_election != after.settings.leader_election:
            self._log.warning("leader_election_kept", remedy="restart the daemon for its new settings to hold")

    def _open(self) -> "_Reign":
        stack = ExitStack()
        application = stack.enter_context(
            opened(
                self._config,
                logs=True,
                recall=self._recall,
                clock=self._clock,
                finish_by=lambda: self._finish_by,
                leads_until=self._leads_until,
                may_act=self.may_act,
                may_begin=lambda: not self.is_leaving(),
                observers=self._observers,
            )
        )
        return _Reign(application=application, stack=stack)

    @contextmanager
    def current(self) -> Iterator[Application]:
        """Give the configuration that holds now; it stays open until the work inside has ended."""
        with self._swap:
            reign = self._reign
            if reign is None:
                raise ConfigurationError("the daemon has not been started")
            reign.at_work += 1
        try:
            yield reign.application
        finally:
            with self._swap:
                reign.at_work -= 1
                is_over = reign.is_replaced and reign.at_work == 0
            if is_over:
                reign.stack.close()

    def _replaced(self, reign: "_Reign") -> None:
        """Let go of a configuration: now, or when the last of its work has ended."""
        with self._swap:
            reign.is_replaced = True
            is_over = reign.at_work == 0
        if is_over:
            reign.stack.close()

    def _wake(self, name: str) -> None:
        if not self.may_act():
            return
        with self.current() as application:
            service = application.service
            chosen = [token for token in service.tokens if token.name == name]
            self._reschedule(service.run_pass(chosen))

    def _drift(self) -> None:
        if not self.may_act():
            return
        with self.current() as application:
            self._reschedule(application.service.run_pass())

    def _reschedule(self, outcomes: tuple[Outcome, ...]) -> None:
        """Wake each name when its own decision said."""
        if self._scheduler is None or self._finish_by is not None or not self.may_act():
            return
        with self.current() as application:
            names = {token.name for token in application.service.tokens}
        for outcome in outcomes:
            name = outcome.snapshot.token.name
            if name in names:
                self._scheduler.wake_at(name, self._moment(outcome))

    def _moment(self, outcome: Outcome) -> datetime:
        """A moment just behind the one decided on, so that it has surely come; at once when steps are left over."""
        until = getattr(outcome.decision.step, "until", None)
        return (until or self._clock.now()) + timedelta(milliseconds=20)


def run_daemon(config: Path | None) -> None:
    """Run until SIGTERM or SIGINT; returns when everything has ended, or ends the process where something hangs."""
    daemon = Daemon(config)
    with _signals() as asked:
        daemon.start()
        while next(asked) == signal.SIGHUP:
            daemon.reload()
        ended = daemon.stop()
    if not ended:
        os._exit(LEFT_WORK_BEHIND)  # Python itself would wait for the threads that hang


@contextmanager
def _signals() -> Iterator[Iterator[int]]:
    """Give the signals that ask us for something, as they come; those that come together are one, the end before all.

    A handler in Python would run only once the main thread wakes up, which a signal that comes right before it falls
    asleep does not bring about. The bytes that Python writes here at once do. Where no byte fits in any more, the main
    thread is not asleep, and the handler runs.
    """
    ends = {signal.SIGTERM, signal.SIGINT}
    there, here = socketpair()
    came: set[int] = set()
    with there, here:
        there.setblocking(False)
        signal.set_wakeup_fd(there.fileno(), warn_on_full_buffer=False)
        for number in (*ends, signal.SIGHUP):
            signal.signal(number, lambda number, _: came.add(number))

        def asked() -> int:
            came.update(() if came & ends else here.recv(_MANY))
            return next(iter(came & ends), signal.SIGHUP)

        try:
            yield (asked() for _ in count())
        finally:
            signal.set_wakeup_fd(-1)
