"""AWS Secrets Manager: one secret per destination, whose versions are promoted by moving a label.

The facts about answers are those of AWS's own documentation, as ``provisioner/simulators/secrets_manager.py`` plays
them; ``docs/aws.md`` has the picture.
"""

import re
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from datetime import datetime, timedelta
from typing import Final

from provisioner.domain.errors import StoreRefusedError, StoreUnavailableError
from provisioner.domain.mark import OWNER_TAG, Owner
from provisioner.domain.model import Absent, Content, Destination, Foreign, Format, Record, Reservation, Stored
from provisioner.domain.raw import slot_keys_of
from provisioner.ports.clock import Clock
from provisioner.stores.aws_access import Access
from provisioner.stores.aws_errors import DeniedError, MissingError, RejectedError
from provisioner.stores.aws_raw import document_in, read_text
from provisioner.stores.aws_sightings import Sightings
from provisioner.stores.aws_states import EMPTY, NOTHING, described, may_restore, revision_of, rotation_of
from provisioner.stores.aws_wire import Description, Version, Wire
from provisioner.stores.aws_writing import NewSecrets, Writing
from provisioner.stores.pace import Pace
from provisioner.stores.slot_sightings import Beside, SlotSightings

KNOWN_FOR: Final = timedelta(minutes=5)
_LIKE_AN_ARN: Final = re.compile(r".*-[A-Za-z0-9]{6}")
_USABLE_KEY: Final = "Enabled"


