"""Facts 1 to 3 and 5 to 7 of the protocol, one table each; facts 4, 8 and 9 have files of their own.

The oracle is the protocol: what each fact must answer, with which step, and until when the answer stands.
"""

from dataclasses import replace
from datetime import datetime, timedelta

import pytest

from provisioner.domain.checks import (
    issuer_has_changed,
    rotation_is_due,
    secret_is_foreign,
    secret_is_missing,
    trigger_is_pending,
    truth_is_unreadable,
)
from provisioner.domain.model import Listing, ManagedToken, Record, Reservation, Stored, Trigger, Unreadable
from provisioner.domain.snapshot import Snapshot
from provisioner.domain.steps import GATHER_KEY, Mint, Refuse, Rest
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
    ROTATION_TIMEOUT,
    SECOND,
    SECOND_PLACE,
    Openings,
    a_backoff,
    a_damaged_record,
    a_foreign_secret,
    a_listing,
    a_memory,
    a_record,
    a_snapshot,
    a_token,
    a_trigger,
    an_issued,
    nothing_stored,
    stored,
    unreadable,
)

DUE = rotation_due(a_token(), ISSUED_AT, EXPIRES_AT)
ADOPTING = replace(PRIMARY, adopt=True)


# --- fact 1: a truth could not be read ----------------------------------------------------------------


@pytest.mark.parametrize(
    "snapshot",
    [
        a_snapshot(primary=unreadable("sealed")),
        a_snapshot(listing=unreadable("sealed")),
        a_snapshot(primary=unreadable("sealed"), listing=unreadable("sealed")),
        a_snapshot(
            token=a_token(issuer="elsewhere"), listings={ISSUER: a_listing(), "elsewhere": unreadable("sealed")}
        ),
    ],
)
def test_an_unread_truth_means_rest_and_look_again(snapshot: Snapshot) -> None:
    """Never blind: the step is to rest, for a while that is over soon, and the reason is told."""
    finding = truth_is_unreadable(snapshot, NOW)
    assert isinstance(finding.step, Rest)
    assert NOW < finding.step.until <= NOW + DRIFT_INTERVAL
    assert "sealed" in finding.message


@pytest.mark.parametrize(
    "snapshot",
    [
        a_snapshot(),
        a_snapshot(primary=nothing_stored(), listing=a_listing()),
        a_snapshot(listings={ISSUER: a_listing(), FORMER_ISSUER: unreadable()}),
        a_snapshot(token=a_token(destinations=(PRIMARY, SECOND_PLACE)), copies=(unreadable(),)),
    ],
)
def test_primary_and_configured_issuer_are_the_truths_that_count(snapshot: Snapshot) -> None:
    """A copy, or another issuer, that gives no answer does not stop everything."""
    assert not truth_is_unreadable(snapshot, NOW).holds


def test_an_issuer_without_any_list_counts_as_unread() -> None:
    """Nothing known of the configured issuer is nothing read."""
    assert truth_is_unreadable(a_snapshot(listings={}), NOW).holds


def test_looking_again_waits_for_its_backoff() -> None:
    """What failed before is looked at again when its backoff ends, be that later or sooner."""
    for wait in (SECOND, MINUTE, 15 * MINUTE):
        memory = a_memory(backoffs={GATHER_KEY: a_backoff(NOW + wait)})
        finding = truth_is_unreadable(a_snapshot(primary=unreadable(), memory=memory), NOW)
        assert finding.step == Rest(until=NOW + wait)


@pytest.mark.parametrize("ago", [timedelta(0), INSTANT, HOUR])
def test_a_backoff_that_is_over_does_not_make_looking_a_loop(ago: timedelta) -> None:
    """Resting always ends in the future."""
    memory = a_memory(backoffs={GATHER_KEY: a_backoff(NOW - ago)})
    step = truth_is_unreadable(a_snapshot(primary=unreadable(), memory=memory), NOW).step
    assert isinstance(step, Rest)
    assert step.until > NOW


# --- fact 2: the secret is foreign ----------------------------------------------------------------------


def test_a_foreign_secret_is_refused() -> None:
    """It is never overwritten; the message names the place, says why, and what a person can do."""
    finding = secret_is_foreign(a_snapshot(primary=stored(a_foreign_secret("its owner is 'x'"))), NOW)
    assert isinstance(finding.step, Refuse)
    assert finding.step.until > NOW
    for said in (str(PRIMARY), "its owner is 'x'", "adopt"):
        assert said in finding.message


@pytest.mark.parametrize(
    "primary",
    [
        stored(),
        nothing_stored(),
        stored(Reservation()),
        stored(a_damaged_record()),
        unreadable(),
        stored(a_foreign_secret(), destination=ADOPTING),
    ],
)
def test_what_is_ours_empty_unread_or_to_be_adopted_is_not_refused(primary: Stored | Unreadable) -> None:
    """Only a foreign secret without leave to adopt is."""
    assert not secret_is_foreign(a_snapshot(primary=primary), NOW).holds


