"""Domain values with good defaults: a test says only what it is about."""

from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from typing import Any

from provisioner.domain.mark import Mark, Owner
from provisioner.domain.memory import Memory
from provisioner.domain.model import (
    Absent,
    Content,
    Destination,
    IssuedToken,
    Listing,
    ManagedToken,
    Record,
    Stored,
    Trigger,
    Unreadable,
)
from provisioner.domain.secret import SecretText
from provisioner.domain.snapshot import Snapshot

NOW = datetime(2026, 6, 1, 12, 0, tzinfo=UTC)
HOUR, DAY, MINUTE, SECOND = timedelta(hours=1), timedelta(days=1), timedelta(minutes=1), timedelta(seconds=1)
OWNER = Owner("prod", "telegraf")
PLACE = Destination(store="vault", path="influx/telegraf")
OTHER_PLACE = Destination(store="vault", path="copies/telegraf")
THIRD_PLACE = Destination(store="vault", path="third/telegraf")


def uid(number: int) -> str:
    """Give a UUID that shows its number."""
    return f"00000000-0000-4000-8000-{number:012d}"


def a_token(**changes: Any) -> ManagedToken:
    """Give a managed token: 30 days, rotated at two thirds, an hour of overlap."""
    values: dict[str, Any] = {
        "owner": OWNER,
        "issuer": "cluster",
        "ttl": 30 * DAY,
        "rotate_at": 0.66,
        "overlap": HOUR,
        "verify_timeout": 5 * MINUTE,
        "rotation_timeout": 10 * MINUTE,
        "orphan_quiet_period": HOUR,
        "drift_interval": 15 * MINUTE,
        "destinations": (PLACE,),
    }
    return ManagedToken(**(values | changes))


def a_record(number: int = 1, *, issued_at: datetime = NOW - DAY, **changes: Any) -> Record:
    """Give a record of rotation ``number``, whose token was issued at that time."""
    values: dict[str, Any] = {
        "token": SecretText(f"M.V1.secret-{number}"),
        "token_id": f"id-{number}",
        "issued_at": issued_at,
        "expires_at": issued_at + 30 * DAY,
        "rotation_id": uid(number),
        "owner": OWNER,
        "issuer": "cluster",
        "stored_at": issued_at,
    }
    return Record(**(values | changes))


def an_issued(number: int = 1, *, created_at: datetime | None = NOW - DAY, **changes: Any) -> IssuedToken:
    """Give rotation ``number``'s token as its issuer lists it."""
    values: dict[str, Any] = {
        "issuer": "cluster",
        "token_id": f"id-{number}",
        "mark": Mark(changes.pop("owner", OWNER), uid(number)),
        "created_at": created_at,
        "expires_at": created_at + 30 * DAY if created_at else None,
    }
    return IssuedToken(**(values | changes))


def stored(content: Content | None = None, *, revision: str = "1", **changes: Any) -> Stored:
    """Give the primary as it was read; nothing there by default."""
    values: dict[str, Any] = {"destination": PLACE, "revision": revision, "content": content or Absent()}
    return Stored(**(values | changes))


def a_snapshot(
    primary: Stored | Unreadable | None = None,
    *issued: IssuedToken,
    token: ManagedToken | None = None,
    copies: tuple[Stored | Unreadable, ...] = (),
    listings: Mapping[str, Listing | Unreadable] | None = None,
    trigger: Trigger | None = None,
    memory: Memory | None = None,
    proves_by_use: bool = False,
) -> Snapshot:
    """Give a snapshot of one issuer named ``cluster`` that lists ``issued``."""
    return Snapshot(
        token=token or a_token(),
        primary=primary or stored(),
        copies=copies,
        listings=listings or {"cluster": Listing(tokens=issued, proves_by_use=proves_by_use)},
        trigger=trigger,
        memory=memory or Memory(),
    )


def settled(*, age: timedelta = DAY, **changes: Any) -> Snapshot:
    """Give a snapshot in which rotation 1 is stored, listed and live, and nothing is due."""
    record, issued = a_record(issued_at=NOW - age), an_issued(created_at=NOW - age)
    return a_snapshot(stored(record), issued, **changes)
