"""The API against its own OpenAPI document: schemathesis makes requests of all kinds, and judges the answers."""

from typing import Any

import httpx
import pytest
import schemathesis
from hypothesis import HealthCheck, given, settings
from schemathesis import Case, GenerationMode
from schemathesis.checks import not_a_server_error
from schemathesis.specs.openapi.checks import (
    allow_header_conformance,
    content_type_conformance,
    response_headers_conformance,
    response_schema_conformance,
    status_code_conformance,
)

from tests.api.conftest import API_TOKEN, Served
from tests.fakes.view import NAMES

CHECKS: list[Any] = [
    not_a_server_error,
    status_code_conformance,
    content_type_conformance,
    allow_header_conformance,
    response_headers_conformance,
    response_schema_conformance,
]
EXAMPLES = 12
WAYS = ("tcp", "tcp with the token", "socket")


def send(client: httpx.Client, case: Case[Any], headers: dict[str, str]) -> httpx.Response:
    """Send what was made up, by a way of ours."""
    sent = case.as_transport_kwargs(base_url=str(client.base_url), headers=headers)
    body = {key: sent[key] for key in ("json", "data", "params", "headers", "cookies") if sent.get(key) is not None}
    if isinstance(body.get("data"), str | bytes):
        body["content"] = body.pop("data")
    return client.request(sent["method"], sent["url"], **body)


def documented(document: dict[str, Any], *, with_body: bool) -> set[str]:
    """Give verb and path of every operation, or of those that take a body alone."""
    return {
        f"{verb.upper()} {path}"
        for path, verbs in document["paths"].items()
        for verb, operation in verbs.items()
        if "requestBody" in operation or not with_body
    }


@pytest.mark.filterwarnings("ignore")  # of schemathesis itself, which is not ours to mend
@pytest.mark.parametrize("mode", list(GenerationMode), ids=lambda mode: mode.value)
@pytest.mark.parametrize("way", WAYS)
def test_answers_are_what_the_document_says(served: Served, way: str, mode: GenerationMode) -> None:
    """Status, type and schema of every answer stand in the document, whatever was sent; without the token no wish.

    Every operation of the document has its turn, with the same requests in every run.
    """
    headers = {"Authorization": f"Bearer {API_TOKEN if way == WAYS[1] else 'wrong'}"}
    served.view.token = API_TOKEN
    client = served.unix if way == "socket" else served.tcp
    answered: dict[str, list[int]] = {}
    document = client.get("/openapi.json").json()
    for result in schemathesis.openapi.from_dict(document).get_all_operations():
        operation = result.ok()  # type: ignore[union-attr]  # where the document is broken this fails, as it should
        if mode is GenerationMode.NEGATIVE and not operation.body:
            continue  # whatever is sent in an address is a text, as it should be
        known: dict[str, Any] = (
            {"path_parameters": {"name": NAMES[0]}} if operation.label.endswith("{name}/rotate") else {}
        )

        @settings(
            max_examples=EXAMPLES,
            derandomize=True,
            deadline=None,
            database=None,
            suppress_health_check=list(HealthCheck),
        )
        @given(case=operation.as_strategy(generation_mode=mode, **known))
        def call(case: Case[Any]) -> None:
            answer = send(client, case, headers)
            answered.setdefault(case.operation.label, []).append(answer.status_code)
            case.validate_response(answer, checks=CHECKS)

        call()
    assert set(answered) == documented(document, with_body=mode is GenerationMode.NEGATIVE)
    writes = {status for label, statuses in answered.items() if label.startswith("POST") for status in statuses}
    assert writes
    if way == "tcp":
        assert writes == {401}
        assert served.view.wishes == []
    elif mode is GenerationMode.POSITIVE:
        assert 202 in writes
