"""A simulated AWS Secrets Manager: secrets, versions and their labels, by the rules of AWS's API reference.

It is strict where emulators are lenient: a version never changes, a deleted secret takes nothing, AWSCURRENT moves only
from where it is, and 65,536 bytes are the most. ``secrets_manager_server`` puts it behind AWS's own protocol.
"""

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any, Final
from uuid import uuid4

from provisioner.ports.clock import Clock

CURRENT: Final = "AWSCURRENT"
PREVIOUS: Final = "AWSPREVIOUS"
LONGEST_VALUE: Final = 65_536
MOST_STAGES: Final = 20
MOST_TAGS: Final = 50
_TAG_KEY: Final = re.compile(r"(?!aws:)[\w .:/=+@-]{1,128}")
_TAG_VALUE: Final = re.compile(r"[\w .:/=+@-]{0,256}")
_VERSION_ID: Final = range(32, 65)
_ACCOUNT: Final = "123456789012"

Answer = dict[str, Any]


class RejectionError(Exception):
    """What the service says no with: AWS's name for it and words of ours."""

    def __init__(self, code: str, message: str, status: int = 400) -> None:
        """Take the name of the error, its text and HTTP's number."""
        super().__init__(f"{code}: {message}")
        self.code, self.message, self.status = code, message, status


@dataclass(slots=True, kw_only=True)
class SimulatedVersion:
    """One version; nothing of it but its labels ever changes."""

    value: Mapping[str, Any] = field(repr=False)
    """``SecretString`` or ``SecretBinary``."""
    created_at: datetime
    stages: set[str]


@dataclass(slots=True, kw_only=True)
class SimulatedSecret:
    """One secret."""

    name: str
    tags: list[Any]
    kms_key_id: str | None
    changed_at: datetime
    replicas: list[str] = field(default_factory=list)
    rotates: bool = False
    deleted_until: datetime | None = None
    versions: dict[str, SimulatedVersion] = field(default_factory=dict)

    def holder(self, stage: str) -> str | None:
        """Give the version that a label is on."""
        return next((version_id for version_id, version in self.versions.items() if stage in version.stages), None)


