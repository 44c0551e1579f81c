"""The Workloads port over Kubernetes (``apps/v1``), through lightkube. The cluster is looked for at the first call.

A restart is what ``kubectl rollout restart`` does, the annotation ``kubectl.kubernetes.io/restartedAt`` on the pod
template, with a second annotation that names the rotation. Both are made of the stored record alone: whoever makes the
same restart again sends the same patch, which changes nothing.
"""

from collections.abc import Mapping
from contextlib import closing
from dataclasses import replace
from datetime import timedelta
from http import HTTPStatus
from threading import Lock
from typing import TYPE_CHECKING, Any, Final, TypeVar, assert_never

from provisioner.domain.consumers import RESTARTED_AT, Rollout, Workload, WorkloadKind, annotation_of
from provisioner.domain.errors import (
    ProvisionerError,
    WorkloadGoneError,
    WorkloadsRefusedError,
    WorkloadsUnavailableError,
)
from provisioner.domain.mark import Owner
from provisioner.domain.model import Record
from provisioner.domain.rollout import Numbers, progress_of
from provisioner.domain.timing import rfc3339, whole_seconds
from provisioner.runtime.kubernetes_client import Failure, Trouble, ask, connected

if TYPE_CHECKING:
    from lightkube import Client

T = TypeVar("T")

_REMEDIES: Final[Mapping[int, str]] = {
    HTTPStatus.FORBIDDEN: "it takes a Role in that namespace with the verbs get and patch on it",
    HTTPStatus.UNAUTHORIZED: "the server does not take our token: see the ServiceAccount",
}
_ON_DELETE: Final = "OnDelete"


class KubernetesWorkloads:
    """The Workloads port over one cluster. Safe to call from several threads."""

    def __init__(self, *, request_timeout: timedelta) -> None:
        """Take how long one request may last; nothing is looked for yet, lest rotations hang on it."""
        self._timeout, self._lock = request_timeout, Lock()
        self._client: Client | None = None

    def read(self, workload: Workload, owner: Owner) -> Rollout | None:
        """See the port. Raises ConfigurationError where no cluster is found."""
        client = self._connected()
        found = ask(
            f"could not read {workload}",
            lambda: client.get(_resource(workload.kind), workload.name, namespace=_namespace(client, workload)),
            patience=self._timeout,
        )
        if isinstance(found, Failure):
            if found.is_stale:
                self._forget(client)
            if found.status == HTTPStatus.NOT_FOUND:
                return None
            raise _error(found)
        told = ask(
            f"could not read {workload}",
            lambda: _rollout(workload.kind, found, annotation_of(owner)),
            patience=self._timeout,
        )
        if isinstance(told, Failure):
            raise _error(told)
        return told

    def restart(self, workload: Workload, record: Record) -> None:
        """See the port. Raises ConfigurationError where no cluster is found."""
        annotations = {
            RESTARTED_AT: rfc3339(whole_seconds(record.stored_at)),
            annotation_of(record.owner): record.rotation_id,
        }
        _patch(self._connected(), "restart", workload, annotations, self._timeout)

    def check(self, workload: Workload, owner: Owner) -> None:
        """See the port: the server is asked to try a patch, and to keep nothing of it."""
        if self.read(workload, owner) is None:
            raise WorkloadGoneError(f"{workload} is not there: create it, or take it out of on_rotate")
        with closing(self._connect(dry_run=True)) as trying:
            nothing = {annotation_of(owner): "00000000-0000-4000-8000-000000000000"}
            _patch(trying, "patch", workload, nothing, self._timeout)

    def close(self) -> None:
        """Let go of connections."""
        with self._lock:
            client, self._client = self._client, None
        if client is not None:
            client.close()

    def _forget(self, client: "Client") -> None:
        """Let the next call read again who we are and whom to trust; others may be using this client yet."""
        with self._lock:
            self._client = None if self._client is client else self._client

    def _connected(self) -> "Client":
        with self._lock:
            if self._client is None:
                self._client = self._connect()
            return self._client

    def _connect(self, *, dry_run: bool = False) -> "Client":
        return connected(
            self._timeout,
            wanted="on_rotate restarts workloads",
            otherwise="take restart out of on_rotate",
            dry_run=dry_run,
        )


