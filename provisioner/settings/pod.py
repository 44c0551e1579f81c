"""Which pod this is, where it is one: the chart sets three environment variables."""

import os
from dataclasses import dataclass
from typing import Final

_VARIABLES: Final = ("POD_NAME", "POD_NAMESPACE", "POD_UID")


@dataclass(frozen=True, slots=True, kw_only=True)
class Pod:
    """Our own pod, as Events name it."""

    name: str
    namespace: str
    uid: str


def pod() -> Pod | None:
    """Read the variables; None unless all of them are set."""
    name, namespace, uid = (os.environ.get(variable) or None for variable in _VARIABLES)  # noqa: TID251  # settings is the environment's reader
    if name is None or namespace is None or uid is None:
        return None
    return Pod(name=name, namespace=namespace, uid=uid)
