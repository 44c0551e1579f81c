"""The state of a simulated InfluxDB cluster: one JSON file under a lock, shared by the programs that speak for it.

Only a hash of a token's string is kept: what is lost here is lost, as in a real cluster. Standard library only, so that
the influxctl look-alike starts fast.
"""

import base64
import fcntl
import hashlib
import json
import os
import secrets
import uuid
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, Final

from provisioner.runtime.clock import SystemClock

PREFIX_LENGTH: Final = 9
_SECRET_BYTES: Final = 48
_FULL: Final = Path("/dev/full")
"""The system's own full disk: what is written there fails as it would on a real one."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ClusterToken:
    """A management token as the cluster knows it."""

    token_id: str
    digest: str
    """SHA-256 of the string."""
    prefix: str
    description: str
    created_at: datetime
    expires_at: datetime | None
    revoked_at: datetime | None = None

    def is_live(self, now: datetime) -> bool:
        """Tell whether it is neither revoked nor expired."""
        return self.revoked_at is None and (self.expires_at is None or self.expires_at > now)


@dataclass(frozen=True, slots=True, kw_only=True)
class Knobs:
    """What goes wrong. Counts go down with each use; everything else stays until it is changed."""

    latency: float = 0.0
    """Seconds before anything is done."""
    activation_lag: float = 0.0
    """Seconds until a new token works."""
    stale_list: float = 0.0
    """Seconds by which the list lags behind."""
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
    """That many creates or lists have their effect, print half of their JSON, and end as if all were well."""
    forget_expiry: int = 0
    """That many creates ignore the expiry that was asked for."""
    kill_caller_before_create: int = 0
    """Before that many creates the calling process is killed with SIGKILL, and nothing is created; so for revoke."""
    kill_caller_before_revoke: int = 0
    kill_caller_after_create: int = 0
    """That many creates take effect, and kill the calling process instead of answering; so for revoke."""
    kill_caller_after_revoke: int = 0
    die_after_create: int = 0
    """That many creates take effect, and influxctl itself dies of SIGKILL before it answers; so for revoke."""
    die_after_revoke: int = 0
    disk_full: bool = False
    """Whether nothing more can be kept: creates and revocations fail without an effect."""
    unauthenticated: bool = False
    """Whether influxctl has no usable credential: it starts a device login and waits."""
    http_status: int = 0
    """The management API answers this, 0: as it should."""
    style: str = "object"
    """How create and list print JSON: object, wrapped, array, camel, rfc3339, or text (create alone)."""
    warn: str = "stderr"
    """Where warn lines go: stderr, stdout or none."""
    secret_key: str = "token"  # noqa: S105  # the name of a key
    """The key under which create prints the token string."""


class Cluster:
    """Creates, lists, revokes and authenticates management tokens, for any number of processes at once."""

    def __init__(self, directory: Path, now: Callable[[], datetime] | None = None) -> None:
        """Take where the state is; the directory is made when it is not there."""
        self._directory, self._now = directory, now or SystemClock().now
        directory.mkdir(parents=True, exist_ok=True)

    def create(self, description: str, expires_at: datetime | None) -> tuple[ClusterToken, str]:
        """Create a token; its string is returned and kept nowhere. Raises OSError when the state cannot be written."""
        string = "M.V1." + base64.b64encode(secrets.token_bytes(_SECRET_BYTES)).decode()
        token = ClusterToken(
            token_id=str(uuid.uuid4()),
            digest=_digest(string),
            prefix=string[:PREFIX_LENGTH],
            description=description,
            created_at=self._now(),
            expires_at=expires_at,
        )
        with self._state() as tokens:
            tokens.append(token)
        return token, string

    def tokens(self) -> tuple[ClusterToken, ...]:
        """Give every token, as the list shows it: late, when that knob is set."""
        with self._state() as tokens:
            known = tuple(tokens)
        lag = self.knobs().stale_list
        seen_until = self._now() - timedelta(seconds=lag)
        return (
            known if lag <= 0 else tuple(_as_of(token, seen_until) for token in known if token.created_at <= seen_until)
        )

    def revoke(self, token_id: str) -> bool:
        """Revoke a token for good; False when there is none with that id. Raises OSError as ``create`` does."""
        with self._state() as tokens:
            for index, token in enumerate(tokens):
                if token.token_id == token_id:
                    tokens[index] = replace(token, revoked_at=token.revoked_at or self._now())
                    return True
        return False

    def authenticate(self, string: str) -> bool:
        """Tell whether that string is a live token which has become active."""
        digest, now = _digest(string), self._now()
        active_since = now - timedelta(seconds=self.knobs().activation_lag)
        with self._state() as tokens:
            return any(
                token.digest == digest and token.is_live(now) and token.created_at <= active_since for token in tokens
            )

    def knobs(self) -> Knobs:
        """Give what is set to go wrong."""
        with self._lock():
            return self._read_knobs()

    def set(self, **changes: Any) -> None:  # noqa: ANN401  # the fields of Knobs
        """Change what goes wrong; raises TypeError for a knob that does not exist."""
        with self._lock():
            _write(self._directory / "knobs.json", asdict(replace(self._read_knobs(), **changes)))

    def take(self, knob: str) -> bool:
        """Use up one of a counted knob; True when there was one left."""
        with self._lock():
            knobs = self._read_knobs()
            left: int = getattr(knobs, knob)
            if left > 0:
                _write(self._directory / "knobs.json", asdict(knobs) | {knob: left - 1})
            return left > 0

    def _read_knobs(self) -> Knobs:
        path = self._directory / "knobs.json"
        return Knobs(**json.loads(path.read_text())) if path.exists() else Knobs()

    @contextmanager
    def _lock(self) -> Iterator[None]:
        with (self._directory / "lock").open("a") as file:
            fcntl.flock(file, fcntl.LOCK_EX)
            yield

    @contextmanager
    def _state(self) -> Iterator[list[ClusterToken]]:
        """Give the tokens under the lock, and write them back when they have changed."""
        path = self._directory / "state.json"
        with self._lock():
            tokens = [_read_token(entry) for entry in json.loads(path.read_text())] if path.exists() else []
            before = list(tokens)
            yield tokens
            if tokens != before:
                draft = _FULL if self._read_knobs().disk_full else None
                _write(path, [asdict(token) for token in tokens], draft)


def _as_of(token: ClusterToken, moment: datetime) -> ClusterToken:
    """Show a token as it was at a moment."""
    revoked = token.revoked_at if token.revoked_at is not None and token.revoked_at <= moment else None
    return replace(token, revoked_at=revoked)


def _digest(string: str) -> str:
    return hashlib.sha256(string.encode()).hexdigest()


def _read_token(entry: dict[str, Any]) -> ClusterToken:
    times = {
        key: datetime.fromisoformat(entry[key]).astimezone(UTC) if entry[key] else None
        for key in ("created_at", "expires_at", "revoked_at")
    }
    return ClusterToken(**{**entry, **times})


def _write(path: Path, value: object, draft: Path | None = None) -> None:
    """Write a file in one go, so that no reader and no crash sees half of it; raises OSError when it cannot be."""
    draft = draft or path.with_suffix(f".{os.getpid()}.draft")
    with draft.open("r+" if draft == _FULL else "w") as file:  # a device that is not there must not be made a file
        file.write(json.dumps(value, default=datetime.isoformat))
    draft.replace(path)
