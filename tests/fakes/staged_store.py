"""A store that is written in steps: the real store for AWS Secrets Manager over a wire without a network.

Every request of a process is a point at which others may act, the process die, the answer be lost, or the request
arrive late. What is behind the wire is the simulator with AWS's own rules.
"""

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from functools import partial
from typing import Any

from provisioner.domain.errors import OutcomeUnknownError, ProvisionerError, StoreRefusedError, StoreUnavailableError
from provisioner.domain.mark import Owner
from provisioner.domain.model import Destination, Record, Reservation, Stored
from provisioner.domain.timing import whole_seconds
from provisioner.ports.clock import Clock
from provisioner.simulators.secrets_manager import RejectionError, SecretsManager
from provisioner.stores.aws_access import Access
from provisioner.stores.aws_errors import ExistsError, MissingError, RejectedError, StateError
from provisioner.stores.aws_secrets_manager import AwsSecretsManagerStore
from provisioner.stores.aws_wire import CURRENT, PENDING, Description, Landed, Version, Wire
from provisioner.stores.pace import Pace
from tests.fakes.faults import SLOW_BY, Fault
from tests.fakes.silence import unmoved
from tests.fakes.store import Document, FakeStore

_REJECTED: dict[str, type[RejectedError]] = {
    "ResourceNotFoundException": MissingError,
    "ResourceExistsException": ExistsError,
}
_SECOND = timedelta(seconds=1)


@dataclass(slots=True)
class StagedStore(FakeStore):
    """The service, as tests and people see it; ``process`` gives a process's store on it."""

    on_restored: Callable[[], None] = field(default=unmoved)
    """Told when a deleted secret was restored: AWS takes no other write of it, and shows what it held until then."""
    processes: dict[int, "Process"] = field(default_factory=dict)
    service: SecretsManager = field(init=False)
    _ids: int = 0
    _shown: dict[str, object] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.service = SecretsManager(self.clock)

    def process(self, number: int, clock: Clock | None = None) -> "Process":
        """Give the store of a process that has just begun."""
        self.processes[number] = Process(self, clock or self.clock)
        return self.processes[number]

    def carry_out(self, operation: str, **request: Any) -> Mapping[str, Any]:
        """Let the service do something, and note what consumers read from now on."""
        answer = self.service.answer(operation, request)
        if operation not in {"GetSecretValue", "DescribeSecret"}:
            self.changes += 1
            self._note(str(request.get("SecretId", request.get("Name"))))
        if operation == "RestoreSecret":
            self.on_restored()
        return answer

    def fresh_id(self) -> str:
        """Give a version id that nobody has used."""
        self._ids += 1
        return f"10000000-0000-4000-8000-{self._ids:012d}"

    def put_by_hand(self, path: str, document: Document | None) -> None:
        """Write a version as a person would; None deletes the secret."""
        if document is None:
            self.delete_newest(path)
            return
        self.on_person()
        text, version_id, secret = json.dumps(document), self.fresh_id(), self.service.secrets.get(path)
        if secret is None:
            self.carry_out("CreateSecret", Name=path, SecretString=text, ClientRequestToken=version_id)
            return
        if secret.deleted_until is not None:
            self.carry_out("RestoreSecret", SecretId=path)
        self.carry_out("PutSecretValue", SecretId=path, SecretString=text, ClientRequestToken=version_id)

    def delete_newest(self, path: str) -> None:
        """Delete the secret, so that it can be restored."""
        self.on_person()
        self.carry_out("DeleteSecret", SecretId=path, RecoveryWindowInDays=30)

    def state(self) -> object:
        """Give all that the next request depends on, what processes have seen included."""
        seen = {number: repr(process.store._sightings._last) for number, process in self.processes.items()}
        refused = {number: repr(process.store._refusals) for number, process in self.processes.items()}
        return self.service.secrets, self.versions, seen, refused

    def _note(self, path: str) -> None:
        secret = self.service.secrets[path]
        shown = None if secret.deleted_until is not None else secret.holder(CURRENT)
        if shown == self._shown.get(path) and path in self.versions:
            return
        self._shown[path] = shown
        document = None if shown is None else json.loads(secret.versions[shown].value["SecretString"])
        self.versions.setdefault(path, []).append((document, self.clock.now()))


class Process:
    """The Store port of one process: the real store, which remembers what this process has seen."""

    def __init__(self, service: StagedStore, clock: Clock) -> None:
        """Take the service, and the time as this process has it."""
        self._service = service
        self.store = AwsSecretsManagerStore(
            name=service.name, access=Access(), clock=clock, fresh_id=service.fresh_id, writes_per_second=50
        )
        wire = _StagedWire(service, clock)
        self.store._wire = self.store._writing._wire = wire

    @property
    def name(self) -> str:
        """The name the configuration gives it."""
        return self.store.name

    def preflight(self, destination: Destination) -> None:
        """See the port."""
        self.store.preflight(destination)
        self._service.on_preflight()

    def read(self, destination: Destination, owner: Owner) -> Stored:
        """See the port."""
        self._service.on_path(f"read {destination.path}")
        return self.store.read(destination, owner)

    def confirm(self, destination: Destination, owner: Owner) -> Stored:
        """See the port."""
        return self.store.confirm(destination, owner)

    def write(self, destination: Destination, owner: Owner, content: Record | Reservation, expected: str) -> str:
        """See the port."""
        self._service.on_path(f"write {destination.path}")
        return self.store.write(destination, owner, content, expected)

    def check(self, destinations: Sequence[tuple[Destination, Owner]]) -> Sequence[str]:
        """See the port."""
        return self.store.check(destinations)

    def close(self) -> None:
        """See the port."""


