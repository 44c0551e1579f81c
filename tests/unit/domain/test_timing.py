"""When things are due: the rotation point, its per-name offset, maintenance windows, and backoff."""

from datetime import UTC, datetime, timedelta, timezone

import pytest
from hypothesis import given
from hypothesis import strategies as st

from provisioner.domain.mark import Owner
from provisioner.domain.timing import backoff, rfc3339, rotation_due, rotation_margin, stable_fraction, whole_seconds
from tests.unit.domain.builders import (
    DAY,
    EXPIRES_AT,
    HOUR,
    INSTANCE,
    INSTANT,
    ISSUED_AT,
    MINUTE,
    NOW,
    OVERLAP,
    OWNER,
    ROTATION_TIMEOUT,
    SECOND,
    Openings,
    a_token,
)

LATEST = EXPIRES_AT - OVERLAP - ROTATION_TIMEOUT
"""The last moment at which a rotation of the default token and its overlap fit before its end."""

names = st.from_regex(r"[a-z0-9]([a-z0-9-]{0,20}[a-z0-9])?", fullmatch=True)
lives = st.timedeltas(min_value=10 * MINUTE, max_value=400 * DAY)


A_DUE = rotation_due(a_token(), ISSUED_AT, EXPIRES_AT)
"""The moment at which the default token is due, window or not."""
MISSED = A_DUE + 2 * HOUR
"""When the first window of some tests has just closed."""


@pytest.mark.parametrize(
    ("rotate_at", "rotate_before", "life", "margin"),
    [
        (2 / 3, None, 30 * DAY, 10 * DAY),
        (0.5, None, 30 * DAY, 15 * DAY),
        (0.5, None, 2 * HOUR, HOUR),
        (None, 10 * DAY, 30 * DAY, 10 * DAY),
        (None, 10 * DAY, 11 * DAY, 10 * DAY),
        (None, 10 * DAY, 4 * DAY, 4 * DAY),
    ],
)
def test_the_margin_is_a_fraction_of_the_actual_life_or_a_fixed_time(
    rotate_at: float | None, rotate_before: timedelta | None, life: timedelta, margin: timedelta
) -> None:
    """The margin before the end is what the fraction leaves, or what rotate_before says, but no more than the life."""
    got = rotation_margin(a_token(rotate_at=rotate_at, rotate_before=rotate_before), life)
    assert abs(got - margin) < SECOND


@given(name=names, life=lives, share=st.floats(min_value=0.05, max_value=0.95))
def test_rotation_is_due_at_the_fraction_less_at_most_a_tenth_of_the_margin(
    name: str, life: timedelta, share: float
) -> None:
    """The per-name offset takes off between none and a tenth of the margin that remains, and adds nothing."""
    due = rotation_due(a_token(owner=Owner(INSTANCE, name), rotate_at=share), ISSUED_AT, ISSUED_AT + life)
    margin = life * (1 - share)
    latest = ISSUED_AT + life - margin
    assert max(ISSUED_AT, latest - margin * 0.1) - SECOND <= due <= latest + SECOND


@given(name=names)
def test_rotation_is_due_at_rotate_before_less_at_most_a_tenth_of_it(name: str) -> None:
    """With rotate_before the same offset counts from that margin."""
    token = a_token(owner=Owner(INSTANCE, name), rotate_before=10 * DAY)
    assert EXPIRES_AT - 11 * DAY <= rotation_due(token, ISSUED_AT, EXPIRES_AT) <= EXPIRES_AT - 10 * DAY


def test_a_token_is_never_due_before_it_was_issued() -> None:
    """A margin longer than the life makes it due at once, not in the past of its own beginning."""
    assert rotation_due(a_token(rotate_before=60 * DAY), ISSUED_AT, EXPIRES_AT) == ISSUED_AT


def test_the_configured_ttl_does_not_matter_once_a_token_exists() -> None:
    """Only the actual life counts: editing a TTL makes nothing due."""
    assert rotation_due(a_token(ttl=DAY), ISSUED_AT, EXPIRES_AT) == rotation_due(
        a_token(ttl=90 * DAY), ISSUED_AT, EXPIRES_AT
    )


