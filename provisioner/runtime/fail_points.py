"""Real death at a chosen call, for the crash tests: issuers, stores and consumers that kill this very process.

Nothing imports this but the composition root, and only where a test has set the environment variable.
"""

import os
import signal
from collections.abc import Callable, Sequence
from threading import Lock
from typing import Final, TypeVar

from provisioner.domain.consumers import Notice, Rollout, Webhook, Workload
from provisioner.domain.mark import Owner
from provisioner.domain.model import (
    CreateRequest,
    Destination,
    IssuedToken,
    Listing,
    MintedToken,
    Permission,
    Record,
    Reservation,
    Stored,
)
from provisioner.domain.secret import SecretText
from provisioner.ports.issuer import Issuer
from provisioner.ports.notifier import Notifier
from provisioner.ports.store import Store
from provisioner.ports.workloads import Workloads

T = TypeVar("T")
_STANDARD_ERROR: Final = 2


class Death:
    """Kills the process before, or after, the ``count``-th call of an operation, whichever adapter it goes to."""

    def __init__(self, operation: str, *, after: bool, count: int) -> None:
        """Take which call: ``operation`` is spelt ``store.write``."""
        self._operation, self._after, self._left = operation, after, count
        self._lock = Lock()

    def at(self, operation: str, call: Callable[[], T]) -> T:
        """Make the call, unless it is the one not to be made; nothing comes back from the one that was chosen."""
        if not self._is_chosen(operation):
            return call()
        if self._after:
            try:
                return call()
            finally:
                self._die()
        self._die()
        return call()

    def _is_chosen(self, operation: str) -> bool:
        with self._lock:
            self._left -= operation == self._operation
            return operation == self._operation and self._left == 0

    def _die(self) -> None:
        """Say so, lest a death without a word puzzle anybody, and die as of the kernel's own hand."""
        moment = "after" if self._after else "before"
        os.write(_STANDARD_ERROR, f'{{"event": "fail_point_met", "point": "{self._operation}:{moment}"}}\n'.encode())
        os.kill(os.getpid(), signal.SIGKILL)


class DyingIssuer:
    """An Issuer that passes every call on, until the chosen one."""

    def __init__(self, issuer: Issuer, death: Death) -> None:
        self._issuer, self._death = issuer, death

    @property
    def name(self) -> str:
        """The name the configuration gives it."""
        return self._issuer.name

    def list(self) -> Listing:
        """See the port."""
        return self._death.at("issuer.list", self._issuer.list)

    def create(self, request: CreateRequest) -> MintedToken:
        """See the port."""
        return self._death.at("issuer.create", lambda: self._issuer.create(request))

    def prove(self, token: SecretText, token_id: str) -> bool:
        """See the port."""
        return self._death.at("issuer.prove", lambda: self._issuer.prove(token, token_id))

    def revoke(self, token: IssuedToken) -> None:
        """See the port."""
        self._death.at("issuer.revoke", lambda: self._issuer.revoke(token))

    def amend(self, token: IssuedToken, permissions: frozenset[Permission]) -> None:
        """See the port."""
        self._death.at("issuer.amend", lambda: self._issuer.amend(token, permissions))

    def accepts(self, credential: SecretText) -> bool:
        """See the port."""
        return self._death.at("issuer.accepts", lambda: self._issuer.accepts(credential))

    def close(self) -> None:
        """See the port."""
        self._issuer.close()


class DyingStore:
    """A Store that passes every call on, until the chosen one."""

    def __init__(self, store: Store, death: Death) -> None:
        self._store, self._death = store, death

    @property
    def name(self) -> str:
        """The name the configuration gives it."""
        return self._store.name

    def preflight(self, destination: Destination) -> None:
        """See the port."""
        self._death.at("store.preflight", lambda: self._store.preflight(destination))

    def read(self, destination: Destination, owner: Owner) -> Stored:
        """See the port."""
        return self._death.at("store.read", lambda: self._store.read(destination, owner))

    def confirm(self, destination: Destination, owner: Owner) -> Stored:
        """See the port."""
        return self._store.confirm(destination, owner)

    def write(self, destination: Destination, owner: Owner, content: Record | Reservation, expected: str) -> str:
        """See the port."""
        return self._death.at("store.write", lambda: self._store.write(destination, owner, content, expected))

    def check(self, destinations: Sequence[tuple[Destination, Owner]]) -> Sequence[str]:
        """See the port."""
        return self._store.check(destinations)

    def close(self) -> None:
        """See the port."""
        self._store.close()


class DyingConsumers:
    """Workloads and webhooks; every call is passed on, until the chosen one."""

    def __init__(self, workloads: Workloads, notifier: Notifier, death: Death) -> None:
        self._workloads, self._notifier, self._death = workloads, notifier, death

    def read(self, workload: Workload, owner: Owner) -> Rollout | None:
        """See the port."""
        return self._death.at("consumer.read", lambda: self._workloads.read(workload, owner))

    def restart(self, workload: Workload, record: Record) -> None:
        """See the port."""
        self._death.at("consumer.restart", lambda: self._workloads.restart(workload, record))

    def check(self, workload: Workload, owner: Owner) -> None:
        """See the port."""
        self._workloads.check(workload, owner)

    def deliver(self, webhook: Webhook, notice: Notice) -> None:
        """See the port."""
        self._death.at("consumer.notify", lambda: self._notifier.deliver(webhook, notice))

    def close(self) -> None:
        """Let go of nothing: whoever made them does."""
