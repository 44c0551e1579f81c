"""What holds a wanted mint up, the guard of three and its backoff, and what a held-up mint leaves room for."""

from dataclasses import replace
from datetime import datetime, timedelta
from typing import Any

import pytest

from provisioner.domain.decide import decide
from provisioner.domain.memory import Backoff, TrialResult
from provisioner.domain.model import Content, IssuedToken, Listing, Stored, Unreadable
from provisioner.domain.snapshot import Snapshot
from provisioner.domain.steps import MINT_KEY, Copy, Mint, Rest, Revoke
from provisioner.engine import recollection
from tests.unit.domain.builders import (
    CURRENT,
    DAY,
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
    a_trial,
    a_trigger,
    an_ended_attempt,
    an_issued,
    nothing_stored,
    rotation_of,
    stored,
    unreadable,
)
from tests.unit.domain.facts import (
    MINTING,
    a_snapshot_with,
    asked_for,
    copy_differing,
    due,
    issuer_moved,
    one_outlived,
    with_live_tokens,
)

OLDER, ORPHAN, YOUNG = (
    an_issued("older", created_at=ISSUED_AT - DAY),
    an_issued("orphan", created_at=NOW - 3 * HOUR),
    an_issued("young", created_at=NOW - MINUTE),
)


# --- the guard of three -------------------------------------------------------------------------------


@pytest.mark.parametrize("fact", MINTING)
@pytest.mark.parametrize(("count", "mints"), [(1, True), (2, True), (3, False), (4, False), (9, False)])
def test_with_three_live_tokens_nothing_is_minted(fact: str, count: int, mints: bool) -> None:  # noqa: FBT001  # a column of the table
    """Every mint stands behind the guard, a person's wish and a dead token included; what is wanted is still told."""
    decision = decide(with_live_tokens(fact, count), NOW)
    assert decision.fact == fact
    assert isinstance(decision.step, Mint) == mints
    assert (decision.hindrance is None) == mints


@pytest.mark.parametrize("fact", MINTING)
def test_what_may_be_revoked_is_revoked_first(fact: str) -> None:
    """The guard leaves room for revoking; the decision still says what is held up."""
    snapshot = one_outlived(with_live_tokens(fact, 3))
    young = [an_issued(f"young-{number}", issuer="fourth", created_at=NOW) for number in range(3)]
    snapshot = replace(snapshot, listings={**snapshot.listings, "fourth": a_listing(*young)})
    decision = decide(snapshot, NOW)
    assert isinstance(decision.step, Revoke)
    assert decision.step.target.token_id == "given-up"
    assert decision.hindrance is not None


def test_the_guard_lets_go_when_a_token_is_gone() -> None:
    """Two are left: the mint comes."""
    listing = a_listing(an_issued(), YOUNG, replace(OLDER, revoked_at=NOW))
    decision = decide(a_snapshot(listing=listing, trigger=a_trigger()), NOW)
    assert isinstance(decision.step, Mint)


def test_tokens_that_lost_answers_may_have_made_count_though_no_list_shows_them() -> None:
    """Answers keep getting lost and the list is stale: what may live counts as living, until the quiet period ends."""
    ended = (an_ended_attempt("unseen-1", ended_at=NOW - HOUR + MINUTE), an_ended_attempt("unseen-2", ended_at=NOW))
    snapshot = a_snapshot(trigger=a_trigger(), memory=a_memory(ended=ended))
    assert not isinstance(decide(snapshot, NOW).step, Mint)
    assert decide(snapshot, NOW).hindrance is not None
    assert isinstance(decide(snapshot, NOW + MINUTE).step, Mint)


def test_a_list_older_than_the_quiet_period_cannot_show_that_nothing_came_of_an_attempt() -> None:
    """A process that was paused between looking and deciding still counts what its list could not show."""
    ended = (an_ended_attempt("unseen-1", ended_at=NOW), an_ended_attempt("unseen-2", ended_at=NOW))
    snapshot = a_snapshot(trigger=a_trigger(), memory=a_memory(ended=ended))
    late, listing = NOW + 2 * HOUR, a_listing(an_issued())
    asked = {moment: {ISSUER: replace(listing, asked_at=moment)} for moment in (NOW + MINUTE, NOW + HOUR)}
    assert decide(replace(snapshot, listings=asked[NOW + MINUTE]), late).hindrance is not None
    assert isinstance(decide(replace(snapshot, listings=asked[NOW + HOUR]), late).step, Mint)


