"""Fact 4 of the protocol, the stored token is dead: revoked or expired; or missing, old enough and refused."""

from datetime import datetime, timedelta

import pytest

from provisioner.domain.checks import stored_token_is_dead
from provisioner.domain.memory import Trial, TrialResult
from provisioner.domain.model import Listing, Reservation, Stored, Unreadable
from provisioner.domain.snapshot import Snapshot
from provisioner.domain.steps import TRY_KEY, Mint, TryStored
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
    NOW,
    REVISION,
    SECOND,
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
    an_issued,
    nothing_stored,
    stored,
    unreadable,
)

REFUSED, WORKS, NO_ANSWER = TrialResult.REFUSED, TrialResult.WORKS, TrialResult.NO_ANSWER
TRY = TryStored(record=a_record(), revision=REVISION)
MINT = Mint(primary=stored())
NOT_LISTED = a_listing(an_issued("another"))
LISTED = a_listing(an_issued(), proves_by_use=True)


# --- by what is written of it -----------------------------------------------------------------------


@pytest.mark.parametrize("revoked_at", [ISSUED_AT, NOW - SECOND, NOW])
@pytest.mark.parametrize("proves_by_use", [False, True])
def test_a_token_listed_as_revoked_is_dead(revoked_at: datetime, proves_by_use: bool) -> None:  # noqa: FBT001  # a column of the table
    """It is minted anew at once; no trial is needed, and an earlier one that worked does not count."""
    listing = a_listing(an_issued(revoked_at=revoked_at), proves_by_use=proves_by_use)
    finding = stored_token_is_dead(a_snapshot(listing=listing, memory=a_memory(trial=a_trial(WORKS))), NOW)
    assert finding.step == MINT
    assert "revoked" in finding.message


@pytest.mark.parametrize(
    ("now", "dead"), [(EXPIRES_AT - INSTANT, False), (EXPIRES_AT, True), (EXPIRES_AT + INSTANT, True)]
)
def test_a_token_is_dead_from_its_expiry_on(now: datetime, dead: bool) -> None:  # noqa: FBT001  # a column of the table
    """Not an instant before; until then the answer stands until just that moment."""
    finding = stored_token_is_dead(a_snapshot(), now)
    assert finding.step == (MINT if dead else None)
    assert finding.until == (None if dead else EXPIRES_AT)


def test_the_issuer_s_word_on_the_expiry_counts_before_the_record_s() -> None:
    """What is listed is what ends."""
    listing = a_listing(an_issued(expires_at=NOW))
    assert stored_token_is_dead(a_snapshot(listing=listing), NOW).step == MINT
    extended = a_listing(an_issued(expires_at=EXPIRES_AT + DAY))
    assert not stored_token_is_dead(a_snapshot(listing=extended), EXPIRES_AT).holds


@pytest.mark.parametrize("listing", [a_listing(), unreadable(), a_listing(an_issued("another"))])
def test_a_token_that_is_not_listed_is_dead_at_its_record_s_expiry(listing: Listing | Unreadable) -> None:
    """Also when its list cannot be read: time alone tells."""
    snapshot = a_snapshot(listing=listing)
    assert stored_token_is_dead(snapshot, EXPIRES_AT).step == MINT


def test_the_mint_carries_the_pending_wish() -> None:
    """A person's wish is served by the mint that has to come anyway."""
    snapshot = a_snapshot(listing=a_listing(an_issued(revoked_at=NOW)), trigger=a_trigger())
    assert stored_token_is_dead(snapshot, NOW).step == Mint(primary=stored(), trigger=a_trigger())


@pytest.mark.parametrize(
    "primary",
    [unreadable(), nothing_stored(), stored(Reservation()), stored(a_damaged_record()), stored(a_foreign_secret())],
)
def test_what_is_not_stored_is_not_dead(primary: Stored | Unreadable) -> None:
    """The facts before it speak for these."""
    finding = stored_token_is_dead(a_snapshot(primary=primary), EXPIRES_AT + DAY)
    assert not finding.holds
    assert finding.until is None


# --- listed as live ---------------------------------------------------------------------------------


def test_a_token_listed_as_live_is_not_dead() -> None:
    """Where the issuer proves by its list, the list is enough."""
    finding = stored_token_is_dead(a_snapshot(), NOW)
    assert not finding.holds
    assert finding.until == EXPIRES_AT


