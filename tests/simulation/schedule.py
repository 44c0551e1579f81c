"""One schedule: replicas as greenlets that stop before every port call, and a seeded scheduler that says what happens.

A failing seed prints its trace; ``python -m tests.simulation.schedule SEED`` replays it.
"""

import sys
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from random import Random
from typing import Final

from greenlet import getcurrent, greenlet

from provisioner.domain.model import Memory, Trigger
from provisioner.domain.record import read_document
from tests.builders import DAY, HOUR, MINUTE, PLACE, SECOND, a_token
from tests.fakes.faults import Fault
from tests.rig import Died, Rig

REPLICAS: Final = 2
STEPS: Final = 90
_LONGEST: Final = 8 * DAY
"""Time that may go by in one schedule: no token comes to its natural end while everybody is paused."""
_FAULTS: Final = {
    "list": (Fault.BEFORE,),
    "create": (Fault.BEFORE, Fault.AFTER, Fault.LATE, Fault.UNREADABLE),
    "prove": (Fault.BEFORE,),
    "revoke": (Fault.BEFORE, Fault.AFTER),
    "preflight": (Fault.BEFORE,),
    "read": (Fault.BEFORE,),
    "write": (Fault.BEFORE, Fault.REFUSED, Fault.AFTER, Fault.LATE),
}


@dataclass(slots=True)
class Replica:
    """One process: what it does, and before which call it stands."""

    number: int
    run: greenlet | None = None
    call: str = ""


