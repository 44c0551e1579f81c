"""Where a test wants this process killed: one environment variable, and no key of the configuration file."""

import os
import re
from dataclasses import dataclass
from typing import Final

from provisioner.domain.errors import ConfigurationError

VARIABLE: Final = "PROVISIONER_FAIL_POINT"
OPERATIONS: Final = (
    "issuer.list",
    "issuer.create",
    "issuer.prove",
    "issuer.revoke",
    "store.preflight",
    "store.read",
    "store.write",
    "consumer.read",
    "consumer.restart",
    "consumer.notify",
)
_POINT: Final = re.compile(r"(?P<operation>[a-z.]+):(?P<moment>before|after)(?::(?P<count>[1-9][0-9]{0,5}))?")


@dataclass(frozen=True, slots=True, kw_only=True)
class FailPoint:
    """One call to an issuer or a store, at which the process is to die."""

    operation: str
    """One of OPERATIONS."""
    after: bool
    """Whether the call is made first."""
    count: int
    """The first such call of the process is 1, whichever issuer or store it goes to."""


def fail_point() -> FailPoint | None:
    """Read the variable, such as ``store.write:after:2``; raises ConfigurationError for what it cannot mean."""
    text = os.environ.get(VARIABLE)  # noqa: TID251  # settings is the environment's reader
    if text is None:
        return None
    match = _POINT.fullmatch(text)
    if match is None or match["operation"] not in OPERATIONS:
        raise ConfigurationError(
            f"{VARIABLE} must be OPERATION:before or OPERATION:after, with :COUNT behind it for a later call, "
            f"and OPERATION one of {', '.join(OPERATIONS)}; it is for tests alone: unset it anywhere else"
        )
    return FailPoint(operation=match["operation"], after=match["moment"] == "after", count=int(match["count"] or 1))