def test_where_the_list_of_its_issuer_was_not_read_nothing_is_concluded() -> None:
    """A former issuer that is down, or not configured any more, kills no token."""
    primary = stored(a_record(issuer=FORMER_ISSUER))
    bare: dict[str, Listing | Unreadable] = {ISSUER: a_listing()}
    for listings in (bare, bare | {FORMER_ISSUER: unreadable()}):
        finding = stored_token_is_dead(a_snapshot(primary=primary, listings=listings), NOW)
        assert not finding.holds
        assert finding.until == EXPIRES_AT


# --- missing from the list: a list can be stale -------------------------------------------------------


@pytest.mark.parametrize(
    ("age", "step"),
    [
        (timedelta(0), None),
        (VERIFY_TIMEOUT - INSTANT, None),
        (VERIFY_TIMEOUT + INSTANT, TRY),
        (DAY, TRY),
    ],
)
@pytest.mark.parametrize("proves_by_use", [False, True])
def test_missing_means_nothing_until_the_verify_time_out_and_then_asks_for_a_trial(
    age: timedelta,
    step: TryStored | None,
    proves_by_use: bool,  # noqa: FBT001  # a column of the table
) -> None:
    """Missing alone never mints: the token must be old enough, and be refused when tried."""
    listing = a_listing(an_issued("another"), proves_by_use=proves_by_use)
    finding = stored_token_is_dead(a_snapshot(listing=listing), ISSUED_AT + age)
    assert finding.step == step
    if step is None:
        assert finding.until == ISSUED_AT + VERIFY_TIMEOUT


@pytest.mark.parametrize(
    ("result", "step"),
    [(REFUSED, MINT), (WORKS, None)],
)
def test_missing_and_tried_means_dead_only_when_refused(result: TrialResult, step: Mint | None) -> None:
    """All three together: missing, old enough, refused. One that works is alive, whatever the list says."""
    memory = a_memory(trial=a_trial(result, tried_at=NOW - MINUTE))
    assert stored_token_is_dead(a_snapshot(listing=NOT_LISTED, memory=memory), NOW).step == step


def test_missing_young_and_refused_is_not_dead_yet() -> None:
    """Activation lag: a refusal before the verify time-out means «not yet»."""
    now = ISSUED_AT + VERIFY_TIMEOUT - SECOND
    memory = a_memory(trial=a_trial(REFUSED, tried_at=now))
    assert not stored_token_is_dead(a_snapshot(listing=NOT_LISTED, memory=memory), now).holds


def test_a_trial_without_an_answer_decides_nothing() -> None:
    """The issuer was down: it is tried again, and nothing is minted meanwhile."""
    memory = a_memory(trial=a_trial(NO_ANSWER, tried_at=NOW - MINUTE))
    assert stored_token_is_dead(a_snapshot(listing=NOT_LISTED, memory=memory), NOW).step == TRY


@pytest.mark.parametrize(("ago", "step"), [(DRIFT_INTERVAL - INSTANT, None), (DRIFT_INTERVAL, TRY), (DAY, TRY)])
def test_a_missing_token_that_works_is_tried_again_at_each_drift_check(ago: timedelta, step: TryStored | None) -> None:
    """Its list says nothing of it, so it lives by its trials; until the next one the answer stands."""
    memory = a_memory(trial=a_trial(WORKS, tried_at=NOW - ago))
    finding = stored_token_is_dead(a_snapshot(listing=NOT_LISTED, memory=memory), NOW)
    assert finding.step == step
    assert finding.holds or finding.until == NOW - ago + DRIFT_INTERVAL


# --- listed as live, and judged by use ----------------------------------------------------------------


def test_where_the_issuer_proves_by_use_a_listed_token_is_tried_once() -> None:
    """A string edited by hand is listed under its id all the same: only use tells. What works needs no other trial."""
    assert stored_token_is_dead(a_snapshot(listing=LISTED), NOW).step == TRY
    memory = a_memory(trial=a_trial(WORKS, tried_at=NOW - 10 * DAY))
    finding = stored_token_is_dead(a_snapshot(listing=LISTED, memory=memory), NOW)
    assert not finding.holds
    assert finding.until == EXPIRES_AT