def test_labels_and_description_do_not_move_the_moment() -> None:
    """Editing a label or a description makes nothing due."""
    edited = a_token(labels={"team": "storage"}, description="Something else")
    assert rotation_due(edited, ISSUED_AT, EXPIRES_AT) == A_DUE


def test_equal_lives_of_different_names_are_due_at_different_moments() -> None:
    """A hundred names of one life do not stampede: they spread over a good part of the tenth."""
    moments = {
        rotation_due(a_token(owner=Owner(INSTANCE, f"name-{number}")), ISSUED_AT, EXPIRES_AT) for number in range(100)
    }
    assert len(moments) == 100
    assert max(moments) - min(moments) > DAY / 2


def test_the_offset_is_the_same_in_every_process() -> None:
    """The hash does not depend on the interpreter's seed: this number was worked out apart from the code."""
    assert stable_fraction(str(OWNER)) == pytest.approx(0.6010597, abs=1e-7)


@given(name=st.text())
def test_the_offset_lies_between_none_and_the_whole(name: str) -> None:
    """The fraction is at least zero, below one, and the same each time."""
    assert 0 <= stable_fraction(name) < 1
    assert stable_fraction(name) == stable_fraction(name)


# --- windows ------------------------------------------------------------------------------------


def test_an_open_window_delays_nothing() -> None:
    """Due while the window is open means due."""
    due = A_DUE
    window = Openings(((due - HOUR, due + HOUR),))
    assert rotation_due(a_token(window=window), ISSUED_AT, EXPIRES_AT) == due


def test_a_closed_window_delays_rotation_to_its_next_opening() -> None:
    """Due while the window is closed means due when it opens."""
    due = A_DUE
    window = Openings(((due - 3 * HOUR, due), (due + 2 * HOUR, due + 3 * HOUR), (due + 9 * HOUR, due + 10 * HOUR)))
    assert rotation_due(a_token(window=window), ISSUED_AT, EXPIRES_AT) == due + 2 * HOUR


@pytest.mark.parametrize(
    ("opens", "due"),
    [(LATEST - INSTANT, LATEST - INSTANT), (LATEST, LATEST), (LATEST + INSTANT, LATEST), (EXPIRES_AT + DAY, LATEST)],
)
def test_nearing_expiry_beats_the_window(opens: datetime, due: datetime) -> None:
    """A window that opens too late for rotation and overlap is not waited for."""
    token = a_token(window=Openings(((opens, opens + HOUR),)))
    assert rotation_due(token, ISSUED_AT, EXPIRES_AT) == due


def test_a_window_that_never_opens_again_is_not_waited_for_past_the_end() -> None:
    """Without any opening the last safe moment counts."""
    assert rotation_due(a_token(window=Openings()), ISSUED_AT, EXPIRES_AT) == LATEST


def test_a_window_never_makes_rotation_due_earlier() -> None:
    """Where rotation and overlap would not fit any more when it falls due, it is due then, window or not."""
    token = a_token(rotate_before=HOUR, window=Openings())
    bare = a_token(rotate_before=HOUR)
    assert rotation_due(token, ISSUED_AT, EXPIRES_AT) == rotation_due(bare, ISSUED_AT, EXPIRES_AT)


@pytest.mark.parametrize(
    ("now", "due"),
    [
        (ISSUED_AT, timedelta(hours=1)),
        (MISSED - 2 * HOUR, timedelta(hours=1)),
        (MISSED, timedelta(hours=25)),
        (MISSED + 23 * HOUR - INSTANT, timedelta(hours=25)),
    ],
)
def test_seen_from_now_a_missed_window_leaves_the_next(now: datetime, due: timedelta) -> None:
    """What was missed is not made up for outside the window."""
    first, second = A_DUE + HOUR, A_DUE + 25 * HOUR
    token = a_token(window=Openings(((first, first + HOUR), (second, second + HOUR))))
    assert rotation_due(token, ISSUED_AT, EXPIRES_AT, now) == A_DUE + due


def test_seen_from_now_a_missed_window_never_delays_past_the_last_safe_moment() -> None:
    """When no opening is left in time, it is due at the last safe moment, and stays so after it."""
    token = a_token(window=Openings(((A_DUE + HOUR, A_DUE + 2 * HOUR),)))
    for now in (A_DUE + 2 * HOUR, LATEST, LATEST + HOUR, EXPIRES_AT):
        assert rotation_due(token, ISSUED_AT, EXPIRES_AT, now) == LATEST


