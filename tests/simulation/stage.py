"""A stage on which replicas act one port call at a time: each is a greenlet that stops before every call.

Who goes on, dies, or has a call go wrong is for others to say: a seed (``walk``) or an exhaustive search
(``exhaustive``). Whatever happens is written into ``trace``; the invariants are checked at every call.
"""

from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field
from functools import partial
from typing import Final

from greenlet import GreenletExit, getcurrent, greenlet

from provisioner.domain.model import Trigger
from provisioner.domain.steps import mint_key
from provisioner.engine.recollection import succeeded
from tests.builders import HOUR
from tests.fakes.faults import Fault
from tests.fakes.silence import unmoved, unmoved_by
from tests.fakes.staged_store import StagedStore
from tests.rig import Died, Rig
from tests.simulation.tape import Said, Tape

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
_MIDDLES: Final = frozenset({"answer", "sleep"})
"""Where a replica stands in the middle of a call, or after it: the effect is there already."""
STORE_CALLS: Final = frozenset({"preflight", "read", "write"} | {call for call in FAULTS if call.startswith("aws ")})

_MOST_RACES: Final = 4
CONSUMER_CALLS: Final = frozenset({"look", "restart"})


@dataclass(slots=True)
class Replica:
    """One process: what it does, and before which call it stands."""

    number: int
    run: greenlet | None = None
    call: str = ""
    """Empty while it rests."""
    trigger: Trigger | None = None
    """What it was asked for."""
    tape: Tape | None = None
    """What it has been told since it began."""
    history: int = 0
    """What it has been told since it began, as a hash: two replicas of equal history go on alike."""

    @property
    def is_busy(self) -> bool:
        """Whether it is in the middle of a pass."""
        return bool(self.call)


@dataclass(slots=True)
class Stage:
    """The replicas over one rig."""

    rig: Rig
    replicas: list[Replica] = field(init=False)
    _said: Said | None = None
    notice: Callable[[Replica], None] = field(default=unmoved_by)
    """Told of a replica as it goes on with the call that it stands before."""

    def __post_init__(self) -> None:
        self.replicas = [Replica(number) for number in range(len(self.rig.memories))]
        self.rig.watch(self._stop_before)
        self.rig.clock.on_sleep = partial(self._stop_before, "sleep")

    def begin(self, replica: Replica, trigger: Trigger | None = None) -> None:
        """Let a replica begin a pass; it stops before its first call."""
        replica.trigger, replica.tape = trigger, None if self._writes_in_stages() else Tape()
        if replica.tape is not None:
            self.rig.around[replica.number] = replica.tape.around
        replica.run = greenlet(partial(self._live, replica))
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
        if replica.is_busy:
            self.say(f"replica {replica.number} dies before {replica.call}")
        if replica.run is not None and not replica.run.dead:
            replica.run.throw(Died)
        replica.run, replica.call = None, ""
        self.rig.around.pop(replica.number, None)
        self.rig.crash(replica.number)
        replica.history = 0

    def leave(self) -> None:
        """Let whoever is in the middle of a pass leave it where it stands, as if it had not been."""
        for replica in self.replicas:
            if replica.run is not None and not replica.run.dead:
                replica.run.throw(GreenletExit)
            replica.run = None

    def can_be_put_back(self) -> bool:
        """Tell whether every replica rests, or stands before a call of which nothing has happened yet."""
        return all(
            not replica.is_busy or (replica.tape is not None and replica.call not in _MIDDLES)
            for replica in self.replicas
        )

    def _writes_in_stages(self) -> bool:
        """Tell whether each process has a store of its own with much inside, of which a tape knows nothing."""
        return isinstance(self.rig.store, StagedStore)

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
        self.rig.leads = None if self.rig.leads is None else 0
        self.rig.watch(unmoved_by)
        self.rig.clock.on_sleep = unmoved
        self.say("everything comes to rest")
        self.rig.settle(step=HOUR)

    @property
    def trace(self) -> list[str]:
        """All that has happened, with its time."""
        said, lines = self._said, []
        while said is not None:
            lines.append(str(said))
            said = said.before
        return lines[::-1]

    def say(self, what: str) -> None:
        """Write a line of the trace."""
        self._said = Said(self._said, self.rig.clock.now(), what)

    def _resume(self, replica: Replica) -> None:
        run = replica.run or self._caught_up(replica)
        self.notice(replica)
        self.rig.acting = (replica.number, self.rig.lives[replica.number])
        run.switch()

    def _caught_up(self, replica: Replica) -> greenlet:
        """Bring a replica that was put back to where it stood, by telling it the same."""
        assert replica.tape is not None
        replica.tape.rewind()
        replica.run = greenlet(partial(self._live, replica))
        standing, acting = replica.call, self.rig.acting
        replica.run.switch()
        assert replica.call == standing, f"it was told the same, and stands before {replica.call}, not {standing}"
        self.rig.acting = acting
        return replica.run

    def _live(self, replica: Replica) -> None:
        with suppress(Died):  # what it knew is forgotten by whoever let it die
            self._act(replica)
        replica.call = ""
        self.rig.around.pop(replica.number, None)

    def _act(self, replica: Replica) -> None:
        """Reconcile; at a wish, where one leads, again as often as the service does when it was overtaken."""
        trigger, number = replica.trigger, replica.number
        by_hand = self.rig.leads is not None and trigger is not None
        for _ in range(_MOST_RACES):
            outcome = self.rig.reconcile(trigger, replica=number, by_hand=by_hand)
            if not by_hand or not outcome.overtaken or outcome.snapshot.pending_trigger is None:
                break
            self.rig.memories[number] = succeeded(self.rig.memories[number], mint_key(trigger))

    def _stop_before(self, operation: str) -> None:
        """Stand before a call until the stage says go on."""
        here = getcurrent()
        parent = here.parent if here is not None else None
        for replica in self.replicas:
            if replica.run is here and parent is not None:
                replica.call = operation
                parent.switch()
