"""A token as the simulated cluster knows it: its kind, its string when it is new, and what is kept of that.

Nothing is imported that starts slowly, since the influxctl look-alike begins anew with every call.
"""

from __future__ import annotations

import binascii
import os
from datetime import UTC, datetime

TYPE_CHECKING = False
if TYPE_CHECKING:
    from dataclasses import dataclass, replace
    from enum import StrEnum
    from typing import Any, Final
else:
    from provisioner.simulators.quick import StrEnum, dataclass, replace

PREFIX_LENGTH: Final = 9
_SHORT_HASH: Final = 9


class Kind(StrEnum):
    """Which API makes a token, and believes in it."""

    MANAGEMENT = "management"
    """Made by influxctl; opens the management HTTP API."""
    DATABASE = "database"
    """Made by the management HTTP API; opens databases, as its permissions say."""
    ADMIN = "admin"
    """Made by InfluxDB 3, of which it opens everything."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Permission:
    """What a database token may do."""

    action: str
    """``read`` or ``write``."""
    resource: str
    """A database, or ``*`` for all."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ClusterToken:
    """A token as the cluster knows it."""

    token_id: str
    """A UUID; of an admin token a whole number, written out."""
    digest: str
    """SHA-256 of the string."""
    short_hash: str = ""
    """The first hex digits of its SHA-512: as much as InfluxDB 3 lists."""
    prefix: str
    """The beginning of a management token's string, which its list shows; empty for the others."""
    description: str
    """Of an admin token: its name."""
    created_at: datetime
    expires_at: datetime | None
    revoked_at: datetime | None = None
    """When it was revoked or deleted. InfluxDB 3 forgets what was deleted; this state does not, for those who judge."""
    kind: Kind = Kind.MANAGEMENT
    permissions: tuple[Permission, ...] = ()

    def is_live(self, now: datetime) -> bool:
        """Tell whether it is neither revoked nor expired."""
        return self.revoked_at is None and (self.expires_at is None or self.expires_at > now)

    def may(self, action: str, database: str) -> bool:
        """Tell whether it permits that; an admin token permits everything in InfluxDB 3."""
        allowed = any(
            permission.action == action and permission.resource in {"*", database} for permission in self.permissions
        )
        return allowed or self.kind is Kind.ADMIN


def new_token(
    kind: Kind,
    description: str,
    *,
    created_at: datetime,
    expires_at: datetime | None = None,
    permissions: tuple[Permission, ...] = (),
) -> tuple[ClusterToken, str]:
    """Make a token and its string."""
    string = _new_string(kind)
    token = ClusterToken(
        token_id=new_uuid(),
        digest=digest_of(string),
        short_hash=sha512_of(string)[:_SHORT_HASH],
        prefix=string[:PREFIX_LENGTH] if kind is Kind.MANAGEMENT else "",
        description=description,
        created_at=created_at,
        expires_at=expires_at,
        kind=kind,
        permissions=permissions,
    )
    return token, string


def new_uuid() -> str:
    """Give a UUID of chance (version 4)."""
    octets = bytearray(os.urandom(16))
    octets[6], octets[8] = octets[6] & 0x0F | 0x40, octets[8] & 0x3F | 0x80
    text = octets.hex()
    return "-".join((text[:8], text[8:12], text[12:16], text[16:20], text[20:]))


def numbered(token: ClusterToken, number: int) -> ClusterToken:
    """Give a token as InfluxDB 3 keeps it: with a number, and times of whole milliseconds."""
    return replace(
        token,
        token_id=str(number),
        created_at=_milliseconds(token.created_at),
        expires_at=_milliseconds(token.expires_at) if token.expires_at else None,
    )


def read_token(entry: dict[str, Any]) -> ClusterToken:
    """Give a token that was kept as JSON."""
    times = {
        key: datetime.fromisoformat(entry[key]).astimezone(UTC) if entry[key] else None
        for key in ("created_at", "expires_at", "revoked_at")
    }
    permissions = tuple(Permission(**permission) for permission in entry["permissions"])
    return ClusterToken(**{**entry, **times, "kind": Kind(entry["kind"]), "permissions": permissions})


def digest_of(string: str) -> str:
    """Give what a string is recognised by."""
    import hashlib

    return hashlib.sha256(string.encode()).hexdigest()


def sha512_of(string: str) -> str:
    """Give what InfluxDB 3 calls the token's hash."""
    import hashlib

    return hashlib.sha512(string.encode()).hexdigest()


def _new_string(kind: Kind) -> str:
    """Make a string of the form that each API gives its tokens."""
    match kind:
        case Kind.MANAGEMENT:
            return "M.V1." + _random_text(48)
        case Kind.DATABASE:
            return "apiv1_" + _random_text(64)
        case Kind.ADMIN:
            return "apiv3_" + _random_text(64).rstrip("=").replace("+", "-").replace("/", "_")


def _random_text(length: int) -> str:
    """Give so many random bytes in Base64."""
    return binascii.b2a_base64(os.urandom(length), newline=False).decode()


def _milliseconds(moment: datetime) -> datetime:
    return moment.replace(microsecond=moment.microsecond // 1000 * 1000)
