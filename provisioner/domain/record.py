"""The record as a JSON document: the one spelling that every store writes and reads."""

from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Final

from provisioner.domain.mark import Owner
from provisioner.domain.model import Absent, Content, Damaged, Destination, Foreign, Record, Reservation
from provisioner.domain.secret import SecretText
from provisioner.domain.timing import rfc3339

RECORD_FIELDS: Final = (
    "token",
    "token_id",
    "issued_at",
    "expires_at",
    "rotation_id",
    "owner",
    "issuer",
    "stored_at",
    "request_id",
    "past_requests",
    "compromised",
)
"""Our names for the fields of a record; a destination's ``fields`` may map them to consumers' names."""


def to_document(content: Record | Reservation, owner: Owner, destination: Destination) -> dict[str, object]:
    """Spell a record, token revealed, as the destination's consumers read it; for a wire only."""
    if isinstance(content, Reservation):
        return {destination.fields.get("owner", "owner"): str(owner)}
    plain: dict[str, object] = {
        "token": content.token.reveal(),
        "token_id": content.token_id,
        "issued_at": rfc3339(content.issued_at),
        "expires_at": rfc3339(content.expires_at),
        "rotation_id": content.rotation_id,
        "owner": str(content.owner),
        "issuer": content.issuer,
        "stored_at": rfc3339(content.stored_at),
    }
    if content.request_id is not None:
        plain["request_id"] = content.request_id
    if content.past_requests:
        plain["past_requests"] = list(content.past_requests)
    if content.compromised:
        plain["compromised"] = True
    return dict(destination.extra) | {destination.fields.get(name, name): value for name, value in plain.items()}


def read_document(
    document: Mapping[str, object] | None, owner: Owner, destination: Destination
) -> tuple[Content, bool]:
    """Read what a store holds: its content, and whether it is spelled just as we would write it.

    A field is looked for under its mapped name, then under its own, so that a mapping added later
    does not make a live token unreadable. No value ever appears in what is said of a bad one.
    """
    if document is None:
        return Absent(), True
    found = _Fields(document, destination)
    written_owner = found.text("owner")
    if written_owner != str(owner):
        why = (
            f"its owner is {written_owner!r}"
            if (written_owner or "").startswith("provisioner/")
            else "it has no owner field of ours"
        )
        return Foreign(why=why), True
    if found.text("token") is None:
        return Reservation(), True
    content = _record(found, owner)
    faithful = isinstance(content, Record) and to_document(content, owner, destination) == dict(document)
    return content, faithful


def _record(found: "_Fields", owner: Owner) -> Record | Damaged:
    token, token_id, rotation_id, issuer = (found.text(name) for name in ("token", "token_id", "rotation_id", "issuer"))
    issued_at, expires_at = found.moment("issued_at"), found.moment("expires_at")
    if token and token_id and rotation_id and issuer and issued_at and expires_at:
        return Record(
            token=SecretText(token),
            token_id=token_id,
            issued_at=issued_at,
            expires_at=expires_at,
            rotation_id=rotation_id,
            owner=owner,
            issuer=issuer,
            stored_at=found.moment("stored_at") or issued_at,
            request_id=found.text("request_id"),
            past_requests=found.texts("past_requests"),
            compromised=found.value("compromised") is True,
        )
    needed = {
        "token_id": token_id,
        "rotation_id": rotation_id,
        "issuer": issuer,
        "issued_at": issued_at,
        "expires_at": expires_at,
    }
    return Damaged(defects=tuple(name for name, value in needed.items() if not value))


class _Fields:
    """Looks fields up by our names in a document that may spell them otherwise."""

    def __init__(self, document: Mapping[str, object], destination: Destination) -> None:
        self._document = document
        self._names = destination.fields

    def value(self, name: str) -> object:
        mapped = self._names.get(name, name)
        return self._document[mapped] if mapped in self._document else self._document.get(name)

    def text(self, name: str) -> str | None:
        value = self.value(name)
        return value if isinstance(value, str) and value else None

    def texts(self, name: str) -> tuple[str, ...]:
        value = self.value(name)
        return tuple(item for item in value if isinstance(item, str)) if isinstance(value, list) else ()

    def moment(self, name: str) -> datetime | None:
        try:
            moment = datetime.fromisoformat(self.text(name) or "")
        except ValueError:
            return None
        return moment.replace(tzinfo=UTC) if moment.tzinfo is None else moment.astimezone(UTC)
