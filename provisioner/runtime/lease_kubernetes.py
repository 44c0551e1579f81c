"""The Lease port over Kubernetes (``coordination.k8s.io/v1``), through lightkube.

In a pod the ServiceAccount's token, certificate and namespace are used, elsewhere the file that ``KUBECONFIG`` names,
or ``~/.kube/config``. The token is read again from its file when the server no longer takes it.
"""

from collections.abc import Callable, Mapping
from contextlib import closing, suppress
from copy import deepcopy
from datetime import datetime, timedelta
from http import HTTPStatus
from typing import TYPE_CHECKING, Final, TypeVar

from provisioner.domain.election import NOBODY, Claim, LeaseRecord
from provisioner.domain.errors import (
    ConfigurationError,
    LeaseConflictError,
    LeaseGoneError,
    LeaseRefusedError,
    LeaseUnavailableError,
    ProvisionerError,
)
from provisioner.domain.scrub import LONGEST_PLAIN_WORD, scrub
from provisioner.ports.clock import Clock

if TYPE_CHECKING:
    from lightkube import Client
    from lightkube.resources.coordination_v1 import Lease

T = TypeVar("T")

MANAGER: Final = "token-provisioner"
"""Who wrote the fields, as ``kubectl get --show-managed-fields`` tells."""
_NEEDS: Final = "it takes a Role with the verbs get, create and update on leases of coordination.k8s.io"
_REMEDIES: Final[Mapping[int, str]] = {
    HTTPStatus.FORBIDDEN: _NEEDS,
    HTTPStatus.UNAUTHORIZED: "the server does not take our token: see the ServiceAccount",
}
_REFUSALS: Final = range(400, 500)
_TEMPORARY: Final = frozenset({HTTPStatus.REQUEST_TIMEOUT, HTTPStatus.TOO_MANY_REQUESTS})
_PHASES: Final = 2
"""A request spends its time on connecting and on waiting for the answer; each gets half."""


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
        import httpx2
        import msgspec
        from lightkube import ApiError
        from lightkube.core.exceptions import ConfigError

        what = f"could not {verb} the lease {self.name}"
        try:
            return call()
        except ApiError as answer:
            error = _answered(what, answer.status.code or answer.response.status_code, answer.status.message or "")
        except httpx2.HTTPStatusError as answer:  # not in Kubernetes' words: somebody between
            error = _answered(what, answer.response.status_code, "")
        except httpx2.HTTPError as trouble:
            error = LeaseUnavailableError(f"{what}: no answer ({type(trouble).__name__})")
        except (ConfigError, OSError):
            error = LeaseUnavailableError(f"{what}: the ServiceAccount's token could not be read")
        except (httpx2.InvalidURL, msgspec.MsgspecError, ValueError, TypeError, LookupError, AttributeError) as trouble:
            error = LeaseUnavailableError(f"{what}: the answer was not understood ({type(trouble).__name__})")
        raise error


def _answered(what: str, status: int, message: str) -> ProvisionerError:
    """Give our error for an answer that is none of what was asked for."""
    told = f"{what}: {status} {scrub(message, longest_word=LONGEST_PLAIN_WORD)}".rstrip()
    if status == HTTPStatus.CONFLICT:
        return LeaseConflictError(f"{told}: somebody else wrote it first")
    if status in {HTTPStatus.NOT_FOUND, HTTPStatus.GONE}:
        return LeaseGoneError(told)
    if status in _REFUSALS and status not in _TEMPORARY:
        remedy = _REMEDIES.get(status)
        return LeaseRefusedError(f"{told}: {remedy}" if remedy else told)
    return LeaseUnavailableError(told)


def _client(request_timeout: timedelta, *, dry_run: bool = False) -> "Client":
    """Give a client that gives up in time; what is wrong with how to reach the cluster is the operator's to mend."""
    import httpx2
    import msgspec
    import yaml
    from lightkube import Client, KubeConfig
    from lightkube.core.exceptions import ConfigError

    seconds = request_timeout.total_seconds() / _PHASES
    why = "its configuration was not understood"
    with suppress(msgspec.MsgspecError, yaml.YAMLError, httpx2.InvalidURL, ValueError, TypeError, AttributeError):
        try:
            config = KubeConfig.from_env()
            return Client(config, timeout=httpx2.Timeout(seconds), field_manager=MANAGER, dry_run=dry_run)
        except AssertionError:
            why = "the context of its configuration names no user"
        except LookupError:
            why = "its configuration lacks a name, or KUBERNETES_SERVICE_HOST and KUBERNETES_SERVICE_PORT are not set"
        except (ConfigError, OSError):
            why = "there is no ServiceAccount, and no file at KUBECONFIG or ~/.kube/config that can be read"
    raise ConfigurationError(
        f"leader_election is enabled, and no Kubernetes API server was found: {why}: run in a pod with a ServiceAccount"
        " (automountServiceAccountToken), set KUBECONFIG, or switch leader_election off"
    )


def _written_in_full(moment: datetime) -> datetime:
    """Give a moment that is written with six digits of a second, which the server insists on: none has zero of them."""
    return moment if moment.microsecond else moment.replace(microsecond=1)
