"""Kubernetes Events (``events.k8s.io/v1``) about our own pod, sent on a thread of their own.

Whoever puts one in never waits: where the queue is full, or the API server does not take it, it is dropped and counted,
which is told now and then.
"""

from collections.abc import Callable
from contextlib import suppress
from datetime import datetime, timedelta
from queue import Empty, Full, Queue
from threading import Event, Lock, Thread
from typing import TYPE_CHECKING, Final, Protocol

from provisioner.domain import events
from provisioner.domain.errors import ConfigurationError
from provisioner.ports.clock import Clock
from provisioner.ports.observer import Observer
from provisioner.runtime.kubernetes_client import MANAGER, Failure, ask, connected

if TYPE_CHECKING:
    from lightkube import Client
    from lightkube.resources.events_v1 import Event as KubernetesEvent

MOST_WAITING: Final = 256
AGAIN_AFTER: Final = timedelta(hours=1)
_TIMEOUT: Final = timedelta(seconds=5)
_LEAVE_WITHIN: Final = timedelta(seconds=2)
_WAKE_EVERY: Final = 0.5
_LONGEST: Final = 128
"""What a reason, an action and the name of who reports may have."""


class Note(Protocol):
    """What is told."""

    @property
    def reason(self) -> str:
        """In one word, for filters."""

    @property
    def action(self) -> str:
        """What was done."""

    @property
    def text(self) -> str:
        """For people."""

    @property
    def is_warning(self) -> bool:
        """Whether somebody should look."""


class PodEvents:
    """Sends notes about one pod; ``put`` may be called from any thread."""

    def __init__(
        self,
        *,
        name: str,
        namespace: str,
        uid: str,
        clock: Clock,
        observe: Observer = lambda _: None,
        waiting: int = MOST_WAITING,
    ) -> None:
        """Take which pod, and who is told of what is dropped; nothing is connected before the first note."""
        self._name, self._namespace, self._uid, self._clock = name, namespace, uid, clock
        self._observe, self._lock = observe, Lock()
        self._told_at: float | None = None
        self._queue: Queue[Callable[[Client], object] | None] = Queue(maxsize=waiting)
        self._leaving = Event()
        self.dropped = 0
        """How many were not sent."""
        self._thread = Thread(target=self._run, name="pod-events", daemon=True)
        self._thread.start()

    def put(self, note: Note) -> None:
        """Take a note, or drop it."""
        moment = self._clock.now()
        moment = moment if moment.microsecond else moment.replace(microsecond=1)  # six digits, or it is not taken

        def send(client: "Client") -> object:
            return client.create(self._event(note, moment))

        try:
            self._queue.put_nowait(send)
        except Full:
            self._drop("more is to be told than the API server takes")

    def _drop(self, why: str) -> None:
        """Count one that is not sent; tell of the first, and then once an hour at most."""
        now = self._clock.monotonic()
        with self._lock:
            self.dropped += 1
            if self._told_at is not None and now - self._told_at < AGAIN_AFTER.total_seconds():
                return
            self._told_at, dropped = now, self.dropped
        self._observe(events.PodEventsDropped(error=why, dropped=dropped))

    def _event(self, note: Note, moment: datetime) -> "KubernetesEvent":
        from lightkube.models.core_v1 import ObjectReference
        from lightkube.models.meta_v1 import ObjectMeta
        from lightkube.resources.events_v1 import Event as KubernetesEvent

        return KubernetesEvent(
            metadata=ObjectMeta(generateName=f"{self._name[:_LONGEST]}.", namespace=self._namespace),
            eventTime=moment,
            reportingController=MANAGER,
            reportingInstance=self._name[:_LONGEST],
            action=note.action,
            reason=note.reason,
            type="Warning" if note.is_warning else "Normal",
            note=note.text,
            regarding=ObjectReference(
                apiVersion="v1", kind="Pod", name=self._name, namespace=self._namespace, uid=self._uid
            ),
        )

    def close(self) -> None:
        """Send what waits, for two seconds at most."""
        self._leaving.set()
        with suppress(Full):  # then there is work, and it looks whether we leave after that
            self._queue.put_nowait(None)
        self._thread.join(_LEAVE_WITHIN.total_seconds())

    def _run(self) -> None:
        client: Client | None = None
        while True:
            try:
                send = self._queue.get(timeout=0 if self._leaving.is_set() else _WAKE_EVERY)
            except Empty:
                if self._leaving.is_set():
                    break
                continue
            if send is None:
                continue
            try:
                client = client or _client()
            except ConfigurationError as error:  # whatever it is, it is no trouble of a rotation
                self._drop(str(error))
                continue
            failure = _failure_of(client, send)
            if failure is None:
                continue
            self._drop(failure.text)
            if failure.is_stale:
                client.close()
                client = None
        if client is not None:
            client.close()


def _failure_of(client: "Client", send: Callable[["Client"], object]) -> Failure | None:
    answer = ask("could not create an event", lambda: send(client), patience=_TIMEOUT)
    return answer if isinstance(answer, Failure) else None


def _client() -> "Client":
    return connected(_TIMEOUT, wanted="events are told about the pod", otherwise="unset POD_NAME")
