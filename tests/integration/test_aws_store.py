"""The AWS store as consumers, people, other replicas and death see it: on moto, and on the strict simulator."""

import json
from collections.abc import Iterator
from contextlib import closing, suppress
from dataclasses import replace
from datetime import timedelta

import pytest

from provisioner.domain.errors import ConflictError, OutcomeUnknownError, ProvisionerError, StoreRefusedError
from provisioner.domain.model import Absent, Destination, Record, Reservation
from provisioner.domain.record import to_document
from provisioner.simulators.secrets_manager_server import Fault, SecretsManagerServer
from provisioner.stores.aws_writing import LONGEST_VALUE
from tests.aws import Died, Moto, Person, a_store, die_at, labels, secret_of
from tests.builders import OWNER, a_record, uid
from tests.fakes.clock import FakeClock

CURRENT, PENDING, PREVIOUS = "AWSCURRENT", "AWSPENDING", "AWSPREVIOUS"


@pytest.fixture
def person(aws: SecretsManagerServer) -> Iterator[Person]:
    """Give somebody at the console of the strict simulator."""
    with closing(Person(aws.address)) as person:
        yield person


# --- what consumers see ------------------------------------------------------------------------------


@pytest.mark.parametrize("server", ["moto", "aws"])
def test_labels_are_as_consumers_expect(
    server: str, request: pytest.FixtureRequest, aws_identity: None, place: Destination
) -> None:
    """AWSCURRENT is the new token, AWSPREVIOUS its predecessor, AWSPENDING is nowhere, versions are rotations."""
    del aws_identity
    playing: Moto | SecretsManagerServer = request.getfixturevalue(server)
    with closing(Person(playing.address)) as person, a_store(playing.address) as store:
        revision = store.read(place, OWNER).revision
        for number in (1, 2, 3):
            revision = store.write(place, OWNER, a_record(number), revision)
            assert revision == uid(number)
        assert person.reads(place.path)["token_id"] == "id-3"
        assert person.reads(place.path, PREVIOUS)["token_id"] == "id-2"
        stages = person.client.describe_secret(SecretId=place.path)["VersionIdsToStages"]
    assert {key: value for key, value in stages.items() if value} == {uid(3): [CURRENT], uid(2): [PREVIOUS]}


def test_new_version_is_read_by_nobody_before_it_is_proven(
    aws: SecretsManagerServer, person: Person, place: Destination
) -> None:
    """What is not what was sent is never promoted."""
    with a_store(aws.address) as store:
        revision = store.write(place, OWNER, a_record(1), "nothing")

        def spoil(operation: str) -> None:
            if operation == "GetSecretValue" and uid(2) in secret_of(aws, place.path).versions:
                secret_of(aws, place.path).versions[uid(2)].value = {"SecretString": "{}"}

        aws.knobs.before = spoil
        with pytest.raises(StoreRefusedError, match="something else than was written"):
            store.write(place, OWNER, a_record(2), revision)
    assert person.reads(place.path)["token_id"] == "id-1"


def test_a_roll_back_between_two_looks_begins_the_overlap_anew(
    aws: SecretsManagerServer, person: Person, place: Destination
) -> None:
    """A revision that was seen before is not taken to have been the current one all along."""
    clock = FakeClock()
    with a_store(aws.address, clock=clock) as store, a_store(aws.address) as fresh:
        ours = store.write(place, OWNER, a_record(1), "nothing")
        before = store.read(place, OWNER).written_at
        other = person.put(place.path, {"token": "of somebody else"})
        person.move(place.path, other, ours)
        clock.advance(timedelta(seconds=20))
        assert store.read(place, OWNER).written_at == before  # a pass asks once
        clock.advance(timedelta(seconds=20))
        after = store.read(place, OWNER)
        assert after.revision == ours
        assert after.written_at == fresh.read(place, OWNER).written_at
        assert before is not None
        assert after.written_at is not None
        assert after.written_at > before


