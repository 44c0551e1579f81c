"""A whole world of fakes around the real engine, with replicas that each have a memory of their own."""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import replace
from datetime import datetime, timedelta

from provisioner.domain.events import Event
from provisioner.domain.mark import Mark
from provisioner.domain.memory import Memory
from provisioner.domain.model import Content, Destination, ManagedToken, Record, Trigger
from provisioner.domain.record import read_document
from provisioner.domain.secret import SecretText
from provisioner.engine.gather import Listings
from provisioner.engine.reconcile import Outcome, reconcile
from provisioner.engine.world import World
from provisioner.issuers.credential import GivenCredential, ManagedCredential
from provisioner.ports.credential import Presented
from provisioner.ports.store import Store
from tests.builders import OTHER_PLACE, PLACE, a_token, uid
from tests.fakes.clock import FakeClock
from tests.fakes.entropy import FakeEntropy
from tests.fakes.faults import Faults
from tests.fakes.issuer import FakeIssuer
from tests.fakes.silence import unmoved_by
from tests.fakes.staged_store import StagedStore
from tests.fakes.store import FakeStore
from tests.fakes.workloads import FakeNotifier, FakeWorkloads
from tests.invariants import Invariants

MOST_PASSES = 3000
"""More than any rest can take: who is woken more often is running in a circle."""


class Died(BaseException):
    """The process has died: nothing of the engine may catch it."""


class SkewedClock:
    """A replica's own idea of the time: the true clock, and how far it is off."""

    def __init__(self, true: FakeClock) -> None:
        self._true, self.skew = true, timedelta(0)

    def now(self) -> datetime:
        """Give the time as this replica has it."""
        return self._true.now() + self.skew

    def monotonic(self) -> float:
        """Give the true seconds: a clock that is set does not move them."""
        return self._true.monotonic()

    def sleep(self, duration: timedelta) -> None:
        """Move the true clock on."""
        self._true.sleep(duration)


class RigCredential:
    """The rig's token as what issuers are called with, by whichever replica acts; begun with the initial one."""

    def __init__(self, rig: "Rig") -> None:
        self._rig = rig

    def candidates(self) -> Iterator[Presented]:
        """See the port."""
        rig = self._rig
        replica = rig.acting[0] if rig.acting is not None else 0
        token, stores, initial = rig.token_of(replica), rig.worlds[replica].stores, rig.initial
        given = None if initial is None else GivenCredential(source=lambda: initial)
        places = tuple((stores[place.store], place) for place in token.destinations)
        return ManagedCredential(owner=token.owner, places=places, initial=given).candidates()


class _Watch:
    """Stands before every port call of a rig."""

    def __init__(self, rig: "Rig", interfere: Callable[[str], None]) -> None:
        self._rig, self._interfere = rig, interfere
        self._checked: tuple[object, ...] = ()

    def __call__(self, operation: str) -> None:
        """Check before and after the others have had their turn."""
        self._check()
        self._interfere(operation)
        self._check()

    def _check(self) -> None:
        rig = self._rig
        fakes = (rig.store, rig.issuer, rig.former, rig.workloads)
        state = (rig.clock.now(), *(fake.changes for fake in fakes))
        if state != self._checked:
            rig.invariants.check()
            self._checked = state


