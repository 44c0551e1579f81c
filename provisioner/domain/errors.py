"""One tree of errors: what may pass by itself (Temporary) and what needs a person (Permanent).

Messages are lower case without a full stop, say what was attempted and what to do next, name the
backend and the path, and never hold a value or a remote body that could hold one.
"""

from datetime import timedelta


class ProvisionerError(Exception):
    """Anything this software raises on purpose."""


class TemporaryError(ProvisionerError):
    """What may pass by itself: retried with backoff, for ever."""


class PermanentError(ProvisionerError):
    """What needs a person: retried all the same, but said loudly."""


class ConfigurationError(PermanentError):
    """The configuration was refused; the message names the key and the remedy."""


class IssuerUnavailableError(TemporaryError):
    """The issuer gave no answer, and the call had no effect or is harmless to repeat."""


class IssuerRefusedError(PermanentError):
    """The issuer answered no: not installed, not authenticated, not permitted, not understood."""


class CredentialRefusedError(IssuerRefusedError):
    """The issuer does not let in the credential it was called with: surely nothing was done, another may be tried."""


class OutcomeUnknownError(TemporaryError):
    """An effect was asked for and nobody knows whether it took place: never repeat, look again."""


class TokenUnreadableError(PermanentError):
    """A token was created, but its string could not be read from the answer: it is an orphan now."""


class StoreUnavailableError(TemporaryError):
    """The store gave no answer to a read, or is known not to have carried out a write."""


class StoreRefusedError(PermanentError):
    """The store answered no: permission denied, no such mount, value refused."""


class ConflictError(TemporaryError):
    """Compare-and-set failed: somebody else has written since the revision we gathered."""


class AttemptFailedError(TemporaryError):
    """A rotation was begun and did not reach its commit; the message says at which step and why."""


class OvertakenError(AttemptFailedError):
    """A rotation was begun, and somebody else wrote the secret before it could be committed."""


class DaemonUnreachableError(TemporaryError):
    """No running daemon answered; nothing was asked of anybody."""


class LeaseConflictError(TemporaryError):
    """The lease was not written: somebody else has written it, or created it, since we read it."""


class LeaseGoneError(TemporaryError):
    """The lease was not written: it is there no more."""


class LeaseUnavailableError(TemporaryError):
    """Nobody answered, or too late, or not now: a write may have taken effect, or may yet."""

    def __init__(self, text: str, *, retry_after: timedelta = timedelta(0)) -> None:
        """Take how long the server asked to be left alone, where it did."""
        super().__init__(text)
        self.retry_after = retry_after


class LeaseRefusedError(PermanentError):
    """The lease was not read or written: we may not, or the server does not take it."""


class WorkloadsUnavailableError(TemporaryError):
    """Nobody answered, or too late: a restart may have taken effect, or may yet."""


class WorkloadsRefusedError(PermanentError):
    """A workload was not read or restarted: we may not, or the server does not take it."""


class WorkloadGoneError(TemporaryError):
    """A workload was not restarted: it is not there."""


class NotificationFailedError(TemporaryError):
    """A webhook did not say that it has taken note: it is told again."""
