"""What another package gives us by its entry point, a kind of issuer or store: see ``docs/extending.md``."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Generic, TypeVar

from provisioner.ports.clock import Clock
from provisioner.ports.credential import Credential
from provisioner.ports.issuer import Issuer
from provisioner.ports.secret_source import SecretSource
from provisioner.ports.store import Store
from provisioner.settings.model import IssuerSection, StoreSection

IssuerKeys = TypeVar("IssuerKeys", bound=IssuerSection)
StoreKeys = TypeVar("StoreKeys", bound=StoreSection)


@dataclass(frozen=True, slots=True, kw_only=True)
class StoreSurroundings:
    """What a store needs of us."""

    clock: Clock
    """The one thing that tells the time."""
    environment: Mapping[str, str]
    """The few variables of ours that a child process is to see, and no other."""


@dataclass(frozen=True, slots=True, kw_only=True)
class IssuerSurroundings:
    """What an issuer needs of us."""

    clock: Clock
    """The one thing that tells the time."""
    environment: Mapping[str, str]
    """The few variables of ours that a child process is to see, and no other."""
    credential: Callable[[SecretSource | None], Credential]
    """Give what it is to be called with, beginning with the given secret: see ``issuers.credential.authorised``.

    That is the managed token which the key ``credential`` names, and the given secret where that one is not stored yet
    or is refused; without the key, the given secret. Raises ConfigurationError when there is neither.
    """


@dataclass(frozen=True, slots=True, kw_only=True)
class IssuerKind(Generic[IssuerKeys]):
    """A kind of issuer: an entry point of the group ``provisioner.issuers``, whose name is the ``type``."""

    settings: type[IssuerKeys]
    """Its keys in the configuration, beside ``type``."""
    build: Callable[[str, IssuerKeys, IssuerSurroundings], Issuer]
    """Builds one from its name in the configuration, its settings and its surroundings; nothing is asked of it yet."""


@dataclass(frozen=True, slots=True, kw_only=True)
class StoreKind(Generic[StoreKeys]):
    """A kind of store: an entry point of the group ``provisioner.stores``, whose name is the ``type``."""

    settings: type[StoreKeys]
    """Its keys in the configuration, beside ``type``."""
    build: Callable[[str, StoreKeys, StoreSurroundings], Store]
    """Builds one from its name in the configuration, its settings and its surroundings; nothing is asked of it yet."""
