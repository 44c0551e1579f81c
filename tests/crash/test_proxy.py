"""The proxy itself: what it passes on, what it does at a request and when, and how it cuts."""

from collections.abc import Iterator
from threading import Event

import hvac
import pytest
import requests

from provisioner.domain.model import Destination
from provisioner.simulators.openbao import OpenBao
from tests.crash.proxy import Proxy, a_proxy, cut


@pytest.fixture
def proxy(openbao: OpenBao) -> Iterator[Proxy]:
    """Give a proxy to the real server."""
    with a_proxy(openbao.port) as proxy:
        yield proxy


@pytest.fixture
def client(proxy: Proxy, openbao: OpenBao) -> Iterator[hvac.Client]:
    """Give a client that goes through the proxy."""
    client = hvac.Client(url=proxy.address, token=openbao.root_token.reveal())
    yield client
    client.session.close()


def write(client: hvac.Client, place: Destination, value: int) -> None:
    """Write a version."""
    client.secrets.kv.v2.create_or_update_secret(path=place.path, secret={"value": value})


def value_of(client: hvac.Client, place: Destination) -> int:
    """Read what is stored."""
    answer = client.secrets.kv.v2.read_secret_version(path=place.path, raise_on_deleted_version=True)
    value: int = answer["data"]["data"]["value"]
    return value


def test_passes_on_what_it_is_given(client: hvac.Client, proxy: Proxy, place: Destination) -> None:
    """Bodies, statuses and errors come through, also when there is no content; paths are noted."""
    write(client, place, 1)
    assert value_of(client, place) == 1
    client.secrets.kv.v2.delete_metadata_and_all_versions(place.path)
    with pytest.raises(hvac.exceptions.InvalidPath):
        value_of(client, place)
    data = f"/v1/secret/data/{place.path}"
    assert proxy.requests == [
        f"POST {data}",
        f"GET {data}",
        f"DELETE /v1/secret/metadata/{place.path}",
        f"GET {data}",
    ]


@pytest.mark.parametrize("answered", [True, False])
def test_cuts_before_or_after_the_effect(
    client: hvac.Client, proxy: Proxy, place: Destination, root: hvac.Client, *, answered: bool
) -> None:
    """The second write is cut, and has had its effect only where the server has answered."""
    write(client, place, 0)
    happened = proxy.at("POST", place.path, cut, answered=answered, count=2)
    write(client, place, 1)
    assert not happened.is_set()
    with pytest.raises(requests.exceptions.ConnectionError):
        write(client, place, 2)
    assert happened.is_set()
    assert value_of(root, place) == (2 if answered else 1)
    write(client, place, 3)
    assert value_of(client, place) == 3


def test_acts_may_do_anything(client: hvac.Client, proxy: Proxy, place: Destination) -> None:
    """An act that does not cut lets the request go on."""
    done = Event()
    proxy.at("POST", place.path, done.set, answered=True)
    write(client, place, 1)
    assert done.is_set()
    assert value_of(client, place) == 1


def test_a_severed_network(client: hvac.Client, proxy: Proxy, place: Destination) -> None:
    """Nothing passes until it is mended."""
    write(client, place, 1)
    proxy.sever()
    for _ in range(2):
        with pytest.raises(requests.exceptions.ConnectionError):
            write(client, place, 2)
    proxy.mend()
    assert value_of(client, place) == 1


def test_a_server_that_is_not_there(openbao: OpenBao, place: Destination) -> None:
    """The connection is cut, as it would be on the way."""
    with a_proxy(1) as proxy:
        client = hvac.Client(url=proxy.address, token=openbao.root_token.reveal())
        with pytest.raises(requests.exceptions.ConnectionError):
            value_of(client, place)
        client.session.close()
