"""When tokens that are not current end, by the protocol: predecessors, orphans, given-up attempts, and what is kept.

The default current token was issued a day ago and stored a minute later; ``OVERLAP`` is two hours and
``QUIET_PERIOD`` one.
"""

from collections.abc import Sequence
from dataclasses import replace
from datetime import datetime

import pytest

from provisioner.domain.mark import Owner
from provisioner.domain.memory import Memory, Trial, TrialResult
from provisioner.domain.model import IssuedToken, Listing, Reservation, Stored, Unreadable
from provisioner.domain.retirement import Retirement, is_proven, retirements, stored_since
from tests.unit.domain.builders import (
    CURRENT,
    DAY,
    FORMER_ISSUER,
    HOUR,
    INSTANCE,
    INSTANT,
    ISSUED_AT,
    ISSUER,
    MINUTE,
    NAME,
    NOW,
    OVERLAP,
    PRIMARY,
    QUIET_PERIOD,
    SECOND,
    SECOND_PLACE,
    STORED_AT,
    TTL,
    a_damaged_record,
    a_foreign_secret,
    a_listing,
    a_memory,
    a_record,
    a_snapshot,
    a_token,
    a_trial,
    an_issued,
    nothing_stored,
    stored,
    unreadable,
)
from tests.unit.domain.plans import listed, plan_of

OLDER = an_issued("older", created_at=ISSUED_AT - 10 * DAY)
YOUNGER = an_issued("younger", created_at=NOW - 30 * MINUTE)
QUIET_ENDS = NOW - 30 * MINUTE + QUIET_PERIOD
TWO_PLACES = a_token(destinations=(PRIMARY, SECOND_PLACE))


def ids(plans: Sequence[Retirement]) -> list[str]:
    """Give the ids of the tokens that are to end, in order."""
    return [plan.target.token_id for plan in plans]


# --- who is to end at all ---------------------------------------------------------------------------


def test_nothing_is_to_end_where_only_the_current_token_lives() -> None:
    """The stored token itself is never to be retired."""
    assert retirements(a_snapshot(), NOW) == ()


@pytest.mark.parametrize(
    "other",
    [
        an_issued("x", owner=None),
        an_issued("x", owner=Owner(INSTANCE, "other")),
        an_issued("x", owner=Owner("prod-us", NAME)),
        an_issued("x", created_at=ISSUED_AT - DAY, revoked_at=NOW - DAY),
        an_issued("x", created_at=ISSUED_AT - TTL, expires_at=NOW),
        an_issued("x", created_at=ISSUED_AT - TTL, expires_at=NOW - DAY, revoked_at=NOW - DAY),
    ],
)
def test_foreign_and_dead_tokens_are_left_alone(other: IssuedToken) -> None:
    """Unmarked ones, those of another name or instance, revoked and expired ones: none is touched."""
    assert retirements(a_snapshot(listing=listed(other)), NOW) == ()


def test_what_any_destination_still_holds_is_kept() -> None:
    """A copy that still serves the older token keeps it from ending, and so does the primary."""
    snapshot = a_snapshot(
        token=TWO_PLACES, copies=(stored(a_record("older"), destination=SECOND_PLACE),), listing=listed(OLDER)
    )
    assert retirements(snapshot, NOW) == ()


def test_nothing_is_revoked_while_the_store_cannot_be_read() -> None:
    """Without knowing which token is the current one, none has a time to end."""
    plans = retirements(a_snapshot(primary=unreadable(), listing=listed(OLDER, YOUNGER)), NOW)
    assert {plan.revoke_at for plan in plans} == {None}


def test_plans_come_oldest_first_and_those_of_unknown_age_last() -> None:
    """The order is that of creation, so that the oldest is revoked first."""
    unknown = an_issued("a-unknown", created_at=None)
    oldest = an_issued("z-oldest", created_at=ISSUED_AT - 20 * DAY)
    assert ids(retirements(a_snapshot(listing=listed(unknown, YOUNGER, OLDER, oldest)), NOW)) == [
        "z-oldest",
        "older",
        "younger",
        "a-unknown",
    ]


# --- since when, and whether it works -------------------------------------------------------------


@pytest.mark.parametrize(
    ("written_at", "since"),
    [
        (None, STORED_AT),
        (STORED_AT - HOUR, STORED_AT),
        (STORED_AT + INSTANT, STORED_AT + INSTANT),
        (STORED_AT + DAY, STORED_AT + DAY),
    ],
)
def test_a_record_is_current_since_the_later_of_two_clocks(written_at: datetime | None, since: datetime) -> None:
    """A write may land long after it was sent: the later of the writer's word and the store's counts."""
    assert stored_since(stored(written_at=written_at), a_record()) == since


