"""What is asked over HTTP, and what it means when it is answered by a no, or by nothing. Pure."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import timedelta
from http import HTTPStatus
from typing import Final

from provisioner.domain.errors import (
    CredentialRefusedError,
    IssuerRefusedError,
    IssuerUnavailableError,
    OutcomeUnknownError,
    ProvisionerError,
)
from provisioner.issuers.http_answer import Answer, Flaw
from provisioner.issuers.http_failure import Failure, Stage

_NOT_NOW: Final = frozenset({HTTPStatus.REQUEST_TIMEOUT, HTTPStatus.TOO_EARLY, HTTPStatus.TOO_MANY_REQUESTS})
CREATED: Final = frozenset({HTTPStatus.OK, HTTPStatus.CREATED})
"""What says yes to a create."""
DONE: Final = frozenset({HTTPStatus.OK, HTTPStatus.NO_CONTENT})
"""What says yes where there is nothing to tell."""
_PASSING_FLAWS: Final = frozenset({Flaw.CUT, Flaw.SLOW})


@dataclass(frozen=True, slots=True, kw_only=True)
class Call:
    """One request, but for where it goes and its credential."""

    doing: str
    """What is attempted, for messages, such as ``listing tokens``."""
    method: str
    path: str
    """Behind the base address, quoted."""
    right: str
    """What its credential must be allowed to do."""
    query: Mapping[str, str] = field(default_factory=dict)
    body: Mapping[str, object] | None = None
    """Sent as JSON."""
    content: bytes | None = None
    """Sent as it is."""
    has_effect: bool = False
    """Whether it changes anything: then no answer means that nobody knows."""
    good: frozenset[int] = frozenset({HTTPStatus.OK})
    """Statuses that say yes. Others of their like do not: a part (206), or what is only begun (202)."""
    handled: frozenset[int] = frozenset()
    """Statuses that the caller wants to judge, although they say no."""

    @property
    def unknown(self) -> type[ProvisionerError]:
        """The error for an end that says nothing of what was done."""
        return OutcomeUnknownError if self.has_effect else IssuerUnavailableError


def unanswered(failure: Failure, call: Call, place: str, host: str, *, within: timedelta) -> ProvisionerError:
    """Tell what it means that there was no answer."""
    match failure.stage:
        case Stage.UNTRUSTED:
            why = f"the certificate of {host} is not trusted{failure.because}"
            return IssuerRefusedError(f"{place}: {why}: name its CA in ca_cert, and check the host in the address")
        case Stage.NOT_SENT:
            return IssuerUnavailableError(f"{place}: {host} cannot be reached{failure.because}")
        case Stage.TIMED_OUT:
            return call.unknown(f"{place}: no answer from {host} within {within.total_seconds():g} s")
        case Stage.BROKEN:
            return call.unknown(f"{place}: the connection to {host} broke{failure.because}")


def refusal(answer: Answer, words: str, call: Call, place: str, host: str) -> ProvisionerError | None:
    """Tell what an answer of no means; ``words`` are its own, scrubbed. None for a yes."""
    status, because = answer.status, f": {words}" if words else ""
    kind, said = call.unknown, f"{place}: {host} answered {status}{because}"
    if status in call.good:
        return _without_body(answer, call, place, host)
    if HTTPStatus.OK <= status < HTTPStatus.MULTIPLE_CHOICES:
        said = f"{place}: {host} answered {status}, which is neither a yes nor a no here"
        return call.unknown(said) if call.has_effect else IssuerRefusedError(f"{said}: is the address right?")
    if HTTPStatus.MULTIPLE_CHOICES <= status < HTTPStatus.BAD_REQUEST:
        where = f" to {answer.redirects_to}" if answer.redirects_to else ""
        away = f"{host} sends us elsewhere{where} ({status}), where a credential must not follow"
        kind, said = IssuerRefusedError, f"{place}: {away}: configure the final address"
    elif status == HTTPStatus.UNAUTHORIZED:
        refused = f"{host} refuses the credential (401){because}"
        kind, said = CredentialRefusedError, f"{place}: {refused}: put a live one in its place"
    elif status == HTTPStatus.FORBIDDEN:
        kind, said = CredentialRefusedError, f"{place}: denied (403){because}: its credential needs {call.right}"
    elif status in _NOT_NOW:
        kind, said = IssuerUnavailableError, f"{said}: it is tried again"
    elif HTTPStatus.BAD_REQUEST <= status < HTTPStatus.INTERNAL_SERVER_ERROR:
        kind, said = IssuerRefusedError, f"{said}: is the address right?"
    return kind(said)


def _without_body(answer: Answer, call: Call, place: str, host: str) -> ProvisionerError | None:
    """Refuse a yes whose body cannot be had; where it had an effect, the caller knows what that means."""
    if answer.flaw is None or call.has_effect:
        return None
    kind = IssuerUnavailableError if answer.flaw in _PASSING_FLAWS else IssuerRefusedError
    return kind(f"{place}: the answer of {host} {answer.flaw}")