class Rig:
    """One name, its issuers and its store; every port call and every step is watched by the invariants."""

    def __init__(
        self,
        token: ManagedToken | None = None,
        *,
        replicas: int = 1,
        proves_by_use: bool = False,
        staged: bool = False,
    ) -> None:
        self.token = token or a_token()
        self.clock, self.entropy = FakeClock(), FakeEntropy()
        self.issuer = FakeIssuer(self.clock, proves_by_use=proves_by_use)
        self.former = FakeIssuer(self.clock, name="former", proves_by_use=proves_by_use)
        self.store: FakeStore = StagedStore(self.clock) if staged else FakeStore(self.clock)
        self.workloads, self.notifier = FakeWorkloads(self.what_consumers_read), FakeNotifier()
        self.events: list[Event] = []
        self.clocks = [SkewedClock(self.clock) for _ in range(replicas)]
        self.worlds = [
            World(
                issuers={"cluster": self.issuer, "former": self.former},
                stores={"vault": self._store_of(number)},
                clock=clock,
                entropy=self.entropy,
                observe=self._observe,
                workloads=self.workloads,
                notifier=self.notifier,
            )
            for number, clock in enumerate(self.clocks)
        ]
        self.around: dict[int, Callable[[World], World]] = {}
        """What stands between a replica and its world, where anything does."""
        self.configured: dict[int, ManagedToken] = {}
        """What a replica has read of the configuration, where that is not ``token``."""
        self.memories = [Memory() for _ in range(replicas)]
        self.lives = [0] * replicas
        """How often each replica has died: a process that was restarted is another one."""
        self.leads: int | None = None
        """The replica that holds the lease; None: every one acts."""
        self.acting: tuple[int, int] | None = None
        """The replica that acts, and its life."""
        self._parsed: dict[int, tuple[object, Destination, Content]] = {}
        self.invariants = Invariants(self, replicas=replicas)
        if isinstance(self.store, StagedStore):
            self.store.on_restored = self.invariants.comes_back
        self.initial: SecretText | None = None
        """The credential that a person left to begin with, where issuers are called with the token."""
        if self.token.credential_of:
            self._ask_for_credentials()
        self.store.on_preflight = self.invariants.restraint.store_is_ready
        self.store.on_person = self.invariants.restraint.person_writes
        for issuer in (self.issuer, self.former):
            issuer.on_admit = self.invariants.restraint.admits
            issuer.on_create = self.invariants.restraint.creates
            issuer.on_prove = self.invariants.restraint.proves
            issuer.on_revoke = self.invariants.restraint.revokes
        self.watch(unmoved_by)

    def _ask_for_credentials(self) -> None:
        """Let the issuers turn away who has no credential; an operator has one."""
        own, string = self.issuer.add("the operator's own", None)
        self.initial = SecretText(string)
        self.issuer.tokens[own.token_id] = replace(own, created_at=self.clock.now() - timedelta(days=1))
        self.invariants.expect_foreign(token_id=own.token_id)
        self.former.believes, self.issuer.believes = self.issuer, self.former
        for issuer in (self.issuer, self.former):
            if issuer.name in self.token.credential_of:
                issuer.credential = RigCredential(self)

    def _store_of(self, replica: int) -> Store:
        """Give the store as a process that has just begun has it."""
        store = self.store
        return store.process(replica, self.clocks[replica]) if isinstance(store, StagedStore) else store

    def _observe(self, event: Event) -> None:
        self.events.append(event)
        self.invariants.check_output(repr(event))

    def watch(self, interfere: Callable[[str], None]) -> None:
        """Check the invariants before every port call, and let ``interfere`` do something there."""
        watch = _Watch(self, interfere)
        for faults in self.faults:
            faults.before_call = watch

    def reconcile(self, trigger: Trigger | None = None, *, replica: int = 0, by_hand: bool = False) -> Outcome:
        """Let a replica do what is to be done now; ``by_hand``: as a person asked of it, whoever leads."""
        around, token, before = self.around.get(replica), self.token_of(replica), self.acting
        world = self.worlds[replica] if around is None else around(self.worlds[replica])
        if self.leads is not None:
            world = replace(world, may_act=lambda: self.leads == replica)
        world = world.at_a_wish() if by_hand else world
        memory = self.memories[replica]
        self.acting = (replica, self.lives[replica])
        try:
            outcome = reconcile(world, token, Listings(world), memory=memory, trigger=trigger)
            self.memories[replica] = outcome.memory
            self.invariants.check()
        finally:
            self.acting = before
        self.invariants.check_output(repr(outcome), *outcome.failures)
        return outcome

    def crash(self, replica: int = 0) -> None:
        """Forget everything that the replica remembers, as a restart does."""
        self.memories[replica] = Memory()
        self.lives[replica] += 1
        self.worlds[replica] = replace(self.worlds[replica], stores={"vault": self._store_of(replica)})

    def token_of(self, replica: int) -> ManagedToken:
        """Give the token as that replica's configuration has it."""
        return self.configured.get(replica, self.token)

    def reconcile_and_die_before(self, operation: str, count: int = 1, trigger: Trigger | None = None) -> bool:
        """Let a pass run into its process's death before the ``count``-th call of an operation; ``any`` counts all.

        Gives whether it came so far. What the process remembered is lost either way.
        """
        left = count

        def interfere(called: str) -> None:
            nonlocal left
            left -= operation in {called, "any"}
            if left == 0:
                raise Died

        self.watch(interfere)
        try:
            self.reconcile(trigger)
        except Died:
            return True
        else:
            return False
        finally:
            self.watch(unmoved_by)
            self.crash()

    def pass_time(self, duration: timedelta, step: timedelta = timedelta(minutes=10)) -> None:
        """Let time go by, with a pass at least every ``step`` and whenever the decision says, as the daemon does."""
        end, passes = self.clock.now() + duration, 0
        while self.clock.now() < end:
            passes += 1
            assert passes < MOST_PASSES, f"I2: after {passes} passes there still is something to do"
            until = getattr(self.reconcile().decision.step, "until", self.clock.now())
            wake = max(min(until, self.clock.now() + step, end), self.clock.now() + timedelta(seconds=1))
            self.clock.advance(wake - self.clock.now())
        self.reconcile()

    def settle(self, step: timedelta = timedelta(minutes=10)) -> None:
        """Let everything come to rest without further faults, and check that nothing is left over."""
        for faults in self.faults:
            faults.queues.clear()
            faults.always.clear()
        self.store.down = False
        self.store.deliver()
        self.issuer.deliver()
        self.former.deliver()
        self.pass_time(self.token.orphan_quiet_period + self.token.longest_overlap + timedelta(hours=1), step)
        record = self.record
        if record is not None and self.clock.now() < record.stored_at + self.token.longest_overlap:
            self.pass_time(
                self.token.longest_overlap, step
            )  # a rotation fell due meanwhile: what it replaced has its overlap
        self.invariants.check_nothing_leaks()

    @property
    def faults(self) -> tuple[Faults, ...]:
        """What may go wrong, with everything outside."""
        fakes = (self.issuer, self.former, self.store, self.workloads, self.notifier)
        return tuple(fake.faults for fake in fakes)

    @property
    def record(self) -> Record | None:
        """What consumers read."""
        content = self.content_of(self.store.document(PLACE.path))
        return content if isinstance(content, Record) else None

    def content_of(self, document: Mapping[str, object] | None, place: Destination | None = None) -> Content:
        """Read a document, of the primary by default; each only once, since the invariants ask at every call."""
        place = place or self.token.primary
        kept = self._parsed.get(id(document))
        if kept is None or kept[0] is not document or kept[1] is not place:
            content, _ = read_document(document, self.token.owner, place)
            kept = self._parsed[id(document)] = (document, place, content)
        return kept[2]

    def what_consumers_read(self) -> str | None:
        """Give the id of the stored token to a consumer that starts."""
        return self.current_id

    @property
    def current_id(self) -> str | None:
        """The id of the stored token."""
        return self.record.token_id if self.record else None

    def live_ids(self) -> set[str]:
        """Ids of our live tokens, by the issuers' own word."""
        now = self.clock.now()
        return {
            token.token_id
            for issuer in (self.issuer, self.former)
            for token in issuer.tokens.values()
            if token.is_live(now) and token.mark is not None and token.mark.owner == self.token.owner
        }

    def orphan(self, number: int = 900) -> str:
        """Put a token of ours into the cluster that nothing stores, as a crash would leave it; give its id."""
        mark = Mark(self.token.owner, uid(number))
        issued, _ = self.issuer.add(mark.described("left over"), self.clock.now() + self.token.ttl)
        return issued.token_id

    def with_copy(self) -> None:
        """Give the token a second destination."""
        self.token = replace(self.token, destinations=(PLACE, OTHER_PLACE))


def provisioned(
    token: ManagedToken | None = None, *, replicas: int = 1, proves_by_use: bool = False, staged: bool = False
) -> Rig:
    """Give a rig whose token was provisioned a day ago."""
    rig = Rig(token, replicas=replicas, proves_by_use=proves_by_use, staged=staged)
    rig.reconcile()
    rig.clock.advance(timedelta(days=1))
    rig.reconcile()
    return rig


def credentialed(
    token: ManagedToken | None = None,
    *,
    of: tuple[str, ...] = ("cluster",),
    replicas: int = 1,
    proves_by_use: bool = False,
    keeps_initial: bool = False,
) -> Rig:
    """Give a rig whose token has been its issuer's own credential for a day; the initial one is taken away."""
    token = replace(token or a_token(), credential_of=of, drift_interval=timedelta(hours=6))
    rig = provisioned(token, replicas=replicas, proves_by_use=proves_by_use)
    if not keeps_initial:
        rig.initial = None
    return rig
