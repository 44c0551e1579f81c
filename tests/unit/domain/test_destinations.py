"""Fact 8 of the protocol: a destination does not hold the primary's record as configured, and gets it."""

from dataclasses import replace
from datetime import datetime

import pytest

from provisioner.domain.checks import (
    destination_differs,
)
from provisioner.domain.model import Absent, Content, Foreign, Reservation, Stored, Unreadable
from provisioner.domain.steps import Copy
from tests.unit.domain.builders import (
    CURRENT,
    INSTANT,
    MINUTE,
    NOW,
    PRIMARY,
    SECOND,
    SECOND_PLACE,
    a_backoff,
    a_damaged_record,
    a_destination,
    a_foreign_secret,
    a_memory,
    a_record,
    a_snapshot,
    a_token,
    nothing_stored,
    secret_of,
    stored,
    unreadable,
)

THIRD_PLACE = a_destination("vault", "copies/telegraf-admin")
THREE_PLACES = a_token(destinations=(PRIMARY, SECOND_PLACE, THIRD_PLACE))


@pytest.mark.parametrize(
    "content",
    [Absent(), Reservation(), a_damaged_record("issuer"), a_record("older"), a_record(stored_at=NOW)],
)
def test_a_copy_that_does_not_hold_the_record_is_written(content: Content) -> None:
    """The primary's record goes to it, against the revision that was read there. Nothing is minted."""
    copy = stored(content, destination=SECOND_PLACE, revision="41")
    token = a_token(destinations=(PRIMARY, SECOND_PLACE))
    finding = destination_differs(a_snapshot(token=token, copies=(copy,)), NOW)
    assert finding.step == Copy(record=a_record(), destination=SECOND_PLACE, revision="41")
    assert str(SECOND_PLACE) in finding.message


def test_a_copy_with_another_token_string_under_the_same_id_is_written() -> None:
    """The string is part of the record, though no message shows it."""
    copy = stored(a_record(token="edited by hand"), destination=SECOND_PLACE)
    finding = destination_differs(a_snapshot(token=a_token(destinations=(PRIMARY, SECOND_PLACE)), copies=(copy,)), NOW)
    assert finding.holds
    assert "edited by hand" not in finding.message
    assert secret_of(CURRENT) not in finding.message


def test_an_unfaithful_spelling_is_rewritten_the_primary_s_too() -> None:
    """A mapping or a static field was edited: the same record is written anew, in place."""
    finding = destination_differs(a_snapshot(primary=stored(faithful=False, revision="12")), NOW)
    assert finding.step == Copy(record=a_record(), destination=PRIMARY, revision="12")
    copy = stored(destination=SECOND_PLACE, faithful=False, revision="41")
    finding = destination_differs(a_snapshot(token=a_token(destinations=(PRIMARY, SECOND_PLACE)), copies=(copy,)), NOW)
    assert finding.step == Copy(record=a_record(), destination=SECOND_PLACE, revision="41")


@pytest.mark.parametrize("content", [a_foreign_secret(), a_foreign_secret("its owner is 'provisioner/a/b'")])
def test_a_foreign_copy_is_told_of_and_never_written(content: Foreign) -> None:
    """A secret that is not ours is not overwritten at any destination, unless that one may be adopted."""
    token = a_token(destinations=(PRIMARY, SECOND_PLACE))
    finding = destination_differs(a_snapshot(token=token, copies=(stored(content, destination=SECOND_PLACE),)), NOW)
    assert not finding.holds
    assert content.why in finding.message
    adopting = replace(SECOND_PLACE, adopt=True)
    token = a_token(destinations=(PRIMARY, adopting))
    copy = stored(content, destination=adopting, revision="41")
    finding = destination_differs(a_snapshot(token=token, copies=(copy,)), NOW)
    assert finding.step == Copy(record=a_record(), destination=adopting, revision="41")


def test_an_unread_copy_is_told_of_and_not_written() -> None:
    """Without its revision nothing can be written to it."""
    token = a_token(destinations=(PRIMARY, SECOND_PLACE))
    finding = destination_differs(a_snapshot(token=token, copies=(unreadable("throttled"),)), NOW)
    assert not finding.holds
    assert "throttled" in finding.message


def test_destinations_in_step_ask_for_nothing() -> None:
    """All hold the primary's record as configured."""
    copies = (stored(destination=SECOND_PLACE, revision="1"), stored(destination=THIRD_PLACE, revision="2"))
    finding = destination_differs(a_snapshot(token=THREE_PLACES, copies=copies), NOW)
    assert not finding.holds
    assert finding.until is None


@pytest.mark.parametrize("primary", [unreadable(), nothing_stored(), stored(Reservation()), stored(a_damaged_record())])
def test_without_a_record_at_the_primary_nothing_is_copied(primary: Stored | Unreadable) -> None:
    """There is nothing to copy, and a copy's record is not taken for the truth."""
    token = a_token(destinations=(PRIMARY, SECOND_PLACE))
    copies = (stored(destination=SECOND_PLACE),)
    assert not destination_differs(a_snapshot(token=token, primary=primary, copies=copies), NOW).holds


def test_one_destination_s_failures_delay_no_other() -> None:
    """While one waits for its backoff the next is written; when both wait, the sooner end is when to look again."""
    copies = (nothing_stored(destination=SECOND_PLACE), nothing_stored(destination=THIRD_PLACE))
    one = {f"copy:{SECOND_PLACE}": a_backoff(NOW + MINUTE)}
    finding = destination_differs(a_snapshot(token=THREE_PLACES, copies=copies, memory=a_memory(backoffs=one)), NOW)
    assert isinstance(finding.step, Copy)
    assert finding.step.destination == THIRD_PLACE
    both = {**one, f"copy:{THIRD_PLACE}": a_backoff(NOW + SECOND)}
    finding = destination_differs(a_snapshot(token=THREE_PLACES, copies=copies, memory=a_memory(backoffs=both)), NOW)
    assert not finding.holds
    assert finding.until == NOW + SECOND


@pytest.mark.parametrize(("retry_at", "holds"), [(NOW - SECOND, True), (NOW, True), (NOW + INSTANT, False)])
def test_a_copy_is_tried_again_when_its_backoff_ends(retry_at: datetime, holds: bool) -> None:  # noqa: FBT001  # a column of the table
    """Not before, and then at once; why it failed is told meanwhile."""
    token = a_token(destinations=(PRIMARY, SECOND_PLACE))
    memory = a_memory(backoffs={f"copy:{SECOND_PLACE}": a_backoff(retry_at, error="permission denied")})
    snapshot = a_snapshot(token=token, copies=(nothing_stored(destination=SECOND_PLACE),), memory=memory)
    finding = destination_differs(snapshot, NOW)
    assert finding.holds == holds
    assert holds or "permission denied" in finding.message
