"""The one way to Kubernetes, through lightkube: how the cluster is found, and what its errors mean.

In a pod the ServiceAccount's token, certificate and namespace are used, elsewhere the file that ``KUBECONFIG`` names,
or ``~/.kube/config``. The token is read again from its file when the server no longer takes it; whoever connects anew
where a certificate was not trusted reads that of the cluster's CA again.
"""

import re
import ssl
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass, replace
from datetime import timedelta
from enum import Enum, auto
from http import HTTPStatus
from pathlib import Path
from typing import TYPE_CHECKING, Final, TypeVar

from provisioner.domain.errors import ConfigurationError
from provisioner.domain.scrub import LONGEST_PLAIN_WORD, scrub
from provisioner.runtime.kubernetes_patience import make_patient, within

if TYPE_CHECKING:
    from lightkube import Client

T = TypeVar("T")

MANAGER: Final = "token-provisioner"
"""Who wrote the fields, as ``kubectl get --show-managed-fields`` tells."""
_REFUSALS: Final = range(400, 500)
_TEMPORARY: Final = frozenset({HTTPStatus.REQUEST_TIMEOUT, HTTPStatus.TOO_MANY_REQUESTS})
_UNTRUSTED: Final = (
    "the server's certificate is not trusted: see ca.crt of the ServiceAccount, or certificate-authority in KUBECONFIG"
)
_UNSENDABLE: Final = "it cannot be sent: is the file of the ServiceAccount's token empty, or of several lines?"
_SECONDS: Final = re.compile(r"[0-9]{1,5}")
SERVICE_ACCOUNT: Final = Path("/var/run/secrets/kubernetes.io/serviceaccount")
"""Where Kubernetes puts what a pod is known by."""


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
    is_stale: bool = False
    """Whether nothing was sent for what the client was made of: a CA that is another one by now, or a broken token."""


def ask(what: str, call: Callable[[], T], *, patience: timedelta) -> T | Failure:
    """Make one request that ends within ``patience``; ``what`` says what it attempts."""
    import httpx2
    import msgspec
    from lightkube import ApiError
    from lightkube.core.exceptions import ConfigError

    is_stale = False
    try:
        with within(patience):
            return call()
    except ApiError as answer:
        failure = _answered(what, answer.status.code or answer.response.status_code, answer.status.message or "")
        return replace(failure, retry_after=_asked_for(answer.response.headers))
    except httpx2.HTTPStatusError as answer:  # not in Kubernetes' words: somebody between
        failure = _answered(what, answer.response.status_code, "")
        return replace(failure, retry_after=_asked_for(answer.response.headers))
    except httpx2.HTTPError as trouble:
        why = f"no answer ({type(trouble).__name__})"
        if is_stale := _is_untrusted(trouble) or isinstance(trouble, httpx2.LocalProtocolError):
            why = _UNTRUSTED if _is_untrusted(trouble) else _UNSENDABLE
    except (ConfigError, OSError):
        why = "the ServiceAccount's token could not be read"
    except (httpx2.InvalidURL, msgspec.MsgspecError, ValueError, TypeError, LookupError, AttributeError) as trouble:
        why = f"the answer was not understood ({type(trouble).__name__})"
    return Failure(trouble=Trouble.UNAVAILABLE, text=f"{what}: {why}", is_stale=is_stale)


def _is_untrusted(error: BaseException | None) -> bool:
    """Tell whether an error came of a certificate that was not believed, however deep that lies."""
    while error is not None and not isinstance(error, ssl.SSLCertVerificationError):
        error = error.__cause__ or error.__context__
    return error is not None


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

    why = "its configuration was not understood"
    with suppress(msgspec.MsgspecError, yaml.YAMLError, httpx2.InvalidURL, ValueError, TypeError, AttributeError):
        try:
            config = KubeConfig.from_env(service_account=SERVICE_ACCOUNT)
            timeout = httpx2.Timeout(request_timeout.total_seconds())
            client = Client(config, timeout=timeout, field_manager=MANAGER, dry_run=dry_run)
        except AssertionError:
            why = "the context of its configuration names no user"
        except LookupError:
            why = "its configuration lacks a name, or KUBERNETES_SERVICE_HOST and KUBERNETES_SERVICE_PORT are not set"
        except ssl.SSLError:
            why = "the certificate of its CA, or our own for it, cannot be used: is it PEM?"
        except (ConfigError, OSError):
            why = "there is no ServiceAccount, and no file at KUBECONFIG or ~/.kube/config that can be read"
            if SERVICE_ACCOUNT.is_dir():
                why = f"the ServiceAccount in {SERVICE_ACCOUNT} cannot be used: {_lacking(SERVICE_ACCOUNT)}"
        else:
            make_patient(client)
            return client
    raise ConfigurationError(
        f"{wanted}, and no Kubernetes API server was found: {why}: run in a pod with a ServiceAccount"
        f" (automountServiceAccountToken), set KUBECONFIG, or {otherwise}"
    )


def _lacking(account: Path) -> str:
    """Say which of a ServiceAccount's files cannot be read."""
    lacking = []
    for name in ("token", "namespace", "ca.crt"):
        try:
            (account / name).open("rb").close()
        except OSError as error:
            lacking.append(f"{name} cannot be read ({error.strerror})")
    return ", ".join(lacking) or "one of its files is not what it should be"
