"""A token of ours that its issuers are called with: it rotates like any other, and nobody is ever locked out."""

from collections.abc import Callable

import pytest

from provisioner.domain.mark import Owner
from provisioner.domain.memory import Memory
from provisioner.domain.model import Destination, Record, Trigger
from provisioner.domain.record import read_document
from provisioner.domain.secret import SecretText
from provisioner.engine.gather import Listings
from provisioner.engine.inspection import inspect
from provisioner.engine.reconcile import reconcile
from provisioner.ports.credential import Presented
from tests.builders import DAY, HOUR, MINUTE, OTHER_PLACE, PLACE, SECOND, a_token
from tests.fakes.faults import Fault
from tests.protocol.test_replicas import once_at
from tests.rig import Rig, credentialed
from tests.simulation.scenes_credentials import BOTH, COMPROMISED, PausedAfterReading

CALLS = ("list", "read", "preflight", "create", "prove", "accepts", "write", "revoke")
EFFECTS = ("create", "write", "revoke")
MOST_CALLS = 60


def bootstrapped() -> Rig:
    """Give a rig that has nothing but an operator's own credential."""
    return Rig(a_token(credential_of=("cluster",), drift_interval=6 * HOUR))


def put_fresh_one(rig: Rig) -> None:
    """Do what the runbook says: make a token by other means, and put it where the initial one stood."""
    _, string = rig.issuer.add("made by hand, in an emergency", None)
    rig.initial = SecretText(string)


def error_of(rig: Rig) -> str:
    """Reconcile, and give why nothing could be done."""
    return rig.reconcile().decision.message


# --- the normal life ----------------------------------------------------------------------------------


@pytest.mark.parametrize("by_use", [True, False])
def test_bootstrap_from_the_initial_credential(*, by_use: bool) -> None:
    """The first token is made with the initial credential; from then on the stored one is used, and that alone."""
    rig = Rig(a_token(credential_of=("cluster",)), proves_by_use=by_use)
    rig.reconcile()
    assert rig.record is not None
    used: list[str | None] = []
    rig.issuer.on_admit = lambda _, presented: used.append(presented.rotation_id)
    rig.reconcile()
    assert used == [rig.record.rotation_id]
    rig.initial = None
    rig.settle()


def test_nothing_to_begin_with() -> None:
    """Without an initial credential nothing is minted, and the message says what to configure."""
    rig = bootstrapped()
    rig.invariants.locked_out, rig.initial = True, None
    assert "is not stored at vault:influx/telegraf, and there is no initial one" in error_of(rig)
    assert rig.issuer.faults.calls["create"] == 0


@pytest.mark.parametrize("by_use", [True, False])
@pytest.mark.parametrize("of", [("cluster",), BOTH])
def test_five_rotations_in_a_row(of: tuple[str, ...], *, by_use: bool) -> None:
    """It rotates again and again with nothing but itself to call the issuers with."""
    rig = credentialed(of=of, proves_by_use=by_use)
    seen = {rig.current_id}
    while len(seen) < 6:
        rig.pass_time(5 * DAY, step=DAY)
        seen.add(rig.current_id)
    rig.settle()


def test_other_tokens_rotate_meanwhile() -> None:
    """Tokens of another name at the same issuer are made and revoked with whichever credential is current."""
    rig = credentialed()
    place = Destination(store="vault", path="influx/other")
    other = a_token(owner=Owner("prod", "other"), destinations=(place,), rotate_at=0.3)
    memory, seen = Memory(), set()
    for _ in range(60):
        rig.acting = (0, 0)
        outcome = reconcile(rig.worlds[0], other, Listings(rig.worlds[0]), memory=memory)
        assert outcome.failures == ()
        memory, rig.acting = outcome.memory, None
        rig.pass_time(DAY, step=6 * HOUR)
        content, _ = read_document(rig.store.document(place.path), other.owner, place)
        seen.add(getattr(content, "token_id", None))
    assert len(seen) >= 6
    live = [token for token in rig.issuer.tokens.values() if token.mark and token.mark.owner == other.owner]
    assert sum(token.is_live(rig.clock.now()) for token in live) == 1


