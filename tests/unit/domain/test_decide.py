"""The chain: which fact wins, what holds a mint up and what it leaves room for, and how long to rest."""

from collections.abc import Callable
from dataclasses import replace
from datetime import datetime, timedelta
from itertools import combinations

import pytest

from provisioner.domain import checks
from provisioner.domain.decide import CHAIN, NOTHING_IS_DUE, answers, decide
from provisioner.domain.model import Backoff, IssuedToken, Reservation, Snapshot, TrialResult
from provisioner.domain.steps import MINT_KEY, Copy, Mint, Refuse, Rest, Revoke, TryStored
from provisioner.domain.timing import rotation_due
from tests.unit.domain.builders import (
    DAY,
    DRIFT_INTERVAL,
    EXPIRES_AT,
    FORMER_ISSUER,
    HOUR,
    INSTANT,
    ISSUED_AT,
    ISSUER,
    MINUTE,
    NOW,
    OVERLAP,
    PRIMARY,
    QUIET_PERIOD,
    SECOND,
    SECOND_PLACE,
    STORED_AT,
    TTL,
    Openings,
    a_backoff,
    a_foreign_secret,
    a_listing,
    a_memory,
    a_record,
    a_snapshot,
    a_token,
    a_trial,
    a_trigger,
    an_ended_attempt,
    an_issued,
    nothing_stored,
    stored,
    unreadable,
)

THIRD_ISSUER = "cluster-b"
LAST_MONTH = NOW - 25 * DAY
"""When a token was issued whose rotation is due."""
OLDER, ORPHAN, YOUNG = (
    an_issued("older", created_at=ISSUED_AT - DAY),
    an_issued("orphan", created_at=NOW - 3 * HOUR),
    an_issued("young", created_at=NOW - MINUTE),
)

# --- which fact wins ----------------------------------------------------------------------------------


def _unread(snapshot: Snapshot) -> Snapshot:
    return replace(snapshot, listings={**snapshot.listings, snapshot.token.issuer: unreadable()})


def _foreign(snapshot: Snapshot) -> Snapshot:
    return replace(snapshot, primary=stored(a_foreign_secret()))


def _missing(snapshot: Snapshot) -> Snapshot:
    return replace(snapshot, primary=nothing_stored(), listings={**snapshot.listings, ISSUER: a_listing()})


def _dead(snapshot: Snapshot) -> Snapshot:
    listings = {**snapshot.listings, ISSUER: a_listing()}
    return replace(snapshot, primary=stored(a_record(issued_at=NOW - TTL)), listings=listings)


def _asked_for(snapshot: Snapshot) -> Snapshot:
    return replace(snapshot, trigger=a_trigger())


def _moved(snapshot: Snapshot) -> Snapshot:
    return replace(snapshot, token=replace(snapshot.token, issuer=FORMER_ISSUER))


def _due(snapshot: Snapshot) -> Snapshot:
    return replace(snapshot, token=replace(snapshot.token, rotate_at=0.01))


def _differing(snapshot: Snapshot) -> Snapshot:
    token = replace(snapshot.token, destinations=(PRIMARY, SECOND_PLACE))
    return replace(snapshot, token=token, copies=(nothing_stored(destination=SECOND_PLACE),))


def _outlived(snapshot: Snapshot) -> Snapshot:
    given_up = an_issued("given-up", issuer=THIRD_ISSUER, created_at=NOW - HOUR)
    memory = a_memory(ended=(an_ended_attempt("given-up"),))
    return replace(snapshot, listings={**snapshot.listings, THIRD_ISSUER: a_listing(given_up)}, memory=memory)


