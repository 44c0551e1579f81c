"""One request to AWS Secrets Manager, through boto3: here its answers and its errors become ours.

A failure is raised outside the handler that caught the foreign error: that one may hold what was sent, and must not
hang on ours as its context.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from email.utils import parsedate_to_datetime
from typing import Any, Final, TypeVar

from provisioner.domain.errors import ProvisionerError, StoreUnavailableError
from provisioner.stores.aws_access import ATTEMPTS, Access, Clients, Service
from provisioner.stores.aws_errors import Call, failure_of, strange_answer
from provisioner.stores.pace import Pace

CURRENT: Final = "AWSCURRENT"
PENDING: Final = "AWSPENDING"
PREVIOUS: Final = "AWSPREVIOUS"

T = TypeVar("T")


@dataclass(frozen=True, slots=True, kw_only=True)
class Version:
    """One version of a secret, with its value."""

    version_id: str
    text: str | None = field(repr=False)
    """None: the value is binary."""
    stages: frozenset[str]
    created_at: datetime | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Description:
    """A secret without its values."""

    stages: Mapping[str, frozenset[str]]
    """Version id -> its labels; versions without any are not there."""
    changed_at: datetime | None
    """When anything of it changed last, the place of a label too."""
    deleted_at: datetime | None
    """Set when it was deleted and can still be restored; AWS's word for the end of that time."""
    tags: Mapping[str, str]
    kms_key_id: str | None
    rotates: bool
    """Whether AWS itself rotates it."""
    owning_service: str | None
    replicas: Mapping[str, str]
    """Region -> how the copy there is."""

    @property
    def current(self) -> str | None:
        """The version that consumers read."""
        return next((version for version, stages in self.stages.items() if CURRENT in stages), None)


@dataclass(frozen=True, slots=True, kw_only=True)
class Landed:
    """What a write was answered with."""

    at: datetime | None
    """By the store's clock, to the second."""
    stages: frozenset[str] = frozenset()


