"""Client tokens of Vault and OpenBao: obtained, renewed before they end, obtained again after a refusal."""

from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from datetime import timedelta
from threading import Lock
from typing import Any, Final, Protocol

from provisioner.domain.errors import ProvisionerError, StoreRefusedError, StoreUnavailableError
from provisioner.domain.secret import SecretText
from provisioner.ports.clock import Clock
from provisioner.ports.secret_source import SecretSource

_RENEW_AT: Final = 2 / 3
_RELOGIN_MARGIN: Final = timedelta(seconds=10)

Body = Mapping[str, str | list[str] | SecretText]
"""What is sent besides secrets of KV; a credential in it is revealed as it leaves."""
Post = Callable[[str, Body | None, SecretText | None], dict[str, Any]]
"""Sends one request with the client token given, or none: path, body, client token; gives the JSON answer."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Grant:
    """A client token and how long it lasts."""

    token: SecretText
    lease: timedelta | None
    """None: it does not end."""
    renewable: bool


class VaultLogin(Protocol):
    """One way to obtain a client token."""

    @property
    def obtained_by_us(self) -> bool:
        """Whether the client token is ours alone, to be revoked when we leave."""

    def obtain(self, post: Post) -> Grant:
        """Obtain a client token; reads its secrets afresh."""


@dataclass(frozen=True, slots=True, kw_only=True)
class TokenLogin:
    """A client token that somebody else obtained."""

    token: SecretSource
    obtained_by_us: bool = False

    def obtain(self, post: Post) -> Grant:
        """Read it, and ask how long it lasts; one that may not ask about itself is used until it is refused."""
        token = self.token()
        try:
            data = post("auth/token/lookup-self", None, token).get("data") or {}
        except StoreRefusedError:
            return Grant(token=token, lease=None, renewable=False)
        ttl = int(data.get("ttl") or 0)
        return Grant(token=token, lease=timedelta(seconds=ttl) if ttl else None, renewable=bool(data.get("renewable")))


@dataclass(frozen=True, slots=True, kw_only=True)
class AppRoleLogin:
    """AppRole."""

    role_id: SecretSource
    secret_id: SecretSource
    mount: str = "approle"
    obtained_by_us: bool = True

    def obtain(self, post: Post) -> Grant:
        """Log in with role and secret id."""
        body: Body = {"role_id": self.role_id(), "secret_id": self.secret_id()}
        return _granted(post(f"auth/{self.mount}/login", body, None))


@dataclass(frozen=True, slots=True, kw_only=True)
class JwtLogin:
    """The kubernetes and jwt methods: both send a role and a JSON Web Token."""

    role: str
    jwt: SecretSource
    mount: str
    obtained_by_us: bool = True

    def obtain(self, post: Post) -> Grant:
        """Log in with role and token."""
        body: Body = {"role": self.role, "jwt": self.jwt()}
        return _granted(post(f"auth/{self.mount}/login", body, None))


class ClientToken:
    """Keeps one client token usable for all threads; logs in once, however many ask at the same time."""

    def __init__(self, login: VaultLogin, post: Post, clock: Clock) -> None:
        """Take how to log in; nothing is asked yet."""
        self._login, self._post, self._clock = login, post, clock
        self._lock = Lock()
        self._grant: Grant | None = None
        self._renew_at = self._ends_at = float("inf")
        self._logins = 0
        self._failure: ProvisionerError | None = None

    def current(self) -> SecretText:
        """Give a client token that lasts: logs in, or renews, when it must."""
        logins = self._logins
        with self._lock:
            now = self._clock.monotonic()
            if self._grant is None or now >= self._ends_at:
                return self._obtain(logins)
            if now >= self._renew_at:
                return self._renew(self._grant)
            return self._grant.token

    def refused(self, token: SecretText) -> SecretText:
        """After a refusal of that client token: give another one, obtained since.

        One that we had obtained is revoked, lest a lasting refusal pile up tokens that nobody uses.
        """
        logins = self._logins
        with self._lock:
            if self._grant is not None and self._grant.token != token:
                return self._grant.token
            obtained = self._obtain(logins)
            if self._login.obtained_by_us:
                with suppress(ProvisionerError):  # most often it has ended, which is why it was refused
                    self._post("auth/token/revoke-self", {}, token)
            return obtained

    def give_up(self) -> SecretText | None:
        """Give the client token that has to be revoked before we leave, if there is one."""
        with self._lock:
            grant, self._grant = self._grant, None
            return grant.token if grant is not None and self._login.obtained_by_us else None

    def _obtain(self, logins: int | None = None) -> SecretText:
        """Log in; a thread that has waited for a login since ``logins`` which failed takes that for its own."""
        if self._failure is not None and logins is not None and logins != self._logins:
            raise type(self._failure)(str(self._failure))
        self._grant, self._failure = None, None
        try:
            grant = self._login.obtain(self._post)
        except ProvisionerError as error:
            self._failure = error
            raise
        finally:
            self._logins += 1
        return self._keep(grant)

    def _renew(self, grant: Grant) -> SecretText:
        """Renew; a token that can be renewed no longer is replaced by a new login."""
        if not grant.renewable:
            return self._obtain()
        try:
            renewed = _granted(self._post("auth/token/renew-self", {}, grant.token))
        except StoreRefusedError:
            return self._obtain()
        except StoreUnavailableError:  # it lasts yet: once more halfway to its end
            now = self._clock.monotonic()
            self._renew_at = now + max(0.0, self._ends_at - now) / 2
            return grant.token
        if renewed.lease is not None and grant.lease is not None and renewed.lease < grant.lease / 2:
            return self._obtain()  # it nears its maximum life: renewing gives less and less
        return self._keep(renewed)

    def _keep(self, grant: Grant) -> SecretText:
        now = self._clock.monotonic()
        self._grant = grant
        self._renew_at = self._ends_at = float("inf")
        if grant.lease is not None:
            seconds = grant.lease.total_seconds()
            self._renew_at = now + seconds * _RENEW_AT
            self._ends_at = now + max(seconds * _RENEW_AT, seconds - _RELOGIN_MARGIN.total_seconds())
        return grant.token


def _granted(answer: dict[str, Any]) -> Grant:
    auth = answer.get("auth") or {}
    if not auth.get("client_token"):
        raise StoreRefusedError("the login was answered without a client token: check the auth method and its mount")
    seconds = int(auth.get("lease_duration") or 0)
    return Grant(
        token=SecretText(str(auth["client_token"])),
        lease=timedelta(seconds=seconds) if seconds else None,
        renewable=bool(auth.get("renewable")),
    )
