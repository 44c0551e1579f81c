"""What an HTTP request to the simulated cluster holds, what it is answered, and which route it takes."""

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from http import HTTPStatus
from typing import Any, Final

from provisioner.simulators.cluster import Cluster
from provisioner.simulators.cluster_token import ClusterToken

JSON: Final = "application/json"


@dataclass(frozen=True, slots=True, kw_only=True)
class Asked:
    """One request."""

    cluster: Cluster
    headers: Mapping[str, str]
    """Found by their names in any case."""
    query: Mapping[str, str]
    path: Mapping[str, str]
    """What stands in the places of the route's path."""
    body: bytes = field(repr=False)


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """One answer."""

    status: int = HTTPStatus.OK
    body: bytes = field(default=b"", repr=False)
    headers: Mapping[str, str] = field(default_factory=dict)


class RefusalError(Exception):
    """A request that is answered with no."""

    def __init__(self, answer: Answer) -> None:
        """Take the answer."""
        super().__init__(answer.status)
        self.answer = answer


@dataclass(frozen=True, slots=True, kw_only=True)
class Dialect:
    """What the routes of one API have in common."""

    authenticate: Callable[[Asked], ClusterToken]
    """Give who asks; raises RefusalError."""
    no: Callable[[int, str], Answer]
    """Say no as this API does."""
    names_instance: bool = False
    """Whether every answer holds the cluster's UUID."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Route:
    """What one kind of request does."""

    methods: tuple[str, ...]
    paths: tuple[str, ...]
    dialect: Dialect
    effect: Callable[[Asked], Answer]
    """Do what is asked, by somebody who may; raises RefusalError."""
    operation: str = ""
    """``create``, ``list`` or ``revoke``: which knobs concern it."""
    is_open: bool = False
    """Whether it needs no token."""


def json_answer(document: object, status: int = HTTPStatus.OK, content_type: str | None = JSON) -> Answer:
    """Answer with JSON."""
    headers = {"content-type": content_type} if content_type else {}
    return Answer(status=status, body=json.dumps(document).encode(), headers=headers)


def text_answer(text: str, status: int = HTTPStatus.OK) -> Answer:
    """Answer with plain text."""
    return Answer(status=status, body=text.encode(), headers={"content-type": "text/plain; charset=utf-8"})


def is_json(asked: Asked) -> bool:
    """Tell whether a request says that its body is JSON."""
    return asked.headers.get("content-type", "").partition(";")[0].strip().lower() == JSON


def read_object(asked: Asked) -> dict[str, Any]:
    """Read the JSON object that a body is; raises ValueError."""
    content = json.loads(asked.body)
    if not isinstance(content, dict):
        raise ValueError("invalid type: expected an object")  # noqa: TRY004  # one error for every useless body
    return content