def test_leave_to_adopt_at_a_copy_is_no_leave_at_the_primary() -> None:
    """``adopt`` is one destination's own."""
    token = a_token(destinations=(PRIMARY, replace(SECOND_PLACE, adopt=True)))
    snapshot = a_snapshot(token=token, primary=stored(a_foreign_secret()), copies=(stored(destination=SECOND_PLACE),))
    assert secret_is_foreign(snapshot, NOW).holds


# --- fact 3: no secret stored ---------------------------------------------------------------------------


@pytest.mark.parametrize(
    "primary",
    [
        nothing_stored(revision="0"),
        nothing_stored(revision="12"),
        stored(Reservation()),
        stored(a_damaged_record("expires_at", "issuer")),
        stored(a_foreign_secret(), destination=ADOPTING),
    ],
    ids=["never written", "newest version deleted", "reservation", "damaged", "to be adopted"],
)
def test_where_no_token_of_ours_is_stored_one_is_minted(primary: Stored) -> None:
    """The mint is to be committed against just what was read."""
    finding = secret_is_missing(a_snapshot(primary=primary), NOW)
    assert finding.step == Mint(primary=primary)
    assert str(PRIMARY) in finding.message


def test_the_defects_of_a_damaged_record_are_told() -> None:
    """Somebody edited it by hand, and should learn what is wrong."""
    finding = secret_is_missing(a_snapshot(primary=stored(a_damaged_record("expires_at", "issuer"))), NOW)
    assert "expires_at" in finding.message
    assert "issuer" in finding.message


@pytest.mark.parametrize("primary", [stored(), stored(a_record("other")), unreadable()])
def test_a_stored_or_unread_secret_is_not_missing(primary: Stored | Unreadable) -> None:
    """What could not be read is not known to be missing."""
    assert not secret_is_missing(a_snapshot(primary=primary), NOW).holds


def test_a_trigger_is_honoured_by_the_first_mint() -> None:
    """A wish that is pending when nothing is stored is served by that very mint."""
    finding = secret_is_missing(a_snapshot(primary=nothing_stored(), trigger=a_trigger()), NOW)
    assert finding.step == Mint(primary=nothing_stored(), trigger=a_trigger())


# --- fact 5: a manual trigger ---------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("record", "trigger", "holds"),
    [
        (a_record(), None, False),
        (a_record(), a_trigger("r1"), True),
        (a_record(request_id="r0"), a_trigger("r1"), True),
        (a_record(request_id="r1"), a_trigger("r1"), False),
        (a_record(request_id="r2", past_requests=("r1", "r0")), a_trigger("r1"), False),
        (a_record(request_id="r2", past_requests=("r0",)), a_trigger("r1"), True),
        (a_record(past_requests=("r1",)), a_trigger("r1"), False),
        (a_record(request_id="r1"), a_trigger("r1", compromised=True), False),
        (a_record(request_id="R1"), a_trigger("r1"), True),
    ],
)
def test_a_wish_is_pending_until_a_record_has_honoured_it(record: Record, trigger: Trigger | None, holds: bool) -> None:  # noqa: FBT001  # a column of the table
    """The same request id rotates once, however often it is sent."""
    primary = stored(record)
    finding = trigger_is_pending(a_snapshot(primary=primary, trigger=trigger), NOW)
    assert finding.step == (Mint(primary=primary, trigger=trigger) if holds else None)


def test_a_person_s_reason_is_told() -> None:
    """Why somebody asked is in the message."""
    finding = trigger_is_pending(a_snapshot(trigger=a_trigger(reason="a laptop was stolen")), NOW)
    assert "a laptop was stolen" in finding.message


@pytest.mark.parametrize("primary", [unreadable(), nothing_stored()])
def test_a_wish_for_what_is_not_stored_is_left_to_other_facts(primary: Stored | Unreadable) -> None:
    """Facts 1 and 3 come before it."""
    assert not trigger_is_pending(a_snapshot(primary=primary, trigger=a_trigger()), NOW).holds


@pytest.mark.parametrize("now", [NOW, DUE + DAY])
def test_a_wish_that_was_honoured_leaves_no_trace_on_a_later_mint(now: datetime) -> None:
    """Sent again when a rotation is due by itself, its zero overlap and its own backoff must not count once more."""
    primary = stored(a_record(request_id="r1"))
    honoured = a_snapshot(primary=primary, trigger=a_trigger("r1", compromised=True), token=a_token(issuer="elsewhere"))
    for finding in (issuer_has_changed(honoured, now), rotation_is_due(honoured, now)):
        assert finding.step in (None, Mint(primary=primary))


# --- fact 6: the issuer has changed ---------------------------------------------------------------------


