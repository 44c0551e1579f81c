"""The words of the domain: what is configured, what is stored, what is issued.

Every time is an aware UTC datetime, every duration a timedelta.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from enum import StrEnum
from hashlib import sha256
from typing import Protocol, Self

from provisioner.domain.consumers import OnRotate, Webhook, Workload
from provisioner.domain.mark import Mark, Owner
from provisioner.domain.secret import SecretText

# --- configured ---------------------------------------------------------------------------------


class Window(Protocol):
    """A maintenance window: when rotations are welcome."""

    def next_opening(self, moment: datetime) -> datetime | None:
        """Give ``moment`` itself while the window is open, else its next opening, or None if there is none."""


class Format(StrEnum):
    """How a destination holds a token."""

    JSON = "json"
    """One JSON object with all fields."""
    RAW = "raw"
    """The bare token, with the fields in tags or metadata."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Destination:
    """One place a token is written to."""

    store: str
    """Name of the configured store."""
    path: str
    """Where in the store, as the store spells it; no mount, no leading slash."""
    fields: Mapping[str, str] = field(default_factory=dict)
    """Our field name -> the name consumers read it by; a field left out keeps its own name."""
    extra: Mapping[str, str] = field(default_factory=dict)
    """Static fields stored beside the token."""
    adopt: bool = False
    """Whether a foreign secret already there may be taken over."""
    format: Format = Format.JSON
    has_reader: bool = False
    """Whether its store has an identity of its own to read with, as consumers do."""

    def __str__(self) -> str:
        """Name the place in messages, as STORE:PATH."""
        return f"{self.store}:{self.path}"


@dataclass(frozen=True, slots=True, kw_only=True, order=True)
class Permission:
    """What a token may do: for issuers whose tokens differ in that."""

    action: str
    """``read`` or ``write``."""
    resource: str
    """A database, or ``*`` for all of them."""

    def __str__(self) -> str:
        """Name it in messages, as ACTION:RESOURCE."""
        return f"{self.action}:{self.resource}"


def digest_of(permissions: frozenset[Permission]) -> str | None:
    """Name a set of permissions in a record, however many they are; None for none."""
    if not permissions:
        return None
    return sha256(" ".join(map(str, sorted(permissions))).encode()).hexdigest()[:16]


@dataclass(frozen=True, slots=True, kw_only=True)
class ManagedToken:
    """One configured token: whose it is, how long it lives, when it rotates and where it is stored."""

    owner: Owner
    issuer: str
    description: str = ""
    ttl: timedelta
    rotate_at: float | None = None
    """Rotation point as a fraction of the actual life; exactly one of this and rotate_before is set."""
    rotate_before: timedelta | None = None
    overlap: timedelta
    """How long what was replaced lives on, at the least."""
    until_rolled_out: timedelta | None = None
    """Where it lives on until every workload below is rolled out: for that long at the most, from the commit on."""
    verify_timeout: timedelta
    rotation_timeout: timedelta
    orphan_quiet_period: timedelta
    drift_interval: timedelta
    """How often both truths are looked at although nothing is due."""
    window: Window | None = None
    labels: Mapping[str, str] = field(default_factory=dict)
    permissions: frozenset[Permission] = frozenset()
    """Empty where its issuer's tokens may do all the same."""
    credential_of: tuple[str, ...] = ()
    """Names of the issuers that are called with this token."""
    destinations: tuple[Destination, ...]
    """At least one; the first is the primary."""
    on_rotate: tuple[OnRotate, ...] = ()
    """What follows once every destination holds a new token, in that order."""

    @property
    def workloads(self) -> tuple[Workload, ...]:
        """What is restarted."""
        return tuple(each for each in self.on_rotate if isinstance(each, Workload))

    @property
    def webhooks(self) -> tuple[Webhook, ...]:
        """What is told."""
        return tuple(each for each in self.on_rotate if isinstance(each, Webhook))

    @property
    def longest_overlap(self) -> timedelta:
        """How long what was replaced may live on, if all goes well with everything but workloads."""
        return max(self.overlap, self.until_rolled_out or self.overlap)

    @property
    def name(self) -> str:
        """The token's configured name."""
        return self.owner.name

    @property
    def primary(self) -> Destination:
        """The destination that says which token is the current one."""
        return self.destinations[0]


@dataclass(frozen=True, slots=True, kw_only=True)
class Trigger:
    """A person's wish to rotate one token now."""

    request_id: str
    """Names the wish: however often it is sent, it rotates once."""
    reason: str = ""
    compromised: bool = False
    """Whether the predecessor is to be revoked without overlap."""
    by: str | None = None
    """Who it is, by their own word."""
    via: str | None = None
    """``socket``, ``http`` or ``direct``."""
    at: datetime | None = None
    """When they asked."""


# --- stored -------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True, kw_only=True)
class Asking:
    """Who asked for a rotation, by what way, when and why, as a record keeps it: see ``domain.asking``."""

    by: str | None = None
    via: str | None = None
    at: datetime | None = None
    reason: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Record:
    """What a destination holds for a managed token: the one JSON object that consumers read."""

    token: SecretText
    token_id: str
    issued_at: datetime
    expires_at: datetime
    rotation_id: str
    owner: Owner
    issuer: str
    stored_at: datetime
    """When the write that committed it was sent, by the writer's clock."""
    request_id: str | None = None
    """The manual trigger that caused it, if one did."""
    asked: Asking | None = None
    """Who sent that, when and why; None also where an older release has written it."""
    past_requests: tuple[str, ...] = ()
    """Triggers honoured before it, newest first: a wish sent again years later rotates nothing."""
    compromised: bool = False
    """Whether its predecessors are to be revoked without overlap."""
    predecessors: tuple[str, ...] = ()
    """Rotations whose tokens were live when this one began: surely older, whatever the issuers' clocks say."""
    permissions_digest: str | None = None
    """What it was asked to be allowed, see ``digest_of``: its issuer may list that otherwise, for ever."""

    def has_honoured(self, request_id: str) -> bool:
        """Tell whether that trigger caused this rotation or one before it."""
        return request_id == self.request_id or request_id in self.past_requests