REFUSED, WORKS, NO_ANSWER = TrialResult.REFUSED, TrialResult.WORKS, TrialResult.NO_ANSWER


@pytest.mark.parametrize(
    ("current", "proves_by_use", "memory", "proven"),
    [
        (an_issued(), False, a_memory(), True),
        (an_issued(), True, a_memory(), False),
        (an_issued(revoked_at=NOW), False, a_memory(), False),
        (None, False, a_memory(), False),
        (None, False, a_memory(trial=a_trial(WORKS)), True),
        (None, True, a_memory(trial=a_trial(WORKS)), True),
        (an_issued(), True, a_memory(trial=a_trial(WORKS)), True),
        (an_issued(), True, a_memory(trial=a_trial(REFUSED)), False),
        (an_issued(), False, a_memory(trial=a_trial(REFUSED)), False),
        (an_issued(), False, a_memory(trial=a_trial(NO_ANSWER)), True),
        (an_issued(), True, a_memory(trial=a_trial(NO_ANSWER)), False),
        (an_issued(), True, a_memory(trial=a_trial(WORKS, revision="6")), False),
        (an_issued(), True, a_memory(trial=a_trial(WORKS, token_id="older")), False),
    ],
)
def test_the_current_token_is_proven_by_use_where_the_issuer_can_else_by_its_list(
    current: IssuedToken | None,
    proves_by_use: bool,  # noqa: FBT001  # a column of the table
    memory: Memory,
    proven: bool,  # noqa: FBT001  # a column of the table
) -> None:
    """Only a trial of just what is stored counts, and a refusal counts more than a list."""
    listing = a_listing(*([current] if current else []), proves_by_use=proves_by_use)
    assert is_proven(a_snapshot(listing=listing, memory=memory)) == proven


def test_without_a_record_or_a_list_nothing_is_proven() -> None:
    """What cannot be seen was not seen to work."""
    assert not is_proven(a_snapshot(primary=nothing_stored()))
    assert not is_proven(a_snapshot(primary=unreadable()))
    assert not is_proven(a_snapshot(listing=unreadable()))


# --- predecessors -----------------------------------------------------------------------------------


@pytest.mark.parametrize("written_at", [None, STORED_AT - HOUR, STORED_AT + 3 * HOUR])
def test_a_predecessor_ends_when_the_overlap_is_over(written_at: datetime | None) -> None:
    """Older than the current one by one issuer's clock: it ends at stored plus overlap, and needs no fence."""
    plan = plan_of(a_snapshot(primary=stored(written_at=written_at), listing=listed(OLDER)))
    assert plan.target == OLDER
    assert plan.revoke_at == max(STORED_AT, written_at or STORED_AT) + OVERLAP
    assert plan.fence is None
    assert not plan.is_orphan


@pytest.mark.parametrize(
    "copy",
    [
        unreadable(),
        nothing_stored(destination=SECOND_PLACE),
        stored(Reservation(), destination=SECOND_PLACE),
        stored(a_damaged_record(), destination=SECOND_PLACE),
        stored(a_foreign_secret(), destination=SECOND_PLACE),
        stored(a_record("before"), destination=SECOND_PLACE),
        stored(a_record(stored_at=STORED_AT + SECOND), destination=SECOND_PLACE),
    ],
)
def test_a_predecessor_is_kept_until_every_destination_holds_the_current_token(copy: Stored | Unreadable) -> None:
    """A copy that cannot be read, or holds anything else, keeps it; the reason names the place."""
    plan = plan_of(a_snapshot(token=TWO_PLACES, copies=(copy,), listing=listed(OLDER)))
    assert plan.revoke_at is None
    assert str(SECOND_PLACE) in plan.why


def test_a_copy_that_holds_the_current_token_keeps_nothing() -> None:
    """Every destination in step: the predecessor has its time. The spelling of a copy does not matter."""
    copy = stored(destination=SECOND_PLACE, faithful=False)
    plan = plan_of(a_snapshot(token=TWO_PLACES, copies=(copy,), listing=listed(OLDER)))
    assert plan.revoke_at == STORED_AT + OVERLAP


@pytest.mark.parametrize("memory", [a_memory(), a_memory(trial=a_trial(REFUSED)), a_memory(trial=a_trial(NO_ANSWER))])
def test_a_predecessor_is_kept_until_the_current_token_was_seen_to_work(memory: Memory) -> None:
    """Both are kept until the new one is proven live, whatever the list says."""
    plan = plan_of(a_snapshot(listing=listed(OLDER, proves_by_use=True), memory=memory))
    assert plan.revoke_at is None
    assert CURRENT in plan.why


