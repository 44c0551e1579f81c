"""A damaged record is made whole from the lists, when they tell which token was meant, and otherwise left alone."""

from dataclasses import replace
from datetime import timedelta

import pytest

from provisioner.domain.mark import Mark, Owner
from provisioner.domain.memory import Memory, Trial, TrialResult
from provisioner.domain.model import Asking, Damaged, IssuedToken, Listing, Record, Stored
from provisioner.domain.repair import repaired
from provisioner.domain.retirement import live_marked, retirements
from provisioner.domain.snapshot import Snapshot
from tests.builders import (
    DAY,
    HOUR,
    NOW,
    OTHER_PLACE,
    OWNER,
    a_record,
    a_snapshot,
    a_token,
    an_issued,
    stored,
    uid,
)

WHOLE = a_record(
    request_id="now",
    asked=Asking(by="alice", reason="change 1"),
    past_requests=("before",),
    compromised=True,
    predecessors=(uid(7),),
)
MEANT = replace(WHOLE, stored_at=WHOLE.issued_at + HOUR)
"""Its token is 1, issued a day ago; it was stored an hour later."""


def damaged(**changes: object) -> Damaged:
    """Give the record with only its expiry lost."""
    values = {name: getattr(MEANT, name) for name in ("token", "token_id", "rotation_id", "stored_at", "request_id")}
    values |= {name: getattr(MEANT, name) for name in ("asked", "past_requests", "compromised", "predecessors")}
    return Damaged(defects=("expires_at",), **(values | changes))


def of(snapshot: Snapshot) -> Stored:
    """Give the primary after the repair."""
    primary = repaired(snapshot).primary
    assert isinstance(primary, Stored)
    return primary


@pytest.mark.parametrize(
    "lost",
    [{}, {"token_id": None}, {"rotation_id": None}, {"token_id": "other"}],
    ids=["expiry", "id", "rotation", "edited"],
)
def test_everything_that_can_be_read_is_kept_and_the_rest_comes_from_the_list(lost: dict[str, object]) -> None:
    """Requests, predecessors and the wish for no overlap survive: losing one would rotate or keep a token wrongly."""
    primary = of(a_snapshot(stored(damaged(**lost)), an_issued(1), an_issued(2)))
    assert primary.content == MEANT
    assert not primary.faithful


def test_without_a_time_of_storing_it_was_stored_when_it_was_created() -> None:
    """The list's time of creation stands in."""
    content = of(a_snapshot(stored(damaged(stored_at=None)), an_issued(1))).content
    assert isinstance(content, Record)
    assert content.stored_at == NOW - DAY


@pytest.mark.parametrize(
    "content",
    [damaged(token_id=None, rotation_id=None), damaged(token_id=None, rotation_id=uid(9)), damaged(rotation_id=uid(9))],
    ids=["says nothing", "unknown rotation", "unknown rotation beside a known id"],
)
def test_a_record_that_names_no_listed_token_stays_damaged(content: Damaged) -> None:
    """Nothing tells which token it holds."""
    assert of(a_snapshot(stored(content), an_issued(1))).content == content


def test_a_rotation_that_two_tokens_carry_tells_nothing() -> None:
    """Somebody has copied a mark: neither is taken for the one that was meant."""
    twin = replace(an_issued(2), mark=Mark(OWNER, uid(1)))
    content = damaged(token_id=None)
    assert of(a_snapshot(stored(content), an_issued(1), twin)).content == content


@pytest.mark.parametrize(
    "listed", [replace(an_issued(1), created_at=None), replace(an_issued(1), expires_at=None)], ids=["start", "end"]
)
def test_a_token_whose_life_is_not_listed_repairs_nothing(listed: IssuedToken) -> None:
    """A record needs both ends of its token's life."""
    content = damaged()
    assert of(a_snapshot(stored(content), listed)).content == content


