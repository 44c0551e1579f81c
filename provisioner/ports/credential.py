"""What an issuer is called with."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Protocol

from provisioner.domain.secret import SecretText


@dataclass(frozen=True, slots=True, kw_only=True)
class Presented:
    """A credential to call an issuer with."""

    token: SecretText
    rotation_id: str | None = None
    """The rotation that made it, when it is one of our managed tokens."""


class Credential(Protocol):
    """Gives what an issuer may be called with, read afresh for each call."""

    def candidates(self) -> Iterator[Presented]:
        """Give them in order, each read when it is asked for: the next one only after the one before was refused.

        Raises IssuerUnavailableError when the place where one stands gives no answer, and IssuerRefusedError when none
        can be had; both name the place. Gives one at least, or raises.
        """
