"""A stage on which replicas act one port call at a time: each is a greenlet that stops before every call.

Who goes on, dies, or has a call go wrong is for others to say: a seed (``walk``) or an exhaustive search
(``exhaustive``). Whatever happens is written into ``trace``; the invariants are checked at every call.
"""

from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Final

from greenlet import getcurrent, greenlet

from provisioner.domain.model import Trigger
from tests.builders import HOUR
from tests.fakes.faults import Fault
from tests.rig import Died, Rig

FAULTS: Final = {
    "list": (Fault.BEFORE, Fault.SLOW),
    "create": (Fault.BEFORE, Fault.AFTER, Fault.LATE, Fault.UNREADABLE, Fault.SLOW),
    "prove": (Fault.BEFORE, Fault.SLOW),
    "accepts": (Fault.BEFORE, Fault.SLOW),
    "revoke": (Fault.BEFORE, Fault.AFTER, Fault.SLOW),
    "preflight": (Fault.BEFORE, Fault.SLOW),
    "read": (Fault.BEFORE, Fault.SLOW),
    "write": (Fault.BEFORE, Fault.REFUSED, Fault.AFTER, Fault.LATE, Fault.SLOW),
    "look": (Fault.BEFORE, Fault.REFUSED),
    "restart": (Fault.BEFORE, Fault.REFUSED, Fault.AFTER),
    "aws value": (Fault.BEFORE, Fault.SLOW),
    "aws describe": (Fault.BEFORE,),
    "aws create": (Fault.BEFORE, Fault.REFUSED, Fault.AFTER, Fault.LATE, Fault.SLOW),
    "aws put": (Fault.BEFORE, Fault.REFUSED, Fault.AFTER, Fault.LATE),
    "aws promote": (Fault.BEFORE, Fault.REFUSED, Fault.AFTER, Fault.LATE, Fault.SLOW),
    "aws unlabel": (Fault.BEFORE, Fault.AFTER, Fault.LATE),
    "aws restore": (Fault.BEFORE, Fault.AFTER),
}
"""By call: the ways in which it can go wrong."""
STORE_CALLS: Final = frozenset({"preflight", "read", "write"} | {call for call in FAULTS if call.startswith("aws ")})

CONSUMER_CALLS: Final = frozenset({"look", "restart"})


@dataclass(slots=True)
class Replica:
    """One process: what it does, and before which call it stands."""

    number: int
    run: greenlet | None = None
    call: str = ""
    history: int = 0
    """What it has been told since it began, as a hash: two replicas of equal history go on alike."""

    @property
    def is_busy(self) -> bool:
        """Whether it is in the middle of a pass."""
        return self.run is not None and not self.run.dead


@dataclass(slots=True)
class Stage:
    """The replicas over one rig."""

    rig: Rig
    trace: list[str] = field(default_factory=list)
    replicas: list[Replica] = field(init=False)
    notice: Callable[[Replica], None] = field(default=lambda _: None)
    """Told of a replica as it goes on with the call that it stands before."""

    def __post_init__(self) -> None:
        self.replicas = [Replica(number) for number in range(len(self.rig.memories))]
        self.rig.watch(self._stop_before)
        self.rig.clock.on_sleep = lambda: self._stop_before("sleep")

    def begin(self, replica: Replica, trigger: Trigger | None = None) -> None:
        """Let a replica begin a pass; it stops before its first call."""
        replica.run = greenlet(lambda: self._live(replica, trigger))
        self.say(f"replica {replica.number} begins{' with ' + trigger.request_id if trigger else ''}")
        replica.run.switch()

    def go_on(self, replica: Replica) -> None:
        """Let a replica make the call that it stands before."""
        self.say(f"replica {replica.number} goes on with {replica.call}")
        self._resume(replica)

    def fail(self, replica: Replica, fault: Fault) -> None:
        """Let the call that a replica stands before go wrong."""
        stores, issuers = (self.rig.store.faults,), (self.rig.issuer.faults, self.rig.former.faults)
        places = stores if replica.call in STORE_CALLS else issuers
        if replica.call in CONSUMER_CALLS:
            places = (self.rig.workloads.faults,)
        for faults in places:
            faults.add(replica.call, fault)
        if replica.call == "create" and fault is Fault.LATE:
            self.rig.invariants.allow_one_more()  # it is under way in the network: a further actor, seen by no list
        self.say(f"replica {replica.number}: {replica.call} ends in {fault}")
        self._resume(replica)
        for faults in places:
            faults.queues.clear()

    def die(self, replica: Replica) -> None:
        """Let a process die where it stands; what it remembers is lost."""
        if replica.is_busy and replica.run is not None:
            self.say(f"replica {replica.number} dies before {replica.call}")
            replica.run.throw(Died)
        self.rig.crash(replica.number)
        replica.history = 0

    def deliver(self) -> None:
        """Let what is under way in the network arrive."""
        rig = self.rig
        self.say(
            f"{len(rig.store.late)} late writes and {len(rig.issuer.late) + len(rig.former.late)} late creates arrive"
        )
        rig.store.deliver()
        rig.issuer.deliver()
        rig.former.deliver()
        rig.invariants.check()

    def rest(self) -> None:
        """Let every process end, everything come to rest without faults, and check that nothing is left over (I2)."""
        for replica in self.replicas:
            self.die(replica)
        self.rig.watch(lambda _: None)
        self.rig.clock.on_sleep = lambda: None
        self.say("everything comes to rest")
        self.rig.settle(step=HOUR)

    def say(self, what: str) -> None:
        """Write a line of the trace."""
        self.trace.append(f"{self.rig.clock.now():%d. %H:%M:%S}  {what}")

    def _resume(self, replica: Replica) -> None:
        if replica.run is None:
            return
        self.notice(replica)
        self.rig.acting = (replica.number, self.rig.lives[replica.number])
        replica.run.switch()

    def _live(self, replica: Replica, trigger: Trigger | None) -> None:
        with suppress(Died):  # what it knew is forgotten by whoever let it die
            self.rig.reconcile(trigger, replica=replica.number)
        replica.call = ""

    def _stop_before(self, operation: str) -> None:
        """Stand before a call until the stage says go on."""
        here = getcurrent()
        parent = here.parent if here is not None else None
        for replica in self.replicas:
            if replica.run is here and parent is not None:
                replica.call = operation
                parent.switch()
