"""Where a name stands, in the words of ``provisioner status``: every state, and every field."""

from dataclasses import replace
from datetime import datetime

import pytest

from provisioner.domain.decide import decide
from provisioner.domain.memory import Memory, TrialResult
from provisioner.domain.model import Listing, Reservation, Stored, Unreadable
from provisioner.domain.snapshot import Snapshot
from provisioner.domain.status import State, TokenStatus, status_of
from provisioner.domain.steps import GATHER_KEY, MINT_KEY
from provisioner.domain.timing import rotation_due
from tests.unit.domain.builders import (
    CURRENT,
    DAY,
    DRIFT_INTERVAL,
    EXPIRES_AT,
    FORMER_ISSUER,
    HOUR,
    INSTANT,
    ISSUED_AT,
    ISSUER,
    MINUTE,
    NAME,
    NOW,
    OVERLAP,
    PRIMARY,
    ROTATION_TIMEOUT,
    SECOND,
    SECOND_PLACE,
    STORED_AT,
    VERIFY_TIMEOUT,
    a_backoff,
    a_damaged_record,
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
    rotation_of,
    stored,
    unreadable,
)

SILENT: dict[str, Listing | Unreadable] = {ISSUER: a_listing(an_issued()), FORMER_ISSUER: unreadable()}
LEFT = an_issued("left", issuer=FORMER_ISSUER)
LEFT_BEHIND = a_snapshot(listings=SILENT, memory=replace(a_memory(), listed={FORMER_ISSUER: (LEFT,)}))
AFTER_ANOTHER = replace(a_record(), predecessors=(rotation_of("left"),))
MAYBE_LEFT = a_snapshot(primary=stored(AFTER_ANOTHER), listings=SILENT)
MAYBE_LEAKED = a_snapshot(primary=stored(replace(AFTER_ANOTHER, compromised=True)), listings=SILENT)
DUE = rotation_due(a_token(), ISSUED_AT, EXPIRES_AT)
OLDER = an_issued("older", created_at=ISSUED_AT - DAY)
REVOKE_AT = STORED_AT + OVERLAP
LITTLE_MARGIN = a_snapshot(token=a_token(rotate_before=MINUTE))
LITTLE_DUE = rotation_due(LITTLE_MARGIN.token, ISSUED_AT, EXPIRES_AT)
REFUSED_ONCE = a_memory(trial=a_trial(TrialResult.REFUSED, tried_at=NOW, refused_since=NOW))
YOUNG = [an_issued(f"young-{number}", created_at=NOW) for number in range(3)]
TWO_PLACES = a_token(destinations=(PRIMARY, SECOND_PLACE))


def status_at(snapshot: Snapshot, now: datetime = NOW) -> TokenStatus:
    """Give the status that goes with what is decided."""
    return status_of(snapshot, decide(snapshot, now), now)


def failed(key: str = MINT_KEY, *, failures: int = 2, retry_at: datetime = NOW + MINUTE, error: str = "down") -> Memory:
    """Give the memory of an effect that failed."""
    return a_memory(backoffs={key: a_backoff(retry_at, failures=failures, error=error)})


def behind(copy: Stored) -> Snapshot:
    """Give a name whose second destination holds that."""
    return a_snapshot(token=TWO_PLACES, copies=(copy,))


def mended(written_at: datetime) -> Snapshot:
    """Give a name whose record somebody damaged then."""
    return a_snapshot(primary=stored(written_at=written_at, faithful=False, defects=("token_id",)))


