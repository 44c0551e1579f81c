"""InfluxDB 3 Core's HTTP API as far as tokens go: named admin tokens, and the list of them by SQL.

After InfluxDB's source, 3.10: statuses, texts, keys and their order, and that a null is left out of the answer to SQL.
"""

import base64
import binascii
import json
import re
from collections.abc import Mapping
from datetime import datetime, timedelta
from http import HTTPStatus
from typing import Any, Final

from provisioner.simulators.cluster import OPERATOR, NameTakenError
from provisioner.simulators.cluster_token import ClusterToken, Kind, sha512_of
from provisioner.simulators.http_answers import (
    JSON,
    Answer,
    Asked,
    Dialect,
    RefusalError,
    Route,
    is_json,
    json_answer,
    read_object,
    text_answer,
)

_CREATED: Final = "json"
"""What the answer to a create says instead of application/json."""
_QUERY: Final = re.compile(r"\s*select\s+(?P<columns>\*|[\w\s,]+?)\s+from\s+system\.tokens\s*;?\s*", re.IGNORECASE)
_COLUMNS: Final = (
    "token_id",
    "name",
    "hash",
    "created_at",
    "description",
    "created_by_token_id",
    "updated_at",
    "updated_by_token_id",
    "expiry",
    "permissions",
)
_FORMATS: Final = ("json", "jsonl")


def no(status: int, message: str) -> Answer:
    """Say no: in JSON about authentication, in plain text about all else."""
    is_about_authentication = status in {HTTPStatus.UNAUTHORIZED, HTTPStatus.FORBIDDEN}
    return json_answer({"error": message}, status, None) if is_about_authentication else text_answer(message, status)


def _refuse(status: int, message: str) -> RefusalError:
    return RefusalError(no(status, message))


def presented(asked: Asked) -> str:
    """Give the string with which a request authenticates itself, empty where there is none; raises RefusalError.

    The schemes are written exactly so: ``Bearer X``, ``Token X``, ``Basic base64(anybody:X)``.
    """
    header = asked.headers.get("authorization")
    if header is None:
        return ""
    match header.split(" "):
        case ["Bearer" | "Token", string] if string:
            return string
        case ["Basic", encoded]:
            try:
                return base64.b64decode(encoded, validate=True).decode().partition(":")[2]
            except (binascii.Error, UnicodeDecodeError):
                pass
        case _:
            pass
    message = (
        "Authorization header was malformed, the request was not in the form of "
        "'Authorization: <auth-scheme> <token>', supported auth-schemes are Bearer, Token and Basic"
    )
    raise RefusalError(json_answer({"error": message}, HTTPStatus.BAD_REQUEST, None))


def _authenticate(asked: Asked) -> ClusterToken:
    caller = asked.cluster.authenticated(presented(asked))
    if caller is None or caller.kind is not Kind.ADMIN:
        raise _refuse(HTTPStatus.UNAUTHORIZED, "the request was not authenticated")
    return caller


def _create_operator(asked: Asked) -> Answer:
    if asked.cluster.named(OPERATOR) is not None:
        raise _refuse(HTTPStatus.CONFLICT, f"token name already exists, {OPERATOR}")
    return _created(*asked.cluster.generate_operator(asked.cluster.now()))


def _regenerate(asked: Asked) -> Answer:
    if asked.cluster.named(OPERATOR) is None:
        raise _refuse(HTTPStatus.INTERNAL_SERVER_ERROR, "missing admin token, cannot update")
    return _created(*asked.cluster.generate_operator(asked.cluster.now()))


def _create(asked: Asked) -> Answer:
    content = _content(asked)
    name, seconds = content.get("token_name"), content.get("expiry_secs")
    if not isinstance(name, str):
        raise _refuse(HTTPStatus.BAD_REQUEST, "serde error: missing field `token_name`")
    expires_at = None if seconds is None else _expiry(asked.cluster.now(), seconds)
    if asked.cluster.take("forget_expiry"):
        expires_at = None
    try:
        token, string = asked.cluster.create(name, expires_at, kind=Kind.ADMIN)
    except NameTakenError:
        raise _refuse(HTTPStatus.CONFLICT, f"token name already exists, {name}") from None
    return _created(token, string)


def _created(token: ClusterToken, string: str) -> Answer:
    document = {
        "id": int(token.token_id),
        "name": token.description,
        "token": string,
        "hash": sha512_of(string),
        "created_at": _instant(token.created_at),
        "expiry": _instant(token.expires_at) if token.expires_at else None,
    }
    return json_answer(document, HTTPStatus.CREATED, _CREATED)


def _expiry(now: datetime, seconds: object) -> datetime | None:
    """Give when it ends; what no calendar holds is for ever, as in the real one."""
    if not isinstance(seconds, int) or isinstance(seconds, bool) or seconds < 0:
        raise _refuse(HTTPStatus.BAD_REQUEST, "serde error: invalid value for `expiry_secs`, expected u64")
    try:
        return now + timedelta(seconds=seconds)
    except OverflowError:
        return None