def _patch(
    client: "Client", verb: str, workload: Workload, annotations: Mapping[str, str], patience: timedelta
) -> None:
    """Merge annotations into the pod template."""
    change: dict[str, Any] = {"spec": {"template": {"metadata": {"annotations": dict(annotations)}}}}
    namespace = _namespace(client, workload)
    done = ask(
        f"could not {verb} {workload}",
        lambda: client.patch(_resource(workload.kind), workload.name, change, namespace=namespace),
        patience=patience,
    )
    if isinstance(done, Failure):
        raise _error(done)


def _namespace(client: "Client", workload: Workload) -> str:
    return workload.namespace or client.namespace


def _resource(kind: WorkloadKind) -> Any:  # noqa: ANN401  # three classes of lightkube's, which is imported when used
    from lightkube.resources import apps_v1

    return getattr(apps_v1, kind.value)


def _error(failure: Failure) -> ProvisionerError:
    match failure.trouble:
        case Trouble.GONE:
            return WorkloadGoneError(failure.text)
        case Trouble.REFUSED:
            remedy = _REMEDIES.get(failure.status)
            return WorkloadsRefusedError(f"{failure.text}: {remedy}" if remedy else failure.text)
        case Trouble.UNAVAILABLE | Trouble.CONFLICT:
            return WorkloadsUnavailableError(failure.text)
        case _:
            assert_never(failure.trouble)


def _rollout(kind: WorkloadKind, found: Any, annotation: str) -> Rollout:  # noqa: ANN401  # one of lightkube's three
    template = found.spec.template.metadata
    annotations = (template.annotations if template is not None else None) or {}
    progress, message = progress_of(kind, _numbers(kind, found))
    return Rollout(rotation_id=annotations.get(annotation) or None, progress=progress, message=message)


def _numbers(kind: WorkloadKind, found: Any) -> Numbers:  # noqa: ANN401  # one of lightkube's three
    """Read what a status says; what it leaves out is zero, and pods that are to be are one where nothing is said."""
    spec, status = found.spec, found.status

    def count(field: str) -> int:
        return int(getattr(status, field, None) or 0)

    on_delete = kind is not WorkloadKind.DEPLOYMENT and _strategy(spec.updateStrategy) == _ON_DELETE
    daemons = Numbers(
        generation=int(found.metadata.generation or 0),
        observed_generation=count("observedGeneration"),
        desired=count("desiredNumberScheduled"),
        updated=count("updatedNumberScheduled"),
        available=count("numberAvailable"),
        on_delete=on_delete,
    )
    if kind is WorkloadKind.DAEMON_SET:
        return daemons
    pods = replace(
        daemons,
        desired=1 if spec.replicas is None else int(spec.replicas),
        total=count("replicas"),
        updated=count("updatedReplicas"),
    )
    if kind is WorkloadKind.STATEFUL_SET:
        return replace(
            pods,
            available=count("readyReplicas"),
            old_revision=getattr(status, "currentRevision", None) or "",
            new_revision=getattr(status, "updateRevision", None) or "",
            partition=_partition(spec.updateStrategy),
        )
    stopped = [each.reason or "" for each in getattr(status, "conditions", None) or [] if _has_stopped(each)]
    return replace(
        pods,
        available=count("availableReplicas"),
        ending=count("terminatingReplicas"),
        progressing_reason=next(iter(stopped), ""),
        is_paused=bool(spec.paused),
    )


def _has_stopped(condition: Any) -> bool:  # noqa: ANN401  # lightkube's
    return bool(condition.type == "Progressing" and condition.status == "False")


def _partition(strategy: Any) -> int:  # noqa: ANN401  # lightkube's
    rolling = strategy.rollingUpdate if strategy is not None else None
    return int(rolling.partition or 0) if rolling is not None else 0


def _strategy(strategy: Any) -> str | None:  # noqa: ANN401  # lightkube's, of two kinds
    return strategy.type if strategy is not None else None
