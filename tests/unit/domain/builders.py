"""Domain values with good defaults: a test names only what it is about.

The defaults are one healthy name: a token of thirty days, issued a day before ``NOW``, stored at the
primary, listed as live, with nothing due. Ids tell which rotation made a token: ``rotation_of("t1")``
is the rotation of the token ``t1``, in its record and in its mark alike.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Final
from uuid import NAMESPACE_URL, uuid5

from provisioner.domain.mark import Mark, Owner
from provisioner.domain.memory import Backoff, EndedAttempt, Fence, Memory, Trial, TrialResult
from provisioner.domain.model import (
    Absent,
    Asking,
    Content,
    Damaged,
    Destination,
    Foreign,
    IssuedToken,
    Listing,
    ManagedToken,
    Record,
    Stored,
    Trigger,
    Unreadable,
    Window,
)
from provisioner.domain.secret import SecretText
from provisioner.domain.snapshot import Snapshot

SECOND: Final = timedelta(seconds=1)
MINUTE: Final = timedelta(minutes=1)
HOUR: Final = timedelta(hours=1)
DAY: Final = timedelta(days=1)
INSTANT: Final = timedelta(microseconds=1)
"""The smallest step of time: what lies just before or just after a boundary."""

NOW: Final = datetime(2026, 3, 1, 12, 0, tzinfo=UTC)
ISSUED_AT: Final = NOW - DAY
"""When the default current token was issued."""
EXPIRES_AT: Final = ISSUED_AT + 30 * DAY
STORED_AT: Final = ISSUED_AT + MINUTE
"""When the default current token became the current one."""

TTL: Final = 30 * DAY
OVERLAP: Final = 2 * HOUR
VERIFY_TIMEOUT: Final = 5 * MINUTE
ROTATION_TIMEOUT: Final = 10 * MINUTE
QUIET_PERIOD: Final = HOUR
DRIFT_INTERVAL: Final = 15 * MINUTE

INSTANCE: Final = "prod-eu"
NAME: Final = "telegraf-admin"
OWNER: Final = Owner(INSTANCE, NAME)
ISSUER: Final = "cluster-a"
FORMER_ISSUER: Final = "cluster-old"
CURRENT: Final = "current"
"""Token id of the default stored token."""

PRIMARY: Final = Destination(store="vault", path="influx/telegraf-admin")
SECOND_PLACE: Final = Destination(store="aws", path="prod/influx/telegraf-admin")
REVISION: Final = "7"
"""The default revision of whatever is stored."""


def rotation_of(token_id: str) -> str:
    """Give the rotation id of the token with that id: a UUID, always the same one."""
    return str(uuid5(NAMESPACE_URL, token_id))


def secret_of(token_id: str) -> str:
    """Give the string of the token with that id, as plain text: easy to look for in places where it must not be."""
    return f"apiv3_made-up-string-of-{token_id}"


@dataclass(frozen=True, slots=True)
class Openings:
    """A maintenance window that is open in the given spans, each from its beginning to just before its end."""

    spans: tuple[tuple[datetime, datetime], ...] = ()

    def next_opening(self, moment: datetime) -> datetime | None:
        """Give ``moment`` itself while the window is open, else its next opening, or None if there is none."""
        return next((max(begin, moment) for begin, end in sorted(self.spans) if moment < end), None)


def a_destination(
    store: str = "vault",
    path: str = "influx/telegraf-admin",
    *,
    fields: Mapping[str, str] | None = None,
    extra: Mapping[str, str] | None = None,
    adopt: bool = False,
) -> Destination:
    """Give one place that a token is written to."""
    return Destination(store=store, path=path, fields=fields or {}, extra=extra or {}, adopt=adopt)


def a_token(
    *,
    owner: Owner = OWNER,
    issuer: str = ISSUER,
    ttl: timedelta = TTL,
    rotate_at: float | None = 0.66,
    rotate_before: timedelta | None = None,
    overlap: timedelta = OVERLAP,
    verify_timeout: timedelta = VERIFY_TIMEOUT,
    rotation_timeout: timedelta = ROTATION_TIMEOUT,
    orphan_quiet_period: timedelta = QUIET_PERIOD,
    drift_interval: timedelta = DRIFT_INTERVAL,
    window: Window | None = None,
    labels: Mapping[str, str] | None = None,
    description: str = "Telegraf provisioning",
    destinations: tuple[Destination, ...] = (PRIMARY,),
) -> ManagedToken:
    """Give a configured token; with ``rotate_before`` the fraction is left out, since only one may be set."""
    return ManagedToken(
        owner=owner,
        issuer=issuer,
        description=description,
        ttl=ttl,
        rotate_at=None if rotate_before is not None else rotate_at,
        rotate_before=rotate_before,
        overlap=overlap,
        verify_timeout=verify_timeout,
        rotation_timeout=rotation_timeout,
        orphan_quiet_period=orphan_quiet_period,
        drift_interval=drift_interval,
        window=window,
        labels=labels or {},
        destinations=destinations,
    )


def a_record(
    token_id: str = CURRENT,
    *,
    token: str | None = None,
    issued_at: datetime = ISSUED_AT,
    expires_at: datetime | None = None,
    stored_at: datetime | None = None,
    rotation_id: str | None = None,
    owner: Owner = OWNER,
    issuer: str = ISSUER,
    request_id: str | None = None,
    asked: Asking | None = None,
    past_requests: tuple[str, ...] = (),
    compromised: bool = False,
) -> Record:
    """Give a whole record; it lives for thirty days and was stored a minute after it was issued."""
    return Record(
        token=SecretText(token or secret_of(token_id)),
        token_id=token_id,
        issued_at=issued_at,
        expires_at=expires_at or issued_at + TTL,
        rotation_id=rotation_id or rotation_of(token_id),
        owner=owner,
        issuer=issuer,
        stored_at=stored_at or issued_at + MINUTE,
        request_id=request_id,
        asked=asked,
        past_requests=past_requests,
        compromised=compromised,
    )


def an_issued(
    token_id: str = CURRENT,
    *,
    issuer: str = ISSUER,
    owner: Owner | None = OWNER,
    rotation_id: str | None = None,
    created_at: datetime | None = ISSUED_AT,
    expires_at: datetime | None = EXPIRES_AT,
    revoked_at: datetime | None = None,
) -> IssuedToken:
    """Give a token as its issuer lists it; ``owner=None`` leaves the mark out, which makes it foreign."""
    mark = None if owner is None else Mark(owner, rotation_id or rotation_of(token_id))
    return IssuedToken(
        issuer=issuer,
        token_id=token_id,
        mark=mark,
        created_at=created_at,
        expires_at=expires_at,
        revoked_at=revoked_at,
    )


def a_listing(*tokens: IssuedToken, keeps_expired: bool = False, proves_by_use: bool = False) -> Listing:
    """Give all tokens of one issuer."""
    return Listing(tokens=tokens, keeps_expired=keeps_expired, proves_by_use=proves_by_use)


def stored(
    content: Content | None = None,
    *,
    destination: Destination = PRIMARY,
    revision: str = REVISION,
    written_at: datetime | None = None,
    faithful: bool = True,
    defects: tuple[str, ...] = (),
) -> Stored:
    """Give one destination as it was read; it holds the default record unless told otherwise."""
    return Stored(
        destination=destination,
        revision=revision,
        content=a_record() if content is None else content,
        written_at=written_at,
        faithful=faithful,
        defects=defects,
    )


def nothing_stored(
    *, destination: Destination = PRIMARY, revision: str = "0", written_at: datetime | None = None
) -> Stored:
    """Give a destination at which there is no secret; ``written_at`` when one was deleted."""
    return stored(Absent(), destination=destination, revision=revision, written_at=written_at)


def a_foreign_secret(why: str = "it has no owner field of ours") -> Foreign:
    """Give the content of a destination that holds somebody else's secret."""
    return Foreign(why=why)


