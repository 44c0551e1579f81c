"""Every request is told of, and no foreign error comes through."""

import logging
from collections.abc import Callable
from dataclasses import replace
from datetime import timedelta

import pytest

from provisioner.domain.consumers import Notice, Workload, WorkloadKind
from provisioner.domain.errors import (
    ConflictError,
    IssuerUnavailableError,
    NotificationFailedError,
    OutcomeUnknownError,
    ProvisionerError,
    StoreUnavailableError,
    WorkloadsUnavailableError,
)
from provisioner.domain.events import ClockSkewEnded, ClockSkewFound, Event, RequestMade
from provisioner.domain.mark import Mark
from provisioner.domain.model import CreateRequest, Listing
from provisioner.domain.secret import SecretText
from provisioner.engine.observed import ObservedIssuer, ObservedStore
from provisioner.engine.observed_consumers import ObservedNotifier, ObservedWorkloads
from provisioner.telemetry.logs import LEVELS
from tests.builders import DAY, NOW, OWNER, PLACE, a_record, an_issued, uid
from tests.fakes.clock import FakeClock
from tests.fakes.issuer import FakeIssuer
from tests.fakes.store import FakeStore
from tests.fakes.workloads import FakeNotifier, FakeWorkloads, a_webhook
from tests.leaks.search import assert_untold, everything_about

REQUEST = CreateRequest(mark=Mark(OWNER, uid(1)), description="x", ttl=timedelta(days=1), expires_at=NOW + DAY)
CALLS: dict[str, tuple[Callable[[ObservedIssuer, ObservedStore], object], type[ProvisionerError]]] = {
    "list": (lambda issuer, _: issuer.list(), IssuerUnavailableError),
    "create": (lambda issuer, _: issuer.create(REQUEST), OutcomeUnknownError),
    "prove": (lambda issuer, _: issuer.prove(SecretText("M.V1.hidden"), "id"), IssuerUnavailableError),
    "revoke": (lambda issuer, _: issuer.revoke(an_issued()), OutcomeUnknownError),
    "preflight": (lambda _, store: store.preflight(PLACE), StoreUnavailableError),
    "read": (lambda _, store: store.read(PLACE, OWNER), StoreUnavailableError),
    "write": (lambda _, store: store.write(PLACE, OWNER, a_record(), "0"), OutcomeUnknownError),
    "check": (lambda _, store: store.check([]), StoreUnavailableError),
}


WORKLOAD = Workload(kind=WorkloadKind.DAEMON_SET, name="agent")
NOTICE = Notice(
    instance="prod",
    name="telegraf",
    rotation_id=uid(1),
    token_id="id-1",
    issuer="cluster",
    issued_at=NOW,
    expires_at=NOW + DAY,
    stored_at=NOW,
    compromised=False,
    destinations=(),
)
CONSUMER_CALLS: dict[str, tuple[Callable[[ObservedWorkloads, ObservedNotifier], object], type[ProvisionerError]]] = {
    "read": (lambda workloads, _: workloads.read(WORKLOAD, OWNER), WorkloadsUnavailableError),
    "restart": (lambda workloads, _: workloads.restart(WORKLOAD, a_record()), WorkloadsUnavailableError),
    "check": (lambda workloads, _: workloads.check(WORKLOAD, OWNER), WorkloadsUnavailableError),
    "deliver": (lambda _, notifier: notifier.deliver(a_webhook(), NOTICE), NotificationFailedError),
}