def test_compromised_is_done_in_one_pass() -> None:
    """A leaked credential is replaced, the new one used, and the leaked one revoked, in one pass."""
    rig = credentialed(of=BOTH)
    before = rig.current_id
    outcome = rig.reconcile(COMPROMISED)
    assert outcome.revoked == (before,)
    assert rig.live_ids() == {rig.current_id}


def test_predecessor_lives_for_the_overlap() -> None:
    """Others may have read it: the old one has its overlap as any token has."""
    rig = credentialed()
    before = rig.current_id
    rig.reconcile(Trigger(request_id="now"))
    assert rig.live_ids() == {before, rig.current_id}
    rig.settle()


# --- deaths and replicas ------------------------------------------------------------------------------


@pytest.mark.parametrize("trigger", [Trigger(request_id="now"), COMPROMISED], ids=["plain", "compromised"])
def test_death_before_every_call(trigger: Trigger) -> None:
    """Wherever a rotation of the credential dies, the next process can call the issuers, and nothing is left over."""
    died = 0
    for count in range(1, MOST_CALLS):
        rig = credentialed(of=BOTH)
        has_died = rig.reconcile_and_die_before("any", count, trigger)
        died += has_died
        rig.reconcile(trigger)
        rig.settle()
        assert rig.record is not None
        assert rig.record.has_honoured(trigger.request_id)
        if not has_died:
            break
    assert died >= 16


@pytest.mark.parametrize("operation", EFFECTS)
@pytest.mark.parametrize("fault", [Fault.AFTER, Fault.LATE])
def test_death_inside_every_effect(operation: str, fault: Fault) -> None:
    """Who dies with a request in the network leaves a cluster that the next process can get into."""
    rig = credentialed()
    faults = rig.store.faults if operation == "write" else rig.issuer.faults
    fault = Fault.AFTER if operation == "revoke" else fault
    faults.always[operation] = fault
    if operation == "create" and fault is Fault.LATE:
        rig.invariants.allow_one_more()
    rig.reconcile_and_die_before(operation, 1, COMPROMISED)
    called = rig.reconcile_and_die_before("sleep", 1, COMPROMISED) or faults.calls[operation] > 0
    rig.crash()
    assert called
    faults.always.clear()
    rig.reconcile(COMPROMISED)
    rig.settle()


@pytest.mark.parametrize("operation", CALLS)
@pytest.mark.parametrize("count", [1, 2, 3])
@pytest.mark.parametrize("trigger", [None, COMPROMISED], ids=["plain", "compromised"])
def test_rotation_by_two(operation: str, count: int, trigger: Trigger | None) -> None:
    """While one replica is paused before any call of its rotation, another does it all, and a compromised one."""
    rig = credentialed(of=BOTH, replicas=2)
    rig.clock.advance(20 * DAY)

    def other() -> None:
        rig.reconcile(replica=1)
        rig.clock.advance(2 * HOUR)
        rig.reconcile(trigger, replica=1)

    rig.watch(once_at(operation, count, other))
    rig.reconcile(replica=0)
    rig.watch(lambda _: None)
    rig.settle()


def test_stale_read_is_repeated() -> None:
    """Who read the credential right before another replaced it, and revoked it, reads it again, and gets in."""
    rig = credentialed(replicas=2)
    before = rig.current_id
    rig.issuer.credential = PausedAfterReading(rig, lambda: rig.reconcile(COMPROMISED, replica=1))
    outcome = rig.reconcile(replica=0)
    assert rig.live_ids() == {rig.current_id}
    assert rig.current_id != before
    assert outcome.decision.fact == "nothing_is_due"
    rig.settle()


# --- a new token that is not taken --------------------------------------------------------------------


@pytest.mark.parametrize("by_use", [True, False])
def test_token_that_its_issuer_does_not_take(*, by_use: bool) -> None:
    """It never becomes the current one, the old one stays and works, and what was made is revoked."""
    rig = credentialed(proves_by_use=by_use)
    before, rig.issuer.bars_new = rig.current_id, True
    outcome = rig.reconcile(Trigger(request_id="now"))
    assert "issuer cluster did not take it for its credential" in outcome.failures[0]
    assert rig.current_id == before
    rig.issuer.bars_new = False
    rig.settle()
    assert rig.live_ids() == {rig.current_id}


