"""One schedule by chance: a seed says what two replicas do, what goes wrong around them, and what people do to them.

A failing seed prints its trace; ``python -m tests.simulation.walk SEED`` replays it.
"""

import sys
from collections.abc import Callable
from dataclasses import replace
from datetime import datetime, timedelta
from random import Random
from typing import Final

from provisioner.domain.consumers import Workload, WorkloadKind
from provisioner.domain.model import ManagedToken, Trigger
from tests.builders import DAY, HOUR, MINUTE, OTHER_PLACE, PLACE, SECOND, THIRD_PLACE, a_token
from tests.fakes.issuer import FakeIssuer
from tests.rig import Rig
from tests.simulation.stage import FAULTS, Stage

REPLICAS: Final = 2
STEPS: Final = 90
NOBODY: Final = -1
STAGED_EACH: Final = 3
"""One seed in so many writes in stages, as to AWS Secrets Manager."""
CREDENTIALED: Final = frozenset({4, 14})
"""Seeds that leave these of twenty: their issuer is called with the very token that rotates."""
FOLLOWED: Final = frozenset({7})
"""Seeds that leave these of twenty: a workload is restarted by rotations, and old tokens wait for its roll-out."""
ALONE: Final = 4
"""Of those seeds, the ones in which nothing else is left to call them with, once it is stored."""
FURTHEST_OFF: Final = 10 * MINUTE
"""How far a replica's clock may be off."""
_TWENTY: Final = 20
_WORKLOAD: Final = Workload(kind=WorkloadKind.DEPLOYMENT, namespace="telegraf", name="telegraf")
_GAPS: Final = (SECOND, MINUTE, 10 * MINUTE, 61 * MINUTE, 3 * HOUR, DAY, 7 * DAY)
_FOREIGN: Final = (
    "a colleague's, with no mark",
    "[provisioner/other/telegraf 00000000-0000-4000-8000-000000000001]",
    "[provisioner/prod/telegraf-2 00000000-0000-4000-8000-000000000001]",
    "[provisioner/prod/telegraf not-a-rotation]",
)


