"""The workloads that are restarted when a token was rotated."""

from typing import Protocol

from provisioner.domain.consumers import Rollout, Workload
from provisioner.domain.mark import Owner
from provisioner.domain.model import Record


class Workloads(Protocol):
    """Reads and restarts workloads. Used by several threads at once.

    Every call ends within the request time-out that the adapter was given. It raises WorkloadsUnavailableError when
    nobody answered by then or the server is in trouble, and WorkloadsRefusedError when the server said no; no error
    holds a credential. Nothing is retried.
    """

    def read(self, workload: Workload, owner: Owner) -> Rollout | None:
        """Give how far its roll-out is, and for which rotation of ``owner`` it was restarted; None: it is not there."""

    def restart(self, workload: Workload, record: Record) -> None:
        """Let it replace its pods, and note on its template that this was done for the record's rotation.

        The same restart again changes nothing, whoever makes it, so two at once, or one whose answer was lost, are one.
        Raises WorkloadGoneError when it is not there; after WorkloadsUnavailableError it may have been restarted.
        """

    def check(self, workload: Workload, owner: Owner) -> None:
        """See whether we may read and restart it, changing nothing; raises as these do."""

    def close(self) -> None:
        """Let go of connections."""
