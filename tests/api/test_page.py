"""The page on the API names what the OpenAPI document has, and nothing else."""

import re
from pathlib import Path
from typing import Any

from provisioner.domain.by_hand import LONGEST_REQUEST_ID
from tests.api.conftest import Served

PAGE = (Path(__file__).parents[2] / "docs" / "api.md").read_text()


def operations(document: dict[str, Any]) -> set[str]:
    """Give verb and path of everything there is."""
    return {f"{verb.upper()} {path}" for path, verbs in document["paths"].items() for verb in verbs}


def test_every_operation_is_on_the_page(served: Served) -> None:
    """With its verb and path; the document itself is no operation of its own."""
    told = set(re.findall(r"^\| `([A-Z]+ [^`]+)` \|", PAGE, re.MULTILINE))
    for client in (served.tcp, served.unix):
        assert told - {"GET /openapi.json"} == operations(client.get("/openapi.json").json())


def test_every_status_of_the_document_is_on_the_page(served: Served) -> None:
    """And its limits are those of the code."""
    document = served.tcp.get("/openapi.json").json()
    statuses = {
        int(code) for verbs in document["paths"].values() for each in verbs.values() for code in each["responses"]
    }
    rows = {int(code) for code in re.findall(r"\b([45]\d\d)\b", PAGE)}
    assert statuses - {200, 202, 400} <= rows
    assert f"1 to {LONGEST_REQUEST_ID} visible" in PAGE


def test_security_is_told_where_it_is(served: Served) -> None:
    """Write verbs need the token over TCP, and nothing over the socket."""
    over_tcp, over_socket = (client.get("/openapi.json").json() for client in (served.tcp, served.unix))
    for path, verbs in over_tcp["paths"].items():
        for verb, operation in verbs.items():
            assert ("security" in operation) == (verb == "post")
            assert ({"401", "403"} <= set(operation["responses"])) == (verb == "post")
            assert "security" not in over_socket["paths"][path][verb]
            assert not {"401", "403"} & set(over_socket["paths"][path][verb]["responses"])
