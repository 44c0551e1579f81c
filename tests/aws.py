"""What the tests of the AWS store share: servers that play AWS, stores on them, people, and processes that die."""

import http.client
import json
import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from datetime import timedelta
from functools import cache
from pathlib import Path
from types import SimpleNamespace, TracebackType
from typing import Any, Self
from uuid import uuid4

import boto3
from botocore.config import Config

from provisioner.runtime.clock import SystemClock
from provisioner.simulators.openbao import free_port
from provisioner.simulators.secrets_manager import SimulatedSecret
from provisioner.simulators.secrets_manager_server import SecretsManagerServer
from provisioner.stores.aws_access import Access, Clients, Service
from provisioner.stores.aws_secrets_manager import AwsSecretsManagerStore
from provisioner.stores.aws_writing import NewSecrets

ACCESS_KEY = "AKIAIOSFODNN7EXAMPLE"
SECRET_KEY = "wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY"
REGION = "eu-west-1"
KEY = "alias/ours"
_READY_WITHIN = timedelta(seconds=30)


class Moto:
    """moto's server on a free port: AWS as other people simulate it."""

    def __init__(self) -> None:
        """Choose a port; nothing is started yet."""
        self._port = free_port()
        self.address = f"http://127.0.0.1:{self._port}"

    def __enter__(self) -> Self:
        """Start it and wait until it answers."""
        self._process = subprocess.Popen(
            [str(Path(sys.executable).parent / "moto_server"), "-H", "127.0.0.1", "-p", str(self._port)],
            env={"PATH": os.defpath},
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        clock = SystemClock()
        deadline = clock.monotonic() + _READY_WITHIN.total_seconds()
        while not self._answers():
            assert self._process.poll() is None, "moto's server has ended"
            assert clock.monotonic() < deadline, "moto's server does not answer"
            clock.sleep(timedelta(milliseconds=50))
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Stop it."""
        self._process.kill()
        self._process.wait()

    def _answers(self) -> bool:
        connection = http.client.HTTPConnection("127.0.0.1", self._port, timeout=1)
        try:
            connection.request("GET", "/moto-api/")
            return connection.getresponse().status < 500
        except OSError:
            return False
        finally:
            connection.close()


@cache
def shared_session() -> boto3.Session:
    """Give one session for all: each new one reads AWS's descriptions of its services for a fifth of a second."""
    return boto3.Session(region_name=REGION, aws_access_key_id=ACCESS_KEY, aws_secret_access_key=SECRET_KEY)


@contextmanager
def a_store(address: str | None, **changes: Any) -> Iterator[AwsSecretsManagerStore]:
    """Give a store that is closed at the end; with an ``access`` of its own it begins a session of its own."""
    own = changes.pop("access", None)
    access = own or Access(region=REGION, endpoint_url=address)
    values: dict[str, Any] = {
        "name": "aws",
        "access": access,
        "clock": SystemClock(),
        "fresh_id": lambda: str(uuid4()),
        "new_secrets": NewSecrets(),
        "writes_per_second": 1000.0,
        "timeout": timedelta(seconds=2),
    } | changes
    with closing(AwsSecretsManagerStore(**values)) as store:
        if own is None:
            store._wire._clients._session = shared_session()
        yield store


class Person:
    """Somebody at the console, and what a consumer reads, through a client of their own."""

    def __init__(self, address: str) -> None:
        """Take which AWS."""
        config = Config(retries={"total_max_attempts": 1})
        self.client = shared_session().client("secretsmanager", endpoint_url=address, config=config)

    def put(self, name: str, value: dict[str, object] | str) -> str:
        """Write a value and make it the current one, as people do; give its version."""
        text = value if isinstance(value, str) else json.dumps(value)
        try:
            current = self.client.get_secret_value(SecretId=name, VersionStage="AWSCURRENT")["VersionId"]
        except self.client.exceptions.ResourceNotFoundException:
            return str(self.client.create_secret(Name=name, SecretString=text)["VersionId"])
        # in two steps: what moto does to the labels in one is not what AWS does
        new = self.client.put_secret_value(SecretId=name, SecretString=text, VersionStages=["BYHAND"])["VersionId"]
        self.move(name, current, new)
        return str(new)

    def move(self, name: str, old: str, new: str) -> None:
        """Move AWSCURRENT, as a roll-back does."""
        self.client.update_secret_version_stage(
            SecretId=name, VersionStage="AWSCURRENT", MoveToVersionId=new, RemoveFromVersionId=old
        )

    def delete(self, name: str) -> None:
        """Delete it, with a recovery window."""
        self.client.delete_secret(SecretId=name, RecoveryWindowInDays=7)

    def reads(self, name: str, stage: str = "AWSCURRENT") -> dict[str, Any]:
        """Give what a consumer of that label reads."""
        value: dict[str, Any] = json.loads(
            self.client.get_secret_value(SecretId=name, VersionStage=stage)["SecretString"]
        )
        return value

    def close(self) -> None:
        """Close the connections."""
        self.client.close()


METHODS = (
    "create_secret",
    "describe_secret",
    "get_secret_value",
    "put_secret_value",
    "restore_secret",
    "tag_resource",
    "untag_resource",
    "update_secret_version_stage",
)


class Died(BaseException):
    """The process has died: nothing of the store may catch it."""


class _DyingClients(Clients):
    """The clients of a process that dies before, or right after, its so-manyth request."""

    def __init__(self, real: Clients, call: int, *, after: bool) -> None:
        """Take when it dies."""
        self._real, self._left, self._after = real, call, after

    def get(self, service: Service, *, attempts: int) -> Any:
        """Give a client through which one dies."""
        client = self._real.get(service, attempts=attempts)
        return SimpleNamespace(**{name: self._dying(getattr(client, name)) for name in METHODS})

    def close(self) -> None:
        """Close the connections."""
        self._real.close()

    def _dying(self, method: Callable[..., Any]) -> Callable[..., Any]:
        def call(**arguments: Any) -> Any:
            self._left -= 1
            if self._left == 0 and not self._after:
                raise Died
            answer = method(**arguments)
            if self._left == 0:
                raise Died
            return answer

        return call


def die_at(store: AwsSecretsManagerStore, call: int, *, after: bool) -> None:
    """Let the process die before, or right after the effect of, its so-manyth request from now on."""
    store._wire._clients = _DyingClients(store._wire._clients, call, after=after)


def secret_of(server: SecretsManagerServer, name: str) -> SimulatedSecret:
    """Give a secret as the simulator has it."""
    return server.service.secrets[name]


def labels(server: SecretsManagerServer, name: str) -> dict[str, set[str]]:
    """Give the versions that have labels, with them."""
    return {key: version.stages for key, version in secret_of(server, name).versions.items() if version.stages}
