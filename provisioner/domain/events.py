"""Facts in the past tense that the engine tells its observers: the raw material of logs and metrics.

No event holds a secret; error texts in them were scrubbed where they entered.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta

from provisioner.domain.status import TokenStatus


@dataclass(frozen=True, slots=True, kw_only=True)
class Decided:
    """A step was decided on for a name."""

    name: str
    fact: str
    step: str
    message: str


@dataclass(frozen=True, slots=True, kw_only=True)
class RotationStarted:
    """A token is about to be created."""

    name: str
    rotation_id: str
    fact: str
    reason: str
    request_id: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class TokenCreated:
    """An issuer created a token, and its string is in our memory."""

    name: str
    rotation_id: str
    issuer: str
    token_id: str
    expires_at: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class TokenProven:
    """A new token was seen to work."""

    name: str
    rotation_id: str
    token_id: str
    tries: int


@dataclass(frozen=True, slots=True, kw_only=True)
class TokenStored:
    """A new token is the current one, committed and read back."""

    name: str
    rotation_id: str
    token_id: str
    destination: str
    revision: str


@dataclass(frozen=True, slots=True, kw_only=True)
class RotationFinished:
    """A rotation reached its end: the new token is what consumers read."""

    name: str
    rotation_id: str
    fact: str
    took: timedelta
    phases: dict[str, timedelta] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class StepFailed:
    """A step came to nothing; it is tried again at a moment."""

    name: str
    step: str
    fact: str
    error: str
    failures: int
    retry_at: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class StepHeldUp:
    """A mint is wanted and has to wait."""

    name: str
    fact: str
    hindrance: str


@dataclass(frozen=True, slots=True, kw_only=True)
class LookFailed:
    """A truth could not be read: nothing is done for the name until it can."""

    name: str
    reason: str
    failures: int
    retry_at: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class NameRefused:
    """Somebody else's secret is in the way: nothing is done for the name until a person has seen to it."""

    name: str
    fact: str
    reason: str


@dataclass(frozen=True, slots=True, kw_only=True)
class DestinationWritten:
    """The current record was written to a destination that did not hold it, or had it damaged."""

    name: str
    destination: str
    revision: str
    token_id: str
    fact: str
    reason: str


@dataclass(frozen=True, slots=True, kw_only=True)
class DestinationConfirmed:
    """The reader of a store read the current record there: consumers can."""

    name: str
    destination: str
    revision: str


@dataclass(frozen=True, slots=True, kw_only=True)
class ConsumerRestarted:
    """A workload was told to replace its pods, so that they read the current token."""

    name: str
    consumer: str
    rotation_id: str
    reason: str


@dataclass(frozen=True, slots=True, kw_only=True)
class ConsumerRolledOut:
    """A workload has replaced all its pods: all that it runs has read the current token."""

    name: str
    consumer: str
    rotation_id: str


@dataclass(frozen=True, slots=True, kw_only=True)
class ConsumerStuck:
    """A workload does not replace its pods, or is not there: somebody has to see to it."""

    name: str
    consumer: str
    standing: str
    reason: str


@dataclass(frozen=True, slots=True, kw_only=True)
class WebhookDelivered:
    """A webhook said that it has taken note of a rotation."""

    name: str
    webhook: str
    rotation_id: str


@dataclass(frozen=True, slots=True, kw_only=True)
class ConsumersLeftBehind:
    """A token was revoked although workloads may use it: its longest overlap has ended."""

    name: str
    token_id: str
    consumers: tuple[str, ...]
    """Each with how it stands."""


@dataclass(frozen=True, slots=True, kw_only=True)
class RevisionFenced:
    """The unchanged record was written again, so that no earlier write can land."""

    name: str
    destination: str
    revision: str
    token_id: str


@dataclass(frozen=True, slots=True, kw_only=True)
class StoredTokenTried:
    """The stored token was used to see whether it works."""

    name: str
    token_id: str
    result: str


@dataclass(frozen=True, slots=True, kw_only=True)
class StoredTokenRefused:
    """The stored token did not work when it was used: it is replaced once that is certain."""

    name: str
    token_id: str
    certain_at: datetime | None
    """When it is tried for the last time; None when it was just now."""


