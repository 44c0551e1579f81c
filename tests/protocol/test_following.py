"""What follows a rotation: workloads are restarted, webhooks told; the old token lives until pods have the new one."""

from dataclasses import replace
from datetime import timedelta

import pytest

from provisioner.domain import events
from provisioner.domain.consumers import Progress, Workload, WorkloadKind, annotation_of
from provisioner.domain.model import ManagedToken, Trigger
from provisioner.domain.status import State, TokenStatus, status_of
from provisioner.engine.recall import Recall
from provisioner.engine.reconcile import Outcome
from provisioner.engine.service import Service
from tests.builders import DAY, HOUR, MINUTE, OTHER_PLACE, OWNER, PLACE, SECOND, a_token
from tests.fakes.faults import Fault
from tests.fakes.workloads import a_webhook
from tests.rig import Rig, provisioned

TELEGRAF = Workload(kind=WorkloadKind.DEPLOYMENT, namespace="telegraf", name="telegraf")
AGENT = Workload(kind=WorkloadKind.DAEMON_SET, namespace="telegraf", name="agent")
HOOK = a_webhook()
ROTATE = Trigger(request_id="by hand")
LEAKED = Trigger(request_id="leaked", compromised=True)
LONGEST = 24 * HOUR
KEY = annotation_of(OWNER)


def followed(*consumers: Workload, **changes: object) -> ManagedToken:
    """Give a token whose overlap lasts until those workloads are rolled out: 5 minutes at least, a day at most."""
    values = {"overlap": 5 * MINUTE, "until_rolled_out": LONGEST, "on_rotate": consumers or (TELEGRAF,)}
    return a_token(**(values | changes))


def a_rig(token: ManagedToken | None = None, *, replicas: int = 1) -> Rig:
    """Give a rig whose workloads have the token of a day ago, and whose roll-outs stand still until they are told."""
    rig = Rig(token or followed(), replicas=replicas)
    for workload in rig.token.workloads:
        rig.workloads.add(workload)
    rig.reconcile()
    rig.clock.advance(DAY)
    rig.reconcile()
    rig.workloads.holds_still = True
    return rig


def told(rig: Rig, kind: type[object]) -> list[events.Event]:
    """Give the events of a kind."""
    return [event for event in rig.events if isinstance(event, kind)]


def standing(rig: Rig, outcome: Outcome) -> TokenStatus:
    """Give what ``status`` says of an outcome."""
    return status_of(outcome.snapshot, outcome.decision, rig.clock.now())


def annotated(rig: Rig, workload: Workload = TELEGRAF) -> str | None:
    """Give the rotation that a workload's template names."""
    return rig.workloads.there[workload].annotations.get(KEY)


# --- when all goes well -----------------------------------------------------------------------------


def test_a_rotation_restarts_and_the_old_token_lives_until_it_is_rolled_out() -> None:
    """It is restarted in the same pass, and the predecessor ends when the last pod has been replaced."""
    rig = a_rig()
    outcome = rig.reconcile(ROTATE)
    assert rig.record is not None
    assert annotated(rig) == rig.record.rotation_id
    assert [one.state for one in standing(rig, outcome).consumers] == ["rolling-out"]
    (waiting,) = standing(rig, outcome).awaiting_revocation
    assert waiting.revoke_at == rig.record.stored_at + LONGEST
    assert "is kept until" in waiting.why
    assert "Deployment telegraf/telegraf is rolling-out" in waiting.why
    rig.pass_time(3 * HOUR)
    assert rig.live_ids() == {"token-1", "token-2"}
    rig.workloads.finish(TELEGRAF)
    rig.pass_time(20 * MINUTE)
    assert rig.live_ids() == {"token-2"}
    assert standing(rig, rig.reconcile()).state is State.OK
    assert len(told(rig, events.ConsumerRestarted)) == 2, "when it was provisioned, and now"
    assert len(told(rig, events.ConsumerRolledOut)) == 2