@pytest.mark.parametrize(
    ("listing", "moment", "mints"),
    [
        (unreadable(), NOW + 29 * DAY, False),
        (unreadable(), NOW + 30 * DAY, True),
        (replace(a_listing(), asked_at=NOW + HOUR - INSTANT), NOW + DAY, False),
        (replace(a_listing(), asked_at=NOW + HOUR), NOW + DAY, True),
        (None, NOW + MINUTE, True),
    ],
    ids=["gives no list", "gave none for a whole life", "asked too early", "asked late enough", "not configured"],
)
def test_only_the_list_of_its_own_issuer_shows_that_nothing_came_of_an_attempt(
    listing: Listing | Unreadable | None,
    moment: datetime,
    mints: bool,  # noqa: FBT001  # a column of the table
) -> None:
    """The name has moved on meanwhile: the fresh list of another issuer says nothing."""
    ended = tuple(an_ended_attempt(f"unseen-{number}", ended_at=NOW, issuer=FORMER_ISSUER) for number in range(3))
    listings: dict[str, Listing | Unreadable] = {ISSUER: a_listing()}
    if listing is not None:
        listings[FORMER_ISSUER] = listing
    snapshot = a_snapshot(primary=nothing_stored(), listings=listings, memory=a_memory(ended=ended))
    assert isinstance(decide(snapshot, moment).step, Mint) == mints


def test_nothing_is_minted_elsewhere_while_the_issuer_of_the_stored_token_gives_no_list() -> None:
    """What lives there cannot be counted; the remedy is named."""
    snapshot = issuer_moved(a_snapshot(listings={ISSUER: unreadable("no route"), FORMER_ISSUER: a_listing()}))
    decision = decide(snapshot, NOW)
    assert (decision.fact, decision.step) == ("issuer_has_changed", Rest(until=NOW + snapshot.token.drift_interval))
    assert decision.hindrance is not None
    assert f"former issuer {ISSUER} could not be listed (no route)" in decision.hindrance
    assert "take it out of the configuration" in decision.hindrance


@pytest.mark.parametrize(("moment", "mints"), [(EXPIRES_AT - INSTANT, False), (EXPIRES_AT, True)])
def test_what_an_issuer_listed_last_counts_while_it_gives_no_list(moment: datetime, mints: bool) -> None:  # noqa: FBT001  # a column of the table
    """Nothing is stored, and three lived where nobody answers now: until they have expired, there is no room."""
    listings: dict[str, Listing | Unreadable] = {ISSUER: unreadable(), FORMER_ISSUER: a_listing()}
    memory = replace(a_memory(), listed={ISSUER: tuple(an_issued(f"seen-{number}") for number in range(3))})
    token = a_token(issuer=FORMER_ISSUER)
    snapshot = a_snapshot(token=token, primary=nothing_stored(), listings=listings, memory=memory)
    decision = decide(snapshot, moment)
    assert isinstance(decision.step, Mint) == mints
    assert mints or f"may live at {ISSUER}, which gives no list: if it is gone" in (decision.hindrance or "")
    readable = replace(snapshot, listings={ISSUER: a_listing(), FORMER_ISSUER: a_listing()})
    assert isinstance(decide(readable, moment).step, Mint)


def test_an_issuer_that_the_stored_token_is_not_of_holds_nothing_up() -> None:
    """Another cluster's trouble delays no rotation."""
    snapshot = a_snapshot(listings={ISSUER: a_listing(an_issued()), FORMER_ISSUER: unreadable()}, trigger=a_trigger())
    assert isinstance(decide(snapshot, NOW).step, Mint)


def test_the_successor_of_a_token_near_its_end_does_not_wait_for_its_former_issuer() -> None:
    """Else it would run out with no overlap: counting comes second."""
    snapshot = issuer_moved(a_snapshot(listings={ISSUER: unreadable(), FORMER_ISSUER: a_listing()}))
    near = EXPIRES_AT - OVERLAP - ROTATION_TIMEOUT
    assert isinstance(decide(snapshot, near).step, Mint)
    assert decide(snapshot, near - MINUTE).step == Rest(until=near)


def _after_two(**memory: Any) -> Snapshot:
    """Give a name whose record came after two rotations, asked to rotate while another issuer gives no list."""
    record = replace(a_record(), predecessors=(rotation_of("before-1"), rotation_of("before-2")))
    listings: dict[str, Listing | Unreadable] = {ISSUER: a_listing(an_issued()), FORMER_ISSUER: unreadable("no route")}
    remembered = replace(a_memory(), **memory)
    return a_snapshot(primary=stored(record), listings=listings, trigger=a_trigger(), memory=remembered)


def test_predecessors_that_no_list_shows_count_while_an_issuer_gives_none() -> None:
    """A process that has just begun remembers no list: they may live there, and the remedy is named."""
    decision = decide(_after_two(), NOW)
    assert not isinstance(decision.step, Mint)
    assert f"may live at {FORMER_ISSUER}, which gives no list: if it is gone" in (decision.hindrance or "")


