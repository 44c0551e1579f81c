"""What issuers are called with: a secret from outside, or one of our own managed tokens, read afresh each time."""

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from typing import TypeVar

from provisioner.domain.errors import (
    ConfigurationError,
    CredentialRefusedError,
    IssuerRefusedError,
    IssuerUnavailableError,
    ProvisionerError,
)
from provisioner.domain.mark import Owner
from provisioner.domain.model import Content, Damaged, Destination, Foreign, Record
from provisioner.ports.credential import Credential, Presented
from provisioner.ports.secret_source import SecretSource
from provisioner.ports.store import Store

C = TypeVar("C")
T = TypeVar("T")


def authorised(credential: Credential, call: Callable[[Presented], T]) -> T:
    """Make a call with the first credential that is not refused.

    ``call`` raises CredentialRefusedError only when surely nothing was done. Raises what the last one raised.
    """
    return first_not_refused(credential.candidates(), call)


def first_not_refused(candidates: Iterable[C], call: Callable[[C], T]) -> T:
    """Make a call with the first candidate that is not refused; see ``authorised``."""
    refused: CredentialRefusedError | None = None
    left = iter(candidates)
    while following := _following(left, refused):
        try:
            return call(following[0])
        except CredentialRefusedError as error:
            refused = error
    raise refused or IssuerRefusedError("there is no credential to call the issuer with")


def _following(left: Iterator[C], refused: CredentialRefusedError | None) -> tuple[C, ...]:
    """Give the next candidate, if there is one. Where it cannot be had, that one was refused before is told, too."""
    try:
        return (next(left),)
    except StopIteration:
        return ()
    except IssuerRefusedError as error:
        if refused is None:
            raise
        why = f"{refused}; no other credential can be had: {error}"
    raise CredentialRefusedError(why)


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
    """Where it is stored, the primary first: a copy is asked only where the ones before give none."""
    initial: Credential | None = None

    def candidates(self) -> Iterator[Presented]:
        """See the port."""
        given = 0
        for presented in self.stored():
            given += 1
            yield presented
        if self.initial is not None:
            yield from self.initial.candidates()
        elif given == 0:
            raise self.missing("configure `auth` of the issuer to begin with")

    def stored(self) -> Iterator[Presented]:
        """Give what is stored; when that was refused what has taken its place since it was read, then what copies hold.

        A copy may hold a live one still, where somebody has edited the primary, or restored an old version of it.
        """
        first = self._read()
        if first is None:
            return
        yield first
        given = [first]
        for other in self._others():
            if other is not None and all(other.token != one.token for one in given):
                given.append(other)
                # the same rotation with another string is not what is stored
                yield replace(other, rotation_id=None) if other.rotation_id == first.rotation_id else other

    def missing(self, remedy: str) -> IssuerRefusedError:
        """Say that there is neither a stored one nor an initial one."""
        return IssuerRefusedError(
            f"its credential, the managed token {self.owner.name}, is not stored at {self.places[0][1]}"
            f"{self._instead()}, and there is no initial one: {remedy}"
        )

    def _instead(self) -> str:
        """Say that somebody else's secret is in its place, as after a change of the token's name or of the instance."""
        store, destination = self.places[0]
        try:
            content = store.read(destination, self.owner).content
        except ProvisionerError:
            return ""
        return f" (a secret that is not ours is there: {content.why})" if isinstance(content, Foreign) else ""

    def _others(self) -> Iterator[Presented | None]:
        """Give what is stored now, then what each copy holds that can be read, each read when it is asked for."""
        yield self._read()
        for store, destination in self.places[1:]:
            try:
                content = store.read(destination, self.owner).content
            except ProvisionerError:
                continue
            yield _held(content)

    def _read(self) -> Presented | None:
        """Give the stored token; None when there is none.

        Where the primary holds none of ours, because somebody has deleted it, a copy's is as good: nothing is revoked
        while nothing is stored.
        """
        why: ProvisionerError | None = None
        for store, destination in self.places:
            try:
                content = store.read(destination, self.owner).content
            except ProvisionerError as error:
                why = why or error
                continue
            held = _held(content)
            if held is not None:
                return held
        if why is None:
            return None
        raise IssuerUnavailableError(
            f"its credential, the managed token {self.owner.name}, cannot be read from {self.places[0][1]}: {why}"
        )


def _held(content: Content) -> Presented | None:
    """Give the token of ours that a place holds, if it does."""
    if not isinstance(content, Record | Damaged):
        return None
    return Presented(token=content.token, rotation_id=content.rotation_id)