FACTS: dict[str, Callable[[Snapshot], Snapshot]] = {
    "truth_is_unreadable": _unread,
    "secret_is_foreign": _foreign,
    "secret_is_missing": _missing,
    "stored_token_is_dead": _dead,
    "trigger_is_pending": _asked_for,
    "issuer_has_changed": _moved,
    "rotation_is_due": _due,
    "destination_differs": _differing,
    "token_has_outlived_its_time": _outlived,
}
"""In the protocol's order: each makes its fact hold in a snapshot, and leaves the facts of the others as they are."""
STEPS: dict[str, type[object]] = {
    "truth_is_unreadable": Rest,
    "secret_is_foreign": Refuse,
    "secret_is_missing": Mint,
    "stored_token_is_dead": Mint,
    "trigger_is_pending": Mint,
    "issuer_has_changed": Mint,
    "rotation_is_due": Mint,
    "destination_differs": Copy,
    "token_has_outlived_its_time": Revoke,
}
STATES_OF_THE_STORE = {"secret_is_foreign", "secret_is_missing"}
OF_A_RECORD = set(FACTS) - {"truth_is_unreadable", "token_has_outlived_its_time"}
PAIRS = [pair for pair in combinations(FACTS, 2) if not (pair[0] in STATES_OF_THE_STORE and pair[1] in OF_A_RECORD)]
"""Those that can hold at once: nothing stored, a foreign secret and a record exclude each other."""


def a_snapshot_with(*facts: str) -> Snapshot:
    """Give a snapshot in which those facts hold."""
    snapshot = a_snapshot(listings={ISSUER: a_listing(an_issued()), FORMER_ISSUER: a_listing()})
    for fact in sorted(facts, key=list(FACTS).index, reverse=True):
        snapshot = FACTS[fact](snapshot)
    return snapshot


def test_the_chain_is_in_the_protocol_s_order() -> None:
    """Facts 1 to 9, as the protocol's table lists them."""
    assert [check.__name__ for check in CHAIN] == list(FACTS)


@pytest.mark.parametrize("fact", FACTS)
def test_each_fact_alone_brings_its_step(fact: str) -> None:
    """The step is the one of the protocol's table, and the decision names the fact."""
    decision = decide(a_snapshot_with(fact), NOW)
    assert decision.fact == fact
    assert isinstance(decision.step, STEPS[fact])
    assert decision.hindrance is None
    assert decision.message


@pytest.mark.parametrize(("first", "second"), PAIRS)
def test_of_two_facts_the_earlier_wins(first: str, second: str) -> None:
    """Both hold, and the one that the protocol names first says the step."""
    snapshot = a_snapshot_with(first, second)
    holding = {answer.fact for answer in answers(snapshot, NOW) if answer.finding.holds}
    assert {first, second} <= holding
    assert decide(snapshot, NOW).fact == first
    assert isinstance(decide(snapshot, NOW).step, STEPS[first])


def test_nothing_is_due_where_no_fact_holds() -> None:
    """Fact 10: rest."""
    decision = decide(a_snapshot(), NOW)
    assert decision.fact == NOTHING_IS_DUE
    assert decision.step == Rest(until=NOW + DRIFT_INTERVAL)
    assert decision.hindrance is None


def test_explaining_asks_every_check_in_order() -> None:
    """One answer for each, whatever the ones before it said."""
    given = answers(a_snapshot_with("truth_is_unreadable", "trigger_is_pending"), NOW)
    assert [answer.fact for answer in given] == list(FACTS)
    assert [answer.fact for answer in given if answer.finding.holds] == ["truth_is_unreadable", "trigger_is_pending"]
    assert all(answer.finding.message for answer in given)


def test_a_stored_token_is_tried_before_anything_is_minted_for_it() -> None:
    """Fact 4 may ask for a trial first: a read, before the facts that follow."""
    listing = a_listing(an_issued(), proves_by_use=True)
    decision = decide(replace(_due(a_snapshot(listing=listing)), trigger=a_trigger()), NOW)
    assert decision.step == TryStored(record=a_record(), revision=stored().revision)
    assert decision.fact == "stored_token_is_dead"


# --- the guard of three -------------------------------------------------------------------------------

MINTING = [fact for fact, step in STEPS.items() if step is Mint]


