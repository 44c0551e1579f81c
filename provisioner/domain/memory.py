"""What a process remembers of a name from its own doing, and safely forgets when it crashes."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum

from provisioner.domain.consumers import Restarts, Sight, Webhook, Workload
from provisioner.domain.model import IssuedToken, Permission, Stored
from provisioner.domain.timing import BACKOFF_LONGEST


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
    issuer: str
    """Where its token may live: that one's list alone can show that nothing came of it."""
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
    rotation_id: str | None
    """The rotation that was written again, None for a reservation: where numbering began anew, a revision tells less.
    """
    over: str | None = None
    """The revision that was written over: a stale read may show it for a while, and says nothing against the fence."""
    stored_since: datetime | None = None
    """Since when the store held what was written again, None when that was nothing: no overlap begins anew by it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Confirmation:
    """A destination was read by the reader of its store, as consumers do."""

    revision: str
    since: datetime | None = None
    """Since when consumers can, where this process saw before that they could not; their overlap begins then."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Amendment:
    """The permissions of a token were changed in place, as its issuer says; its list need not come to show them."""

    token_id: str
    permissions: frozenset[Permission]
    at: datetime


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
    confirmed: Mapping[str, Confirmation] = field(default_factory=dict)
    """By destination: what the reader of its store has read there, the same as we."""
    backoffs: Mapping[str, Backoff] = field(default_factory=dict)
    """By the effect's key, see ``domain.steps``."""
    listed: Mapping[str, tuple[IssuedToken, ...]] = field(default_factory=dict)
    """Our tokens of this name as each issuer last listed them: they count while it gives no list."""
    amendment: Amendment | None = None
    """The last one, until a list that was asked for later shows it."""
    seen: frozenset[str] = frozenset()
    """Of those rotations, and of the stored record's predecessors, the ones that this process ever saw on a list."""
    revoked: tuple[IssuedToken, ...] = ()
    """Tokens that this very process revoked, the newest first: a list may lag behind, and show them as live."""
    sights: Mapping[Workload, Sight] = field(default_factory=dict)
    """The workloads as this process saw them last."""
    restarts: Mapping[Workload, Restarts] = field(default_factory=dict)
    """Those that this process has restarted."""
    notified: Mapping[Webhook, str] = field(default_factory=dict)
    """By webhook: the rotation that it last said it has taken note of."""
    expires_at: datetime | None = None
    """When the stored token ends, as last seen: it bounds the waits while the store cannot be read."""

    def must_wait(self, key: str, now: datetime) -> Backoff | None:
        """Give the backoff that still forbids the effect at ``now``.

        One that would last longer than any lasts was counted while the clock was ahead: it forbids nothing.
        """
        backoff = self.backoffs.get(key)
        return backoff if backoff is not None and now < backoff.retry_at <= now + BACKOFF_LONGEST else None

    def trial_of(self, stored: Stored) -> Trial | None:
        """Give the trial of just what is stored now, if there has been one."""
        trial, record = self.trial, stored.record
        if trial is None or record is None:
            return None
        return trial if (trial.token_id, trial.revision) == (record.token_id, stored.revision) else None

    def confirmation_of(self, stored: Stored) -> Confirmation | None:
        """Give how the reader of its store has read just what is stored now, if it has."""
        confirmation = self.confirmed.get(str(stored.destination))
        return confirmation if confirmation is not None and confirmation.revision == stored.revision else None

    def fence_at(self, stored: Stored) -> Fence | None:
        """Give our own fence, while the store still is at its revision and holds what it wrote again."""
        fence, rotation_id = self.fence, stored.record.rotation_id if stored.record is not None else None
        if fence is None:
            return None
        return fence if (fence.revision, fence.rotation_id) == (stored.revision, rotation_id) else None

    def is_fenced(self, rotation_id: str, stored: Stored) -> bool:
        """Tell whether the store still is at a revision that fences that rotation off."""
        fence = self.fence_at(stored)
        return fence is not None and rotation_id in fence.rotation_ids

    def ended_attempt(self, rotation_id: str) -> EndedAttempt | None:
        """Give the attempt, if this very process began and ended that rotation."""
        return next((attempt for attempt in self.ended if attempt.rotation_id == rotation_id), None)
