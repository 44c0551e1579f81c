"""InfluxDB Clustered and Cloud Dedicated: database tokens over the management HTTP API.

Facts (OpenAPI of both): POST answers 200 with ``accessToken``, which is shown only there; a token's expiry cannot be
changed, its permissions can, by PATCH; DELETE answers 204, and afterwards a token is gone (404) or has ``revokedAt``;
times are RFC 3339, to the nanosecond; descriptions need not be unique as far as anybody says.
"""

import re
import uuid
from dataclasses import replace
from datetime import timedelta
from http import HTTPStatus
from pathlib import Path
from typing import Final

from provisioner.domain.errors import (
    CredentialRefusedError,
    IssuerRefusedError,
    OutcomeUnknownError,
    ProvisionerError,
)
from provisioner.domain.mark import Mark
from provisioner.domain.model import CreateRequest, IssuedToken, Listing, MintedToken, Permission
from provisioner.domain.secret import SecretText
from provisioner.domain.timing import rfc3339
from provisioner.issuers.credential import authorised
from provisioner.issuers.database_proof import DatabaseProof
from provisioner.issuers.http_answer import Answer
from provisioner.issuers.http_api import HttpApi
from provisioner.issuers.http_call import CREATED, DONE, Call
from provisioner.issuers.http_tokens import minted, understood
from provisioner.issuers.token_json import ParsedToken, array_of_tokens, single_token
from provisioner.ports.clock import Clock
from provisioner.ports.credential import Credential, Presented

_RIGHT: Final = "to be a management token of this cluster"
_LIST: Final = Call(doing="listing tokens", method="GET", path="/tokens", right=_RIGHT)
_ID: Final = re.compile(r"[\w:-][\w.:-]*", re.ASCII)
"""What may stand in a path as it is, and cannot lead out of it."""
_NOT_THERE: Final = frozenset({HTTPStatus.BAD_REQUEST, HTTPStatus.NOT_FOUND})
"""No such token; 400 where what was asked for does not even look like an id."""
_NO_PATCH: Final = frozenset({HTTPStatus.METHOD_NOT_ALLOWED, HTTPStatus.NOT_IMPLEMENTED})


