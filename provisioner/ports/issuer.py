"""What the engine needs of whatever issues tokens."""

from typing import Protocol

from provisioner.domain.model import CreateRequest, IssuedToken, Listing, MintedToken
from provisioner.domain.secret import SecretText


class Issuer(Protocol):
    """Creates, lists, proves and revokes tokens. Safe to call from several threads.

    Every error is from ``domain.errors`` and holds neither a secret nor a remote body that could hold one.
    """

    @property
    def name(self) -> str:
        """The name the configuration gives it."""

    def list(self) -> Listing:
        """List all its tokens, foreign and revoked ones included, in one request.

        Raises IssuerUnavailableError (no answer) or IssuerRefusedError (a person has to mend something).
        """

    def create(self, request: CreateRequest) -> MintedToken:
        """Create one token and return its string, which can be had only now.

        Never repeats itself. Raises IssuerUnavailableError or IssuerRefusedError when surely nothing was
        created, OutcomeUnknownError when nobody knows (time-out, killed), and TokenUnreadableError when a token
        was created whose string cannot be read from the answer.
        """

    def prove(self, token: SecretText, token_id: str) -> bool:
        """Use a token once: True when it works, False when it is refused (not yet, or no longer).

        An issuer whose listing says ``proves_by_use=False`` looks for the id on a fresh list instead.
        Raises IssuerUnavailableError when there was no answer either way, IssuerRefusedError on an answer that says
        nothing about the token.
        """

    def revoke(self, token: IssuedToken) -> None:
        """Revoke one token. Revoking what is revoked or gone already is a success.

        Raises IssuerUnavailableError, IssuerRefusedError, or OutcomeUnknownError; all are safe to repeat.
        """

    def close(self) -> None:
        """Let go of connections; further calls are not allowed."""