@dataclass(frozen=True, slots=True, kw_only=True)
class Absent:
    """There is no secret at the path, or its newest version is deleted."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Reservation:
    """A record with our owner and no token: it only moves the revision, and reads as no secret."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Damaged:
    """A record with our owner and a token, in which fields that we need are missing or unreadable."""

    defects: tuple[str, ...]
    """Names of those fields, never values."""
    token: SecretText
    token_id: str | None = None
    """What it says of which token it holds, as far as that can be read; ``domain.repair`` looks it up on the lists."""
    rotation_id: str | None = None
    stored_at: datetime | None = None
    request_id: str | None = None
    asked: Asking | None = None
    past_requests: tuple[str, ...] = ()
    compromised: bool = False
    predecessors: tuple[str, ...] = ()
    permissions_digest: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Foreign:
    """A secret that is not ours: never overwritten."""

    why: str
    """What tells that it is not ours; names the owner field, never a value but another owner's name."""


Content = Record | Absent | Reservation | Damaged | Foreign


@dataclass(frozen=True, slots=True, kw_only=True)
class Stored:
    """One destination as it was read: its content and the revision a compare-and-set must name."""

    destination: Destination
    revision: str
    """Opaque to us; the store's own word for this state, also when nothing is there."""
    content: Content
    written_at: datetime | None = None
    """When the store says that this revision was written, or the secret was deleted, by the store's clock."""
    faithful: bool = True
    """Whether the stored document spells the record just as the configuration asks (fields, extra)."""
    defects: tuple[str, ...] = ()
    """Fields that somebody has damaged, and that ``content`` holds as the issuer's list has them."""

    @property
    def record(self) -> Record | None:
        """The record, when there is a whole one."""
        return self.content if isinstance(self.content, Record) else None


@dataclass(frozen=True, slots=True, kw_only=True)
class Unreadable:
    """A truth that could not be read, and why; the reason holds no secret."""

    reason: str


# --- issued -------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True, kw_only=True)
class IssuedToken:
    """A token as its issuer lists it."""

    issuer: str
    token_id: str
    mark: Mark | None
    """Our mark; None makes it foreign."""
    created_at: datetime | None = None
    expires_at: datetime | None = None
    """None: it never expires."""
    revoked_at: datetime | None = None
    permissions: frozenset[Permission] | None = None
    """None: its issuer does not say."""

    def is_live(self, now: datetime) -> bool:
        """Tell whether it can be used at ``now``."""
        return self.revoked_at is None and not self.is_expired(now)

    def is_expired(self, now: datetime) -> bool:
        """Tell whether its life has ended by itself."""
        return self.expires_at is not None and self.expires_at <= now


@dataclass(frozen=True, slots=True, kw_only=True)
class Listing:
    """All tokens of one issuer at one moment, other people's included."""

    tokens: tuple[IssuedToken, ...]
    keeps_expired: bool = False
    """Whether expired tokens keep something (their name) until deleted, so that we delete ours."""
    proves_by_use: bool = False
    """Whether the issuer can prove a token by using it, rather than by listing it."""
    amends_permissions: bool = False
    """Whether the permissions of a token can be changed in place, without a new token."""
    credential: str | None = None
    """The rotation of the managed token with which the issuer was asked; None: it was asked with another credential."""
    clock_skew: timedelta = timedelta(0)
    """How far the issuer's clock is ahead of ours, where that counts; the times of the tokens are by ours already."""
    warnings: tuple[str, ...] = ()
    """What an operator should know of how it was asked; ``check`` shows them."""
    asked_at: datetime | None = None
    """When it was asked for, by our clock: what was made later need not be on it. None: now."""

    def find(self, token_id: str) -> IssuedToken | None:
        """Give the token with that id, if it is listed."""
        return next((token for token in self.tokens if token.token_id == token_id), None)

    def of(self, owner: Owner) -> Iterator[IssuedToken]:
        """Give the tokens that carry the mark of exactly that owner."""
        return (token for token in self.tokens if token.mark is not None and token.mark.owner == owner)

    def including(self, token: IssuedToken) -> Self:
        """Give this listing with ``token`` in place of what it said of that id."""
        others = tuple(other for other in self.tokens if other.token_id != token.token_id)
        return replace(self, tokens=(*others, token))


@dataclass(frozen=True, slots=True, kw_only=True)
class CreateRequest:
    """What to ask of an issuer: one token that expires."""

    mark: Mark
    description: str
    """The operator's words and the mark, as the issuer is to show it."""
    ttl: timedelta
    expires_at: datetime
    """Whole seconds."""
    permissions: frozenset[Permission] = frozenset()


@dataclass(frozen=True, slots=True, kw_only=True)
class MintedToken:
    """A new token with its string: this is the one moment at which it can be had."""

    token: SecretText
    token_id: str
    created_at: datetime | None
    expires_at: datetime | None
