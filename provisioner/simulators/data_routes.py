"""The data plane, as far as it tells whether a token opens a database: reading by InfluxQL, writing by line protocol.

No data is kept. A database token needs a permission; an admin token opens everything, as in InfluxDB 3.
"""

from collections.abc import Callable
from http import HTTPStatus
from typing import Final

from provisioner.simulators.cluster_token import ClusterToken, Kind
from provisioner.simulators.http_answers import Answer, Asked, Dialect, RefusalError, Route, json_answer
from provisioner.simulators.influxdb3_routes import presented

_OPENING: Final = frozenset({Kind.DATABASE, Kind.ADMIN})
_CODES: Final[dict[int, str]] = {HTTPStatus.UNAUTHORIZED: "unauthorized", HTTPStatus.FORBIDDEN: "forbidden"}


def _no(status: int, message: str) -> Answer:
    """Say no, as the routes that come from version 1 do."""
    return json_answer({"error": message}, status)


def _no_of_version_2(status: int, message: str) -> Answer:
    return json_answer({"code": _CODES.get(status, "invalid"), "message": message}, status)


def _opened_by(dialect_no: Callable[[int, str], Answer], action: str, place: str) -> Callable[[Asked], ClusterToken]:
    """Authenticate those who may do that to the database which a parameter names."""

    def authenticate(asked: Asked) -> ClusterToken:
        string = asked.query["p"] if "p" in asked.query and place == "db" else presented(asked)
        caller = asked.cluster.authenticated(string)
        if caller is None or caller.kind not in _OPENING:
            raise RefusalError(dialect_no(HTTPStatus.UNAUTHORIZED, "unauthorized access"))
        database = asked.query.get(place)
        if not database:
            raise RefusalError(dialect_no(HTTPStatus.BAD_REQUEST, f"missing required parameter {place}"))
        if not caller.may(action, database):
            raise RefusalError(dialect_no(HTTPStatus.FORBIDDEN, "insufficient permissions"))
        return caller

    return authenticate


def _query(asked: Asked) -> Answer:
    if not asked.query.get("q"):
        raise RefusalError(_no(HTTPStatus.BAD_REQUEST, "missing required parameter q"))
    return json_answer({"results": [{"statement_id": 0}]})


def _writes(dialect_no: Callable[[int, str], Answer]) -> Callable[[Asked], Answer]:
    def write(asked: Asked) -> Answer:
        if not asked.body.strip():
            raise RefusalError(dialect_no(HTTPStatus.BAD_REQUEST, "no lines to write"))
        return Answer(status=HTTPStatus.NO_CONTENT)

    return write


ROUTES: Final = (
    Route(
        methods=("GET",),
        paths=("/query",),
        dialect=Dialect(authenticate=_opened_by(_no, "read", "db"), no=_no, names_instance=True),
        effect=_query,
    ),
    Route(
        methods=("POST",),
        paths=("/write",),
        dialect=Dialect(authenticate=_opened_by(_no, "write", "db"), no=_no, names_instance=True),
        effect=_writes(_no),
    ),
    Route(
        methods=("POST",),
        paths=("/api/v2/write",),
        dialect=Dialect(
            authenticate=_opened_by(_no_of_version_2, "write", "bucket"), no=_no_of_version_2, names_instance=True
        ),
        effect=_writes(_no_of_version_2),
    ),
)