@pytest.mark.parametrize("trial", [a_trial(REFUSED), a_trial(NO_ANSWER)])
def test_predecessors_are_no_room_for_a_mint_while_the_current_token_may_yet_work(trial: Trial) -> None:
    """Three live, and the current one listed as live but not proven: the older ones may be all that works."""
    other = replace(OLDER, token_id="oldest", created_at=ISSUED_AT - 11 * DAY)
    memory = a_memory(trial=trial)
    plans = retirements(a_snapshot(listing=listed(OLDER, other, proves_by_use=True), memory=memory), NOW)
    assert [plan.revoke_at for plan in plans] == [None, None]


def test_a_predecessor_of_a_compromised_rotation_has_no_overlap() -> None:
    """Compromised makes the overlap zero: it ends as soon as the current one was stored."""
    plan = plan_of(a_snapshot(primary=stored(a_record(compromised=True)), listing=listed(OLDER)))
    assert plan.revoke_at is not None
    assert plan.revoke_at <= STORED_AT
    assert plan.fence is None


@pytest.mark.parametrize("proves_by_use", [False, True])
def test_compromised_does_not_revoke_what_the_new_token_has_not_replaced(
    proves_by_use: bool,  # noqa: FBT001  # a column of the table
) -> None:
    """Zero overlap is no leave to go dark: a copy out of step, or an unproven token, is waited for all the same."""
    snapshot = a_snapshot(
        token=a_token() if proves_by_use else TWO_PLACES,
        primary=stored(a_record(compromised=True)),
        copies=() if proves_by_use else (unreadable(),),
        listing=listed(OLDER, proves_by_use=proves_by_use),
    )
    assert plan_of(snapshot).revoke_at is None


# --- orphans ----------------------------------------------------------------------------------------


def test_an_orphan_ends_after_the_quiet_period_behind_a_fence() -> None:
    """Younger than the current one: a late write of it may be under way, so the record is to be written again first."""
    plan = plan_of(a_snapshot(listing=listed(YOUNGER)))
    assert plan.target == YOUNGER
    assert plan.revoke_at == QUIET_ENDS
    assert plan.fence == a_record()
    assert plan.is_orphan


@pytest.mark.parametrize("primary", [nothing_stored(), nothing_stored(revision="7"), stored(Reservation())])
def test_with_nothing_stored_the_fence_is_a_reservation(primary: Stored) -> None:
    """First provisioning, a deleted secret, or a reservation already: the revision is moved by a reservation."""
    plans = retirements(a_snapshot(primary=primary, listing=a_listing(OLDER, YOUNGER, an_issued("third"))), NOW)
    (plan,) = [plan for plan in plans if plan.revoke_at is not None]
    assert plan.target == YOUNGER, "the others may be what consumers had"
    assert plan.revoke_at == QUIET_ENDS
    assert plan.fence == Reservation()


@pytest.mark.parametrize("primary", [nothing_stored(), nothing_stored(revision="7"), stored(Reservation())])
def test_with_nothing_stored_nothing_ends_that_stands_in_nobodys_way(primary: Stored) -> None:
    """A secret deleted by accident, and no successor yet: what consumers have in their caches is left alone."""
    plans = retirements(a_snapshot(primary=primary, listing=a_listing(OLDER, YOUNGER)), NOW + 5 * DAY)
    assert [plan.revoke_at for plan in plans] == [None, None]


def test_a_token_created_in_the_same_instant_as_the_current_one_is_not_its_predecessor() -> None:
    """Equal times tell nothing: it is fenced as an orphan, and is given the overlap in case it was current."""
    twin = an_issued("twin")
    plan = plan_of(a_snapshot(listing=listed(twin)))
    assert plan.fence == a_record()
    assert plan.revoke_at is not None
    assert plan.revoke_at >= max(ISSUED_AT + QUIET_PERIOD, STORED_AT + OVERLAP)


@pytest.mark.parametrize(
    "listing",
    [
        a_listing(an_issued(created_at=None), OLDER),
        a_listing(an_issued(issuer="elsewhere", created_at=None), OLDER),
    ],
)
def test_where_the_age_of_the_current_token_is_unknown_nothing_is_a_predecessor(listing: Listing) -> None:
    """Without two times by one clock a token is fenced before it ends, however old it looks."""
    plan = plan_of(a_snapshot(listing=listing))
    assert plan.fence == a_record()
    assert plan.revoke_at is not None
    assert plan.revoke_at >= STORED_AT + OVERLAP


def test_where_the_current_token_is_not_listed_nothing_is_a_predecessor() -> None:
    """A list can be stale: once the current one was proven by use, the older is fenced and keeps its overlap."""
    plan = plan_of(a_snapshot(listing=a_listing(OLDER), memory=a_memory(trial=a_trial(WORKS))))
    assert plan.fence == a_record()
    assert plan.revoke_at is not None
    assert plan.revoke_at >= STORED_AT + OVERLAP


