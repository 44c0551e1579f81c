"""The AWS store and every fault of a service: what is known after it, how often was asked, and what is never told."""

import logging
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import replace
from datetime import timedelta

import pytest

from provisioner.domain.errors import (
    ConflictError,
    OutcomeUnknownError,
    ProvisionerError,
    StoreRefusedError,
    StoreUnavailableError,
)
from provisioner.domain.model import Destination, Record
from provisioner.domain.secret import SecretText
from provisioner.simulators.openbao import free_port
from provisioner.simulators.secrets_manager_server import Fault, SecretsManagerServer
from provisioner.stores.aws_secrets_manager import AwsSecretsManagerStore
from tests.aws import ACCESS_KEY, SECRET_KEY, a_store, labels
from tests.builders import OWNER, a_record, uid
from tests.fakes.vault_server import Answer, a_server
from tests.vault import everything_told

STORED_TOKEN = 'plain words of a "token"'
SHORT = timedelta(seconds=0.3)
NOT_ANSWERED = [
    Fault.ERROR_BEFORE,
    Fault.ERROR_AFTER,
    Fault.CUT_BEFORE,
    Fault.CUT_AFTER,
    Fault.SLOW,
    Fault.LATE,
    Fault.GARBLED,
    Fault.PAGE,
]
SURELY_NOT = {
    Fault.THROTTLED: StoreUnavailableError,
    Fault.DENIED: StoreRefusedError,
    Fault.EXPIRED: StoreRefusedError,
    Fault.ECHO: StoreRefusedError,
}


def written(store: AwsSecretsManagerStore, place: Destination) -> str:
    """Give the revision of a secret that holds rotation 1."""
    return store.write(place, OWNER, a_record(1), "nothing")


@pytest.mark.parametrize("fault", NOT_ANSWERED)
def test_creation_that_may_have_landed(aws: SecretsManagerServer, place: Destination, fault: Fault) -> None:
    """Whatever leaves it open whether the secret was created is an unknown outcome, and is sent once."""
    aws.knobs.always["CreateSecret"] = fault
    with a_store(aws.address, timeout=SHORT) as store, pytest.raises(OutcomeUnknownError, match="creating it/"):
        store.write(place, OWNER, a_record(1), "nothing")
    assert aws.requests == ["CreateSecret"]


@pytest.mark.parametrize("fault", NOT_ANSWERED)
def test_promotion_that_may_have_landed(aws: SecretsManagerServer, place: Destination, fault: Fault) -> None:
    """The move of AWSCURRENT is sent once, and read back by who asked; the same again finds what came of it."""
    with a_store(aws.address, timeout=SHORT) as store:
        revision = written(store, place)
        aws.knobs.queues["UpdateSecretVersionStage"] = [fault]
        aws.requests.clear()
        with pytest.raises(OutcomeUnknownError, match="promoting the new version"):
            store.write(place, OWNER, a_record(2), revision)
        assert aws.requests.count("UpdateSecretVersionStage") == 1
        landed = store.read(place, OWNER).content == a_record(2)
        assert landed == (fault in {Fault.ERROR_AFTER, Fault.CUT_AFTER, Fault.SLOW, Fault.GARBLED})
        if landed:
            with pytest.raises(ConflictError):
                store.write(place, OWNER, a_record(2), revision)
        else:
            assert store.write(place, OWNER, a_record(2), revision) == uid(2)
        assert store.read(place, OWNER).content == a_record(2)


@pytest.mark.parametrize("operation", ["CreateSecret", "PutSecretValue", "GetSecretValue", "UpdateSecretVersionStage"])
@pytest.mark.parametrize("fault", SURELY_NOT)
def test_write_that_surely_did_not_land(
    aws: SecretsManagerServer, place: Destination, fault: Fault, operation: str
) -> None:
    """A refusal at any step of a write excludes it, and is said to; a repetition after it lands."""
    with a_store(aws.address) as store:
        expected = "nothing" if operation == "CreateSecret" else written(store, place)
        aws.knobs.queues[operation] = [fault] * 3  # as often as botocore asks
        with pytest.raises(ProvisionerError) as caught:
            store.write(place, OWNER, a_record(2), expected)
        assert isinstance(caught.value, SURELY_NOT[fault])
        aws.knobs.queues.clear()
        assert store.write(place, OWNER, a_record(2), expected) in labels(aws, place.path)
        assert store.read(place, OWNER).content == a_record(2)


