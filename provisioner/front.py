"""What the daemon shows and takes from outside: health, metrics, standings, wishes to rotate, and the two listeners."""

from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import AbstractContextManager
from dataclasses import replace
from datetime import timedelta
from threading import Event, Lock, Thread
from typing import TYPE_CHECKING, Final, Protocol

import structlog

from provisioner.api.listener import Listener
from provisioner.api.sockets import SocketUnavailableError, open_tcp, open_unix
from provisioner.api.view import HTTP, SOCKET, Facts, Standing, UnknownTokenError
from provisioner.app import Application
from provisioner.domain.by_hand import STILL_LIVE, ByHand, NotTakenError, Progress, Wish
from provisioner.domain.errors import ConfigurationError
from provisioner.domain.model import ManagedToken, Trigger
from provisioner.domain.secret import SecretText
from provisioner.domain.status import State, TokenStatus, later_request
from provisioner.engine.desk import Desk
from provisioner.engine.service import RotationResult
from provisioner.engine.standings import Standings
from provisioner.ports.clock import Clock
from provisioner.telemetry.metrics import Metrics

if TYPE_CHECKING:
    from starlette.types import ASGIApp

LOOK_EVERY: Final = timedelta(seconds=30)
"""A process that has other replicas looks when it is asked, and not again for so long, whoever asks."""
LOOK_WITHIN: Final = timedelta(seconds=10)
"""Whoever asks waits for that look so long; then what was seen before has to do."""


class Owner(Protocol):
    """The daemon, as this needs it."""

    def current(self) -> AbstractContextManager[Application]:
        """Give the configuration that holds now, open until the work inside has ended."""

    def may_act(self) -> bool:
        """Tell whether this process acts."""

    def has_others(self) -> bool:
        """Tell whether other replicas may act, too."""

    def is_beating(self) -> bool:
        """Tell whether the scheduler hands out work."""

    def is_leaving(self) -> bool:
        """Tell whether somebody asked us to leave."""

    def wake(self, name: str) -> None:
        """Have a name looked at at once."""


