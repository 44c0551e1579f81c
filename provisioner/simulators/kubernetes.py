"""A simulated Kubernetes API server without its HTTP: objects, their versions, what is valid, and roll-outs.

It answers as a real one (1.36) was measured to, for the kinds that this project calls: Leases, Deployments,
StatefulSets, DaemonSets, Pods, and Events of events.k8s.io. Thread-safe.
"""

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from copy import deepcopy
from dataclasses import dataclass, field
from enum import StrEnum
from threading import RLock
from typing import Any, Final
from uuid import uuid4

from provisioner.domain.timing import rfc3339
from provisioner.ports.clock import Clock
from provisioner.runtime.clock import SystemClock
from provisioner.simulators.kubernetes_objects import KINDS, Kind, WorkloadKind, problem_of, status_of_rollout

Object = dict[str, Any]
FIRST_VERSION: Final = 1000
_LONGEST_GENERATED: Final = 58
"""What is kept of a ``generateName``: with five letters more it is a DNS label."""


class Reason(StrEnum):
    """Why a request was not carried out, in the server's words."""

    BAD_REQUEST = "BadRequest"
    UNAUTHORIZED = "Unauthorized"
    FORBIDDEN = "Forbidden"
    NOT_FOUND = "NotFound"
    METHOD_NOT_ALLOWED = "MethodNotAllowed"
    ALREADY_EXISTS = "AlreadyExists"
    CONFLICT = "Conflict"
    EXPIRED = "Expired"
    UNSUPPORTED_MEDIA_TYPE = "UnsupportedMediaType"
    INVALID = "Invalid"
    TOO_MANY_REQUESTS = "TooManyRequests"
    INTERNAL_ERROR = "InternalError"


CODES: Final[Mapping[Reason, int]] = {
    Reason.BAD_REQUEST: 400,
    Reason.UNAUTHORIZED: 401,
    Reason.FORBIDDEN: 403,
    Reason.NOT_FOUND: 404,
    Reason.METHOD_NOT_ALLOWED: 405,
    Reason.ALREADY_EXISTS: 409,
    Reason.CONFLICT: 409,
    Reason.EXPIRED: 410,
    Reason.UNSUPPORTED_MEDIA_TYPE: 415,
    Reason.INVALID: 422,
    Reason.TOO_MANY_REQUESTS: 429,
    Reason.INTERNAL_ERROR: 500,
}


class RejectionError(Exception):
    """A request was not carried out: a ``Status`` object says why."""

    def __init__(self, reason: Reason, message: str, **details: object) -> None:
        """Take what the Status says."""
        super().__init__(message)
        self.reason, self.message, self.details = reason, message, details

    @property
    def code(self) -> int:
        """The HTTP status."""
        return CODES[self.reason]

    def status(self) -> Object:
        """Give the answer's body."""
        return {
            "kind": "Status",
            "apiVersion": "v1",
            "metadata": {},
            "status": "Failure",
            "message": self.message,
            "reason": str(self.reason),
            "details": self.details,
            "code": self.code,
        }


@dataclass(frozen=True, slots=True)
class Key:
    """Where an object is."""

    plural: str
    namespace: str
    name: str

    @property
    def kind(self) -> Kind:
        """What it is."""
        return KINDS[self.plural]

    def details(self) -> Object:
        """What a Status says of it."""
        return {"name": self.name, "group": self.kind.group, "kind": self.plural}

    def quoted(self) -> str:
        """Give how messages name it: ``leases.coordination.k8s.io "provisioner"``."""
        return f'{self.kind.qualified} "{self.name}"'


