"""What the API needs of the daemon."""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Final, Protocol

from provisioner.domain.by_hand import ByHand, Wish
from provisioner.domain.secret import SecretText
from provisioner.domain.status import TokenStatus

SOCKET: Final = "socket"
HTTP: Final = "http"
"""The ways in which a request comes."""


class UnknownTokenError(Exception):
    """No token of a name, or none with a label, is configured."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Standing:
    """Where a name stood when it was last looked at."""

    status: TokenStatus
    seen_at: datetime | None
    """None: nobody has looked yet."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Facts:
    """Whether all is well, and the facts that say so."""

    ok: bool
    facts: Mapping[str, bool]


class View(Protocol):
    """The daemon as the API sees it. Every method may be called on any thread; none waits for long."""

    def instance(self) -> str:
        """Give the name of the instance."""

    def standings(self) -> tuple[Standing, ...]:
        """Give where every name stands, in the configuration's order. May take seconds beside other replicas."""

    def select(self, names: Iterable[str], selector: Mapping[str, str]) -> tuple[str, ...]:
        """Give the names (all when none is given) that carry every label; raises UnknownTokenError."""

    def ask(self, names: Iterable[str], wish: Wish) -> tuple[ByHand, ...]:
        """Take a wish to rotate; raises NotTakenError or RequestDiffersError."""

    def rotation(self, id_: str) -> ByHand | None:
        """Give a rotation that was asked for, if it is remembered."""

    def rotations(self) -> tuple[ByHand, ...]:
        """Give all that are remembered, the last asked for first."""

    def health(self) -> Facts:
        """Tell whether the process does what it is there for."""

    def readiness(self) -> Facts:
        """Tell whether what it says can be relied on."""

    def metrics(self, accept: str) -> tuple[bytes, str]:
        """Give the metrics in the form that is accepted, and the type of it."""

    def api_token(self) -> Callable[[], SecretText] | None:
        """Give what reads the token that write verbs need over TCP; None when none is configured."""
