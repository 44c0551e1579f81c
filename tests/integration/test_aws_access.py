"""Who we are in AWS, what stands in the way before anything is minted, and what ``check`` warns of."""

import os
from dataclasses import replace
from pathlib import Path

import pytest

from provisioner.domain.errors import StoreRefusedError, StoreUnavailableError
from provisioner.domain.model import Absent, Destination
from provisioner.simulators.secrets_manager_server import Fault, SecretsManagerServer
from provisioner.stores.aws_access import ATTEMPTS, Access, Role
from provisioner.stores.aws_writing import NewSecrets
from tests.aws import REGION, Moto, a_store, secret_of
from tests.builders import MINUTE, OWNER, a_record
from tests.fakes.clock import FakeClock
from tests.vault import everything_told

OURS = NewSecrets(kms_key_id="alias/ours")
ROLE = Role(arn="arn:aws:iam::123456789012:role/provisioner", session_name="token-provisioner", external_id="x-1")


# --- who we are --------------------------------------------------------------------------------------


def test_credentials_and_region_of_the_environment(
    aws: SecretsManagerServer, place: Destination, monkeypatch: pytest.MonkeyPatch
) -> None:
    """boto3's own chain finds them."""
    monkeypatch.setenv("AWS_DEFAULT_REGION", REGION)
    with a_store(None, access=Access(endpoint_url=aws.address)) as store:
        assert store.read(place, OWNER).content == Absent()


