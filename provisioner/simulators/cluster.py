"""The state of a simulated InfluxDB cluster: one JSON file under a lock, shared by the programs that speak for it.

Only hashes of a token's string are kept: what is lost here is lost, as in a real cluster. Nothing is imported that
starts slowly, since the influxctl look-alike begins anew with every call.
"""

from __future__ import annotations

import fcntl
import os
from datetime import datetime, timedelta

from provisioner.domain.errors import ConfigurationError
from provisioner.runtime.clock import SystemClock
from provisioner.simulators.cluster_token import (
    ClusterToken,
    Kind,
    Permission,
    digest_of,
    new_token,
    new_uuid,
    numbered,
    read_token,
)
from provisioner.simulators.knobs import Knobs
from provisioner.simulators.quick import read_json, written_json

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from dataclasses import asdict, replace
    from typing import Any, Final, Literal
else:
    from provisioner.simulators.quick import asdict, replace

OPERATOR: Final = "_admin"
"""The name of InfluxDB 3's first token."""
OPERATOR_ID: Final = 0
_LONG_AGO: Final = timedelta(days=30)
_FULL: Final = "/dev/full"
"""The system's own full disk: what is written there fails as it would on a real one."""


class NameTakenError(Exception):
    """Another admin token has that name."""


class Cluster:
    """Creates, lists, revokes and authenticates tokens of every kind, for any number of processes at once."""

    def __init__(self, directory: os.PathLike[str] | str, now: Callable[[], datetime] | None = None) -> None:
        """Take where the state is; the directory is made when it is not there."""
        self._directory, self._now = os.fspath(directory), now or SystemClock().now
        os.makedirs(self._directory, exist_ok=True)

    def now(self) -> datetime:
        """Give the time by the cluster's own clock."""
        return self._now() + timedelta(seconds=self.knobs().clock_ahead)

    def create(
        self,
        description: str,
        expires_at: datetime | None,
        *,
        kind: Kind = Kind.MANAGEMENT,
        permissions: tuple[Permission, ...] = (),
    ) -> tuple[ClusterToken, str]:
        """Create a token; its string is returned and kept nowhere.

        Raises NameTakenError when an admin token of that name is not deleted, OSError when the state cannot be written.
        """
        token, string = new_token(
            kind, description, created_at=self.now(), expires_at=expires_at, permissions=permissions
        )
        with self._state() as tokens:
            if kind is Kind.ADMIN:
                token = _next(token, tokens)
            tokens.append(token)
        return token, string

    def operator(self, kind: Literal["management", "admin"]) -> str:
        """Give the string of a token that a person made by hand long ago: without a mark and without an expiry.

        InfluxDB 3 has one such token, ``_admin``: asked for it again, this regenerates it, and the string before is
        dead.
        """
        made_at = self.now() - _LONG_AGO
        if kind == "admin":
            return self.generate_operator(made_at)[1]
        token, string = new_token(Kind.MANAGEMENT, "made by hand", created_at=made_at)
        with self._state() as tokens:
            tokens.append(token)
        return string

    def generate_operator(self, made_at: datetime) -> tuple[ClusterToken, str]:
        """Make InfluxDB 3's operator token, or give the one that is there a new string."""
        token, string = new_token(Kind.ADMIN, OPERATOR, created_at=made_at)
        token = numbered(token, OPERATOR_ID)
        with self._state() as tokens:
            before = _named(OPERATOR, tokens)
            token = replace(token, created_at=before.created_at if before else token.created_at)
            tokens[:] = [*(other for other in tokens if other is not before), token]
        return token, string

    def tokens(self, kind: Kind | None = None) -> tuple[ClusterToken, ...]:
        """Give every token of a kind, or of all, as the list shows it: late, when that knob is set."""
        with self._state() as tokens:
            known = tuple(token for token in tokens if kind is None or token.kind is kind)
        lag = self.knobs().stale_list
        seen_until = self.now() - timedelta(seconds=lag)
        return (
            known if lag <= 0 else tuple(_as_of(token, seen_until) for token in known if token.created_at <= seen_until)
        )

    def find(self, kind: Kind, token_id: str) -> ClusterToken | None:
        """Give a token as it is now."""
        with self._state() as tokens:
            return next((token for token in tokens if token.kind is kind and token.token_id == token_id), None)

    def named(self, name: str) -> ClusterToken | None:
        """Give the admin token that has that name now."""
        with self._state() as tokens:
            return _named(name, tokens)

    def revoke(self, token_id: str) -> bool:
        """Revoke a token for good; False when there is none with that id. Raises OSError as ``create`` does."""
        now = self.now()
        return self._change(token_id, lambda token: replace(token, revoked_at=token.revoked_at or now)) is not None

    def edit(
        self, token_id: str, *, description: str | None = None, permissions: tuple[Permission, ...] | None = None
    ) -> ClusterToken | None:
        """Change what is given of a token; None when there is none with that id. Raises OSError as ``create`` does."""

        def edited(token: ClusterToken) -> ClusterToken:
            return replace(
                token,
                description=token.description if description is None else description,
                permissions=token.permissions if permissions is None else permissions,
            )

        return self._change(token_id, edited)

    def authenticated(self, string: str) -> ClusterToken | None:
        """Give the live token with that string, once it has become active."""
        digest, now = digest_of(string), self.now()
        active_since = now - timedelta(seconds=self.knobs().activation_lag)
        with self._state() as tokens:
            found = next((token for token in tokens if token.digest == digest), None)
        return found if found is not None and found.is_live(now) and found.created_at <= active_since else None

    def authenticate(self, string: str) -> bool:
        """Tell whether that string is a live token which has become active."""
        return self.authenticated(string) is not None

    def instance(self) -> str:
        """Give the UUID of this cluster, which InfluxDB 3 puts into every answer."""
        path = self._path("instance.json")
        with self._lock():
            if _read(path) is None:
                _write(path, new_uuid())
            found: str = _read(path)
            return found

    def knobs(self) -> Knobs:
        """Give what is set to go wrong; raises ConfigurationError when the file with it is not understood."""
        with self._lock():
            return self._read_knobs()

    def set(self, **changes: Any) -> None:  # noqa: ANN401  # the fields of Knobs
        """Change what goes wrong; raises TypeError for a knob that does not exist, ValueError for a wrong value."""
        with self._lock():
            _write(self._path("knobs.json"), asdict(replace(self._read_knobs(), **changes)))

    def take(self, knob: str) -> bool:
        """Use up one of a counted knob; True when there was one left."""
        with self._lock():
            knobs = self._read_knobs()
            left: int = getattr(knobs, knob)
            if left > 0:
                _write(self._path("knobs.json"), asdict(knobs) | {knob: left - 1})
            return left > 0

    def _change(self, token_id: str, change: Callable[[ClusterToken], ClusterToken]) -> ClusterToken | None:
        with self._state() as tokens:
            for index, token in enumerate(tokens):
                if token.token_id == token_id:
                    tokens[index] = change(token)
                    return tokens[index]
        return None

    def _read_knobs(self) -> Knobs:
        path = self._path("knobs.json")
        try:
            content = _read(path)
            return Knobs() if content is None else Knobs(**content)
        except (TypeError, ValueError) as error:
            raise ConfigurationError(f"{path} is not understood: {error}") from None

    def _path(self, name: str) -> str:
        return os.path.join(self._directory, name)

    def _lock(self) -> _Lock:
        return _Lock(self._path("lock"))

    def _state(self) -> _State:
        """Give the tokens under the lock, and write them back when they have changed."""
        return _State(self._lock(), self._path("state.json"), lambda: self._read_knobs().disk_full)


