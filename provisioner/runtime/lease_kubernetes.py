"""The Lease port over Kubernetes (``coordination.k8s.io/v1``), through lightkube."""

from collections.abc import Callable, Mapping
from contextlib import closing, suppress
from copy import deepcopy
from datetime import datetime, timedelta
from http import HTTPStatus
from typing import TYPE_CHECKING, Final, TypeVar, assert_never

from provisioner.domain.election import NOBODY, Claim, LeaseRecord
from provisioner.domain.errors import (
    ConfigurationError,
    LeaseConflictError,
    LeaseGoneError,
    LeaseRefusedError,
    LeaseUnavailableError,
    ProvisionerError,
)
from provisioner.ports.clock import Clock
from provisioner.runtime.kubernetes_client import Failure, Trouble, ask, connected

if TYPE_CHECKING:
    from lightkube import Client
    from lightkube.resources.coordination_v1 import Lease

T = TypeVar("T")

_NEEDS: Final = "it takes a Role with the verbs get, create and update on leases of coordination.k8s.io"
_REMEDIES: Final[Mapping[int, str]] = {
    HTTPStatus.FORBIDDEN: _NEEDS,
    HTTPStatus.UNAUTHORIZED: "the server does not take our token: see the ServiceAccount",
}


class KubernetesLease:
    """The Lease port over one Lease object."""

    def __init__(self, name: str, namespace: str | None, *, request_timeout: timedelta, clock: Clock) -> None:
        """Take which lease; without a namespace it is our own. Raises ConfigurationError where no cluster is found."""
        self._client, self._timeout = _client(request_timeout), request_timeout
        self._lease, self._clock = name, clock
        self._namespace = namespace or self._client.namespace
        self._seen: Lease | None = None
        """As it was last read or written: with labels and whatever else is not ours."""

    @property
    def name(self) -> str:
        """Give where the lease is: ``NAMESPACE/NAME``."""
        return f"{self._namespace}/{self._lease}"

    def read(self) -> LeaseRecord | None:
        """Give what the lease says now; None when there is none."""
        from lightkube.resources.coordination_v1 import Lease

        try:
            lease = self._asked("read", lambda: self._client.get(Lease, self._lease, namespace=self._namespace))
        except LeaseGoneError:
            self._seen = None
            return None
        return self._noted(lease)

    def create(self, claim: Claim) -> LeaseRecord:
        """Create the lease; raises LeaseConflictError when there is one."""
        return self._noted(self._create(self._client, claim))

    def update(self, claim: Claim, version: str) -> LeaseRecord:
        """Write the lease if it is still in that version; labels, owners and the like stay as they were seen."""
        return self._noted(self._update(self._client, claim, version))

    def check(self) -> None:
        """See whether we may read, create and update it: the server is asked to try, and to keep nothing of it."""
        record = self.read()
        with closing(_client(self._timeout, dry_run=True)) as trying:
            claim = Claim(holder=NOBODY, duration=timedelta(seconds=1), transitions=record.transitions if record else 0)
            with suppress(LeaseConflictError):
                self._create(trying, claim)
            with suppress(LeaseConflictError, LeaseGoneError):
                self._update(trying, claim, record.version if record else "1")

    def _create(self, client: "Client", claim: Claim) -> "Lease":
        from lightkube.models.meta_v1 import ObjectMeta
        from lightkube.resources.coordination_v1 import Lease

        lease = Lease(metadata=ObjectMeta(name=self._lease, namespace=self._namespace))
        self._fill(lease, claim)
        try:
            return self._asked("create", lambda: client.create(lease))
        except LeaseGoneError:
            why = f"the namespace {self._namespace} is not there: create it, or set leader_election.namespace"
        raise LeaseRefusedError(f"could not create the lease {self.name}: {why}")

    def _update(self, client: "Client", claim: Claim, version: str) -> "Lease":
        from lightkube.models.meta_v1 import ObjectMeta
        from lightkube.resources.coordination_v1 import Lease

        lease = deepcopy(self._seen) or Lease(metadata=ObjectMeta(name=self._lease, namespace=self._namespace))
        if lease.metadata is not None:
            lease.metadata.resourceVersion, lease.metadata.managedFields = version, None
        self._fill(lease, claim)
        return self._asked("update", lambda: client.replace(lease))

    def close(self) -> None:
        """Let go of connections."""
        self._client.close()

    def _connect_anew(self) -> None:
        """Read again who we are and whom to trust: that may have been replaced since we began."""
        before = self._client
        with suppress(ConfigurationError):
            self._client = _client(self._timeout)
            before.close()

    def _fill(self, lease: "Lease", claim: Claim) -> None:
        """Write the claim into the object; the moments in it are for people, no elector goes by them."""
        from lightkube.models.coordination_v1 import LeaseSpec

        now = _written_in_full(self._clock.now())
        spec = lease.spec = lease.spec or LeaseSpec()
        if spec.renewTime == now:  # the same once more would be no write: no new version, for nobody to see
            now = _written_in_full(now + timedelta(microseconds=1))
        if spec.holderIdentity != claim.holder or spec.acquireTime is None:
            spec.acquireTime = now
        else:
            spec.acquireTime = _written_in_full(spec.acquireTime)
        spec.holderIdentity, spec.renewTime = claim.holder, now
        spec.leaseDurationSeconds = max(1, -(-claim.duration // timedelta(seconds=1)))
        spec.leaseTransitions = claim.transitions

    def _noted(self, lease: "Lease") -> LeaseRecord:
        """Keep the object, and give what it says. Nothing that it may lack is needed."""
        version = lease.metadata.resourceVersion if lease.metadata else None
        if not version:
            raise LeaseUnavailableError(f"the lease {self.name} came without a resourceVersion: is that Kubernetes?")
        self._seen = lease
        spec = lease.spec
        return LeaseRecord(
            version=version,
            holder=(spec.holderIdentity if spec else None) or NOBODY,
            duration=timedelta(seconds=(spec.leaseDurationSeconds if spec else None) or 0),
            transitions=(spec.leaseTransitions if spec else None) or 0,
        )

    def _asked(self, verb: str, call: Callable[[], T]) -> T:
        """Make one request; its error is raised outside the handler, because the client's may hold the token."""
        answer = ask(f"could not {verb} the lease {self.name}", call, patience=self._timeout)
        if isinstance(answer, Failure):
            if answer.is_stale:
                self._connect_anew()
            raise _error(answer)
        return answer


def _error(failure: Failure) -> ProvisionerError:
    """Give our error for an answer that is none of what was asked for."""
    match failure.trouble:
        case Trouble.CONFLICT:
            return LeaseConflictError(failure.text)
        case Trouble.GONE:
            return LeaseGoneError(failure.text)
        case Trouble.REFUSED:
            remedy = _REMEDIES.get(failure.status)
            return LeaseRefusedError(f"{failure.text}: {remedy}" if remedy else failure.text)
        case Trouble.UNAVAILABLE:
            return LeaseUnavailableError(failure.text, retry_after=failure.retry_after)
        case _:
            assert_never(failure.trouble)


def _client(request_timeout: timedelta, *, dry_run: bool = False) -> "Client":
    """Give a client that gives up in time."""
    return connected(
        request_timeout,
        wanted="leader_election is enabled",
        otherwise="switch leader_election off",
        dry_run=dry_run,
    )


def _written_in_full(moment: datetime) -> datetime:
    """Give a moment that is written with six digits of a second, which the server insists on: none has zero of them."""
    return moment if moment.microsecond else moment.replace(microsecond=1)