class _StagedWire(Wire):
    """Sends requests to the service at once, or as the next fault says."""

    def __init__(self, service: StagedStore, clock: Clock) -> None:
        """Take the service."""
        pace = Pace(50, clock, longest=_SECOND)
        super().__init__(store=service.name, access=Access(), timeout=_SECOND, pace=pace)
        self._service, self._clock = service, clock

    def value(self, name: str, *, version_id: str | None = None, secrets: Sequence[str] = ()) -> Version:
        """See the wire."""
        del secrets
        which = {"VersionStage": CURRENT} if version_id is None else {"VersionId": version_id}
        answer = self._ask("aws value", "GetSecretValue", {"SecretId": name} | which)
        return Version(
            version_id=str(answer["VersionId"]),
            text=answer["SecretString"],
            stages=frozenset(answer["VersionStages"]),
            created_at=self._now(answer["CreatedDate"]),
        )

    def describe(self, name: str) -> Description:
        """See the wire."""
        answer = self._ask("aws describe", "DescribeSecret", {"SecretId": name})
        return Description(
            stages={version: frozenset(stages) for version, stages in answer["VersionIdsToStages"].items()},
            changed_at=self._now(answer["LastChangedDate"]),
            deleted_at=self._now(answer["DeletedDate"]) if "DeletedDate" in answer else None,
            tags={tag["Key"]: tag["Value"] for tag in answer["Tags"]},
            kms_key_id=None,
            rotates=False,
            owning_service=None,
            replicas={},
        )

    def create(self, name: str, text: str, version_id: str, secrets: Sequence[str], **settings: object) -> Landed:
        """See the wire."""
        del secrets
        given: dict[str, object] = {"Name": name, "SecretString": text, "ClientRequestToken": version_id}
        return self._landed("aws create", "CreateSecret", given | settings, decides=True)

    def put_pending(
        self, name: str, text: str, version_id: str, secrets: Sequence[str], *, decides: bool = False
    ) -> Landed:
        """See the wire."""
        del secrets
        given = {"SecretId": name, "SecretString": text, "ClientRequestToken": version_id, "VersionStages": [PENDING]}
        return self._landed("aws put", "PutSecretValue", given, decides=decides)

    def promote(self, name: str, version_id: str, expected: str | None) -> Landed:
        """See the wire."""
        given = {"SecretId": name, "VersionStage": CURRENT, "MoveToVersionId": version_id}
        removal = {} if expected is None else {"RemoveFromVersionId": expected}
        return self._landed("aws promote", "UpdateSecretVersionStage", given | removal, decides=True)

    def unlabel(self, name: str, version_id: str) -> None:
        """See the wire."""
        given = {"SecretId": name, "VersionStage": PENDING, "RemoveFromVersionId": version_id}
        self._landed("aws unlabel", "UpdateSecretVersionStage", given)

    def restore(self, name: str) -> None:
        """See the wire."""
        self._landed("aws restore", "RestoreSecret", {"SecretId": name})

    def _landed(self, called: str, operation: str, request: Mapping[str, Any], *, decides: bool = False) -> Landed:
        answer = self._ask(called, operation, request, decides=decides)
        return Landed(at=whole_seconds(self._service.clock.now()), stages=frozenset(answer.get("VersionStages") or ()))

    def _ask(
        self, called: str, operation: str, request: Mapping[str, Any], *, decides: bool = False
    ) -> Mapping[str, Any]:
        service, unanswered = self._service, OutcomeUnknownError if decides else StoreUnavailableError
        fault = service.faults.next(called)
        if fault is Fault.LATE:
            service.late.append(partial(self._arrive, operation, request))
            raise unanswered(f"the staged store did not answer to {called}")
        if fault is Fault.REFUSED:
            raise StoreRefusedError(f"the staged store denies {called}")
        path = str(request.get("SecretId", request.get("Name")))
        if fault is Fault.BEFORE or service.down or path in service.down_paths:
            raise StoreUnavailableError("the staged store cannot be reached")
        answer = self._carried_out(operation, request)
        if fault is Fault.SLOW:
            service.faults.before_call("answer")
            self._clock.sleep(SLOW_BY)
        elif fault is not None:
            raise unanswered(f"the staged store did not answer to {called}")
        return answer

    def _carried_out(self, operation: str, request: Mapping[str, Any]) -> Mapping[str, Any]:
        failure: ProvisionerError
        try:
            return self._service.carry_out(operation, **request)
        except RejectionError as error:
            failure = _REJECTED.get(error.code, StateError)(f"{operation} was rejected: {error.message}")
        raise failure

    def _arrive(self, operation: str, request: Mapping[str, Any]) -> None:
        try:
            self._service.carry_out(operation, **request)
        except RejectionError:
            return

    def _now(self, timestamp: float) -> datetime:
        """Give a time of the service's answer."""
        return datetime.fromtimestamp(timestamp, tz=self._service.clock.now().tzinfo)
