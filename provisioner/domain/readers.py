"""Whether consumers can read what is stored, as far as this process has seen it with the eyes of a store's reader."""

from collections.abc import Iterator
from datetime import datetime

from provisioner.domain.model import Destination, Stored
from provisioner.domain.snapshot import Snapshot
from provisioner.domain.steps import confirm_key


def unconfirmed(snapshot: Snapshot) -> Iterator[tuple[Destination, str]]:
    """Give the destinations that hold the current record, have a reader, and were not seen by it at their revision.

    What is damaged is written anew first.
    """
    places = zip(snapshot.token.destinations, (snapshot.primary, *snapshot.copies), strict=True)
    for destination, place in places:
        if not destination.has_reader or snapshot.record is None or not isinstance(place, Stored):
            continue
        if place.record == snapshot.record and not place.defects and snapshot.memory.confirmation_of(place) is None:
            yield destination, place.revision


def unreadable(snapshot: Snapshot) -> str | None:
    """Say which destinations consumers cannot read, or are not known to be able to, and why, or None."""
    whys = [_why(snapshot, destination) for destination, _ in unconfirmed(snapshot)]
    return "; ".join(whys) or None


def readable_since(snapshot: Snapshot) -> Iterator[datetime]:
    """Give since when consumers can read what destinations hold, for those where they could not before."""
    for place in (snapshot.primary, *snapshot.copies):
        confirmation = snapshot.memory.confirmation_of(place) if isinstance(place, Stored) else None
        if confirmation is not None and confirmation.since is not None:
            yield confirmation.since


def is_readable(snapshot: Snapshot, destination: Destination, place: Stored) -> bool | None:
    """Tell whether consumers can read the current token there; None: it has no reader, or has not been tried."""
    if not destination.has_reader or place.record is None or place.record != snapshot.record:
        return None
    if snapshot.memory.confirmation_of(place) is not None:
        return True
    return False if confirm_key(destination) in snapshot.memory.backoffs else None


def _why(snapshot: Snapshot, destination: Destination) -> str:
    failed = snapshot.memory.backoffs.get(confirm_key(destination))
    return failed.error if failed else f"{destination} has not been read as consumers read it yet"
