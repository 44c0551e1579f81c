"""The chain: which fact wins, and how long to rest when none holds."""

from dataclasses import replace
from datetime import datetime

import pytest

from provisioner.domain import checks
from provisioner.domain.decide import CHAIN, NOTHING_IS_DUE, answers, decide
from provisioner.domain.memory import TrialResult
from provisioner.domain.model import Reservation
from provisioner.domain.retirement import retirements
from provisioner.domain.snapshot import Snapshot
from provisioner.domain.steps import Mint, Rest, TryStored
from provisioner.domain.timing import rfc3339, rotation_due
from tests.unit.domain.builders import (
    DAY,
    DRIFT_INTERVAL,
    EXPIRES_AT,
    HOUR,
    ISSUED_AT,
    MINUTE,
    NOW,
    OVERLAP,
    PRIMARY,
    QUIET_PERIOD,
    SECOND,
    SECOND_PLACE,
    STORED_AT,
    Openings,
    a_backoff,
    a_listing,
    a_memory,
    a_record,
    a_snapshot,
    a_token,
    a_trial,
    a_trigger,
    an_issued,
    nothing_stored,
    stored,
)
from tests.unit.domain.facts import FACTS, PAIRS, STEPS, a_snapshot_with, due, with_live_tokens

OLDER, ORPHAN, YOUNG = (
    an_issued("older", created_at=ISSUED_AT - DAY),
    an_issued("orphan", created_at=NOW - 3 * HOUR),
    an_issued("young", created_at=NOW - MINUTE),
)


# --- which fact wins -----------------------------------------------------------------------------------


def test_the_chain_is_in_the_protocol_s_order() -> None:
    """Facts 1 to 12, as the protocol's table lists them."""
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
    decision = decide(replace(due(a_snapshot(listing=listing)), trigger=a_trigger()), NOW)
    assert decision.step == TryStored(record=a_record(), revision=stored().revision)
    assert decision.fact == "stored_token_is_dead"


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


def test_who_is_held_up_by_live_tokens_is_told_until_when_and_what_else_there_is() -> None:
    """The moment at which the first of them may go, and a way for who cannot wait."""
    late = replace(with_live_tokens("trigger_is_pending", 3), token=PATIENT)
    hindrance = decide(late, NOW).hindrance or ""
    first = min(plan.revoke_at for plan in retirements(late, NOW) if plan.revoke_at is not None)
    assert f"may be revoked, the first at {rfc3339(first)}; if that is too late, revoke an older one" in hindrance


def test_a_reservation_alone_is_nothing_stored() -> None:
    """After a fence without a secret the chain goes on as if nothing were there."""
    decision = decide(a_snapshot(primary=stored(Reservation()), listing=a_listing()), NOW)
    assert decision.fact == checks.secret_is_missing.__name__
    assert decision.step == Mint(primary=stored(Reservation()))
