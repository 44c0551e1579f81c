"""What an error of botocore means for a store: the one place where they end, scrubbed."""

import json
import re
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Final

import botocore.exceptions as botocore_errors
from botocore.parsers import ResponseParserError

from provisioner.domain.errors import (
    OutcomeUnknownError,
    ProvisionerError,
    StoreRefusedError,
    StoreUnavailableError,
)
from provisioner.domain.scrub import scrub
from provisioner.stores.aws_access import Service

_LONGEST: Final = 200
_CAPITAL: Final = re.compile(r"(?<!^)(?=[A-Z])")
_KMS_ACTIONS: Final = {"GetSecretValue": "kms:Decrypt"}
_DENIED: Final = frozenset({"AccessDeniedException", "AccessDenied", "UnauthorizedOperation"})
_THROTTLED: Final = frozenset(
    {
        "LimitExceededException",
        "RequestLimitExceeded",
        "RequestThrottled",
        "RequestThrottledException",
        "SlowDown",
        "Throttling",
        "ThrottlingException",
        "TooManyRequestsException",
    }
)
_CREDENTIALS: Final = frozenset(
    {
        "ExpiredToken",
        "ExpiredTokenException",
        "IncompleteSignature",
        "InvalidAccessKeyId",
        "InvalidClientTokenId",
        "InvalidSignatureException",
        "MissingAuthenticationToken",
        "MissingAuthenticationTokenException",
        "NotAuthorized",
        "OptInRequired",
        "RequestExpired",
        "SignatureDoesNotMatch",
        "UnrecognizedClientException",
    }
)
_NEVER_SENT: Final = (
    botocore_errors.EndpointConnectionError,
    botocore_errors.ConnectTimeoutError,
    botocore_errors.ProxyConnectionError,
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Call:
    """One request, as errors speak of it."""

    doing: str
    """What was attempted, with the secret and the store, for the beginning of a message."""
    operation: str
    """As AWS spells it: also the name of the IAM action."""
    service: Service
    decides: bool
    """Whether consumers read something else once it lands: then no answer means an unknown outcome."""
    secrets: tuple[str, ...] = field(repr=False)
    """What it sends and nobody may be told."""
    timeout: timedelta

    @property
    def method(self) -> str:
        """The operation as botocore's clients spell it."""
        return _CAPITAL.sub("_", self.operation).lower()

    @property
    def unanswered(self) -> type[ProvisionerError]:
        """What it means when nobody knows whether it was carried out."""
        return OutcomeUnknownError if self.decides else StoreUnavailableError


class RejectedError(ProvisionerError):
    """The service understood and said no because of how things are; surely without effect. Never leaves ``stores``."""


class MissingError(RejectedError):
    """There is no such secret, or it has no such version."""


class ExistsError(RejectedError):
    """There is such a secret already, or it has a version of that id with another value."""


class StateError(RejectedError):
    """The secret is not in a state for that: deleted, or a label is elsewhere."""


class DeniedError(StoreRefusedError):
    """We may not do that; the message names the missing permission."""


_REJECTED: Final[dict[str, type[RejectedError]]] = {
    "ResourceNotFoundException": MissingError,
    "NotFoundException": MissingError,  # KMS
    "ResourceExistsException": ExistsError,
    "InvalidRequestException": StateError,
    "InvalidParameterException": StateError,
}


def failure_of(call: Call, error: Exception) -> ProvisionerError:
    """Tell what came of a call that failed; raise the answer outside the handler of ``error``."""
    if isinstance(error, botocore_errors.ClientError):
        return _answered(call, error)
    if isinstance(error, botocore_errors.HTTPClientError | botocore_errors.ConnectionError):
        return _unanswered(call, error)
    if isinstance(error, ResponseParserError):
        return strange_answer(call, error)
    return _never_asked(call, error)


def strange_answer(call: Call, error: Exception) -> ProvisionerError:
    """Tell of an answer that AWS would not give."""
    return call.unanswered(
        f"{call.doing} was answered with something that is not AWS's ({type(error).__name__}): "
        "check endpoint_url, and any proxy"
    )


def _answered(call: Call, error: botocore_errors.ClientError) -> ProvisionerError:
    answer = error.response.get("Error") or {}
    code, status = str(answer.get("Code")), error.response.get("ResponseMetadata", {}).get("HTTPStatusCode") or 0
    if code.isdecimal() or not answer:  # botocore's word for a body that is none of AWS's
        return strange_answer(call, error)
    said = _scrubbed(call, f"{code}: {answer.get('Message') or 'no message'}")
    is_clear = 400 <= status < 500  # noqa: PLR2004  # the range of HTTP's «no»
    kind: type[ProvisionerError] = StoreRefusedError if is_clear else call.unanswered
    what = f"was refused: {said}" if is_clear else f"failed: {said}"
    if error.operation_name != call.operation:  # botocore asked somebody for credentials, and never came to ours
        kind = StoreRefusedError if is_clear and code not in _THROTTLED else StoreUnavailableError
        what = f"is not possible: {error.operation_name} was refused: {said}"
    elif code in _REJECTED:
        kind, what = _REJECTED[code], f"was rejected: {said}"
    elif code in _DENIED:
        kind, what = DeniedError, f"was denied: allow {_action(call, said)} ({said})"
    elif code in _THROTTLED:
        kind, what = StoreUnavailableError, f"was put off ({code}): it is tried again"
    elif code in _CREDENTIALS:  # what AWS says of a signature repeats the request
        kind = StoreRefusedError
        what = f"was denied ({code}): the credentials have ended or are not valid, or our clock is wrong"
    elif code in {"DecryptionFailure", "EncryptionFailure"}:
        kind, what = StoreRefusedError, f"failed: the secret's KMS key cannot be used: {said}"
    return kind(f"{call.doing} {what}")


def _action(call: Call, said: str) -> str:
    """Name the permission that is missing; what is denied for the key's sake says so."""
    if "KMS" in said or "kms:" in said:
        return _KMS_ACTIONS.get(call.operation, "kms:GenerateDataKey and kms:Decrypt")
    return f"{call.service}:{call.operation}"


def _unanswered(
    call: Call, error: botocore_errors.HTTPClientError | botocore_errors.ConnectionError
) -> ProvisionerError:
    if isinstance(error, _NEVER_SENT):
        return StoreUnavailableError(f"{call.doing} failed: AWS cannot be reached; check region and endpoint_url")
    if isinstance(error, botocore_errors.SSLError):
        return call.unanswered(f"{call.doing} failed: TLS broke; check endpoint_url, AWS_CA_BUNDLE and any proxy")
    timed_out = isinstance(error, botocore_errors.ReadTimeoutError)
    what = f"no answer within {call.timeout.total_seconds():g} s" if timed_out else "the connection broke"
    return call.unanswered(f"{call.doing} failed: {what}")


def _never_asked(call: Call, error: Exception) -> ProvisionerError:
    """Tell what kept botocore from sending anything."""
    match error:
        case botocore_errors.NoRegionError():
            return StoreRefusedError(f"{call.doing} is not possible: set the store's region, or AWS_DEFAULT_REGION")
        case botocore_errors.NoCredentialsError() | botocore_errors.PartialCredentialsError():
            return StoreRefusedError(
                f"{call.doing} is not possible: there are no AWS credentials; see docs/aws.md for the ways to give them"
            )
        case botocore_errors.CredentialRetrievalError() | botocore_errors.MetadataRetrievalError():
            return StoreUnavailableError(
                f"{call.doing} failed: AWS credentials could not be had: {_scrubbed(call, str(error))}"
            )
        case _:
            why = _scrubbed(call, f"{type(error).__name__}: {error}")
            return StoreRefusedError(f"{call.doing} is not possible: {why}")


def _scrubbed(call: Call, text: str) -> str:
    """Scrub what AWS says; what was sent may come back quoted once or twice."""
    known: list[str] = []
    for secret in call.secrets:
        once = json.dumps(secret)[1:-1]
        known += {secret, once, json.dumps(once)[1:-1]}
    return scrub(text, longest=_LONGEST, known=tuple(sorted(known, key=len, reverse=True)))