class AwsSecretsManagerStore:
    """The Store port over Secrets Manager. A revision is the id of the version that AWSCURRENT is on."""

    def __init__(
        self,
        *,
        name: str,
        access: Access,
        clock: Clock,
        fresh_id: Callable[[], str],
        reader: Access | None = None,
        new_secrets: NewSecrets | None = None,
        writes_per_second: float = 5,
        timeout: timedelta = timedelta(seconds=30),
    ) -> None:
        """Take where it is; nothing is asked yet. ``timeout`` is for one request.

        ``reader`` is who consumers are, or somebody with their rights: what ``confirm`` reads by.
        """
        self._name, self._clock, self._new_secrets = name, clock, new_secrets or NewSecrets()
        pace = Pace(writes_per_second, clock, longest=timeout)
        self._wire = Wire(store=name, access=access, timeout=timeout, pace=pace)
        self._reader = None if reader is None else Wire(store=name, access=reader, timeout=timeout, pace=pace)
        self._sightings, self._beside = Sightings(clock), SlotSightings()
        self._writing = Writing(
            self._wire, self._sightings, self._beside, new_secrets=self._new_secrets, fresh_id=fresh_id
        )
        self._refusals: dict[str, tuple[str, float]] = {}
        self._key_is_usable_until = float("-inf")

    @property
    def name(self) -> str:
        """The name the configuration gives it."""
        return self._name

    # --- the port -------------------------------------------------------------------------------------

    def preflight(self, destination: Destination) -> None:
        """Tell what stands in the way, as far as AWS tells without a write: see ``docs/aws.md``.

        Nothing is asked where a read of the last five minutes told; a refused write is remembered as long.
        """
        refusal = self._refusals.get(destination.path)
        if refusal is not None and self._clock.monotonic() < refusal[1]:
            raise StoreRefusedError(f"a write was refused less than five minutes ago: {refusal[0]}")
        sighting = self._sightings.last(destination.path)
        if sighting is not None and self._clock.monotonic() < sighting.seen_at + KNOWN_FOR.total_seconds():
            is_new = sighting.revision == NOTHING
        else:
            is_new = described(self._wire, destination) is None
        if is_new:
            self._require_usable_key()

    def read(self, destination: Destination, owner: Owner) -> Stored:
        """Read what AWSCURRENT is on; ask in a second request since when it is there, unless that was told just now."""
        path = destination.path
        try:
            version = self._wire.value(path)
        except RejectedError as error:
            return self._without_value(destination, owner, error)
        description = self._description_beside(destination, version)
        tags = {} if description is None else description.tags
        content, faithful = read_text(version, tags, owner, destination)
        known = self._sightings.told(path, version.version_id)
        written_at = known.written_at if known is not None else self._current_since(destination, version, description)
        self._sightings.note(
            path,
            revision=version.version_id,
            rotation_id=rotation_of(content),
            written_at=written_at,
            told=known,
        )
        return Stored(
            destination=destination,
            revision=version.version_id,
            content=content,
            written_at=written_at,
            faithful=faithful,
        )

    def confirm(self, destination: Destination, owner: Owner) -> Stored:
        """Read by the reader, in one request and with the right to that alone; without one, by ourselves."""
        if self._reader is None:
            return self.read(destination, owner)
        try:
            version = self._reader.value(destination.path)
        except RejectedError:  # nothing there that could be read; what there is instead is for ``read`` to tell
            return Stored(destination=destination, revision=NOTHING, content=Absent())
        except StoreRefusedError as error:
            grant = f"grant it secretsmanager:GetSecretValue on {destination.path}"
            raise StoreRefusedError(f"the reader of store {self._name} was refused, {grant} ({error})") from error
        beside = self._description_beside(destination, version)  # by ourselves: readers may see the value alone
        content, faithful = read_text(version, {} if beside is None else beside.tags, owner, destination)
        known = self._sightings.at(destination.path, version.version_id)
        return Stored(
            destination=destination,
            revision=version.version_id,
            content=content,
            written_at=version.created_at if known is None else known.written_at,
            faithful=faithful,
        )

    def write(self, destination: Destination, owner: Owner, content: Record | Reservation, expected: str) -> str:
        """Put a version that nobody reads, prove it, and move AWSCURRENT to it from the version gathered."""
        path = destination.path
        try:
            written = self._writing.write(destination, owner, content, expected)
        except StoreRefusedError as error:
            self._refusals[path] = str(error), self._clock.monotonic() + KNOWN_FOR.total_seconds()
            raise
        self._refusals.pop(path, None)
        if written.at is not None:  # else the next read asks
            self._sightings.note(
                path, revision=written.revision, rotation_id=rotation_of(content), written_at=written.at
            )
        return written.revision

    def check(self, destinations: Sequence[tuple[Destination, Owner]]) -> Sequence[str]:
        """Warn of what AWS itself would do to these secrets, and of keys, copies and tags that are not as needed."""
        warnings = list(self._key_warnings())
        for destination, owner in destinations:
            if _LIKE_AN_ARN.fullmatch(destination.path):
                warnings.append(
                    f"{destination} ends like an ARN, with a hyphen and six characters: AWS advises against such names"
                )
            description = described(self._wire, destination)
            if description is not None:
                warnings += self._warnings(destination, owner, description)
        return warnings

    def close(self) -> None:
        """Close the connections."""
        self._wire.close()
        if self._reader is not None:
            self._reader.close()

    # --- reading --------------------------------------------------------------------------------------

    def _description_beside(self, destination: Destination, version: Version) -> Description | None:
        """Look at the tags, where the value is not a JSON object or is to be none: at those of this very version."""
        is_raw = destination.format is Format.RAW
        if version.text is None or (not is_raw and document_in(version.text) is not None):
            return None
        description = self._described(destination)
        if description.current != version.version_id:
            raise StoreUnavailableError(f"{destination} changed while it was read: it is read again")
        kept = slot_keys_of(version.text, description.tags)
        beside = Beside(revision=version.version_id, texts=description.tags, kept=kept)
        self._beside.note(destination.path, beside)
        return description

    def _described(self, destination: Destination) -> Description:
        """Describe what was there a moment ago."""
        description = described(self._wire, destination)
        if description is None:
            raise StoreUnavailableError(f"{destination} changed while it was read: it is read again")
        return description

    def _current_since(
        self, destination: Destination, version: Version, description: Description | None
    ) -> datetime | None:
        """Give since when at the latest AWSCURRENT is where it is: labels move long after a version was created.

        Whatever else was changed of the secret since lengthens it, which is the safe side.
        """
        description = description or self._described(destination)
        return max(filter(None, (version.created_at, description.changed_at)), default=None)

    def _without_value(self, destination: Destination, owner: Owner, error: RejectedError) -> Stored:
        """Tell apart: no secret, one without a value yet, and a deleted one that can be restored."""
        description = described(self._wire, destination)
        content: Content = Absent()
        if description is None:
            if not isinstance(error, MissingError):
                raise StoreUnavailableError(f"{destination} changed while it was read: it is read again")
        elif description.deleted_at is not None:
            if not may_restore(destination, owner, description):
                content = Foreign(why=f"it was deleted, and has no tag {OWNER_TAG} that says it is ours")
        elif not isinstance(error, MissingError):
            raise StoreRefusedError(str(error)) from error
        elif description.current is not None:
            self._require_no_value(destination, description.current)
        revision = revision_of(description)
        written_at = None if description is None or revision == EMPTY else description.changed_at
        self._sightings.note(destination.path, revision=revision, rotation_id=None, written_at=written_at)
        return Stored(destination=destination, revision=revision, content=content, written_at=written_at)

    def _require_no_value(self, destination: Destination, version_id: str) -> None:
        """Make sure that the current version is there and has no value, rather than that one came just now."""
        with suppress(MissingError):
            self._wire.value(destination.path, version_id=version_id)
            raise StoreUnavailableError(f"{destination} was created while it was read: it is read again")

    # --- judging --------------------------------------------------------------------------------------

    def _require_usable_key(self) -> None:
        """Ask for the key that a new secret would be encrypted with; where we may not ask, the write will tell."""
        key = self._new_secrets.kms_key_id
        if key is None or self._clock.monotonic() < self._key_is_usable_until:
            return
        remedy = f"enable it, or name another as kms_key_id of store {self._name}"
        with suppress(DeniedError):
            try:
                state = self._wire.describe_key(key)
            except RejectedError as error:
                raise StoreRefusedError(f"{error}; {remedy}") from error
            if state != _USABLE_KEY:
                raise StoreRefusedError(f"KMS key {key} is not usable ({state}): {remedy}")
        self._key_is_usable_until = self._clock.monotonic() + KNOWN_FOR.total_seconds()

    def _key_warnings(self) -> Iterator[str]:
        try:
            self._require_usable_key()
        except StoreRefusedError as error:
            yield str(error)

    def _warnings(self, destination: Destination, owner: Owner, description: Description) -> Iterator[str]:
        if description.rotates:
            yield f"{destination} is rotated by AWS itself, whose function would fight us: cancel its rotation"
        if description.owning_service is not None:
            yield f"{destination} belongs to {description.owning_service}, which may forbid writing it"
        if description.tags.get(OWNER_TAG) != str(owner):
            yield (
                f"{destination} has no tag {OWNER_TAG}={owner}: once deleted it would not be restored; tag it so"
                " if it is ours"
            )
        if description.deleted_at is not None:
            yield f"{destination} is deleted, and is restored by the next write"
        if self._new_secrets.kms_key_id is not None and description.kms_key_id is None:
            yield f"{destination} is encrypted with AWS's own key, not with kms_key_id: that is for new secrets only"
        for region in self._new_secrets.replicate_to:
            if region not in description.replicas:
                yield f"{destination} is not copied to {region}: replicate_to is for new secrets only"
        for region, status in description.replicas.items():
            if status == "Failed":
                yield f"the copy of {destination} in {region} has failed: consumers there read an old token"