def test_an_edited_id_is_put_right_by_the_rotation() -> None:
    """The record is whole, but names no listed token, while its rotation is listed."""
    primary = of(a_snapshot(stored(replace(WHOLE, token_id="other")), an_issued(1)))
    assert primary.content == WHOLE
    assert not primary.faithful


def test_the_rotation_of_another_issuer_puts_no_id_right() -> None:
    """An id means something to its own issuer alone."""
    edited = replace(WHOLE, token_id="other")
    elsewhere = {"cluster": Listing(tokens=()), "former": Listing(tokens=(replace(an_issued(1), issuer="former"),))}
    assert of(a_snapshot(stored(edited), listings=elsewhere)).content == edited


def test_a_token_that_a_copy_holds_under_another_id_is_not_retired() -> None:
    """Its rotation says that it is the one, whatever id somebody has written beside it."""
    copy = stored(replace(a_record(2), token_id="other"), destination=OTHER_PLACE)
    snapshot = a_snapshot(stored(a_record(1)), an_issued(1), an_issued(2), copies=(copy,))
    token = a_token(destinations=(snapshot.token.primary, OTHER_PLACE))
    assert retirements(replace(snapshot, token=token), NOW) == ()


def test_a_stored_token_that_no_list_shows_counts_for_the_guard() -> None:
    """A list can be stale: what is stored is live as far as anybody knows."""
    assert live_marked(a_snapshot(stored(a_record(1)), an_issued(2)), NOW) == 2


def test_a_stored_token_that_was_refused_counts_no_more() -> None:
    """Neither listed nor working: it is dead, and stands in nobody's way."""
    trial = Trial(token_id="id-1", revision="1", result=TrialResult.REFUSED, tried_at=NOW, refused_since=NOW)
    snapshot = a_snapshot(stored(a_record(1)), an_issued(2), memory=Memory(trial=trial))
    assert live_marked(snapshot, NOW) == 1


@pytest.mark.parametrize("edited", ["issued_at", "expires_at"])
@pytest.mark.parametrize(("off", "repairs"), [(HOUR, True), (timedelta(minutes=1), False)])
def test_times_that_somebody_edited_are_put_right(edited: str, off: timedelta, repairs: bool) -> None:  # noqa: FBT001  # a column of the table
    """Consumers may go by them; what an issuer may have rounded is left alone."""
    content = replace(WHOLE, **{edited: getattr(WHOLE, edited) + off})
    primary = of(a_snapshot(stored(content), an_issued(1)))
    assert primary.content == (WHOLE if repairs else content)
    assert primary.defects == ((edited,) if repairs else ())


def test_a_rotation_that_nobody_has_is_put_right_and_one_of_another_token_left_alone() -> None:
    """The id tells whose it is; where id and rotation name two tokens, nothing tells which was meant."""
    edited = replace(WHOLE, rotation_id=uid(9))
    primary = of(a_snapshot(stored(edited), an_issued(1), an_issued(2)))
    assert (primary.content, primary.defects) == (WHOLE, ("rotation_id",))
    torn = replace(WHOLE, rotation_id=uid(2))
    assert of(a_snapshot(stored(torn), an_issued(1), an_issued(2))).content == torn


def test_the_mark_of_somebody_else_puts_no_rotation_right() -> None:
    """An id that was edited to that of a foreign token must not take its rotation over."""
    edited = replace(WHOLE, token_id="id-2", rotation_id=uid(9))
    for foreign in (replace(an_issued(2), mark=None), replace(an_issued(2), mark=Mark(Owner("x", "y"), uid(2)))):
        assert of(a_snapshot(stored(edited), foreign)).content == edited


def test_what_was_damaged_is_named() -> None:
    """For the operator, who may have done it."""
    assert of(a_snapshot(stored(damaged()), an_issued(1))).defects == ("expires_at",)
    assert of(a_snapshot(stored(replace(WHOLE, token_id="other")), an_issued(1))).defects == ("token_id",)
    assert of(a_snapshot(stored(WHOLE), an_issued(1))).defects == ()
