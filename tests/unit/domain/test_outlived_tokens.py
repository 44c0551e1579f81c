"""Fact 9 of the protocol: a live marked token that is not current has outlived its time, and is revoked."""

from datetime import datetime

import pytest

from provisioner.domain.checks import token_has_outlived_its_time
from provisioner.domain.model import Stored, Unreadable
from provisioner.domain.steps import Revoke
from tests.unit.domain.builders import (
    DAY,
    INSTANT,
    ISSUED_AT,
    MINUTE,
    NOW,
    OVERLAP,
    PRIMARY,
    QUIET_PERIOD,
    SECOND,
    SECOND_PLACE,
    STORED_AT,
    a_backoff,
    a_damaged_record,
    a_listing,
    a_memory,
    a_record,
    a_snapshot,
    a_token,
    an_issued,
    nothing_stored,
    stored,
    unreadable,
)

OLDEST = an_issued("oldest", created_at=ISSUED_AT - 10 * DAY)
OLDER = an_issued("older", created_at=ISSUED_AT - DAY)
ORPHAN = an_issued("orphan", created_at=NOW)
OVERLAP_ENDS = STORED_AT + OVERLAP
QUIET_ENDS = NOW + QUIET_PERIOD


@pytest.mark.parametrize(
    ("now", "holds"), [(OVERLAP_ENDS - INSTANT, False), (OVERLAP_ENDS, True), (OVERLAP_ENDS + DAY, True)]
)
def test_a_predecessor_is_revoked_when_its_overlap_is_over(now: datetime, holds: bool) -> None:  # noqa: FBT001  # a column of the table
    """Not an instant before, and until then the answer stands until just that moment. No fence is needed."""
    finding = token_has_outlived_its_time(a_snapshot(listing=a_listing(an_issued(), OLDER)), now)
    assert finding.step == (Revoke(target=OLDER, primary=stored()) if holds else None)
    assert finding.until == (None if holds else OVERLAP_ENDS)


@pytest.mark.parametrize(
    ("now", "holds"), [(QUIET_ENDS - INSTANT, False), (QUIET_ENDS, True), (QUIET_ENDS + DAY, True)]
)
def test_an_orphan_is_revoked_behind_its_fence_when_its_quiet_period_is_over(now: datetime, holds: bool) -> None:  # noqa: FBT001  # a column of the table
    """Not an instant before; the fence is the record as it was read, against the revision that was read."""
    finding = token_has_outlived_its_time(a_snapshot(listing=a_listing(an_issued(), ORPHAN)), now)
    assert finding.step == (Revoke(target=ORPHAN, fence=a_record(), primary=stored()) if holds else None)
    assert finding.until == (None if holds else QUIET_ENDS)


def test_one_token_is_revoked_at_a_time_the_oldest_first() -> None:
    """The step names one; the next look names the next."""
    finding = token_has_outlived_its_time(a_snapshot(listing=a_listing(OLDER, an_issued(), OLDEST)), NOW)
    assert isinstance(finding.step, Revoke)
    assert finding.step.target == OLDEST
    assert "oldest" in finding.message


def test_a_revocation_that_failed_delays_no_other() -> None:
    """While one waits for its backoff, the next is revoked."""
    memory = a_memory(backoffs={"revoke:oldest": a_backoff(NOW + MINUTE)})
    finding = token_has_outlived_its_time(a_snapshot(listing=a_listing(OLDER, an_issued(), OLDEST), memory=memory), NOW)
    assert isinstance(finding.step, Revoke)
    assert finding.step.target == OLDER


def test_revocations_that_failed_are_tried_again_for_ever() -> None:
    """All wait: the answer stands until the first backoff or the next end, whichever is sooner."""
    snapshot = a_snapshot(
        listing=a_listing(OLDER, an_issued(), OLDEST, ORPHAN),
        memory=a_memory(
            backoffs={
                "revoke:oldest": a_backoff(NOW + 15 * MINUTE),
                "revoke:older": a_backoff(NOW + MINUTE, failures=999),
            }
        ),
    )
    for now, until in ((NOW, NOW + MINUTE), (NOW + MINUTE - INSTANT, NOW + MINUTE)):
        finding = token_has_outlived_its_time(snapshot, now)
        assert not finding.holds
        assert finding.until == until
    assert token_has_outlived_its_time(snapshot, NOW + MINUTE).holds


def test_the_end_of_another_may_come_before_the_next_try() -> None:
    """A later token's own time counts beside the backoffs."""
    snapshot = a_snapshot(
        listing=a_listing(an_issued(), OLDER, ORPHAN),
        memory=a_memory(backoffs={"revoke:older": a_backoff(QUIET_ENDS + SECOND)}),
    )
    assert token_has_outlived_its_time(snapshot, QUIET_ENDS - MINUTE).until == QUIET_ENDS


def test_what_is_held_back_is_told_and_has_no_time() -> None:
    """A destination out of step keeps the predecessor; nothing changes by time alone."""
    token = a_token(destinations=(PRIMARY, SECOND_PLACE))
    snapshot = a_snapshot(token=token, copies=(unreadable(),), listing=a_listing(an_issued(), OLDER))
    finding = token_has_outlived_its_time(snapshot, NOW)
    assert not finding.holds
    assert finding.until is None
    assert str(SECOND_PLACE) in finding.message


def test_nothing_is_revoked_while_the_store_cannot_be_read() -> None:
    """Which token is stored is not known."""
    snapshot = a_snapshot(primary=unreadable(), listing=a_listing(OLDER, OLDEST))
    assert not token_has_outlived_its_time(snapshot, NOW + 10 * DAY).holds


def test_where_nothing_else_lives_nothing_is_awaited() -> None:
    """The answer stands whatever time it is."""
    finding = token_has_outlived_its_time(a_snapshot(), NOW)
    assert not finding.holds
    assert finding.until is None


@pytest.mark.parametrize(
    ("copy", "holds"),
    [
        (nothing_stored(destination=SECOND_PLACE), True),
        (stored(a_damaged_record("token_id"), destination=SECOND_PLACE), False),
        (unreadable(), False),
    ],
)
def test_a_dead_token_s_successor_gets_room_by_what_no_copy_may_hold(copy: Stored | Unreadable, holds: bool) -> None:  # noqa: FBT001  # a column of the table
    """A copy that is known not to hold a predecessor keeps none: the dead token may never come to be copied."""
    dead, third = an_issued(revoked_at=NOW - DAY), an_issued("third", created_at=ISSUED_AT - 2 * DAY)
    snapshot = a_snapshot(
        token=a_token(destinations=(PRIMARY, SECOND_PLACE)),
        copies=(copy,),
        listing=a_listing(dead, OLDER, OLDEST, third),
    )
    assert (token_has_outlived_its_time(snapshot, OVERLAP_ENDS).step is not None) is holds
