"""What follows a rotation: the workloads that are restarted by it, the webhooks that are told, and how far they are."""

import hashlib
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum
from pathlib import Path
from typing import Final, Protocol
from urllib.parse import urlsplit

from provisioner.domain.mark import Owner
from provisioner.domain.secret import SecretText

RESTARTED_AT: Final = "kubectl.kubernetes.io/restartedAt"
"""The annotation on a pod template by which ``kubectl rollout restart`` restarts."""
_PREFIX: Final = "token-provisioner/rotation-"
_LONGEST: Final = 63 - len("rotation-")
"""What an annotation's name may have behind its prefix."""
_DIGEST: Final = 16


class WorkloadKind(StrEnum):
    """The kinds whose pods are replaced by a change of their template."""

    DEPLOYMENT = "Deployment"
    STATEFUL_SET = "StatefulSet"
    DAEMON_SET = "DaemonSet"


@dataclass(frozen=True, slots=True, kw_only=True)
class Workload:
    """Pods that read a token when they start, and have to be restarted to get a new one."""

    kind: WorkloadKind
    namespace: str | None = None
    """None: our own."""
    name: str

    def __str__(self) -> str:
        """Name it in messages, as ``Deployment NAMESPACE/NAME``."""
        return f"{self.kind} {self.namespace}/{self.name}" if self.namespace else f"{self.kind} {self.name}"


class Key(Protocol):
    """Where the key of a webhook is to be read."""

    def __call__(self) -> SecretText:
        """Read it afresh."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Webhook:
    """An address that is told of each rotation, and never told a token."""

    url: str = field(repr=False)
    """Not for messages: many a webhook's address is its password."""
    key: Key = field(repr=False, compare=False)
    """Reads the key that signs what is sent, afresh at each use."""
    ca_cert: Path | None = None
    """CA certificates of its server; None: the usual ones."""

    def __str__(self) -> str:
        """Name it in messages, by its host and the beginning of its address's digest."""
        return f"webhook {self.host} ({hashlib.sha256(self.url.encode()).hexdigest()[:6]})"

    @property
    def host(self) -> str:
        """Where it is."""
        return urlsplit(self.url).hostname or "?"


OnRotate = Workload | Webhook
"""One thing that follows a rotation."""


def annotation_of(owner: Owner) -> str:
    """Give the annotation on a pod template that says for which rotation of a name it was last restarted.

    Kubernetes allows it 63 characters behind the prefix; of what is longer, the end is a digest.
    """
    text = f"{owner.instance}.{owner.name}"
    if len(text) <= _LONGEST:
        return f"{_PREFIX}{text}"
    digest = hashlib.sha256(text.encode()).hexdigest()[:_DIGEST]
    return f"{_PREFIX}{text[: _LONGEST - _DIGEST - 1].rstrip('.-')}-{digest}"


class Progress(StrEnum):
    """How far a roll-out is."""

    UNDER_WAY = "under way"
    STALLED = "stalled"
    COMPLETE = "complete"


@dataclass(frozen=True, slots=True, kw_only=True)
class Rollout:
    """A workload as it was read."""

    rotation_id: str | None
    """For which rotation of the name its template says that it was restarted."""
    progress: Progress
    message: str
    """How far it is, for an operator."""


class Standing(StrEnum):
    """Where a workload is with the stored token, in the words of ``status``."""

    BEHIND = "behind"
    """It was not restarted for it."""
    ROLLING_OUT = "rolling-out"
    STALLED = "stalled"
    ROLLED_OUT = "rolled-out"
    """All its pods were started after the token was stored."""
    MISSING = "missing"
    UNREADABLE = "unreadable"


@dataclass(frozen=True, slots=True, kw_only=True)
class Sight:
    """A workload as this process saw it last."""

    standing: Standing
    rotation_id: str
    """The stored rotation for which that holds."""
    message: str
    since: datetime
    """Since when this process has seen it stand so."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Restarts:
    """How often this process has restarted a workload for one rotation: somebody may undo it again and again."""

    rotation_id: str
    count: int
    last_at: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class Notice:
    """What a webhook is told of a rotation: there is no room for a token in it."""

    instance: str
    name: str
    rotation_id: str
    token_id: str
    issuer: str
    issued_at: datetime
    expires_at: datetime
    stored_at: datetime
    compromised: bool
    destinations: tuple[tuple[str, str], ...]
    """Store and path of each."""