def test_predecessors_that_no_list_shows_hold_nothing_up_once_the_stored_token_is_near_its_end() -> None:
    """They end before it does."""
    near = EXPIRES_AT - OVERLAP - ROTATION_TIMEOUT
    assert isinstance(decide(_after_two(), near).step, Mint)
    assert decide(_after_two(), near - MINUTE).step == Rest(until=near)


def test_predecessors_that_no_list_shows_are_gone_where_every_issuer_gives_one() -> None:
    """An issuer that is out of the configuration counts as little."""
    for listings in ({ISSUER: a_listing(an_issued())}, {ISSUER: a_listing(an_issued()), FORMER_ISSUER: a_listing()}):
        assert isinstance(decide(replace(_after_two(), listings=listings), NOW).step, Mint)


def test_a_predecessor_that_was_seen_on_a_list_and_is_no_more_is_gone() -> None:
    """Many an issuer lists no token once it is revoked: another one's silence says nothing of it."""
    assert isinstance(decide(_after_two(seen=frozenset({rotation_of("before-1")})), NOW).step, Mint)


def test_a_predecessor_on_the_last_list_counts_once() -> None:
    """One is remembered as live and one as revoked: there is room for one more."""
    last = (
        an_issued("before-1", issuer=FORMER_ISSUER),
        an_issued("before-2", issuer=FORMER_ISSUER, revoked_at=NOW - HOUR),
    )
    assert isinstance(decide(_after_two(listed={FORMER_ISSUER: last}), NOW).step, Mint)


def test_what_was_seen_of_predecessors_is_remembered_for_as_long_as_they_are() -> None:
    """Until a record that does not name them is stored: nothing grows without end."""
    predecessor = an_issued("before-1")
    memory = recollection.listed(a_memory(), replace(_after_two(), listings={ISSUER: a_listing(predecessor)}))
    assert recollection.listed(memory, _after_two()).seen >= {rotation_of("before-1")}
    assert recollection.listed(memory, a_snapshot()).seen == {rotation_of(CURRENT)}


def test_tokens_of_others_do_not_count() -> None:
    """Foreign ones, however many, hold nothing up."""
    foreign = [an_issued(f"foreign-{number}", owner=None) for number in range(9)]
    snapshot = a_snapshot(listing=a_listing(an_issued(), *foreign), trigger=a_trigger())
    assert isinstance(decide(snapshot, NOW).step, Mint)


@pytest.mark.parametrize(
    "listed", [[an_issued(revoked_at=NOW - 5 * HOUR)], []], ids=["listed as revoked", "not listed and refused"]
)
@pytest.mark.parametrize("proves_by_use", [False, True])
def test_a_dead_token_and_three_orphans_of_a_crashed_process_are_no_dead_end(
    listed: list[IssuedToken],
    proves_by_use: bool,  # noqa: FBT001  # a column of the table
) -> None:
    """Their quiet periods are over, and nothing else will ever change: one is revoked, or all stays dark."""
    orphans = [an_issued(f"orphan-{number}", created_at=NOW - 3 * HOUR) for number in range(3)]
    snapshot = a_snapshot(
        listing=a_listing(*listed, *orphans, proves_by_use=proves_by_use),
        memory=a_memory(trial=a_trial(TrialResult.REFUSED, tried_at=NOW - MINUTE, refused_since=NOW - HOUR)),
    )
    decision = decide(snapshot, NOW)
    assert decision.fact in {"stored_token_is_dead", "token_has_outlived_its_time"}
    assert isinstance(decision.step, Revoke)


@pytest.mark.parametrize("content", [a_foreign_secret(), a_record("older")], ids=["foreign", "left behind"])
def test_a_copy_that_cannot_be_mended_is_no_dead_end(content: Content) -> None:
    """Two orphans that no destination holds, and a copy out of step for good: an orphan goes, and rotation goes on."""
    orphans = [an_issued(f"orphan-{number}", created_at=NOW - 3 * HOUR) for number in range(2)]
    broken = stored(content, destination=SECOND_PLACE)
    snapshot = a_snapshot(
        token=a_token(rotate_at=0.01, destinations=(PRIMARY, SECOND_PLACE)),
        copies=(broken,),
        listing=a_listing(an_issued(), *orphans),
        memory=a_memory(backoffs={f"copy:{SECOND_PLACE}": a_backoff(NOW + MINUTE)}),
    )
    assert isinstance(decide(snapshot, NOW).step, Revoke)


