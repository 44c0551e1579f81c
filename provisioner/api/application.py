"""The routes, and the OpenAPI document that tells the truth about them."""

from collections.abc import Mapping
from typing import Annotated, Any, Final
from uuid import uuid4

from fastapi import APIRouter, FastAPI, Header, Query, Response
from fastapi.openapi.utils import get_openapi
from starlette.responses import HTMLResponse, JSONResponse
from starlette.types import ASGIApp

from provisioner.api.guard import Guard
from provisioner.api.models import (
    FactsAnswer,
    RotateDemand,
    RotateSeveralDemand,
    Rotation,
    RotationAnswer,
    RotationsAnswer,
    TokenAnswer,
    TokensAnswer,
)
from provisioner.api.page import POLICY, page
from provisioner.api.problems import MEDIA_TYPE, Problem, answer_problems, problem
from provisioner.api.view import HTTP, UnknownTokenError, View
from provisioner.domain.by_hand import LONGEST_REQUEST_ID

_PROBLEM: Final = {MEDIA_TYPE: {"schema": {"$ref": "#/components/schemas/Problem"}}}
_WHY: Final = {
    400: "the request cannot be read",
    401: "the token is missing or wrong",
    403: "no token is configured: there are no write verbs",
    404: "there is no such token or rotation",
    408: "the body did not arrive in time",
    409: "the request id stands for another wish",
    413: "the body is too large",
    415: "the body is not application/json",
    422: "the request is not as it has to be",
    500: "a bug; the answer tells nothing of it",
    503: "not by this process, or not now: stopping, or too much to do",
}
_ALWAYS: Final = (400, 500)
_OF_WRITES: Final = (404, 408, 409, 413, 415, 422, 503)
_OF_THE_TOKEN: Final = (401, 403)


def create_app(view: View, *, via: str) -> ASGIApp:
    """Give the application of one listener. Over ``http`` write verbs need the token; over ``socket`` they do not."""
    from importlib.metadata import version

    app = FastAPI(
        title="token-provisioner",
        version=version("token-provisioner"),
        summary="Where tokens stand, and rotation by hand",
        docs_url=None,
        redoc_url=None,
        openapi_url=None,
        redirect_slashes=False,
    )
    answer_problems(app)
    app.include_router(_about_the_process(view))
    app.include_router(_reads(view))
    app.include_router(_writes(view, via))
    document = _document(app, via)

    @app.get("/openapi.json", include_in_schema=False)
    async def openapi() -> JSONResponse:
        return JSONResponse(document)

    return Guard(app, token=view.api_token if via == HTTP else None)


def _document(app: FastAPI, via: str) -> dict[str, Any]:
    document = get_openapi(title=app.title, version=app.version, summary=app.summary, routes=app.routes)
    components = document.setdefault("components", {})
    problem_schema = Problem.model_json_schema(ref_template="#/components/schemas/{model}")
    components["schemas"] |= problem_schema.pop("$defs") | {"Problem": problem_schema}
    for unused in ("HTTPValidationError", "ValidationError"):
        components["schemas"].pop(unused, None)
    if via == HTTP:
        components["securitySchemes"] = {"token": {"type": "http", "scheme": "bearer"}}
        for operations in document["paths"].values():
            if "post" in operations:
                operations["post"]["security"] = [{"token": []}]
    return document


def _answers(*statuses: int) -> dict[int | str, dict[str, Any]]:
    """Say which problems an operation may answer with."""
    return {status: {"description": _WHY[status], "content": _PROBLEM} for status in sorted({*statuses, *_ALWAYS})}