def _delete(asked: Asked) -> Answer:
    name = asked.query.get("token_name")
    if name is None:
        raise _refuse(HTTPStatus.BAD_REQUEST, "serde error: missing field `token_name`")
    if name == OPERATOR:
        raise _refuse(HTTPStatus.METHOD_NOT_ALLOWED, "cannot delete operator token")
    token = asked.cluster.named(name)
    if token is None:
        raise _refuse(HTTPStatus.NOT_FOUND, f"the requested resource was not found: {name}")
    asked.cluster.revoke(token.token_id)
    return Answer()


def _query_of_url(asked: Asked) -> Answer:
    return _query(asked, asked.query)


def _query_of_body(asked: Asked) -> Answer:
    return _query(asked, _content(asked))


def _query(asked: Asked, parameters: Mapping[str, Any]) -> Answer:
    for needed in ("db", "q"):
        if not isinstance(parameters.get(needed), str):
            raise _refuse(HTTPStatus.BAD_REQUEST, f"serde error: missing field `{needed}`")
    if parameters["db"] != "_internal":
        raise _refuse(HTTPStatus.NOT_FOUND, f"database not found: {parameters['db']}")
    form = parameters.get("format") or "json"
    if form not in _FORMATS:
        raise _refuse(HTTPStatus.BAD_REQUEST, f"the simulator answers in {' or '.join(_FORMATS)}")
    columns = _selected(parameters["q"])
    listed = (token for token in asked.cluster.tokens(Kind.ADMIN) if token.revoked_at is None)
    rows = [{key: value for key, value in _row(token).items() if key in columns} for token in listed]
    if form == "json":
        return json_answer(rows)
    return Answer(body="".join(f"{json.dumps(row)}\n" for row in rows).encode(), headers={"content-type": JSON})


def _selected(statement: str) -> tuple[str, ...]:
    """Give the columns that a statement names; it is the only one that the simulator knows."""
    understood = _QUERY.fullmatch(statement)
    if understood is None:
        raise _refuse(HTTPStatus.BAD_REQUEST, "the simulator knows SELECT <columns or *> FROM system.tokens")
    if understood["columns"] == "*":
        return _COLUMNS
    columns = tuple(column.strip() for column in understood["columns"].split(","))
    unknown = [column for column in columns if column not in _COLUMNS]
    if unknown:
        raise _refuse(HTTPStatus.BAD_REQUEST, f"Schema error: No field named {unknown[0]!r}")
    return columns


def _row(token: ClusterToken) -> dict[str, object]:
    """Give one token as SQL shows it: nulls are left out, and times have no zone."""
    row: dict[str, object] = {
        "token_id": int(token.token_id),
        "name": token.description,
        "hash": token.short_hash,
        "created_at": _zoneless(token.created_at),
    }
    expiry: dict[str, object] = {"expiry": _zoneless(token.expires_at)} if token.expires_at else {}
    return row | expiry | {"permissions": "*:*:*"}


def _content(asked: Asked) -> dict[str, Any]:
    if not is_json(asked):
        raise _refuse(HTTPStatus.UNSUPPORTED_MEDIA_TYPE, "unacceptable content-type, expected: application/json")
    try:
        return read_object(asked)
    except ValueError as error:
        raise _refuse(HTTPStatus.BAD_REQUEST, f"serde error: {error}") from None


def _instant(moment: datetime) -> str:
    return f"{moment:%Y-%m-%dT%H:%M:%S}.{moment.microsecond // 1000:03}Z"


def _zoneless(moment: datetime) -> str:
    """Give a time as Arrow prints it: without a zone, and without a fraction of nought."""
    return moment.replace(tzinfo=None).isoformat(timespec="milliseconds" if moment.microsecond else "seconds")


def _health(asked: Asked) -> Answer:
    del asked
    return text_answer("OK")


def _ping(asked: Asked) -> Answer:
    document = {
        "product_name": "InfluxDB 3 Core",
        "version": "3.10.0",
        "revision": "simulated",
        "process_id": asked.cluster.instance(),
    }
    answer = json_answer(document)
    return Answer(
        body=answer.body, headers={**answer.headers, "x-influxdb-version": "3.10.0", "x-influxdb-build": "Core"}
    )


_DIALECT: Final = Dialect(authenticate=_authenticate, no=no, names_instance=True)
_TOKEN: Final = "/api/v3/configure/token"  # noqa: S105  # a path
_SQL: Final = ("/api/v3/query_sql",)
ROUTES: Final = (
    Route(methods=("POST",), paths=(f"{_TOKEN}/admin",), dialect=_DIALECT, effect=_create_operator, is_open=True),
    Route(methods=("POST",), paths=(f"{_TOKEN}/admin/regenerate",), dialect=_DIALECT, effect=_regenerate),
    Route(methods=("POST",), paths=(f"{_TOKEN}/named_admin",), dialect=_DIALECT, effect=_create, operation="create"),
    Route(methods=("DELETE",), paths=(_TOKEN,), dialect=_DIALECT, effect=_delete, operation="revoke"),
    Route(methods=("GET",), paths=_SQL, dialect=_DIALECT, effect=_query_of_url, operation="list"),
    Route(methods=("POST",), paths=_SQL, dialect=_DIALECT, effect=_query_of_body, operation="list"),
    Route(methods=("GET",), paths=("/health", "/api/v1/health"), dialect=_DIALECT, effect=_health),
    Route(methods=("GET", "POST"), paths=("/ping",), dialect=_DIALECT, effect=_ping),
)
