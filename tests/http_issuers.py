"""The issuers that speak HTTP, against a server of which a test says every byte."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from datetime import timedelta
from pathlib import Path
from typing import Any

from provisioner.domain.mark import Mark
from provisioner.domain.model import CreateRequest, IssuedToken, Permission
from provisioner.domain.secret import SecretText
from provisioner.issuers.influxdb3 import InfluxDB3Issuer
from provisioner.issuers.influxdb_management_api import ManagementApiIssuer
from provisioner.ports.clock import Clock
from provisioner.ports.credential import Presented
from provisioner.ports.issuer import Issuer
from provisioner.runtime.clock import SystemClock
from tests.builders import DAY, NOW, OWNER, uid
from tests.fakes.scripted_server import Asked, Reply, reply

MARK = Mark(OWNER, uid(7))
PERMISSIONS = frozenset({Permission(action="read", resource="mydb"), Permission(action="write", resource="mydb")})
AS_JSON = [{"action": "read", "resource": "mydb"}, {"action": "write", "resource": "mydb"}]
STRING = "apiv3_" + "Zz9-qT4w" * 8
CREDENTIAL = "apiv3_" + "credential" * 6
PATIENCE = timedelta(seconds=10)
KINDS = ("influxdb3", "influxdb-management-api")


@dataclass(frozen=True, slots=True)
class Given:
    """Credentials in order, each with the rotation that made it."""

    in_order: tuple[tuple[str, str | None], ...] = field(default=((CREDENTIAL, None),), repr=False)

    def candidates(self) -> Iterator[Presented]:
        """See the port."""
        for token, rotation_id in self.in_order:
            yield Presented(token=SecretText(token), rotation_id=rotation_id)


def an_issuer(
    kind: str,
    url: str,
    *,
    credential: Given | None = None,
    clock: Clock | None = None,
    timeout: timedelta = PATIENCE,
    ca_cert: Path | None = None,
    query_url: str | None = None,
    query_database: str | None = None,
) -> Issuer:
    """Give one of the two, called with a token of its own."""
    common: dict[str, Any] = {
        "name": "site",
        "url": url,
        "credential": credential or Given(),
        "ca_cert": ca_cert,
        "timeout": timeout,
        "clock": clock or SystemClock(),
    }
    if kind == "influxdb3":
        return InfluxDB3Issuer(**common)
    return ManagementApiIssuer(**common, query_url=query_url, query_database=query_database)


def a_request(clock: Clock | None = None) -> CreateRequest:
    """Give what the engine would ask for: a token for a day."""
    now = clock.now() if clock else NOW
    return CreateRequest(
        mark=MARK, description=MARK.described("Telegraf"), ttl=DAY, expires_at=now + DAY, permissions=PERMISSIONS
    )


def a_target(**changes: Any) -> IssuedToken:
    """Give the token to revoke or amend, as it was listed."""
    values: dict[str, Any] = {"issuer": "site", "token_id": "7", "mark": MARK, "created_at": NOW}
    return IssuedToken(**(values | changes))


OPERATIONS: dict[str, Callable[[Issuer], object]] = {
    "list": lambda issuer: issuer.list(),
    "create": lambda issuer: issuer.create(a_request()),
    "prove": lambda issuer: issuer.prove(SecretText(STRING), "7"),
    "revoke": lambda issuer: issuer.revoke(a_target()),
    "amend": lambda issuer: issuer.amend(a_target(), PERMISSIONS),
    "accepts": lambda issuer: issuer.accepts(SecretText(STRING)),
}
EVERY = [(kind, name) for kind in KINDS for name in OPERATIONS if (kind, name) != ("influxdb3", "amend")]
"""Every operation of either that makes a request."""


def wire_token(kind: str, **changes: Any) -> dict[str, Any]:
    """Give the token as the list has it, in the words of that API."""
    if kind == "influxdb3":
        return {"token_id": 7, "name": str(MARK), "created_at": "2026-06-01T12:00:00.123"} | changes
    description, created_at = MARK.described("Telegraf"), "2026-06-01T12:00:00.123456789Z"
    return {"id": "7", "description": description, "permissions": AS_JSON, "createdAt": created_at} | changes


def minted(kind: str, **changes: Any) -> dict[str, Any]:
    """Give the answer to a create."""
    if kind == "influxdb3":
        times = {"created_at": "2026-06-01T12:00:00.123Z", "expiry": "2026-06-02T12:00:00.123Z"}
        return {"id": 7, "name": str(MARK), "token": STRING, "hash": "0" * 128, **times} | changes
    return wire_token(kind, expiresAt="2026-06-02T12:00:00Z", accessToken=STRING) | changes


def well(kind: str) -> Callable[[Asked], Reply]:
    """Answer everything as a server does that has the one token."""

    def answer(asked: Asked) -> Reply:
        token = wire_token(kind)
        match asked.method:
            case "GET":
                return reply(200, token if asked.path.endswith("/tokens/7") else [token])
            case "POST":
                return reply(201 if kind == "influxdb3" else 200, minted(kind))
            case "PATCH":
                return reply(200, token)
            case _:
                was_created = asked.path.endswith("/7") or asked.query.get("token_name") == str(MARK)
                gone = reply(200) if kind == "influxdb3" else reply(204)
                return gone if was_created else reply(404, "no such token")

    return answer