@pytest.mark.parametrize("copy", [unreadable(), stored(a_damaged_record(), destination=SECOND_PLACE)])
def test_what_an_unreadable_copy_may_hold_is_kept_even_then(copy: Stored | Unreadable) -> None:
    """The store may still serve it to consumers: never retire that, whatever waits for it."""
    orphans = [an_issued(f"orphan-{number}", created_at=NOW - 3 * HOUR) for number in range(2)]
    snapshot = a_snapshot(
        token=a_token(rotate_at=0.01, destinations=(PRIMARY, SECOND_PLACE)),
        copies=(copy,),
        listing=a_listing(an_issued(), *orphans),
        memory=a_memory(backoffs={f"copy:{SECOND_PLACE}": a_backoff(NOW + MINUTE)}),
    )
    assert isinstance(decide(snapshot, NOW).step, Rest)


# --- backoff --------------------------------------------------------------------------------------------


@pytest.mark.parametrize("fact", [fact for fact in MINTING if fact != "trigger_is_pending"])
@pytest.mark.parametrize(("wait", "mints"), [(timedelta(0), True), (INSTANT, False), (MINUTE, False)])
def test_a_mint_that_failed_waits_for_its_backoff(fact: str, wait: timedelta, mints: bool) -> None:  # noqa: FBT001  # a column of the table
    """Whatever asks for it: one backoff for all of them, and the wait ends with it."""
    memory = a_memory(backoffs={MINT_KEY: a_backoff(NOW + wait, error="permission denied")})
    decision = decide(replace(a_snapshot_with(fact), memory=memory), NOW)
    assert decision.fact == fact
    if mints:
        assert isinstance(decision.step, Mint)
        assert decision.hindrance is None
    else:
        assert decision.step == Rest(until=NOW + wait)
        assert "permission denied" in (decision.hindrance or "")


OTHERS = {MINT_KEY: a_backoff(NOW + MINUTE)}
OWN = {f"{MINT_KEY}:request-1": a_backoff(NOW + MINUTE)}
ANOTHER_S = {f"{MINT_KEY}:request-0": a_backoff(NOW + MINUTE)}


@pytest.mark.parametrize(
    ("backoffs", "mints"), [({}, True), (OTHERS, True), (ANOTHER_S, True), (OWN, False), ({**OTHERS, **OWN}, False)]
)
@pytest.mark.parametrize("fact", MINTING)
def test_a_person_s_wish_waits_for_its_own_failures_alone(fact: str, backoffs: dict[str, Backoff], mints: bool) -> None:  # noqa: FBT001  # a column of the table
    """Its first attempt ignores the failures of others; after its own it backs off like everything else."""
    snapshot = asked_for(a_snapshot_with(fact))
    decision = decide(replace(snapshot, memory=a_memory(backoffs=backoffs)), NOW)
    assert isinstance(decision.step, Mint) == mints
    assert (decision.hindrance is None) == mints


def test_a_wish_that_was_honoured_beats_no_backoff() -> None:
    """Sent again, it is no wish any more: a rotation that is due by itself waits for its own failures."""
    snapshot = due(a_snapshot(primary=stored(a_record(request_id="request-1")), trigger=a_trigger("request-1")))
    decision = decide(replace(snapshot, memory=a_memory(backoffs=OTHERS)), NOW)
    assert not isinstance(decision.step, Mint)


def test_a_person_s_wish_ignores_the_window() -> None:
    """Now means now."""
    token = a_token(window=Openings(((EXPIRES_AT - DAY, EXPIRES_AT),)))
    assert isinstance(decide(a_snapshot(token=token, trigger=a_trigger()), NOW).step, Mint)


def test_a_dead_token_ignores_the_window() -> None:
    """Production is dark: it is minted now."""
    token = a_token(window=Openings(((EXPIRES_AT - DAY, EXPIRES_AT),)))
    listing = a_listing(an_issued(revoked_at=NOW))
    assert isinstance(decide(a_snapshot(token=token, listing=listing), NOW).step, Mint)


@pytest.mark.parametrize("key", ["copy:vault:elsewhere", "revoke:older", "gather", "try"])
def test_the_failures_of_other_effects_hold_no_mint_up(key: str) -> None:
    """A copy or a revocation that fails has a backoff of its own."""
    memory = a_memory(backoffs={key: a_backoff(NOW + HOUR)})
    assert isinstance(decide(replace(a_snapshot_with("rotation_is_due"), memory=memory), NOW).step, Mint)


def test_a_held_up_mint_leaves_room_for_a_copy_and_then_for_a_revocation() -> None:
    """A destination is repaired and an orphan revoked though no token may be minted; all the while it is told."""
    due = replace(copy_differing(a_snapshot_with("rotation_is_due")), memory=a_memory(backoffs=OTHERS))
    copying = decide(due, NOW)
    assert isinstance(copying.step, Copy)
    assert copying.hindrance is not None
    in_step = replace(
        due,
        copies=(stored(destination=SECOND_PLACE),),
        listings={ISSUER: a_listing(an_issued(), OLDER)},
    )
    revoking = decide(in_step, NOW)
    assert isinstance(revoking.step, Revoke)
    assert revoking.hindrance is not None