@dataclass(slots=True)
class Kubernetes:
    """The state of one cluster."""

    clock: Clock = field(default_factory=SystemClock)
    rolls_out_at_once: bool = True
    """Whether a changed template is everywhere at once; else ``progress`` says how far it has come."""
    _objects: dict[Key, Object] = field(default_factory=dict)
    _version: int = FIRST_VERSION
    _lock: RLock = field(default_factory=RLock)

    # --- what requests do ---------------------------------------------------------------------------

    def get(self, key: Key) -> Object:
        """Give one object."""
        with self._lock:
            return deepcopy(self._found(key))

    def list(self, plural: str, namespace: str) -> Object:
        """Give all objects of a kind in a namespace."""
        kind = KINDS[plural]
        with self._lock:
            items = [
                deepcopy(found)
                for key, found in self._objects.items()
                if (key.plural, key.namespace) == (plural, namespace)
            ]
            version = str(self._version)
        metadata = {"resourceVersion": version}
        return {"kind": f"{kind.name}List", "apiVersion": kind.api_version, "metadata": metadata, "items": items}

    def create(self, plural: str, namespace: str, sent: Object) -> Object:
        """Create one object; its name may be made up by ``generateName``."""
        metadata = sent.setdefault("metadata", {})
        if not metadata.get("name") and metadata.get("generateName"):
            metadata["name"] = f"{metadata['generateName'][:_LONGEST_GENERATED]}{uuid4().hex[:5]}"
        key = Key(plural, namespace, metadata.get("name") or "")
        with self._lock:
            self._check(key, sent)
            if metadata.get("resourceVersion"):
                raise RejectionError(Reason.BAD_REQUEST, "resourceVersion should not be set on objects to be created")
            if key in self._objects:
                raise RejectionError(Reason.ALREADY_EXISTS, f"{key.quoted()} already exists", **key.details())
            metadata |= {"uid": str(uuid4()), "creationTimestamp": rfc3339(self.clock.now().replace(microsecond=0))}
            if isinstance(key.kind, WorkloadKind):
                metadata["generation"] = 1
            return self._put(key, sent)

    def replace(self, key: Key, sent: Object) -> Object:
        """Replace one object, if it is in the version that was sent."""
        metadata = sent.setdefault("metadata", {})
        if metadata.setdefault("name", key.name) != key.name:
            why = f"the name of the object ({metadata['name']}) does not match the name on the URL ({key.name})"
            raise RejectionError(Reason.BAD_REQUEST, why)
        with self._lock:
            before = self._objects.get(key)
            if before is None:
                raise self._gone(key, metadata)
            self._check(key, sent)
            version = metadata.get("resourceVersion")
            if not version and key.kind.needs_version:
                why = "metadata.resourceVersion: Invalid value: 0x0: must be specified for an update"
                raise self._invalid(key, why)
            if version and version != before["metadata"]["resourceVersion"]:
                raise self._conflict(key)
            if metadata.get("uid", before["metadata"]["uid"]) != before["metadata"]["uid"]:
                raise self._conflict(key)
            return self._changed(key, before, sent)

    def patch(self, key: Key, sent: Object) -> Object:
        """Merge into one object; null takes away."""
        with self._lock:
            before = self._found(key)
            version = (sent.get("metadata") or {}).get("resourceVersion")
            if version and version != before["metadata"]["resourceVersion"]:
                raise self._conflict(key)
            after = _merged(before, sent)
            self._check(key, after)
            return self._changed(key, before, after)

    def delete(self, key: Key) -> Object:
        """Take one object away."""
        with self._lock:
            self._found(key)
            del self._objects[key]
            self._version += 1
        details = key.details()
        return {"kind": "Status", "apiVersion": "v1", "metadata": {}, "status": "Success", "details": details}

    @contextmanager
    def trying_only(self) -> Iterator[None]:
        """Keep nothing of what is done inside."""
        with self._lock:
            objects, version = deepcopy(self._objects), self._version
            try:
                yield
            finally:
                self._objects, self._version = objects, version

    # --- what happens in the cluster ----------------------------------------------------------------

    def add_workload(self, plural: str, namespace: str, name: str, *, replicas: int = 2) -> Object:
        """Create a Deployment, StatefulSet or DaemonSet that has been rolled out."""
        labels = {"app": name}
        template = {"metadata": {"labels": labels}, "spec": {"containers": [{"name": "main", "image": "app:1"}]}}
        spec: Object = {"selector": {"matchLabels": labels}, "template": template}
        if plural != "daemonsets":
            spec["replicas"] = replicas
        with self._lock:
            created = self.create(plural, namespace, {"metadata": {"name": name}, "spec": spec})
            key = Key(plural, namespace, name)
            self._objects[key]["status"] = status_of_rollout(key.kind, created, updated=replicas, of=replicas)
            return self._put(key, self._objects[key])

    def progress(
        self, key: Key, *, updated: int, available: int | None = None, stalled: bool = False, ending: int = 0
    ) -> Object:
        """Let a roll-out come that far: so many pods of the new template, of which so many are available.

        ``stalled``: a Deployment says that its progress deadline has passed; ``ending``: so many of its pods are.
        """
        with self._lock:
            found = self._found(key)
            of = _replicas(found)
            found["status"] = status_of_rollout(
                key.kind, found, updated=updated, of=of, available=available, stalled=stalled
            )
            if key.kind.name == "Deployment":
                found["status"]["terminatingReplicas"] = ending
            return self._put(key, found)

    def change(self, key: Key, by: Callable[[Object], None]) -> Object:
        """Let somebody else change an object as they like."""
        with self._lock:
            before = self._found(key)
            after = deepcopy(before)
            by(after)
            return self._changed(key, before, after)

    # --- how ----------------------------------------------------------------------------------------

    def _changed(self, key: Key, before: Object, after: Object) -> Object:
        """Store an object over the one before; nothing is written, and no version is used up, where nothing changed."""
        kept = {name: value for name, value in before["metadata"].items() if name in _KEPT}
        after["metadata"] |= kept
        if isinstance(key.kind, WorkloadKind):
            if after.get("spec") != before.get("spec"):
                after["metadata"]["generation"] = before["metadata"]["generation"] + 1
            after["status"] = deepcopy(before.get("status", {}))
            if self.rolls_out_at_once:
                of = _replicas(after)
                after["status"] = status_of_rollout(key.kind, after, updated=of, of=of)
        if {**after, "metadata": after["metadata"] | kept} == before:
            return deepcopy(before)
        return self._put(key, after)

    def _put(self, key: Key, sent: Object) -> Object:
        self._version += 1
        stored: Object = {"kind": key.kind.name, "apiVersion": key.kind.api_version} | deepcopy(sent)
        stored["metadata"] |= {"namespace": key.namespace, "resourceVersion": str(self._version)}
        self._objects[key] = stored
        return deepcopy(stored)

    def _found(self, key: Key) -> Object:
        found = self._objects.get(key)
        if found is None:
            raise RejectionError(Reason.NOT_FOUND, f"{key.quoted()} not found", **key.details())
        return found

    def _check(self, key: Key, sent: Object) -> None:
        """Refuse what is not valid, as far as the kinds here go."""
        kind, stated = key.kind, (sent.get("apiVersion"), sent.get("kind"))
        if stated not in {(None, None), (kind.api_version, kind.name)}:
            why = (
                f"the object is {stated[1]} of {stated[0]}, which is not what stands at {kind.api_version} {key.plural}"
            )
            raise RejectionError(Reason.BAD_REQUEST, why)
        if sent["metadata"].get("namespace", key.namespace) != key.namespace:
            why = "the namespace of the provided object does not match the namespace sent on the request"
            raise RejectionError(Reason.BAD_REQUEST, why)
        malformed, invalid = problem_of(key.plural, key.namespace, sent)
        if malformed is not None:
            raise RejectionError(
                Reason.BAD_REQUEST, f'{kind.name} in version "{kind.version}" cannot be handled: {malformed}'
            )
        if invalid is not None:
            raise self._invalid(key, invalid)

    def _gone(self, key: Key, metadata: Object) -> RejectionError:
        """Give what an update meets where nothing is; of a Lease that had been seen, the server says it so."""
        if key.plural == "leases" and metadata.get("uid"):
            return self._conflict(
                key, f"Precondition failed: UID in precondition: {metadata['uid']}, UID in object meta: "
            )
        return RejectionError(Reason.NOT_FOUND, f"{key.quoted()} not found", **key.details())

    def _conflict(self, key: Key, why: str | None = None) -> RejectionError:
        usual = "the object has been modified; please apply your changes to the latest version and try again"
        message = f"Operation cannot be fulfilled on {key.quoted()}: {why or usual}"
        return RejectionError(Reason.CONFLICT, message, **key.details())

    def _invalid(self, key: Key, why: str) -> RejectionError:
        field_name, _, message = why.partition(": ")
        cause = {"reason": "FieldValueInvalid", "message": message, "field": field_name}
        named = f"{key.kind.name}.{key.kind.group}" if key.kind.group else key.kind.name
        return RejectionError(
            Reason.INVALID, f'{named} "{key.name}" is invalid: {why}', **key.details(), causes=[cause]
        )


_KEPT: Final = ("uid", "creationTimestamp", "generation", "namespace", "resourceVersion")


def _merged(before: Any, patch: Any) -> Any:  # noqa: ANN401  # any JSON
    """Merge as both kinds of merge patch do, as far as no list of objects is patched: lists are replaced."""
    if not isinstance(patch, Mapping):
        return deepcopy(patch)
    merged = deepcopy(before) if isinstance(before, dict) else {}
    for name, value in patch.items():
        if value is None:
            merged.pop(name, None)
        else:
            merged[name] = _merged(merged.get(name), value)
    return merged


def _replicas(found: Object) -> int:
    status = found.get("status", {})
    return int(found["spec"].get("replicas", status.get("desiredNumberScheduled", 1)))