def test_a_listed_token_is_tried_however_young_it_is() -> None:
    """Its list shows it already: there is no reason to wait with the trial, nor to doubt a list that is enough."""
    now = ISSUED_AT + SECOND
    assert stored_token_is_dead(a_snapshot(listing=LISTED), now).step == TRY
    finding = stored_token_is_dead(a_snapshot(), now)
    assert not finding.holds
    assert finding.until == EXPIRES_AT


@pytest.mark.parametrize("trial", [a_trial(WORKS, revision="6"), a_trial(WORKS, token_id="older")])
def test_a_trial_of_something_else_does_not_count(trial: Trial) -> None:
    """An edit by hand moves the revision, and asks for a new trial."""
    snapshot = a_snapshot(listing=LISTED, memory=a_memory(trial=trial))
    assert stored_token_is_dead(snapshot, NOW).step == TRY


@pytest.mark.parametrize(
    ("since", "tried", "step", "until"),
    [
        (MINUTE, MINUTE, None, NOW - MINUTE + VERIFY_TIMEOUT),
        (VERIFY_TIMEOUT - INSTANT, MINUTE, None, NOW + INSTANT),
        (VERIFY_TIMEOUT, MINUTE, TRY, None),
        (HOUR, HOUR, TRY, None),
        (VERIFY_TIMEOUT, timedelta(0), MINT, None),
        (HOUR, MINUTE, MINT, None),
    ],
)
def test_a_listed_token_is_dead_only_when_refused_for_the_whole_verify_time_out(
    since: timedelta, tried: timedelta, step: Mint | TryStored | None, until: datetime | None
) -> None:
    """One refusal may be a hiccup: a listed token is dead when a trial at the end of that time is refused, too."""
    trial = a_trial(REFUSED, tried_at=NOW - tried, refused_since=NOW - since)
    finding = stored_token_is_dead(a_snapshot(listing=LISTED, memory=a_memory(trial=trial)), NOW)
    assert finding.step == step
    assert finding.holds or finding.until == until


@pytest.mark.parametrize("listing", [LISTED, NOT_LISTED])
@pytest.mark.parametrize(("retry_at", "waits"), [(NOW + SECOND, True), (NOW, False), (NOW - SECOND, False)])
def test_a_trial_waits_for_its_own_backoff(listing: Listing | Unreadable, retry_at: datetime, waits: bool) -> None:  # noqa: FBT001  # a column of the table
    """No answer again and again is no loop: until the backoff ends nothing is tried, and nothing minted."""
    memory = a_memory(
        trial=a_trial(NO_ANSWER, tried_at=NOW - MINUTE), backoffs={TRY_KEY: a_backoff(retry_at, error="throttled")}
    )
    snapshot = a_snapshot(memory=memory, listing=listing)
    finding = stored_token_is_dead(snapshot, NOW)
    assert finding.step == (None if waits else TRY)
    if waits:
        assert finding.until == retry_at
        assert "throttled" in finding.message


def snapshots_of_doubt() -> list[Snapshot]:
    """Give snapshots in which the stored token's life is in doubt but not at an end."""
    return [
        a_snapshot(listing=NOT_LISTED),
        a_snapshot(listing=LISTED),
        a_snapshot(listing=NOT_LISTED, memory=a_memory(trial=a_trial(NO_ANSWER))),
        a_snapshot(listing=LISTED, memory=a_memory(trial=a_trial(REFUSED))),
        a_snapshot(listing=unreadable()),
    ]


@pytest.mark.parametrize("snapshot", snapshots_of_doubt())
def test_no_doubt_mints(snapshot: Snapshot) -> None:
    """Whatever is unclear is tried or waited for."""
    assert not isinstance(stored_token_is_dead(snapshot, NOW).step, Mint)


def test_no_message_shows_the_token() -> None:
    """What is said names the id alone."""
    for snapshot in snapshots_of_doubt():
        message = stored_token_is_dead(snapshot, NOW).message
        assert a_record().token.reveal() not in message
        assert CURRENT in message or ISSUER in message


def test_the_verify_time_out_is_the_configured_one() -> None:
    """A longer one gives a missing token more time."""
    snapshot = a_snapshot(token=a_token(verify_timeout=2 * DAY), listing=NOT_LISTED)
    finding = stored_token_is_dead(snapshot, NOW)
    assert not finding.holds
    assert finding.until == ISSUED_AT + 2 * DAY