def with_live_tokens(fact: str, count: int) -> Snapshot:
    """Give a snapshot in which a mint is wanted, and so many tokens of the name live, none of which may end yet."""
    snapshot = a_snapshot_with(fact)
    live = sum(1 for token in snapshot.marked() if token.is_live(NOW))
    more = [an_issued(f"young-{number}", issuer=THIRD_ISSUER, created_at=NOW) for number in range(count - live)]
    return replace(snapshot, listings={**snapshot.listings, THIRD_ISSUER: a_listing(*more)})


@pytest.mark.parametrize("fact", MINTING)
@pytest.mark.parametrize(("count", "mints"), [(1, True), (2, True), (3, False), (4, False), (9, False)])
def test_with_three_live_tokens_nothing_is_minted(fact: str, count: int, mints: bool) -> None:  # noqa: FBT001  # a column of the table
    """Every mint stands behind the guard, a person's wish and a dead token included; what is wanted is still told."""
    decision = decide(with_live_tokens(fact, count), NOW)
    assert decision.fact == fact
    assert isinstance(decision.step, Mint) == mints
    assert (decision.hindrance is None) == mints


@pytest.mark.parametrize("fact", MINTING)
def test_what_may_be_revoked_is_revoked_first(fact: str) -> None:
    """The guard leaves room for revoking; the decision still says what is held up."""
    snapshot = _outlived(with_live_tokens(fact, 3))
    young = [an_issued(f"young-{number}", issuer="fourth", created_at=NOW) for number in range(3)]
    snapshot = replace(snapshot, listings={**snapshot.listings, "fourth": a_listing(*young)})
    decision = decide(snapshot, NOW)
    assert isinstance(decision.step, Revoke)
    assert decision.step.target.token_id == "given-up"
    assert decision.hindrance is not None


def test_the_guard_lets_go_when_a_token_is_gone() -> None:
    """Two are left: the mint comes."""
    listing = a_listing(an_issued(), YOUNG, replace(OLDER, revoked_at=NOW))
    decision = decide(a_snapshot(listing=listing, trigger=a_trigger()), NOW)
    assert isinstance(decision.step, Mint)


def test_tokens_that_lost_answers_may_have_made_count_though_no_list_shows_them() -> None:
    """Answers keep getting lost and the list is stale: what may live counts as living, until the quiet period ends."""
    ended = (an_ended_attempt("unseen-1", ended_at=NOW - HOUR + MINUTE), an_ended_attempt("unseen-2", ended_at=NOW))
    snapshot = a_snapshot(trigger=a_trigger(), memory=a_memory(ended=ended))
    assert not isinstance(decide(snapshot, NOW).step, Mint)
    assert decide(snapshot, NOW).hindrance is not None
    assert isinstance(decide(snapshot, NOW + MINUTE).step, Mint)


def test_tokens_of_others_do_not_count() -> None:
    """Foreign ones, however many, hold nothing up."""
    foreign = [an_issued(f"foreign-{number}", owner=None) for number in range(9)]
    snapshot = a_snapshot(listing=a_listing(an_issued(), *foreign), trigger=a_trigger())
    assert isinstance(decide(snapshot, NOW).step, Mint)


@pytest.mark.parametrize(
    "listed", [[an_issued(revoked_at=NOW - 5 * HOUR)], []], ids=["listed as revoked", "not listed and refused"]
)
@pytest.mark.parametrize("proves_by_use", [False, True])
def test_a_dead_token_and_three_orphans_of_a_crashed_process_are_no_dead_end(
    listed: list[IssuedToken],
    proves_by_use: bool,  # noqa: FBT001  # a column of the table
) -> None:
    """Their quiet periods are over, and nothing else will ever change: one is revoked, or all stays dark."""
    orphans = [an_issued(f"orphan-{number}", created_at=NOW - 3 * HOUR) for number in range(3)]
    snapshot = a_snapshot(
        listing=a_listing(*listed, *orphans, proves_by_use=proves_by_use),
        memory=a_memory(trial=a_trial(TrialResult.REFUSED, tried_at=NOW - MINUTE, refused_since=NOW - HOUR)),
    )
    decision = decide(snapshot, NOW)
    assert decision.fact in {"stored_token_is_dead", "token_has_outlived_its_time"}
    assert isinstance(decision.step, Revoke)