def test_new_secret_has_our_tags_and_settings(aws: SecretsManagerServer, place: Destination) -> None:
    """A secret that we create says whose it is, and has what the configuration gives it."""
    from provisioner.stores.aws_writing import NewSecrets

    aws.service.keys["alias/ours"] = "Enabled"
    new = NewSecrets(kms_key_id="alias/ours", tags={"team": "a"}, replicate_to=("us-east-1",))
    with a_store(aws.address, new_secrets=new) as store:
        store.write(place, OWNER, Reservation(), "nothing")
    secret = secret_of(aws, place.path)
    assert {tag["Key"]: tag["Value"] for tag in secret.tags} == {"team": "a", "token-provisioner-owner": str(OWNER)}
    assert (secret.kms_key_id, secret.replicas) == ("alias/ours", ["us-east-1"])


# --- what each step costs ----------------------------------------------------------------------------


def test_requests_of_each_call(aws: SecretsManagerServer, place: Destination) -> None:
    """The requests of every call, in order: one to read what is known, four to write, none for preflight."""

    def spent() -> list[str]:
        spent, aws.requests = aws.requests, []
        return spent

    with a_store(aws.address) as store:
        nothing = store.read(place, OWNER).revision
        assert spent() == ["GetSecretValue", "DescribeSecret"]
        store.preflight(place)
        assert spent() == []
        first = store.write(place, OWNER, a_record(1), nothing)
        assert spent() == ["CreateSecret"]
        store.read(place, OWNER)
        assert spent() == ["GetSecretValue"]
        second = store.write(place, OWNER, a_record(2), first)
        commit = ["PutSecretValue", "GetSecretValue", "UpdateSecretVersionStage", "UpdateSecretVersionStage"]
        assert spent() == commit
        store.read(place, OWNER)
        assert spent() == ["GetSecretValue"]
        fence = store.write(place, OWNER, a_record(2), second)
        assert spent() == commit
        store.write(place, OWNER, a_record(2), fence)
        assert spent() == commit
        with pytest.raises(ConflictError):
            store.write(place, OWNER, a_record(3), first)
        assert spent() == [*commit[:3], "DescribeSecret", "UpdateSecretVersionStage"]
    with a_store(aws.address) as store:
        store.read(place, OWNER)
        store.read(place, OWNER)
        assert spent() == ["GetSecretValue", "DescribeSecret", "GetSecretValue"]


# --- fences ------------------------------------------------------------------------------------------


def test_late_promotion_fails_after_a_fence(aws: SecretsManagerServer, person: Person, place: Destination) -> None:
    """A promotion that was under way when the record was written again lands never."""
    with a_store(aws.address) as paused, a_store(aws.address) as other:
        revision = paused.write(place, OWNER, a_record(1), "nothing")
        aws.knobs.queues["UpdateSecretVersionStage"] = [Fault.LATE]
        with pytest.raises(OutcomeUnknownError):
            paused.write(place, OWNER, a_record(2), revision)
        other.write(place, OWNER, a_record(1), other.read(place, OWNER).revision)
        assert aws.deliver() == ["InvalidParameterException"]
        with pytest.raises(ConflictError):
            paused.write(place, OWNER, a_record(2), revision)
    assert person.reads(place.path)["token_id"] == "id-1"
    assert {PENDING} not in labels(aws, place.path).values()


def test_late_promotion_without_a_fence_lands(aws: SecretsManagerServer, person: Person, place: Destination) -> None:
    """The same without the fence: that the test above can fail."""
    with a_store(aws.address) as paused:
        revision = paused.write(place, OWNER, a_record(1), "nothing")
        aws.knobs.queues["UpdateSecretVersionStage"] = [Fault.LATE]
        with pytest.raises(OutcomeUnknownError):
            paused.write(place, OWNER, a_record(2), revision)
        assert aws.deliver() == ["landed"]
        assert paused.read(place, OWNER).content == a_record(2)
    assert person.reads(place.path)["token_id"] == "id-2"


def test_late_creation_fails_after_a_reservation(aws: SecretsManagerServer, place: Destination) -> None:
    """With nothing stored, the fence is a reservation: the first write of a paused replica must then fail."""
    with a_store(aws.address) as paused, a_store(aws.address) as other:
        aws.knobs.queues["CreateSecret"] = [Fault.LATE]
        with pytest.raises(OutcomeUnknownError):
            paused.write(place, OWNER, a_record(1), "nothing")
        other.write(place, OWNER, Reservation(), "nothing")
        assert aws.deliver() == ["ResourceExistsException"]
        with pytest.raises(ConflictError):
            paused.write(place, OWNER, a_record(1), "nothing")
        assert other.read(place, OWNER).content == Reservation()


