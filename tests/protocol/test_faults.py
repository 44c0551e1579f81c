"""What happens when calls fail, answers are lost, and processes die."""

from dataclasses import replace
from datetime import timedelta

import pytest

from provisioner.domain.model import Trigger
from provisioner.domain.status import State, status_of
from tests.builders import DAY, HOUR, MINUTE, OTHER_PLACE, PLACE, SECOND, a_token, uid
from tests.fakes.faults import Fault
from tests.rig import Rig, provisioned


def test_store_that_cannot_be_read_mints_nothing() -> None:
    """While the store gives no answer, nothing is created, for a week."""
    rig = Rig(a_token(drift_interval=HOUR))
    rig.store.down = True
    rig.pass_time(7 * DAY, step=6 * HOUR)
    assert rig.issuer.faults.calls["create"] == 0
    rig.settle()
    assert rig.current_id == "token-1"


def test_store_that_takes_no_write_mints_nothing() -> None:
    """Preflight refuses before anything is created."""
    rig = Rig()
    rig.store.writable = False
    outcome = rig.reconcile()
    assert rig.issuer.tokens == {}
    assert "would not accept a write" in outcome.failures[0]
    rig.store.writable = True
    rig.settle()


def test_issuer_that_cannot_be_listed_mints_nothing() -> None:
    """While the issuer cannot be listed, nothing is created."""
    rig = Rig()
    rig.issuer.faults.always["list"] = Fault.BEFORE
    rig.reconcile()
    assert rig.issuer.faults.calls["create"] == 0
    rig.settle()


def test_create_that_surely_failed_leaves_nothing() -> None:
    """A create that had no effect is tried again after its backoff."""
    rig = Rig()
    rig.issuer.faults.add("create", Fault.BEFORE)
    rig.reconcile()
    assert rig.live_ids() == set()
    rig.settle()


@pytest.mark.parametrize("fault", [Fault.AFTER, Fault.UNREADABLE, Fault.LATE])
def test_lost_answer_of_create_is_never_repeated_in_the_same_attempt(fault: Fault) -> None:
    """A create with an unknown outcome ends the attempt; its token is swept, and one token is stored in the end."""
    rig = Rig()
    rig.issuer.faults.add("create", fault)
    rig.reconcile()
    assert rig.issuer.faults.calls["create"] == 1
    rig.settle()


def test_answers_lost_for_ever_stop_at_three() -> None:
    """Though every answer is lost for a day, no more than three tokens live, and the state says so."""
    rig = Rig()
    rig.issuer.faults.always["create"] = Fault.AFTER
    rig.pass_time(DAY, step=5 * MINUTE)
    assert len(rig.live_ids()) <= 3
    rig.settle()


def test_deaths_after_create_stop_at_three() -> None:
    """A process that dies after each create does not pile tokens up: the list itself is the guard."""
    rig = Rig()
    for _ in range(8):
        rig.reconcile_and_die_before("prove")
        rig.clock.advance(MINUTE)
    assert len(rig.live_ids()) == 3
    outcome = rig.reconcile()
    assert "3 live tokens of this name" in (outcome.decision.hindrance or "")
    rig.settle()


def test_unseen_tokens_count_for_the_guard() -> None:
    """While the list lags behind, tokens whose answer was lost count although no list shows them."""
    rig = Rig()
    rig.issuer.stale = 50 * MINUTE
    rig.issuer.faults.always["create"] = Fault.AFTER
    rig.pass_time(45 * MINUTE, step=MINUTE)
    assert len(rig.live_ids()) == 3
    rig.issuer.stale = timedelta(0)
    rig.settle()


def test_token_without_the_expiry_asked_for_is_revoked() -> None:
    """Nothing of ours lives for ever by accident."""
    rig = Rig()
    rig.issuer.forget_expiry = True
    outcome = rig.reconcile()
    assert "no expiry" in outcome.failures[0]
    assert rig.live_ids() == set()
    assert rig.record is None
    rig.issuer.forget_expiry = False
    rig.settle()


