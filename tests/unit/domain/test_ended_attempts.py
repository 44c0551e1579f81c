"""What lets a token end sooner: a fence that is remembered, and attempts that this very process gave up."""

from dataclasses import replace
from datetime import datetime

import pytest

from provisioner.domain.memory import Confirmation, Fence
from provisioner.domain.model import Absent, Record, Reservation, Stored
from provisioner.domain.retirement import current_since
from provisioner.engine import recollection
from tests.unit.domain.builders import (
    CURRENT,
    DAY,
    HOUR,
    ISSUED_AT,
    MINUTE,
    NOW,
    OVERLAP,
    PRIMARY,
    QUIET_PERIOD,
    REVISION,
    SECOND,
    SECOND_PLACE,
    STORED_AT,
    a_fence,
    a_listing,
    a_memory,
    a_record,
    a_snapshot,
    a_token,
    a_trial,
    an_ended_attempt,
    an_issued,
    nothing_stored,
    stored,
)
from tests.unit.domain.plans import listed, plan_of

OLDER = an_issued("older", created_at=ISSUED_AT - 10 * DAY)
YOUNGER = an_issued("younger", created_at=NOW - 30 * MINUTE)
QUIET_ENDS = NOW - 30 * MINUTE + QUIET_PERIOD
TWO_PLACES = a_token(destinations=(PRIMARY, SECOND_PLACE))


# --- the fence, remembered --------------------------------------------------------------------------


def test_what_is_fenced_off_ends_at_once_without_another_fence() -> None:
    """The store still is at the revision of the fence: no late write can land, and the overlap does not start anew."""
    orphan = replace(YOUNGER, created_at=NOW - 2 * HOUR)
    snapshot = a_snapshot(
        primary=stored(revision="8", written_at=NOW - SECOND),
        listing=listed(orphan),
        memory=a_memory(fence=replace(a_fence("younger", revision="8"), stored_since=NOW - DAY)),
    )
    plan = plan_of(snapshot)
    assert plan.fence is None
    assert plan.revoke_at is not None
    assert plan.revoke_at <= NOW


@pytest.mark.parametrize(
    "fence",
    [
        a_fence("younger", revision="6"),
        a_fence("younger", revision="8"),
        a_fence("other"),
        a_fence(CURRENT, "older"),
        a_fence("younger", wrote="another"),
        a_fence("younger", wrote=None),
    ],
)
def test_a_fence_counts_for_its_revision_and_its_rotations_alone(fence: Fence) -> None:
    """Once the store has moved on or was numbered anew, or for a token not seen before it, another one is needed."""
    memory = a_memory(fence=fence)
    plan = plan_of(a_snapshot(listing=listed(replace(YOUNGER, created_at=NOW - 2 * HOUR)), memory=memory))
    assert plan.fence == a_record()


def test_a_fence_with_nothing_stored_is_remembered_too() -> None:
    """A reservation that was written as the fence is at its revision, and is not written twice."""
    snapshot = a_snapshot(
        primary=stored(Reservation(), revision="8"),
        listing=a_listing(replace(YOUNGER, created_at=NOW - 2 * HOUR)),
        memory=a_memory(fence=a_fence("younger", revision="8", wrote=None)),
    )
    assert plan_of(snapshot).fence is None


@pytest.mark.parametrize("revision", ["6", "8"])
def test_what_was_seen_of_a_revision_is_forgotten_when_another_one_is_found(revision: str) -> None:
    """It may come back by a person's hand: then it is looked at afresh, and an overlap begins."""
    confirmed = {str(place): Confirmation(revision=REVISION) for place in (PRIMARY, SECOND_PLACE)}
    memory = replace(a_memory(fence=a_fence("younger"), trial=a_trial()), confirmed=confirmed)
    assert recollection.found(memory, stored()) == memory
    left = recollection.found(memory, stored(revision=revision))
    assert (left.fence, left.trial, list(left.confirmed)) == (None, None, [str(SECOND_PLACE)])


def test_a_fence_outlives_a_stale_read_of_what_it_wrote_over() -> None:
    """Else each read that lags behind would ask for one more write."""
    before = a_snapshot(listing=listed(YOUNGER))
    memory = recollection.fenced(before.memory, before, "8")
    assert memory.fence is not None
    assert recollection.found(memory, stored()).fence == memory.fence
    assert recollection.found(memory, stored(revision="9")).fence is None


def test_what_is_stored_since_counts_no_fence_of_another_rotation() -> None:
    """Numbering began anew, and another token is at the revision of a fence of long ago: its own time counts."""
    memory = a_memory(fence=replace(a_fence(wrote="another"), stored_since=NOW - 100 * DAY))
    assert current_since(a_snapshot(memory=memory)) == STORED_AT


# --- attempts that this process began and ended -----------------------------------------------------


