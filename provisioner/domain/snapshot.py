"""All that a decision about one name may depend on, besides the time."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import datetime

from provisioner.domain.memory import Memory
from provisioner.domain.model import IssuedToken, Listing, ManagedToken, Record, Stored, Trigger, Unreadable


def each_once(tokens: Iterable[IssuedToken]) -> tuple[IssuedToken, ...]:
    """Give each token once, though several issuers list it because they are one cluster, configured more than once.

    Both its mark and its id must be the same. Where one list says that it was revoked, or ends sooner, another one's
    word is taken: a list can be stale, and to revoke it once more does no harm.
    """
    found: dict[tuple[object, str], IssuedToken] = {}
    for token in tokens:
        key = (token.mark, token.token_id)
        if key not in found or _life_of(token) > _life_of(found[key]):
            found[key] = token
    return tuple(found.values())


def _life_of(token: IssuedToken) -> tuple[bool, bool, float]:
    """Give what is the greater, the longer it lives."""
    ends = 0.0 if token.expires_at is None else token.expires_at.timestamp()
    return token.revoked_at is None, token.expires_at is None, ends


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
    for_wish_alone: bool = False
    """Whether only what belongs to the trigger is to be done, since somebody else leads."""
    memory: Memory = field(default_factory=Memory)

    @property
    def record(self) -> Record | None:
        """The primary's record, when it was read and is a whole one."""
        return self.primary.record if isinstance(self.primary, Stored) else None

    @property
    def current(self) -> IssuedToken | None:
        """The stored token as its issuer lists it, when it does."""
        record = self.record
        listing = self.listings.get(record.issuer) if record is not None else None
        return listing.find(record.token_id) if record is not None and isinstance(listing, Listing) else None

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
        """All tokens of this name on every readable list, dead ones included, each once."""
        readable = (listing for listing in self.listings.values() if isinstance(listing, Listing))
        return each_once(token for listing in readable for token in listing.of(self.token.owner))

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
