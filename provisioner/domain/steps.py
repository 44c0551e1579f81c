"""What a decision can ask for: a closed choice of steps, each performed by one function of the engine."""

from dataclasses import dataclass
from datetime import datetime
from typing import assert_never

from provisioner.domain.consumers import Webhook, Workload
from provisioner.domain.model import Destination, IssuedToken, Permission, Record, Reservation, Stored, Trigger

MINT_KEY = "mint"
GATHER_KEY = "gather"
TRY_KEY = "try"
AMEND_KEY = "amend"
_REVOKE_KEY = "revoke:"
_COPY_KEY = "copy:"
_CONFIRM_KEY = "confirm:"
_READ_KEY = "read:"
_LOOK_KEY = "look:"
_RESTART_KEY = "restart:"
_NOTIFY_KEY = "notify:"


def is_mint_key(key: str) -> bool:
    """Tell whether a backoff is that of a rotation, by itself or at a person's wish."""
    return key == MINT_KEY or key.startswith(f"{MINT_KEY}:")


def mint_key(trigger: Trigger | None) -> str:
    """Backoff key of a rotation, by itself or at that wish."""
    return MINT_KEY if trigger is None else f"{MINT_KEY}:{trigger.request_id}"


def revoke_key(token: IssuedToken) -> str:
    """Backoff key of a revocation: its failures delay no other."""
    return f"{_REVOKE_KEY}{token.token_id}"


def is_revoke_key(key: str) -> bool:
    """Tell whether a backoff is that of a revocation."""
    return key.startswith(_REVOKE_KEY)


def copy_key(destination: Destination) -> str:
    """Backoff key of a copy: one destination's failures delay no other."""
    return f"{_COPY_KEY}{destination}"


def confirm_key(destination: Destination) -> str:
    """Backoff key of a look with the reader's eyes: one destination's failures delay no other."""
    return f"{_CONFIRM_KEY}{destination}"


def read_key(destination: Destination) -> str:
    """Backoff key of reading a copy: while one that gives no answer waits for its next try, it costs nobody time."""
    return f"{_READ_KEY}{destination}"


def look_key(workload: Workload) -> str:
    """Backoff key of reading a workload."""
    return f"{_LOOK_KEY}{workload}"


def restart_key(workload: Workload) -> str:
    """Backoff key of a restart: one workload's failures delay no other."""
    return f"{_RESTART_KEY}{workload}"


def notify_key(webhook: Webhook) -> str:
    """Backoff key of a notice: one webhook's failures delay no other."""
    return f"{_NOTIFY_KEY}{webhook}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Rest:
    """Do nothing until a moment."""

    until: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class Refuse:
    """Do nothing at all until a person has mended something; look again at a moment."""

    until: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class Mint:
    """Create a token, prove it and commit it against the revision gathered."""

    primary: Stored
    trigger: Trigger | None = None

    @property
    def key(self) -> str:
        """Backoff key: a manual trigger does not wait for the failures of others, only for its own."""
        return mint_key(self.trigger)


@dataclass(frozen=True, slots=True, kw_only=True)
class TryStored:
    """Use the stored token, to see whether it works: a read, it changes nothing."""

    record: Record
    revision: str

    @property
    def key(self) -> str:
        """Backoff key."""
        return TRY_KEY


@dataclass(frozen=True, slots=True, kw_only=True)
class Amend:
    """Change the permissions of the stored token at its issuer, in place."""

    target: IssuedToken
    permissions: frozenset[Permission]

    @property
    def key(self) -> str:
        """Backoff key."""
        return AMEND_KEY


@dataclass(frozen=True, slots=True, kw_only=True)
class Copy:
    """Write the primary's record to a destination that differs; the primary itself when its spelling does."""

    record: Record
    destination: Destination
    revision: str
    """The destination's revision gathered, for compare-and-set."""

    @property
    def key(self) -> str:
        """Backoff key."""
        return copy_key(self.destination)


@dataclass(frozen=True, slots=True, kw_only=True)
class Confirm:
    """Read a destination by the reader of its store, to see that consumers can: it changes nothing."""

    record: Record
    destination: Destination
    revision: str
    """The destination's revision gathered: what the reader is to see."""

    @property
    def key(self) -> str:
        """Backoff key."""
        return confirm_key(self.destination)


@dataclass(frozen=True, slots=True, kw_only=True)
class Restart:
    """Let a workload replace its pods, so that they read the stored token."""

    record: Record
    workload: Workload

    @property
    def key(self) -> str:
        """Backoff key."""
        return restart_key(self.workload)


@dataclass(frozen=True, slots=True, kw_only=True)
class Notify:
    """Tell a webhook that the stored token is the current one."""

    record: Record
    webhook: Webhook

    @property
    def key(self) -> str:
        """Backoff key."""
        return notify_key(self.webhook)


@dataclass(frozen=True, slots=True, kw_only=True)
class Revoke:
    """Revoke one live marked token that is not the current one."""

    target: IssuedToken
    fence: Record | Reservation | None = None
    """What to write again first, under compare-and-set; None when no write of the target can land."""
    primary: Stored

    @property
    def key(self) -> str:
        """Backoff key."""
        return revoke_key(self.target)


def kind(step: "Step") -> str:
    """Name a step in status, plans and logs."""
    match step:
        case TryStored():
            return "try"
        case Rest() | Refuse() | Mint() | Amend() | Copy() | Confirm() | Restart() | Notify() | Revoke():
            return type(step).__name__.lower()
        case _:
            assert_never(step)


Effect = Mint | TryStored | Amend | Copy | Confirm | Restart | Notify | Revoke
Step = Rest | Refuse | Effect


@dataclass(frozen=True, slots=True, kw_only=True)
class Finding:
    """The answer of one check."""

    message: str
    """What was seen, for an operator."""
    step: Step | None = None
    """What follows; None when the fact does not hold."""
    until: datetime | None = None
    """When the answer may change by the passing of time alone."""

    @property
    def holds(self) -> bool:
        """Whether the fact holds."""
        return self.step is not None


@dataclass(frozen=True, slots=True, kw_only=True)
class Decision:
    """The one step to take now, and the fact and words that explain it."""

    step: Step
    fact: str
    """Name of the check that asked for it."""
    message: str
    hindrance: str | None = None
    """Why a wanted mint has to wait (backoff, the guard of three); None when nothing is held up."""
