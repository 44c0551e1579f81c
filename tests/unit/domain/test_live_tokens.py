"""Which tokens still count, or still keep something: expired ones with a name, and the count behind the guard."""

from datetime import timedelta

import pytest

from provisioner.domain.mark import Owner
from provisioner.domain.model import IssuedToken
from provisioner.domain.retirement import live_marked, retirements
from provisioner.domain.snapshot import Snapshot
from tests.unit.domain.builders import (
    CURRENT,
    DAY,
    EXPIRES_AT,
    FORMER_ISSUER,
    HOUR,
    INSTANCE,
    INSTANT,
    ISSUED_AT,
    ISSUER,
    MINUTE,
    NAME,
    NOW,
    OWNER,
    PRIMARY,
    QUIET_PERIOD,
    REVISION,
    SECOND_PLACE,
    TTL,
    a_listing,
    a_memory,
    a_record,
    a_snapshot,
    a_token,
    an_ended_attempt,
    an_issued,
    nothing_stored,
    rotation_of,
    stored,
    unreadable,
)
from tests.unit.domain.plans import listed, plan_of

OLDER = an_issued("older", created_at=ISSUED_AT - 10 * DAY)
YOUNGER = an_issued("younger", created_at=NOW - 30 * MINUTE)
QUIET_ENDS = NOW - 30 * MINUTE + QUIET_PERIOD
TWO_PLACES = a_token(destinations=(PRIMARY, SECOND_PLACE))


# --- expired tokens that keep their names -----------------------------------------------------------


def test_expired_tokens_of_ours_are_deleted_where_they_keep_their_names() -> None:
    """Marked, expired and not stored: deleted at once, without a fence, whatever holds the others back."""
    expired = an_issued("expired", created_at=ISSUED_AT - TTL, expires_at=NOW)
    snapshot = a_snapshot(token=TWO_PLACES, copies=(unreadable(),), listing=listed(expired, keeps_expired=True))
    plan = plan_of(snapshot)
    assert (plan.target, plan.revoke_at, plan.fence) == (expired, NOW, None)


@pytest.mark.parametrize(
    "expired",
    [
        an_issued("x", owner=None, expires_at=NOW),
        an_issued("x", owner=Owner(INSTANCE, "other"), expires_at=NOW),
        an_issued("x", expires_at=NOW, revoked_at=NOW - DAY),
        an_issued(CURRENT, expires_at=NOW),
    ],
)
def test_foreign_stored_and_deleted_ones_are_left_alone_though_they_keep_their_names(expired: IssuedToken) -> None:
    """Only ours, and never what is stored, though it be dead."""
    assert retirements(a_snapshot(listing=a_listing(expired, keeps_expired=True)), NOW) == ()


# --- how many there are -----------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("snapshot", "live"),
    [
        (a_snapshot(), 1),
        (a_snapshot(primary=nothing_stored(), listing=a_listing()), 0),
        (a_snapshot(listing=listed(OLDER, YOUNGER)), 3),
        (a_snapshot(listing=listed(an_issued("x", revoked_at=NOW))), 1),
        (a_snapshot(listing=listed(an_issued("x", expires_at=NOW))), 1),
        (a_snapshot(listing=listed(an_issued("x", expires_at=NOW + INSTANT))), 2),
        (a_snapshot(listing=listed(an_issued("x", expires_at=None))), 2),
        (a_snapshot(listing=listed(an_issued("x", owner=None), an_issued("y", owner=Owner("prod-us", NAME)))), 1),
        (a_snapshot(listings={ISSUER: listed(), FORMER_ISSUER: a_listing(an_issued("x", issuer=FORMER_ISSUER))}), 2),
        (a_snapshot(listings={ISSUER: listed(), FORMER_ISSUER: unreadable()}), 1),
        (a_snapshot(listing=listed(OLDER), memory=a_memory(ended=(an_ended_attempt("older"),))), 2),
        (a_snapshot(memory=a_memory(ended=(an_ended_attempt("unseen"),))), 2),
        (a_snapshot(memory=a_memory(ended=(an_ended_attempt("unseen"), an_ended_attempt("another")))), 3),
    ],
)
def test_live_tokens_of_the_name_are_counted(snapshot: Snapshot, live: int) -> None:
    """Ours alone, at every issuer, live ones alone; and those an ended attempt may have made, not listed yet."""
    assert live_marked(snapshot, NOW) == live


@pytest.mark.parametrize(("age", "live"), [(timedelta(0), 2), (QUIET_PERIOD - INSTANT, 2), (QUIET_PERIOD, 1), (DAY, 1)])
def test_an_unseen_token_of_an_ended_attempt_counts_for_the_quiet_period(age: timedelta, live: int) -> None:
    """Until then a list may be stale; after it, what is not listed was never made."""
    memory = a_memory(ended=(an_ended_attempt("unseen", ended_at=NOW - age),))
    assert live_marked(a_snapshot(memory=memory), NOW) == live


def test_an_ended_attempt_whose_token_is_listed_as_dead_counts_no_more() -> None:
    """It was seen, and it is gone."""
    gone = an_issued("gone", created_at=NOW - HOUR, revoked_at=NOW)
    memory = a_memory(ended=(an_ended_attempt("gone"),))
    assert live_marked(a_snapshot(listing=listed(gone), memory=memory), NOW) == 1


def test_the_defaults_tell_rotations_by_token() -> None:
    """The tests above rest on this: a listed token and a record of one id are one rotation."""
    mark = an_issued("x").mark
    assert mark is not None
    assert mark.rotation_id == a_record("x").rotation_id == rotation_of("x")
    assert mark.owner == OWNER
    assert (stored().revision, an_issued().expires_at) == (REVISION, EXPIRES_AT)
