"""Beginnings and plays in which a rule that is left out shows soonest."""

from dataclasses import replace
from datetime import timedelta
from typing import Final

from provisioner.domain.mark import Mark
from provisioner.domain.model import Trigger
from tests.builders import DAY, HOUR, MINUTE, OTHER_PLACE, OWNER, PLACE, a_token, uid
from tests.fakes.faults import Fault
from tests.rig import Rig, provisioned
from tests.simulation.exhaustive import Bound, Scenario
from tests.simulation.mutation import Directed, Search, Seeds

_TOKEN: Final = a_token(drift_interval=HOUR)
_TWO_PLACES: Final = replace(_TOKEN, destinations=(PLACE, OTHER_PLACE))
_BY_HAND: Final = Trigger(request_id="by hand")
_PAUSED: Final = Bound(name="two switches, one pause", switches=2, pauses=1)
_PAUSED_ONCE: Final = Bound(name="one switch, one pause", switches=1, pauses=1)
_SWITCHED: Final = Bound(name="two switches", switches=2)
_ONE_FAULT: Final = Bound(name="one after the other, one fault", switches=0, faults=1)
_IN_ORDER: Final = Bound(name="one after the other", switches=0)


def _well() -> Rig:
    return provisioned(_TOKEN, replicas=2)


def _with_orphan_in_stages() -> Rig:
    rig = provisioned(_TOKEN, replicas=2, staged=True)
    rig.orphan()
    rig.clock.advance(2 * HOUR)
    return rig


def _just_provisioned() -> Rig:
    rig = Rig(_TOKEN, replicas=2)
    rig.reconcile()
    return rig


def _two_orphans_and_nothing_stored() -> Rig:
    rig = Rig(_TOKEN, replicas=2)
    rig.orphan(901)
    rig.orphan(902)
    rig.clock.advance(MINUTE)
    return rig


def _four_orphans_and_nothing_stored() -> Rig:
    rig = Rig(_TOKEN, replicas=2)
    for number in (901, 902, 903, 904):
        rig.orphan(number)
    return rig


def _moved_from_a_crowded_issuer() -> Rig:
    """Give a rig whose token is to move to another issuer, and three orphans at the one that it has."""
    rig = provisioned(replace(_TOKEN, issuer="former"), replicas=2)
    for number in (901, 902, 903):
        rig.former.add(Mark(OWNER, uid(number)).described("left over"), rig.clock.now() + DAY)
    rig.token = _TOKEN
    return rig


def _asked(*request_ids: str) -> Rig:
    """Give a rig in which these were asked for and honoured, each long before the next."""
    rig = _well()
    for request_id in request_ids:
        rig.reconcile(Trigger(request_id=request_id))
        rig.pass_time(3 * HOUR, HOUR)
    return rig


def _asked_and_due_again() -> Rig:
    rig = _asked("by hand")
    rig.clock.advance(20 * DAY)
    return rig


def _rotated_and_rolled_back(rig: Rig) -> Rig:
    """Let somebody restore the version before the last rotation, two hours after it."""
    before = dict(rig.store.document(PLACE.path) or {})
    rig.reconcile(Trigger(request_id="earlier"))
    rig.clock.advance(2 * HOUR)
    rig.invariants.requests_forgotten = True
    rig.store.put_by_hand(PLACE.path, before)
    rig.invariants.check()
    return rig


def _rolled_back() -> Rig:
    return _rotated_and_rolled_back(_well())


def _rolled_back_but_for_a_copy() -> Rig:
    rig = _rotated_and_rolled_back(provisioned(_TWO_PLACES, replicas=2))
    rig.clock.advance(2 * HOUR)
    return rig


def _rotated_beside_a_damaged_copy() -> Rig:
    rig = provisioned(_TWO_PLACES, replicas=2)
    rig.token = _TOKEN
    rig.reconcile(Trigger(request_id="earlier"))
    rig.clock.advance(2 * HOUR)
    rig.token = _TWO_PLACES
    rig.store.put_by_hand(OTHER_PLACE.path, (rig.store.document(OTHER_PLACE.path) or {}) | {"expires_at": "soon"})
    return rig