class Wire:
    """Sends single requests. Those that are harmless to repeat are repeated by botocore, those that decide are not."""

    def __init__(self, *, store: str, access: Access, timeout: timedelta, pace: Pace) -> None:
        """Take where to send to; ``timeout`` is for one request."""
        self._store, self._pace, self._timeout = store, pace, timeout
        self._clients = Clients(access, timeout)

    def close(self) -> None:
        """Close the connections."""
        self._clients.close()

    # --- reading ---------------------------------------------------------------------------------------

    def value(self, name: str, *, version_id: str | None = None, secrets: Sequence[str] = ()) -> Version:
        """Give the version that consumers read, or that version; MissingError, StateError when there is none."""
        which = {"VersionStage": CURRENT} if version_id is None else {"VersionId": version_id}
        call = self._call("reading", name, "GetSecretValue", secrets=secrets)
        return self._send(call, {"SecretId": name} | which, _version)

    def describe(self, name: str) -> Description:
        """Describe the secret, a deleted one too; MissingError when there is none."""
        return self._send(self._call("looking at", name, "DescribeSecret"), {"SecretId": name}, _description)

    def describe_key(self, key: str) -> str:
        """Give the state of a KMS key, such as ``Enabled``; DeniedError when we may not ask."""
        call = self._call("looking at KMS key", key, "DescribeKey", service="kms")
        return self._send(call, {"KeyId": key}, lambda answer: str(answer["KeyMetadata"]["KeyState"]))

    # --- writing ---------------------------------------------------------------------------------------

    def create(self, name: str, text: str, version_id: str, secrets: Sequence[str], **settings: object) -> Landed:
        """Create the secret with its first version; ExistsError when there is one of that name."""
        call = self._call("creating", name, "CreateSecret", secrets=secrets, decides=True)
        arguments = {"Name": name, "SecretString": text, "ClientRequestToken": version_id} | settings
        return self._write(call, arguments)

    def put_pending(
        self, name: str, text: str, version_id: str, secrets: Sequence[str], *, decides: bool = False
    ) -> Landed:
        """Add a version that nobody reads yet; the same again changes nothing, ExistsError with another value.

        It ``decides`` where no version has been: the first is the current one whatever it is put as.
        """
        call = self._call("writing", name, "PutSecretValue", secrets=secrets, decides=decides)
        version = {"SecretString": text, "ClientRequestToken": version_id}
        return self._write(call, {"SecretId": name, **version, "VersionStages": [PENDING]})

    def promote(self, name: str, version_id: str, expected: str | None) -> Landed:
        """Make that version the one that consumers read, if they read ``expected`` now: the compare-and-set."""
        call = self._call("promoting the new version of", name, "UpdateSecretVersionStage", decides=True)
        removal = {} if expected is None else {"RemoveFromVersionId": expected}
        return self._write(call, {"SecretId": name, "VersionStage": CURRENT, "MoveToVersionId": version_id} | removal)

    def unlabel(self, name: str, version_id: str) -> None:
        """Take AWSPENDING off that version."""
        call = self._call("taking AWSPENDING off", name, "UpdateSecretVersionStage")
        self._write(call, {"SecretId": name, "VersionStage": PENDING, "RemoveFromVersionId": version_id})

    def tag(self, name: str, tags: Mapping[str, str]) -> None:
        """Put tags beside those that are there; the same again changes nothing."""
        listed = [{"Key": key, "Value": value} for key, value in tags.items()]
        self._write_tags(self._call("tagging", name, "TagResource"), {"SecretId": name, "Tags": listed})

    def untag(self, name: str, keys: Sequence[str]) -> None:
        """Take tags away; those that are not there do not matter."""
        self._write_tags(self._call("untagging", name, "UntagResource"), {"SecretId": name, "TagKeys": list(keys)})

    def restore(self, name: str) -> None:
        """Cancel the deletion of the secret."""
        self._write(self._call("restoring", name, "RestoreSecret"), {"SecretId": name})

    # --- one request -----------------------------------------------------------------------------------

    def _call(
        self,
        doing: str,
        name: str,
        operation: str,
        *,
        secrets: Sequence[str] = (),
        decides: bool = False,
        service: Service = "secretsmanager",
    ) -> Call:
        return Call(
            doing=f"{doing} {name} in store {self._store}",
            service=service,
            operation=operation,
            decides=decides,
            secrets=tuple(secrets),
            timeout=self._timeout,
        )

    def _write(self, call: Call, arguments: Mapping[str, object]) -> Landed:
        self._wait_for_turn(call)
        return self._send(call, arguments, _landed)

    def _write_tags(self, call: Call, arguments: Mapping[str, object]) -> None:
        self._wait_for_turn(call)
        self._send(call, arguments, lambda answer: answer["ResponseMetadata"])

    def _wait_for_turn(self, call: Call) -> None:
        if not self._pace.wait():
            raise StoreUnavailableError(
                f"{call.doing} was put off: more writes are waiting than writes_per_second lets through in time"
            )

    def _send(self, call: Call, arguments: Mapping[str, object], read: Callable[[Mapping[str, Any]], T]) -> T:
        """Make one request; raises one of the Store port's errors, or a RejectedError for the store to explain."""
        from botocore.exceptions import BotoCoreError, ClientError
        from botocore.parsers import ResponseParserError

        failure: ProvisionerError
        try:
            client = self._clients.get(call.service, attempts=1 if call.decides else ATTEMPTS)
        except (BotoCoreError, OSError, ValueError) as error:  # nothing was sent
            failure = failure_of(call, error)
        else:
            try:
                return read(getattr(client, call.method)(**arguments))
            except (BotoCoreError, ClientError, ResponseParserError, EOFError) as error:
                failure = failure_of(call, error)
            except (AttributeError, LookupError, OSError, RecursionError, TypeError, ValueError) as error:
                failure = strange_answer(call, error)  # botocore's parsers raise these on JSON of another shape
        raise failure


def _version(answer: Mapping[str, Any]) -> Version:
    text = answer.get("SecretString")
    return Version(
        version_id=str(answer["VersionId"]),
        text=None if text is None else str(text),
        stages=frozenset(answer.get("VersionStages") or ()),
        created_at=_utc(answer.get("CreatedDate")),
    )


def _description(answer: Mapping[str, Any]) -> Description:
    answer["Name"]  # an answer without it is not AWS's
    return Description(
        stages={version: frozenset(stages) for version, stages in (answer.get("VersionIdsToStages") or {}).items()},
        changed_at=_utc(answer.get("LastChangedDate")),
        deleted_at=_utc(answer.get("DeletedDate")),
        tags={str(tag["Key"]): str(tag["Value"]) for tag in answer.get("Tags") or ()},
        kms_key_id=answer.get("KmsKeyId"),
        rotates=bool(answer.get("RotationEnabled")),
        owning_service=answer.get("OwningService"),
        replicas={str(copy["Region"]): str(copy.get("Status")) for copy in answer.get("ReplicationStatus") or ()},
    )


def _landed(answer: Mapping[str, Any]) -> Landed:
    answer["Name"]  # as above
    return Landed(
        at=_http_date(answer["ResponseMetadata"]["HTTPHeaders"].get("date")),
        stages=frozenset(answer.get("VersionStages") or ()),
    )


def _utc(moment: datetime | None) -> datetime | None:
    return None if moment is None else moment.astimezone(UTC)


def _http_date(text: str | None) -> datetime | None:
    try:
        return None if text is None else parsedate_to_datetime(text).astimezone(UTC)
    except ValueError:
        return None