def test_late_first_value_of_an_empty_secret_is_read_by_nobody(
    aws: SecretsManagerServer, person: Person, place: Destination
) -> None:
    """The first value of a secret is current whatever it is put as: behind a fence it is not the first."""
    person.client.create_secret(Name=place.path)
    with a_store(aws.address) as paused, a_store(aws.address) as other:
        assert paused.read(place, OWNER).content == Absent()
        aws.knobs.queues["PutSecretValue"] = [Fault.LATE]
        with pytest.raises(OutcomeUnknownError):
            paused.write(place, OWNER, a_record(1), "empty")
        other.write(place, OWNER, Reservation(), other.read(place, OWNER).revision)
        assert aws.deliver() == ["landed"]
        with pytest.raises(ConflictError):
            paused.write(place, OWNER, a_record(1), "empty")
        assert other.read(place, OWNER).content == Reservation()


@pytest.mark.parametrize("content", [Reservation(), a_record(1)], ids=["reservation", "record"])
def test_two_fences_at_the_same_moment_are_two(
    aws: SecretsManagerServer, place: Destination, content: Record | Reservation
) -> None:
    """Who comes second must not take the other's fence for its own: it did not see what the other saw."""
    with a_store(aws.address) as one, a_store(aws.address) as other:
        expected = "nothing" if content == Reservation() else one.write(place, OWNER, content, "nothing")
        one.write(place, OWNER, content, expected)
        with pytest.raises(ConflictError):
            other.write(place, OWNER, content, expected)


def test_no_revision_ever_comes_back(aws: SecretsManagerServer, person: Person, place: Destination) -> None:
    """However often the same record is written, by processes that know it or not: else a late write could land."""
    with a_store(aws.address) as store:
        seen = [store.write(place, OWNER, a_record(1), "nothing")]
        seen.append(store.write(place, OWNER, a_record(1), seen[-1]))
        for _ in range(2):
            with a_store(aws.address) as new:  # knows neither what is there nor what was
                seen.append(new.write(place, OWNER, a_record(1), seen[-1]))
                seen.append(new.write(place, OWNER, a_record(1), seen[-1]))
        damaged = to_document(a_record(1), OWNER, place) | {"issuer": ""}
        seen += [person.put(place.path, damaged), person.put(place.path, damaged)]
        with a_store(aws.address) as repairing:
            stored = repairing.read(place, OWNER)
            assert stored.revision == seen[-1]
            seen.append(repairing.write(place, OWNER, a_record(1), stored.revision))
    assert len(set(seen)) == len(seen) == 9


# --- death -------------------------------------------------------------------------------------------

POSITIONS = [(call, after) for call in (1, 2, 3, 4) for after in (False, True)]


@pytest.mark.parametrize(("call", "after"), POSITIONS)
@pytest.mark.parametrize("successor", ["the same rotation again", "a fence", "another rotation"])
def test_death_between_any_two_requests(
    aws: SecretsManagerServer, person: Person, place: Destination, call: int, *, after: bool, successor: str
) -> None:
    """Consumers read a whole record after it, who follows can write, and what was left is never promoted."""
    landed = (call, after) in {(3, True), (4, False), (4, True)}
    with a_store(aws.address) as first:
        revision = first.write(place, OWNER, a_record(1), "nothing")
        die_at(first, call, after=after)
        with pytest.raises(Died):
            first.write(place, OWNER, a_record(2), revision)
    assert person.reads(place.path)["token_id"] == ("id-2" if landed else "id-1")
    with a_store(aws.address) as second:
        stored = second.read(place, OWNER)
        match successor:
            case "the same rotation again":
                with suppress(ConflictError):
                    second.write(place, OWNER, a_record(2), revision)
                final = "id-2"
            case "a fence":
                assert isinstance(stored.content, Record)
                second.write(place, OWNER, stored.content, stored.revision)
                final = "id-2" if landed else "id-1"
            case _:
                second.write(place, OWNER, a_record(3), stored.revision)
                final = "id-3"
        if successor != "the same rotation again" or not landed:
            assert PENDING not in set().union(*labels(aws, place.path).values())
    assert person.reads(place.path)["token_id"] == final