def test_the_least_overlap_is_kept_though_it_is_rolled_out_at_once() -> None:
    """Whoever else reads the token has that long."""
    rig = a_rig()
    rig.workloads.holds_still = False
    rig.reconcile(ROTATE)
    rig.pass_time(5 * MINUTE - SECOND, step=MINUTE)
    assert rig.live_ids() == {"token-1", "token-2"}
    rig.pass_time(MINUTE, step=MINUTE)
    assert rig.live_ids() == {"token-2"}


def test_every_workload_is_waited_for() -> None:
    """One that is rolled out is no reason to break the other."""
    rig = a_rig(followed(TELEGRAF, AGENT))
    rig.reconcile(ROTATE)
    rig.workloads.finish(AGENT)
    rig.pass_time(HOUR)
    assert rig.live_ids() == {"token-1", "token-2"}
    rig.workloads.finish(TELEGRAF)
    rig.pass_time(30 * MINUTE)
    assert rig.live_ids() == {"token-2"}


def test_without_until_a_roll_out_is_followed_and_holds_nothing_back() -> None:
    """A plain overlap ends when it ends."""
    rig = a_rig(followed(until_rolled_out=None, overlap=HOUR))
    rig.reconcile(ROTATE)
    rig.pass_time(HOUR)
    assert rig.live_ids() == {"token-2"}
    assert [one.state for one in standing(rig, rig.reconcile()).consumers] == ["rolling-out"]


def test_nothing_is_asked_when_nothing_depends_on_it() -> None:
    """A rotation costs a look, a restart, and looks that become fewer; once rolled out none, but for a new process."""
    rig = a_rig()
    rig.workloads.faults.calls.clear()
    rig.pass_time(DAY)
    assert rig.workloads.faults.calls == {}
    rig.reconcile(ROTATE)
    assert rig.workloads.faults.calls == {"look": 1, "restart": 1}
    rig.pass_time(4 * HOUR, step=HOUR)
    assert rig.workloads.faults.calls["look"] < 50
    rig.workloads.finish(TELEGRAF)
    rig.pass_time(HOUR)
    rig.workloads.faults.calls.clear()
    rig.pass_time(DAY)
    assert rig.workloads.faults.calls == {}
    rig.crash()
    rig.pass_time(DAY)
    assert rig.workloads.faults.calls == {"look": 1}


def test_a_name_without_consumers_asks_nobody() -> None:
    """There is nothing to ask of."""
    rig = provisioned()
    rig.reconcile(ROTATE)
    assert rig.workloads.faults.calls == {}
    assert rig.notifier.faults.calls == {}


# --- when it does not -------------------------------------------------------------------------------


def test_a_stalled_roll_out_keeps_the_old_token_to_the_longest_end_and_no_longer() -> None:
    """Then it is revoked all the same, which is told as a warning."""
    rig = a_rig()
    rig.reconcile(ROTATE)
    rig.workloads.there[TELEGRAF].progress = Progress.STALLED
    rig.pass_time(LONGEST - MINUTE)
    assert rig.live_ids() == {"token-1", "token-2"}
    outcome = rig.reconcile()
    assert standing(rig, outcome).state is State.FAILING
    assert "stalled" in standing(rig, outcome).reason
    assert len(told(rig, events.ConsumerStuck)) == 1
    assert told(rig, events.ConsumersLeftBehind) == []
    rig.pass_time(2 * MINUTE, step=MINUTE)
    assert rig.live_ids() == {"token-2"}
    (left,) = told(rig, events.ConsumersLeftBehind)
    assert isinstance(left, events.ConsumersLeftBehind)
    assert (left.token_id, len(left.consumers)) == ("token-1", 1)
    assert "longest overlap has ended" in [e.reason for e in rig.events if isinstance(e, events.TokenRevoked)][-1]