def test_another_issuer_in_the_configuration_means_a_mint() -> None:
    """The stored token was issued elsewhere; both names are told."""
    finding = issuer_has_changed(a_snapshot(primary=stored(a_record(issuer=FORMER_ISSUER))), NOW)
    assert finding.step == Mint(primary=stored(a_record(issuer=FORMER_ISSUER)))
    assert FORMER_ISSUER in finding.message
    assert ISSUER in finding.message


@pytest.mark.parametrize("primary", [stored(), nothing_stored(), stored(Reservation()), unreadable()])
def test_the_same_issuer_or_none_means_no_mint(primary: Stored | Unreadable) -> None:
    """Without a record there is nothing to compare."""
    assert not issuer_has_changed(a_snapshot(primary=primary), NOW).holds


@pytest.mark.parametrize(
    "edited",
    [
        a_token(labels={"team": "storage"}),
        a_token(description="Something else"),
        a_token(ttl=90 * DAY),
        a_token(ttl=2 * DAY),
        a_token(overlap=5 * HOUR),
        a_token(rotate_at=0.5),
        a_token(verify_timeout=HOUR),
        a_token(orphan_quiet_period=5 * HOUR),
    ],
)
def test_editing_a_label_a_margin_or_a_ttl_mints_nothing(edited: ManagedToken) -> None:
    """Only what changes the token may mint."""
    snapshot = a_snapshot(token=edited)
    for check in (secret_is_missing, trigger_is_pending, issuer_has_changed, rotation_is_due):
        assert not check(snapshot, NOW).holds


# --- fact 7: rotation is due ----------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("now", "holds"), [(NOW, False), (DUE - INSTANT, False), (DUE, True), (DUE + INSTANT, True), (EXPIRES_AT, True)]
)
def test_rotation_is_due_from_its_moment_on(now: datetime, holds: bool) -> None:  # noqa: FBT001  # a column of the table
    """Not an instant before; and until then the answer stands until just that moment."""
    finding = rotation_is_due(a_snapshot(), now)
    assert finding.step == (Mint(primary=stored()) if holds else None)
    assert finding.until == (None if holds else DUE)


def test_the_issuer_s_word_on_the_life_counts_before_the_record_s() -> None:
    """What is listed is what ends."""
    shorter = an_issued(expires_at=ISSUED_AT + 3 * DAY)
    finding = rotation_is_due(a_snapshot(listing=a_listing(shorter)), NOW)
    assert finding.until == rotation_due(a_token(), ISSUED_AT, ISSUED_AT + 3 * DAY)


@pytest.mark.parametrize("listing", [a_listing(), a_listing(an_issued(created_at=None, expires_at=None)), unreadable()])
def test_without_the_issuer_s_word_the_record_s_counts(listing: Listing | Unreadable) -> None:
    """A token that is not listed, or listed without times, is due by its record."""
    assert rotation_is_due(a_snapshot(listing=listing), NOW).until == DUE


@pytest.mark.parametrize("primary", [nothing_stored(), stored(Reservation()), unreadable()])
def test_nothing_is_due_where_nothing_is_stored(primary: Stored | Unreadable) -> None:
    """Facts 1 and 3 speak for these."""
    finding = rotation_is_due(a_snapshot(primary=primary), NOW)
    assert not finding.holds
    assert finding.until is None


def test_a_window_delays_rotation() -> None:
    """Due, but not welcome before the window opens."""
    opens = DUE + 5 * HOUR
    snapshot = a_snapshot(token=a_token(window=Openings(((opens, opens + HOUR),))))
    for now, holds in ((DUE, False), (opens - INSTANT, False), (opens, True), (opens + HOUR - INSTANT, True)):
        finding = rotation_is_due(snapshot, now)
        assert finding.holds == holds
        assert finding.until == (None if holds else opens)


@pytest.mark.parametrize("late", [timedelta(0), HOUR, 10 * HOUR])
def test_a_window_that_was_missed_is_not_made_up_for_outside_the_next_one(late: timedelta) -> None:
    """We were down, or every try failed, while it was open: rotation waits for its next opening."""
    first, second = DUE + HOUR, DUE + 25 * HOUR
    token = a_token(window=Openings(((first, first + HOUR), (second, second + HOUR))))
    finding = rotation_is_due(a_snapshot(token=token), first + HOUR + late)
    assert not finding.holds
    assert finding.until == second


def test_nearing_expiry_beats_the_window() -> None:
    """At the last moment at which rotation and overlap fit, it is due, window or not."""
    latest = EXPIRES_AT - OVERLAP - ROTATION_TIMEOUT
    snapshot = a_snapshot(token=a_token(window=Openings(((EXPIRES_AT, EXPIRES_AT + HOUR),))))
    assert rotation_is_due(snapshot, latest - INSTANT).until == latest
    assert rotation_is_due(snapshot, latest).holds
