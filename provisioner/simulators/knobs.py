"""What can be made to go wrong in the simulated cluster."""

from __future__ import annotations

import math

from provisioner.simulators.quick import defaults

TYPE_CHECKING = False
if TYPE_CHECKING:
    from dataclasses import dataclass
    from typing import Final
else:
    from provisioner.simulators.quick import dataclass

ODD_ANSWERS: Final = ("malformed", "truncated", "slow", "redirect", "html", "empty", "wrong_shape")
_CHOICES: Final = {
    "style": ("object", "wrapped", "array", "camel", "rfc3339", "text"),
    "warn": ("stderr", "stdout", "none"),
    "odd_answer": ODD_ANSWERS,
}
_SIGNED: Final = frozenset({"clock_ahead"})
_STATUSES: Final = range(200, 600)


@dataclass(frozen=True, slots=True, kw_only=True)
class Knobs:
    """What goes wrong. Counts go down with each use; everything else stays until it is changed.

    Raises ValueError for a value that a knob cannot take.
    """

    latency: float = 0.0
    """Seconds before anything is done."""
    activation_lag: float = 0.0
    """Seconds until a new token works."""
    stale_list: float = 0.0
    """Seconds by which the list lags behind."""
    clock_ahead: float = 0.0
    """Seconds by which the cluster's clock is ahead of this machine's; negative: behind."""
    fail_create: int = 0
    """That many creates fail before they have an effect; the same for the next two."""
    fail_list: int = 0
    fail_revoke: int = 0
    lose_answer: int = 0
    """That many creates take effect, and answer with an error."""
    hang_create: int = 0
    """That many creates take effect, and never answer; the same for the next two, without an effect."""
    hang_list: int = 0
    hang_revoke: int = 0
    cut_output: int = 0
    """That many creates or lists have their effect, give half of their JSON, and end as if all were well."""
    forget_expiry: int = 0
    """That many creates ignore the expiry that was asked for."""
    kill_caller_before_create: int = 0
    """Before that many creates the calling process is killed with SIGKILL, and nothing is created; so for revoke."""
    kill_caller_before_revoke: int = 0
    kill_caller_after_create: int = 0
    """That many creates take effect, and kill the calling process instead of answering; so for revoke."""
    kill_caller_after_revoke: int = 0
    die_after_create: int = 0
    """That many creates take effect, and whoever had to answer dies before it does (influxctl of SIGKILL, an HTTP
    connection by being closed); so for revoke."""
    die_after_revoke: int = 0
    disk_full: bool = False
    """Whether nothing more can be kept: creates and revocations fail without an effect."""
    unauthenticated: bool = False
    """Whether no credential is usable: influxctl starts a device login and waits, HTTP answers 401."""
    guarded: bool = False
    """Whether influxctl refuses a call without a credential, too, and not only one with a dead credential."""
    http_status: int = 0
    """Every HTTP request is answered with this, 0: as it should."""
    retry_after: int = 0
    """Seconds in a Retry-After header beside ``http_status``, 0: none."""
    odd_answers: int = 0
    """That many HTTP requests have their effect, and are answered in an odd way."""
    odd_answer: str = "malformed"
    """The odd way, one of ODD_ANSWERS; ``redirect`` alone has no effect."""
    style: str = "object"
    """How create and list print JSON: object, wrapped, array, camel, rfc3339, or text (create alone)."""
    warn: str = "stderr"
    """Where warn lines go: stderr, stdout or none."""
    secret_key: str = "token"  # noqa: S105  # the name of a key
    """The key under which create prints the token string."""

    def __post_init__(self) -> None:
        """Refuse what a knob cannot take."""
        for name, default in defaults(Knobs).items():
            value: object = getattr(self, name)
            wanted = None if value is default else _complaint(name, value, default)
            if wanted is not None:
                raise ValueError(f"knob {name} cannot be {value!r}: it takes {wanted}")


def _complaint(name: str, value: object, default: object) -> str | None:
    """Tell what a knob takes, where this value is none of it; what it is set to at first tells its kind."""
    if isinstance(default, bool):
        right, wanted = isinstance(value, bool), "true or false"
    elif name in _CHOICES:
        right, wanted = value in _CHOICES[name], f"one of {', '.join(_CHOICES[name])}"
    elif isinstance(default, str):
        right, wanted = isinstance(value, str) and value != "", "a text"
    elif name == "http_status":
        right, wanted = _is_whole(value) and (value == 0 or value in _STATUSES), "a status from 200 to 599, or 0"
    elif isinstance(default, int):
        right, wanted = _is_whole(value) and _is_number(value), "a whole number, 0 or more"
    elif name in _SIGNED:
        right, wanted = _is_number(value, signed=True), "a number of seconds"
    else:
        right, wanted = _is_number(value), "a number of seconds, 0 or more"
    return None if right else wanted


def _is_whole(value: object) -> bool:
    return isinstance(value, int) and not isinstance(value, bool)


def _is_number(value: object, *, signed: bool = False) -> bool:
    if not isinstance(value, (int, float)) or isinstance(value, bool):
        return False
    return math.isfinite(value) and (signed or value >= 0)
