"""What is answered, by whom writes are taken, and that every refusal is a problem in our own words."""

import json
import logging
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import httpx
import pytest

from provisioner.api.models import Rotation
from provisioner.domain.by_hand import ByHand, Wish
from tests.api.conftest import API_TOKEN, Served
from tests.builders import NOW
from tests.fakes.view import NAMES
from tests.leaks.search import PATTERNED, PLAIN, assert_untold

VERBS = ("GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS", "TRACE", "PROPFIND", "LOCK", "X")


def is_problem(answer: httpx.Response) -> bool:
    """Tell whether an answer is a problem of its own status."""
    return (
        answer.headers["content-type"] == "application/problem+json" and answer.json()["status"] == answer.status_code
    )


def test_with_the_token_and_over_the_socket_a_wish_is_taken(served: Served) -> None:
    """202 and the rotation, followed at its address; the same request is the same rotation, another body 409."""
    headers, body = served.with_token(), {"request_id": "r1", "reason": "why", "requested_by": "alice"}
    answer = served.tcp.post("/v1/tokens/telegraf/rotate", headers=headers, json=body)
    assert answer.status_code == 202
    rotation = answer.json()["rotation"]
    assert (rotation["name"], rotation["via"], rotation["requested_by"]) == ("telegraf", "http", "alice")
    again = served.unix.post("/v1/rotations", json={**body, "names": ["telegraf"]})
    assert [each["id"] for each in again.json()["rotations"]] == [rotation["id"]]
    assert served.tcp.get(f"/v1/rotations/{rotation['id']}").json()["rotation"]["id"] == rotation["id"]
    found = served.tcp.get("/v1/rotations", params={"request_id": "r1"}).json()["rotations"]
    assert [each["id"] for each in found] == [rotation["id"]]
    assert served.tcp.get("/v1/rotations", params={"request_id": "none"}).json() == {"rotations": []}
    differs = served.unix.post("/v1/tokens/telegraf/rotate", json={**body, "reason": "another"})
    assert (differs.status_code, is_problem(differs)) == (409, True)
    empty = served.unix.post("/v1/tokens/grafana/rotate")
    assert empty.status_code == 202
    assert empty.json()["rotation"]["request_id"]
    every = served.unix.post("/v1/rotations", json={"all": True, "request_id": "r2"})
    assert [each["name"] for each in every.json()["rotations"]] == list(NAMES)
    one = served.unix.post("/v1/rotations", json={"selector": {"team": "grafana"}})
    assert [each["name"] for each in one.json()["rotations"]] == ["grafana"]


REFUSED: dict[str, tuple[Callable[[httpx.Client], httpx.Response], int]] = {
    "unknown name": (lambda client: client.post("/v1/tokens/nobody/rotate"), 404),
    "unknown names": (lambda client: client.post("/v1/rotations", json={"names": ["nobody"]}), 404),
    "nothing chosen": (lambda client: client.post("/v1/rotations", json={}), 404),
    "no body": (lambda client: client.post("/v1/rotations"), 422),
    "unknown key": (lambda client: client.post("/v1/rotations", json={"all": True, "force": True}), 422),
    "a flag that is none": (lambda client: client.post("/v1/rotations", json={"all": "perhaps"}), 422),
    "a long reason": (lambda client: client.post("/v1/rotations", json={"all": True, "reason": "x" * 301}), 422),
    "two lines": (lambda client: client.post("/v1/rotations", json={"all": True, "reason": "x\ny"}), 422),
    "an id with a blank": (lambda client: client.post("/v1/rotations", json={"all": True, "request_id": "a b"}), 422),
    "an empty id": (lambda client: client.post("/v1/rotations", json={"all": True, "request_id": ""}), 422),
    "no JSON": (
        lambda client: client.post("/v1/rotations", content=b"{", headers={"content-type": "application/json"}),
        422,
    ),
    "another kind": (lambda client: client.post("/v1/rotations", content=b"a=b"), 415),
    "a form": (lambda client: client.post("/v1/rotations", data={"all": "true"}), 415),
    "too large": (lambda client: client.post("/v1/rotations", json={"names": ["x" * 70_000]}), 413),
    "too large in pieces": (lambda client: client.post("/v1/rotations", content=iter([b"x" * 40_000] * 2)), 413),
    "another verb": (lambda client: client.delete("/v1/rotations"), 405),
    "no such path": (lambda client: client.post("/v1/nothing"), 404),
    "no such rotation": (lambda client: client.get("/v1/rotations/x"), 404),
    "a long query": (lambda client: client.get("/v1/rotations", params={"request_id": "x" * 201}), 422),
}