@given(
    starts=st.lists(st.timedeltas(min_value=-DAY, max_value=40 * DAY), max_size=5),
    length=st.timedeltas(min_value=MINUTE, max_value=DAY),
    before=st.timedeltas(min_value=MINUTE, max_value=29 * DAY),
)
def test_due_lies_in_the_window_or_at_the_last_safe_moment(
    starts: list[timedelta], length: timedelta, before: timedelta
) -> None:
    """Whatever the window, the moment is never early, and outside the window only when nothing else is safe."""
    window = Openings(tuple((ISSUED_AT + start, ISSUED_AT + start + length) for start in starts))
    bare = rotation_due(a_token(rotate_before=before), ISSUED_AT, EXPIRES_AT)
    due = rotation_due(a_token(rotate_before=before, window=window), ISSUED_AT, EXPIRES_AT)
    assert bare <= due <= max(bare, LATEST)
    assert window.next_opening(due) == due or due == max(bare, LATEST)


# --- backoff ------------------------------------------------------------------------------------


@given(
    failures=st.integers(min_value=0, max_value=10**9),
    remaining=st.none() | st.timedeltas(min_value=-DAY, max_value=400 * DAY),
    jitter=st.floats(min_value=0, max_value=1, exclude_max=True),
)
def test_backoff_is_never_terminal_and_never_longer_than_its_caps(
    failures: int, remaining: timedelta | None, jitter: float
) -> None:
    """The wait is at least a second, at most 15 minutes, and at most a twentieth of the remaining life."""
    wait = backoff(failures, remaining, jitter)
    assert SECOND <= wait <= 15 * MINUTE
    if remaining is not None:
        assert wait <= max(remaining / 20, SECOND)


@pytest.mark.parametrize(
    ("failures", "wait"),
    [(1, 5 * SECOND), (2, 10 * SECOND), (3, 20 * SECOND), (8, 640 * SECOND), (9, 15 * MINUTE), (99, 15 * MINUTE)],
)
def test_backoff_doubles_up_to_its_cap(failures: int, wait: timedelta) -> None:
    """Without jitter the waits double from five seconds to a quarter of an hour."""
    assert backoff(failures, None, 0) == wait


@pytest.mark.parametrize(
    ("remaining", "wait"),
    [(100 * MINUTE, 5 * MINUTE), (300 * MINUTE, 15 * MINUTE), (301 * MINUTE, 15 * MINUTE), (10 * SECOND, SECOND)],
)
def test_backoff_shrinks_as_the_stored_token_nears_its_end(remaining: timedelta, wait: timedelta) -> None:
    """A twentieth of the remaining life is the cap when it is less than a quarter of an hour."""
    assert backoff(50, remaining, 0) == wait


def test_jitter_takes_off_up_to_a_half() -> None:
    """Two processes that failed together do not try again together."""
    assert backoff(4, None, 0.5) == 30 * SECOND
    assert backoff(4, None, 0.999) == pytest.approx(20 * SECOND, abs=SECOND / 10)


# --- writing times ------------------------------------------------------------------------------


def test_times_are_written_in_utc_with_a_z() -> None:
    """RFC 3339, UTC, and microseconds only where there are any."""
    assert rfc3339(NOW) == "2026-03-01T12:00:00Z"
    assert rfc3339(NOW + INSTANT) == "2026-03-01T12:00:00.000001Z"
    assert rfc3339(datetime(2026, 3, 1, 13, 30, tzinfo=timezone(HOUR))) == "2026-03-01T12:30:00Z"


@given(moment=st.datetimes(timezones=st.just(UTC)))
def test_times_are_read_back_as_they_were_written(moment: datetime) -> None:
    """No time is changed by writing it."""
    assert datetime.fromisoformat(rfc3339(moment)) == moment


def test_whole_seconds_drop_what_is_below_a_second() -> None:
    """Issuers take whole seconds: what is asked for is cut, never rounded up past the life."""
    assert whole_seconds(NOW + timedelta(microseconds=999_999)) == NOW
