"""Proves a database token by using it on a database: it reads where it may, else it writes nothing at all.

Facts: ``GET /query`` and ``POST /api/v2/write`` take a database token as a bearer; both answer 401 to a token that
nobody knows (yet) and 404 to a database that is not there; an empty body is answered 204 or 400, once authenticated.
"""

from http import HTTPStatus
from typing import Final

from provisioner.domain.errors import CredentialRefusedError, IssuerRefusedError
from provisioner.domain.model import Permission
from provisioner.domain.secret import SecretText
from provisioner.issuers.http_api import HttpApi
from provisioner.issuers.http_call import DONE, Call

_ALL: Final = "*"
_READ: Final = "read"
_DOING: Final = "proving a token"
_RIGHT: Final = "to be a database token"
_JUDGED: Final = frozenset({HTTPStatus.BAD_REQUEST, HTTPStatus.FORBIDDEN, HTTPStatus.NOT_FOUND})


class DatabaseProof:
    """One shared HTTP client for where databases are queried."""

    def __init__(self, api: HttpApi, *, issuer: str, database: str | None) -> None:
        """Take where databases are queried, and one of them for tokens that may use them all."""
        self._api, self._issuer, self._database = api, issuer, database

    def works(self, token: SecretText, permissions: frozenset[Permission]) -> bool:
        """Use the token once; False when it is refused: not yet, or no longer."""
        reads = {permission.resource for permission in permissions if permission.action == _READ}
        named = {permission.resource for permission in permissions} - {_ALL}
        database = next(iter(sorted(named if _ALL in reads else (reads or named) - {_ALL})), self._database)
        if database is None:
            raise IssuerRefusedError(f"{_DOING} at {self._issuer} needs a database to try it on: name query_database")
        call = _reading(database) if reads or not permissions else _writing_nothing(database)
        try:
            answer = self._api.ask(call, token)
        except CredentialRefusedError:
            return False
        if answer.status == HTTPStatus.NOT_FOUND:
            raise IssuerRefusedError(
                f"{_DOING} at {self._issuer}: there is no database {database}: create it, or name another one in "
                "query_database, and see whether query_url is right"
            )
        if answer.status == HTTPStatus.BAD_REQUEST and reads:
            raise IssuerRefusedError(f"{_DOING} at {self._issuer}: the query was refused (400): is query_url right?")
        return answer.status != HTTPStatus.FORBIDDEN

    def close(self) -> None:
        """Close the connections."""
        self._api.close()


def _reading(database: str) -> Call:
    query = {"db": database, "q": "SHOW MEASUREMENTS LIMIT 1"}
    return Call(doing=_DOING, method="GET", path="/query", query=query, right=_RIGHT, handled=_JUDGED)


def _writing_nothing(database: str) -> Call:
    query = {"bucket": database}
    return Call(
        doing=_DOING,
        method="POST",
        path="/api/v2/write",
        query=query,
        content=b"",
        right=_RIGHT,
        good=DONE,
        handled=_JUDGED,
    )
