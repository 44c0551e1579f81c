"""The simulated API server over real HTTP: who may do what, and in which words it says no."""

from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import httpx
import pytest

from provisioner.simulators.kubernetes_server import NAMESPACE, Asked, Fault, KubernetesServer

LEASES = f"/apis/coordination.k8s.io/v1/namespaces/{NAMESPACE}/leases"
DEPLOYMENT = f"/apis/apps/v1/namespaces/{NAMESPACE}/deployments/telegraf"
PATCH = {"content-type": "application/strategic-merge-patch+json"}
RULES = [
    {"apiGroups": ["apps"], "resources": ["deployments"], "verbs": ["get", "patch"], "resourceNames": ["telegraf"]},
    {"apiGroups": ["coordination.k8s.io"], "resources": ["leases"], "verbs": ["create"], "resourceNames": ["one"]},
]


@pytest.fixture(scope="module")
def running() -> Iterator[KubernetesServer]:
    """Give one server for all."""
    with KubernetesServer() as server:
        server.cluster.add_workload("deployments", NAMESPACE, "telegraf")
        yield server


@pytest.fixture
def server(running: KubernetesServer) -> KubernetesServer:
    """Give it without faults, Roles and memories."""
    running.allow_everything()
    running.asked.clear()
    running.knobs.queues.clear()
    running.knobs.always.clear()
    return running


@pytest.fixture
def client(server: KubernetesServer) -> Iterator[httpx.Client]:
    """Give somebody with the token."""
    with httpx.Client(base_url=server.url, headers={"authorization": f"Bearer {server.token}"}) as client:
        yield client


def reason(answer: httpx.Response) -> tuple[int, Any]:
    """Give code and reason of a Status, which is one in every part."""
    status = answer.json()
    assert (status["kind"], status["apiVersion"], status["status"]) == ("Status", "v1", "Failure")
    assert status["code"] == answer.status_code
    return answer.status_code, status["reason"]


def test_says_what_became_of_each_request(client: httpx.Client) -> None:
    """Created, twice, not found, malformed, not allowed."""
    lease = {"metadata": {"name": "one"}}
    assert client.post(LEASES, json=lease).status_code == 201
    assert reason(client.post(LEASES, json=lease)) == (409, "AlreadyExists")
    assert reason(client.get(f"{LEASES}/two")) == (404, "NotFound")
    assert reason(client.post(LEASES, content=b"{")) == (400, "BadRequest")
    assert reason(client.post(f"{LEASES}/one", json=lease)) == (405, "MethodNotAllowed")
    assert reason(client.patch(DEPLOYMENT, content=b"{}")) == (415, "UnsupportedMediaType")
    assert client.patch(DEPLOYMENT, content=b"{}", headers=PATCH).status_code == 200
    assert client.delete(f"{LEASES}/one").json()["status"] == "Success"


def test_without_the_token_nothing_is_said(server: KubernetesServer) -> None:
    """Whether there is a token or another one."""
    for headers in ({}, {"authorization": "Bearer another"}, {"authorization": f"Basic {server.token}"}):
        assert reason(httpx.get(f"{server.url}{DEPLOYMENT}", headers=headers)) == (401, "Unauthorized")
    assert server.asked == []


def test_a_role_allows_what_it_says_and_no_more(server: KubernetesServer, client: httpx.Client) -> None:
    """Verb, resource, group, name and namespace count; a rule with names allows no create."""
    server.allow_only(RULES)
    assert client.get(DEPLOYMENT).status_code == 200
    assert client.patch(DEPLOYMENT, content=b"{}", headers=PATCH).status_code == 200
    for refused in (
        client.delete(DEPLOYMENT),
        client.get(DEPLOYMENT.replace("telegraf", "other")),
        client.get(DEPLOYMENT.replace(NAMESPACE, "other")),
        client.get(DEPLOYMENT.replace("deployments", "statefulsets")),
        client.get(DEPLOYMENT.removesuffix("/telegraf")),
        client.post(LEASES, json={"metadata": {"name": "one"}}),
    ):
        assert reason(refused) == (403, "Forbidden")
    message = client.delete(DEPLOYMENT).json()["message"]
    user = f"system:serviceaccount:{NAMESPACE}:provisioner"
    assert message == (
        f'deployments.apps "telegraf" is forbidden: User "{user}" cannot delete resource "deployments" in API group'
        f' "apps" in the namespace "{NAMESPACE}"'
    )
    assert server.asked[0] == Asked("get", "apps", "deployments", NAMESPACE, "telegraf")


