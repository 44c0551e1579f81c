"""A reader of the AWS store: consumers' view, by credentials of its own."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from provisioner.domain.errors import StoreRefusedError
from provisioner.domain.model import Absent, Destination
from provisioner.simulators.secrets_manager_server import Fault, SecretsManagerServer
from provisioner.stores.aws_access import ATTEMPTS, Access, Role
from provisioner.stores.aws_wire import Wire
from tests.aws import REGION, Moto, a_store
from tests.builders import OWNER, a_record


def asked_through(wire: Wire) -> list[str]:
    """Give a list that fills with how each request of a wire is signed from now on."""
    signed: list[str] = []

    def note(request: Any, **_: object) -> None:
        header = request.headers["Authorization"]
        signed.append(header.decode() if isinstance(header, bytes) else header)

    wire._clients.get("secretsmanager", attempts=ATTEMPTS).meta.events.register("before-send.secretsmanager", note)
    return signed


def test_reader_reads_what_was_written_in_one_request(aws: SecretsManagerServer, place: Destination) -> None:
    """It needs the right to nothing but GetSecretValue."""
    access = Access(region=REGION, endpoint_url=aws.address)
    with a_store(aws.address, reader=access) as store:
        assert store.confirm(place, OWNER).content == Absent()
        store.write(place, OWNER, a_record(), store.read(place, OWNER).revision)
        aws.requests.clear()
        seen = store.confirm(place, OWNER)
        assert aws.requests == ["GetSecretValue"]
        assert (seen.revision, seen.content, seen.faithful) == (a_record().rotation_id, a_record(), True)
        assert seen.written_at == store.read(place, OWNER).written_at


def test_refused_reader_is_named_with_what_to_grant(aws: SecretsManagerServer, place: Destination) -> None:
    """The message says whom to allow what."""
    with a_store(aws.address, reader=Access(region=REGION, endpoint_url=aws.address)) as store:
        aws.knobs.always["GetSecretValue"] = Fault.DENIED
        grant = f"reader of store aws was refused, grant it secretsmanager:GetSecretValue on {place.path}"
        with pytest.raises(StoreRefusedError, match=grant):
            store.confirm(place, OWNER)


def test_reader_takes_on_a_role_of_its_own(moto: Moto, aws_identity: None, place: Destination) -> None:
    """What it reads is asked with that role's credentials, what we read is not."""
    del aws_identity
    own = Access(region=REGION, endpoint_url=moto.address)
    role = Role(arn="arn:aws:iam::123456789012:role/consumer", session_name="reader")
    with a_store(None, access=own, reader=replace(own, role=role)) as store:
        store.write(place, OWNER, a_record(), store.read(place, OWNER).revision)
        assert store.confirm(place, OWNER).content == a_record()
        assert store._reader is not None
        theirs = store._reader._clients.get("secretsmanager", attempts=ATTEMPTS)._request_signer._credentials
        ours = store._wire._clients.get("secretsmanager", attempts=ATTEMPTS)._request_signer._credentials
        assert theirs.method == "assume-role"
        assert ours.method != "assume-role"


def test_reader_has_a_profile_of_its_own(
    aws: SecretsManagerServer, place: Destination, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """A profile of AWS's files says who it is."""
    file = tmp_path / "config"
    file.write_text("[profile consumer]\naws_access_key_id = theirs\naws_secret_access_key = b\n")
    monkeypatch.setenv("AWS_CONFIG_FILE", str(file))
    own = Access(region=REGION, endpoint_url=aws.address)
    with a_store(aws.address, reader=replace(own, profile="consumer")) as store:
        ours = asked_through(store._wire)
        assert store._reader is not None
        theirs = asked_through(store._reader)
        assert store.confirm(place, OWNER).content == Absent()
        assert ours == []
        (authorization,) = theirs
        assert "Credential=theirs/" in authorization
