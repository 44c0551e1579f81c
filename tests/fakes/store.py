"""A store in memory, with versions and compare-and-set."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from functools import partial

from provisioner.domain.errors import (
    ConflictError,
    OutcomeUnknownError,
    StoreRefusedError,
    StoreUnavailableError,
)
from provisioner.domain.mark import Owner
from provisioner.domain.model import Content, Destination, Record, Reservation, Stored
from provisioner.domain.record import read_document, to_document
from provisioner.ports.clock import Clock
from tests.fakes.faults import SLOW_BY, Fault, Faults
from tests.fakes.silence import unmoved, unmoved_by

Document = dict[str, object]


@dataclass(slots=True)
class FakeStore:
    """The Store port over lists of versions, as KV version 2 keeps them; passes ``provisioner.testing.store``."""

    clock: Clock
    name: str = "vault"
    faults: Faults = field(default_factory=Faults)
    writable: bool = True
    down: bool = False
    down_paths: set[str] = field(default_factory=set)
    """Paths that can neither be read nor written."""
    denied_paths: set[str] = field(default_factory=set)
    """Paths that can be read alone."""
    kept_from_reader: set[str] = field(default_factory=set)
    """Paths that we can read, and consumers cannot."""
    seen_by_reader: set[tuple[str, str]] = field(default_factory=set)
    """Paths, and ids of the tokens that consumers have read there."""
    versions: dict[str, list[tuple[Document | None, datetime]]] = field(default_factory=dict, repr=False)
    late: list[Callable[[], object]] = field(default_factory=list)
    changes: int = 0
    """How often anything changed here, by whomever."""
    on_preflight: Callable[[], None] = field(default=unmoved)
    on_person: Callable[[], None] = field(default=unmoved)
    on_path: Callable[[str], None] = field(default=unmoved_by)
    """Told of each read and write with its path, such as ``read influx/telegraf``."""
    _contents: dict[int, tuple[Document | None, Owner, Destination, tuple[Content, bool]]] = field(
        default_factory=dict, repr=False
    )

    def preflight(self, destination: Destination) -> None:
        """See the port."""
        fault = self.faults.next("preflight")
        self._fail(fault)
        if not self.writable:
            raise StoreRefusedError(f"the fake store would not accept a write at {destination}")
        self.on_preflight()
        self._dawdle(fault)

    def read(self, destination: Destination, owner: Owner) -> Stored:
        """See the port."""
        fault = self.faults.next("read")
        self.on_path(f"read {destination.path}")
        self._fail(fault)
        stored = self._stored(destination, owner)
        self._dawdle(fault)
        return stored

    def confirm(self, destination: Destination, owner: Owner) -> Stored:
        """See the port."""
        self._fail(self.faults.next("confirm"))
        if destination.path in self.kept_from_reader:
            raise StoreRefusedError(f"the fake store denied its reader {destination}: grant it read")
        stored = self._stored(destination, owner)
        if stored.record is not None:
            self.seen_by_reader.add((destination.path, stored.record.token_id))
        return stored

    def write(self, destination: Destination, owner: Owner, content: Record | Reservation, expected: str) -> str:
        """See the port."""
        fault = self.faults.next("write")
        self.on_path(f"write {destination.path}")
        document = to_document(content, owner, destination)
        if fault is Fault.LATE:
            self.late.append(partial(self._put, destination.path, document, expected))
            raise OutcomeUnknownError("the fake store did not answer")
        if fault in {Fault.BEFORE, Fault.REFUSED}:
            self._fail(fault)
        self._fail(None)
        self._fail_at(destination)
        if not self.writable or destination.path in self.denied_paths:
            raise StoreRefusedError(f"the fake store denied writing {destination}")
        if not self._put(destination.path, document, expected):
            raise ConflictError(f"writing {destination} came too late")
        if fault not in {None, Fault.SLOW}:
            raise OutcomeUnknownError("the fake store did not answer")
        revision = str(len(self.versions[destination.path]))
        self._dawdle(fault)
        return revision

    def check(self, destinations: Sequence[tuple[Destination, Owner]]) -> Sequence[str]:
        """See the port."""
        del destinations
        self._fail(self.faults.next("check"))
        return ()

    def close(self) -> None:
        """See the port."""

    # --- for tests ------------------------------------------------------------------------------------

    def deliver(self) -> None:
        """Let the writes land that were under way, as far as their revision still is the newest."""
        while self.late:
            self.late.pop(0)()

    def put_by_hand(self, path: str, document: Document | None) -> None:
        """Write a version as a person would; None deletes the newest."""
        self.changes += 1
        self.on_person()
        self.versions.setdefault(path, []).append((document, self.clock.now()))

    def delete_newest(self, path: str) -> None:
        """Soft-delete the newest version: its number stays."""
        self.changes += 1
        self.on_person()
        self.versions[path][-1] = (None, self.clock.now())

    def document(self, path: str) -> Document | None:
        """Give what consumers read."""
        versions = self.versions.get(path)
        return versions[-1][0] if versions else None

    def state(self) -> object:
        """Give all that the next request depends on."""
        return self.versions

    def _stored(self, destination: Destination, owner: Owner) -> Stored:
        self._fail_at(destination)
        versions = self.versions.get(destination.path, [])
        document, written_at = versions[-1] if versions else (None, None)
        content, faithful = self._content_of(document, owner, destination)
        return Stored(
            destination=destination,
            revision=str(len(versions)),
            content=content,
            written_at=written_at,
            faithful=faithful,
        )

    def _content_of(self, document: Document | None, owner: Owner, destination: Destination) -> tuple[Content, bool]:
        """Read a document, each only once: nothing changes one that was written."""
        kept = self._contents.get(id(document))
        if kept is None or kept[0] is not document or kept[1] != owner or kept[2] is not destination:
            kept = self._contents[id(document)] = (
                document,
                owner,
                destination,
                read_document(document, owner, destination),
            )
        return kept[3]

    def _put(self, path: str, document: Document, expected: str) -> bool:
        versions = self.versions.setdefault(path, [])
        if str(len(versions)) != expected:
            return False
        self.changes += 1
        versions.append((document, self.clock.now()))
        return True

    def _dawdle(self, fault: Fault | None) -> None:
        """Keep the answer back while time goes by, and let others act meanwhile."""
        if fault is Fault.SLOW:
            self.faults.before_call("answer")
            self.clock.sleep(SLOW_BY)

    def _fail_at(self, destination: Destination) -> None:
        if destination.path in self.down_paths:
            raise StoreUnavailableError(f"the fake store cannot reach {destination}")

    def _fail(self, fault: Fault | None) -> None:
        if fault is Fault.REFUSED:
            raise StoreRefusedError("the fake store says no")
        if fault not in {None, Fault.SLOW} or self.down:
            raise StoreUnavailableError("the fake store cannot be reached")