def _about_the_process(view: View) -> APIRouter:
    router = APIRouter(tags=["process"])

    def facts(response: Response, answer: FactsAnswer) -> FactsAnswer:
        response.status_code = 200 if answer.ok else 503
        return answer

    unwell: dict[int | str, dict[str, Any]] = _answers() | {503: {"description": "no", "model": FactsAnswer}}

    @router.get("/healthz", responses=unwell)
    async def healthz(response: Response) -> FactsAnswer:
        """Tell whether the process lives and its scheduler beats."""
        return facts(response, FactsAnswer.of(view.health()))

    @router.get("/readyz", responses=unwell)
    async def readyz(response: Response) -> FactsAnswer:
        """Tell whether the configuration is loaded, and all tokens were looked at or another replica leads."""
        return facts(response, FactsAnswer.of(view.readiness()))

    metrics_answer: Mapping[str, Any] = {"content": {"text/plain": {"schema": {"type": "string"}}}}

    @router.get("/metrics", response_class=Response, responses=_answers() | {200: {**metrics_answer}})
    async def metrics(accept: Annotated[str, Header(include_in_schema=False)] = "") -> Response:
        """Give the metrics, for Prometheus."""
        body, content_type = view.metrics(accept)
        return Response(body, headers={"Content-Type": content_type})

    @router.get("/", response_class=HTMLResponse, responses=_answers())
    def status_page() -> HTMLResponse:
        """Give the status page, for people."""
        text = page(view.instance(), view.standings(), view.readiness())
        return HTMLResponse(text, headers={"Content-Security-Policy": POLICY})

    return router


def _reads(view: View) -> APIRouter:
    router = APIRouter(prefix="/v1", tags=["tokens"])

    @router.get("/tokens", responses=_answers())
    def tokens() -> TokensAnswer:
        """Tell where every token stands: as ``provisioner status --output json``, at the last look."""
        return TokensAnswer(instance=view.instance(), tokens=[TokenAnswer.of(each) for each in view.standings()])

    @router.get("/tokens/{name}", responses=_answers(404, 422))
    def token(name: str) -> TokenAnswer:
        """Tell where one token stands."""
        found = [each for each in view.standings() if each.status.name == name]
        if not found:
            raise UnknownTokenError("no token of this name is configured")
        return TokenAnswer.of(found[0])

    @router.get("/rotations", responses=_answers(422))
    def rotations(request_id: Annotated[str | None, Query(max_length=LONGEST_REQUEST_ID)] = None) -> RotationsAnswer:
        """Give the rotations that were asked of this process, the last first; those of one request, if it is given."""
        wanted = [each for each in view.rotations() if request_id in {None, each.wish.request_id}]
        return RotationsAnswer(rotations=[Rotation.of(each) for each in wanted])

    @router.get("/rotations/{id}", responses=_answers(404, 422), response_model=RotationAnswer)
    def rotation(id: str) -> RotationAnswer | Response:  # noqa: A002  # the name in the address
        """Tell how far a rotation is: which phases began and ended, and what came of it."""
        found = view.rotation(id)
        if found is None:
            return problem(
                404,
                "no such rotation was asked of this process since it began, or stands in a record",
                kind="unknown-rotation",
            )
        return RotationAnswer(rotation=Rotation.of(found))

    return router


def _writes(view: View, via: str) -> APIRouter:
    router = APIRouter(prefix="/v1", tags=["rotation by hand"])
    may_answer = _answers(*_OF_WRITES, *(_OF_THE_TOKEN if via == HTTP else ()))

    @router.post("/tokens/{name}/rotate", status_code=202, responses=may_answer)
    def rotate(name: str, demand: RotateDemand | None = None) -> RotationAnswer:
        """Rotate one token now. Sent again with the same ``request_id`` it is the same rotation."""
        (chosen,) = view.select([name], {})
        (asked,) = view.ask([chosen], (demand or RotateDemand()).wish(str(uuid4()), via))
        return RotationAnswer(rotation=Rotation.of(asked))

    @router.post("/rotations", status_code=202, responses=may_answer)
    def rotate_several(demand: RotateSeveralDemand) -> RotationsAnswer:
        """Rotate several tokens, at most ``reconcile.concurrency`` at a time; each as by itself."""
        if not demand.names and not demand.selector and not demand.all:
            raise UnknownTokenError("nothing is chosen: give names, a selector, or all")
        chosen = view.select(dict.fromkeys(demand.names), demand.selector)
        asked = view.ask(chosen, demand.wish(str(uuid4()), via))
        return RotationsAnswer(rotations=[Rotation.of(each) for each in asked])

    return router