@pytest.mark.parametrize("operation", ["PutSecretValue", "GetSecretValue"])
@pytest.mark.parametrize("fault", [Fault.ERROR_AFTER, Fault.CUT_AFTER, Fault.THROTTLED])
def test_lost_answer_before_the_promotion_is_harmless(
    aws: SecretsManagerServer, place: Destination, fault: Fault, operation: str
) -> None:
    """Until AWSCURRENT moves nobody reads anything else: what was lost is simply sent again, under the same id."""
    with a_store(aws.address) as store:
        revision = written(store, place)
        aws.knobs.queues[operation] = [fault]
        aws.requests.clear()
        assert store.write(place, OWNER, a_record(2), revision) == uid(2)
    assert aws.requests.count(operation) == 2


def test_requests_are_not_repeated_for_ever(aws: SecretsManagerServer, place: Destination) -> None:
    """Three times at most, however long the service fails."""
    aws.knobs.always["GetSecretValue"] = Fault.ERROR_BEFORE
    with a_store(aws.address) as store, pytest.raises(StoreUnavailableError, match="InternalServiceError"):
        store.read(place, OWNER)
    assert aws.requests == ["GetSecretValue"] * 3


def test_label_that_stays_behind_does_not_undo_a_write(aws: SecretsManagerServer, place: Destination) -> None:
    """AWSPENDING that cannot be taken off leaves a write that stands; the next one takes it off."""
    with a_store(aws.address) as store:
        revision = written(store, place)
        aws.knobs.before = lambda operation: (
            aws.knobs.queues.update({operation: [Fault.DENIED]})
            if aws.requests[-2:] == ["UpdateSecretVersionStage"] * 2
            else None
        )
        second = store.write(place, OWNER, a_record(2), revision)
        assert labels(aws, place.path)[second] == {"AWSCURRENT", "AWSPENDING"}
        aws.knobs.before = lambda _: None
        third = store.write(place, OWNER, a_record(3), second)
        assert labels(aws, place.path) == {third: {"AWSCURRENT"}, second: {"AWSPREVIOUS"}}


def test_lost_first_value_of_an_empty_secret_may_have_landed(aws: SecretsManagerServer, place: Destination) -> None:
    """Where there is no version yet, putting one is what decides."""
    aws.carry_out("CreateSecret", {"Name": place.path})
    aws.knobs.queues["PutSecretValue"] = [Fault.CUT_AFTER]
    with a_store(aws.address) as store:
        with pytest.raises(OutcomeUnknownError):
            store.write(place, OWNER, a_record(1), "empty")
        assert aws.requests == ["PutSecretValue"]
        assert store.read(place, OWNER).content == a_record(1)


@pytest.mark.parametrize("fault", [*NOT_ANSWERED, *SURELY_NOT])
def test_read_that_was_not_answered_is_never_absence(
    aws: SecretsManagerServer, place: Destination, fault: Fault
) -> None:
    """Whatever comes instead of AWS's answer must not look like «nothing is stored»: that would mint."""
    with a_store(aws.address, timeout=SHORT) as store:
        written(store, place)
        aws.knobs.queues["GetSecretValue"] = [fault] * 3
        with pytest.raises((StoreUnavailableError, StoreRefusedError)) as caught:
            store.read(place, OWNER)
    assert isinstance(caught.value, SURELY_NOT.get(fault, StoreUnavailableError))


def test_description_that_was_not_given_is_never_absence(aws: SecretsManagerServer, place: Destination) -> None:
    """That there is no secret is believed of the second answer only."""
    aws.knobs.always["DescribeSecret"] = Fault.ERROR_BEFORE
    with a_store(aws.address) as store, pytest.raises(StoreUnavailableError):
        store.read(place, OWNER)