@dataclass(frozen=True, slots=True, kw_only=True)
class TokenRevoked:
    """A token that was not the current one was revoked."""

    name: str
    issuer: str
    token_id: str
    reason: str


@dataclass(frozen=True, slots=True, kw_only=True)
class PermissionsAmended:
    """The permissions of the current token were changed in place."""

    name: str
    issuer: str
    token_id: str
    permissions: tuple[str, ...]
    """As ACTION:RESOURCE."""
    reason: str


@dataclass(frozen=True, slots=True, kw_only=True)
class ClockSkewFound:
    """An issuer's clock and ours differ by so much that its times have to be converted: one of them is wrong."""

    issuer: str
    ahead_by: timedelta
    """How far the issuer's is ahead."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ClockSkewEnded:
    """An issuer's clock and ours agree again."""

    issuer: str


@dataclass(frozen=True, slots=True, kw_only=True)
class PassFinished:
    """Some tokens, or all of them, were looked at once."""

    tokens: int
    whole: bool
    """Whether it was a look at all of them: a drift check, rather than a name that was woken."""
    failed: int
    took: timedelta


@dataclass(frozen=True, slots=True, kw_only=True)
class NameStands:
    """A name was reconciled, and this is where it stands now."""

    name: str
    status: TokenStatus
    orphans: Mapping[str, int]
    """By issuer: its live tokens that nothing stores."""


@dataclass(frozen=True, slots=True, kw_only=True)
class AbandonedCounted:
    """An issuer's list was searched for live tokens of ours whose names are not configured any more."""

    issuer: str
    tokens: int


@dataclass(frozen=True, slots=True, kw_only=True)
class RequestMade:
    """A request went to a store, an issuer or what consumes its tokens, and came to a result."""

    kind: str
    """``store``, ``issuer`` or ``consumer``."""
    backend: str
    """Its name; of a consumer its kind, as ``Deployment`` or ``webhook``."""
    operation: str
    result: str
    """``ok`` or the name of the error."""


@dataclass(frozen=True, slots=True, kw_only=True)
class LeadershipGained:
    """This process leads from now on: it acts."""

    lease: str
    identity: str
    transitions: int


@dataclass(frozen=True, slots=True, kw_only=True)
class LeadershipLost:
    """This process leads no more, although nobody asked it to leave: it acts no more."""

    lease: str
    identity: str
    reason: str


@dataclass(frozen=True, slots=True, kw_only=True)
class LeadershipReleased:
    """This process gave the lease back on leaving: another one can lead at once."""

    lease: str
    identity: str


@dataclass(frozen=True, slots=True, kw_only=True)
class LeaderSeen:
    """Another process leads; this one looks on, and serves reads."""

    lease: str
    holder: str


@dataclass(frozen=True, slots=True, kw_only=True)
class LeaseUnreachable:
    """The lease could not be read or written; it is tried again. A leader stops when its deadline comes."""

    lease: str
    error: str
    failures: int
    """In a row."""


@dataclass(frozen=True, slots=True, kw_only=True)
class LeaseRefused:
    """The lease may not be read or written: a person has to see to it, and it is tried again."""

    lease: str
    error: str
    failures: int
    """In a row."""


@dataclass(frozen=True, slots=True, kw_only=True)
class PodEventsDropped:
    """Kubernetes Events about our own pod were not sent; told of the first, and then once an hour at most."""

    error: str
    dropped: int
    """Since this process, or its present configuration, began."""


Event = (
    Decided
    | RotationStarted
    | TokenCreated
    | TokenProven
    | TokenStored
    | RotationFinished
    | StepFailed
    | StepHeldUp
    | LookFailed
    | NameRefused
    | DestinationWritten
    | DestinationConfirmed
    | ConsumerRestarted
    | ConsumerRolledOut
    | ConsumerStuck
    | WebhookDelivered
    | ConsumersLeftBehind
    | RevisionFenced
    | StoredTokenTried
    | StoredTokenRefused
    | TokenRevoked
    | PermissionsAmended
    | ClockSkewFound
    | ClockSkewEnded
    | PassFinished
    | NameStands
    | AbandonedCounted
    | RequestMade
    | LeadershipGained
    | LeadershipLost
    | LeadershipReleased
    | LeaderSeen
    | LeaseUnreachable
    | LeaseRefused
    | PodEventsDropped
)
