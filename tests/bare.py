"""What the tests of ``format: raw`` share: each backend with its store, its people, its consumers and its deaths."""

from collections.abc import Iterator
from contextlib import AbstractContextManager, closing, contextmanager
from dataclasses import dataclass
from typing import Any, Protocol
from uuid import uuid4

import hvac
import requests
from requests.adapters import HTTPAdapter

from provisioner.domain.model import Destination, Format
from provisioner.ports.store import Store
from provisioner.simulators.openbao import OpenBao
from provisioner.stores.vault import VaultStore
from tests import aws, vault
from tests.aws import Died, Person


class Backend(Protocol):
    """One kind of store, as the tests drive it."""

    def store(self) -> AbstractContextManager[Store]:
        """Give a store of a new process."""

    def die_at(self, store: Any, call: int, *, after: bool) -> None:
        """Let its process die before, or right after the effect of, its so-manyth request from now on."""

    def revive(self, store: Any) -> None:
        """Let it live on, as a process does whose request failed."""

    def put(self, path: str, token: str) -> None:
        """Write a bare token by hand."""

    def consumed(self, path: str) -> str | None:
        """Give the bare string that consumers read; None when they read JSON."""

    def roll_back(self, path: str) -> None:
        """Make the predecessor the current one."""

    def beside(self, path: str) -> dict[str, str]:
        """Give the tags or the metadata."""

    def change(self, path: str, texts: dict[str, str | None]) -> None:
        """Put tags or metadata by hand; None takes one away."""


def a_bare_place(kind: str = "raw", **changes: Any) -> Destination:
    """Give a path of its own."""
    return Destination(store="bare", path=f"bare/{uuid4()}", format=Format(kind), **changes)


@dataclass(slots=True)
class InVault:
    """Vault, as OpenBao."""

    server: OpenBao
    root: hvac.Client

    @contextmanager
    def store(self) -> Iterator[Store]:
        """See the protocol."""
        with vault.a_store(self.server.address, vault.root_login(self.server)) as store:
            store._mount_is_known = True
            yield store

    def die_at(self, store: Any, call: int, *, after: bool) -> None:
        """See the protocol."""
        assert isinstance(store, VaultStore)
        store._wire.session.mount("http://", _DyingAdapter(call, after=after))

    def revive(self, store: Any) -> None:
        """See the protocol."""
        store._wire.session.mount("http://", HTTPAdapter())

    def put(self, path: str, token: str) -> None:
        """See the protocol."""
        self.root.secrets.kv.v2.create_or_update_secret(path=path, secret={"token": token}, mount_point="secret")

    def consumed(self, path: str) -> str | None:
        """See the protocol."""
        data = self._read(path)["data"]
        return str(data["token"]) if set(data) == {"token"} else None

    def roll_back(self, path: str) -> None:
        """See the protocol."""
        version = self._read(path)["metadata"]["version"] - 1
        old = self.root.secrets.kv.v2.read_secret_version(
            path=path, version=version, mount_point="secret", raise_on_deleted_version=True
        )["data"]["data"]
        self.root.secrets.kv.v2.create_or_update_secret(path=path, secret=old, mount_point="secret")

    def beside(self, path: str) -> dict[str, str]:
        """See the protocol."""
        return dict(self._read(path)["metadata"]["custom_metadata"] or {})

    def change(self, path: str, texts: dict[str, str | None]) -> None:
        """See the protocol."""
        headers = {"Content-Type": "application/merge-patch+json"}
        self.root.adapter.request(
            "patch", f"/v1/secret/metadata/{path}", json={"custom_metadata": texts}, headers=headers
        )

    def _read(self, path: str) -> Any:
        return self.root.secrets.kv.v2.read_secret_version(
            path=path, mount_point="secret", raise_on_deleted_version=True
        )["data"]


@dataclass(slots=True)
class InAws:
    """AWS Secrets Manager, by whoever plays it."""

    address: str
    person: Person

    def store(self) -> AbstractContextManager[Store]:
        """See the protocol."""
        return aws.a_store(self.address)

    def die_at(self, store: Any, call: int, *, after: bool) -> None:
        """See the protocol."""
        aws.die_at(store, call, after=after)

    def revive(self, store: Any) -> None:
        """See the protocol."""
        store._wire._clients = store._wire._clients._real

    def put(self, path: str, token: str) -> None:
        """See the protocol."""
        self.person.put(path, token)

    def consumed(self, path: str) -> str | None:
        """See the protocol."""
        text = str(self.person.client.get_secret_value(SecretId=path, VersionStage="AWSCURRENT")["SecretString"])
        return None if text.startswith("{") else text

    def roll_back(self, path: str) -> None:
        """See the protocol."""
        versions = [
            self.person.client.get_secret_value(SecretId=path, VersionStage=stage)["VersionId"]
            for stage in ("AWSCURRENT", "AWSPREVIOUS")
        ]
        self.person.move(path, *versions)

    def beside(self, path: str) -> dict[str, str]:
        """See the protocol."""
        tags = self.person.client.describe_secret(SecretId=path).get("Tags", [])
        return {tag["Key"]: tag["Value"] for tag in tags}

    def change(self, path: str, texts: dict[str, str | None]) -> None:
        """See the protocol."""
        put = [{"Key": key, "Value": value} for key, value in texts.items() if value is not None]
        if put:
            self.person.client.tag_resource(SecretId=path, Tags=put)
        taken = [key for key, value in texts.items() if value is None]
        if taken:
            self.person.client.untag_resource(SecretId=path, TagKeys=taken)


@contextmanager
def in_aws(address: str) -> Iterator[Backend]:
    """Give AWS with a person there."""
    with closing(Person(address)) as person:
        yield InAws(address, person)


class _DyingAdapter(HTTPAdapter):
    """The way out of a process that dies before, or right after, its so-manyth request."""

    def __init__(self, call: int, *, after: bool) -> None:
        super().__init__()
        self._left, self._after = call, after

    def send(self, request: requests.PreparedRequest, *args: Any, **options: Any) -> requests.Response:
        self._left -= 1
        if self._left == 0 and not self._after:
            raise Died
        response = super().send(request, *args, **options)
        if self._left == 0:
            raise Died
        return response