def _writes_are_lost(*faults: Fault) -> Rig:
    rig = _well()
    rig.store.faults.add("write", *faults)
    rig.store.faults.always["write"] = Fault.BEFORE
    return rig


def _landed_late_and_rolled_back() -> Rig:
    """Give a rig whose token was given up, landed late all the same, and was rolled back a minute later."""
    rig = _writes_are_lost(Fault.LATE)
    before = dict(rig.store.document(PLACE.path) or {})
    rig.reconcile(_BY_HAND)
    rig.store.faults.always.clear()
    rig.store.deliver()
    rig.invariants.check()
    rig.clock.advance(MINUTE)
    rig.invariants.requests_forgotten = True
    rig.store.put_by_hand(PLACE.path, before)
    rig.invariants.check()
    return rig


def _stored_but_not_listed() -> Rig:
    """Give a rig whose list is half an hour old, and whose token is ten minutes old."""
    rig = Rig(_TOKEN, replicas=2, proves_by_use=True)
    rig.reconcile()
    rig.issuer.stale = 30 * MINUTE
    rig.clock.advance(10 * MINUTE)
    rig.crash()
    return rig


def _spelled_otherwise() -> Rig:
    """Give a rig whose record lacks a static field that the configuration has got since."""
    rig = _well()
    rig.token = replace(_TOKEN, destinations=(replace(PLACE, extra={"url": "https://cluster"}),))
    return rig


def _answers_are_lost_while_lists_are_old() -> None:
    rig = Rig()
    rig.issuer.stale = 50 * MINUTE
    rig.issuer.faults.always["create"] = Fault.AFTER
    rig.pass_time(45 * MINUTE, step=MINUTE)
    rig.issuer.stale = timedelta(0)
    rig.settle()


def _a_label_comes_back_to_a_fence() -> None:
    rig = provisioned(replace(_TOKEN, overlap=2 * HOUR))
    rig.orphan()
    rig.pass_time(2 * DAY)
    versions = rig.store.versions[PLACE.path]
    fenced = len(versions)
    rig.reconcile(_BY_HAND)
    rig.pass_time(90 * MINUTE)
    rig.store.on_person()
    del versions[fenced:]
    versions[-1] = (versions[-1][0], rig.clock.now())
    rig.store.changes += 1
    rig.invariants.requests_forgotten = True
    rig.settle()


def _new_processes_while_the_former_issuer_is_down() -> None:
    rig = Rig(replace(_TOKEN, issuer="former"))
    rig.reconcile()
    rig.token = _TOKEN
    rig.reconcile()
    rig.former.faults.always["list"] = Fault.BEFORE
    for number in range(4):
        rig.crash()
        rig.clock.advance(MINUTE)
        rig.reconcile(Trigger(request_id=f"by hand {number}"))
    rig.settle()


def _five_weeks() -> None:
    rig = provisioned(_TOKEN)
    rig.pass_time(35 * DAY, step=6 * HOUR)
    rig.settle()


def _consumers_cannot_read() -> None:
    rig = provisioned(replace(_TOKEN, destinations=(replace(PLACE, has_reader=True),)))
    rig.store.kept_from_reader.add(PLACE.path)
    rig.reconcile(_BY_HAND)
    rig.pass_time(3 * HOUR)
    rig.store.kept_from_reader.clear()
    rig.settle()


