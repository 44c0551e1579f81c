"""The metrics: an Observer that counts events, and gives the numbers as Prometheus reads them.

Labels are few and closed: names, issuers and stores of the configuration, and words of our own code.
"""

from collections import Counter as Tally
from collections.abc import Callable, Collection, Iterator, Mapping
from datetime import datetime
from importlib.metadata import version
from math import inf
from threading import Lock
from typing import Any, Final

from prometheus_client import CollectorRegistry
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, HistogramMetricFamily
from prometheus_client.exposition import choose_encoder
from prometheus_client.metrics_core import Metric
from prometheus_client.process_collector import ProcessCollector
from prometheus_client.registry import Collector

from provisioner.domain import errors, events
from provisioner.domain.status import TokenStatus
from provisioner.ports.clock import Clock
from provisioner.telemetry import names

HELP: Final[Mapping[str, str]] = {
    names.TOKEN_EXPIRY: "When the stored token ends",
    names.TOKEN_NEXT_ROTATION: "When the stored token is planned to be replaced; retries do not move it",
    names.ROTATIONS: "Rotations that came to an end, by the check that asked for them",
    names.ROTATION_DURATION: "How long the phases of rotations took, and all of them together",
    names.STORE_REQUESTS: "Requests to stores; the result is ok, or the kind of error",
    names.ISSUER_REQUESTS: "Requests to issuers; the result is ok, or the kind of error",
    names.CONSUMER_REQUESTS: "Requests to workloads and webhooks; the result is ok, or the kind of error",
    names.ORPHAN_TOKENS: "Live tokens of ours that nothing stores, at the last look",
    names.AWAITING_REVOCATION: "Live tokens of a name that are not the current one, at the last look",
    names.REVOCATIONS_OVERDUE: "Those of them that should have been revoked a good while ago",
    names.LAST_RECONCILE: "When all tokens had last been looked at by this process; 0: not yet",
    names.LEADER: "Whether this process is the one that acts: always 1 without leader election",
    names.BUILD_INFO: "Always 1; the version is in the label",
    names.EVENTS_LOST: "Events that could not be logged or counted",
}
"""What each metric tells."""
_BUCKETS: Final = (0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60, 120, 300, 600, 1800)
_OURS: Final = frozenset({"ok", *(name for name in vars(errors) if name.endswith("Error"))})
_BUG: Final = "bug"
_REQUESTS: Final = {
    "store": (names.STORE_REQUESTS, names.STORE),
    "issuer": (names.ISSUER_REQUESTS, names.ISSUER),
    "consumer": (names.CONSUMER_REQUESTS, names.KIND),
}
"""By the kind of what is asked: the metric, and the label that says which one of that kind."""