class _Lock:
    """Keeps the other programs out while its block lasts."""

    def __init__(self, path: str) -> None:
        self._path = path

    def __enter__(self) -> None:
        self._file = open(self._path, "a")
        fcntl.flock(self._file, fcntl.LOCK_EX)

    def __exit__(self, *_: object) -> None:
        self._file.close()


class _State:
    """The tokens while its block lasts; what it leaves in the list is kept."""

    def __init__(self, lock: _Lock, path: str, is_full: Callable[[], bool]) -> None:
        self._lock, self._path, self._is_full = lock, path, is_full

    def __enter__(self) -> list[ClusterToken]:
        self._lock.__enter__()
        try:
            self._tokens = [read_token(entry) for entry in _read(self._path) or ()]
        except BaseException:
            self._lock.__exit__()
            raise
        self._before = list(self._tokens)
        return self._tokens

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> None:
        try:
            if kind is None and self._tokens != self._before:
                _write(self._path, [asdict(token) for token in self._tokens], _FULL if self._is_full() else None)
        finally:
            self._lock.__exit__()


def _next(token: ClusterToken, tokens: list[ClusterToken]) -> ClusterToken:
    """Give an admin token its number, which is never used again; raises NameTakenError."""
    if _named(token.description, tokens) is not None:
        raise NameTakenError(token.description)
    numbers = [int(other.token_id) for other in tokens if other.kind is Kind.ADMIN]
    return numbered(token, max([OPERATOR_ID, *numbers]) + 1)


def _named(name: str, tokens: list[ClusterToken]) -> ClusterToken | None:
    named = (token for token in tokens if token.kind is Kind.ADMIN and token.description == name)
    return next((token for token in named if token.revoked_at is None), None)


def _as_of(token: ClusterToken, moment: datetime) -> ClusterToken:
    """Show a token as it was at a moment."""
    revoked = token.revoked_at if token.revoked_at is not None and token.revoked_at <= moment else None
    return replace(token, revoked_at=revoked)


def _read(path: str) -> Any:  # noqa: ANN401  # what JSON holds
    """Give what a file holds, None when there is none; raises ValueError."""
    try:
        with open(path) as file:
            return read_json(file.read())
    except FileNotFoundError:
        return None


def _write(path: str, value: object, draft: str | None = None) -> None:
    """Write a file in one go, so that no reader and no crash sees half of it; raises OSError when it cannot be."""
    draft = draft or f"{path}.{os.getpid()}.draft"
    with open(draft, "r+" if draft == _FULL else "w") as file:  # a device that is not there must not be made a file
        file.write(written_json(value))
    os.replace(draft, path)
