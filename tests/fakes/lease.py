"""A lease in memory, with a wish for every way in which a call can go wrong."""

from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import timedelta

from provisioner.domain.election import Claim, LeaseRecord
from provisioner.domain.errors import LeaseConflictError, LeaseGoneError, LeaseRefusedError, LeaseUnavailableError
from tests.fakes.faults import Fault, Faults

Write = Callable[[], LeaseRecord]


@dataclass(slots=True)
class LeaseBook:
    """What all processes share: the lease as the server holds it, and every version there was."""

    record: LeaseRecord | None = None
    versions: int = 0
    past: list[LeaseRecord] = field(default_factory=list)
    late: list[Write] = field(default_factory=list)
    """Writes that have not landed yet."""

    def deliver(self) -> list[bool]:
        """Let late writes land; say which of them took effect."""
        landed = []
        while self.late:
            try:
                self.late.pop(0)()
            except (LeaseConflictError, LeaseGoneError):
                landed.append(False)
            else:
                landed.append(True)
        return landed

    def put(self, claim: Claim) -> LeaseRecord:
        """Write it, whatever it said before."""
        self.versions += 1
        self.record = LeaseRecord(
            version=str(self.versions), holder=claim.holder, duration=claim.duration, transitions=claim.transitions
        )
        self.past.append(self.record)
        return self.record


class FakeLease:
    """The Lease port over a book."""

    name = "tests/lease"

    def __init__(self, book: LeaseBook | None = None) -> None:
        self.book = book or LeaseBook()
        self.faults = Faults()
        self.retry_after = timedelta(0)
        """How long the server asks to be left alone, whenever it gives no answer."""

    def read(self) -> LeaseRecord | None:
        """Give what the lease says now."""
        fault = self.faults.next("read")
        if fault is Fault.REFUSED:
            raise LeaseRefusedError("could not read the lease tests/lease: 403")
        if fault is not None:
            raise LeaseUnavailableError("could not read the lease tests/lease: no answer", retry_after=self.retry_after)
        return self.book.record

    def create(self, claim: Claim) -> LeaseRecord:
        """Create the lease."""

        def write() -> LeaseRecord:
            if self.book.record is not None:
                raise LeaseConflictError("could not create the lease tests/lease: there is one")
            return self.book.put(claim)

        return self._written("create", write)

    def update(self, claim: Claim, version: str) -> LeaseRecord:
        """Write the lease if it is still in that version."""

        def write() -> LeaseRecord:
            if self.book.record is None:
                raise LeaseGoneError("could not update the lease tests/lease: 404")
            if self.book.record.version != version:
                raise LeaseConflictError("could not update the lease tests/lease: 409")
            return self.book.put(claim)

        return self._written("update", write)

    def check(self) -> None:
        """See whether everything is allowed."""
        self.read()

    def close(self) -> None:
        """Hold nothing."""

    def _written(self, operation: str, write: Write) -> LeaseRecord:
        fault = self.faults.next(operation)
        if fault is Fault.REFUSED:
            raise LeaseRefusedError(f"could not {operation} the lease tests/lease: 403")
        if fault is Fault.LATE:
            self.book.late.append(write)
        elif fault is not Fault.BEFORE:
            record = write()
            if fault is None:
                return record
        raise LeaseUnavailableError(
            f"could not {operation} the lease tests/lease: no answer", retry_after=self.retry_after
        )