def test_token_that_is_taken_after_a_while() -> None:
    """A refusal means «not yet»: the new one is tried again until it is taken, before it is stored."""
    rig = credentialed()
    before, rig.issuer.activation_lag = rig.current_id, 20 * SECOND
    assert rig.reconcile(Trigger(request_id="now")).failures == ()
    assert rig.current_id != before
    rig.settle()


def test_no_answer_whether_it_is_taken() -> None:
    """Without an answer nothing is stored, and what was made is revoked: the old one stays."""
    rig = credentialed()
    before = rig.current_id
    rig.issuer.faults.always["accepts"] = Fault.BEFORE
    outcome = rig.reconcile(Trigger(request_id="now"))
    assert "issuer cluster: the fake issuer cannot be reached" in outcome.failures[0]
    assert rig.live_ids() == {before}
    rig.settle()


@pytest.mark.parametrize("fault", [Fault.BEFORE, Fault.REFUSED])
def test_no_answer_of_another_issuer(fault: Fault) -> None:
    """While another issuer that is called with it gives no answer, no token is made to be revoked again."""
    rig = credentialed(of=BOTH)
    rig.former.faults.always["accepts"] = fault
    outcome = rig.reconcile(Trigger(request_id="now"))
    assert "issuer former, which is called with this token: the fake issuer" in outcome.failures[0]
    assert rig.issuer.faults.calls["create"] == 1
    rig.settle()


@pytest.mark.parametrize("fault", [Fault.BEFORE, Fault.REFUSED])
def test_trouble_of_another_issuer_is_not_the_end(fault: Fault) -> None:
    """Near the old one's end only the word of its own issuer counts: else the trouble of one locks out all."""
    rig = credentialed(of=BOTH)
    before = rig.current_id
    rig.former.faults.always |= {"accepts": fault, "list": fault}
    rig.clock.advance(26 * DAY)
    rig.reconcile()
    assert rig.current_id == before
    rig.clock.advance(3 * DAY - HOUR)
    rig.reconcile()
    assert rig.current_id != before
    rig.settle()


def test_its_own_issuer_is_waited_for_to_the_end() -> None:
    """However near its end, a token that its own issuer does not take is no successor."""
    rig = credentialed(keeps_initial=True)
    before, rig.issuer.bars_new = rig.current_id, True
    rig.clock.advance(29 * DAY - HOUR)
    rig.reconcile()
    assert rig.current_id == before
    rig.invariants.excused.add(str(before))
    rig.pass_time(2 * HOUR)
    assert rig.current_id == before
    rig.issuer.bars_new = False
    rig.settle()


# --- when the stored one is lost ----------------------------------------------------------------------


@pytest.mark.parametrize("by_use", [True, False])
def test_revoked_by_hand_with_the_initial_one_left(*, by_use: bool) -> None:
    """The initial one is the way back in: a new token is made with it, at once."""
    rig = credentialed(keeps_initial=True, proves_by_use=by_use)
    before = str(rig.current_id)
    rig.invariants.excused.add(before)
    rig.issuer.revoke_by_hand(before)
    rig.reconcile()
    assert rig.current_id != before
    rig.initial = None
    rig.settle()


@pytest.mark.parametrize("by_use", [True, False])
def test_all_is_lost_and_the_runbook_helps(*, by_use: bool) -> None:
    """Nothing is done without a credential; with a fresh one in its old place the daemon goes on by itself."""
    rig = credentialed(proves_by_use=by_use)
    before = str(rig.current_id)
    rig.invariants.excused.add(before)
    rig.invariants.locked_out = True
    rig.issuer.revoke_by_hand(before)
    for _ in range(3):
        assert "does not know its credential" in error_of(rig)
        rig.clock.advance(HOUR)
    assert rig.issuer.faults.calls["create"] == 1
    put_fresh_one(rig)
    rig.invariants.locked_out = False
    rig.reconcile()
    assert rig.current_id != before
    rig.initial = None
    rig.settle()