@pytest.mark.parametrize(
    ("fault", "code", "why"),
    [
        (Fault.GONE, 410, "Expired"),
        (Fault.THROTTLED, 429, "TooManyRequests"),
        (Fault.BROKEN, 500, "InternalError"),
    ],
)
def test_faults_that_answer(server: KubernetesServer, client: httpx.Client, fault: Fault, code: int, why: str) -> None:
    """Once, and only for the verb they were wished for."""
    server.knobs.queues["get"] = [fault]
    assert client.patch(DEPLOYMENT, content=b"{}", headers=PATCH).status_code == 200
    answer = client.get(DEPLOYMENT)
    assert reason(answer) == (code, why)
    assert answer.headers.get("retry-after") == ("1" if fault is Fault.THROTTLED else None)
    assert client.get(DEPLOYMENT).status_code == 200


@pytest.mark.parametrize(("fault", "lands"), [(Fault.UNREACHABLE, False), (Fault.LOST, True)])
def test_faults_that_break_the_connection(
    server: KubernetesServer, client: httpx.Client, fault: Fault, *, lands: bool
) -> None:
    """Before the effect or after it; one account can be cut off by itself."""
    server.knobs.queues["create"] = [fault]
    with pytest.raises(httpx.TransportError):
        client.post(LEASES, json={"metadata": {"name": f"lease-{lands}".lower()}})
    found = client.get(LEASES).json()["items"]
    assert [item["metadata"]["name"] for item in found if item["metadata"]["name"].endswith(str(lands).lower())] == (
        [f"lease-{lands}".lower()] if lands else []
    )
    server.knobs.cut_off.add(server.token)
    with pytest.raises(httpx.TransportError):
        client.get(LEASES)
    server.knobs.cut_off.clear()


@pytest.mark.parametrize(("fault", "lands"), [(Fault.SLOW, True), (Fault.SLOW_BEFORE, False), (Fault.TRICKLING, True)])
def test_faults_that_take_their_time(
    server: KubernetesServer, client: httpx.Client, fault: Fault, *, lands: bool
) -> None:
    """Whoever does not wait has no answer; whether there was an effect is another matter. The next one is answered."""
    server.knobs.queues["create"] = [fault]
    name = fault.name.lower().replace("_", "-")
    with pytest.raises(httpx.TimeoutException):
        begin_to_read(client, {"metadata": {"name": name}})
    assert client.get(f"{LEASES}/{name}").status_code == (200 if lands else 404)


def begin_to_read(client: httpx.Client, sent: dict[str, Any]) -> None:
    """Create a lease, and give up an answer of which some bytes have come and no more than spaces."""
    with client.stream("POST", LEASES, json=sent, timeout=0.4) as answer:
        assert [byte for byte, _ in zip(answer.iter_raw(1), range(3), strict=False)] == [b" "] * 3
        raise httpx.ReadTimeout("it never ends")


def test_a_slow_answer_comes_to_nothing_in_the_end(server: KubernetesServer, client: httpx.Client) -> None:
    """After the time that is set for it."""
    server.knobs.queues["get"] = [Fault.SLOW]
    before, server.knobs.slow = server.knobs.slow, timedelta(milliseconds=50)
    with pytest.raises(httpx.RemoteProtocolError):
        client.get(DEPLOYMENT)
    server.knobs.slow = before


def test_an_answer_that_cannot_be_read_and_one_of_somebody_between(
    server: KubernetesServer, client: httpx.Client
) -> None:
    """Half of an object after the effect; a page in place of an answer that repeats what it was sent, without one."""
    server.knobs.queues["create"] = [Fault.GARBLED, Fault.PAGE]
    garbled = client.post(LEASES, json={"metadata": {"name": "garbled"}})
    assert garbled.status_code == 200
    with pytest.raises(ValueError, match="line 1"):
        garbled.json()
    page = client.post(LEASES, json={"metadata": {"name": "page"}})
    assert (page.status_code, server.token in page.text) == (503, True)
    assert [client.get(f"{LEASES}/{name}").status_code for name in ("garbled", "page")] == [200, 404]


def test_every_fault_is_tried_here(server: KubernetesServer, client: httpx.Client) -> None:
    """One that always happens goes on until it is taken away, for one verb or for all."""
    server.knobs.always = {"get": Fault.BROKEN}
    assert [client.get(DEPLOYMENT).status_code for _ in range(2)] == [500, 500]
    assert client.patch(DEPLOYMENT, content=b"{}", headers=PATCH).status_code == 200
    server.knobs.always = {"*": Fault.GONE}
    assert client.patch(DEPLOYMENT, content=b"{}", headers=PATCH).status_code == 410
    server.knobs.always.clear()
    assert client.get(DEPLOYMENT).status_code == 200
    told = Path(__file__).read_text(encoding="utf-8")
    assert [fault.name for fault in Fault if f"Fault.{fault.name}" not in told] == []
