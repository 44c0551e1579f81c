"""The module of somebody else's package, good kinds and bad ones: installed by ``test_installed.py``."""

from collections.abc import Callable
from datetime import timedelta
from typing import Annotated, Any, ClassVar

from pydantic import AfterValidator, Field

from provisioner.domain.errors import ConfigurationError
from provisioner.settings.durations import Duration
from provisioner.settings.kinds import IssuerKind, StoreKind
from provisioner.settings.model import IssuerSection, Name, Section, StoreSection, Url
from provisioner.settings.references import Secret


def picky(value: str) -> str:
    """Refuse every value, in a way that shows it."""
    if value == "crash-please":
        raise KeyError(value)
    raise ValueError(f"{value} will not do, take another")


class Place(Section):
    """Something inside."""

    floor: int


class AcmeIssuer(IssuerSection):
    """The keys of an issuer."""

    has_permissions: ClassVar[bool] = False
    url: Url
    auth: Secret | None = None
    credential: Name | None = None
    timeout: Duration = timedelta(seconds=30)
    retries: int = Field(default=3, le=9)
    place: Place | None = None
    code: Annotated[str, Field(pattern="^[a-f]+$")] | None = None
    fancy: Annotated[str, AfterValidator(picky)] | None = None


class AcmeStore(StoreSection):
    """The keys of a store."""

    has_raw: ClassVar[bool] = False
    file: str
    reader: str | None = None


class Loose(IssuerSection, extra="allow"):
    """Keys that are not checked."""


class Childless(IssuerSection):
    """Keys that cannot be derived from."""

    def __init_subclass__(cls) -> None:
        raise TypeError


class Whole:
    """Has every part of either port, and keeps what it was built from."""

    def __init__(self, name: str, settings: object, surroundings: object) -> None:
        """Keep it."""
        self.name, self.settings, self.surroundings = name, settings, surroundings

    def __getattr__(self, part: str) -> Callable[..., None]:
        if part.startswith("_"):
            raise AttributeError(part)
        return lambda *_: None


class Shy(Whole):
    """Fails when somebody looks at its parts."""

    def __getattr__(self, part: str) -> Callable[..., None]:
        raise RuntimeError(part)


class Half:
    """Has some parts of a port."""

    def __init__(self, name: str, settings: object, surroundings: object) -> None:
        """Keep the name."""
        del settings, surroundings
        self.name = name

    def list(self) -> None:
        """See the port."""

    def close(self) -> None:
        """See the port."""


def fails(name: str, settings: AcmeIssuer, surroundings: object) -> Any:
    """Fail in a way that shows a value."""
    del surroundings
    raise RuntimeError(f"no {settings.url} for {name}")


def leaves(name: str, settings: object, surroundings: object) -> Any:
    """End the process."""
    del name, settings, surroundings
    raise SystemExit(0)


def refuses(name: str, settings: AcmeIssuer, surroundings: object) -> Any:
    """Refuse in our own way."""
    del settings, surroundings
    raise ConfigurationError(f"issuers.{name}.url: is not mine")


def whole(name: str, settings: object, surroundings: object) -> Any:
    """Build what has all parts."""
    return Whole(name, settings, surroundings)


def shy(name: str, settings: object, surroundings: object) -> Any:
    """Build what cannot be looked at."""
    return Shy(name, settings, surroundings)


def half(name: str, settings: object, surroundings: object) -> Any:
    """Build what has some of them."""
    return Half(name, settings, surroundings)


not_a_class: Any = "AcmeIssuer"
not_of_an_issuer: Any = Section
ISSUER = IssuerKind(settings=AcmeIssuer, build=whole)
STORE = StoreKind(settings=AcmeStore, build=whole)
HALF = IssuerKind(settings=AcmeIssuer, build=half)
FAILS = IssuerKind(settings=AcmeIssuer, build=fails)
LEAVES = IssuerKind(settings=AcmeIssuer, build=leaves)
SHY = IssuerKind(settings=AcmeIssuer, build=shy)
CHILDLESS = IssuerKind(settings=Childless, build=whole)
REFUSES = IssuerKind(settings=AcmeIssuer, build=refuses)
LOOSE = IssuerKind(settings=Loose, build=whole)
PLAIN = IssuerKind(settings=not_of_an_issuer, build=whole)
NO_CLASS = IssuerKind(settings=not_a_class, build=whole)