class SecretsManager:
    """The service's state and its operations, each under AWS's name; not safe for several threads by itself."""

    def __init__(self, clock: Clock) -> None:
        """Begin without secrets; only KMS keys that ``keys`` has are there."""
        self._clock = clock
        self.secrets: dict[str, SimulatedSecret] = {}
        self.keys: dict[str, str] = {}
        """KMS key -> its state."""

    def answer(self, operation: str, request: Mapping[str, Any]) -> Answer:
        """Carry out one request; raises RejectionError."""
        operations = {
            "CreateSecret": self._create,
            "PutSecretValue": self._put,
            "GetSecretValue": self._get,
            "DescribeSecret": self._describe,
            "UpdateSecretVersionStage": self._update_stage,
            "DeleteSecret": self._delete,
            "RestoreSecret": self._restore,
            "TagResource": self._tag,
            "UntagResource": self._untag,
            "DescribeKey": self._describe_key,
        }
        if operation not in operations:
            raise RejectionError("UnknownOperationException", f"{operation} is not simulated")
        return operations[operation](request)

    # --- operations -----------------------------------------------------------------------------------

    def _create(self, request: Mapping[str, Any]) -> Answer:
        name, value = str(request["Name"]), _value(request)
        secret = self.secrets.get(name)
        if secret is not None:
            if secret.deleted_until is not None:
                raise RejectionError(
                    "InvalidRequestException",
                    "You can't create this secret because a secret with this name is already scheduled for deletion.",
                )
            version = secret.versions.get(str(request.get("ClientRequestToken")))
            if version is None or version.value != value:
                raise RejectionError("ResourceExistsException", f"The secret {name} already exists.")
            return _named(secret) | {"VersionId": request["ClientRequestToken"]}
        key = request.get("KmsKeyId")
        if key is not None and self.keys.get(str(key)) != "Enabled":
            raise RejectionError("EncryptionFailure", f"Secrets Manager can't encrypt with the KMS key {key}.")
        secret = SimulatedSecret(
            name=name,
            tags=_tags(request.get("Tags") or ()),
            kms_key_id=key,
            changed_at=self._clock.now(),
            replicas=[str(copy["Region"]) for copy in request.get("AddReplicaRegions") or ()],
        )
        version_id = None
        if value:
            version_id = _version_id(request)
            secret.versions[version_id] = SimulatedVersion(value=value, created_at=self._clock.now(), stages={CURRENT})
        self.secrets[name] = secret
        return _named(secret) | ({} if version_id is None else {"VersionId": version_id})

    def _put(self, request: Mapping[str, Any]) -> Answer:
        secret, value, version_id = self._live(request), _value(request), _version_id(request)
        version = secret.versions.get(version_id)
        if version is not None and version.value != value:
            raise RejectionError(
                "ResourceExistsException", f"ClientRequestToken {version_id} is in use for another value."
            )
        if version is None:
            stages = set(request.get("VersionStages") or [CURRENT])
            if len(stages) > MOST_STAGES:
                raise RejectionError("LimitExceededException", f"A version has at most {MOST_STAGES} labels.")
            if not secret.versions:
                stages.add(CURRENT)
            version = SimulatedVersion(value=value, created_at=self._clock.now(), stages=set())
            secret.versions[version_id] = version
            for stage in stages:
                self._attach(secret, stage, version_id)
            secret.changed_at = self._clock.now()
        return _named(secret) | {"VersionId": version_id, "VersionStages": sorted(version.stages)}

    def _get(self, request: Mapping[str, Any]) -> Answer:
        secret = self._live(request)
        stage = str(request.get("VersionStage") or CURRENT)
        version_id = request.get("VersionId") or secret.holder(stage)
        version = secret.versions.get(str(version_id))
        if version is None:
            raise RejectionError(
                "ResourceNotFoundException",
                f"Secrets Manager can't find the specified secret value for staging label: {stage}",
            )
        return _named(secret) | {
            "VersionId": version_id,
            "VersionStages": sorted(version.stages),
            "CreatedDate": version.created_at.timestamp(),
            **version.value,
        }

    def _describe(self, request: Mapping[str, Any]) -> Answer:
        secret = self._there(request)
        stages = {
            version_id: sorted(version.stages) for version_id, version in secret.versions.items() if version.stages
        }
        until = secret.deleted_until
        return (
            _named(secret)
            | {"LastChangedDate": secret.changed_at.timestamp(), "Tags": secret.tags, "VersionIdsToStages": stages}
            | ({} if until is None else {"DeletedDate": until.timestamp()})
            | ({} if secret.kms_key_id is None else {"KmsKeyId": secret.kms_key_id})
            | ({"RotationEnabled": True} if secret.rotates else {})
            | {"ReplicationStatus": [{"Region": region, "Status": "InSync"} for region in secret.replicas]}
        )

    def _update_stage(self, request: Mapping[str, Any]) -> Answer:
        secret, stage = self._live(request), str(request["VersionStage"])
        source, target, holder = (
            request.get("RemoveFromVersionId"),
            request.get("MoveToVersionId"),
            secret.holder(str(request["VersionStage"])),
        )
        if target is not None and target not in secret.versions:
            raise RejectionError("ResourceNotFoundException", f"Secrets Manager can't find the version {target}.")
        if target is None and stage == CURRENT:
            raise RejectionError("InvalidParameterException", f"{CURRENT} can be moved, not removed.")
        must_be_named = holder is not None and holder != target
        if (must_be_named and source != holder) or (source is not None and source != holder):
            raise RejectionError(
                "InvalidParameterException",
                f"Staging label {stage} is currently attached to version {holder}, so you must explicitly reference"
                " that version in RemoveFromVersionId.",
            )
        if target is None:
            secret.versions[str(source)].stages.discard(stage)
        else:
            self._attach(secret, stage, str(target))
        secret.changed_at = self._clock.now()
        return _named(secret)

    def _delete(self, request: Mapping[str, Any]) -> Answer:
        secret = self._live(request)
        secret.changed_at = self._clock.now()
        secret.deleted_until = self._clock.now() + timedelta(days=int(request.get("RecoveryWindowInDays") or 30))
        if request.get("ForceDeleteWithoutRecovery"):
            del self.secrets[secret.name]
        return _named(secret) | {"DeletionDate": secret.deleted_until.timestamp()}

    def _restore(self, request: Mapping[str, Any]) -> Answer:
        secret = self._there(request)
        if secret.deleted_until is not None:
            secret.deleted_until, secret.changed_at = None, self._clock.now()
        return _named(secret)

    def _tag(self, request: Mapping[str, Any]) -> Answer:
        secret = self._live(request)
        tags = _tags([*secret.tags, *request["Tags"]])
        secret.tags, secret.changed_at = tags, self._clock.now()
        return {}

    def _untag(self, request: Mapping[str, Any]) -> Answer:
        secret = self._live(request)
        secret.tags = [tag for tag in secret.tags if tag["Key"] not in request["TagKeys"]]
        secret.changed_at = self._clock.now()
        return {}

    def _describe_key(self, request: Mapping[str, Any]) -> Answer:
        key = str(request["KeyId"])
        if key not in self.keys:
            raise RejectionError("NotFoundException", f"Key '{key}' does not exist")
        return {"KeyMetadata": {"KeyId": key, "KeyState": self.keys[key]}}

    # --- rules ----------------------------------------------------------------------------------------

    def _there(self, request: Mapping[str, Any]) -> SimulatedSecret:
        secret = self.secrets.get(str(request["SecretId"]))
        if secret is None:
            raise RejectionError("ResourceNotFoundException", "Secrets Manager can't find the specified secret.")
        return secret

    def _live(self, request: Mapping[str, Any]) -> SimulatedSecret:
        secret = self._there(request)
        if secret.deleted_until is not None:
            raise RejectionError(
                "InvalidRequestException",
                "You can't perform this operation on the secret because it was marked for deletion.",
            )
        return secret

    def _attach(self, secret: SimulatedSecret, stage: str, version_id: str) -> None:
        """Put a label on one version alone; AWSPREVIOUS follows AWSCURRENT by itself."""
        holder = secret.holder(stage)
        if holder == version_id:
            return
        for version in secret.versions.values():
            version.stages.discard(stage)
        secret.versions[version_id].stages.add(stage)
        if stage == CURRENT and holder is not None:
            self._attach(secret, PREVIOUS, holder)