@pytest.mark.parametrize("by_use", [True, False])
def test_string_that_somebody_has_edited(*, by_use: bool) -> None:
    """A list knows nothing of strings: that it was turned away tells, and a new one is made."""
    rig = credentialed(keeps_initial=True, proves_by_use=by_use)
    rig.reconcile(Trigger(request_id="once more"))
    edited = rig.current_id
    rig.store.put_by_hand(PLACE.path, dict(rig.store.document(PLACE.path) or {}) | {"token": "nobody's"})
    rig.invariants.requests_forgotten = True
    rig.pass_time(10 * MINUTE, step=MINUTE)
    assert rig.current_id != edited
    rig.initial = None
    rig.settle()


def test_edited_string_keeps_the_old_one() -> None:
    """As long as what is stored was not used, what it replaced is not revoked."""
    rig = credentialed(keeps_initial=True)
    before = rig.current_id
    rig.reconcile(Trigger(request_id="now"))
    rig.clock.advance(59 * MINUTE)
    rig.store.put_by_hand(PLACE.path, dict(rig.store.document(PLACE.path) or {}) | {"token": "nobody's"})
    rig.invariants.requests_forgotten = True
    rig.clock.advance(2 * MINUTE)
    rig.reconcile()
    assert before in rig.live_ids()
    rig.settle()


def test_deleted_secret_with_the_initial_one_left() -> None:
    """Nothing is stored: a new token is made with the initial one, and the old one ends in its time."""
    rig = credentialed(keeps_initial=True)
    rig.store.delete_newest(PLACE.path)
    rig.reconcile()
    assert rig.current_id is not None
    rig.initial = None
    rig.settle()


def test_deleted_secret_is_as_good_as_its_copy() -> None:
    """With no initial one left, a copy's token calls the issuer, and a new one is made."""
    rig = credentialed(a_token(destinations=(PLACE, OTHER_PLACE)))
    rig.store.delete_newest(PLACE.path)
    rig.reconcile()
    assert rig.current_id is not None
    rig.settle()


def test_deleted_secret_without_any_other_is_restored() -> None:
    """Without a copy or an initial one nothing can be done, until a person restores the secret."""
    rig = credentialed()
    document = dict(rig.store.document(PLACE.path) or {})
    rig.invariants.locked_out = rig.invariants.requests_forgotten = True
    rig.store.delete_newest(PLACE.path)
    assert "there is no initial one" in error_of(rig)
    rig.store.put_by_hand(PLACE.path, document)
    rig.invariants.locked_out = False
    assert rig.reconcile().decision.fact == "nothing_is_due"
    rig.settle()


@pytest.mark.parametrize("keeps_initial", [True, False])
def test_roll_back(*, keeps_initial: bool) -> None:
    """A restored predecessor is the credential again; what it replaced ends in its time."""
    rig = credentialed(keeps_initial=keeps_initial)
    older = dict(rig.store.document(PLACE.path) or {})
    before = rig.current_id
    rig.reconcile(Trigger(request_id="now"))
    rig.store.put_by_hand(PLACE.path, older)
    rig.invariants.requests_forgotten = True
    rig.reconcile()
    assert rig.current_id == before
    rig.settle()
    assert rig.current_id == before


def test_roll_back_to_a_dead_one() -> None:
    """What was restored is revoked long since: a new one is made with the initial one."""
    rig = credentialed(keeps_initial=True)
    older, before = dict(rig.store.document(PLACE.path) or {}), str(rig.current_id)
    rig.reconcile(COMPROMISED)
    rig.invariants.requests_forgotten = True
    rig.invariants.excused.add(before)
    rig.store.put_by_hand(PLACE.path, older)
    rig.reconcile()
    assert rig.current_id != before
    rig.settle()


# --- when others give no answer -----------------------------------------------------------------------


def test_store_down_asks_a_copy() -> None:
    """Where the primary gives no answer, a copy's token is asked for, so that other names go on."""
    rig = credentialed(a_token(destinations=(PLACE, OTHER_PLACE)))
    rig.store.down_paths.add(PLACE.path)
    copy = rig.content_of(rig.store.document(OTHER_PLACE.path), OTHER_PLACE)
    assert isinstance(copy, Record)
    assert rig.issuer.list().credential == copy.rotation_id


def test_store_down_mints_nothing() -> None:
    """Where no place gives an answer, the issuer is not called, though an initial one be left."""
    rig = credentialed(a_token(destinations=(PLACE, OTHER_PLACE)), keeps_initial=True)
    rig.store.down = True
    rig.clock.advance(25 * DAY)
    message = error_of(rig)
    assert "cannot be read from vault:influx/telegraf" in message
    assert rig.issuer.faults.calls["create"] == 1
    rig.settle()