class Metrics:
    """Counts what it is told. Thread-safe."""

    def __init__(self, clock: Clock, *, acts: Callable[[], bool], lost: Callable[[], int]) -> None:
        """Take what is asked at each scrape: whether this process acts, and how many events were lost."""
        self._clock, self._acts, self._lost, self._lock = clock, acts, lost, Lock()
        self._standings: dict[str, events.NameStands] = {}
        self._abandoned: dict[str, int] = {}
        self._configured: tuple[Collection[str], Collection[str]] | None = None
        self._reconciled_at: datetime | None = None
        self._rotations: Tally[tuple[str, ...]] = Tally()
        self._durations: dict[str, list[float]] = {}
        self._version = version("token-provisioner")
        self._requests: dict[str, Tally[tuple[str, ...]]] = {kind: Tally() for kind in _REQUESTS}
        self._registry = CollectorRegistry()
        self._registry.register(_Collected(self._families))
        ProcessCollector(registry=self._registry)

    def __call__(self, event: events.Event) -> None:
        """Count one event."""
        match event:
            case events.NameStands():
                self._stands(event)
            case events.AbandonedCounted():
                with self._lock:
                    if self._configured is None or event.issuer in self._configured[1]:
                        self._abandoned[event.issuer] = event.tokens
            case events.PassFinished(whole=True):
                self._reconciled_at = self._clock.now()
            case events.RotationFinished():
                self._count(self._rotations, event.name, names.DONE, event.fact)
                for phase, took in (*event.phases.items(), (names.ALL_PHASES, event.took)):
                    self._measure(phase.replace(" ", "_"), took.total_seconds())
            case events.StepFailed(step="mint"):
                self._count(self._rotations, event.name, names.FAILED, event.fact)
            case events.RequestMade():
                result = event.result if event.result in _OURS else _BUG
                self._count(self._requests[event.kind], event.backend, event.operation, result)
            case _:
                pass

    def keep(self, tokens: Collection[str], issuers: Collection[str]) -> None:
        """Show no standing of any other name or issuer from now on: the configuration has these alone."""
        with self._lock:
            self._configured = frozenset(tokens), frozenset(issuers)
            self._standings = {name: seen for name, seen in self._standings.items() if name in tokens}
            self._abandoned = {name: seen for name, seen in self._abandoned.items() if name in issuers}

    def exposed(self, accept: str) -> tuple[bytes, str]:
        """Give all metrics in the form that the scraper accepts, and the type of it."""
        encode, content_type = choose_encoder(accept)
        return encode(self._registry), content_type

    def _stands(self, event: events.NameStands) -> None:
        with self._lock:
            if self._configured is None or event.name in self._configured[0]:
                self._standings[event.name] = event

    def _count(self, tally: Tally[tuple[str, ...]], *labels: str) -> None:
        with self._lock:
            tally[labels] += 1

    def _measure(self, phase: str, seconds: float) -> None:
        with self._lock:
            counts = self._durations.setdefault(phase, [0.0] * (len(_BUCKETS) + 2))
            for index, bucket in enumerate((*_BUCKETS, inf)):
                counts[index] += seconds <= bucket
            counts[-1] += seconds

    def _families(self) -> Iterator[Metric]:
        with self._lock:
            seen, abandoned = tuple(self._standings.values()), dict(self._abandoned)
            counted = [
                (names.ROTATIONS, (names.NAME, names.RESULT, names.REASON), dict(self._rotations)),
                *(
                    (name, (backend, names.OPERATION, names.RESULT), dict(self._requests[kind]))
                    for kind, (name, backend) in _REQUESTS.items()
                ),
            ]
            durations = {phase: tuple(counts) for phase, counts in self._durations.items()}
        for name, labels, tally in counted:
            yield _counter(name, tally, labels)
        yield _histogram(names.ROTATION_DURATION, durations, (names.PHASE,))
        yield _counter(names.EVENTS_LOST, {(): self._lost()})
        for name, number in _OF_A_NAME.items():
            yield _gauge(name, {(each.name,): number(each.status) for each in seen}, (names.NAME,))
        yield _gauge(names.ORPHAN_TOKENS, _orphans(seen, abandoned), (names.ISSUER,))
        yield _gauge(names.LAST_RECONCILE, {(): self._reconciled_at.timestamp() if self._reconciled_at else 0})
        yield _gauge(names.LEADER, {(): 1 if self._acts() else 0})
        yield _gauge(names.BUILD_INFO, {(self._version,): 1}, (names.VERSION,))


class _Collected(Collector):
    def __init__(self, families: Callable[[], Iterator[Metric]]) -> None:
        self._families = families

    def collect(self) -> Iterator[Metric]:
        """Give the numbers as they are now."""
        return self._families()


_OF_A_NAME: Final[Mapping[str, Callable[[TokenStatus], float | None]]] = {
    names.TOKEN_EXPIRY: lambda status: status.expires_at.timestamp() if status.expires_at else None,
    names.TOKEN_NEXT_ROTATION: lambda status: status.rotate_at.timestamp() if status.rotate_at else None,
    names.AWAITING_REVOCATION: lambda status: len(status.awaiting_revocation),
    names.REVOCATIONS_OVERDUE: lambda status: sum(item.overdue for item in status.awaiting_revocation),
}
"""Gauges of one name; None: there is nothing to tell."""


def _orphans(seen: Collection[events.NameStands], abandoned: Mapping[str, int]) -> dict[tuple[str, ...], float | None]:
    """Add up by issuer the tokens that nothing stores, of configured names and of others."""
    total = Tally(dict(abandoned))
    for each in seen:
        total.update(each.orphans)
    return {(issuer,): count for issuer, count in total.items()}


def _counter(name: str, values: Mapping[tuple[str, ...], float], labels: tuple[str, ...] = ()) -> Metric:
    family = CounterMetricFamily(name, HELP[name], labels=labels)
    for given, value in values.items():
        family.add_metric(given, value)
    return family


def _histogram(name: str, values: Mapping[str, tuple[float, ...]], labels: tuple[str, ...]) -> Metric:
    family = HistogramMetricFamily(name, HELP[name], labels=labels)
    for given, (*counts, total) in values.items():
        family.add_metric([given], list(zip((*map(str, _BUCKETS), "+Inf"), counts, strict=True)), total)
    return family


def _gauge(name: str, values: Mapping[Any, float | None], labels: tuple[str, ...] = ()) -> Metric:
    family = GaugeMetricFamily(name, HELP[name], labels=labels)
    for given, value in values.items():
        if value is not None:
            family.add_metric(given, value)
    return family
