"""The lease that decides which process leads."""

from typing import Protocol

from provisioner.domain.election import Claim, LeaseRecord


class Lease(Protocol):
    """One lease, read and written by every process that may lead. Used by one thread at a time.

    Every call ends within the request time-out that the adapter was given, which is well below the renew deadline. It
    raises LeaseUnavailableError when nobody answered by then or the server is in trouble, and LeaseRefusedError when
    the server said no (not authenticated, not permitted, not valid); no error holds a credential. Nothing is retried.
    """

    @property
    def name(self) -> str:
        """Give where the lease is, for people: ``NAMESPACE/NAME``."""

    def read(self) -> LeaseRecord | None:
        """Give what the lease says now; None when there is none."""

    def create(self, claim: Claim) -> LeaseRecord:
        """Create the lease. Raises LeaseConflictError when there is one; at most one of several creators succeeds.

        After LeaseUnavailableError it may have been created, or may yet be.
        """

    def update(self, claim: Claim, version: str) -> LeaseRecord:
        """Write the lease if it is still in that version, as one step; what else hangs on it stays as it is.

        Raises LeaseConflictError when it is in another version, and LeaseGoneError (or LeaseConflictError, where the
        server does not tell these apart) when it is there no more. After LeaseUnavailableError it may have been
        written, or may yet be, but never over another version.
        """

    def check(self) -> None:
        """See whether we may read, create and update it, changing nothing; raises as these do."""

    def close(self) -> None:
        """Let go of connections."""