@pytest.mark.parametrize(
    ("may_land", "primary", "fence"),
    [
        (False, stored(), None),
        (True, stored(), a_record()),
        (False, nothing_stored(), None),
        (True, nothing_stored(), Reservation()),
        (True, stored(Reservation()), Reservation()),
    ],
)
def test_a_given_up_attempt_needs_no_quiet_period(
    may_land: bool,  # noqa: FBT001  # a column of the table
    primary: Stored,
    fence: Record | Reservation | None,
) -> None:
    """Its token ends at once; a fence is needed only when a write of it may be under way yet."""
    given_up = an_issued("given-up", created_at=NOW - 2 * MINUTE)
    ended = an_ended_attempt("given-up", ended_at=NOW - MINUTE, may_land=may_land)
    listing = listed(given_up) if primary.record else a_listing(given_up)
    plan = plan_of(a_snapshot(primary=primary, listing=listing, memory=a_memory(ended=(ended,))))
    assert plan.revoke_at == NOW - MINUTE
    assert plan.fence == fence
    assert plan.is_orphan


def test_a_given_up_attempt_that_may_land_is_fenced_once() -> None:
    """After the fence it is revoked without another."""
    memory = a_memory(ended=(an_ended_attempt("given-up", may_land=True),), fence=a_fence("given-up"))
    plan = plan_of(a_snapshot(listing=listed(an_issued("given-up", created_at=NOW - HOUR)), memory=memory))
    assert plan.fence is None
    assert plan.revoke_at is not None


def test_a_given_up_attempt_of_unknown_age_ends_all_the_same() -> None:
    """That this process gave it up tells more than a creation time."""
    memory = a_memory(ended=(an_ended_attempt("ageless"),))
    plan = plan_of(a_snapshot(listing=listed(an_issued("ageless", created_at=None)), memory=memory))
    assert plan.revoke_at == NOW - 10 * MINUTE


def test_the_attempts_of_others_are_not_given_up() -> None:
    """Another rotation's end says nothing about this token."""
    memory = a_memory(ended=(an_ended_attempt("another"),))
    assert plan_of(a_snapshot(listing=listed(YOUNGER), memory=memory)).revoke_at == QUIET_ENDS


def test_a_given_up_attempt_that_landed_after_all_keeps_the_overlap_once_it_is_replaced() -> None:
    """Its write landed late, consumers read it, and another replica replaced it: it was current once (I1)."""
    landed = an_issued("landed", created_at=NOW - HOUR)
    newest = a_record("newest", issued_at=NOW - 2 * MINUTE, stored_at=NOW - MINUTE)
    snapshot = a_snapshot(
        primary=stored(newest),
        listing=a_listing(landed, an_issued("newest", created_at=NOW - 2 * MINUTE)),
        memory=a_memory(ended=(an_ended_attempt("landed", ended_at=NOW - 50 * MINUTE, may_land=True),)),
    )
    assert plan_of(snapshot).revoke_at == NOW - MINUTE + OVERLAP


def test_a_given_up_attempt_that_landed_and_was_deleted_has_its_overlap() -> None:
    """Its write of unknown outcome had landed, consumers read it, and then somebody deleted the secret."""
    landed = an_issued("landed", created_at=NOW - HOUR)
    deleted = stored(Absent(), revision="8", written_at=NOW - MINUTE)
    memory = a_memory(ended=(an_ended_attempt("landed", ended_at=NOW - 50 * MINUTE, may_land=True),))
    plan = plan_of(a_snapshot(primary=deleted, listing=a_listing(landed), memory=memory))
    assert plan.revoke_at == NOW - MINUTE + OVERLAP


def test_a_given_up_attempt_that_surely_never_landed_has_no_overlap() -> None:
    """It was never current: though older than the current token it ends at once."""
    memory = a_memory(ended=(an_ended_attempt("older"),))
    just_stored = stored(written_at=NOW - SECOND)
    plan = plan_of(a_snapshot(primary=just_stored, listing=listed(OLDER), memory=memory))
    assert plan.revoke_at == NOW - 10 * MINUTE
    assert plan.fence is None


# --- over two looks -----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("created_at", "ends"),
    [(NOW - 5 * HOUR, NOW - 10 * MINUTE + OVERLAP), (NOW - 5 * MINUTE, NOW - 5 * MINUTE + QUIET_PERIOD)],
    ids=["rolled back from, and in its overlap", "in its quiet period"],
)
def test_a_fence_for_one_token_does_not_shorten_the_time_of_another(created_at: datetime, ends: datetime) -> None:
    """An attempt was given up and is fenced off: the other token keeps the time that it had before that fence."""
    attempt = an_issued("given-up", created_at=NOW - 2 * MINUTE)
    other = an_issued("other", created_at=created_at)
    before = a_snapshot(
        primary=stored(written_at=NOW - 10 * MINUTE),
        listing=listed(attempt, other),
        memory=a_memory(ended=(an_ended_attempt("given-up", ended_at=NOW, may_land=True),)),
    )
    after = a_snapshot(
        primary=stored(revision="8", written_at=NOW + SECOND),
        listing=listed(other),
        memory=recollection.fenced(before.memory, before, "8"),
    )
    plan = plan_of(after, NOW + SECOND)
    assert plan.revoke_at is None or plan.revoke_at >= ends