class ManagementApiIssuer:
    """The Issuer port over HTTP."""

    def __init__(
        self,
        *,
        name: str,
        url: str,
        credential: Credential,
        query_url: str | None,
        query_database: str | None,
        ca_cert: Path | None,
        timeout: timedelta,
        clock: Clock,
    ) -> None:
        """Take where it is and what to call it with; nothing is asked yet."""
        self._name, self._credential, self._clock = name, credential, clock
        self._api = HttpApi(name=name, url=url, ca_cert=ca_cert, timeout=timeout, clock=clock)
        self._proof: DatabaseProof | None = None
        if query_url is not None:
            key = f"issuers.{name}.query_url"
            query = HttpApi(name=name, url=query_url, ca_cert=ca_cert, timeout=timeout, clock=clock, key=key)
            self._proof = DatabaseProof(query, issuer=name, database=query_database)
        self._amends = True

    @property
    def name(self) -> str:
        """The name the configuration gives it."""
        return self._name

    def list(self) -> Listing:
        """List every token, revoked ones included where the cluster keeps them."""
        return authorised(self._credential, self._listed)

    def create(self, request: CreateRequest) -> MintedToken:
        """Create one token; its string is in the answer alone.

        What a 409 means is not documented; with a description that nobody else has, it may be a lost answer.
        """
        call = Call(
            doing="creating a token",
            method="POST",
            path="/tokens",
            right=_RIGHT,
            body={
                "description": request.description,
                "permissions": _as_json(request.permissions),
                "expiresAt": rfc3339(self._api.server_clock.theirs(request.expires_at)),
            },
            has_effect=True,
            good=CREATED,
            handled=frozenset({HTTPStatus.CONFLICT}),
        )
        answer = authorised(self._credential, lambda presented: self._api.ask(call, presented.token))
        place = f"creating a token at {self._name}"
        if answer.status == HTTPStatus.CONFLICT:
            raise OutcomeUnknownError(f"{place}: it was answered 409: perhaps it is there already")
        return minted(answer, self._api.server_clock, place)

    def prove(self, token: SecretText, token_id: str) -> bool:
        """Read it back; where databases can be queried, use it there."""
        shown = self._shown(token_id, "proving a token")
        if shown is None or not shown.is_live(self._clock.now()):
            return False
        return self._proof is None or self._proof.works(token, shown.permissions or frozenset())

    def revoke(self, token: IssuedToken) -> None:
        """Delete it by its id; where that has no answer, look whether it is gone."""
        call = Call(
            doing=f"revoking {token.token_id}",
            method="DELETE",
            path=self._path(token.token_id, "revoking"),
            right=_RIGHT,
            has_effect=True,
            good=DONE,
            handled=frozenset({HTTPStatus.NOT_FOUND}),
        )
        try:
            authorised(self._credential, lambda presented: self._api.ask(call, presented.token))
        except OutcomeUnknownError:
            if not self._is_gone(token.token_id):
                raise

    def amend(self, token: IssuedToken, permissions: frozenset[Permission]) -> None:
        """Change its permissions in place; a cluster that cannot is not asked again by this process."""
        call = Call(
            doing=f"changing the permissions of {token.token_id}",
            method="PATCH",
            path=self._path(token.token_id, "changing"),
            right=_RIGHT,
            body={"permissions": _as_json(permissions)},
            has_effect=True,
            good=DONE,
            handled=_NO_PATCH | {HTTPStatus.NOT_FOUND},
        )
        answer = authorised(self._credential, lambda presented: self._api.ask(call, presented.token))
        if answer.status == HTTPStatus.NOT_FOUND and self.list().find(token.token_id) is None:
            raise IssuerRefusedError(f"{call.doing} at {self._name}: there is no such token any more")
        amended = answer.understood(single_token) if answer.status not in call.handled else ""
        was_ignored = isinstance(amended, ParsedToken) and amended.permissions not in {None, permissions}
        if answer.status in call.handled or was_ignored:
            self._amends = False
            why = "is not carried out" if was_ignored else f"is not possible ({answer.status})"
            raise IssuerRefusedError(f"{call.doing} at {self._name} {why}: new tokens are made instead")

    def accepts(self, credential: SecretText) -> bool:
        """List with it, and delete what was never there."""
        denied = frozenset({HTTPStatus.FORBIDDEN})
        unheard_of = Call(
            doing="trying a credential",
            method="DELETE",
            path=f"/tokens/{uuid.uuid4()}",
            right=_RIGHT,
            good=DONE,
            handled=denied | _NOT_THERE,
        )
        try:
            listed = self._api.ask(replace(_LIST, doing=unheard_of.doing, handled=denied), credential)
            if listed.status in denied:
                return False
            self._tokens_of(listed, unheard_of.doing)
            return self._api.ask(unheard_of, credential).status not in denied
        except CredentialRefusedError:
            return False

    def close(self) -> None:
        """Close the connections."""
        self._api.close()
        if self._proof is not None:
            self._proof.close()

    # --- how ----------------------------------------------------------------------------------------------

    def _listed(self, presented: Presented) -> Listing:
        tokens = self._tokens_of(self._api.ask(_LIST, presented.token), _LIST.doing)
        return Listing(
            tokens=tuple(self._issued(token) for token in tokens),
            proves_by_use=self._proof is not None,
            amends_permissions=self._amends,
            credential=presented.rotation_id,
            clock_skew=self._api.server_clock.skew,
        )

    def _tokens_of(self, answer: Answer, doing: str) -> tuple[ParsedToken, ...]:
        return understood(answer, array_of_tokens, f"{doing} at {self._name}")

    def _shown(self, token_id: str, doing: str) -> IssuedToken | None:
        """Give one token as the cluster shows it; None when there is none with that id."""
        path = self._path(token_id, doing)
        call = Call(doing=doing, method="GET", path=path, right=_RIGHT, handled=_NOT_THERE)
        answer = authorised(self._credential, lambda presented: self._api.ask(call, presented.token))
        if answer.status in _NOT_THERE:
            return None
        shown = understood(answer, single_token, f"{doing} at {self._name}")
        if shown.token_id != token_id:
            raise IssuerRefusedError(f"{doing} at {self._name}: another token was shown: is the address right?")
        return self._issued(shown)

    def _is_gone(self, token_id: str) -> bool:
        try:
            shown = self._shown(token_id, "looking for a revoked token")
        except ProvisionerError:
            return False
        return shown is None or shown.revoked_at is not None

    def _issued(self, token: ParsedToken) -> IssuedToken:
        ours = self._api.server_clock.ours
        return IssuedToken(
            issuer=self._name,
            token_id=token.token_id or "",
            mark=Mark.found_in(token.description),
            created_at=ours(token.created_at),
            expires_at=ours(token.expires_at),
            revoked_at=ours(token.revoked_at),
            permissions=token.permissions,
        )

    def _path(self, token_id: str, doing: str) -> str:
        if not _ID.fullmatch(token_id):
            raise IssuerRefusedError(
                f"{doing} at {self._name}: an id is not one that the cluster could have given: if it is on the list, "
                "revoke that token by hand"
            )
        return f"/tokens/{token_id}"


def _as_json(permissions: frozenset[Permission]) -> list[dict[str, str]]:
    return [{"action": permission.action, "resource": permission.resource} for permission in sorted(permissions)]