# --- backoff --------------------------------------------------------------------------------------------


@pytest.mark.parametrize("fact", [fact for fact in MINTING if fact != "trigger_is_pending"])
@pytest.mark.parametrize(("wait", "mints"), [(timedelta(0), True), (INSTANT, False), (MINUTE, False)])
def test_a_mint_that_failed_waits_for_its_backoff(fact: str, wait: timedelta, mints: bool) -> None:  # noqa: FBT001  # a column of the table
    """Whatever asks for it: one backoff for all of them, and the wait ends with it."""
    memory = a_memory(backoffs={MINT_KEY: a_backoff(NOW + wait, error="permission denied")})
    decision = decide(replace(a_snapshot_with(fact), memory=memory), NOW)
    assert decision.fact == fact
    if mints:
        assert isinstance(decision.step, Mint)
        assert decision.hindrance is None
    else:
        assert decision.step == Rest(until=NOW + wait)
        assert "permission denied" in (decision.hindrance or "")


OTHERS = {MINT_KEY: a_backoff(NOW + MINUTE)}
OWN = {f"{MINT_KEY}:request-1": a_backoff(NOW + MINUTE)}
ANOTHER_S = {f"{MINT_KEY}:request-0": a_backoff(NOW + MINUTE)}


@pytest.mark.parametrize(
    ("backoffs", "mints"), [({}, True), (OTHERS, True), (ANOTHER_S, True), (OWN, False), ({**OTHERS, **OWN}, False)]
)
@pytest.mark.parametrize("fact", MINTING)
def test_a_person_s_wish_waits_for_its_own_failures_alone(fact: str, backoffs: dict[str, Backoff], mints: bool) -> None:  # noqa: FBT001  # a column of the table
    """Its first attempt ignores the failures of others; after its own it backs off like everything else."""
    snapshot = _asked_for(a_snapshot_with(fact))
    decision = decide(replace(snapshot, memory=a_memory(backoffs=backoffs)), NOW)
    assert isinstance(decision.step, Mint) == mints
    assert (decision.hindrance is None) == mints


def test_a_wish_that_was_honoured_beats_no_backoff() -> None:
    """Sent again, it is no wish any more: a rotation that is due by itself waits for its own failures."""
    snapshot = _due(a_snapshot(primary=stored(a_record(request_id="request-1")), trigger=a_trigger("request-1")))
    decision = decide(replace(snapshot, memory=a_memory(backoffs=OTHERS)), NOW)
    assert not isinstance(decision.step, Mint)


def test_a_person_s_wish_ignores_the_window() -> None:
    """Now means now."""
    token = a_token(window=Openings(((EXPIRES_AT - DAY, EXPIRES_AT),)))
    assert isinstance(decide(a_snapshot(token=token, trigger=a_trigger()), NOW).step, Mint)


def test_a_dead_token_ignores_the_window() -> None:
    """Production is dark: it is minted now."""
    token = a_token(window=Openings(((EXPIRES_AT - DAY, EXPIRES_AT),)))
    listing = a_listing(an_issued(revoked_at=NOW))
    assert isinstance(decide(a_snapshot(token=token, listing=listing), NOW).step, Mint)


@pytest.mark.parametrize("key", ["copy:vault:elsewhere", "revoke:older", "gather", "try"])
def test_the_failures_of_other_effects_hold_no_mint_up(key: str) -> None:
    """A copy or a revocation that fails has a backoff of its own."""
    memory = a_memory(backoffs={key: a_backoff(NOW + HOUR)})
    assert isinstance(decide(replace(a_snapshot_with("rotation_is_due"), memory=memory), NOW).step, Mint)