def a_damaged_record(*defects: str) -> Damaged:
    """Give a record of ours in which the named fields (the expiry by default) cannot be read."""
    return Damaged(defects=defects or ("expires_at",), token=SecretText("a damaged record's"))


def unreadable(reason: str = "no answer") -> Unreadable:
    """Give a truth that could not be read."""
    return Unreadable(reason=reason)


def a_trigger(request_id: str = "request-1", *, reason: str = "", compromised: bool = False) -> Trigger:
    """Give a person's wish to rotate now."""
    return Trigger(request_id=request_id, reason=reason, compromised=compromised)


def a_trial(
    result: TrialResult = TrialResult.WORKS,
    *,
    token_id: str = CURRENT,
    revision: str = REVISION,
    tried_at: datetime = NOW,
    refused_since: datetime | None = None,
) -> Trial:
    """Give the last use of the default stored token; one that was refused was so since then, unless told otherwise."""
    since = refused_since or (tried_at if result is TrialResult.REFUSED else None)
    return Trial(token_id=token_id, revision=revision, result=result, tried_at=tried_at, refused_since=since)


def an_ended_attempt(
    token_id: str,
    *,
    ended_at: datetime = NOW - 10 * MINUTE,
    may_land: bool = False,
    rotation_id: str | None = None,
    issuer: str = ISSUER,
) -> EndedAttempt:
    """Give a rotation, by the id of the token it made or may have made, that this process has given up."""
    return EndedAttempt(
        rotation_id=rotation_id or rotation_of(token_id), issuer=issuer, ended_at=ended_at, may_land=may_land
    )


def a_fence(*token_ids: str, revision: str = REVISION, wrote: str | None = CURRENT) -> Fence:
    """Give a rewrite of ``wrote`` (None: a reservation) that fenced off the rotations of those tokens."""
    rotation_id = None if wrote is None else rotation_of(wrote)
    return Fence(revision=revision, rotation_ids=frozenset(map(rotation_of, token_ids)), rotation_id=rotation_id)


def a_backoff(retry_at: datetime = NOW + MINUTE, *, failures: int = 1, error: str = "the issuer was down") -> Backoff:
    """Give failures of one effect, and when it may be tried again."""
    return Backoff(failures=failures, retry_at=retry_at, error=error)


def a_memory(
    *,
    trial: Trial | None = None,
    ended: tuple[EndedAttempt, ...] = (),
    fence: Fence | None = None,
    backoffs: Mapping[str, Backoff] | None = None,
) -> Memory:
    """Give what a process remembers of a name; nothing by default."""
    return Memory(trial=trial, ended=ended, fence=fence, backoffs=backoffs or {})


def a_snapshot(
    *,
    token: ManagedToken | None = None,
    primary: Stored | Unreadable | None = None,
    copies: tuple[Stored | Unreadable, ...] = (),
    listing: Listing | Unreadable | None = None,
    listings: Mapping[str, Listing | Unreadable] | None = None,
    trigger: Trigger | None = None,
    memory: Memory | None = None,
) -> Snapshot:
    """Give a snapshot of the healthy name; ``listing`` is that of ``ISSUER``, ``listings`` are all of them."""
    if listings is None:
        listings = {ISSUER: a_listing(an_issued()) if listing is None else listing}
    return Snapshot(
        token=token or a_token(),
        primary=primary or stored(),
        copies=copies,
        listings=listings,
        trigger=trigger,
        memory=memory or a_memory(),
    )
