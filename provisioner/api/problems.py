"""Every error as ``application/problem+json`` (RFC 9457), in our own words alone."""

from collections.abc import Mapping, Sequence
from http import HTTPStatus
from typing import Any, Final

from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from pydantic import BaseModel, ConfigDict, Field
from starlette.exceptions import HTTPException
from starlette.responses import JSONResponse, Response

from provisioner.api.view import UnknownTokenError
from provisioner.domain.by_hand import NotTakenError, RequestDiffersError
from provisioner.domain.scrub import LONGEST_PLAIN_WORD, scrub

MEDIA_TYPE: Final = "application/problem+json"
_KIND: Final = "urn:token-provisioner:problem:"
_MOST_SHOWN: Final = 20
RETRY_AFTER: Final = "2"


class Flaw(BaseModel):
    """One thing that is wrong with a request."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    where: str
    what: str


class Problem(BaseModel):
    """Why a request was not answered as was wished."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    type: str = Field(description="Names the kind of problem; about:blank where the status says it all.")
    title: str
    status: int
    detail: str
    errors: list[Flaw] | None = None


def problem(
    status: int,
    detail: str,
    *,
    kind: str | None = None,
    errors: Sequence[Flaw] | None = None,
    headers: Mapping[str, str] | None = None,
) -> Response:
    """Give the answer to a request that was not carried out."""
    told = Problem(
        type="about:blank" if kind is None else f"{_KIND}{kind}",
        title=HTTPStatus(status).phrase,
        status=status,
        detail=detail,
        errors=None if errors is None else list(errors),
    )
    content = told.model_dump(mode="json", exclude_none=True)
    return JSONResponse(content, status_code=status, headers=dict(headers or {}), media_type=MEDIA_TYPE)


def answer_problems(app: FastAPI) -> None:
    """Let an application answer so whatever goes wrong in it."""

    def http(_: Request, error: Exception) -> Response:
        status, headers = (error.status_code, error.headers) if isinstance(error, HTTPException) else (500, None)
        return problem(status, _DETAILS.get(status, HTTPStatus(status).phrase.lower()), headers=headers)

    def unknown(_: Request, error: Exception) -> Response:
        return problem(404, str(error), kind="unknown-token")

    def differs(_: Request, error: Exception) -> Response:
        return problem(409, scrub(str(error)), kind="request-id-used-before")

    def not_taken(_: Request, error: Exception) -> Response:
        retry = {"Retry-After": RETRY_AFTER}
        return problem(503, str(error), kind="not-taken", headers=retry)

    app.add_exception_handler(HTTPException, http)
    app.add_exception_handler(RequestValidationError, _invalid)
    app.add_exception_handler(UnknownTokenError, unknown)
    app.add_exception_handler(RequestDiffersError, differs)
    app.add_exception_handler(NotTakenError, not_taken)
    app.add_exception_handler(Exception, lambda _, __: broken())


def broken() -> Response:
    """Give the answer to a request over which our own code trips: it tells nothing."""
    return problem(500, "this is a bug: the log says where", kind="bug")


_DETAILS: Final[Mapping[int, str]] = {
    404: "there is nothing at this address: see /openapi.json",
    405: "this address has no such verb: see the header Allow",
    400: "the request cannot be read as JSON",
}


def _invalid(_: Request, error: Exception) -> Response:
    found = error.errors() if isinstance(error, RequestValidationError) else []
    flaws = [Flaw(where=_where(each.get("loc", ())), what=_what(each)) for each in found[:_MOST_SHOWN]]
    return problem(422, "the request is not as it has to be", kind="invalid", errors=flaws)


def _where(place: Sequence[Any]) -> str:
    """Name the place; a key that nobody knows may be anything."""
    return scrub(".".join(map(str, place)), longest_word=LONGEST_PLAIN_WORD)


def _what(flaw: Mapping[str, Any]) -> str:
    """Say what is wrong in the words of the kind of flaw, which hold nothing of what was sent."""
    text = str(flaw.get("msg", "")) if flaw.get("type") in _PLAIN else str(flaw.get("type", "")).replace("_", " ")
    return scrub(text, longest_word=LONGEST_PLAIN_WORD)


_PLAIN: Final = frozenset(
    {
        "value_error",
        "missing",
        "extra_forbidden",
        "string_too_long",
        "string_too_short",
        "string_type",
        "bool_type",
        "bool_parsing",
        "too_long",
    }
)
"""Kinds whose words are pydantic's own or ours."""