def test_a_held_up_mint_leaves_room_for_a_copy_and_then_for_a_revocation() -> None:
    """A destination is repaired and an orphan revoked though no token may be minted; all the while it is told."""
    due = replace(_differing(a_snapshot_with("rotation_is_due")), memory=a_memory(backoffs=OTHERS))
    copying = decide(due, NOW)
    assert isinstance(copying.step, Copy)
    assert copying.hindrance is not None
    in_step = replace(
        due,
        copies=(stored(destination=SECOND_PLACE),),
        listings={ISSUER: a_listing(an_issued(), OLDER)},
    )
    revoking = decide(in_step, NOW)
    assert isinstance(revoking.step, Revoke)
    assert revoking.hindrance is not None


# --- how long to rest -----------------------------------------------------------------------------------

PATIENT = a_token(drift_interval=365 * DAY)
DUE = rotation_due(PATIENT, ISSUED_AT, EXPIRES_AT)


@pytest.mark.parametrize(
    ("snapshot", "until"),
    [
        (a_snapshot(), NOW + DRIFT_INTERVAL),
        (a_snapshot(token=PATIENT), DUE),
        (a_snapshot(token=PATIENT, listing=a_listing(an_issued(), YOUNG)), NOW - MINUTE + QUIET_PERIOD),
        (
            a_snapshot(token=PATIENT, primary=stored(written_at=NOW), listing=a_listing(an_issued(), OLDER)),
            NOW + OVERLAP,
        ),
        (
            a_snapshot(
                token=PATIENT,
                listing=a_listing(an_issued(), OLDER),
                memory=a_memory(backoffs={"revoke:older": a_backoff(NOW + SECOND)}),
            ),
            NOW + SECOND,
        ),
        (
            a_snapshot(
                token=replace(PATIENT, destinations=(PRIMARY, SECOND_PLACE)),
                copies=(nothing_stored(destination=SECOND_PLACE),),
                memory=a_memory(backoffs={f"copy:{SECOND_PLACE}": a_backoff(NOW + SECOND)}),
            ),
            NOW + SECOND,
        ),
        (
            a_snapshot(
                token=PATIENT,
                listing=a_listing(an_issued(), proves_by_use=True),
                memory=a_memory(
                    trial=a_trial(TrialResult.REFUSED, tried_at=NOW - MINUTE),
                ),
            ),
            NOW + 4 * MINUTE,
        ),
        (
            a_snapshot(
                token=replace(PATIENT, window=Openings(((DUE + DAY, DUE + 2 * DAY),))),
            ),
            DUE + DAY,
        ),
    ],
    ids=["drift", "due", "quiet period", "overlap", "revocation again", "copy again", "trial again", "window"],
)
def test_rest_ends_at_the_earliest_of_all_that_is_to_come(snapshot: Snapshot, until: datetime) -> None:
    """Drift check, rotation, the end of a token, or another try: whichever comes first."""
    assert decide(snapshot, NOW).step == Rest(until=until)


def test_a_young_unlisted_token_is_looked_at_when_that_comes_to_mean_something() -> None:
    """Until the verify time-out a missing token is left alone, and then it is looked at."""
    decision = decide(a_snapshot(token=PATIENT, listing=a_listing()), ISSUED_AT + MINUTE)
    assert decision.step == Rest(until=ISSUED_AT + 5 * MINUTE)


def test_a_guarded_mint_looks_again_at_the_drift_check_or_sooner() -> None:
    """Nothing may be revoked yet: rest until the first of them may be."""
    decision = decide(with_live_tokens("trigger_is_pending", 3), NOW)
    assert isinstance(decision.step, Rest)
    assert decision.step.until == NOW + DRIFT_INTERVAL
    late = replace(with_live_tokens("trigger_is_pending", 3), token=PATIENT)
    assert decide(late, NOW).step == Rest(until=max(NOW + QUIET_PERIOD, STORED_AT + OVERLAP))


def test_a_reservation_alone_is_nothing_stored() -> None:
    """After a fence without a secret the chain goes on as if nothing were there."""
    decision = decide(a_snapshot(primary=stored(Reservation()), listing=a_listing()), NOW)
    assert decision.fact == checks.secret_is_missing.__name__
    assert decision.step == Mint(primary=stored(Reservation()))