def test_a_workload_that_is_not_there_counts_as_not_rolled_out() -> None:
    """It may come back, with pods of a cached token; it is told, and restarted when it is there again."""
    rig = a_rig()
    del rig.workloads.there[TELEGRAF]
    outcome = rig.reconcile(ROTATE)
    assert [one.state for one in standing(rig, outcome).consumers] == ["missing"]
    assert standing(rig, outcome).state is State.FAILING
    assert len(told(rig, events.ConsumerStuck)) == 1
    rig.pass_time(3 * HOUR)
    assert rig.live_ids() == {"token-1", "token-2"}
    rig.workloads.add(TELEGRAF)
    rig.pass_time(20 * MINUTE)
    assert annotated(rig) == (rig.record.rotation_id if rig.record else "")
    rig.workloads.finish(TELEGRAF)
    rig.pass_time(HOUR)
    assert rig.live_ids() == {"token-2"}


def test_an_api_server_that_is_down_for_a_day_delays_no_rotation() -> None:
    """Rotations go on, what was replaced lives to its longest end, and all is well once the server answers."""
    rig = a_rig(followed(drift_interval=HOUR))
    rig.workloads.faults.always |= {"look": Fault.BEFORE, "restart": Fault.BEFORE}
    rig.reconcile(ROTATE)
    rig.pass_time(12 * HOUR)
    rig.reconcile(Trigger(request_id="again"))
    assert rig.current_id == "token-3"
    assert rig.live_ids() == {"token-1", "token-2", "token-3"}
    outcome = rig.reconcile()
    assert [one.state for one in standing(rig, outcome).consumers] == ["unreadable"]
    assert "gave no answer" in standing(rig, outcome).reason
    rig.pass_time(12 * HOUR)
    assert rig.workloads.faults.calls["look"] < 24 * 10
    rig.workloads.faults.always.clear()
    rig.pass_time(20 * MINUTE)
    rig.workloads.finish(TELEGRAF)
    rig.pass_time(20 * MINUTE)
    assert rig.live_ids() == {"token-3"}


def test_somebody_rolls_back_after_it_was_rolled_out() -> None:
    """Its pods may have been started with the old token: it is restarted, and the old token waits for that."""
    rig = a_rig(followed(overlap=2 * HOUR))
    before = dict(rig.workloads.there[TELEGRAF].annotations)
    rig.reconcile(ROTATE)
    rig.workloads.finish(TELEGRAF)
    rig.pass_time(HOUR)
    assert [one.state for one in standing(rig, rig.reconcile()).consumers] == ["rolled-out"]
    rig.workloads.annotate(TELEGRAF, before)
    rig.workloads.there[TELEGRAF].held = {"token-1"}
    rig.pass_time(HOUR + MINUTE, step=MINUTE)
    assert rig.live_ids() == {"token-1", "token-2"}
    rig.pass_time(30 * MINUTE, step=MINUTE)
    assert annotated(rig) == (rig.record.rotation_id if rig.record else "")
    rig.workloads.finish(TELEGRAF)
    rig.pass_time(HOUR)
    assert rig.live_ids() == {"token-2"}


def test_who_undoes_a_restart_again_and_again_is_not_fought() -> None:
    """A controller that takes the annotation away costs a few restarts a day, and not one at every look."""
    rig = a_rig(followed(drift_interval=MINUTE))
    rig.workloads.holds_still = False
    rig.reconcile(ROTATE)
    restarts = rig.workloads.faults.calls["restart"]

    def undo(_: str) -> None:
        rig.workloads.there[TELEGRAF].annotations.pop(KEY, None)

    rig.workloads.faults.before_call = undo
    rig.memories[0] = replace(rig.memories[0], sights={})
    rig.pass_time(DAY, step=MINUTE)
    assert 3 <= rig.workloads.faults.calls["restart"] - restarts <= 8
    outcome = rig.reconcile()
    assert standing(rig, outcome).state is State.FAILING
    assert "somebody has undone that" in standing(rig, outcome).reason


def test_an_annotation_edited_by_hand_is_put_right() -> None:
    """Whatever stands there, it is not the stored rotation."""
    rig = a_rig()
    rig.workloads.holds_still = False
    rig.reconcile(ROTATE)
    rig.workloads.annotate(TELEGRAF, {KEY: "nonsense"})
    rig.crash()
    rig.reconcile()
    assert annotated(rig) == (rig.record.rotation_id if rig.record else "")


