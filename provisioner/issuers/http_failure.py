"""What went wrong where there was no answer: of the foreign error only its kind is told."""

import ssl
from collections.abc import Iterator
from dataclasses import dataclass
from enum import Enum, auto
from pathlib import Path
from typing import Final

import httpcore
import httpx

from provisioner.domain.errors import ConfigurationError
from provisioner.domain.scrub import LONGEST_PLAIN_WORD, scrub

FOREIGN: Final = (
    httpcore.TimeoutException,
    httpcore.NetworkError,
    httpcore.ProtocolError,
    httpcore.UnsupportedProtocol,
    httpx.HTTPError,
    httpx.InvalidURL,
    OSError,
    UnicodeError,
)
"""All that a request can end with."""
_NEVER_SENT: Final = (
    httpcore.ConnectError,
    httpcore.ConnectTimeout,
    httpcore.PoolTimeout,
    httpcore.UnsupportedProtocol,
    httpcore.LocalProtocolError,
    httpx.InvalidURL,
    UnicodeError,  # a name that is no host's, found out when it is looked up
)
_LONGEST: Final = 100


class Stage(Enum):
    """How far a request came."""

    UNTRUSTED = auto()
    """Not sent: nobody knows who that is."""
    NOT_SENT = auto()
    """Surely not sent."""
    TIMED_OUT = auto()
    """Perhaps sent, perhaps carried out: there was no answer in time."""
    BROKEN = auto()
    """The same: there was no whole answer, or none of HTTP."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Failure:
    """A request without an answer."""

    stage: Stage
    because: str = ""
    """For a message, with what joins it."""


def failure_of(error: Exception) -> Failure:
    """Tell what an error means."""
    refused = next((one for one in _causes(error) if isinstance(one, ssl.SSLError)), None)
    if isinstance(error, _NEVER_SENT) and isinstance(refused, ssl.SSLCertVerificationError):
        return Failure(stage=Stage.UNTRUSTED, because=f" ({_plain(str(refused.verify_message))})")
    if isinstance(error, _NEVER_SENT) and refused is not None:
        return Failure(stage=Stage.NOT_SENT, because=" (TLS failed: is it really https?)")
    if isinstance(error, httpcore.PoolTimeout):
        return Failure(stage=Stage.NOT_SENT, because=" (all connections were in use)")
    if isinstance(error, _NEVER_SENT):
        return Failure(stage=Stage.NOT_SENT, because=f" ({_kind(error)})")
    if isinstance(error, httpcore.TimeoutException):
        return Failure(stage=Stage.TIMED_OUT)
    return Failure(stage=Stage.BROKEN, because=f" ({_kind(error)})")


def trust(ca_cert: Path | None) -> ssl.SSLContext:
    """Give whom to trust: the CA certificates of a file, else the usual ones, whatever the environment says."""
    if ca_cert is None:
        return httpx.create_ssl_context(trust_env=False)
    try:
        return ssl.create_default_context(cafile=str(ca_cert))
    except OSError as error:
        why = error.strerror if error.errno and not isinstance(error, ssl.SSLError) else "it holds no certificate"
    raise ConfigurationError(f"ca_cert {ca_cert} cannot be used ({why}): name a PEM file with CA certificates")


def _causes(error: BaseException | None) -> Iterator[BaseException]:
    while error is not None:
        yield error
        error = error.__cause__ or error.__context__  # httpcore's pool hides the cause


def _kind(error: Exception) -> str:
    """Name the error, or the system's own words for it: those are known, and hold nothing of ours."""
    system = next((one for one in _causes(error) if isinstance(one, OSError)), None)
    return _plain(system.strerror) if system is not None and system.strerror else type(error).__name__


def _plain(text: str) -> str:
    return scrub(text, longest=_LONGEST, longest_word=LONGEST_PLAIN_WORD).rstrip(".")