def _named(secret: SimulatedSecret) -> Answer:
    arn = f"arn:aws:secretsmanager:eu-west-1:{_ACCOUNT}:secret:{secret.name}-AbCdEf"
    return {"ARN": arn, "Name": secret.name}


def _tags(given: Iterable[Any]) -> list[Any]:
    """Give the tags that come of those, the last of a key counting; RejectionError for what AWS does not take."""
    tags = {str(tag["Key"]): str(tag.get("Value") or "") for tag in given}
    if len(tags) > MOST_TAGS:
        raise RejectionError("LimitExceededException", f"A secret has at most {MOST_TAGS} tags.")
    for key, value in tags.items():
        if _TAG_KEY.fullmatch(key) is None or _TAG_VALUE.fullmatch(value) is None:
            raise RejectionError("InvalidParameterException", f"The tag {key} or its value is not valid.")
    return [{"Key": key, "Value": value} for key, value in tags.items()]


def _value(request: Mapping[str, Any]) -> Mapping[str, Any]:
    """Give what a version is to hold; empty when it has no value."""
    value = {name: request[name] for name in ("SecretString", "SecretBinary") if request.get(name) is not None}
    if any(len(str(text).encode()) > LONGEST_VALUE for text in value.values()):
        raise RejectionError("InvalidParameterException", f"A value has at most {LONGEST_VALUE} bytes.")
    return value


def _version_id(request: Mapping[str, Any]) -> str:
    version_id = str(request.get("ClientRequestToken") or uuid4())
    if len(version_id) not in _VERSION_ID:
        raise RejectionError("InvalidParameterException", "ClientRequestToken must have 32 to 64 characters.")
    return version_id