@pytest.mark.parametrize(
    ("state", "snapshot", "now"),
    [
        (State.OK, a_snapshot(), NOW),
        (State.OK, a_snapshot(), DUE - INSTANT),
        (State.OK, a_snapshot(listing=a_listing(an_issued(), OLDER)), REVOKE_AT + DRIFT_INTERVAL),
        (State.FAILING, a_snapshot(listing=a_listing(an_issued(), OLDER)), REVOKE_AT + DRIFT_INTERVAL + INSTANT),
        (State.OK, a_snapshot(listing=a_listing(an_issued(), proves_by_use=True)), NOW),
        (State.FAILING, a_snapshot(listing=a_listing(an_issued(), proves_by_use=True), memory=REFUSED_ONCE), NOW),
        (State.DUE, a_snapshot(), DUE),
        (State.DUE, a_snapshot(), DUE + ROTATION_TIMEOUT),
        (State.DUE, a_snapshot(primary=nothing_stored(), listing=a_listing()), NOW),
        (State.DUE, a_snapshot(primary=stored(Reservation()), listing=a_listing()), NOW),
        (State.DUE, a_snapshot(trigger=a_trigger()), NOW),
        (State.DUE, a_snapshot(primary=stored(a_record(issuer="former"))), NOW),
        (State.FAILING, a_snapshot(), DUE + ROTATION_TIMEOUT + INSTANT),
        (State.DUE, LITTLE_MARGIN, LITTLE_DUE + (EXPIRES_AT - LITTLE_DUE) / 2),
        (State.FAILING, LITTLE_MARGIN, LITTLE_DUE + (EXPIRES_AT - LITTLE_DUE) / 2 + INSTANT),
        (State.FAILING, a_snapshot(primary=nothing_stored(written_at=NOW - HOUR), listing=a_listing()), NOW),
        (State.FAILING, a_snapshot(primary=nothing_stored(), listing=a_listing(an_issued())), NOW),
        (State.DUE, a_snapshot(primary=nothing_stored(), listing=a_listing(an_issued(revoked_at=NOW))), NOW),
        (State.FAILING, a_snapshot(primary=stored(a_damaged_record(), written_at=NOW), listing=a_listing()), NOW),
        (State.OK, behind(nothing_stored(destination=SECOND_PLACE)), STORED_AT + DRIFT_INTERVAL),
        (State.FAILING, behind(nothing_stored(destination=SECOND_PLACE)), STORED_AT + DRIFT_INTERVAL + INSTANT),
        (State.OK, behind(stored(destination=SECOND_PLACE, faithful=False)), NOW),
        (State.OK, behind(stored(a_record("older"), destination=SECOND_PLACE, written_at=NOW)), NOW),
        (State.OK, mended(written_at=NOW), NOW),
        (State.FAILING, mended(written_at=NOW - DRIFT_INTERVAL - INSTANT), NOW),
        (State.FAILING, a_snapshot(memory=failed()), DUE),
        (State.FAILING, a_snapshot(memory=failed(retry_at=NOW - SECOND)), DUE),
        (State.FAILING, a_snapshot(trigger=a_trigger("r"), memory=failed("mint:r")), NOW),
        (State.FAILING, a_snapshot(primary=nothing_stored(), listing=a_listing(), memory=failed()), NOW),
        (State.FAILING, a_snapshot(listing=a_listing(an_issued(revoked_at=NOW))), NOW),
        (State.FAILING, a_snapshot(), EXPIRES_AT),
        (State.FAILING, a_snapshot(trigger=a_trigger(), listing=a_listing(an_issued(), *YOUNG)), NOW),
        (State.REFUSED, a_snapshot(primary=stored(a_foreign_secret())), NOW),
        (State.OK, LEFT_BEHIND, REVOKE_AT + DRIFT_INTERVAL),
        (State.FAILING, LEFT_BEHIND, REVOKE_AT + DRIFT_INTERVAL + INSTANT),
        (State.OK, MAYBE_LEFT, NOW),
        (State.OK, MAYBE_LEAKED, STORED_AT + DRIFT_INTERVAL),
        (State.FAILING, MAYBE_LEAKED, STORED_AT + DRIFT_INTERVAL + INSTANT),
        (State.UNKNOWN, a_snapshot(primary=unreadable()), NOW),
        (State.UNKNOWN, a_snapshot(listing=unreadable()), NOW),
        (State.UNKNOWN, a_snapshot(primary=unreadable(), memory=failed(GATHER_KEY)), NOW),
        (State.UNKNOWN, a_snapshot(primary=stored(a_foreign_secret()), listing=unreadable()), NOW),
    ],
)
def test_every_state(state: State, snapshot: Snapshot, now: datetime) -> None:
    """Which state a name is in, from what was gathered and decided."""
    assert status_at(snapshot, now).state is state


def test_a_name_that_is_being_acted_on_is_rotating() -> None:
    """Whatever the snapshot says: somebody is at it."""
    for snapshot in (a_snapshot(), a_snapshot(primary=nothing_stored()), a_snapshot(memory=failed())):
        status = status_of(snapshot, decide(snapshot, NOW), NOW, rotating=True)
        assert status.state is State.ROTATING
        assert status.healthy


@pytest.mark.parametrize(
    ("state", "healthy"),
    [
        (State.OK, True),
        (State.DUE, True),
        (State.ROTATING, True),
        (State.FAILING, False),
        (State.REFUSED, False),
        (State.UNKNOWN, False),
    ],
)
def test_failing_refused_and_unknown_are_unhealthy(state: State, healthy: bool) -> None:  # noqa: FBT001  # a column of the table
    """For these the command exits with 1."""
    assert replace(status_at(a_snapshot()), state=state).healthy == healthy


