"""The Store port's promises, kept by the fake and by the real thing alike."""

from collections.abc import Iterator
from contextlib import closing
from uuid import uuid4

import hvac
import pytest

from provisioner.domain.model import Destination, Format
from provisioner.runtime.clock import SystemClock
from provisioner.simulators.openbao import OpenBao
from provisioner.stores.vault import VaultStore
from provisioner.stores.vault_auth import TokenLogin
from provisioner.testing.store import StoreBench, StoreContract
from tests.aws import Person, a_store
from tests.fakes.clock import FakeClock
from tests.fakes.staged_store import StagedStore
from tests.fakes.store import FakeStore


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
def bench(request: pytest.FixtureRequest) -> Iterator[StoreBench]:
    """Give each store, a path of this test alone, in JSON or raw, and a person there."""
    format_ = Format.RAW if "raw" in request.param else Format.JSON
    place = Destination(store="vault", path=f"contract/{uuid4()}", format=format_)
    match request.param:
        case "fake":
            fake = FakeStore(FakeClock())
            yield StoreBench(
                store=fake,
                place=place,
                put_by_hand=lambda path, document: fake.put_by_hand(path, dict(document)),
                delete_by_hand=fake.delete_newest,
            )
        case "staged":
            staged = StagedStore(FakeClock())
            yield StoreBench(
                store=staged.process(0),
                place=place,
                put_by_hand=lambda path, document: staged.put_by_hand(path, dict(document)),
                delete_by_hand=staged.delete_newest,
            )
        case "vault" | "vault, raw":
            yield from on_vault(request, place)
        case _:
            yield from on_aws(request, place)


def on_aws(request: pytest.FixtureRequest, place: Destination) -> Iterator[StoreBench]:
    """Give AWS Secrets Manager, by moto or by the project's own simulator."""
    request.getfixturevalue("aws_identity")
    address = request.getfixturevalue("moto" if "moto" in request.param else "aws").address
    person = Person(address)
    with closing(person), a_store(address) as store:
        yield StoreBench(
            store=store,
            place=place,
            put_by_hand=lambda path, document: person.put(path, dict(document)),
            delete_by_hand=person.delete,
        )


def on_vault(request: pytest.FixtureRequest, place: Destination) -> Iterator[StoreBench]:
    """Give Vault, as OpenBao."""
    server: OpenBao = request.getfixturevalue("openbao")
    client = hvac.Client(url=server.address, token=server.root_token.reveal())
    kv = client.secrets.kv.v2
    login = TokenLogin(token=lambda: server.root_token)
    store = VaultStore(name="vault", address=server.address, mount="secret", login=login, clock=SystemClock())
    with closing(store), closing(client.session):
        yield StoreBench(
            store=store,
            place=place,
            put_by_hand=lambda path, document: kv.create_or_update_secret(
                path=path, secret=dict(document), mount_point="secret"
            ),
            delete_by_hand=lambda path: kv.delete_latest_version_of_secret(path=path, mount_point="secret"),
        )


class TestStore(StoreContract):
    """Every store of ours, by the suite that others run over theirs."""