def test_issuer_without_a_list_holds_the_old_one() -> None:
    """As long as one of the issuers gives no list, nobody knows that it takes the new one: the old one is kept."""
    rig = credentialed(of=BOTH)
    before = rig.current_id
    rig.former.faults.always["list"] = Fault.BEFORE
    outcome = rig.reconcile(COMPROMISED)
    assert outcome.revoked == ()
    rig.pass_time(DAY)
    assert before in rig.live_ids()
    rig.settle()


def test_same_token_for_two_issuers() -> None:
    """Both are called with it, and both were before its predecessor ends."""
    rig = credentialed(of=BOTH)
    used: set[tuple[str, str | None]] = set()
    for issuer in (rig.issuer, rig.former):
        admit = issuer.on_admit

        def note(name: str, presented: Presented, admit: Callable[[str, Presented], None] = admit) -> None:
            used.add((name, presented.rotation_id))
            admit(name, presented)

        issuer.on_admit = note
    rig.reconcile(COMPROMISED)
    assert rig.record is not None
    assert {("cluster", rig.record.rotation_id), ("former", rig.record.rotation_id)} <= used
    rig.settle()


@pytest.mark.parametrize("field", ["rotation_id", "expires_at", "issuer"])
def test_damaged_record_is_still_a_credential(field: str) -> None:
    """Fields that somebody has damaged do not matter to who only needs the string."""
    rig = credentialed()
    rig.invariants.requests_forgotten = rig.invariants.locked_out = True
    rig.store.put_by_hand(PLACE.path, dict(rig.store.document(PLACE.path) or {}) | {field: 7})
    rig.reconcile()
    rig.invariants.locked_out = False
    rig.settle()


# --- what `check` says of it --------------------------------------------------------------------------


def lines_of(rig: Rig) -> list[tuple[bool, str]]:
    """What ``check`` says of the issuer that is called with the token."""
    lines = inspect(rig.worlds[0], [rig.token])
    return [(line.ok, line.message) for line in lines if line.name == "cluster"]


def test_check_names_the_managed_token() -> None:
    """An issuer that was called with the stored token says so."""
    ((ok, message),) = lines_of(credentialed())
    assert ok
    assert message.endswith("called with its managed token telegraf")


def test_check_names_the_initial_credential() -> None:
    """Before anything is stored it is called with the initial one: that is no failure."""
    ((ok, message),) = lines_of(bootstrapped())
    assert ok
    assert message.endswith("called with the initial credential: take it away once telegraf is stored and used")


def test_check_fails_where_the_stored_one_was_refused() -> None:
    """A stored credential that its issuer turned away is a failure, though the initial one works."""
    rig = credentialed(keeps_initial=True)
    rig.store.put_by_hand(PLACE.path, dict(rig.store.document(PLACE.path) or {}) | {"token": "nobody's"})
    (called, refused) = lines_of(rig)
    assert called[0]
    assert called[1].endswith("called with what a copy of telegraf holds, or with the initial credential")
    assert not refused[0]
    assert refused[1].startswith("the managed token telegraf is stored, and was refused")
    rig.invariants.requests_forgotten = True


def test_check_knows_nothing_of_others() -> None:
    """An issuer that is called with no token of ours has nothing to say of that."""
    rig = credentialed()
    ((_, message),) = lines_of(Rig())
    assert "called with" not in message
    assert len(inspect(rig.worlds[0], [])) >= 2


def test_refused_credential_with_two_predecessors_and_a_new_copy_does_not_end_in_a_dead_end() -> None:
    """No copy is written of a string that somebody broke: the predecessors, which no copy holds, cannot wait for it."""
    rig = credentialed(proves_by_use=True, keeps_initial=True)
    for request in ("one", "two"):
        rig.reconcile(Trigger(request_id=request))
    document = dict(rig.store.document(PLACE.path) or {})
    rig.store.put_by_hand(PLACE.path, document | {"token": "broken"})
    rig.with_copy()
    rig.pass_time(2 * HOUR)
    assert rig.current_id == "token-5"
    rig.settle()