def test_who_leaked_a_token_does_not_wait() -> None:
    """It is restarted at once, and the old token ends at once."""
    rig = a_rig()
    outcome = rig.reconcile(LEAKED)
    assert outcome.revoked == ("token-1",)
    assert annotated(rig) == (rig.record.rotation_id if rig.record else "")
    restarted, revoked = (
        next(i for i, e in reversed(list(enumerate(rig.events))) if isinstance(e, kind))
        for kind in (events.ConsumerRestarted, events.TokenRevoked)
    )
    assert restarted < revoked


@pytest.mark.parametrize("trigger", [ROTATE, LEAKED])
def test_webhooks_that_hang_delay_neither_a_restart_nor_a_revocation(trigger: Trigger) -> None:
    """Wherever they stand in the list: they are told when all else is done."""
    others = tuple(a_webhook(f"https://hooks.example.org/{number}") for number in range(3))
    rig = a_rig(followed(on_rotate=(HOOK, *others, TELEGRAF)))
    seen: list[tuple[bool, set[str]]] = []

    def hang(operation: str) -> None:
        if operation == "notify":
            is_restarted = rig.record is not None and annotated(rig) == rig.record.rotation_id
            seen.append((is_restarted, rig.live_ids()))
            rig.clock.advance(10 * SECOND)

    rig.watch(hang)
    rig.notifier.faults.always["notify"] = Fault.BEFORE
    outcome = rig.reconcile(trigger)
    left = {"token-2"} if trigger == LEAKED else {"token-1", "token-2"}
    assert seen == [(True, left)] * 4
    assert outcome.revoked == (("token-1",) if trigger == LEAKED else ())


def test_a_leaked_token_dies_though_nobody_can_be_restarted() -> None:
    """The API server is down: consumers break, the leaked token all the same."""
    rig = a_rig()
    rig.workloads.faults.always |= {"look": Fault.BEFORE}
    assert rig.reconcile(LEAKED).revoked == ("token-1",)


def test_nobody_is_restarted_before_all_can_read() -> None:
    """A pod that starts now and reads the copy would get the old token, and keep it."""
    rig = a_rig(followed(destinations=(PLACE, OTHER_PLACE)))
    before = annotated(rig)
    rig.token = replace(rig.token, destinations=(PLACE, replace(OTHER_PLACE, has_reader=True)))
    rig.store.kept_from_reader.add(OTHER_PLACE.path)
    rig.reconcile(ROTATE)
    assert rig.current_id == "token-2"
    assert annotated(rig) == before
    assert rig.notifier.taken == []
    rig.pass_time(2 * DAY)
    assert rig.live_ids() == {"token-1", "token-2"}
    rig.store.kept_from_reader.clear()
    rig.pass_time(30 * MINUTE)
    assert annotated(rig) == (rig.record.rotation_id if rig.record else "")


def test_a_rolled_back_secret_is_rolled_out_too() -> None:
    """The restored token is the current one: pods get it, and the newer one lives until they have."""
    rig = a_rig()
    rig.workloads.holds_still = False
    before = dict(rig.store.document(PLACE.path) or {})
    rig.reconcile(ROTATE)
    rig.workloads.holds_still = True
    rig.invariants.requests_forgotten = True
    rig.store.put_by_hand(PLACE.path, before)
    rig.clock.advance(2 * HOUR)
    rig.reconcile()
    assert annotated(rig) == before["rotation_id"]
    rig.pass_time(5 * HOUR)
    assert rig.live_ids() == {"token-1", "token-2"}
    rig.workloads.finish(TELEGRAF)
    rig.pass_time(HOUR)
    assert rig.live_ids() == {"token-1"}


# --- crashes, and two at once -----------------------------------------------------------------------


