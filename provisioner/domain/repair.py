"""What somebody has damaged in a record is read off the issuers' lists again, while it says which token it holds."""

from collections.abc import Iterable
from dataclasses import replace
from datetime import datetime, timedelta
from typing import Final

from provisioner.domain.model import Content, Damaged, IssuedToken, Record, Stored
from provisioner.domain.snapshot import Snapshot

LIFE_TOLERANCE: Final = timedelta(minutes=1)
"""Times that differ by less are the same: issuers round, and their clocks are not ours."""


def repaired(snapshot: Snapshot) -> Snapshot:
    """Give the snapshot with the primary's record made whole, where exactly one token on the lists fits it.

    It is not faithful to what is stored, so fact 8 writes it back: nothing need be minted for it, and consumers keep
    the token that they have.
    """
    primary = snapshot.primary
    if not isinstance(primary, Stored):
        return snapshot
    whole = _made_whole(primary.content, snapshot)
    if whole is None:
        return snapshot
    defects = _defects(primary.content, whole)
    return replace(snapshot, primary=replace(primary, content=whole, faithful=False, defects=defects))


def _made_whole(content: Content, snapshot: Snapshot) -> Record | None:
    """Give the record that was meant, or None when nothing is to be mended, or nothing tells how."""
    match content:
        case Record() if snapshot.current is None:
            token = _only(token for token in snapshot.marked() if _rotation(token) == content.rotation_id)
            same = token is not None and token.issuer == content.issuer
            return replace(content, token_id=token.token_id) if token is not None and same else None
        case Record():
            return _as_listed(content, snapshot)
        case Damaged():
            token = _only(token for token in snapshot.marked() if _is_meant(content, token))
            return _read_off(content, token) if token is not None else None
        case _:
            return None


def _as_listed(record: Record, snapshot: Snapshot) -> Record | None:
    """Give the record with the rotation and the times of the list, where somebody has written others."""
    current = snapshot.current
    if current is None:
        return None
    known = {_rotation(token) for token in snapshot.marked()}
    rotation_id = _rotation(current)
    if rotation_id is None or record.rotation_id in known or current.mark is None or current.mark.owner != record.owner:
        rotation_id = record.rotation_id  # it is right, or means another token: then nothing tells which is meant
    issued_at, expires_at = current.created_at or record.issued_at, current.expires_at or record.expires_at
    life_is_right = _same(issued_at, record.issued_at) and _same(expires_at, record.expires_at)
    if life_is_right and rotation_id == record.rotation_id:
        return None
    if life_is_right:
        return replace(record, rotation_id=rotation_id)
    return replace(record, rotation_id=rotation_id, issued_at=issued_at, expires_at=expires_at)


def _same(one: datetime, other: datetime) -> bool:
    return abs(one - other) <= LIFE_TOLERANCE


def _defects(content: Content, whole: Record) -> tuple[str, ...]:
    """Name the fields that were put right."""
    if isinstance(content, Damaged):
        return content.defects
    names = ("token_id", "rotation_id", "issued_at", "expires_at")
    return tuple(name for name in names if getattr(content, name) != getattr(whole, name))


def _is_meant(damaged: Damaged, token: IssuedToken) -> bool:
    """Tell whether the record says that it holds that token: its rotation, which nobody else's has, before its id."""
    if damaged.rotation_id is not None:
        return _rotation(token) == damaged.rotation_id
    return token.token_id == damaged.token_id


def _rotation(token: IssuedToken) -> str | None:
    return token.mark.rotation_id if token.mark is not None else None


def _only(tokens: Iterable[IssuedToken]) -> IssuedToken | None:
    found = list(tokens)
    return found[0] if len(found) == 1 else None


def _read_off(damaged: Damaged, token: IssuedToken) -> Record | None:
    if token.mark is None or token.created_at is None or token.expires_at is None:
        return None
    return Record(
        token=damaged.token,
        token_id=token.token_id,
        issued_at=token.created_at,
        expires_at=token.expires_at,
        rotation_id=token.mark.rotation_id,
        owner=token.mark.owner,
        issuer=token.issuer,
        stored_at=damaged.stored_at or token.created_at,
        request_id=damaged.request_id,
        asked=damaged.asked,
        past_requests=damaged.past_requests,
        compromised=damaged.compromised,
        predecessors=damaged.predecessors,
        permissions_digest=damaged.permissions_digest,
    )