def test_token_that_never_works_is_given_up_and_revoked() -> None:
    """A token that does not come to work before the deadline is not stored; the stored one stays."""
    rig = provisioned(proves_by_use=True)
    rig.issuer.activation_lag = DAY
    rig.clock.advance(20 * DAY)
    outcome = rig.reconcile()
    assert "did not come to work" in outcome.failures[0]
    assert rig.current_id == "token-1"
    assert rig.live_ids() == {"token-1"}
    rig.issuer.activation_lag = timedelta(0)
    rig.settle()


@pytest.mark.parametrize("fault", [Fault.BEFORE, Fault.AFTER])
def test_commit_is_retried_with_the_same_token(fault: Fault) -> None:
    """A write that failed, or whose answer was lost, is sent again or found again; nothing more is created."""
    rig = Rig()
    rig.store.faults.add("write", fault)
    rig.reconcile()
    assert rig.current_id == "token-1"
    assert rig.issuer.faults.calls["create"] == 1
    rig.settle()


def test_commit_that_lands_late_finds_its_token_alive() -> None:
    """A write that times out and lands after the attempt was given up must not store a dead token: the fence."""
    rig = Rig()
    rig.store.faults.always["write"] = Fault.LATE
    rig.reconcile()
    rig.store.faults.always.clear()
    rig.watch(lambda operation: rig.store.deliver() if operation == "revoke" else None)
    rig.reconcile()
    rig.settle()


def test_commit_that_lands_late_before_the_fence_wins() -> None:
    """A late write that lands before the fence makes its token the current one, and it is kept."""
    rig = Rig()
    rig.store.faults.always["write"] = Fault.LATE
    rig.reconcile()
    rig.store.faults.always.clear()
    rig.store.deliver()
    rig.reconcile()
    assert rig.current_id == "token-1"
    rig.clock.advance(DAY)
    rig.reconcile(Trigger(request_id="later"))
    assert rig.live_ids() == {"token-1", "token-2"}, "it was the current one: it keeps its overlap"
    rig.settle()


def test_refused_commit_leaves_nothing() -> None:
    """A write that is refused outright ends the attempt, and its token is revoked at once."""
    rig = Rig()
    rig.store.faults.add("write", Fault.REFUSED)
    rig.reconcile()
    assert rig.record is None
    assert rig.live_ids() == set()
    rig.settle()


def test_read_back_without_answer_is_not_a_failed_rotation() -> None:
    """The commit stands though the read-back gets no answer: the next look finds it."""
    rig = Rig()
    calls: list[str] = []

    def interfere(operation: str) -> None:
        calls.append(operation)
        if operation == "read" and "write" in calls:
            rig.store.faults.add("read", Fault.BEFORE)
            calls.clear()

    rig.watch(interfere)
    rig.reconcile()
    assert rig.current_id == "token-1"
    rig.settle()
    assert rig.issuer.faults.calls["create"] == 1


def test_orphan_of_a_crash_is_kept_for_the_quiet_period_and_fenced() -> None:
    """A token that a dead process left is revoked after the quiet period, behind a rewrite of the unchanged record."""
    rig = provisioned()
    before = rig.record
    orphan = rig.orphan()
    rig.pass_time(HOUR - MINUTE)
    assert orphan in rig.live_ids()
    rig.pass_time(2 * MINUTE, step=MINUTE)
    assert orphan not in rig.live_ids()
    assert rig.record == before
    assert len(rig.store.versions[PLACE.path]) == 2, "one commit and one fence"


def test_orphans_in_the_way_of_the_first_token_are_fenced_by_a_reservation() -> None:
    """Where nothing is stored and three live, the youngest goes behind a reservation, which reads as no secret."""
    rig = Rig()
    orphans = []
    for number in (901, 902, 903):
        orphans.append(rig.orphan(number))
        rig.clock.advance(MINUTE)
    rig.issuer.faults.always["create"] = Fault.BEFORE
    rig.pass_time(2 * HOUR)
    assert rig.live_ids() == set(orphans[:2])
    assert rig.store.document(PLACE.path) == {"owner": "provisioner/prod/telegraf"}
    rig.settle()
    assert rig.record is not None