class Front:
    """The View of the API, over the daemon."""

    def __init__(self, owner: Owner, clock: Clock, metrics: Metrics, standings: Standings) -> None:
        self._owner, self._clock, self._metrics, self._seen = owner, clock, metrics, standings
        self._log = structlog.get_logger("provisioner.daemon")
        self._desk: Desk | None = None
        self._listeners: list[Listener] = []
        self._look_lock, self._looking = Lock(), Event()
        self._looking.set()
        self._looked_at: float | None = None
        self._was_ready = False

    # --- beginning and end --------------------------------------------------------------------------

    def open(self, application: Application) -> Desk:
        """Open the listeners, and give the desk, which is to be told of events. Raises ConfigurationError."""
        settings = application.settings
        self._desk = Desk(
            self._clock,
            instance=settings.instance,
            concurrency=settings.reconcile.concurrency,
            rotate=self._rotate,
        )
        opened = open_tcp(*settings.server.address)
        self._listeners = [Listener(opened, lambda: self._app(HTTP))]
        try:
            unix = open_unix(settings.server.admin_socket)
            self._listeners.append(Listener(unix, lambda: self._app(SOCKET)))
        except SocketUnavailableError as error:
            remedy = "make the folder, writable for this user alone, or set server.admin_socket; rotate --direct works"
            self._log.warning("admin_socket_unavailable", error=str(error), remedy=remedy)
        except ConfigurationError:
            self.close()
            raise
        self.configured(application)
        return self._desk

    def start(self) -> None:
        """Begin to answer."""
        for listener in self._listeners:
            listener.start()
            self._log.info("api_listening", where=listener.where)

    def configured(self, application: Application) -> None:
        """Show what this configuration has, and nothing else."""
        names = {token.name for token in application.service.tokens}
        self._metrics.keep(names, set(application.settings.issuers))

    def finish(self) -> None:
        """Take no more wishes, and wait for those that are under way."""
        if self._desk is not None:
            self._desk.close()

    def close(self) -> None:
        """Answer nobody any more."""
        for listener in self._listeners:
            listener.close()

    # --- what the API asks --------------------------------------------------------------------------

    def instance(self) -> str:
        """See the Protocol."""
        with self._owner.current() as application:
            return application.settings.instance

    def standings(self) -> tuple[Standing, ...]:
        """See the Protocol. A process alone has them from its passes; beside others it looks itself, now and then."""
        if self._owner.has_others() and not self._owner.is_leaving():
            self._look()
        with self._owner.current() as application:
            tokens, acting = application.service.tokens, application.service.is_acting
            return tuple(self._standing(token, rotating=acting(token.name)) for token in tokens)

    def select(self, names: Iterable[str], selector: Mapping[str, str]) -> tuple[str, ...]:
        """See the Protocol."""
        try:
            with self._owner.current() as application:
                chosen = application.service.select(names, selector.items())
        except ConfigurationError:
            chosen = ()
        if not chosen:
            remedy = "see /v1/tokens, or `provisioner status`"
            raise UnknownTokenError(f"no token is configured of such a name, or with such labels: {remedy}")
        return tuple(token.name for token in chosen)

    def ask(self, names: Iterable[str], wish: Wish) -> tuple[ByHand, ...]:
        """See the Protocol."""
        if self._desk is None or self._owner.is_leaving():
            raise NotTakenError("this process is stopping: ask the next one")
        asked = self._desk.ask(names, wish)
        for each in asked:
            self._log.info(
                "rotation_asked_for",
                name=each.name,
                request_id=wish.request_id,
                reason=wish.reason,
                compromised=wish.compromised,
                by=wish.by,
                via=wish.via,
                progress=each.progress.value,
                leads=self._owner.may_act(),
            )
        return asked

    def rotation(self, id_: str) -> ByHand | None:
        """See the Protocol. One that another process carried out is told by the record that came of it."""
        if self._desk is None:
            return None
        return self._desk.get(id_) or next((each for each in self._recorded(self._desk) if each.id == id_), None)

    def rotations(self) -> tuple[ByHand, ...]:
        """See the Protocol."""
        return () if self._desk is None else self._desk.all()

    def health(self) -> Facts:
        """See the Protocol. A process that leaves is well: it has a deadline of its own."""
        leaving = self._owner.is_leaving()
        beating = self._owner.is_beating() or leaving
        serving = all(listener.is_serving() for listener in self._listeners) or leaving
        return Facts(ok=beating and serving, facts={"scheduler_beats": beating, "listeners_serve": serving})

    def readiness(self) -> Facts:
        """See the Protocol. Once ready it stays so until it leaves: a new leader has not looked at anything yet."""
        leaving, leads, looked = self._owner.is_leaving(), self._owner.may_act(), self._seen.has_looked_at_all
        self._was_ready = self._was_ready or looked or not leads
        facts = {"configuration_loaded": True, "looked_at_all_tokens": looked, "leads": leads, "leaving": leaving}
        return Facts(ok=self._was_ready and not leaving, facts=facts)

    def metrics(self, accept: str) -> tuple[bytes, str]:
        """See the Protocol."""
        return self._metrics.exposed(accept)

    def api_token(self) -> Callable[[], SecretText] | None:
        """See the Protocol."""
        with self._owner.current() as application:
            reference = application.settings.server.api_token
            return None if reference is None else reference.source()

    # --- how ----------------------------------------------------------------------------------------

    def _app(self, via: str) -> "ASGIApp":
        from provisioner.api.application import create_app

        return create_app(self, via=via)

    def _rotate(self, name: str, trigger: Trigger) -> RotationResult:
        """Carry one wish out, whoever leads, then have the name woken, so that its next moment is known."""
        with self._owner.current() as application:
            (result,) = application.service.rotate(application.service.select([name]), trigger)
        self._owner.wake(name)
        return result

    def _recorded(self, desk: Desk) -> Iterator[ByHand]:
        """Give the rotations that the stored records tell of."""
        for status in (standing.status for standing in self.standings()):
            last = status.last_request
            if last is not None and last.stored_at is not None:
                still_live = tuple(waiting.token_id for waiting in status.awaiting_revocation)
                yield ByHand(
                    id=desk.id_of(status.name, last.request_id),
                    name=status.name,
                    wish=Wish(
                        request_id=last.request_id,
                        reason=last.reason or "",
                        compromised=last.compromised,
                        by=last.by,
                        via=last.via or "",
                    ),
                    asked_at=last.asked_at or last.stored_at,
                    progress=Progress.FAILED if last.compromised and still_live else Progress.DONE,
                    ended_at=last.stored_at,
                    already=True,
                    token_id=status.token_id,
                    error=STILL_LIVE if last.compromised and still_live else None,
                    still_live=still_live,
                )

    def _standing(self, token: ManagedToken, *, rotating: bool) -> Standing:
        seen = self._seen.of(token.name)
        status = _unseen(token) if seen is None else seen.status
        asked = next((each for each in self.rotations() if each.name == token.name), None)
        if asked is not None:
            status = replace(status, last_request=later_request(status.last_request, asked.request))
        if rotating:
            status = replace(status, state=State.ROTATING)
        return Standing(status=status, seen_at=None if seen is None else seen.at)

    def _look(self) -> None:
        """Look at all tokens, at most one of us at a time, and not again for a while; wait for it, but not for long."""
        now = self._clock.monotonic()
        with self._look_lock:
            if self._looking.is_set() and (
                self._looked_at is None or now - self._looked_at >= LOOK_EVERY.total_seconds()
            ):
                self._looked_at = now
                self._looking.clear()
                Thread(target=self._look_now, name="look", daemon=True).start()
        self._looking.wait(LOOK_WITHIN.total_seconds())

    def _look_now(self) -> None:
        began = self._clock.now()
        try:
            with self._owner.current() as application:
                statuses = application.service.status(application.service.tokens)
            for status in statuses:
                before = self._seen.of(status.name)
                if before is not None and before.status.token_id != status.token_id:
                    self._owner.wake(status.name)  # rotated by another replica: its next moment is another one
            self._seen.note(statuses, began)
        finally:
            self._looking.set()


def _unseen(token: ManagedToken) -> TokenStatus:
    return TokenStatus(
        name=token.name,
        issuer=token.issuer,
        labels=token.labels,
        state=State.UNKNOWN,
        token_id=None,
        issued_at=None,
        expires_at=None,
        rotate_at=None,
        next_step="rest",
        next_step_at=None,
        reason="nobody has looked yet",
        last_error=None,
        failed_attempts=0,
        destinations=(),
        awaiting_revocation=(),
    )