def test_a_healthy_name_in_full() -> None:
    """Every field of the simplest case."""
    snapshot = a_snapshot(token=a_token(labels={"team": "observability"}))
    status = status_at(snapshot)
    assert (status.name, status.issuer, status.labels) == (NAME, ISSUER, {"team": "observability"})
    assert (status.token_id, status.issued_at, status.expires_at) == (CURRENT, ISSUED_AT, EXPIRES_AT)
    assert status.rotate_at == DUE
    assert (status.next_step, status.next_step_at) == ("mint", DUE)
    assert status.reason
    assert (status.last_error, status.failed_attempts) == (None, 0)
    assert [(place.store, place.path, place.revision, place.in_sync) for place in status.destinations] == [
        (PRIMARY.store, PRIMARY.path, "7", True)
    ]
    assert status.awaiting_revocation == ()


def test_without_a_record_there_are_no_times() -> None:
    """Nothing stored, or nothing read: no id, no life, no rotation point."""
    for snapshot in (a_snapshot(primary=nothing_stored(), listing=a_listing()), a_snapshot(primary=unreadable())):
        status = status_at(snapshot)
        assert {status.token_id, status.issued_at, status.expires_at, status.rotate_at} == {None}


def test_the_times_are_the_issuer_s_where_it_says_them() -> None:
    """What is listed counts before what the record says."""
    listing = a_listing(an_issued(created_at=ISSUED_AT + SECOND, expires_at=EXPIRES_AT + DAY))
    status = status_at(a_snapshot(listing=listing))
    assert (status.issued_at, status.expires_at) == (ISSUED_AT + SECOND, EXPIRES_AT + DAY)


@pytest.mark.parametrize(
    ("snapshot", "next_step", "next_step_at"),
    [
        (a_snapshot(), "mint", DUE),
        (a_snapshot(trigger=a_trigger()), "mint", NOW),
        (a_snapshot(listing=a_listing(an_issued(), proves_by_use=True)), "try", NOW),
        (a_snapshot(token=TWO_PLACES, copies=(nothing_stored(destination=SECOND_PLACE),)), "copy", NOW),
        (a_snapshot(listing=a_listing(an_issued(), OLDER)), "revoke", NOW),
        (a_snapshot(primary=stored(written_at=NOW), listing=a_listing(an_issued(), OLDER)), "revoke", NOW + OVERLAP),
        (a_snapshot(primary=stored(a_foreign_secret())), "refuse", None),
        (a_snapshot(trigger=a_trigger("r"), memory=failed("mint:r")), "mint", NOW + MINUTE),
        (a_snapshot(primary=unreadable(), memory=failed(GATHER_KEY)), "rest", NOW + MINUTE),
    ],
)
def test_the_next_step_and_its_moment(snapshot: Snapshot, next_step: str, next_step_at: datetime | None) -> None:
    """What is decided on now; when resting, the sooner of rotation and revocation; for a held-up mint, its next try."""
    status = status_at(snapshot)
    assert (status.next_step, status.next_step_at) == (next_step, next_step_at)


def test_the_reason_says_what_is_wanted_and_what_holds_it_up() -> None:
    """Both are for an operator to read."""
    status = status_at(a_snapshot(trigger=a_trigger("r", reason="a leak"), memory=failed("mint:r", error="sealed")))
    assert "a leak" in status.reason
    assert "sealed" in status.reason


def test_failed_attempts_are_those_of_rotations() -> None:
    """Copies and revocations that fail are told of by their error, and do not count as attempts to rotate."""
    memory = a_memory(
        backoffs={
            MINT_KEY: a_backoff(NOW + MINUTE, failures=3, error="first"),
            "mint:r": a_backoff(NOW + 2 * MINUTE, failures=2, error="second"),
            "revoke:older": a_backoff(NOW + HOUR, failures=50, error="third"),
        }
    )
    status = status_at(a_snapshot(memory=memory))
    assert status.failed_attempts == 5
    assert status.last_error is not None


def test_the_last_error_is_told() -> None:
    """Whichever effect failed; none when nothing failed."""
    assert status_at(a_snapshot(memory=failed("revoke:older", error="throttled"))).last_error == "throttled"
    assert status_at(a_snapshot()).last_error is None


@pytest.mark.parametrize(
    ("copy", "revision", "in_sync"),
    [
        (stored(destination=SECOND_PLACE, revision="41"), "41", True),
        (stored(destination=SECOND_PLACE, revision="41", faithful=False), "41", False),
        (stored(a_record("older"), destination=SECOND_PLACE, revision="41"), "41", False),
        (stored(a_damaged_record(), destination=SECOND_PLACE, revision="41"), "41", False),
        (stored(a_foreign_secret(), destination=SECOND_PLACE, revision="41"), "41", False),
        (nothing_stored(destination=SECOND_PLACE), "0", False),
        (unreadable(), None, False),
    ],
)
def test_each_destination_is_told_with_whether_it_is_in_step(
    copy: Stored | Unreadable,
    revision: str | None,
    in_sync: bool,  # noqa: FBT001  # a column of the table
) -> None:
    """In the configuration's order, under their names."""
    primary, second = status_at(a_snapshot(token=TWO_PLACES, copies=(copy,))).destinations
    assert (primary.store, primary.in_sync) == (PRIMARY.store, True)
    assert (second.store, second.path) == (SECOND_PLACE.store, SECOND_PLACE.path)
    assert (second.revision, second.in_sync) == (revision, in_sync)


