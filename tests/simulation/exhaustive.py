"""Every schedule of one rotation by two replicas, within bounds: orders of their calls, deaths, faults and pauses.

The search goes depth first over prefixes of choices. For each everything is put back to how it stood some steps before,
and those steps are repeated. A replica in the middle of its pass begins anew then, since running code cannot be put
back, and is told what it was told before (``tape``). A state that was seen before is not entered again. Two states are
one when the world, the time, what each replica remembers and what each has been told since it began are the same.

``python -m tests.simulation.exhaustive`` prints what was explored.
"""

import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Final

from provisioner.domain.model import Trigger
from tests.builders import DAY, HOUR, a_token
from tests.fakes.faults import Fault
from tests.fakes.staged_store import StagedStore
from tests.rig import Rig, provisioned
from tests.simulation.moments import Moment
from tests.simulation.stage import FAULTS, STORE_CALLS, Replica, Stage

PAUSE: Final = 2 * HOUR
"""Longer than quiet period and overlap: whoever is left standing so long finds that the other one has swept."""
Choice = tuple[str, int, str]
"""What it uses up, whose turn it is, and what that replica does."""
FEW: Final = 2
"""So many steps are sooner done again than everything is noted."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Bound:
    """How much may happen in one schedule."""

    name: str
    deaths: int = 0
    faults: int = 0
    slow: bool = False
    """Whether a call may also be answered after every deadline, while the others act."""
    pauses: int = 0
    """How often PAUSE goes by."""
    anywhere: bool = False
    """Whether it goes by before any call, or only as a replica begins, or gives way to the other."""
    switches: int | None = None
    """How often a replica is left standing in the middle of its pass for the other one; None: in every order."""


BOUNDS: Final = (
    Bound(name="every order, one death", deaths=1),
    Bound(name="two switches, one pause", switches=2, pauses=1),
    Bound(name="one switch, one pause, one death", switches=1, pauses=1, deaths=1),
    Bound(name="one switch, one pause, one fault", switches=1, pauses=1, faults=1),
    Bound(
        name="one after the other, one pause anywhere, one fault",
        switches=0,
        pauses=1,
        anywhere=True,
        faults=1,
        slow=True,
    ),
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Scenario:
    """Where it begins."""

    name: str
    open: Callable[[], Rig]
    trigger: Trigger | None = None
    """What the first replica is asked to do."""


@dataclass(slots=True)
class Explored:
    """How much was seen."""

    schedules: int = 0
    """Runs to an end, or to a state seen before."""
    seen: set[int] = field(default_factory=set, repr=False)
    """The states, by their keys."""
    ends: int = 0
    """Different states in which nobody had anything left to do; from each, everything came to rest."""
    rested: set[int] = field(default_factory=set, repr=False)
    """The worlds from which that was seen: at rest every process begins anew, so that nothing else counts."""

    @property
    def states(self) -> int:
        """How many different ones."""
        return len(self.seen)

    def told(self) -> str:
        """Give it in a line."""
        return f"{self.schedules} runs, {self.states} states, {self.ends} ends"


class Play:
    """One schedule on its way."""

    def __init__(self, scenario: Scenario, bound: Bound) -> None:
        self._scenario, self._bound = scenario, bound
        self.stage = Stage(scenario.open())
        self.stage.notice = self._remember
        self._passes = [1, 1]
        self._switches, self._last = bound.switches, -1
        self._hashes: dict[str, tuple[object, int]] = {}
        self._left = {"die": bound.deaths, "fail": bound.faults, "pause": bound.pauses}

    def moment(self) -> Moment | None:
        """Note how everything stands, if that can be put back."""
        self.stage.rig.events.clear()  # checked, and of no further use
        return Moment(self) if self.stage.can_be_put_back() else None

    def back_to(self, moment: Moment) -> None:
        """Let everything be as it was then."""
        self.stage.leave()
        moment.put_back()

    def choices(self) -> list[Choice]:
        """Give everything that can happen now."""
        rig = self.stage.rig
        found = [choice for replica in self.stage.replicas for choice in self._choices_of(replica)]
        if rig.store.late or rig.issuer.late:
            found.append(("deliver", 0, ""))
        return found

    def take(self, choice: Choice) -> None:
        """Let it happen."""
        what, number, how = choice
        replica = self.stage.replicas[number]
        if what in self._left:
            self._left[what] -= 1
        if what == "deliver":
            self.stage.deliver()
            return
        if self._switches and self._interrupts(number):
            self._switches -= 1
        self._last = number
        if what == "pause":
            self.stage.say(f"{PAUSE} go by")
            self.stage.rig.clock.advance(PAUSE)
        match how:
            case "begin":
                self._passes[number] -= 1
                self.stage.begin(replica, self._scenario.trigger if number == 0 else None)
            case "go on":
                self.stage.go_on(replica)
            case "die":
                self._passes[number] += 1
                self.stage.die(replica)
            case _:
                self.stage.fail(replica, Fault[how])

    def _choices_of(self, replica: Replica) -> Iterator[Choice]:
        number = replica.number
        if self._switches == 0 and self._interrupts(number):
            return
        if replica.is_busy or self._passes[number]:
            how = "go on" if replica.is_busy else "begin"
            yield "now", number, how
            if self._left["pause"] and (how == "begin" or self._bound.anywhere or self._interrupts(number)):
                yield "pause", number, how
        if not replica.is_busy:
            return
        if self._left["die"]:
            yield "die", number, "die"
        if self._left["fail"]:
            for fault in FAULTS.get(replica.call, ()):
                if self._bound.slow or fault is not Fault.SLOW:
                    yield "fail", number, fault.name

    def _interrupts(self, number: int) -> bool:
        return self._last not in {-1, number} and self.stage.replicas[self._last].is_busy

    def key(self) -> int:
        """Give what makes this state differ from others."""
        rig = self.stage.rig
        replicas = tuple((one.call, one.is_busy, one.history) for one in self.stage.replicas)
        memories = tuple(self._hashed(f"memory {number}", memory) for number, memory in enumerate(rig.memories))
        late = (len(rig.store.late), tuple(request.description for request in rig.issuer.late))
        left = (
            tuple(self._passes),
            tuple(self._left.values()),
            self._switches,
            self._last if self._switches is not None else 0,
        )
        return hash((self.world(), replicas, memories, late, left))

    def _remember(self, replica: Replica) -> None:
        """What a call is answered follows from what the world is like now."""
        rig = self.stage.rig
        world = self._stored() if replica.call in STORE_CALLS else self._issued()
        queued = tuple(map(tuple, (*rig.store.faults.queues.values(), *rig.issuer.faults.queues.values())))
        replica.history = hash((replica.history, replica.call, rig.clock.now(), world, queued))

    def world(self) -> int:
        """Give what makes this world differ from others, whatever anybody knows of it."""
        return hash((self.stage.rig.clock.now(), self._stored(), self._issued()))

    def _stored(self) -> int:
        store = self.stage.rig.store
        if isinstance(store, StagedStore):  # its processes see things though nothing changes
            return hash(repr(store.state()))
        return self._hashed("stored", store.state(), store.changes)

    def _issued(self) -> int:
        rig = self.stage.rig
        issuers = {"issued": rig.issuer, "issued before": rig.former}
        return hash(tuple(self._hashed(name, issuer.tokens, issuer.changes) for name, issuer in issuers.items()))

    def _hashed(self, what: str, content: object, changes: int | None = None) -> int:
        """Give the hash of a content, worked out once for so many changes, or, where it cannot change, once."""
        kept, state = self._hashes.get(what), content if changes is None else changes
        if kept is None or (kept[0] is not state and (changes is None or kept[0] != state)):
            kept = self._hashes[what] = state, hash(repr(content))
        return kept[1]


@dataclass(frozen=True, slots=True, kw_only=True)
class Branch:
    """Where a schedule leaves one that ran before it."""

    moment: Moment
    """Some steps before."""
    prefix: tuple[Choice, ...] = ()
    """The choices from there on."""


def explore(scenario: Scenario, bound: Bound, *, few: int = FEW) -> Explored:
    """Run every schedule; an invariant that breaks is raised with the trace.

    So ``few`` steps are done again; after more it is noted how everything stands.
    """
    explored = Explored()
    play = Play(scenario, bound)
    left = [Branch(moment=Moment(play))]
    while left:
        explored.schedules += 1
        branch = left.pop()
        play.back_to(branch.moment)
        try:
            _follow(play, branch, left, explored, few)
        except AssertionError as error:
            trace = "\n".join(play.stage.trace)
            raise AssertionError(
                f"{scenario.name}, {bound.name}, schedule {explored.schedules}: {error}\n{trace}"
            ) from None
    return explored


def _follow(play: Play, branch: Branch, left: list[Branch], explored: Explored, few: int) -> None:
    """Replay a prefix and go on to its first end, leaving the other choices on the way for later."""
    moment, prefix = branch.moment, branch.prefix
    for choice in prefix:
        play.take(choice)
    while (key := play.key()) not in explored.seen:
        explored.seen.add(key)
        choices = play.choices()
        if not choices:
            explored.ends += 1
            _rest(play, explored)
            return
        here = play.moment() if len(prefix) >= few and len(choices) > 1 else None
        if here is not None:
            moment, prefix = here, ()
        left += [Branch(moment=moment, prefix=(*prefix, other)) for other in choices[1:]]
        prefix = (*prefix, choices[0])
        play.take(choices[0])


def _rest(play: Play, explored: Explored) -> None:
    """Let everything come to rest, unless it has from this very world."""
    world = play.world()
    if world not in explored.rested:
        explored.rested.add(world)
        play.stage.rest()


def _due() -> Rig:
    rig = provisioned(a_token(drift_interval=HOUR), replicas=2)
    rig.clock.advance(20 * DAY)
    return rig


def _asked() -> Rig:
    return provisioned(a_token(drift_interval=HOUR), replicas=2)


def _with_orphan() -> Rig:
    rig = provisioned(a_token(drift_interval=HOUR), replicas=2)
    rig.orphan()
    rig.clock.advance(2 * HOUR)
    return rig


def _due_in_stages() -> Rig:
    rig = provisioned(a_token(drift_interval=HOUR), replicas=2, staged=True)
    rig.clock.advance(20 * DAY)
    return rig


def _nothing() -> Rig:
    return Rig(a_token(drift_interval=HOUR), replicas=2)


SCENARIOS: Final = (
    Scenario(name="first provisioning", open=_nothing),
    Scenario(name="a rotation that is due", open=_due),
    Scenario(name="a rotation by hand beside a check", open=_asked, trigger=Trigger(request_id="by hand")),
    Scenario(name="the sweep of an orphan beside a rotation", open=_with_orphan, trigger=Trigger(request_id="by hand")),
)
STAGED: Final = Scenario(name="a rotation that is due, written in stages", open=_due_in_stages)
STAGED_BOUNDS: Final = (
    Bound(name="one switch, one death", switches=1, deaths=1),
    Bound(name="one switch, one pause", switches=1, pauses=1),
    Bound(name="one after the other, one fault", switches=0, faults=1),
)

if __name__ == "__main__":
    for scenario in SCENARIOS:
        for bound in BOUNDS:
            sys.stdout.write(f"{scenario.name}; {bound.name}: {explore(scenario, bound).told()}\n")
    for bound in STAGED_BOUNDS:
        sys.stdout.write(f"{STAGED.name}; {bound.name}: {explore(STAGED, bound).told()}\n")
