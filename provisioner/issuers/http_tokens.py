"""Tokens in the answers of both HTTP APIs: what is understood, in our time, or our error that says why it is not."""

from collections.abc import Callable
from typing import TypeVar

from provisioner.domain.errors import IssuerRefusedError, TokenUnreadableError
from provisioner.domain.model import MintedToken
from provisioner.issuers.http_answer import Answer
from provisioner.issuers.server_clock import ServerClock
from provisioner.issuers.token_json import created_token

T = TypeVar("T")


def understood(answer: Answer, parse: Callable[[object], T], place: str) -> T:
    """Give what an answer shows; raises IssuerRefusedError that begins with ``place`` when it is not understood."""
    found = answer.understood(parse)
    if isinstance(found, str):
        raise IssuerRefusedError(f"{place}: the answer was not understood: {found}: is the address right?")
    return found


def minted(answer: Answer, clock: ServerClock, place: str) -> MintedToken:
    """Give the token that an answer brings, with its string; raises TokenUnreadableError: then nobody can have it."""
    created = answer.understood(created_token)
    if isinstance(created, str):
        raise TokenUnreadableError(f"{place}: the answer was not understood: {created}; the token will be revoked")
    if created.secret is None or created.token_id is None:
        raise TokenUnreadableError(f"{place}: the answer has no id; the token will be revoked")
    return MintedToken(
        token=created.secret,
        token_id=created.token_id,
        created_at=clock.ours(created.created_at),
        expires_at=clock.ours(created.expires_at),
    )