@pytest.mark.parametrize(
    ("operation", "action"),
    [
        ("GetSecretValue", "secretsmanager:GetSecretValue"),
        ("DescribeSecret", "secretsmanager:DescribeSecret"),
        ("CreateSecret", "secretsmanager:CreateSecret"),
        ("PutSecretValue", "secretsmanager:PutSecretValue"),
        ("UpdateSecretVersionStage", "secretsmanager:UpdateSecretVersionStage"),
    ],
)
def test_missing_permission_is_named(
    aws: SecretsManagerServer, place: Destination, operation: str, action: str
) -> None:
    """The message says which IAM action to allow."""

    def read_and_write() -> None:
        with a_store(aws.address) as store:
            store.write(place, OWNER, a_record(2), store.read(place, OWNER).revision)

    if operation != "CreateSecret":
        with a_store(aws.address) as store:
            written(store, place)
    aws.knobs.always[operation] = Fault.DENIED
    with pytest.raises(StoreRefusedError, match=f"allow {action}"):
        read_and_write()


def test_nobody_listens(place: Destination, aws_identity: None) -> None:
    """A request that never left did surely not land."""
    del aws_identity
    with a_store(f"http://127.0.0.1:{free_port()}") as store:
        with pytest.raises(StoreUnavailableError, match="cannot be reached"):
            store.write(place, OWNER, a_record(1), "nothing")
        with pytest.raises(StoreUnavailableError, match="cannot be reached"):
            store.read(place, OWNER)


# --- what is never told ------------------------------------------------------------------------------


def a_telling_record() -> Record:
    """Give a record whose token looks like no token at all."""
    return a_record(2, token=SecretText(STORED_TOKEN))


CALLS: dict[str, Callable[[AwsSecretsManagerStore, Destination], object]] = {
    "GetSecretValue": lambda store, place: store.read(place, OWNER),
    "CreateSecret": lambda store, place: store.write(place, OWNER, a_telling_record(), "nothing"),
    "PutSecretValue": lambda store, place: store.write(place, OWNER, a_telling_record(), uid(1)),
    "UpdateSecretVersionStage": lambda store, place: store.write(place, OWNER, a_telling_record(), uid(1)),
}


@pytest.mark.parametrize("operation", CALLS)
def test_what_a_server_repeats_is_not_told(aws: SecretsManagerServer, place: Destination, operation: str) -> None:
    """A server that repeats what it was sent, credentials and all, tells nothing through us."""
    with a_store(aws.address) as store:
        if operation != "CreateSecret":
            written(store, place)
        aws.knobs.always[operation] = Fault.ECHO
        with pytest.raises(ProvisionerError) as caught:
            CALLS[operation](store, place)
    told = everything_told(caught.value)
    assert "not understood" in told
    for secret in (STORED_TOKEN, 'plain words of a \\"token', "plain words", ACCESS_KEY, SECRET_KEY):
        assert secret not in told


@pytest.mark.parametrize("fault", [Fault.SLOW, Fault.CUT_AFTER, Fault.ERROR_AFTER, Fault.GARBLED])
def test_no_foreign_error_hangs_on_ours(aws: SecretsManagerServer, place: Destination, fault: Fault) -> None:
    """A foreign error holds the request with its value: it is neither cause nor context of ours."""
    aws.knobs.always["CreateSecret"] = fault
    with a_store(aws.address, timeout=SHORT) as store, pytest.raises(OutcomeUnknownError) as caught:
        store.write(place, OWNER, a_record(1), "nothing")
    assert (caught.value.__cause__, caught.value.__context__) == (None, None)