@pytest.mark.parametrize("after", [False, True])
def test_death_around_the_restoration_of_a_deleted_secret(
    aws: SecretsManagerServer, person: Person, place: Destination, *, after: bool
) -> None:
    """A secret that was restored and not written reads as what it held; who follows writes over that."""
    with a_store(aws.address) as first:
        first.write(place, OWNER, a_record(1), "nothing")
        person.delete(place.path)
        deleted = first.read(place, OWNER).revision
        die_at(first, 2, after=after)
        with pytest.raises(Died):
            first.write(place, OWNER, a_record(2), deleted)
    with a_store(aws.address) as second:
        stored = second.read(place, OWNER)
        assert stored.content == (a_record(1) if after else Absent())
        second.write(place, OWNER, a_record(3), stored.revision)
    assert person.reads(place.path)["token_id"] == "id-3"


# --- competitors -------------------------------------------------------------------------------------


def test_competitor_who_promotes_first_wins(aws: SecretsManagerServer, person: Person, place: Destination) -> None:
    """The slower one is told, and its version has no label left that anybody could promote it by."""
    with a_store(aws.address) as one, a_store(aws.address) as other:
        revision = one.write(place, OWNER, a_record(1), "nothing")

        def overtake(operation: str) -> None:
            if operation == "UpdateSecretVersionStage":
                aws.knobs.before = lambda _: None
                other.write(place, OWNER, a_record(3), revision)

        aws.knobs.before = overtake
        with pytest.raises(ConflictError):
            one.write(place, OWNER, a_record(2), revision)
    assert labels(aws, place.path) == {uid(3): {CURRENT}, uid(1): {PREVIOUS}}
    assert person.reads(place.path)["token_id"] == "id-3"


def test_competitor_who_takes_awspending_away_hinders_nobody(
    aws: SecretsManagerServer, person: Person, place: Destination
) -> None:
    """Between putting and promoting, the label may go to another's version: ours is promoted all the same."""
    with a_store(aws.address) as store:
        revision = store.write(place, OWNER, a_record(1), "nothing")

        def take(operation: str) -> None:
            if operation == "GetSecretValue":
                aws.knobs.before = lambda _: None
                person.client.put_secret_value(
                    SecretId=place.path, SecretString="{}", ClientRequestToken=uid(9), VersionStages=[PENDING]
                )

        aws.knobs.before = take
        store.write(place, OWNER, a_record(2), revision)
    assert person.reads(place.path)["token_id"] == "id-2"


def test_left_over_awspending_of_a_dead_rotation_is_moved(
    aws: SecretsManagerServer, person: Person, place: Destination
) -> None:
    """A rotation that died before its promotion leaves nothing that the next one stumbles over."""
    with a_store(aws.address) as store:
        revision = store.write(place, OWNER, a_record(1), "nothing")
        document = json.dumps(to_document(a_record(7), OWNER, place))
        person.client.put_secret_value(
            SecretId=place.path, SecretString=document, ClientRequestToken=uid(7), VersionStages=[PENDING]
        )
        store.write(place, OWNER, a_record(2), revision)
    assert labels(aws, place.path) == {uid(2): {CURRENT}, uid(1): {PREVIOUS}}


def test_too_long_a_value_is_refused_before_it_is_sent(aws: SecretsManagerServer, place: Destination) -> None:
    """AWS takes 65,536 bytes."""
    long = replace(place, extra={"note": "x" * LONGEST_VALUE})
    with a_store(aws.address) as store, pytest.raises(StoreRefusedError, match="AWS takes 65,536"):
        store.write(long, OWNER, a_record(1), "nothing")
    assert aws.requests == []


def test_nothing_is_told_of_a_failed_write(aws: SecretsManagerServer, place: Destination) -> None:
    """A conflict names the place, and no value."""
    with a_store(aws.address) as store:
        store.write(place, OWNER, a_record(1), "nothing")
        with pytest.raises(ProvisionerError) as caught:
            store.write(place, OWNER, a_record(2), "nothing")
    assert place.path in str(caught.value)
    assert a_record(2).token.reveal() not in str(caught.value)
