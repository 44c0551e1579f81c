"""What issuers are called with: a secret from outside, or one of our own managed tokens, read afresh each time."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import TypeVar

from provisioner.domain.errors import (
    ConfigurationError,
    CredentialRefusedError,
    IssuerRefusedError,
    IssuerUnavailableError,
    ProvisionerError,
)
from provisioner.domain.mark import Owner
from provisioner.domain.model import Damaged, Destination, Record
from provisioner.ports.credential import Credential, Presented
from provisioner.ports.secret_source import SecretSource
from provisioner.ports.store import Store

T = TypeVar("T")


def authorised(credential: Credential, call: Callable[[Presented], T]) -> T:
    """Make a call with the first credential that is not refused.

    ``call`` raises CredentialRefusedError only when surely nothing was done. Raises what the last one raised.
    """
    refused: CredentialRefusedError | None = None
    for presented in credential.candidates():
        try:
            return call(presented)
        except CredentialRefusedError as error:
            refused = error
    raise refused or IssuerRefusedError("there is no credential to call the issuer with")


@dataclass(frozen=True, slots=True, kw_only=True)
class GivenCredential:
    """A secret that a person put somewhere."""

    source: SecretSource

    def candidates(self) -> Iterator[Presented]:
        """See the port."""
        try:
            token = self.source()
        except ConfigurationError as error:
            raise IssuerRefusedError(str(error)) from error
        yield Presented(token=token)


@dataclass(frozen=True, slots=True, kw_only=True)
class ManagedCredential:
    """One of our managed tokens, where it is stored; until it is stored, and where it is refused, the initial one.

    The initial one is what an operator begins with, and the way back in when the stored one is lost.
    """

    owner: Owner
    places: Sequence[tuple[Store, Destination]]
    """Where it is stored, the primary first: a copy is asked only when the ones before give no answer."""
    initial: Credential | None = None

    def candidates(self) -> Iterator[Presented]:
        """See the port."""
        first = self._stored()
        if first is not None:
            yield first
            again = self._stored()  # it may have been replaced between being read and being used
            if again is not None and again.token != first.token:
                yield again
        if self.initial is not None:
            yield from self.initial.candidates()
        elif first is None:
            raise IssuerRefusedError(
                f"its credential, the managed token {self.owner.name}, is not stored at {self.places[0][1]} yet, and"
                " there is no initial one: configure one to begin with"
            )

    def _stored(self) -> Presented | None:
        """Give the stored token; None when there is none."""
        why: ProvisionerError | None = None
        for store, destination in self.places:
            try:
                content = store.read(destination, self.owner).content
            except ProvisionerError as error:
                why = why or error
                continue
            if not isinstance(content, Record | Damaged):
                return None
            return Presented(token=content.token, rotation_id=content.rotation_id)
        raise IssuerUnavailableError(
            f"its credential, the managed token {self.owner.name}, cannot be read from {self.places[0][1]}: {why}"
        )