@pytest.mark.parametrize("fault", [None, *NOT_ANSWERED])
def test_no_token_in_the_log_however_detailed(
    aws: SecretsManagerServer,
    place: Destination,
    fault: Fault | None,
    capsys: pytest.CaptureFixture[str],
) -> None:
    """Botocore writes whole requests and answers into its log when asked for detail: ours does not let it."""
    from provisioner.telemetry.logs import configure_logging

    root = logging.getLogger()
    handlers, level = root.handlers[:], root.level
    try:
        configure_logging("json", "debug")
        with a_store(aws.address, timeout=SHORT) as store:
            revision = written(store, place)
            if fault is not None:
                aws.knobs.queues["PutSecretValue"] = [fault]
                aws.knobs.queues["UpdateSecretVersionStage"] = [fault]
            with suppress(ProvisionerError):
                store.write(place, OWNER, a_telling_record(), revision)
            with suppress(ProvisionerError):
                store.read(place, OWNER)
        logging.getLogger("test").debug("this is written")
    finally:
        root.handlers[:], root.level = handlers, level
    written_down = capsys.readouterr().err
    assert "this is written" in written_down
    for secret in ("plain words", a_record(1).token.reveal(), SECRET_KEY, ACCESS_KEY):
        assert secret not in written_down


# --- answers that are not AWS's ----------------------------------------------------------------------

STRANGE = {
    "a list as an error": Answer(status=500, body="[]"),
    "a list as a refusal": Answer(status=400, body="[]"),
    "a text as a refusal": Answer(status=400, body='"no"'),
    "an error without a name": Answer(status=400, body="{}"),
    "a list": Answer(status=200, body="[]"),
    "null": Answer(status=200, body="null"),
    "an object of somebody else": Answer(status=200, body='{"ok": true}'),
    "nothing": Answer(status=200, body=""),
    "numbers for texts": Answer(status=200, body='{"VersionId": 5, "VersionStages": 7, "CreatedDate": "soon"}'),
    "a page": Answer(status=200, body="<html>", kind="text/html"),
    "a page not found": Answer(status=404, body="<html>", kind="text/html"),
    "no content": Answer(status=204),
    "nonsense": Answer(garbles=True),
    "a redirect": Answer(status=307, location="http://127.0.0.1:9/x"),
}


@pytest.mark.parametrize("what", STRANGE)
def test_strange_answers(place: Destination, aws_identity: None, what: str) -> None:
    """Whoever answers in AWS's place says nothing about a secret, and leaves open what came of a write."""
    del aws_identity
    with a_server() as told, a_store(told.address, timeout=SHORT) as store:
        told.answers = [STRANGE[what]]
        with pytest.raises(StoreUnavailableError, match="reading it/"):
            store.read(place, OWNER)
        with pytest.raises((OutcomeUnknownError, StoreRefusedError), match="creating it/") as caught:
            store.write(place, OWNER, a_record(), "nothing")
        assert told.count("POST /") >= 2
        told.requests.clear()
        with suppress(ProvisionerError):
            store.write(place, OWNER, a_record(), "nothing")
        assert told.count("POST /") == 1
    assert isinstance(caught.value, OutcomeUnknownError)


@pytest.mark.parametrize("status", [301, 302, 307, 308])  # of 303 urllib3 makes an error of its own
def test_no_redirect_is_followed(place: Destination, aws_identity: None, status: int) -> None:
    """What we send goes to no other host, whoever sends us there."""
    del aws_identity
    with a_server() as elsewhere, a_server() as told, a_store(told.address, timeout=SHORT) as store:
        elsewhere.answers = [Answer(status=200, body="{}")]
        told.answers = [Answer(status=status, body="{}", location=f"{elsewhere.address}/x")]
        with pytest.raises(OutcomeUnknownError):
            store.write(place, OWNER, a_record(), "nothing")
        assert (told.count("POST /"), elsewhere.requests) == (1, [])


def test_many_threads_share_one_store(aws: SecretsManagerServer, place: Destination) -> None:
    """Tokens rotate at the same time through one store, each its own secret."""

    def rotate(number: int) -> str:
        own = replace(place, path=f"{place.path}/{number}")
        revision = store.write(own, OWNER, a_record(number), store.read(own, OWNER).revision)
        store.write(own, OWNER, a_record(100 + number), revision)
        stored = store.read(own, OWNER)
        assert stored.content == a_record(100 + number)
        return stored.revision

    with a_store(aws.address) as store, ThreadPoolExecutor(max_workers=8) as pool:
        assert sorted(pool.map(rotate, range(24))) == [uid(100 + number) for number in range(24)]