@dataclass(slots=True)
class Schedule:
    """One run of the world under one seed."""

    seed: int
    trace: list[str] = field(default_factory=list)
    rig: Rig = field(init=False)
    random: Random = field(init=False)
    replicas: list[Replica] = field(init=False)
    gone: timedelta = timedelta(0)
    died_at: list[datetime] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.random = Random(self.seed)  # noqa: S311  # a schedule, no secret
        by_use = self.random.random() < 0.5  # half of them
        self.rig = Rig(a_token(drift_interval=HOUR), replicas=REPLICAS, proves_by_use=by_use)
        self.replicas = [Replica(number) for number in range(REPLICAS)]
        self.rig.watch(self._stop_before)
        self.rig.clock.on_sleep = lambda: self._stop_before("sleep")

    def explore(self) -> None:
        """Take the steps that the seed says, let everything come to rest, and check that nothing is left over."""
        for _ in range(STEPS):
            self._step()
        for replica in self.replicas:
            self._kill(replica)
        self.rig.watch(lambda _: None)
        self.rig.clock.on_sleep = lambda: None
        self.rig.issuer.stale = self.rig.issuer.activation_lag = timedelta(0)
        self._say("everything comes to rest")
        self.rig.settle()

    # --- what can happen --------------------------------------------------------------------------------

    def _step(self) -> None:
        happenings: list[tuple[int, Callable[[], None]]] = [
            (60, self._go_on),
            (12, self._fault),
            (5, self._crash),
            (8, self._time_goes_by),
            (4, self._deliver),
            (2, self._person),
            (2, self._weather),
        ]
        weights, choices = zip(*happenings, strict=True)
        (happening,) = self.random.choices(choices, weights)
        happening()

    def _go_on(self) -> None:
        """Let one replica make its next call; start it when it rests."""
        replica = self.random.choice(self.replicas)
        if replica.run is None or replica.run.dead:
            trigger = Trigger(request_id=f"r{self.random.randrange(4)}") if self.random.random() < 0.3 else None
            replica.run = greenlet(lambda: self._live(replica, trigger))
            self._say(f"replica {replica.number} begins{' with ' + trigger.request_id if trigger else ''}")
        else:
            self._say(f"replica {replica.number} goes on with {replica.call}")
        replica.run.switch()

    def _fault(self) -> None:
        """Let the next call of a replica go wrong."""
        standing = [
            replica for replica in self.replicas if replica.call in _FAULTS and replica.run and not replica.run.dead
        ]
        if not standing:
            return
        replica = self.random.choice(standing)
        fault = self.random.choice(_FAULTS[replica.call])
        faults = self.rig.store.faults if replica.call in {"preflight", "read", "write"} else self.rig.issuer.faults
        faults.add(replica.call, fault)
        if replica.call == "create" and fault is Fault.LATE:
            self.rig.invariants.allow_one_more()  # it is under way in the network: a further actor, seen by no list
        self._say(f"replica {replica.number}: {replica.call} ends in {fault}")
        if replica.run is not None:
            replica.run.switch()
        faults.queues.clear()

    def _crash(self) -> None:
        self._kill(self.random.choice(self.replicas))

    def _time_goes_by(self) -> None:
        gap = self.random.choice((SECOND, MINUTE, 10 * MINUTE, 61 * MINUTE, 3 * HOUR, DAY))
        if self.gone + gap <= _LONGEST:
            self.gone += gap
            self._say(f"{gap} go by")
            self.rig.clock.advance(gap)

    def _deliver(self) -> None:
        """Let what is under way in the network arrive."""
        self._say(f"{len(self.rig.store.late)} late writes and {len(self.rig.issuer.late)} late creates arrive")
        self.rig.store.deliver()
        self.rig.issuer.deliver()
        self.rig.invariants.check()

    def _person(self) -> None:
        """Let somebody revoke the current token, or delete the secret, or restore an older version of it."""
        rig, versions = self.rig, self.rig.store.versions.get(PLACE.path, [])
        what = self.random.choice(("revoke", "delete", "restore"))
        if what == "revoke" and rig.current_id is not None:
            self._say(f"somebody revokes {rig.current_id}")
            rig.invariants.excused.add(rig.current_id)
            rig.issuer.revoke_by_hand(rig.current_id)
        elif what == "delete" and rig.current_id is not None:
            self._say("somebody deletes the secret")
            rig.invariants.requests_forgotten = True
            rig.store.delete_newest(PLACE.path)
        elif what == "restore" and versions:
            document = self.random.choice(versions)[0]
            if document is not None:
                content, _ = read_document(document, rig.token.owner, PLACE)
                self._say(f"somebody restores {getattr(content, 'token_id', 'a reservation')}")
                rig.invariants.excused.add(getattr(content, "token_id", ""))
                rig.invariants.requests_forgotten = True
                rig.store.put_by_hand(PLACE.path, document)
        rig.invariants.check()

    def _weather(self) -> None:
        rig = self.rig
        rig.store.down = self.random.random() < 0.3  # mostly up
        rig.issuer.stale = self.random.choice((timedelta(0), timedelta(0), MINUTE))
        for _ in [died for died in self.died_at if died >= rig.clock.now() - rig.issuer.stale]:
            rig.invariants.allow_one_more()
        rig.issuer.activation_lag = self.random.choice((timedelta(0), 20 * SECOND))
        self._say(f"store {'down' if rig.store.down else 'up'}, list {rig.issuer.stale} old")

    # --- how --------------------------------------------------------------------------------------------

    def _live(self, replica: Replica, trigger: Trigger | None) -> None:
        try:
            self.rig.reconcile(trigger, replica=replica.number)
        except Died:
            self.rig.crash(replica.number)
        replica.call = ""

    def _kill(self, replica: Replica) -> None:
        """Let a process die where it stands; what it remembers is lost."""
        if replica.run is not None and not replica.run.dead:
            self._say(f"replica {replica.number} dies before {replica.call}")
            if self.rig.issuer.stale:
                self.rig.invariants.allow_one_more()
            self.died_at.append(self.rig.clock.now())
            replica.run.throw(Died)
        self.rig.memories[replica.number] = Memory()

    def _stop_before(self, operation: str) -> None:
        """Stand before a call until the scheduler says go on."""
        here = getcurrent()
        parent = here.parent if here is not None else None
        for replica in self.replicas:
            if replica.run is here and parent is not None:
                replica.call = operation
                parent.switch()

    def _say(self, what: str) -> None:
        self.trace.append(f"{self.rig.clock.now():%d. %H:%M:%S}  {what}")


def run(seed: int) -> Schedule:
    """Run one schedule; an invariant that breaks is raised with the trace."""
    schedule = Schedule(seed)
    try:
        schedule.explore()
    except AssertionError as error:
        trace = "\n".join(schedule.trace)
        raise AssertionError(
            f"seed {seed}: {error}\n{trace}\nreplay: python -m tests.simulation.schedule {seed}"
        ) from None
    return schedule


if __name__ == "__main__":
    sys.stdout.write("\n".join(run(int(sys.argv[1])).trace) + "\n")
