"""Values that the suites ask for and write: each fresh, so that a backend may keep what earlier tests left there."""

from datetime import UTC, datetime, timedelta
from typing import Any, Final
from uuid import uuid4

from provisioner.domain.mark import Mark, Owner
from provisioner.domain.model import CreateRequest, Permission, Record
from provisioner.domain.secret import SecretText
from provisioner.domain.timing import whole_seconds
from provisioner.ports.clock import Clock

OWNER: Final = Owner("contract", "telegraf")
TTL: Final = timedelta(days=1)
_ISSUED_AT: Final = datetime(2026, 6, 1, 12, 0, tzinfo=UTC)


def a_request(clock: Clock, permissions: frozenset[Permission] = frozenset()) -> CreateRequest:
    """Give what the engine would ask of an issuer: a token that lives for a day, with a mark that nobody has used."""
    mark = Mark(OWNER, str(uuid4()))
    expires_at = whole_seconds(clock.now() + TTL)
    return CreateRequest(
        mark=mark,
        description=mark.described("Telegraf"),
        ttl=TTL,
        expires_at=expires_at,
        permissions=permissions,
    )


def a_record(number: int = 1, **changes: Any) -> Record:  # noqa: ANN401  # any field of a record
    """Give a record to store; the same number is the same record."""
    values: dict[str, Any] = {
        "token": SecretText(f"M.V1.secret-{number}"),
        "token_id": f"id-{number}",
        "issued_at": _ISSUED_AT,
        "expires_at": _ISSUED_AT + 30 * TTL,
        "rotation_id": f"00000000-0000-4000-8000-{number:012d}",
        "owner": OWNER,
        "issuer": "cluster",
        "stored_at": _ISSUED_AT,
    }
    return Record(**(values | changes))
