"""InfluxDB 3 Core and Enterprise: named admin tokens over HTTP.

Facts (source of 3.9 and 3.10): names are unique and the one way to delete a token; expiries are asked for in seconds;
expired tokens stay listed, and keep their names, until they are deleted; tokens are listed by SQL, in times without a
zone that are UTC, and null columns are left out; the answer to a create has the content type ``json``.
"""

import uuid
from dataclasses import replace
from datetime import timedelta
from http import HTTPStatus
from pathlib import Path
from typing import Final

from provisioner.domain.errors import (
    CredentialRefusedError,
    IssuerRefusedError,
    IssuerUnavailableError,
    TokenUnreadableError,
)
from provisioner.domain.mark import Mark
from provisioner.domain.model import CreateRequest, IssuedToken, Listing, MintedToken, Permission
from provisioner.domain.secret import SecretText
from provisioner.issuers.credential import authorised
from provisioner.issuers.http_answer import Answer
from provisioner.issuers.http_api import HttpApi
from provisioner.issuers.http_call import CREATED, DONE, Call
from provisioner.issuers.http_tokens import minted, understood
from provisioner.issuers.token_json import ParsedToken, array_of_tokens
from provisioner.ports.clock import Clock
from provisioner.ports.credential import Credential, Presented

_TOKENS: Final = "/api/v3/configure/token"
_RIGHT: Final = "the rights of an admin token"
_LIST: Final = Call(
    doing="listing tokens",
    method="GET",
    path="/api/v3/query_sql",
    query={
        "db": "_internal",
        "format": "json",
        "q": "SELECT token_id, name, created_at, expiry FROM system.tokens",
    },
    right=_RIGHT,
)
_HARMLESS: Final = replace(_LIST, handled=frozenset({HTTPStatus.FORBIDDEN}))


class InfluxDB3Issuer:
    """The Issuer port over HTTP. A token's name is its mark and nothing else: any other name is foreign."""

    def __init__(
        self,
        *,
        name: str,
        url: str,
        credential: Credential,
        ca_cert: Path | None,
        timeout: timedelta,
        clock: Clock,
    ) -> None:
        """Take where it is and what to call it with; nothing is asked yet."""
        self._name, self._credential = name, credential
        self._api = HttpApi(name=name, url=url, ca_cert=ca_cert, timeout=timeout, clock=clock)

    @property
    def name(self) -> str:
        """The name the configuration gives it."""
        return self._name

    def list(self) -> Listing:
        """List every token by one query; expired ones are there until they are deleted."""
        return authorised(self._credential, self._listed)

    def create(self, request: CreateRequest) -> MintedToken:
        """Create one token; its string is in the answer alone.

        A name that is taken, though nobody else could know it, means that an earlier answer was lost on the way.
        """
        call = Call(
            doing="creating a token",
            method="POST",
            path=f"{_TOKENS}/named_admin",
            right=_RIGHT,
            body={"token_name": str(request.mark), "expiry_secs": int(request.ttl.total_seconds())},
            has_effect=True,
            good=CREATED,
            handled=frozenset({HTTPStatus.CONFLICT}),
        )
        answer = authorised(self._credential, lambda presented: self._ask_about_tokens(call, presented.token))
        place = f"creating a token at {self._name}"
        if answer.status == HTTPStatus.CONFLICT:
            raise TokenUnreadableError(f"{place}: it is there already, its answer was lost; the token will be revoked")
        return minted(answer, self._api.server_clock, place)

    def prove(self, token: SecretText, token_id: str) -> bool:
        """List with it."""
        del token_id
        try:
            answer = self._api.ask(replace(_HARMLESS, doing="proving a token"), token)
        except CredentialRefusedError:
            return False
        if answer.status == HTTPStatus.FORBIDDEN:
            return False
        self._tokens_of(answer, "proving a token")
        return True

    def revoke(self, token: IssuedToken) -> None:
        """Delete it by its name; what is not there is gone when it is not listed either."""
        place = f"revoking {token.token_id} at {self._name}"
        if token.mark is None:
            raise IssuerRefusedError(f"{place}: it has no mark of ours, and foreign tokens are never revoked")
        call = Call(
            doing=f"revoking {token.token_id}",
            method="DELETE",
            path=_TOKENS,
            right=_RIGHT,
            query={"token_name": str(token.mark)},
            has_effect=True,
            good=DONE,
            handled=frozenset({HTTPStatus.NOT_FOUND}),
        )
        answer = authorised(self._credential, lambda presented: self._ask_about_tokens(call, presented.token))
        if answer.status == HTTPStatus.NOT_FOUND and any(token.mark == other.mark for other in self.list().tokens):
            raise IssuerUnavailableError(f"{place}: it was not found, and is listed all the same: it is tried again")

    def amend(self, token: IssuedToken, permissions: frozenset[Permission]) -> None:
        """Refuse: an admin token may do everything, always."""
        del permissions
        raise IssuerRefusedError(f"the permissions of {token.token_id} at {self._name} cannot be changed: it has none")

    def accepts(self, credential: SecretText) -> bool:
        """List with it, and delete what was never there."""
        unheard_of = Call(
            doing="trying a credential",
            method="DELETE",
            path=_TOKENS,
            right=_RIGHT,
            query={"token_name": f"never-created-{uuid.uuid4()}"},
            good=DONE,
            handled=frozenset({HTTPStatus.FORBIDDEN, HTTPStatus.NOT_FOUND}),
        )
        if not self.prove(credential, ""):
            return False
        try:
            answer = self._ask_about_tokens(unheard_of, credential)
        except CredentialRefusedError:
            return False
        return answer.status != HTTPStatus.FORBIDDEN

    def close(self) -> None:
        """Close the connections."""
        self._api.close()

    # --- how ----------------------------------------------------------------------------------------------

    def _listed(self, presented: Presented) -> Listing:
        tokens = self._tokens_of(self._api.ask(_LIST, presented.token), "listing tokens")
        return Listing(
            tokens=tuple(self._issued(token) for token in tokens),
            keeps_expired=True,
            proves_by_use=True,
            credential=presented.rotation_id,
            clock_skew=self._api.server_clock.skew,
        )

    def _tokens_of(self, answer: Answer, doing: str) -> tuple[ParsedToken, ...]:
        return understood(answer, array_of_tokens, f"{doing} at {self._name}")

    def _issued(self, token: ParsedToken) -> IssuedToken:
        mark, ours = Mark.found_in(token.description), self._api.server_clock.ours
        return IssuedToken(
            issuer=self._name,
            token_id=token.token_id or "",
            mark=mark if str(mark) == token.description else None,
            created_at=ours(token.created_at),
            expires_at=ours(token.expires_at),
        )

    def _ask_about_tokens(self, call: Call, token: SecretText) -> Answer:
        """Ask where tokens are made; those routes are closed on a server that was started without authorisation."""
        answer = self._api.ask(replace(call, handled=call.handled | {HTTPStatus.METHOD_NOT_ALLOWED}), token)
        if answer.status == HTTPStatus.METHOD_NOT_ALLOWED:
            raise IssuerRefusedError(
                f"{call.doing} at {self._name}: the server does not let tokens be managed (405): "
                "if it was started without authorisation (--without-auth), start it with"
            )
        return answer
