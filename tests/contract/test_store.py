"""The Store port's promises, kept by the fake and by the real thing alike."""

from collections.abc import Callable, Iterator
from contextlib import closing
from dataclasses import replace
from uuid import uuid4

import hvac
import pytest

from provisioner.domain.errors import ConflictError
from provisioner.domain.model import Absent, Destination, Foreign, Format, Record, Reservation
from provisioner.domain.record import to_document
from provisioner.ports.store import Store
from provisioner.runtime.clock import SystemClock
from provisioner.simulators.openbao import OpenBao
from provisioner.stores.vault import VaultStore
from provisioner.stores.vault_auth import TokenLogin
from tests.aws import Person, a_store
from tests.builders import OWNER, a_record
from tests.fakes.clock import FakeClock
from tests.fakes.staged_store import StagedStore
from tests.fakes.store import FakeStore

PutByHand = Callable[[str, dict[str, object] | None], None]


@pytest.fixture(
    params=[
        "fake",
        "staged",
        "vault",
        "aws by moto",
        "aws, strict",
        "vault, raw",
        "aws by moto, raw",
        "aws, strict, raw",
    ]
)
def store_and_hand(request: pytest.FixtureRequest) -> Iterator[tuple[Store, PutByHand]]:
    """Give each store, and a person's way to write (None: to delete) in it."""
    match request.param:
        case "fake":
            fake = FakeStore(FakeClock())
            yield (
                fake,
                lambda path, document: fake.put_by_hand(path, document) if document else fake.delete_newest(path),
            )
        case "staged":
            staged = StagedStore(FakeClock())
            yield staged.process(0), staged.put_by_hand
        case "vault" | "vault, raw":
            yield from vault_and_hand(request)
        case _:
            yield from aws_and_hand(request)


def aws_and_hand(request: pytest.FixtureRequest) -> Iterator[tuple[Store, PutByHand]]:
    """Give AWS Secrets Manager, by moto or by the project's own simulator, and a person there."""
    request.getfixturevalue("aws_identity")
    address = request.getfixturevalue("moto" if "moto" in request.param else "aws").address
    person = Person(address)

    def by_hand(path: str, document: dict[str, object] | None) -> None:
        if document is None:
            person.delete(path)
        else:
            person.put(path, document)

    with closing(person), a_store(address) as store:
        yield store, by_hand


def vault_and_hand(request: pytest.FixtureRequest) -> Iterator[tuple[Store, PutByHand]]:
    """Give Vault, as OpenBao, and a person there."""
    server: OpenBao = request.getfixturevalue("openbao")
    client = hvac.Client(url=server.address, token=server.root_token.reveal())

    def by_hand(path: str, document: dict[str, object] | None) -> None:
        if document is None:
            client.secrets.kv.v2.delete_latest_version_of_secret(path=path, mount_point="secret")
        else:
            client.secrets.kv.v2.create_or_update_secret(path=path, secret=document, mount_point="secret")

    login = TokenLogin(token=lambda: server.root_token)
    store = VaultStore(name="vault", address=server.address, mount="secret", login=login, clock=SystemClock())
    yield store, by_hand
    store.close()
    client.session.close()


@pytest.fixture
def store(store_and_hand: tuple[Store, PutByHand]) -> Store:
    """Give each store."""
    return store_and_hand[0]


@pytest.fixture
def by_hand(store_and_hand: tuple[Store, PutByHand]) -> PutByHand:
    """Give a person's way to write."""
    return store_and_hand[1]


@pytest.fixture
def place(request: pytest.FixtureRequest) -> Destination:
    """Give a path of this test alone, in JSON or raw."""
    is_raw = "raw" in request.node.callspec.params["store_and_hand"]
    return Destination(store="vault", path=f"contract/{uuid4()}", format=Format.RAW if is_raw else Format.JSON)


def test_nothing_there(store: Store, place: Destination) -> None:
    """A path never written is absent, and its revision can be written against."""
    stored = store.read(place, OWNER)
    assert stored.content == Absent()
    assert store.write(place, OWNER, a_record(), stored.revision) != stored.revision


def test_write_and_read_back(store: Store, place: Destination) -> None:
    """What was written is read, at the revision that the write gave, with the time of the write."""
    revision = store.write(place, OWNER, a_record(), store.read(place, OWNER).revision)
    stored = store.read(place, OWNER)
    assert (stored.revision, stored.content, stored.faithful) == (revision, a_record(), True)
    assert stored.written_at is not None
    assert stored.written_at.tzinfo is not None