@pytest.mark.parametrize("operation", ["look", "restart", "notify"])
@pytest.mark.parametrize("count", [1, 2])
def test_a_process_that_dies_before_a_call_loses_nothing(operation: str, count: int) -> None:
    """The next one looks, restarts what is behind, and tells what it does not know to be told."""
    rig = a_rig(followed(TELEGRAF, AGENT, on_rotate=(TELEGRAF, HOOK, AGENT)))
    rig.reconcile_and_die_before(operation, count, ROTATE)
    assert rig.current_id == "token-2"
    rig.pass_time(HOUR)
    assert rig.live_ids() == {"token-1", "token-2"}
    assert {annotated(rig, workload) for workload in (TELEGRAF, AGENT)} == {
        rig.record.rotation_id if rig.record else ""
    }
    assert rig.workloads.there[TELEGRAF].generation == 3
    assert {notice.token_id for _, notice in rig.notifier.taken} >= {"token-2"}
    for workload in (TELEGRAF, AGENT):
        rig.workloads.finish(workload)
    rig.settle()


@pytest.mark.parametrize("fault", [Fault.BEFORE, Fault.AFTER, Fault.REFUSED])
def test_a_restart_that_goes_wrong_is_tried_again(fault: Fault) -> None:
    """Also when its answer was lost: the same restart again is none."""
    rig = a_rig()
    rig.workloads.faults.add("restart", fault, fault)
    outcome = rig.reconcile(ROTATE)
    assert standing(rig, outcome).state is State.FAILING
    assert rig.live_ids() == {"token-1", "token-2"}
    rig.pass_time(HOUR)
    assert annotated(rig) == (rig.record.rotation_id if rig.record else "")
    assert rig.workloads.there[TELEGRAF].generation == 3
    rig.workloads.finish(TELEGRAF)
    rig.settle()


def test_one_workload_s_trouble_delays_no_other() -> None:
    """Those behind it in the list are restarted in the same pass."""
    rig = a_rig(followed(TELEGRAF, AGENT))
    rig.workloads.faults.add("restart", Fault.REFUSED)
    rig.reconcile(ROTATE)
    assert annotated(rig, AGENT) == (rig.record.rotation_id if rig.record else "")
    assert annotated(rig, TELEGRAF) != annotated(rig, AGENT)


def test_two_replicas_restart_it_once() -> None:
    """Each finds it behind before the other has restarted it; both restarts are one."""
    rig = a_rig(replicas=2)
    did = False

    def the_other(called: str) -> None:
        nonlocal did
        if called == "restart" and not did:
            did = True
            rig.reconcile(replica=1)

    rig.watch(the_other)
    rig.reconcile(ROTATE, replica=0)
    assert rig.workloads.faults.calls["restart"] == 3, "when it was provisioned, and by both"
    assert rig.workloads.there[TELEGRAF].generation == 3


@pytest.mark.parametrize("replica", [0, 1])
def test_a_token_is_not_revoked_by_who_saw_the_roll_out_before_it_was_rolled_back(replica: int) -> None:
    """Right before a revocation every workload is looked at afresh."""
    rig = a_rig(followed(overlap=HOUR), replicas=2)
    before = dict(rig.workloads.there[TELEGRAF].annotations)
    rig.reconcile(ROTATE)
    rig.workloads.finish(TELEGRAF)
    rig.clock.advance(HOUR - SECOND)
    rig.reconcile(replica=replica)
    rig.workloads.annotate(TELEGRAF, before)
    rig.workloads.there[TELEGRAF].held = {"token-1"}
    rig.clock.advance(SECOND)
    rig.reconcile(replica=replica)
    assert rig.live_ids() == {"token-1", "token-2"}


# --- webhooks ---------------------------------------------------------------------------------------


def test_a_webhook_is_told_once_and_never_a_token() -> None:
    """Of each rotation once, by a process that goes on."""
    rig = a_rig(followed(on_rotate=(HOOK,)))
    assert [notice.token_id for _, notice in rig.notifier.taken] == ["token-1"]
    rig.reconcile(ROTATE)
    rig.pass_time(DAY)
    assert [notice.token_id for _, notice in rig.notifier.taken] == ["token-1", "token-2"]
    notice = rig.notifier.taken[-1][1]
    assert rig.record is not None
    assert (notice.rotation_id, notice.name, notice.destinations) == (
        rig.record.rotation_id,
        "telegraf",
        ((PLACE.store, PLACE.path),),
    )
    assert not any(string in repr(rig.notifier.taken) for string in rig.issuer.strings.values())


