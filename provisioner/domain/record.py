"""The record as a JSON document: the one spelling that every store writes and reads."""

from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Final

from provisioner.domain.asking import asking
from provisioner.domain.mark import Owner
from provisioner.domain.model import Absent, Asking, Content, Damaged, Destination, Foreign, Record, Reservation
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
    "requested_by",
    "requested_via",
    "requested_at",
    "request_reason",
    "past_requests",
    "compromised",
    "predecessors",
    "permissions_digest",
)
"""Our names for the fields of a record; a destination's ``fields`` may map them to consumers' names."""
_NEEDED: Final = frozenset({"token", "token_id", "issued_at", "expires_at", "rotation_id", "owner", "issuer"})
_OPTIONAL: Final = frozenset(RECORD_FIELDS) - _NEEDED
"""Fields without which a record is whole all the same."""

FIRST_YEAR: Final = 2000
LAST_YEAR: Final = 2999
"""A time outside of these years is none of ours; at the ends of the calendar nothing could be reckoned with it."""


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
        plain |= spelled_asking(content.asked or Asking())
    if content.past_requests:
        plain["past_requests"] = list(content.past_requests)
    if content.compromised:
        plain["compromised"] = True
    if content.predecessors:
        plain["predecessors"] = list(content.predecessors)
    if content.permissions_digest is not None:
        plain["permissions_digest"] = content.permissions_digest
    return dict(destination.extra) | {destination.fields.get(name, name): value for name, value in plain.items()}


def spelled_asking(asked: Asking) -> dict[str, str]:
    """Spell who asked, as far as it is known."""
    at = None if asked.at is None else rfc3339(asked.at)
    texts = {"requested_by": asked.by, "requested_via": asked.via, "requested_at": at, "request_reason": asked.reason}
    return {name: text for name, text in texts.items() if text is not None}


def read_document(
    document: Mapping[str, object] | None, owner: Owner, destination: Destination
) -> tuple[Content, bool]:
    """Read what a store holds: its content, and whether it is spelled just as we would write it.

    The record may have been written under another mapping: it is read by its mapped names, by our own names, and by
    a mixture of both, and the first way that gives a whole record counts. No value appears in what is said of it.
    """
    if document is None:
        return Absent(), True
    content: Content = Absent()
    for names in _spellings(destination):
        content = _read(_Fields(document, names), owner)
        if isinstance(content, Record):
            return content, to_document(content, owner, destination) == dict(document)
    return content, not isinstance(content, Damaged)


def _spellings(destination: Destination) -> tuple[Mapping[str, tuple[str, ...]], ...]:
    """Give, for each way to read, the names under which each of our fields is looked for, in order."""
    both = {name: (destination.fields.get(name, name), name) for name in RECORD_FIELDS}
    either = {name: names for name, names in both.items() if name in _OPTIONAL}
    mapped, ours = ({name: names[way : way + 1] for name, names in both.items()} for way in (0, 1))
    return mapped | either, ours | either, both


def _read(found: "_Fields", owner: Owner) -> Content:
    written_owner = found.text("owner")
    if written_owner != str(owner):
        is_mark = (written_owner or "").startswith("provisioner/")
        return Foreign(why=f"its owner is {written_owner!r}" if is_mark else "it has no owner field of ours")
    token = found.text("token")
    return Reservation() if token is None else _record(found, owner, SecretText(token))


def _record(found: "_Fields", owner: Owner, token: SecretText) -> Record | Damaged:
    token_id, rotation_id, issuer = (found.text(name) for name in ("token_id", "rotation_id", "issuer"))
    issued_at, expires_at = found.moment("issued_at"), found.moment("expires_at")
    request_id, past_requests = found.text("request_id"), found.texts("past_requests")
    asked = None if request_id is None else _asking(found)
    compromised, predecessors = found.value("compromised") is True, found.texts("predecessors")
    if token_id and rotation_id and issuer and issued_at and expires_at:
        return Record(
            token=token,
            token_id=token_id,
            issued_at=issued_at,
            expires_at=expires_at,
            rotation_id=rotation_id,
            owner=owner,
            issuer=issuer,
            stored_at=found.moment("stored_at") or issued_at,
            request_id=request_id,
            asked=asked,
            past_requests=past_requests,
            compromised=compromised,
            predecessors=predecessors,
            permissions_digest=found.text("permissions_digest"),
        )
    needed = {
        "token_id": token_id,
        "rotation_id": rotation_id,
        "issuer": issuer,
        "issued_at": issued_at,
        "expires_at": expires_at,
    }
    return Damaged(
        defects=tuple(name for name, value in needed.items() if not value),
        token=token,
        token_id=token_id,
        rotation_id=rotation_id,
        stored_at=found.moment("stored_at"),
        request_id=request_id,
        asked=asked,
        past_requests=past_requests,
        compromised=compromised,
        predecessors=predecessors,
        permissions_digest=found.text("permissions_digest"),
    )


def _asking(found: "_Fields") -> Asking | None:
    return asking(
        by=found.text("requested_by"),
        via=found.text("requested_via"),
        at=found.moment("requested_at"),
        reason=found.text("request_reason"),
    )


class _Fields:
    """Looks fields up by our names in a document that may spell them otherwise."""

    def __init__(self, document: Mapping[str, object], names: Mapping[str, tuple[str, ...]]) -> None:
        self._document, self._names = document, names

    def value(self, name: str) -> object:
        return next((self._document[key] for key in self._names[name] if key in self._document), None)

    def text(self, name: str) -> str | None:
        value = self.value(name)
        return value if isinstance(value, str) and value else None

    def texts(self, name: str) -> tuple[str, ...]:
        value = self.value(name)
        return tuple(item for item in value if isinstance(item, str)) if isinstance(value, list) else ()

    def moment(self, name: str) -> datetime | None:
        try:
            moment = datetime.fromisoformat(self.text(name) or "")
            moment = moment.replace(tzinfo=UTC) if moment.tzinfo is None else moment.astimezone(UTC)
        except (ValueError, OverflowError):  # no time, or one that has no place in UTC
            return None
        return moment if FIRST_YEAR <= moment.year <= LAST_YEAR else None