def test_every_write_moves_the_revision(store: Store, place: Destination) -> None:
    """Writing the very same again is a new revision: that is what a fence needs."""
    first = store.write(place, OWNER, a_record(), store.read(place, OWNER).revision)
    second = store.write(place, OWNER, a_record(), first)
    assert second != first
    assert store.read(place, OWNER).content == a_record()


@pytest.mark.parametrize("late", ["first", "older"])
def test_stale_revision_conflicts(store: Store, place: Destination, late: str) -> None:
    """A write against a revision that is no longer the newest changes nothing."""
    nothing = store.read(place, OWNER).revision
    first = store.write(place, OWNER, a_record(1), nothing)
    store.write(place, OWNER, a_record(2), first)
    with pytest.raises(ConflictError):
        store.write(place, OWNER, a_record(3), nothing if late == "first" else first)
    assert store.read(place, OWNER).content == a_record(2)


def test_reservation_reads_as_a_reservation(store: Store, place: Destination) -> None:
    """A reservation moves the revision, holds no token, and can be written over."""
    revision = store.write(place, OWNER, Reservation(), store.read(place, OWNER).revision)
    assert store.read(place, OWNER).content == Reservation()
    store.write(place, OWNER, a_record(), revision)
    assert store.read(place, OWNER).content == a_record()


def test_deleted_secret_is_absent_at_its_own_revision(store: Store, by_hand: PutByHand, place: Destination) -> None:
    """After a deletion the next write needs the deleted version's revision, and the first one's is stale."""
    nothing = store.read(place, OWNER).revision
    store.write(place, OWNER, a_record(1), nothing)
    written_at = store.read(place, OWNER).written_at
    by_hand(place.path, None)
    stored = store.read(place, OWNER)
    assert stored.content == Absent()
    assert written_at is not None
    assert stored.written_at is not None
    assert stored.written_at >= written_at
    with pytest.raises(ConflictError):
        store.write(place, OWNER, a_record(2), nothing)
    store.write(place, OWNER, a_record(2), stored.revision)
    assert store.read(place, OWNER).content == a_record(2)


def test_foreign_secret_is_told_and_can_be_named(store: Store, by_hand: PutByHand, place: Destination) -> None:
    """A secret of somebody else reads as foreign, without its values."""
    by_hand(place.path, {"password": "hunter2", "owner": "provisioner/other/x"})
    stored = store.read(place, OWNER)
    assert isinstance(stored.content, Foreign)
    assert "provisioner/other/x" in stored.content.why
    assert "hunter2" not in repr(stored)


def test_edit_by_hand_moves_the_revision(store: Store, by_hand: PutByHand, place: Destination) -> None:
    """A person's edit is seen, and a write that did not see it conflicts."""
    revision = store.write(place, OWNER, a_record(1), store.read(place, OWNER).revision)
    by_hand(place.path, to_document(a_record(2), OWNER, place))
    with pytest.raises(ConflictError):
        store.write(place, OWNER, a_record(3), revision)
    assert store.read(place, OWNER).content == a_record(2)


def test_fields_and_extra(store: Store, place: Destination) -> None:
    """Mapped names and static fields are written, and read back as the same record."""
    mapped = replace(
        place, format=Format.JSON, fields={"token": "INFLUX_TOKEN", "owner": "managed_by"}, extra={"url": "https://x"}
    )
    store.write(mapped, OWNER, a_record(), store.read(mapped, OWNER).revision)
    assert store.read(mapped, OWNER).content == a_record()
    assert store.read(mapped, OWNER).faithful
    assert not store.read(replace(mapped, extra={}), OWNER).faithful


def test_full_record_survives(store: Store, place: Destination) -> None:
    """Every field of a record comes back, the optional ones too."""
    record: Record = a_record(request_id="r", past_requests=("a", "b"), compromised=True)
    store.write(place, OWNER, record, store.read(place, OWNER).revision)
    assert store.read(place, OWNER).content == record


def test_preflight_writes_nothing(store: Store, place: Destination) -> None:
    """Preflight accepts a path that can be written, and leaves it as it was."""
    before = store.read(place, OWNER)
    store.preflight(place)
    store.preflight(place)
    assert store.read(place, OWNER) == before


def test_without_a_reader_we_confirm_ourselves(store: Store, place: Destination) -> None:
    """What consumers read is what we read."""
    store.write(place, OWNER, a_record(), store.read(place, OWNER).revision)
    assert store.confirm(place, OWNER) == store.read(place, OWNER)


def test_no_token_in_what_is_shown(store: Store, place: Destination) -> None:
    """What was read shows no token, however it is printed."""
    store.write(place, OWNER, a_record(), store.read(place, OWNER).revision)
    stored = store.read(place, OWNER)
    assert a_record().token.reveal() not in f"{stored!r} {stored} {stored.content}"
