"""How a secret is written: a version that nobody reads, read back, and made the current one by moving a label.

The move of AWSCURRENT names the version that was gathered: that one request is the compare-and-set. Whatever happens
before it is read by nobody, and a version that was not promoted by then is never promoted by anybody.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import datetime
from typing import Final

from provisioner.domain.errors import ConflictError, ProvisionerError, StoreRefusedError, StoreUnavailableError
from provisioner.domain.mark import OWNER_TAG, Owner
from provisioner.domain.model import Destination, Record, Reservation
from provisioner.stores.aws_errors import ExistsError, RejectedError, StateError
from provisioner.stores.aws_raw import slot_for, to_text
from provisioner.stores.aws_sightings import Sightings
from provisioner.stores.aws_states import DELETED, EMPTY, NOTHING, described, may_restore, revision_of
from provisioner.stores.aws_wire import CURRENT, PENDING, PREVIOUS, Landed, Wire
from provisioner.stores.slot_sightings import SlotSightings

LONGEST_VALUE: Final = 65_536
"""Bytes that AWS takes as one value."""
_VERSION_ID_LENGTHS: Final = range(32, 65)


@dataclass(frozen=True, slots=True, kw_only=True)
class NewSecrets:
    """What secrets that do not exist yet are created with."""

    kms_key_id: str | None = None
    tags: Mapping[str, str] = field(default_factory=dict)
    replicate_to: Sequence[str] = ()

    def settings(self, owner: Owner, slot: Mapping[str, str]) -> dict[str, object]:
        """Give the arguments of CreateSecret besides name and value; ``slot`` stands beside a bare token."""
        tags = dict(self.tags) | dict(slot) | {OWNER_TAG: str(owner)}
        settings: dict[str, object] = {
            "Description": f"written by token-provisioner for {owner}",
            "Tags": [{"Key": key, "Value": value} for key, value in tags.items()],
        }
        if self.kms_key_id is not None:
            settings["KmsKeyId"] = self.kms_key_id
        if self.replicate_to:
            settings["AddReplicaRegions"] = [{"Region": region} for region in self.replicate_to]
        return settings


@dataclass(frozen=True, slots=True, kw_only=True)
class Written:
    """What a write made the current one."""

    revision: str
    at: datetime | None


class Writing:
    """Writes secrets, one attempt each. Safe for several threads."""

    def __init__(
        self,
        wire: Wire,
        sightings: Sightings,
        beside: SlotSightings,
        *,
        new_secrets: NewSecrets,
        fresh_id: Callable[[], str],
    ) -> None:
        """Take what to write through; ``fresh_id`` gives an id that nobody has ever named."""
        self._wire, self._sightings, self._beside = wire, sightings, beside
        self._new_secrets, self._fresh_id = new_secrets, fresh_id

    def write(self, destination: Destination, owner: Owner, content: Record | Reservation, expected: str) -> Written:
        """Write, if the secret still is at ``expected``; raises as the Store port says."""
        text, slot = to_text(content, owner, destination), slot_for(content, destination)
        _require_short(destination, text)
        if expected == NOTHING:
            return self._create(destination, content, text, self._new_secrets.settings(owner, slot))
        base = self._base(destination, owner, expected)
        if slot:
            self._tag(destination, base, slot)
        written = self._replace(destination, content, text, base, expected)
        self._tidy(destination, owner, slot, expected)
        return written

    def _tag(self, destination: Destination, base: str | None, slot: Mapping[str, str]) -> None:
        """Put the slot before its token: until that is promoted it belongs to nothing."""
        try:
            self._wire.tag(destination.path, slot)
        except RejectedError as error:
            raise self._why_rejected(destination, base, error) from error

    def _tidy(self, destination: Destination, owner: Owner, slot: Mapping[str, str], replaced: str) -> None:
        """After the commit say whose it is, and take away what belongs to no token any more, if it can be done."""
        stale = self._beside.stale(destination.path, replaced, slot)
        with suppress(ProvisionerError):
            if slot and not self._beside.is_tagged(destination.path, replaced, owner):
                self._wire.tag(destination.path, {OWNER_TAG: str(owner)})
            if stale:
                self._wire.untag(destination.path, stale)

    def _create(
        self, destination: Destination, content: Record | Reservation, text: str, settings: Mapping[str, object]
    ) -> Written:
        """Create the secret; who comes second finds it there."""
        version_id = next(self._version_ids(destination, content, NOTHING))
        try:
            landed = self._wire.create(destination.path, text, version_id, _secrets(content), **settings)
        except ExistsError:
            raise ConflictError(f"creating {destination} came too late: there is one since it was read") from None
        except RejectedError as error:
            raise self._why_not_created(destination, error) from error
        return Written(revision=version_id, at=landed.at)

    def _why_not_created(self, destination: Destination, error: RejectedError) -> ProvisionerError:
        """A deleted secret keeps its name, for some seconds even when it cannot be restored."""
        if not isinstance(error, StateError):
            return StoreRefusedError(str(error))
        description = described(self._wire, destination)
        if description is not None:
            return ConflictError(f"creating {destination} came too late: there is one since it was read")
        if "deletion" in str(error):
            return StoreUnavailableError(f"{destination} is being deleted for good: it is created when that is done")
        return StoreRefusedError(str(error))

    def _base(self, destination: Destination, owner: Owner, expected: str) -> str | None:
        """Give the version that AWSCURRENT must be on for the write to land, None when it must be on none."""
        if expected == EMPTY:
            return None
        if not expected.startswith(DELETED):
            return expected
        description = described(self._wire, destination)
        if description is None or revision_of(description) != expected:
            raise ConflictError(f"restoring {destination} came too late: it has changed since it was read")
        if not may_restore(destination, owner, description):
            raise StoreRefusedError(f"{destination} was deleted and is not ours: it is not restored")
        try:
            self._wire.restore(destination.path)
        except RejectedError as error:
            raise ConflictError(f"restoring {destination} came too late: it has changed since it was read") from error
        return description.current

    def _replace(
        self, destination: Destination, content: Record | Reservation, text: str, base: str | None, expected: str
    ) -> Written:
        """Put, prove and promote a new version; give its id and since when it is the current one."""
        for version_id in self._version_ids(destination, content, expected, base):
            put = self._put(destination, content, text, version_id, base)
            if put is None:
                continue
            landed = put if base is None and CURRENT in put.stages else self._promote(destination, version_id, base)
            self._unlabel(destination, version_id)
            return Written(revision=version_id, at=landed.at)
        raise StoreUnavailableError(f"writing {destination} failed: the new version's id was taken; it is tried again")

    def _put(
        self, destination: Destination, content: Record | Reservation, text: str, version_id: str, base: str | None
    ) -> Landed | None:
        """Put a version and make sure that it holds what was sent; None when that id has been used before."""
        secrets = _secrets(content)
        try:
            landed = self._wire.put_pending(destination.path, text, version_id, secrets, decides=base is None)
        except ExistsError:
            return None
        except RejectedError as error:
            raise self._why_rejected(destination, base, error) from error
        if base is None and CURRENT in landed.stages:
            return landed
        try:
            version = self._wire.value(destination.path, version_id=version_id, secrets=secrets)
        except RejectedError as error:
            raise StoreUnavailableError(str(error)) from error
        is_commit = isinstance(content, Record) and version_id == content.rotation_id
        if is_commit and CURRENT in version.stages:
            raise ConflictError(f"writing {destination} came too late: it has landed before")
        if is_commit and (PENDING not in version.stages or PREVIOUS in version.stages):
            return None  # it may have been current, and what has been must not be again: revisions never come back
        if version.text != text:
            raise StoreRefusedError(f"{destination} holds something else than was written: it was not promoted")
        return landed

    def _promote(self, destination: Destination, version_id: str, base: str | None) -> Landed:
        """Move AWSCURRENT to the new version; when that is rejected, nobody will ever do it, and we tell why."""
        try:
            return self._wire.promote(destination.path, version_id, base)
        except RejectedError as error:
            failure = self._why_rejected(destination, base, error)
        except StoreRefusedError as error:
            failure = error
        self._unlabel(destination, version_id)
        raise failure

    def _unlabel(self, destination: Destination, version_id: str) -> None:
        """Take AWSPENDING off, if it can be done: else the next write of this secret does."""
        with suppress(ProvisionerError):
            self._wire.unlabel(destination.path, version_id)

    def _why_rejected(self, destination: Destination, base: str | None, error: RejectedError) -> ProvisionerError:
        """Look whether the secret is as it was gathered; AWS's own words for that are nowhere promised."""
        too_late = ConflictError(f"writing {destination} came too late: it has changed since it was read")
        try:
            description = described(self._wire, destination)
        except ProvisionerError:
            return too_late
        if description is None or description.deleted_at is not None or description.current != base:
            return too_late
        return StoreRefusedError(str(error))

    def _version_ids(
        self, destination: Destination, content: Record | Reservation, expected: str, base: str | None = None
    ) -> Iterator[str]:
        """Give the ids to try: a rotation's own for its commit, else one that nobody else will ever name.

        What is written again, as a fence or a repair, has its rotation's id behind it. Two replicas that fence at
        the same moment must not take the other's write for their own: no id of ours is worked out from others.
        """
        if isinstance(content, Record) and len(content.rotation_id) in _VERSION_ID_LENGTHS:
            sighting = self._sightings.at(destination.path, expected)
            is_there = sighting is not None and sighting.rotation_id == content.rotation_id
            if not is_there and content.rotation_id not in {expected, base}:
                yield content.rotation_id
        yield self._fresh_id()


def _require_short(destination: Destination, text: str) -> None:
    size = len(text.encode())
    if size > LONGEST_VALUE:
        raise StoreRefusedError(
            f"{destination} would hold {size:,} bytes, and AWS takes {LONGEST_VALUE:,}: shorten `extra`"
        )


def _secrets(content: Record | Reservation) -> tuple[str, ...]:
    return (content.token.reveal(),) if isinstance(content, Record) else ()
