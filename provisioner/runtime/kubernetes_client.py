"""The one way to Kubernetes, through lightkube: how the cluster is found, and what its errors mean.

In a pod the ServiceAccount's token, certificate and namespace are used, elsewhere the file that ``KUBECONFIG`` names,
or ``~/.kube/config``. The token is read again from its file when the server no longer takes it.
"""

import re
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass, replace
from datetime import timedelta
from enum import Enum, auto
from http import HTTPStatus
from typing import TYPE_CHECKING, Final, TypeVar

from provisioner.domain.errors import ConfigurationError
from provisioner.domain.scrub import LONGEST_PLAIN_WORD, scrub

if TYPE_CHECKING:
    from lightkube import Client

T = TypeVar("T")

MANAGER: Final = "token-provisioner"
"""Who wrote the fields, as ``kubectl get --show-managed-fields`` tells."""
_REFUSALS: Final = range(400, 500)
_TEMPORARY: Final = frozenset({HTTPStatus.REQUEST_TIMEOUT, HTTPStatus.TOO_MANY_REQUESTS})
_SECONDS: Final = re.compile(r"[0-9]{1,5}")
_PHASES: Final = 2
"""A request spends its time on connecting and on waiting for the answer; each gets half."""


class Trouble(Enum):
    """What became of a request that was not answered as it should."""

    CONFLICT = auto()
    """Somebody else wrote it first."""
    GONE = auto()
    """It is not there."""
    REFUSED = auto()
    """The server said no: not authenticated, not permitted, not valid."""
    UNAVAILABLE = auto()
    """Nobody answered in time, or the server is in trouble: a write may have taken effect, or may yet."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Failure:
    """A request that failed: given back, not raised, lest the client's error hang on ours; it may hold the token."""

    trouble: Trouble
    text: str
    """What was attempted and what came of it; holds no credential."""
    status: int = 0
    """The HTTP status, where there was one."""
    retry_after: timedelta = timedelta(0)
    """How long the server asked to be left alone, where it did."""


def ask(what: str, call: Callable[[], T]) -> T | Failure:
    """Make one request; ``what`` says what it attempts."""
    import httpx2
    import msgspec
    from lightkube import ApiError
    from lightkube.core.exceptions import ConfigError

    try:
        return call()
    except ApiError as answer:
        failure = _answered(what, answer.status.code or answer.response.status_code, answer.status.message or "")
        return replace(failure, retry_after=_asked_for(answer.response.headers))
    except httpx2.HTTPStatusError as answer:  # not in Kubernetes' words: somebody between
        failure = _answered(what, answer.response.status_code, "")
        return replace(failure, retry_after=_asked_for(answer.response.headers))
    except httpx2.HTTPError as trouble:
        why = f"no answer ({type(trouble).__name__})"
    except (ConfigError, OSError):
        why = "the ServiceAccount's token could not be read"
    except (httpx2.InvalidURL, msgspec.MsgspecError, ValueError, TypeError, LookupError, AttributeError) as trouble:
        why = f"the answer was not understood ({type(trouble).__name__})"
    return Failure(trouble=Trouble.UNAVAILABLE, text=f"{what}: {why}")


def _asked_for(headers: Mapping[str, str]) -> timedelta:
    """Read ``Retry-After``, in seconds here; of what is no number, or of more than five digits, nothing is kept."""
    said = headers.get("retry-after", "").strip()
    return timedelta(seconds=int(said)) if _SECONDS.fullmatch(said) else timedelta(0)


def _answered(what: str, status: int, message: str) -> Failure:
    """Judge an answer that is none of what was asked for."""
    told = f"{what}: {status} {scrub(message, longest_word=LONGEST_PLAIN_WORD)}".rstrip()
    if status == HTTPStatus.CONFLICT:
        trouble, told = Trouble.CONFLICT, f"{told}: somebody else wrote it first"
    elif status in {HTTPStatus.NOT_FOUND, HTTPStatus.GONE}:
        trouble = Trouble.GONE
    elif status in _REFUSALS and status not in _TEMPORARY:
        trouble = Trouble.REFUSED
    else:
        trouble = Trouble.UNAVAILABLE
    return Failure(trouble=trouble, text=told, status=status)


def connected(request_timeout: timedelta, *, wanted: str, otherwise: str, dry_run: bool = False) -> "Client":
    """Give a client that gives up in time; what is wrong with how to reach the cluster is the operator's to mend.

    ``wanted`` and ``otherwise`` say in the error what asks for a cluster, and how to do without.
    """
    import httpx2
    import msgspec
    import yaml
    from lightkube import Client, KubeConfig
    from lightkube.core.exceptions import ConfigError

    seconds = request_timeout.total_seconds() / _PHASES
    why = "its configuration was not understood"
    with suppress(msgspec.MsgspecError, yaml.YAMLError, httpx2.InvalidURL, ValueError, TypeError, AttributeError):
        try:
            config = KubeConfig.from_env()
            return Client(config, timeout=httpx2.Timeout(seconds), field_manager=MANAGER, dry_run=dry_run)
        except AssertionError:
            why = "the context of its configuration names no user"
        except LookupError:
            why = "its configuration lacks a name, or KUBERNETES_SERVICE_HOST and KUBERNETES_SERVICE_PORT are not set"
        except (ConfigError, OSError):
            why = "there is no ServiceAccount, and no file at KUBECONFIG or ~/.kube/config that can be read"
    raise ConfigurationError(
        f"{wanted}, and no Kubernetes API server was found: {why}: run in a pod with a ServiceAccount"
        f" (automountServiceAccountToken), set KUBECONFIG, or {otherwise}"
    )
