"""Workloads in memory whose pods hold the token that they read when they started, and webhooks that take note."""

from collections.abc import Callable
from dataclasses import dataclass, field

from provisioner.domain.consumers import Notice, Progress, Rollout, Webhook, Workload, annotation_of
from provisioner.domain.errors import (
    NotificationFailedError,
    WorkloadGoneError,
    WorkloadsRefusedError,
    WorkloadsUnavailableError,
)
from provisioner.domain.mark import Owner
from provisioner.domain.model import Record
from provisioner.domain.secret import SecretText
from tests.fakes.faults import Fault, Faults


@dataclass(slots=True)
class Pods:
    """One workload: its template's annotations, and the tokens that its running pods hold."""

    annotations: dict[str, str] = field(default_factory=dict)
    progress: Progress = Progress.COMPLETE
    held: set[str | None] = field(default_factory=set)
    generation: int = 1


def nothing() -> None:
    """Give nothing."""


class FakeWorkloads:
    """The Workloads port. A changed template is rolled out at once, unless ``holds_still``."""

    def __init__(self, reads: Callable[[], str | None] = nothing) -> None:
        """Take what a pod reads when it starts: the id of the stored token."""
        self.faults, self._reads = Faults(), reads
        self.there: dict[Workload, Pods] = {}
        self.holds_still = False
        self.changes = 0

    def add(self, workload: Workload) -> Pods:
        """Begin with a workload whose pods read what there is now."""
        self.there[workload] = Pods(held={self._reads()})
        self.changes += 1
        return self.there[workload]

    def finish(self, workload: Workload) -> None:
        """Let its roll-out be done: every pod has been started anew."""
        pods = self.there[workload]
        pods.progress, pods.held = Progress.COMPLETE, {self._reads()}
        self.changes += 1

    def annotate(self, workload: Workload, annotations: dict[str, str]) -> None:
        """Change the template as whoever does; its pods are replaced when it differs."""
        pods = self.there[workload]
        if annotations == pods.annotations:
            return
        pods.annotations, pods.progress, pods.generation = annotations, Progress.UNDER_WAY, pods.generation + 1
        pods.held = pods.held | {self._reads()}
        self.changes += 1
        if not self.holds_still:
            self.finish(workload)

    def read(self, workload: Workload, owner: Owner) -> Rollout | None:
        """See the port."""
        self._fail(self.faults.next("look"))
        pods = self.there.get(workload)
        if pods is None:
            return None
        rotation_id = pods.annotations.get(annotation_of(owner))
        return Rollout(rotation_id=rotation_id, progress=pods.progress, message=f"it is {pods.progress.value}")

    def restart(self, workload: Workload, record: Record) -> None:
        """See the port."""
        fault = self.faults.next("restart")
        if fault is not Fault.AFTER:
            self._fail(fault)
        if workload not in self.there:
            raise WorkloadGoneError(f"could not restart {workload}: it is not there")
        changed = {annotation_of(record.owner): record.rotation_id, "restartedAt": record.stored_at.isoformat()}
        self.annotate(workload, self.there[workload].annotations | changed)
        self._fail(fault)

    def check(self, workload: Workload, owner: Owner) -> None:
        """See the port."""
        if self.read(workload, owner) is None:
            raise WorkloadGoneError(f"{workload} is not there")
        self._fail(self.faults.next("try"))

    def close(self) -> None:
        """Let go of nothing."""

    def _fail(self, fault: Fault | None) -> None:
        if fault is Fault.REFUSED:
            raise WorkloadsRefusedError("the fake API server said no")
        if fault is not None:
            raise WorkloadsUnavailableError("the fake API server gave no answer")


class FakeNotifier:
    """The Notifier port, and the webhooks behind it."""

    def __init__(self) -> None:
        self.faults = Faults()
        self.taken: list[tuple[str, Notice]] = []

    def deliver(self, webhook: Webhook, notice: Notice) -> None:
        """See the port."""
        fault = self.faults.next("notify")
        if fault in {None, Fault.AFTER}:
            self.taken.append((webhook.url, notice))
        if fault is not None:
            raise NotificationFailedError(f"{webhook} did not take note")

    def close(self) -> None:
        """Let go of nothing."""


def a_webhook(url: str = "https://hooks.example.org/rotated", key: str = "k" * 32) -> Webhook:
    """Give a webhook whose key is that."""
    return Webhook(url=url, key=lambda: SecretText(key))
