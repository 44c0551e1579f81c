"""Stores and issuers that tell an observer of every request they make, and let no foreign error through."""

from collections.abc import Callable, Mapping, Sequence
from datetime import timedelta
from threading import Lock
from typing import Final, TypeVar

from provisioner.domain import events
from provisioner.domain.errors import (
    IssuerUnavailableError,
    NotificationFailedError,
    OutcomeUnknownError,
    ProvisionerError,
    StoreUnavailableError,
    WorkloadsUnavailableError,
)
from provisioner.domain.mark import Owner
from provisioner.domain.model import (
    CreateRequest,
    Destination,
    IssuedToken,
    Listing,
    MintedToken,
    Permission,
    Record,
    Reservation,
    Stored,
)
from provisioner.domain.secret import SecretText
from provisioner.ports.issuer import Issuer
from provisioner.ports.observer import Observer
from provisioner.ports.store import Store

T = TypeVar("T")
_UNKNOWN: Final[Mapping[str, type[ProvisionerError]]] = {
    "create": OutcomeUnknownError,
    "write": OutcomeUnknownError,
    "revoke": OutcomeUnknownError,
    "amend": OutcomeUnknownError,
    "deliver": NotificationFailedError,
}
"""What an unexpected end means where there may have been an effect."""
_UNREAD: Final[Mapping[str, type[ProvisionerError]]] = {
    "store": StoreUnavailableError,
    "issuer": IssuerUnavailableError,
    "consumer": WorkloadsUnavailableError,
}


def observed(observe: Observer, kind: str, backend: str, operation: str, request: Callable[[], T]) -> T:
    """Make a request and tell of it. A foreign error, which only a bug lets come so far, becomes one of ours here.

    So does SystemExit: an adapter has no business to end us. A foreign error could hold a secret, and it must not end
    the pass of other names: only its kind is told, and ours is raised outside the handler, so that it is no context of
    ours.
    """
    result = "ok"
    try:
        return request()
    except ProvisionerError as error:
        result = type(error).__name__
        raise
    except (Exception, SystemExit) as error:  # noqa: BLE001  # whatever an adapter lets through ends here, see above
        result = type(error).__name__
    finally:
        observe(events.RequestMade(kind=kind, backend=backend, operation=operation, result=result))
    unknown = _UNKNOWN.get(operation, _UNREAD[kind])
    raise unknown(f"{operation} at {kind} {backend} ended with an unexpected {result}: this is a bug")


class ObservedIssuer:
    """An Issuer that passes every call on, and tells what came of it."""

    def __init__(self, issuer: Issuer, observe: Observer) -> None:
        self._issuer, self._observe = issuer, observe
        self._lock, self._is_skewed = Lock(), False

    @property
    def name(self) -> str:
        """The name the configuration gives it."""
        return self._issuer.name

    def list(self) -> Listing:
        """See the port. That the issuer's clock is wrong, or ours, is told once, until it is right again."""
        listing = observed(self._observe, "issuer", self.name, "list", self._issuer.list)
        is_skewed = listing.clock_skew != timedelta(0)
        with self._lock:
            has_changed, self._is_skewed = is_skewed != self._is_skewed, is_skewed
        if has_changed and is_skewed:
            self._observe(events.ClockSkewFound(issuer=self.name, ahead_by=listing.clock_skew))
        elif has_changed:
            self._observe(events.ClockSkewEnded(issuer=self.name))
        return listing

    def create(self, request: CreateRequest) -> MintedToken:
        """See the port."""
        return observed(self._observe, "issuer", self.name, "create", lambda: self._issuer.create(request))

    def prove(self, token: SecretText, token_id: str) -> bool:
        """See the port."""
        return observed(self._observe, "issuer", self.name, "prove", lambda: self._issuer.prove(token, token_id))

    def revoke(self, token: IssuedToken) -> None:
        """See the port."""
        observed(self._observe, "issuer", self.name, "revoke", lambda: self._issuer.revoke(token))

    def amend(self, token: IssuedToken, permissions: frozenset[Permission]) -> None:
        """See the port."""
        observed(self._observe, "issuer", self.name, "amend", lambda: self._issuer.amend(token, permissions))

    def accepts(self, credential: SecretText) -> bool:
        """See the port."""
        return observed(self._observe, "issuer", self.name, "accepts", lambda: self._issuer.accepts(credential))

    def close(self) -> None:
        """See the port."""
        self._issuer.close()


class ObservedStore:
    """A Store that passes every call on, and tells what came of it."""

    def __init__(self, store: Store, observe: Observer) -> None:
        self._store, self._observe = store, observe

    @property
    def name(self) -> str:
        """The name the configuration gives it."""
        return self._store.name

    def preflight(self, destination: Destination) -> None:
        """See the port."""
        observed(self._observe, "store", self.name, "preflight", lambda: self._store.preflight(destination))

    def read(self, destination: Destination, owner: Owner) -> Stored:
        """See the port."""
        return observed(self._observe, "store", self.name, "read", lambda: self._store.read(destination, owner))

    def confirm(self, destination: Destination, owner: Owner) -> Stored:
        """See the port."""
        return observed(self._observe, "store", self.name, "confirm", lambda: self._store.confirm(destination, owner))

    def write(self, destination: Destination, owner: Owner, content: Record | Reservation, expected: str) -> str:
        """See the port."""

        def request() -> str:
            return self._store.write(destination, owner, content, expected)

        return observed(self._observe, "store", self.name, "write", request)

    def check(self, destinations: Sequence[tuple[Destination, Owner]]) -> Sequence[str]:
        """See the port."""
        return observed(self._observe, "store", self.name, "check", lambda: self._store.check(destinations))

    def close(self) -> None:
        """See the port."""
        self._store.close()