def test_deleted_secret_without_successor_leaves_cached_tokens_alone() -> None:
    """While a deleted secret cannot be provisioned anew, the token that consumers may have cached lives on."""
    rig = provisioned()
    rig.store.delete_newest(PLACE.path)
    rig.issuer.faults.always["create"] = Fault.BEFORE
    rig.pass_time(10 * HOUR)
    assert rig.live_ids() == {"token-1"}
    rig.settle()


def test_revocations_that_fail_are_retried_for_ever_and_shown() -> None:
    """A predecessor that cannot be revoked is tried again and again, with the error in what is remembered."""
    rig = provisioned()
    rig.clock.advance(20 * DAY)
    rig.reconcile()
    rig.issuer.faults.always["revoke"] = Fault.BEFORE
    rig.pass_time(5 * HOUR)
    assert rig.memories[0].backoffs["revoke:token-1"].failures > 5
    assert rig.issuer.faults.calls["revoke"] < 40
    rig.settle()


def test_revocation_with_a_lost_answer_is_seen_on_the_next_list() -> None:
    """A revoke that took effect without an answer is not made again."""
    rig = provisioned()
    rig.clock.advance(20 * DAY)
    rig.reconcile()
    rig.issuer.faults.add("revoke", Fault.AFTER)
    rig.pass_time(2 * HOUR)
    assert rig.issuer.faults.calls["revoke"] == 1
    assert rig.live_ids() == {"token-2"}


def test_foreign_secret_is_refused_and_kept() -> None:
    """A secret without our owner field stops everything for that name, and nothing is created."""
    rig = Rig()
    rig.store.put_by_hand(PLACE.path, {"password": "of somebody"})
    rig.invariants.expect_foreign(path=PLACE.path)
    outcome = rig.reconcile()
    assert outcome.decision.fact == "secret_is_foreign"
    assert rig.issuer.tokens == {}


def test_foreign_secret_may_be_adopted() -> None:
    """With adopt: true the foreign secret is replaced."""
    rig = Rig(a_token(destinations=(replace(PLACE, adopt=True),)))
    rig.store.put_by_hand(PLACE.path, {"password": "of somebody"})
    rig.reconcile()
    assert rig.current_id == "token-1"


def test_foreign_tokens_are_never_touched() -> None:
    """Tokens without our mark, of another instance, or of another name, stay as they are for ever."""
    rig = provisioned()
    for description in (
        "somebody's",
        f"x [provisioner/other/telegraf {uid(7)}]",
        f"x [provisioner/prod/telegraf2 {uid(8)}]",
        f"[provisioner/prod/telegraf {uid(9)}] and more words",
        f"[provisioner/prod/telegraf {uid(9)}][provisioner/prod/telegraf {uid(10)}]",
        "[provisioner/prod/telegraf no-uuid]",
    ):
        issued, _ = rig.issuer.add(description, rig.clock.now() + 90 * DAY)
        rig.invariants.expect_foreign(token_id=issued.token_id)
    rig.token = replace(rig.token, drift_interval=HOUR)
    rig.pass_time(25 * DAY, step=6 * HOUR)
    assert rig.issuer.faults.calls["revoke"] == 1


def test_revoked_by_hand_is_replaced_at_once() -> None:
    """A stored token that somebody revoked is replaced in the next pass."""
    rig = provisioned()
    rig.invariants.excused.add("token-1")
    rig.issuer.revoke_by_hand("token-1")
    rig.reconcile()
    assert rig.current_id == "token-2"
    rig.settle()


def test_edited_token_is_found_by_use_and_replaced() -> None:
    """A record whose token string was changed by hand is refused when tried, and replaced once that is certain."""
    rig = provisioned(proves_by_use=True)
    document = dict(rig.store.document(PLACE.path) or {})
    rig.store.put_by_hand(PLACE.path, document | {"token": "mistyped"})
    rig.reconcile()
    assert rig.current_id == "token-1"
    rig.pass_time(10 * MINUTE, step=MINUTE)
    assert rig.current_id == "token-2"
    rig.settle()


