"""The words of the domain: what is configured, what is stored, what is issued, and what we remember.

Every time is an aware UTC datetime, every duration a timedelta.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Protocol, Self

from provisioner.domain.mark import Mark, Owner
from provisioner.domain.secret import SecretText

# --- configured ---------------------------------------------------------------------------------


class Window(Protocol):
    """A maintenance window: when rotations are welcome."""

    def next_opening(self, moment: datetime) -> datetime | None:
        """Give ``moment`` itself while the window is open, else its next opening, or None if there is none."""


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

    def __str__(self) -> str:
        """Name the place in messages, as STORE:PATH."""
        return f"{self.store}:{self.path}"


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
    verify_timeout: timedelta
    rotation_timeout: timedelta
    orphan_quiet_period: timedelta
    drift_interval: timedelta
    """How often both truths are looked at although nothing is due."""
    window: Window | None = None
    labels: Mapping[str, str] = field(default_factory=dict)
    destinations: tuple[Destination, ...]
    """At least one; the first is the primary."""

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


# --- stored -------------------------------------------------------------------------------------


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
    past_requests: tuple[str, ...] = ()
    """Triggers honoured before it, newest first: a wish sent again years later rotates nothing."""
    compromised: bool = False
    """Whether its predecessors are to be revoked without overlap."""
    predecessors: tuple[str, ...] = ()
    """Rotations whose tokens were live when this one began: surely older, whatever the issuers' clocks say."""

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
    past_requests: tuple[str, ...] = ()
    compromised: bool = False
    predecessors: tuple[str, ...] = ()


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


@dataclass(frozen=True, slots=True, kw_only=True)
class MintedToken:
    """A new token with its string: this is the one moment at which it can be had."""

    token: SecretText
    token_id: str
    created_at: datetime | None
    expires_at: datetime | None


# --- remembered by this process, and safely forgotten by a crash ---------------------------------


class TrialResult(StrEnum):
    """What came of using a token."""

    WORKS = "works"
    REFUSED = "refused"
    NO_ANSWER = "no answer"


@dataclass(frozen=True, slots=True, kw_only=True)
class Trial:
    """The last time that the stored token was used, to see whether it works."""

    token_id: str
    revision: str
    """The primary's revision it was read from: an edit by hand moves it, and asks for a new trial."""
    result: TrialResult
    tried_at: datetime
    refused_since: datetime | None = None
    """Since when it has been refused without a break."""


@dataclass(frozen=True, slots=True, kw_only=True)
class EndedAttempt:
    """A rotation that this very process began and has given up: it will never write that token again."""

    rotation_id: str
    ended_at: datetime
    may_land: bool
    """Whether a write of it may be under way yet, so that it must be fenced off before the token is revoked."""
    on_request: bool = False
    """Whether a person asked for its end: then it has no overlap."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Fence:
    """A rewrite of the unchanged record, after which no write can land of any token that existed before it."""

    revision: str
    """The primary's revision that the rewrite produced."""
    rotation_ids: frozenset[str]
    """The rotations seen on the lists before the rewrite: those that it fences off."""
    stored_since: datetime | None = None
    """Since when the store held what was written again, None when that was nothing: no overlap begins anew by it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Backoff:
    """Failures of one effect, and when it may be tried again."""

    failures: int
    retry_at: datetime
    error: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Memory:
    """What a process knows about a name from its own doing. Losing it costs time, never safety."""

    trial: Trial | None = None
    ended: tuple[EndedAttempt, ...] = ()
    fence: Fence | None = None
    backoffs: Mapping[str, Backoff] = field(default_factory=dict)
    """By the effect's key, see ``domain.steps``."""
    listed: Mapping[str, tuple[IssuedToken, ...]] = field(default_factory=dict)
    """Our tokens of this name as each issuer last listed them: they count while it gives no list."""
    expires_at: datetime | None = None
    """When the stored token ends, as last seen: it bounds the waits while the store cannot be read."""

    def must_wait(self, key: str, now: datetime) -> Backoff | None:
        """Give the backoff that still forbids the effect at ``now``."""
        backoff = self.backoffs.get(key)
        return backoff if backoff is not None and backoff.retry_at > now else None

    def trial_of(self, stored: Stored) -> Trial | None:
        """Give the trial of just what is stored now, if there has been one."""
        trial, record = self.trial, stored.record
        if trial is None or record is None:
            return None
        return trial if (trial.token_id, trial.revision) == (record.token_id, stored.revision) else None

    def fence_at(self, revision: str) -> Fence | None:
        """Give our own fence, while the store still is at its revision."""
        return self.fence if self.fence is not None and self.fence.revision == revision else None

    def is_fenced(self, rotation_id: str, revision: str) -> bool:
        """Tell whether the store still is at a revision that fences that rotation off."""
        fence = self.fence_at(revision)
        return fence is not None and rotation_id in fence.rotation_ids

    def ended_attempt(self, rotation_id: str) -> EndedAttempt | None:
        """Give the attempt, if this very process began and ended that rotation."""
        return next((attempt for attempt in self.ended if attempt.rotation_id == rotation_id), None)


# --- all together -------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True, kw_only=True)
class Snapshot:
    """Everything that a decision about one name may depend on, besides the time."""

    token: ManagedToken
    primary: Stored | Unreadable
    copies: tuple[Stored | Unreadable, ...] = ()
    """The other destinations, in the configuration's order."""
    listings: Mapping[str, Listing | Unreadable]
    """By issuer: every configured one."""
    trigger: Trigger | None = None
    memory: Memory = field(default_factory=Memory)

    @property
    def record(self) -> Record | None:
        """The primary's record, when it was read and is a whole one."""
        return self.primary.record if isinstance(self.primary, Stored) else None

    @property
    def current(self) -> IssuedToken | None:
        """The stored token as its issuer lists it, when it does."""
        listing = self.listings.get(self.record.issuer) if self.record else None
        return listing.find(self.record.token_id) if self.record and isinstance(listing, Listing) else None

    @property
    def life(self) -> tuple[datetime, datetime] | None:
        """The stored token's beginning and end: the issuer's word before the record's."""
        record, current = self.record, self.current
        if record is None:
            return None
        created = current.created_at if current else None
        expires = current.expires_at if current else None
        return created or record.issued_at, expires or record.expires_at

    @property
    def pending_trigger(self) -> Trigger | None:
        """The manual trigger, unless the stored record knows of it already."""
        honoured = (
            self.trigger is not None and self.record is not None and self.record.has_honoured(self.trigger.request_id)
        )
        return None if honoured else self.trigger

    def marked(self) -> tuple[IssuedToken, ...]:
        """All tokens of this name on every readable list, dead ones included."""
        readable = (listing for listing in self.listings.values() if isinstance(listing, Listing))
        return tuple(token for listing in readable for token in listing.of(self.token.owner))

    def is_stored(self, token: IssuedToken) -> bool:
        """Tell whether any readable destination holds it, by its id or its rotation: then it is never revoked.

        Somebody may have written another id beside a token; its rotation tells all the same.
        """
        rotation_id = token.mark.rotation_id if token.mark is not None else None
        records = (place.record for place in (self.primary, *self.copies) if isinstance(place, Stored))
        return any(
            record is not None and (record.token_id == token.token_id or record.rotation_id == rotation_id)
            for record in records
        )