def test_a_token_of_unknown_age_is_kept() -> None:
    """Without a creation time nobody knows whether its quiet period is over."""
    plan = plan_of(a_snapshot(listing=listed(an_issued("ageless", created_at=None))))
    assert plan.revoke_at is None
    assert "created" in plan.why


def test_a_person_who_restores_an_older_version_has_rolled_back() -> None:
    """The restored token is current now; the newer one was, too, so it lives for the overlap and then ends fenced."""
    newer = an_issued("newer", created_at=NOW - 5 * HOUR)
    restored_at = NOW - 10 * MINUTE
    plan = plan_of(a_snapshot(primary=stored(written_at=restored_at), listing=listed(newer)))
    assert plan.target == newer
    assert plan.revoke_at == restored_at + OVERLAP
    assert plan.fence == a_record()


def test_rolling_back_to_a_record_that_once_replaced_a_compromised_token_keeps_the_overlap() -> None:
    """Its zero overlap was for what came before it: the newer token was current until now, and nobody called it bad."""
    newer = an_issued("newer", created_at=NOW - 5 * HOUR)
    restored = stored(a_record(compromised=True), written_at=NOW - 10 * MINUTE)
    plan = plan_of(a_snapshot(primary=restored, listing=listed(newer)))
    assert plan.revoke_at == NOW - 10 * MINUTE + OVERLAP


@pytest.mark.parametrize("created_at", [ISSUED_AT - 10 * DAY, ISSUED_AT, NOW - 3 * HOUR])
def test_a_token_left_at_a_former_issuer_ends_after_both_periods(created_at: datetime) -> None:
    """Two issuers' clocks cannot be compared: quiet period and overlap both have to be over, and a fence is needed."""
    left = an_issued("left", issuer=FORMER_ISSUER, created_at=created_at)
    plan = plan_of(a_snapshot(listings={ISSUER: listed(), FORMER_ISSUER: a_listing(left)}))
    assert plan.revoke_at == max(created_at + QUIET_PERIOD, STORED_AT + OVERLAP)
    assert plan.fence == a_record()


def test_compromised_makes_the_overlap_zero_at_a_former_issuer_too() -> None:
    """Moved to another issuer because the old token leaked: what is left there has no overlap either."""
    left = an_issued("left", issuer=FORMER_ISSUER, created_at=ISSUED_AT - 10 * DAY)
    just_stored = stored(a_record(issued_at=NOW - MINUTE, stored_at=NOW, compromised=True))
    current = an_issued(created_at=NOW - MINUTE)
    plan = plan_of(
        a_snapshot(primary=just_stored, listings={ISSUER: a_listing(current), FORMER_ISSUER: a_listing(left)})
    )
    assert plan.revoke_at is not None
    assert plan.revoke_at <= NOW


@pytest.mark.parametrize("primary", [stored(a_damaged_record()), stored(a_damaged_record("token_id", "rotation_id"))])
def test_behind_a_damaged_record_nothing_is_revoked(primary: Stored) -> None:
    """Consumers still read the token of a damaged record, and any of ours may be that one: none may end."""
    plans = retirements(a_snapshot(primary=primary, listing=listed(OLDER, YOUNGER)), NOW + 5 * DAY)
    assert [plan.target.token_id for plan in plans if plan.revoke_at is not None] == []


def test_no_fence_replaces_a_damaged_record() -> None:
    """A fence writes what is stored again, unchanged: it never puts a reservation where consumers find a token."""
    plans = retirements(a_snapshot(primary=stored(a_damaged_record()), listing=listed(YOUNGER)), NOW + DAY)
    assert Reservation() not in [plan.fence for plan in plans]


def test_no_fence_replaces_a_secret_that_is_yet_to_be_adopted() -> None:
    """Adopting gives consumers our token in place of the foreign one; a reservation in its place gives them nothing."""
    place = replace(PRIMARY, adopt=True)
    primary = stored(a_foreign_secret(), destination=place)
    snapshot = a_snapshot(token=a_token(destinations=(place,)), primary=primary, listing=a_listing(YOUNGER))
    assert Reservation() not in [plan.fence for plan in retirements(snapshot, NOW + DAY)]


def test_a_copy_that_holds_another_token_lengthens_no_overlap() -> None:
    """It was written a moment ago, by somebody else: that says nothing of since when consumers have the current one."""
    copy = stored(a_record("before"), destination=SECOND_PLACE, written_at=NOW - SECOND)
    assert plan_of(a_snapshot(token=TWO_PLACES, copies=(copy,), listing=listed(YOUNGER))).revoke_at == QUIET_ENDS
