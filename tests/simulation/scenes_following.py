"""Plays about workloads that are restarted by a rotation, and whose pods hold the old token until they are replaced."""

from typing import Final

from provisioner.domain.consumers import Progress, Workload, WorkloadKind
from provisioner.domain.model import Trigger
from tests.builders import DAY, HOUR, MINUTE, SECOND, a_token
from tests.rig import Rig
from tests.simulation.mutation import Directed

TELEGRAF: Final = Workload(kind=WorkloadKind.DEPLOYMENT, namespace="telegraf", name="telegraf")
_BY_HAND: Final = Trigger(request_id="by hand")


def followed() -> Rig:
    """Give a rig whose overlap lasts until a workload is rolled out; roll-outs stand still until they are told."""
    token = a_token(overlap=HOUR, until_rolled_out=DAY, on_rotate=(TELEGRAF,))
    rig = Rig(token)
    rig.workloads.add(TELEGRAF)
    rig.reconcile()
    rig.clock.advance(DAY)
    rig.reconcile()
    rig.workloads.holds_still = True
    return rig


def _takes_three_hours() -> None:
    rig = followed()
    rig.reconcile(_BY_HAND)
    rig.pass_time(3 * HOUR)
    rig.workloads.finish(TELEGRAF)
    rig.settle()


def _never_ends() -> None:
    rig = followed()
    rig.reconcile(_BY_HAND)
    rig.workloads.there[TELEGRAF].progress = Progress.STALLED
    rig.settle()


def _is_rolled_back() -> None:
    rig = followed()
    before = dict(rig.workloads.there[TELEGRAF].annotations)
    rig.reconcile(_BY_HAND)
    rig.workloads.finish(TELEGRAF)
    rig.clock.advance(HOUR - SECOND)
    rig.reconcile()
    rig.workloads.annotate(TELEGRAF, before)
    rig.workloads.there[TELEGRAF].held = {"token-1"}
    rig.pass_time(10 * MINUTE, step=MINUTE)
    rig.workloads.finish(TELEGRAF)
    rig.settle()


TAKES_HOURS: Final = Directed(name="a roll-out takes three hours", play=_takes_three_hours)
NEVER_ENDS: Final = Directed(name="a roll-out never ends", play=_never_ends)
ROLLED_BACK: Final = Directed(name="a workload is rolled back right before the end", play=_is_rolled_back)