CHANCE: Final = Seeds(count=200)
"""Enough for a rule that nearly every schedule needs."""
HAND_AND_CHECK: Final = Search(
    scenario=Scenario(name="a rotation by hand beside a check", open=_well, trigger=_BY_HAND), bound=_PAUSED
)
"""One replica makes a token and is left standing; the other finds it two hours later, and sweeps."""
WRITES_LOST: Final = Search(
    scenario=Scenario(
        name="a rotation whose first write lands late and whose others are lost",
        open=lambda: _writes_are_lost(Fault.LATE),
        trigger=_BY_HAND,
    ),
    bound=_IN_ORDER,
)
LANDED_LATE: Final = Search(
    scenario=Scenario(name="a roll-back of what had landed late", open=_landed_late_and_rolled_back), bound=_IN_ORDER
)
NOT_LISTED: Final = Search(
    scenario=Scenario(name="a stored token that its list does not show", open=_stored_but_not_listed), bound=_ONE_FAULT
)
SPELLED_OTHERWISE: Final = Search(
    scenario=Scenario(name="a record to be spelled anew beside a rotation", open=_spelled_otherwise, trigger=_BY_HAND),
    bound=_SWITCHED,
)
SAME_INSTANT: Final = Search(
    scenario=Scenario(name="a rotation by hand in the instant of another", open=_just_provisioned, trigger=_BY_HAND),
    bound=_PAUSED,
)
"""Two tokens of one age, of which the younger may be stored yet."""
NOTHING_STORED: Final = Search(
    scenario=Scenario(name="first provisioning beside two orphans", open=_two_orphans_and_nothing_stored),
    bound=_PAUSED,
)
"""With nothing stored and three live tokens, room is made, while the youngest may be stored yet."""
CROWDED: Final = Search(
    scenario=Scenario(name="first provisioning beside four orphans", open=_four_orphans_and_nothing_stored),
    bound=_ONE_FAULT,
)
"""No room for a further token, and a list that cannot be read."""
CROWDED_FORMER: Final = Search(
    scenario=Scenario(name="a move from an issuer with three orphans", open=_moved_from_a_crowded_issuer),
    bound=_ONE_FAULT,
)
ASKED_LONG_AGO: Final = Search(
    scenario=Scenario(
        name="a request sent again after another", open=lambda: _asked("by hand", "another"), trigger=_BY_HAND
    ),
    bound=_IN_ORDER,
)
ASKED_AND_DUE: Final = Search(
    scenario=Scenario(name="a request sent again when a rotation is due", open=_asked_and_due_again, trigger=_BY_HAND),
    bound=_IN_ORDER,
)
ROLLED_BACK: Final = Search(scenario=Scenario(name="a roll-back by a person", open=_rolled_back), bound=_IN_ORDER)
COPY_AHEAD: Final = Search(
    scenario=Scenario(name="a roll-back that a copy has not got yet", open=_rolled_back_but_for_a_copy),
    bound=_ONE_FAULT,
)
COPY_BEHIND: Final = Search(
    scenario=Scenario(name="a rotation beside a copy that was damaged", open=_rotated_beside_a_damaged_copy),
    bound=_ONE_FAULT,
)
LOST_ANSWERS: Final = Directed(
    name="every answer to a create is lost, and lists are 50 minutes old", play=_answers_are_lost_while_lists_are_old
)
BACK_TO_A_FENCE: Final = Directed(
    name="a label is moved back to the revision of a fence of long ago", play=_a_label_comes_back_to_a_fence
)
FORMER_DOWN: Final = Directed(
    name="one process after another, while the former issuer is down",
    play=_new_processes_while_the_former_issuer_is_down,
)
KEPT_FROM_READER: Final = Directed(name="consumers cannot read for three hours", play=_consumers_cannot_read)
STAGED_HAND_AND_CHECK: Final = Search(
    scenario=Scenario(
        name="a rotation by hand beside a check, written in stages",
        open=lambda: provisioned(_TOKEN, replicas=2, staged=True),
        trigger=_BY_HAND,
    ),
    bound=_PAUSED_ONCE,
)
STAGED_FIRST: Final = Search(
    scenario=Scenario(name="first provisioning, written in stages", open=lambda: Rig(_TOKEN, replicas=2, staged=True)),
    bound=_PAUSED_ONCE,
)
STAGED_ORPHAN: Final = Search(
    scenario=Scenario(name="the sweep of an orphan, written in stages", open=_with_orphan_in_stages), bound=_IN_ORDER
)
FIVE_WEEKS: Final = Directed(name="five weeks without a fault", play=_five_weeks)