def test_deleted_secret_is_provisioned_anew() -> None:
    """A secret that somebody deleted is minted again; the old token ends in its time."""
    rig = provisioned()
    rig.store.delete_newest(PLACE.path)
    rig.reconcile()
    assert rig.current_id == "token-2"
    rig.settle()


@pytest.mark.parametrize(
    "change", [{"token_id": ""}, {"token_id": "other"}, {"rotation_id": 7}, {"expires_at": "soon"}]
)
def test_damaged_record_is_repaired_from_the_list(change: dict[str, object]) -> None:
    """While the record says which token it holds, what was damaged is read off the list, and nothing is minted."""
    rig = provisioned()
    before = dict(rig.store.document(PLACE.path) or {})
    rig.invariants.excused.add("other")
    rig.store.put_by_hand(PLACE.path, before | change)
    rig.reconcile()
    assert rig.store.document(PLACE.path) == before
    assert rig.issuer.faults.calls["create"] == 1
    rig.settle()


def test_record_that_does_not_say_which_token_it_holds_is_replaced() -> None:
    """Without id and rotation there is nothing to repair it by: a new token is minted, the old one ends in its time."""
    rig = provisioned()
    document = dict(rig.store.document(PLACE.path) or {})
    rig.store.put_by_hand(PLACE.path, document | {"token_id": None, "rotation_id": None})
    outcome = rig.reconcile()
    assert outcome.changed == 1
    assert rig.current_id == "token-2"
    rig.settle()


def test_secret_deleted_at_the_primary_alone_does_not_end_in_a_dead_end() -> None:
    """With three live tokens, the youngest held by a copy alone, room is made, and a token is stored again."""
    rig = provisioned()
    rig.with_copy()
    rig.reconcile()
    for number in (901, 902):
        rig.orphan(number)
    rig.reconcile(Trigger(request_id="no room"))
    rig.store.delete_newest(PLACE.path)
    rig.settle()
    assert rig.current_id is not None


def test_refused_token_with_two_predecessors_does_not_end_in_a_dead_end() -> None:
    """A stored string that somebody broke is replaced although two predecessors live: it will never be proven."""
    rig = provisioned(proves_by_use=True)
    for request in ("one", "two"):
        rig.reconcile(Trigger(request_id=request))
    document = dict(rig.store.document(PLACE.path) or {})
    rig.store.put_by_hand(PLACE.path, document | {"token": "broken"})
    rig.pass_time(2 * HOUR)
    assert rig.store.document(PLACE.path) != document | {"token": "broken"}
    rig.settle()


def test_roll_back_by_hand_is_obeyed() -> None:
    """Restoring an older version makes its token the current one; the newer one lives for the overlap, then ends."""
    rig = provisioned()
    old = dict(rig.store.document(PLACE.path) or {})
    rig.clock.advance(20 * DAY)
    rig.reconcile()
    rig.clock.advance(10 * MINUTE)
    rig.token = replace(rig.token, rotate_at=0.95)  # or the old token would be rotated again at once
    rig.store.put_by_hand(PLACE.path, old)
    rig.reconcile()
    assert rig.current_id == "token-1"
    rig.pass_time(50 * MINUTE)
    assert "token-2" in rig.live_ids()
    rig.pass_time(2 * HOUR)
    assert rig.live_ids() == {"token-1"}


def test_stale_list_kills_nothing() -> None:
    """A list that lags behind by a minute does not make the stored token look dead."""
    rig = provisioned()
    rig.issuer.stale = MINUTE
    rig.clock.advance(20 * DAY)
    for _ in range(20):
        rig.reconcile()
        rig.clock.advance(5 * SECOND)
    assert rig.issuer.faults.calls["create"] == 2
    rig.issuer.stale = 280 * SECOND  # the list goes back to before the new token, which is young
    rig.crash()  # or its memory of having seen it work would be enough
    rig.reconcile()
    assert rig.issuer.faults.calls["create"] == 2
    rig.issuer.stale = timedelta(0)
    rig.settle()


