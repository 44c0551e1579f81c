"""The Store port's promises as tests: ``class TestMine(StoreContract)`` with a fixture named ``bench``.

What is compared stands in plain names before each assertion, so that no failure prints an adapter with what it holds.
"""

from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field, replace
from typing import Final

import pytest

from provisioner.domain.errors import ConflictError
from provisioner.domain.model import Absent, Asking, Destination, Foreign, Format, Reservation, Stored
from provisioner.domain.record import to_document
from provisioner.ports.store import Store
from provisioner.testing.abilities import needed
from provisioner.testing.examples import OWNER, a_record

_AT_ONCE: Final = 4


@dataclass(frozen=True, slots=True, kw_only=True)
class StoreBench:
    """A store, and what a test may do behind its back; what is None cannot be done, and is not tested."""

    store: Store = field(repr=False)
    place: Destination
    """A path at which nothing was ever stored, in a format that the store has."""
    put_by_hand: Callable[[str, Mapping[str, object]], object] | None = field(default=None, repr=False)
    """Write a document at that path as a person would, whatever is there."""
    delete_by_hand: Callable[[str], object] | None = field(default=None, repr=False)
    """Delete what is at that path, as a person would."""


class StoreContract:
    """What the engine relies on; the fixture ``bench`` gives a StoreBench, whose store it closes at the end."""

    def test_nothing_there(self, bench: StoreBench) -> None:
        """A path never written is absent, and its revision can be written against."""
        stored = _read(bench)
        assert stored.content == Absent()
        revision = bench.store.write(bench.place, OWNER, a_record(), stored.revision)
        assert revision != stored.revision

    def test_write_and_read_back(self, bench: StoreBench) -> None:
        """What was written is read, at the revision that the write gave, with the time of the write."""
        revision = bench.store.write(bench.place, OWNER, a_record(), _read(bench).revision)
        stored = _read(bench)
        assert stored.content == a_record()
        assert stored.revision == revision
        assert stored.faithful
        assert stored.written_at is not None
        assert stored.written_at.tzinfo is not None

    def test_every_write_moves_the_revision(self, bench: StoreBench) -> None:
        """Writing the very same again is a new revision: that is what a fence needs."""
        first = bench.store.write(bench.place, OWNER, a_record(), _read(bench).revision)
        second = bench.store.write(bench.place, OWNER, a_record(), first)
        assert second != first
        _holds(bench, 1)

    @pytest.mark.parametrize("late", ["first", "older"])
    def test_stale_revision_conflicts(self, bench: StoreBench, late: str) -> None:
        """A write against a revision that is no longer the newest changes nothing."""
        nothing = _read(bench).revision
        first = bench.store.write(bench.place, OWNER, a_record(1), nothing)
        bench.store.write(bench.place, OWNER, a_record(2), first)
        with pytest.raises(ConflictError):
            bench.store.write(bench.place, OWNER, a_record(3), nothing if late == "first" else first)
        _holds(bench, 2)

    def test_reservation_reads_as_a_reservation(self, bench: StoreBench) -> None:
        """A reservation moves the revision, holds no token, and can be written over."""
        revision = bench.store.write(bench.place, OWNER, Reservation(), _read(bench).revision)
        content = _read(bench).content
        assert content == Reservation()
        bench.store.write(bench.place, OWNER, a_record(), revision)
        _holds(bench, 1)

    def test_deleted_secret_is_absent_at_its_own_revision(self, bench: StoreBench) -> None:
        """After a deletion the next write needs the deleted version's revision, and the first one's is stale."""
        delete = needed(bench.delete_by_hand, "delete_by_hand")
        nothing = _read(bench).revision
        bench.store.write(bench.place, OWNER, a_record(1), nothing)
        written_at = _read(bench).written_at
        delete(bench.place.path)
        stored = _read(bench)
        assert stored.content == Absent()
        assert written_at is not None
        assert stored.written_at is not None
        assert stored.written_at >= written_at
        with pytest.raises(ConflictError):
            bench.store.write(bench.place, OWNER, a_record(2), nothing)
        bench.store.write(bench.place, OWNER, a_record(2), stored.revision)
        _holds(bench, 2)

    def test_foreign_secret_is_told_and_can_be_named(self, bench: StoreBench) -> None:
        """A secret of somebody else reads as foreign, without its values."""
        put = needed(bench.put_by_hand, "put_by_hand")
        put(bench.place.path, {"password": "hunter2", "owner": "provisioner/other/x"})
        stored = _read(bench)
        assert isinstance(stored.content, Foreign)
        assert "provisioner/other/x" in stored.content.why
        assert "hunter2" not in repr(stored)

    def test_edit_by_hand_moves_the_revision(self, bench: StoreBench) -> None:
        """A person's edit is seen, and a write that did not see it conflicts."""
        put = needed(bench.put_by_hand, "put_by_hand")
        revision = bench.store.write(bench.place, OWNER, a_record(1), _read(bench).revision)
        put(bench.place.path, to_document(a_record(2), OWNER, bench.place))
        with pytest.raises(ConflictError):
            bench.store.write(bench.place, OWNER, a_record(3), revision)
        _holds(bench, 2)

    def test_fields_and_extra(self, bench: StoreBench) -> None:
        """Mapped names and static fields are written, and read back as the same record."""
        names = {"token": "INFLUX_TOKEN", "owner": "managed_by"}
        mapped = replace(bench.place, format=Format.JSON, fields=names, extra={"url": "https://x"})
        bench.store.write(mapped, OWNER, a_record(), bench.store.read(mapped, OWNER).revision)
        stored, without_extra = bench.store.read(mapped, OWNER), bench.store.read(replace(mapped, extra={}), OWNER)
        assert stored.content == a_record()
        assert stored.faithful
        assert not without_extra.faithful

    def test_full_record_survives(self, bench: StoreBench) -> None:
        """Every field of a record comes back, the optional ones too."""
        asked = Asking(by="alice", via="http", at=a_record().issued_at, reason="change 1")
        record = a_record(request_id="r", asked=asked, past_requests=("a", "b"), compromised=True)
        bench.store.write(bench.place, OWNER, record, _read(bench).revision)
        content = _read(bench).content
        assert content == record

    def test_preflight_writes_nothing(self, bench: StoreBench) -> None:
        """Preflight accepts a path that can be written, and leaves it as it was, with and without a secret there."""
        before = _read(bench)
        bench.store.preflight(bench.place)
        bench.store.preflight(bench.place)
        after = _read(bench)
        assert after == before
        bench.store.write(bench.place, OWNER, a_record(), before.revision)
        before = _read(bench)
        bench.store.preflight(bench.place)
        after = _read(bench)
        assert after == before

    def test_check_warns_in_words(self, bench: StoreBench) -> None:
        """Check gives a list of warnings, and leaves the path as it was."""
        before = _read(bench)
        warnings = list(bench.store.check([(bench.place, OWNER)]))
        after = _read(bench)
        assert all(isinstance(warning, str) and warning for warning in warnings)
        assert after == before

    def test_without_a_reader_we_confirm_ourselves(self, bench: StoreBench) -> None:
        """What consumers read is what we read."""
        bench.store.write(bench.place, OWNER, a_record(), _read(bench).revision)
        read, confirmed = _read(bench), bench.store.confirm(bench.place, OWNER)
        assert confirmed == read

    def test_one_of_several_writers_wins(self, bench: StoreBench) -> None:
        """Of several writes against one revision at once one lands, and the others conflict."""
        revision = _read(bench).revision

        def write(number: int) -> int | None:
            try:
                bench.store.write(bench.place, OWNER, a_record(number), revision)
            except ConflictError:
                return None
            return number

        with ThreadPoolExecutor(_AT_ONCE) as pool:
            landed = [number for number in pool.map(write, range(1, _AT_ONCE + 1)) if number is not None]
        assert len(landed) == 1
        _holds(bench, landed[0])

    def test_no_token_in_what_is_shown(self, bench: StoreBench) -> None:
        """Neither what was read nor the store itself shows a token, however it is printed."""
        bench.store.write(bench.place, OWNER, a_record(), _read(bench).revision)
        stored = _read(bench)
        shown = f"{stored!r} {stored} {stored.content} {bench.store!r} {bench.store}"
        is_shown = a_record().token.reveal() in shown
        del shown  # or a report with local variables would show it
        assert not is_shown, "the token's string is shown"


def _read(bench: StoreBench) -> Stored:
    return bench.store.read(bench.place, OWNER)


def _holds(bench: StoreBench, number: int) -> None:
    """Make sure that the record of that number is what is stored."""
    content = _read(bench).content
    assert content == a_record(number)
