"""Whether a workload's pods have all been replaced: from the numbers in its status, as ``kubectl rollout status`` goes.

A pod of the old template has the old token, so a workload is complete only when none of them is left.
"""

from dataclasses import dataclass

from provisioner.domain.consumers import Progress, WorkloadKind

DEADLINE_EXCEEDED = "ProgressDeadlineExceeded"


@dataclass(frozen=True, slots=True, kw_only=True)
class Numbers:
    """What a workload's spec and status say; what they leave out is zero, empty or False."""

    generation: int
    observed_generation: int
    """Of the spec that the status is about."""
    desired: int
    """Pods that there are to be."""
    total: int = 0
    """Pods that there are, of any template; DaemonSets do not say."""
    ending: int = 0
    """Pods, of any template, that were told to end and have not: of a Deployment, since Kubernetes 1.35."""
    updated: int = 0
    """Of all that there are, the ones of the present template."""
    available: int = 0
    """Pods that are ready for use."""
    progressing_reason: str = ""
    """Of the condition Progressing, where that is False."""
    is_paused: bool = False
    old_revision: str = ""
    new_revision: str = ""
    """Of a StatefulSet."""
    partition: int = 0
    """The pods of a StatefulSet below that number are left as they are."""
    on_delete: bool = False
    """Whether pods are replaced only when somebody deletes them."""


def progress_of(kind: WorkloadKind, numbers: Numbers) -> tuple[Progress, str]:
    """Tell how far a roll-out is, and in words."""
    if numbers.observed_generation < numbers.generation:
        return Progress.UNDER_WAY, "its controller has not seen the new template yet"
    missing = _missing(kind, numbers)
    if missing is None:
        return Progress.COMPLETE, f"all {numbers.desired} pods are new and available"
    stuck = _stuck(numbers)
    if stuck is not None:
        return Progress.STALLED, f"{stuck}: {missing}"
    if numbers.on_delete:
        return Progress.UNDER_WAY, f"{missing}; its strategy is OnDelete, so somebody has to delete the old pods"
    return Progress.UNDER_WAY, missing


def _stuck(numbers: Numbers) -> str | None:
    """Say why its controller does no more, or None."""
    if numbers.progressing_reason == DEADLINE_EXCEEDED:
        return "its progress deadline has passed"
    if numbers.is_paused:
        return "it is paused"
    if not numbers.on_delete and numbers.desired > numbers.updated >= numbers.desired - numbers.partition:
        return f"its partition is {numbers.partition}, below which pods stay as they are"
    return None


def _missing(kind: WorkloadKind, numbers: Numbers) -> str | None:
    """Say what is not as it is when all is done, or None."""
    if numbers.updated < numbers.desired:
        return f"{numbers.updated} of {numbers.desired} pods are new"
    if kind is not WorkloadKind.DAEMON_SET and numbers.total > numbers.updated:
        return f"{numbers.total - numbers.updated} old pods are to end"
    if numbers.available < numbers.desired:
        return f"{numbers.available} of {numbers.desired} pods are available"
    if numbers.ending:
        return f"{numbers.ending} pods have been told to end and have not yet"
    if kind is WorkloadKind.STATEFUL_SET and not numbers.on_delete and numbers.old_revision != numbers.new_revision:
        return "its new revision is not the current one yet"
    return None