class Walk:
    """One run of the world under one seed."""

    def __init__(self, seed: int, *, is_led: bool = False) -> None:
        self.random = Random(seed)  # noqa: S311  # a schedule, no secret
        by_use = self._perhaps(0.5)
        is_staged = seed % STAGED_EACH == 0
        self.is_alone = seed % _TWENTY == ALONE and not is_staged
        of = ("cluster",) if seed % _TWENTY in CREDENTIALED and not is_staged else ()
        token = a_token(drift_interval=HOUR, credential_of=of)
        self.is_followed = seed % _TWENTY in FOLLOWED and not is_staged
        if self.is_followed:
            token = replace(token, on_rotate=(_WORKLOAD,), until_rolled_out=DAY)
        self.rig = Rig(token, replicas=REPLICAS, proves_by_use=by_use, staged=is_staged)
        if self.is_followed:
            self.rig.workloads.add(_WORKLOAD)
            self.rig.workloads.holds_still = True
        for issuer in (self.rig.issuer, self.rig.former):
            issuer.whole_seconds, issuer.keeps_expired = self._perhaps(0.3), self._perhaps(0.3)
        self.rig.leads = 0 if is_led else None
        self.stage = Stage(self.rig)
        self.died_at: list[datetime] = []
        self.ends: datetime | None = None
        self.has_been_stale = False
        for description in _FOREIGN:
            foreign, _ = self.rig.issuer.add(description, None)
            self.rig.invariants.expect_foreign(token_id=foreign.token_id)

    def explore(self) -> None:
        """Take the steps that the seed says, let everything come to rest, and check that nothing is left over."""
        for _ in range(STEPS):
            self._step()
        self._put_right()
        self.stage.rest()

    def _step(self) -> None:
        happenings: dict[Callable[[], None], int] = {
            self._go_on: 120,
            self._fault: 24,
            self._death: 10,
            self._time_goes_by: 16,
            self.stage.deliver: 8,
            self._person: 6,
            self._weather: 4,
            self._clock_is_set: 3,
            self._configuration_is_edited: 3,
            self._store_is_down_for_a_week: 1,
        }
        if self.rig.leads is not None:
            happenings |= {self._lease_changes_hands: 6}
        if self.is_followed:
            happenings |= {self._pods_are_replaced: 8, self._somebody_undoes_a_restart: 2}
        if self.is_alone and self.rig.record is not None:
            self.rig.initial = None  # it is taken away, as the documentation says
        (happening,) = self.random.choices(list(happenings), list(happenings.values()))
        happening()

    # --- replicas ---------------------------------------------------------------------------------------

    def _go_on(self) -> None:
        """Let one replica make its next call, or begin a pass when it rests."""
        replica = self.random.choice(self.stage.replicas)
        if replica.is_busy:
            self.stage.go_on(replica)
            return
        if self._perhaps(0.5):
            self.rig.configured[replica.number] = self.rig.token  # it has read the configuration again
        asked = self._perhaps(0.3 if self.rig.leads is None else 0.6)
        trigger = self._wish() if asked else None
        if self.rig.leads is not None and trigger is None and replica.number != self.rig.leads:
            return  # who does not lead begins nothing of its own accord
        self.stage.begin(replica, trigger)

    def _wish(self) -> Trigger:
        number = self.random.randrange(3 if self.rig.leads is None else 20)
        return Trigger(request_id=f"r{number}", compromised=self._perhaps(0.1))

    def _lease_changes_hands(self) -> None:
        """Let another replica lead, or, for a while, none."""
        self.rig.leads = self.random.choice((0, 1, NOBODY))
        self.stage.say(f"replica {self.rig.leads} leads")

    def _fault(self) -> None:
        """Let the next call of a replica go wrong."""
        standing = [replica for replica in self.stage.replicas if replica.is_busy and replica.call in FAULTS]
        if standing:
            replica = self.random.choice(standing)
            self.stage.fail(replica, self.random.choice(FAULTS[replica.call]))

    def _death(self) -> None:
        replica = self.random.choice(self.stage.replicas)
        if replica.is_busy:
            if self.rig.issuer.stale:
                self.rig.invariants.allow_one_more()  # what it made is seen by no list for a while
            self.died_at.append(self.rig.clock.now())
        self.stage.die(replica)

    # --- the world --------------------------------------------------------------------------------------

    def _time_goes_by(self) -> None:
        """Let time go by, but never so much that the stored token comes to its end while everybody is paused."""
        gap = self.random.choice(_GAPS)
        if self._nothing_ends_within(gap):
            if gap >= DAY:
                self.stage.deliver()  # no network keeps anything so long
            self.stage.say(f"{gap} go by")
            self.rig.clock.advance(gap)

    def _nothing_ends_within(self, gap: timedelta) -> bool:
        """Tell whether the token that is stored, or was stored last, lives through it: nobody can help its end."""
        if self.rig.record is not None:
            self.ends = self.rig.record.expires_at
        return self.ends is None or self.rig.clock.now() + gap + DAY < self.ends

    def _weather(self) -> None:
        rig = self.rig
        rig.store.down = self._perhaps(0.3)
        stale = self.random.choice((timedelta(0), timedelta(0), MINUTE))
        lag = self.random.choice((timedelta(0), 20 * SECOND))
        for issuer in (rig.issuer, rig.former):
            issuer.stale, issuer.activation_lag = stale, lag
        for _ in [died for died in self.died_at if died >= rig.clock.now() - stale]:
            rig.invariants.allow_one_more()
        if stale and rig.leads is not None and not self.has_been_stale:
            self.has_been_stale = True
            rig.invariants.allow_one_more()  # of two that mint again and again, neither sees the other's last one
        self.stage.say(f"store {'down' if rig.store.down else 'up'}, lists {stale} old, new tokens work after {lag}")

    def _store_is_down_for_a_week(self) -> None:
        rig = self.rig
        if not self._nothing_ends_within(7 * DAY):
            return
        self.stage.deliver()
        self.stage.say("the store is down for a week")
        rig.store.down = True
        for _ in range(7):
            rig.clock.advance(DAY)
            for replica in self.stage.replicas:
                if not replica.is_busy:
                    rig.reconcile(replica=replica.number)
        rig.store.down = False

    def _clock_is_set(self) -> None:
        """Let the clock of one replica jump."""
        rig, clock = self.rig, self.random.choice(self.rig.clocks)
        clock.skew = self.random.choice((-FURTHEST_OFF, timedelta(0), timedelta(0), FURTHEST_OFF))
        rig.invariants.restraint.clocks_differ_by = FURTHEST_OFF
        self.stage.say(f"the clock of replica {rig.clocks.index(clock)} is {clock.skew} ahead")

    def _configuration_is_edited(self) -> None:
        """Edit the configuration; each replica reads it at some time of its own."""
        rig = self.rig
        what, token = self.random.choice(
            (
                ("a longer life", replace(rig.token, ttl=40 * DAY)),
                ("an earlier rotation", replace(rig.token, rotate_at=0.5)),
                ("another description", replace(rig.token, description="edited")),
                ("a second destination", replace(rig.token, destinations=(PLACE, OTHER_PLACE))),
                ("three destinations", replace(rig.token, destinations=(PLACE, OTHER_PLACE, THIRD_PLACE))),
                ("one destination", replace(rig.token, destinations=(PLACE,))),
                ("another issuer", replace(rig.token, issuer=self.random.choice(("cluster", "former")))),
            )
        )
        self._edit(what, token)

    def _edit(self, what: str, token: ManagedToken) -> None:
        for replica in self.stage.replicas:
            self.rig.configured.setdefault(replica.number, self.rig.token)
        if token.issuer != self.rig.token.issuer:
            self.rig.invariants.restraint.reasons_unknown = True
        self.rig.token = token
        self.rig.invariants.restraint.was_configured(token)
        self.stage.say(f"the configuration is edited: {what}")

    def _pods_are_replaced(self) -> None:
        """Let a roll-out come to its end: every pod has read what is stored now."""
        self.stage.say("the roll-out is done")
        self.rig.workloads.finish(_WORKLOAD)

    def _somebody_undoes_a_restart(self) -> None:
        """Let somebody write the template anew, without our annotations."""
        self.stage.say("somebody writes the template anew")
        self.rig.workloads.annotate(_WORKLOAD, {})

    # --- people -----------------------------------------------------------------------------------------

    def _person(self) -> None:
        """Let somebody do something to the tokens or the secret, by hand; but not lock us out."""
        if self.is_alone:
            return
        acts = (self._revokes, self._deletes, self._restores, self._edits_token, self._damages, self._puts_foreign)
        self.rig.invariants.forget_foreign(PLACE.path)
        self.random.choice(acts)()
        self.rig.invariants.check()

    def _revokes(self) -> None:
        live = sorted(self.rig.live_ids())
        if live:
            token_id = self.random.choice(live)
            self.stage.say(f"somebody revokes {token_id}")
            self.rig.invariants.excused.add(token_id)
            self._issuer_of(token_id).revoke_by_hand(token_id)

    def _deletes(self) -> None:
        if self.rig.current_id is not None:
            self.stage.say("somebody deletes the secret")
            if self.rig.issuer.stale or any(replica.is_busy for replica in self.stage.replicas):
                self.rig.invariants.allow_one_more()  # whoever looked before knows neither from list nor from store
            self.rig.invariants.requests_forgotten = True
            self.rig.store.delete_newest(PLACE.path)

    def _restores(self) -> None:
        documents = [document for document, _ in self.rig.store.versions.get(PLACE.path, []) if document is not None]
        if documents:
            document = self.random.choice(documents)
            token_id = getattr(self.rig.content_of(document), "token_id", "")
            self.stage.say(f"somebody restores {token_id or 'what was no token'}")
            self.rig.invariants.excused.add(token_id)
            self.rig.invariants.requests_forgotten = True
            self.rig.store.put_by_hand(PLACE.path, dict(document))

    def _edits_token(self) -> None:
        self._changes("the token's string", {"token": "nobody's"})

    def _damages(self) -> None:
        damages = (("token_id", ""), ("token_id", "other"), ("expires_at", 7), ("issuer", None))
        field, value = self.random.choice(damages)
        self.rig.invariants.excused.add("other")
        self._changes(f"the field {field}", {field: value})

    def _puts_foreign(self) -> None:
        if self.rig.record is not None:
            self._changes("the owner", {"owner": "provisioner/other/telegraf"})
            self.rig.invariants.expect_foreign(path=PLACE.path)

    def _changes(self, what: str, fields: dict[str, object]) -> None:
        document = self.rig.store.document(PLACE.path)
        if document is not None and self.rig.record is not None:
            self.stage.say(f"somebody changes {what} in the secret")
            self.rig.invariants.requests_forgotten = True
            self.rig.store.put_by_hand(PLACE.path, document | fields)

    # --- the end ----------------------------------------------------------------------------------------

    def _put_right(self) -> None:
        """Let people take their hands off, and every replica have the right time and configuration."""
        rig = self.rig
        for issuer in (rig.issuer, rig.former):
            issuer.stale = issuer.activation_lag = timedelta(0)
        for clock in rig.clocks:
            clock.skew = timedelta(0)
        for replica in self.stage.replicas:
            self.stage.die(replica)
        rig.configured.clear()
        document = rig.store.document(PLACE.path)
        rig.invariants.forget_foreign(PLACE.path)
        if document is not None and document.get("owner") != str(rig.token.owner):
            rig.store.delete_newest(PLACE.path)

    def _issuer_of(self, token_id: str) -> FakeIssuer:
        return self.rig.issuer if token_id in self.rig.issuer.tokens else self.rig.former

    def _perhaps(self, chance: float) -> bool:
        return self.random.random() < chance


def run(seed: int, *, is_led: bool = False) -> Walk:
    """Run one schedule; an invariant that breaks is raised with the trace.

    ``is_led``: one replica leads at a time, and the others act for wishes alone.
    """
    walk = Walk(seed, is_led=is_led)
    try:
        walk.explore()
    except AssertionError as error:
        trace = "\n".join(walk.stage.trace)
        raise AssertionError(
            f"seed {seed}: {error}\n{trace}\nreplay: python -m tests.simulation.walk {seed}{' led' if is_led else ''}"
        ) from None
    return walk


if __name__ == "__main__":
    sys.stdout.write("\n".join(run(int(sys.argv[1]), is_led="led" in sys.argv).stage.trace) + "\n")