def test_a_new_process_tells_once_more() -> None:
    """Nothing at its target says whether it was told, so it is told again rather than never."""
    rig = a_rig(followed(on_rotate=(HOOK,)))
    for _ in range(2):
        rig.crash()
        rig.pass_time(HOUR)
    assert [notice.token_id for _, notice in rig.notifier.taken] == ["token-1"] * 3
    assert len({notice.rotation_id for _, notice in rig.notifier.taken}) == 1


def test_a_webhook_that_is_down_for_a_day_is_told_in_the_end() -> None:
    """It holds up no rotation and no revocation, and status says so."""
    rig = a_rig(followed(until_rolled_out=None, overlap=HOUR, on_rotate=(HOOK, TELEGRAF)))
    rig.notifier.faults.always["notify"] = Fault.BEFORE
    outcome = rig.reconcile(ROTATE)
    (webhook,) = standing(rig, outcome).webhooks
    assert (webhook.host, webhook.state, webhook.failed_attempts) == ("hooks.example.org", "failing", 1)
    assert standing(rig, outcome).state is State.FAILING
    assert annotated(rig) == (rig.record.rotation_id if rig.record else "")
    rig.pass_time(DAY)
    assert rig.live_ids() == {"token-2"}
    assert rig.notifier.faults.calls["notify"] < 24 * 10
    rig.notifier.faults.always.clear()
    rig.pass_time(20 * MINUTE)
    assert rig.notifier.taken[-1][1].token_id == "token-2"
    assert [one.state for one in standing(rig, rig.reconcile()).webhooks] == ["delivered"]


def test_a_lost_answer_of_a_webhook_is_asked_for_again() -> None:
    """At least once: the receiver tells them apart by the rotation."""
    rig = a_rig(followed(on_rotate=(HOOK,)))
    rig.notifier.faults.add("notify", Fault.AFTER)
    rig.reconcile(ROTATE)
    rig.pass_time(MINUTE, step=timedelta(seconds=10))
    assert [notice.token_id for _, notice in rig.notifier.taken] == ["token-1", "token-2", "token-2"]


def test_who_only_looks_does_not_know_whether_a_webhook_was_told() -> None:
    """A fresh ``status`` or ``plan`` beside the daemon has nothing to do; one that has told it knows."""
    rig = a_rig(followed(until_rolled_out=None, on_rotate=(HOOK,)))
    world, token = rig.worlds[0], rig.token
    fresh = Service(world, (token,), instance="prod", concurrency=1, recall=Recall())
    ((snapshot, decision),) = fresh.look((token,))
    assert decision.fact == "nothing_is_due"
    assert [one.state for one in status_of(snapshot, decision, rig.clock.now()).webhooks] == ["unknown"]
    fresh.run_pass()
    (told_now,) = fresh.status((token,))
    assert [one.state for one in told_now.webhooks] == ["delivered"]
    rig.notifier.faults.always["notify"] = Fault.BEFORE
    fresh.rotate((token,), ROTATE)
    (told_now,) = fresh.status((token,))
    assert [one.state for one in told_now.webhooks] == ["failing"]


def test_who_only_looks_sees_how_workloads_stand() -> None:
    """It asks the cluster; what is behind is a change that is pending."""
    rig = a_rig()
    fresh = Service(rig.worlds[0], (rig.token,), instance="prod", concurrency=1, recall=Recall())
    (seen,) = fresh.status((rig.token,))
    assert ([one.state for one in seen.consumers], seen.state) == (["rolled-out"], State.OK)
    rig.workloads.annotate(TELEGRAF, {})
    (seen,) = fresh.status((rig.token,))
    assert ([one.state for one in seen.consumers], seen.next_step) == (["behind"], "restart")
    assert seen.state is State.OK
    assert annotated(rig) is None
