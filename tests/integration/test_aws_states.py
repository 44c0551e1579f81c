"""The AWS store on secrets that are deleted, foreign or empty, and since when one holds what it holds."""

from collections.abc import Iterator
from contextlib import closing
from dataclasses import replace
from datetime import timedelta

import pytest

from provisioner.domain.errors import ConflictError, OutcomeUnknownError, StoreRefusedError
from provisioner.domain.model import Absent, Destination, Foreign
from provisioner.simulators.secrets_manager_server import Fault, SecretsManagerServer
from tests.aws import Person, a_store, secret_of
from tests.builders import HOUR, OWNER, a_record, uid
from tests.fakes.clock import FakeClock


@pytest.fixture
def person(aws: SecretsManagerServer) -> Iterator[Person]:
    """Give somebody at the console of the strict simulator."""
    with closing(Person(aws.address)) as person:
        yield person


# --- deleted, foreign, empty -------------------------------------------------------------------------


def test_deleted_secret_of_ours_is_restored_by_the_next_write(
    aws: SecretsManagerServer, person: Person, place: Destination
) -> None:
    """Inside its recovery window a secret keeps its name: it is restored and written over."""
    with a_store(aws.address) as store:
        store.write(place, OWNER, a_record(1), "nothing")
        person.delete(place.path)
        stored = store.read(place, OWNER)
        assert stored.content == Absent()
        with pytest.raises(ConflictError):
            store.write(place, OWNER, a_record(2), "nothing")
        with pytest.raises(ConflictError):
            store.write(place, OWNER, a_record(2), uid(1))
        store.write(place, OWNER, a_record(2), stored.revision)
        with pytest.raises(ConflictError):
            store.write(place, OWNER, a_record(3), stored.revision)
    assert person.reads(place.path)["token_id"] == "id-2"


def test_record_that_is_there_already_is_restored_as_a_new_version(
    aws: SecretsManagerServer, person: Person, place: Destination
) -> None:
    """A copy that somebody deleted is written again although its version is there: its revision must move."""
    with a_store(aws.address) as store:
        store.write(place, OWNER, a_record(1), "nothing")
        person.delete(place.path)
        assert store.write(place, OWNER, a_record(1), store.read(place, OWNER).revision) != uid(1)
    assert person.reads(place.path)["token_id"] == "id-1"


def test_deleted_secret_of_somebody_else_is_left_deleted(
    aws: SecretsManagerServer, person: Person, place: Destination
) -> None:
    """Without our tag nobody knows whose it was: foreign, unless it may be adopted."""
    person.put(place.path, {"password": "hunter2"})
    person.delete(place.path)
    with a_store(aws.address) as store:
        stored = store.read(place, OWNER)
        assert isinstance(stored.content, Foreign)
        assert "token-provisioner-owner" in stored.content.why
        with pytest.raises(StoreRefusedError, match="not ours"):
            store.write(place, OWNER, a_record(1), stored.revision)
        assert secret_of(aws, place.path).deleted_until is not None
        adopting = replace(place, adopt=True)
        assert store.read(adopting, OWNER).content == Absent()
        store.write(adopting, OWNER, a_record(1), stored.revision)
    assert person.reads(place.path)["token_id"] == "id-1"


@pytest.mark.parametrize("value", ["plain words", '["a", "list"]', '"text"', "[" * 100_000 + "]"], ids=len)
def test_value_that_is_no_json_object_is_foreign(
    aws: SecretsManagerServer, person: Person, place: Destination, value: str
) -> None:
    """Whatever people keep there is theirs, and is not told."""
    person.put(place.path, value[:60_000])
    with a_store(aws.address) as store:
        stored = store.read(place, OWNER)
    assert isinstance(stored.content, Foreign)
    assert value not in repr(stored)


def test_binary_value_is_foreign(aws: SecretsManagerServer, person: Person, place: Destination) -> None:
    """We write texts only."""
    person.client.create_secret(Name=place.path, SecretBinary=b"\x00\x01")
    with a_store(aws.address) as store:
        assert isinstance(store.read(place, OWNER).content, Foreign)


@pytest.mark.parametrize("server", ["moto", "aws"])
def test_secret_without_a_value_takes_its_first(
    server: str, request: pytest.FixtureRequest, aws_identity: None, place: Destination
) -> None:
    """A secret that Terraform made and nobody filled is absent, and is filled without being created."""
    del aws_identity
    address = request.getfixturevalue(server).address
    with closing(Person(address)) as person, a_store(address) as one, a_store(address) as other:
        person.client.create_secret(Name=place.path)
        stored = one.read(place, OWNER)
        assert (stored.content, stored.revision) == (Absent(), "empty")
        assert one.write(place, OWNER, a_record(1), "empty") == uid(1)
        with pytest.raises(ConflictError):
            other.write(place, OWNER, a_record(2), "empty")
        assert person.reads(place.path)["token_id"] == "id-1"
        assert one.read(place, OWNER).revision == uid(1)


def test_secret_that_is_deleted_for_good_meanwhile(
    aws: SecretsManagerServer, person: Person, place: Destination
) -> None:
    """A write to a secret that has gone conflicts: it is not created behind its owner's back."""
    with a_store(aws.address) as store:
        revision = store.write(place, OWNER, a_record(1), "nothing")
        person.client.delete_secret(SecretId=place.path, ForceDeleteWithoutRecovery=True)
        with pytest.raises(ConflictError):
            store.write(place, OWNER, a_record(2), revision)
        assert store.read(place, OWNER).revision == "nothing"


# --- since when --------------------------------------------------------------------------------------


def test_late_promotion_counts_from_when_it_landed(place: Destination, aws_identity: None) -> None:
    """A version may be promoted long after it was created: its predecessor's overlap begins only then."""
    del aws_identity
    clock = FakeClock()
    with SecretsManagerServer(clock) as aws, a_store(aws.address) as store:
        revision = store.write(place, OWNER, a_record(1), "nothing")
        aws.knobs.queues["UpdateSecretVersionStage"] = [Fault.LATE]
        with pytest.raises(OutcomeUnknownError):
            store.write(place, OWNER, a_record(2), revision)
        clock.advance(3 * HOUR)
        aws.deliver()
        stored = store.read(place, OWNER)
        assert (stored.content, stored.written_at) == (a_record(2), clock.now())


def test_rollback_counts_from_when_it_was_made(place: Destination, aws_identity: None) -> None:
    """Who moves AWSCURRENT back has rolled back now, not when the older version was created."""
    del aws_identity
    clock = FakeClock()
    with SecretsManagerServer(clock) as aws, a_store(aws.address) as store, closing(Person(aws.address)) as person:
        first = store.write(place, OWNER, a_record(1), "nothing")
        clock.advance(3 * HOUR)
        second = store.write(place, OWNER, a_record(2), first)
        assert store.read(place, OWNER).written_at == clock.now()
        clock.advance(3 * HOUR)
        person.move(place.path, second, first)
        stored = store.read(place, OWNER)
        assert (stored.content, stored.revision, stored.written_at) == (a_record(1), first, clock.now())
        clock.advance(timedelta(minutes=15))
        assert store.read(place, OWNER).written_at == stored.written_at