@pytest.mark.parametrize("operation", CONSUMER_CALLS)
def test_calls_of_consumers_are_passed_on_and_told_by_kind(operation: str) -> None:
    """One event a call, with its result; a foreign error becomes ours, and tells its kind alone."""
    told: list[Event] = []
    workloads, notifier = FakeWorkloads(), FakeNotifier()
    workloads.add(WORKLOAD)
    call, expected = CONSUMER_CALLS[operation]
    observed = ObservedWorkloads(workloads, told.append), ObservedNotifier(notifier, told.append)
    call(*observed)
    kind = "webhook" if operation == "deliver" else "DaemonSet"
    assert told == [RequestMade(kind="consumer", backend=kind, operation=operation, result="ok")]

    def burst(_: str) -> None:
        raise KeyError("M.V1.hidden")

    workloads.faults.before_call = notifier.faults.before_call = burst
    with pytest.raises(expected, match="KeyError: this is a bug") as caught:
        call(*observed)
    assert_untold("M.V1.hidden-and-more"[:12], everything_about(caught.value))
    assert told[1] == RequestMade(kind="consumer", backend=kind, operation=operation, result="KeyError")


def bench() -> tuple[FakeIssuer, FakeStore, ObservedIssuer, ObservedStore, list[Event]]:
    """Give fakes, and what observes them."""
    told: list[Event] = []
    issuer, store = FakeIssuer(FakeClock()), FakeStore(FakeClock())
    return issuer, store, ObservedIssuer(issuer, told.append), ObservedStore(store, told.append), told


@pytest.mark.parametrize("operation", CALLS)
def test_each_call_is_passed_on_and_told(operation: str) -> None:
    """One event a call, with its result."""
    issuer, store, observed_issuer, observed_store, told = bench()
    CALLS[operation][0](observed_issuer, observed_store)
    assert (issuer.faults.calls + store.faults.calls)[operation] == 1
    (event,) = told
    assert isinstance(event, RequestMade)
    assert (event.operation, event.result) == (operation, "ok")


@pytest.mark.parametrize("foreign", [KeyError, SystemExit])
@pytest.mark.parametrize("operation", CALLS)
def test_a_foreign_error_becomes_ours_and_tells_only_its_kind(operation: str, foreign: type[BaseException]) -> None:
    """An effect that ended unexpectedly is of unknown outcome; a read is unavailable; no text comes through."""

    def burst(_: str) -> None:
        raise foreign("M.V1.hidden")

    issuer, store, observed_issuer, observed_store, told = bench()
    issuer.faults.before_call = store.faults.before_call = burst
    call, expected = CALLS[operation]
    with pytest.raises(expected) as caught:
        call(observed_issuer, observed_store)
    assert foreign.__name__ in str(caught.value)
    assert "hidden" not in f"{caught.value!r}{told!r}"
    assert (caught.value.__cause__, caught.value.__context__) == (None, None)


def test_our_own_errors_pass_unchanged() -> None:
    """A conflict stays a conflict."""
    _, _, _, store, told = bench()
    store.write(PLACE, OWNER, a_record(), "0")
    with pytest.raises(ConflictError):
        store.write(PLACE, OWNER, a_record(), "0")
    assert [event.result for event in told if isinstance(event, RequestMade)] == ["ok", "ConflictError"]


def test_wrong_clock_is_told_once_until_it_is_right() -> None:
    """A skew is news when it is found, and when it has ended; not on every list in between."""
    told: list[Event] = []
    skewed = SkewedIssuer(FakeClock())
    observed = ObservedIssuer(skewed, told.append)
    for seconds in (0, 120, 120, 126, 0, 0, -40):
        skewed.skew = timedelta(seconds=seconds)
        observed.list()
    news = [event for event in told if not isinstance(event, RequestMade)]
    assert news == [
        ClockSkewFound(issuer="cluster", ahead_by=timedelta(seconds=120)),
        ClockSkewEnded(issuer="cluster"),
        ClockSkewFound(issuer="cluster", ahead_by=timedelta(seconds=-40)),
    ]
    assert LEVELS[ClockSkewFound] == logging.WARNING


class SkewedIssuer(FakeIssuer):
    """A fake whose list tells of a wrong clock."""

    skew = timedelta(0)

    def list(self) -> Listing:
        """See the port."""
        return replace(super().list(), clock_skew=self.skew)