def test_missing_from_the_list_but_working_is_kept() -> None:
    """A stored token that its list does not show is tried before it counts as dead."""
    rig = provisioned(proves_by_use=True)
    rig.issuer.stale = 30 * DAY
    rig.pass_time(HOUR)
    assert rig.issuer.faults.calls["create"] == 1


def test_copy_that_fails_delays_nothing_but_the_revocation() -> None:
    """A destination that is down delays no rotation, is retried, and holds back the end of the predecessor."""
    rig = provisioned()
    rig.with_copy()
    rig.reconcile()
    rig.clock.advance(20 * DAY)

    def interfere(operation: str) -> None:
        if operation == "write" and rig.current_id == "token-2":
            rig.store.faults.add("write", Fault.BEFORE)

    rig.watch(interfere)
    rig.reconcile()
    assert rig.current_id == "token-2"
    rig.pass_time(3 * HOUR)
    assert rig.live_ids() == {"token-1", "token-2"}
    rig.watch(lambda _: None)
    rig.store.faults.queues.clear()
    rig.pass_time(2 * HOUR)
    assert rig.store.document(OTHER_PLACE.path) == rig.store.document(PLACE.path)
    assert rig.live_ids() == {"token-2"}


def test_copy_that_holds_nothing_holds_back_the_revocation() -> None:
    """A destination that was emptied and cannot be written keeps the predecessor alive as long."""
    rig = provisioned()
    rig.with_copy()
    rig.reconcile()
    rig.clock.advance(20 * DAY)
    rig.store.delete_newest(OTHER_PLACE.path)

    def interfere(operation: str) -> None:
        if operation == "write" and (rig.current_id == "token-2" or rig.issuer.faults.calls["create"] == 1):
            rig.store.faults.add("write", Fault.BEFORE)

    rig.watch(interfere)
    rig.reconcile()
    rig.pass_time(3 * HOUR)
    assert rig.live_ids() == {"token-1", "token-2"}
    outcome = rig.reconcile()
    standing = status_of(outcome.snapshot, outcome.decision, rig.clock.now())
    assert standing.state is State.FAILING, "a destination that stays behind is not passed over in silence"
    assert str(OTHER_PLACE) in standing.reason
    rig.watch(lambda _: None)
    rig.store.faults.queues.clear()
    rig.pass_time(30 * MINUTE)
    assert rig.live_ids() == {"token-1", "token-2"}, "consumers of the late copy have their overlap too"
    rig.settle()


def test_roll_back_just_before_the_revocation_saves_the_token() -> None:
    """A person restores the old version while its token is about to be revoked: the last look sees it."""
    rig = provisioned()
    old = dict(rig.store.document(PLACE.path) or {})
    rig.clock.advance(20 * DAY)
    rig.reconcile()
    rig.clock.advance(2 * HOUR)
    rig.token = replace(rig.token, rotate_at=0.95)  # or the old token would be rotated again at once
    looks = 0

    def interfere(operation: str) -> None:
        nonlocal looks
        looks += operation == "list"
        if looks == 3:  # two issuers are listed in each look
            rig.store.put_by_hand(PLACE.path, old)

    rig.watch(interfere)
    rig.reconcile()
    assert rig.current_id == "token-1"
    assert "token-1" in rig.live_ids()
    rig.watch(lambda _: None)
    rig.settle()


def test_manual_rotation_ignores_the_backoff_of_others() -> None:
    """After failures, a person's trigger is tried at once; its own failures are then backed off."""
    rig = provisioned()
    rig.clock.advance(20 * DAY)
    rig.issuer.faults.add("create", Fault.BEFORE, Fault.BEFORE)
    rig.reconcile()
    assert rig.issuer.faults.calls["create"] == 2
    rig.reconcile(Trigger(request_id="now"))
    assert rig.issuer.faults.calls["create"] == 3
    rig.reconcile(Trigger(request_id="now"))
    assert rig.issuer.faults.calls["create"] == 3
    rig.clock.advance(HOUR)
    rig.reconcile(Trigger(request_id="now"))
    assert rig.current_id is not None
    assert rig.current_id != "token-1"
    rig.settle()
