"""The management HTTP API of InfluxDB Clustered and Cloud Dedicated: database tokens, for holders of a management one.

After InfluxData's OpenAPI documents. Undocumented, and chosen here: descriptions need not be unique; what is revoked
stays listed and cannot be revoked or changed again (404, 409); times have nine digits after the point.
"""

from collections.abc import Callable
from datetime import UTC, datetime
from http import HTTPStatus
from typing import Any, Final

from provisioner.simulators.cluster_token import ClusterToken, Kind, Permission
from provisioner.simulators.http_answers import (
    Answer,
    Asked,
    Dialect,
    RefusalError,
    Route,
    is_json,
    json_answer,
    read_object,
)

_BASES: Final = ("/api/v0", "/api/v0/accounts/{account}/clusters/{cluster}")
"""The specification's style, and that of InfluxData's own programs."""
_ACTIONS: Final = frozenset({"read", "write"})


def no(status: int, message: str) -> Answer:
    """Say no."""
    return json_answer({"code": status, "message": message}, status)


def _refuse(status: int, message: str) -> RefusalError:
    return RefusalError(no(status, message))


def _authenticate(asked: Asked) -> ClusterToken:
    scheme, _, string = asked.headers.get("authorization", "").partition(" ")
    caller = asked.cluster.authenticated(string) if scheme == "Bearer" else None
    if caller is None or caller.kind is not Kind.MANAGEMENT:
        raise _refuse(HTTPStatus.UNAUTHORIZED, "unauthorized")
    return caller


def _databases(asked: Asked) -> Answer:
    del asked
    return json_answer([])


def _list(asked: Asked) -> Answer:
    return json_answer([_entry(token, asked) for token in asked.cluster.tokens(Kind.DATABASE)])


def _create(asked: Asked) -> Answer:
    content = _content(asked)
    description, permissions = _description(content.get("description")), _permissions(content.get("permissions", []))
    expires_at = _moment(content["expiresAt"]) if content.get("expiresAt") is not None else None
    if asked.cluster.take("forget_expiry"):
        expires_at = None
    token, string = asked.cluster.create(description, expires_at, kind=Kind.DATABASE, permissions=permissions)
    return json_answer(_entry(token, asked) | {"accessToken": string})


def _read(asked: Asked) -> Answer:
    return json_answer(_entry(_found(asked), asked))


def _edit(asked: Asked) -> Answer:
    content = _content(asked)
    if "expiresAt" in content:
        raise _refuse(HTTPStatus.BAD_REQUEST, "expiresAt cannot be changed")
    if content.keys().isdisjoint({"description", "permissions"}):
        raise _refuse(HTTPStatus.BAD_REQUEST, "description or permissions are required")
    token = _found(asked)
    if token.revoked_at is not None:
        raise _refuse(HTTPStatus.CONFLICT, "token is revoked")
    edited = asked.cluster.edit(
        token.token_id,
        description=_description(content["description"]) if "description" in content else None,
        permissions=_permissions(content["permissions"]) if "permissions" in content else None,
    )
    return json_answer(_entry(edited or token, asked))


def _revoke(asked: Asked) -> Answer:
    token = _found(asked)
    if token.revoked_at is not None:
        raise _refuse(HTTPStatus.NOT_FOUND, "token not found")
    asked.cluster.revoke(token.token_id)
    return Answer(status=HTTPStatus.NO_CONTENT)


def _found(asked: Asked) -> ClusterToken:
    token = asked.cluster.find(Kind.DATABASE, asked.path["token_id"])
    if token is None:
        raise _refuse(HTTPStatus.NOT_FOUND, "token not found")
    return token


def _entry(token: ClusterToken, asked: Asked) -> dict[str, object]:
    """Give the documented object; keys without a value are left out, and Dedicated's path names two more."""
    entry: dict[str, object] = {
        "id": token.token_id,
        "description": token.description,
        "permissions": [
            {"action": permission.action, "resource": permission.resource} for permission in token.permissions
        ],
    }
    if "account" in asked.path:
        entry |= {"accountId": asked.path["account"], "clusterId": asked.path["cluster"]}
    times = {"createdAt": token.created_at, "expiresAt": token.expires_at, "revokedAt": token.revoked_at}
    return entry | {key: _time(moment) for key, moment in times.items() if moment is not None}


def _content(asked: Asked) -> dict[str, Any]:
    if not is_json(asked):
        raise _refuse(HTTPStatus.BAD_REQUEST, "the body must be JSON")
    try:
        return read_object(asked)
    except ValueError as error:
        raise _refuse(HTTPStatus.BAD_REQUEST, f"invalid JSON: {error}") from None


def _description(value: object) -> str:
    if not isinstance(value, str) or not value:
        raise _refuse(HTTPStatus.BAD_REQUEST, "description must be a non-empty string")
    return value


def _permissions(value: object) -> tuple[Permission, ...]:
    if not isinstance(value, list):
        raise _refuse(HTTPStatus.BAD_REQUEST, "permissions must be an array")
    return tuple(_permission(entry) for entry in value)


def _permission(entry: object) -> Permission:
    match entry:
        case {"action": str(action), "resource": str(resource)} if action in _ACTIONS and resource:
            return Permission(action=action, resource=resource)
        case _:
            raise _refuse(HTTPStatus.BAD_REQUEST, "a permission has an action, read or write, and a resource")


def _moment(text: object) -> datetime:
    try:
        moment = datetime.fromisoformat(str(text))
    except ValueError:
        raise _refuse(HTTPStatus.BAD_REQUEST, "expiresAt must be an RFC 3339 time") from None
    if moment.tzinfo is None:
        raise _refuse(HTTPStatus.BAD_REQUEST, "expiresAt must have a zone")
    return moment.astimezone(UTC)


def _time(moment: datetime) -> str:
    return f"{moment:%Y-%m-%dT%H:%M:%S.%f}000Z"


def _route(method: str, path: str, effect: Callable[[Asked], Answer], operation: str = "") -> Route:
    return Route(
        methods=(method,),
        paths=tuple(base + path for base in _BASES),
        dialect=_DIALECT,
        effect=effect,
        operation=operation,
    )


_DIALECT: Final = Dialect(authenticate=_authenticate, no=no)
ROUTES: Final = (
    _route("GET", "/databases", _databases),
    _route("GET", "/tokens", _list, "list"),
    _route("POST", "/tokens", _create, "create"),
    _route("GET", "/tokens/{token_id}", _read),
    _route("PATCH", "/tokens/{token_id}", _edit),
    _route("DELETE", "/tokens/{token_id}", _revoke, "revoke"),
)
