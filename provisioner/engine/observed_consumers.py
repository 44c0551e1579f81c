"""Workloads and webhooks that tell an observer of every request they make, and let no foreign error through."""

from typing import Final

from provisioner.domain.consumers import Notice, Rollout, Webhook, Workload
from provisioner.domain.mark import Owner
from provisioner.domain.model import Record
from provisioner.engine.observed import observed
from provisioner.ports.notifier import Notifier
from provisioner.ports.observer import Observer
from provisioner.ports.workloads import Workloads

CONSUMER: Final = "consumer"
WEBHOOK: Final = "webhook"


class ObservedWorkloads:
    """Workloads that pass every call on, and tell what came of it by their kind."""

    def __init__(self, workloads: Workloads, observe: Observer) -> None:
        self._workloads, self._observe = workloads, observe

    def read(self, workload: Workload, owner: Owner) -> Rollout | None:
        """See the port."""

        def request() -> Rollout | None:
            return self._workloads.read(workload, owner)

        return observed(self._observe, CONSUMER, workload.kind.value, "read", request)

    def restart(self, workload: Workload, record: Record) -> None:
        """See the port."""
        kind = workload.kind.value
        observed(self._observe, CONSUMER, kind, "restart", lambda: self._workloads.restart(workload, record))

    def check(self, workload: Workload, owner: Owner) -> None:
        """See the port."""
        observed(self._observe, CONSUMER, workload.kind.value, "check", lambda: self._workloads.check(workload, owner))

    def close(self) -> None:
        """See the port."""
        self._workloads.close()


class ObservedNotifier:
    """A Notifier that passes every call on, and tells what came of it."""

    def __init__(self, notifier: Notifier, observe: Observer) -> None:
        self._notifier, self._observe = notifier, observe

    def deliver(self, webhook: Webhook, notice: Notice) -> None:
        """See the port."""
        observed(self._observe, CONSUMER, WEBHOOK, "deliver", lambda: self._notifier.deliver(webhook, notice))

    def close(self) -> None:
        """See the port."""
        self._notifier.close()
