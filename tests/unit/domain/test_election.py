"""The decision of an elector, case by case."""

from dataclasses import replace
from datetime import timedelta

import pytest

from provisioner.domain.election import (
    NOBODY,
    Acquire,
    Elector,
    LeaseRecord,
    Move,
    Renew,
    Sighting,
    Standing,
    StepDown,
    Terms,
    WaitUntil,
)

ME, OTHER = "pod-a_1", "pod-b_2"
ELECTOR = Elector(identity=ME)
SEEN_AT = 100.0
COULD_NOT_RENEW = StepDown(reason="the lease could not be renewed for 10 s")


def lease(holder: str, *, seconds: int = 15) -> LeaseRecord:
    """Build a lease that was taken three times."""
    return LeaseRecord(version="7", holder=holder, duration=timedelta(seconds=seconds), transitions=3)


def knows(record: LeaseRecord | None, renewed_at: float | None = None) -> Standing:
    """Build what an elector knows that saw this lease at ``SEEN_AT``."""
    return Standing(sighting=Sighting(record=record, since=SEEN_AT) if record else None, renewed_at=renewed_at)


@pytest.mark.parametrize(
    ("standing", "now", "move"),
    [
        pytest.param(knows(None), 100.0, Acquire(transitions=0, over=None), id="no lease"),
        pytest.param(knows(lease(NOBODY)), 100.0, Acquire(transitions=4, over="7"), id="released: at once"),
        pytest.param(knows(lease(OTHER)), 100.0, WaitUntil(moment=102.0), id="held, just seen"),
        pytest.param(knows(lease(OTHER)), 114.5, WaitUntil(moment=115.0), id="held: looks right when it may end"),
        pytest.param(knows(lease(OTHER)), 115.0, Acquire(transitions=4, over="7"), id="unchanged for its duration"),
        pytest.param(knows(lease(OTHER, seconds=60)), 159.0, WaitUntil(moment=160.0), id="its holder's own duration"),
        pytest.param(knows(lease(OTHER, seconds=60)), 160.0, Acquire(transitions=4, over="7"), id="and its end"),
        pytest.param(knows(lease(OTHER, seconds=0)), 114.0, WaitUntil(moment=115.0), id="no duration: ours"),
        pytest.param(
            knows(lease(ME)), 100.0, Renew(transitions=3, over="7"), id="ours by a write whose answer was lost"
        ),
        pytest.param(knows(lease(ME), 100.0), 109.9, Renew(transitions=3, over="7"), id="leading: renew"),
        pytest.param(knows(lease(ME), 100.0), 110.0, COULD_NOT_RENEW, id="leading: too long ago"),
        pytest.param(knows(lease(OTHER), 100.0), 110.0, COULD_NOT_RENEW, id="too long ago, and somebody else has it"),
        pytest.param(knows(lease(OTHER), 100.0), 101.0, StepDown(reason=f"{OTHER} holds the lease"), id="taken"),
        pytest.param(knows(lease(NOBODY), 9e9), 101.0, StepDown(reason="somebody released the lease"), id="taken away"),
        pytest.param(knows(None, 100.0), 101.0, Acquire(transitions=0, over=None), id="leading, and it was deleted"),
    ],
)
def test_decides(standing: Standing, now: float, move: Move) -> None:
    """One thing to do for each state of affairs."""
    assert ELECTOR.decide(standing, now) == move


def test_counts_from_the_first_sight_of_a_version_however_often_it_is_read() -> None:
    """Reading the same version again does not begin the wait anew; another version does."""
    standing = ELECTOR.saw(Standing(), lease(OTHER), 100.0)
    assert ELECTOR.saw(standing, lease(OTHER), 110.0) == standing
    renewed = ELECTOR.saw(standing, replace(lease(OTHER), version="8"), 110.0)
    assert renewed.sighting is not None
    assert renewed.sighting.since == 110.0


def test_a_deleted_lease_is_left_alone_like_one_that_is_there() -> None:
    """Its holder may lead yet; one that was released, or was our own, is created at once."""
    gone = ELECTOR.saw(ELECTOR.saw(Standing(), lease(OTHER), 100.0), None, 103.0)
    assert ELECTOR.saw(gone, None, 110.0) == gone
    assert ELECTOR.decide(gone, 117.0) == WaitUntil(moment=118.0)
    assert ELECTOR.decide(gone, 118.0) == Acquire(transitions=4, over=None)
    back = ELECTOR.saw(gone, lease(OTHER), 110.0)
    assert ELECTOR.decide(back, 115.0) == Acquire(transitions=4, over="7")
    for holder in (NOBODY, ME):
        gone = ELECTOR.saw(ELECTOR.saw(Standing(), lease(holder), 100.0), None, 103.0)
        assert ELECTOR.decide(gone, 104.0) == Acquire(transitions=0, over=None)


def test_leads_from_the_moment_before_the_write_was_sent() -> None:
    """A slow answer shortens the time to lead by as long as it took."""
    standing = ELECTOR.held(lease(ME), 100.0, 104.0)
    assert standing.leads_until(ELECTOR.terms) == 110.0
    assert standing.is_leading(ELECTOR.terms, 109.9)
    assert not standing.is_leading(ELECTOR.terms, 110.0)


def test_stepping_down_keeps_what_was_seen_and_leads_no_more() -> None:
    """The wait for another one's lease goes on from where it was."""
    standing = ELECTOR.stepped_down(knows(lease(OTHER), 100.0))
    assert standing == knows(lease(OTHER))
    assert not standing.is_leading(ELECTOR.terms, 100.0)


def test_a_look_does_not_end_or_lengthen_leading() -> None:
    """Only a write does."""
    assert ELECTOR.saw(knows(lease(ME), 100.0), None, 105.0).renewed_at == 100.0


def test_work_is_told_a_deadline_after_one_missed_renewal() -> None:
    """And never later than leading ends."""
    assert Terms().overdue_after == timedelta(seconds=4)
    assert Terms(retry_period=timedelta(seconds=9)).overdue_after == timedelta(seconds=10)


@pytest.mark.parametrize(
    ("renewed_at", "asked", "pause"),
    [
        pytest.param(None, 1, 1, id="a follower does as it is asked"),
        pytest.param(None, 3600, 15, id="and looks once a lease's time all the same"),
        pytest.param(102.0, 1, 1, id="so does a leader"),
        pytest.param(102.0, 3600, 6, id="that comes back in time to renew once more"),
        pytest.param(95.0, 3600, 0, id="and is not kept from it at its end"),
        pytest.param(90.0, 3600, 0, id="nor after that"),
    ],
)
def test_a_server_that_asks_to_be_left_alone_is(renewed_at: float | None, asked: int, pause: int) -> None:
    """But nobody loses the lease, or a cluster its leader, by a large number."""
    standing = knows(lease(ME), renewed_at)
    given = ELECTOR.pause_after(standing, 104.0, timedelta(seconds=asked))
    assert given == timedelta(seconds=pause)