@pytest.mark.parametrize("how", REFUSED)
def test_what_is_wrong_is_a_problem(served: Served, how: str) -> None:
    """With its status, over the socket and over TCP with the token alike, and nothing is asked for."""
    send, status = REFUSED[how]
    served.tcp.headers.update(served.with_token())
    try:
        for client in (served.unix, served.tcp):
            answer = send(client)
            assert (answer.status_code, is_problem(answer)) == (status, True), answer.text
    finally:
        del served.tcp.headers["Authorization"]
    assert served.view.wishes == []


def test_a_way_that_nobody_knows_is_not_told() -> None:
    """A record may say anything of how somebody asked."""
    asked = ByHand(id="i", name="telegraf", wish=Wish(request_id="r", via="telnet"), asked_at=NOW)
    assert Rotation.of(asked).via is None
    assert Rotation.of(replace(asked, wish=Wish(request_id="r", via="direct"))).via == "direct"


def test_a_wish_that_is_not_taken_is_to_be_sent_again(served: Served) -> None:
    """503, to be tried again elsewhere; reads are served."""
    served.view.is_leaving = True
    answer = served.unix.post("/v1/tokens/telegraf/rotate")
    assert (answer.status_code, is_problem(answer)) == (503, True)
    assert answer.json()["type"] == "urn:token-provisioner:problem:not-taken"
    assert answer.headers["retry-after"]
    assert served.tcp.get("/v1/tokens").status_code == 200


def test_probes_say_what_is_not_well(served: Served) -> None:
    """200 with the facts, or 503 with the facts."""
    assert served.tcp.get("/healthz").json() == {"ok": True, "facts": {"scheduler_beats": True}}
    served.view.well = False
    for path in ("/healthz", "/readyz"):
        answer = served.tcp.get(path)
        assert (answer.status_code, answer.json()["ok"]) == (503, False)


def test_status_page_loads_nothing_and_escapes_everything(served: Served) -> None:
    """No script, no address, a policy that allows its one style alone."""
    answer = served.tcp.get("/")
    assert "default-src 'none'" in answer.headers["content-security-policy"]
    assert "'unsafe-inline'" not in answer.headers["content-security-policy"]
    assert "&lt;b&gt;telegraf" in answer.text
    for word in ("<script", "src=", "href=", "http:", "<b>telegraf</b></td><td>vault"):
        assert word not in answer.text.replace("http-equiv", "")


@pytest.mark.parametrize("secret", [PATTERNED, PLAIN], ids=["patterned", "plain"])
def test_bug_tells_nothing(served: Served, secret: str, caplog: pytest.LogCaptureFixture) -> None:
    """Neither the answer nor the log has the text of an error that nobody expected; the next request is answered."""
    served.view.trips = KeyError(secret)
    with caplog.at_level(logging.DEBUG):
        answer = served.tcp.get("/v1/tokens")
    assert (answer.status_code, is_problem(answer)) == (500, True)
    assert_untold(secret, answer.text, caplog.text)
    served.view.trips = None
    assert served.tcp.get("/v1/tokens").status_code == 200


def answers_to(served: Served, secret: str) -> list[Any]:
    """Send a secret in every part of a request; give all that is answered."""
    headers = served.with_token()
    sent = [
        {"all": True, "reason": f"it was {secret}"},
        {"all": True, "requested_by": secret},
        {"all": True, "request_id": secret},
        {"all": True, secret: 1},
        {"names": [secret]},
        {"selector": {secret: secret}},
        {"all": secret},
        {"all": True, "compromised": secret, "reason": {"token": secret}},
        [secret],
        secret,
    ]
    answers = [served.tcp.post("/v1/rotations", json=body, headers=headers) for body in sent]
    answers += [served.tcp.post(f"/v1/tokens/{secret}/rotate", headers=headers)]
    answers += [served.tcp.get(f"/v1/{part}/{secret}") for part in ("tokens", "rotations", secret)]
    answers += [
        served.tcp.request(verb, "/v1/rotations", headers={"Authorization": f"Bearer {secret}"}) for verb in VERBS
    ]
    answers += [served.tcp.get("/v1/rotations", params={"request_id": secret * 9})]
    return [*answers, served.tcp.get("/v1/rotations"), served.tcp.get("/")]


def test_secret_that_somebody_sends_is_told_to_nobody(served: Served, caplog: pytest.LogCaptureFixture) -> None:
    """A token pasted into a reason, a name, a key or a header is in no answer and no log line."""
    secret = PATTERNED.replace("/", "x").replace("+", "y")
    with caplog.at_level(logging.DEBUG):
        answers = answers_to(served, secret)
    assert_untold(secret, *(answer.text for answer in answers), *(str(answer.headers) for answer in answers))
    logged = [each.getMessage() for each in caplog.records if not each.name.startswith(("httpx", "httpcore"))]
    assert_untold(secret, *logged, json.dumps([str(wish) for wish in served.view.wishes]))
    assert_untold(API_TOKEN, *(answer.text for answer in answers), *logged)
