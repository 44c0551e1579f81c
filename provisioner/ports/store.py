"""What the engine needs of a secret store."""

from collections.abc import Sequence
from typing import Protocol

from provisioner.domain.mark import Owner
from provisioner.domain.model import Destination, Record, Reservation, Stored


class Store(Protocol):
    """Keeps one record per destination, with compare-and-set on every write. Safe to call from several threads.

    Every error is from ``domain.errors`` and holds neither a secret nor a remote body that could hold one.
    """

    @property
    def name(self) -> str:
        """The name the configuration gives it."""

    def preflight(self, destination: Destination) -> None:
        """Make sure that a write would be accepted, without writing. Costs no request when known already.

        Raises StoreUnavailableError (down, sealed) or StoreRefusedError (permission, mount); then nothing may
        be minted.
        """

    def read(self, destination: Destination, owner: Owner) -> Stored:
        """Read what consumers read, and the revision to name in the next write; a missing secret is Absent.

        One request. Raises StoreUnavailableError or StoreRefusedError.
        """

    def confirm(self, destination: Destination, owner: Owner) -> Stored:
        """Read as ``read`` does, but as consumers do: by the store's reader, where it has one, else by ourselves.

        The revision and the content are those that the reader sees; ``written_at`` may be left out. Nothing but this
        is ever done by the reader. Raises as ``read`` does; a refusal names the reader and what to grant it.
        """

    def write(self, destination: Destination, owner: Owner, content: Record | Reservation, expected: str) -> str:
        """Write in one go, if the revision still is ``expected``; give the new revision. One attempt.

        Raises ConflictError (somebody wrote in between; surely not written), StoreUnavailableError (surely not
        written), StoreRefusedError (surely not written), or OutcomeUnknownError (it may have landed, or may land yet).
        Repeating the same write is safe: at most one of them lands.
        """

    def check(self, destinations: Sequence[tuple[Destination, Owner]]) -> Sequence[str]:
        """Look for settings that would hurt these destinations; give a warning each, for ``provisioner check``.

        Raises as ``preflight`` does.
        """

    def close(self) -> None:
        """Let go of connections and leases; further calls are not allowed."""