def test_profile(
    aws: SecretsManagerServer, place: Destination, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """A profile of AWS's files says who we are and where."""
    monkeypatch.delenv("AWS_ACCESS_KEY_ID")
    monkeypatch.delenv("AWS_SECRET_ACCESS_KEY")
    file = tmp_path / "config"
    file.write_text(f"[profile ours]\nregion = {REGION}\naws_access_key_id = a\naws_secret_access_key = b\n")
    monkeypatch.setenv("AWS_CONFIG_FILE", str(file))
    with a_store(None, access=Access(endpoint_url=aws.address, profile="ours")) as store:
        assert store.read(place, OWNER).content == Absent()
    with (
        a_store(None, access=Access(region=REGION, endpoint_url=aws.address, profile="theirs")) as store,
        pytest.raises(StoreRefusedError, match="theirs"),
    ):
        store.read(place, OWNER)


def test_role_is_taken_on(moto: Moto, aws_identity: None, place: Destination) -> None:
    """With a role to take on, everything is asked with that role's credentials, not with our own."""
    del aws_identity
    access = Access(region=REGION, endpoint_url=moto.address, role=ROLE)
    with a_store(None, access=access) as store:
        store.write(place, OWNER, a_record(), store.read(place, OWNER).revision)
        client = store._wire._clients.get("secretsmanager", attempts=ATTEMPTS)
        assert client._request_signer._credentials.access_key.startswith("ASIA")
        assert client._request_signer._credentials.method == "assume-role"


def test_role_that_is_refused_is_said_so(aws: SecretsManagerServer, place: Destination) -> None:
    """A role that we may not take on is not mistaken for a missing right on the secret."""
    access = Access(region=REGION, endpoint_url=aws.address, role=ROLE)
    with (
        a_store(None, access=access) as store,
        pytest.raises(StoreRefusedError, match="not possible: AssumeRole was refused: AccessDenied"),
    ):
        store.write(place, OWNER, a_record(), "nothing")


def test_no_region(aws: SecretsManagerServer, place: Destination) -> None:
    """Without a region nothing is asked, and the remedy is named."""
    with (
        a_store(None, access=Access(endpoint_url=aws.address)) as store,
        pytest.raises(StoreRefusedError, match="set the store's region, or AWS_DEFAULT_REGION"),
    ):
        store.preflight(place)
    assert aws.requests == []


@pytest.mark.parametrize("role", [None, ROLE])
def test_no_credentials(
    aws: SecretsManagerServer, place: Destination, monkeypatch: pytest.MonkeyPatch, role: Role | None
) -> None:
    """Without credentials nothing is asked, and the ways to give them are named."""
    monkeypatch.delenv("AWS_ACCESS_KEY_ID")
    monkeypatch.delenv("AWS_SECRET_ACCESS_KEY")
    with (
        a_store(None, access=Access(region=REGION, endpoint_url=aws.address, role=role)) as store,
        pytest.raises(StoreRefusedError, match=r"no AWS credentials; see docs/aws\.md") as caught,
    ):
        store.preflight(place)
    assert aws.requests == []
    assert os.devnull not in everything_told(caught.value)


# --- before anything is minted -----------------------------------------------------------------------


def test_preflight_costs_nothing_for_five_minutes_after_a_read(aws: SecretsManagerServer, place: Destination) -> None:
    """What a read told is known; later the secret is described."""
    clock = FakeClock()
    with a_store(aws.address, clock=clock) as store:
        store.read(place, OWNER)
        aws.requests.clear()
        store.preflight(place)
        clock.advance(4 * MINUTE)
        store.preflight(place)
        assert aws.requests == []
        clock.advance(2 * MINUTE)
        store.preflight(place)
        assert aws.requests == ["DescribeSecret"]


def test_refused_write_is_remembered_for_five_minutes(aws: SecretsManagerServer, place: Destination) -> None:
    """AWS tells of a right to write by a write only: after one was refused, nothing is minted for a while."""
    clock = FakeClock()
    with a_store(aws.address, clock=clock) as store:
        revision = store.read(place, OWNER).revision
        aws.knobs.queues["CreateSecret"] = [Fault.DENIED]
        with pytest.raises(StoreRefusedError):
            store.write(place, OWNER, a_record(), revision)
        with pytest.raises(StoreRefusedError, match=r"less than five minutes ago: .* allow secretsmanager:Create"):
            store.preflight(place)
        store.preflight(replace(place, path="another"))
        clock.advance(6 * MINUTE)
        store.preflight(place)
        store.write(place, OWNER, a_record(), revision)
        store.preflight(place)


@pytest.mark.parametrize(
    ("state", "words"), [(None, "does not exist"), ("Disabled", "not usable"), ("PendingDeletion", "not usable")]
)
def test_key_that_cannot_be_used_is_found_before_anything(
    aws: SecretsManagerServer, place: Destination, state: str | None, words: str
) -> None:
    """A new secret would be encrypted with it."""
    if state is not None:
        aws.service.keys["alias/ours"] = state
    with a_store(aws.address, new_secrets=OURS) as store:
        store.read(place, OWNER)
        with pytest.raises(StoreRefusedError, match=rf"alias/ours.*{words}.*name another as kms_key_id"):
            store.preflight(place)
        assert any(words in warning for warning in store.check([(place, OWNER)]))
        aws.service.keys["alias/ours"] = "Enabled"
        store.preflight(place)
        aws.requests.clear()
        store.preflight(place)
        assert aws.requests == []


def test_key_that_we_may_not_ask_about_is_left_to_the_write(aws: SecretsManagerServer, place: Destination) -> None:
    """kms:DescribeKey helps, and is not needed."""
    aws.knobs.always["DescribeKey"] = Fault.DENIED
    with a_store(aws.address, new_secrets=OURS) as store:
        store.read(place, OWNER)
        store.preflight(place)
        with pytest.raises(StoreRefusedError, match="KMS key"):
            store.write(place, OWNER, a_record(), "nothing")


def test_key_does_not_matter_to_a_secret_that_is_there(aws: SecretsManagerServer, place: Destination) -> None:
    """A secret keeps the key it has."""
    with a_store(aws.address) as store:
        store.write(place, OWNER, a_record(1), "nothing")
    with a_store(aws.address, new_secrets=OURS) as store:
        revision = store.read(place, OWNER).revision
        store.preflight(place)
        store.write(place, OWNER, a_record(2), revision)


# --- what check says ---------------------------------------------------------------------------------


def test_check_finds_nothing_to_say(aws: SecretsManagerServer, place: Destination) -> None:
    """A secret of ours, and one that is not there yet, are as they should be."""
    with a_store(aws.address) as store:
        store.write(place, OWNER, a_record(), "nothing")
        assert store.check([(place, OWNER), (replace(place, path="new"), OWNER)]) == []


def test_check_warns_of_what_would_hurt(aws: SecretsManagerServer) -> None:
    """AWS's own rotation, a missing tag, another key, missing copies, a deletion, and a name like an ARN."""
    place = Destination(store="aws", path="team/token-abc123")
    aws.service.keys["alias/ours"] = "Enabled"
    aws.carry_out("CreateSecret", {"Name": place.path, "SecretString": "{}"})
    secret = secret_of(aws, place.path)
    secret.rotates, secret.deleted_until = True, aws.clock.now()
    new = replace(OURS, replicate_to=("us-east-1",))
    with a_store(aws.address, new_secrets=new) as store:
        warnings = store.check([(place, OWNER)])
    words = ("ends like an ARN", "rotated by AWS itself", "has no tag", "is deleted", "AWS's own key", "us-east-1")
    assert [word for word in words if not any(word in warning for warning in warnings)] == []
    assert len(warnings) == len(words)


def test_check_raises_when_it_cannot_look(aws: SecretsManagerServer, place: Destination) -> None:
    """What cannot be looked at is no warning."""
    aws.knobs.always["DescribeSecret"] = Fault.DENIED
    with a_store(aws.address) as store, pytest.raises(StoreRefusedError, match="allow secretsmanager:DescribeSecret"):
        store.check([(place, OWNER)])


# --- how fast ----------------------------------------------------------------------------------------


def test_writes_keep_to_the_pace_and_reads_need_not(aws: SecretsManagerServer, place: Destination) -> None:
    """Three writing requests a rotation, for all tokens together, as fast as the store allows."""
    clock = FakeClock()
    with a_store(aws.address, clock=clock, writes_per_second=2.0, timeout=MINUTE) as store:
        for number in range(1, 4):
            each = replace(place, path=f"{place.path}/{number}")
            revision = store.write(each, OWNER, a_record(number), "nothing")
            store.write(each, OWNER, a_record(number + 10), revision)
            store.read(each, OWNER)
    asked = [operation for operation in aws.requests if operation not in {"GetSecretValue", "DescribeSecret"}]
    assert len(asked) == 12
    assert clock.elapsed == pytest.approx((12 - 2) / 2)


def test_write_that_would_wait_too_long_is_put_off(aws: SecretsManagerServer, place: Destination) -> None:
    """Waiting is bounded: then the write was surely not sent, and is tried again later."""
    with a_store(aws.address, clock=FakeClock(), writes_per_second=0.1) as store:
        revision = store.write(place, OWNER, a_record(1), "nothing")
        with pytest.raises(StoreUnavailableError, match="writes_per_second"):
            store.write(place, OWNER, a_record(2), revision)
        assert store.read(place, OWNER).content == a_record(1)
