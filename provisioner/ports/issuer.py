"""What the engine needs of whatever issues tokens."""

from typing import Protocol

from provisioner.domain.model import CreateRequest, IssuedToken, Listing, MintedToken, Permission
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

    def amend(self, token: IssuedToken, permissions: frozenset[Permission]) -> None:
        """Change what a live token may do, in place; asked only of an issuer whose listing says it can.

        Raises IssuerUnavailableError, IssuerRefusedError, or OutcomeUnknownError; all are safe to repeat. An issuer
        that turns out not to be able to says so in its later listings.
        """

    def accepts(self, credential: SecretText) -> bool:
        """Tell whether a token could take the place of the credential that this issuer is called with.

        It lists with it, and makes one more call that needs its rights and changes nothing: True when both are
        carried out, False when one is refused (not yet, or never). Raises IssuerUnavailableError when there was no
        answer either way, IssuerRefusedError on an answer that says nothing about the token.
        """

    def close(self) -> None:
        """Let go of connections; further calls are not allowed."""