def test_a_primary_without_a_record_is_not_in_step() -> None:
    """Nothing is stored there, or it could not be read."""
    for primary, revision in ((nothing_stored(), "0"), (unreadable(), None)):
        (place,) = status_at(a_snapshot(primary=primary)).destinations
        assert (place.revision, place.in_sync) == (revision, False)


def test_tokens_that_await_revocation_are_told() -> None:
    """Each with its moment, or with none and why it is held back."""
    snapshot = a_snapshot(
        primary=stored(written_at=NOW),
        listing=a_listing(an_issued(), OLDER, an_issued("ageless", created_at=None)),
        memory=a_memory(ended=(an_ended_attempt("young-0"),)),
    )
    older, ageless = status_at(snapshot).awaiting_revocation
    assert (older.token_id, older.revoke_at) == ("older", NOW + OVERLAP)
    assert (older.overdue, older.failed_attempts, older.last_error) == (False, 0, None)
    assert (ageless.token_id, ageless.revoke_at) == ("ageless", None)
    assert ageless.why


def test_a_trial_that_was_refused_for_long_is_a_failing_name() -> None:
    """The stored token does not work: that is unhealthy until it is replaced."""
    memory = a_memory(trial=a_trial(TrialResult.REFUSED, tried_at=NOW, refused_since=STORED_AT))
    snapshot = a_snapshot(listing=a_listing(an_issued(), proves_by_use=True), memory=memory)
    assert status_at(snapshot).state is State.FAILING


def test_a_revocation_that_fails_is_told_with_its_error() -> None:
    """How often it failed and why, and from when on it is overdue: then the name is unhealthy, and the reason says so.

    What comes next is its next try, never a moment that has passed.
    """
    retry_at = REVOKE_AT + HOUR
    memory = failed("revoke:older", failures=7, retry_at=retry_at, error="throttled")
    snapshot = a_snapshot(listing=a_listing(an_issued(), OLDER), memory=memory)
    status = status_at(snapshot, retry_at - MINUTE)
    (older,) = status.awaiting_revocation
    assert (older.overdue, older.failed_attempts, older.last_error) == (True, 7, "throttled")
    assert "the revocation of older is overdue" in status.reason
    assert (status.next_step, status.next_step_at) == ("revoke", retry_at)


@pytest.mark.parametrize("snapshot", [LEFT_BEHIND, MAYBE_LEFT, MAYBE_LEAKED])
def test_a_token_at_an_issuer_that_gives_no_list_awaits_its_revocation(snapshot: Snapshot) -> None:
    """Nobody can tell when: it is told why, until there is a list again."""
    (left,) = status_at(snapshot).awaiting_revocation
    assert left.revoke_at is None
    assert f"{FORMER_ISSUER} gives no list" in left.why
    readable = replace(snapshot, listings={ISSUER: a_listing(an_issued()), FORMER_ISSUER: a_listing()})
    assert status_at(readable).awaiting_revocation == ()


@pytest.mark.parametrize(
    ("snapshot", "words"),
    [
        (a_snapshot(primary=nothing_stored(written_at=NOW - HOUR), listing=a_listing()), "find no token"),
        (a_snapshot(primary=nothing_stored(), listing=a_listing(an_issued())), "tokens of this name live"),
        (a_snapshot(listing=a_listing(an_issued(), proves_by_use=True), memory=REFUSED_ONCE), "was refused when tried"),
        (mended(written_at=NOW), "token_id"),
    ],
)
def test_the_reason_says_what_somebody_has_done(snapshot: Snapshot, words: str) -> None:
    """Deleted, edited, damaged: an operator reads what was seen."""
    assert words in status_at(snapshot).reason


def test_a_refused_token_is_tried_again_next() -> None:
    """Until that is certain."""
    status = status_at(a_snapshot(listing=a_listing(an_issued(), proves_by_use=True), memory=REFUSED_ONCE))
    assert (status.next_step, status.next_step_at) == ("try", NOW + VERIFY_TIMEOUT)


def test_while_the_issuer_cannot_be_listed_the_next_step_is_to_look_again() -> None:
    """Though the rotation point has passed: no moment in the past is told."""
    status = status_at(
        a_snapshot(listing=unreadable(), memory=failed(GATHER_KEY, retry_at=DUE + 10 * MINUTE)), DUE + MINUTE
    )
    assert (status.next_step, status.next_step_at) == ("rest", DUE + 10 * MINUTE)
