"""Everything outside the engine that it acts on, in one place."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from datetime import timedelta
from typing import Never

from provisioner.domain.consumers import Notice, Webhook, Workload
from provisioner.domain.errors import AttemptFailedError, NotificationFailedError, WorkloadsRefusedError
from provisioner.domain.mark import Owner
from provisioner.domain.model import Record
from provisioner.ports.clock import Clock
from provisioner.ports.entropy import Entropy
from provisioner.ports.issuer import Issuer
from provisioner.ports.notifier import Notifier
from provisioner.ports.observer import Observer
from provisioner.ports.store import Store
from provisioner.ports.workloads import Workloads


def never() -> float | None:
    """Give no moment: nobody has asked us to finish."""
    return None


def always() -> bool:
    """Say yes: no other process is to act in our place, and nobody has asked us to leave."""
    return True


class NoConsumers:
    """What stands for workloads and webhooks in a world that reaches none: it says so."""

    def read(self, workload: Workload, owner: Owner) -> Never:
        """See ``ports.workloads``."""
        del owner
        raise WorkloadsRefusedError(f"{workload} cannot be reached from here")

    def restart(self, workload: Workload, record: Record) -> None:
        """See ``ports.workloads``."""
        del record
        raise WorkloadsRefusedError(f"{workload} cannot be reached from here")

    def check(self, workload: Workload, owner: Owner) -> None:
        """See ``ports.workloads``."""
        self.read(workload, owner)

    def deliver(self, webhook: Webhook, notice: Notice) -> None:
        """See ``ports.notifier``."""
        del notice
        raise NotificationFailedError(f"{webhook} cannot be reached from here")

    def close(self) -> None:
        """Let go of nothing."""


@dataclass(frozen=True, slots=True, kw_only=True)
class World:
    """The ports that one process acts through."""

    issuers: Mapping[str, Issuer]
    stores: Mapping[str, Store]
    clock: Clock
    entropy: Entropy
    observe: Observer
    workloads: Workloads = field(default_factory=NoConsumers)
    notifier: Notifier = field(default_factory=NoConsumers)
    finish_by: Callable[[], float | None] = never
    """The monotonic moment by which all work must have ended, once somebody asked us to leave."""
    leads_until: Callable[[], float | None] = never
    """The monotonic moment by which work of this process's own accord must have ended: once its lease is in danger."""
    may_act: Callable[[], bool] = always
    """Whether this process is the one that acts now: of its own accord no step is begun while it is not."""
    may_begin: Callable[[], bool] = always
    """Whether anything may be begun: not once somebody asked us to leave. What is under way is brought to its end."""
    is_at_a_wish: bool = False
    """Whether a person asked for it, of whichever replica."""

    def at_a_wish(self) -> "World":
        """Give the same world for what a person asked for, which no lease has to last for."""
        return replace(self, leads_until=never, is_at_a_wish=True)

    def check_acts(self) -> None:
        """Raise AttemptFailedError where another process may act by now: while one looked, it was stopped or hung.

        At a wish, whoever was asked for it makes and revokes tokens beside the one that leads.
        """
        if not (self.is_at_a_wish or self.may_act()):
            raise AttemptFailedError("this process leads no more: whoever leads now takes it from here")

    def deadline(self, patience: timedelta) -> "Deadline":
        """Start a deadline ``patience`` from now."""
        return Deadline(world=self, at=self.clock.monotonic() + patience.total_seconds())


@dataclass(frozen=True, slots=True, kw_only=True)
class Deadline:
    """A moment after which an effort is given up; it comes sooner when the process is asked to leave."""

    world: World
    at: float

    def remaining(self) -> timedelta:
        """Give how long is left; zero or less when it has passed."""
        ends = (self.at, self.world.finish_by(), self.world.leads_until())
        return timedelta(seconds=min(at for at in ends if at is not None) - self.world.clock.monotonic())

    def within(self, patience: timedelta) -> "Deadline":
        """Give the sooner of this deadline and one ``patience`` from now."""
        return Deadline(world=self.world, at=min(self.at, self.world.deadline(patience).at))

    def pause(self, wanted: timedelta) -> bool:
        """Wait as long as wanted but not past the deadline; False, without waiting, when it has passed."""
        remaining = self.remaining()
        if remaining <= timedelta(0):
            return False
        self.world.clock.sleep(min(wanted, remaining))
        return True
