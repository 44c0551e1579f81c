"""The kinds that the simulated Kubernetes knows: where they are, when they are valid, and how their roll-outs look."""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

Object = Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Kind:
    """One kind of objects."""

    name: str
    plural: str
    group: str
    version: str = "v1"
    needs_version: bool = False
    """Whether an update has to say which version it is over."""

    @property
    def api_version(self) -> str:
        """Group and version, as objects say them."""
        return f"{self.group}/{self.version}" if self.group else self.version

    @property
    def qualified(self) -> str:
        """Plural and group, as messages say them."""
        return f"{self.plural}.{self.group}" if self.group else self.plural


class WorkloadKind(Kind):
    """A kind whose template is rolled out."""

    __slots__ = ()


KINDS: Final[Mapping[str, Kind]] = {
    kind.plural if kind.group != "events.k8s.io" else "events": kind
    for kind in (
        Kind("Lease", "leases", "coordination.k8s.io", needs_version=True),
        Kind("Event", "events", "events.k8s.io"),
        Kind("Pod", "pods", ""),
        WorkloadKind("Deployment", "deployments", "apps"),
        WorkloadKind("StatefulSet", "statefulsets", "apps"),
        WorkloadKind("DaemonSet", "daemonsets", "apps"),
    )
}
_LABEL: Final = r"[a-z0-9]([-a-z0-9]*[a-z0-9])?"
_NAME: Final = re.compile(rf"{_LABEL}(\.{_LABEL})*")
_LONGEST_NAME: Final = 253
_MICRO_TIME: Final = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{6}(Z|[+-]\d\d:\d\d)")
"""Six digits of a second, no more and no less: the server takes nothing else."""
_LONGEST_NOTE: Final = 1024
_LONGEST_REASON: Final = 128

Problem = tuple[str | None, str | None]
"""What cannot be read (400), and what is not valid (422)."""


def problem_of(plural: str, namespace: str, sent: Object) -> Problem:
    """Say what is wrong with an object; twice None where nothing is."""
    name = sent["metadata"].get("name") or ""
    if not _NAME.fullmatch(name) or len(name) > _LONGEST_NAME:
        why = (
            "name or generateName is required"
            if not name
            else f'Invalid value: "{name}": a lowercase RFC 1123 subdomain'
        )
        return None, f"metadata.name: {why}"
    match plural:
        case "leases":
            return _lease(sent.get("spec") or {})
        case "events":
            return _event(namespace, sent)
        case "pods":
            return None, _missing(sent, "spec.containers")
        case _:
            return None, _workload(sent)


def _lease(spec: Object) -> Problem:
    for moment in ("acquireTime", "renewTime"):
        if spec.get(moment) is not None and not _MICRO_TIME.fullmatch(spec[moment]):
            return f'parsing time "{spec[moment]}" as "2006-01-02T15:04:05.000000Z07:00"', None
    for number in ("leaseDurationSeconds", "leaseTransitions"):
        if not isinstance(spec.get(number, 0), int):
            return f"json: cannot unmarshal into Go struct field LeaseSpec.spec.{number} of type int32", None
    if spec.get("leaseDurationSeconds", 1) <= 0:
        return None, f"spec.leaseDurationSeconds: Invalid value: {spec['leaseDurationSeconds']}: must be greater than 0"
    if spec.get("leaseTransitions", 0) < 0:
        return None, "spec.leaseTransitions: Invalid value: must be greater than or equal to 0"
    return None, None


def _event(namespace: str, sent: Object) -> Problem:
    moment = sent.get("eventTime")
    if moment is not None and not _MICRO_TIME.fullmatch(moment):
        return f'parsing time "{moment}" as "2006-01-02T15:04:05.000000Z07:00"', None
    return None, _invalid_event(namespace, sent)


def _invalid_event(namespace: str, sent: Object) -> str | None:
    needed = ("eventTime", "reportingController", "reportingInstance", "action", "reason", "type")
    missing = next((why for name in needed if (why := _missing(sent, name))), None)
    if missing:
        return missing
    if sent["type"] not in {"Normal", "Warning"}:
        return f'type: Invalid value: "{sent["type"]}": must be Normal or Warning'
    limits = dict.fromkeys(("action", "reason", "reportingInstance"), _LONGEST_REASON) | {"note": _LONGEST_NOTE}
    for name, most in limits.items():
        if len(sent.get(name) or "") > most:
            return f"{name}: Invalid value: can have at most {most} characters"
    regarding = (sent.get("regarding") or {}).get("namespace") or "default"
    if regarding != namespace:
        return f'regarding.namespace: Invalid value: "{regarding}": does not match event.namespace'
    return None


def _workload(sent: Object) -> str | None:
    for path in ("spec.selector", "spec.template.spec.containers"):
        if why := _missing(sent, path):
            return why
    replicas = sent["spec"].get("replicas", 1)
    if not isinstance(replicas, int) or replicas < 0:
        return f"spec.replicas: Invalid value: {replicas}: must be greater than or equal to 0"
    template = sent["spec"]["template"].get("metadata") or {}
    chosen = sent["spec"]["selector"].get("matchLabels") or {}
    if not chosen.items() <= (template.get("labels") or {}).items():
        return "spec.template.metadata.labels: Invalid value: `selector` does not match template `labels`"
    for name, value in (template.get("annotations") or {}).items():
        if not isinstance(value, str):
            return f"spec.template.metadata.annotations.{name}: Invalid value: must be a string"
    return None


def _missing(sent: Object, path: str) -> str | None:
    place: Any = sent
    for part in path.split("."):
        place = place.get(part) if isinstance(place, Mapping) else None
    return None if place else f"{path}: Required value"


def status_of_rollout(
    kind: Kind, found: Object, *, updated: int, of: int, available: int | None = None, stalled: bool = False
) -> dict[str, Any]:
    """Give the status of a workload that has come that far with its present generation."""
    ready = updated if available is None else available
    seen: dict[str, Any] = {"observedGeneration": found["metadata"]["generation"]}
    if kind.name == "DaemonSet":
        return seen | {
            "desiredNumberScheduled": of,
            "currentNumberScheduled": of,
            "updatedNumberScheduled": updated,
            "numberReady": ready,
            "numberAvailable": ready,
            "numberUnavailable": of - ready,
            "numberMisscheduled": 0,
        }
    seen |= {"replicas": of, "updatedReplicas": updated, "readyReplicas": ready, "availableReplicas": ready}
    if kind.name == "StatefulSet":
        newest = f"{found['metadata']['name']}-{found['metadata']['generation']}"
        oldest = newest if updated == of else f"{found['metadata']['name']}-{found['metadata']['generation'] - 1}"
        return seen | {"currentRevision": oldest, "updateRevision": newest, "currentReplicas": of - updated}
    reason = (
        "ProgressDeadlineExceeded" if stalled else "NewReplicaSetAvailable" if updated == of else "ReplicaSetUpdated"
    )
    progressing = {"type": "Progressing", "status": "False" if stalled else "True", "reason": reason}
    enough = {"type": "Available", "status": "True" if ready else "False", "reason": "MinimumReplicasAvailable"}
    return seen | {"unavailableReplicas": of - ready, "conditions": [enough, progressing]}
