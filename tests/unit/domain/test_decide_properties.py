"""What holds of every decision, whatever the snapshot: Hypothesis looks for one of which it does not.

The rules are checked together on each snapshot that is drawn, since drawing one costs far more than
deciding on it; an assertion names the rule that it stands in.
"""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime, timedelta

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from provisioner.domain.decide import answers, decide
from provisioner.domain.memory import TrialResult as Result
from provisioner.domain.model import Absent, Foreign, IssuedToken, Listing, Record, Reservation, Stored
from provisioner.domain.retirement import retirements
from provisioner.domain.snapshot import Snapshot
from provisioner.domain.status import status_of
from provisioner.domain.steps import Copy, Decision, Mint, Refuse, Rest, Revoke, TryStored
from tests.unit.domain.builders import DAY, MINUTE, NOW, OWNER, secret_of
from tests.unit.domain.strategies import IDS, snapshots


@dataclass(frozen=True, slots=True, kw_only=True)
class Case:
    """A snapshot, a moment, and what was decided."""

    snapshot: Snapshot
    now: datetime
    decision: Decision

    @property
    def places(self) -> list[Stored]:
        """The destinations that were read."""
        return [place for place in (self.snapshot.primary, *self.snapshot.copies) if isinstance(place, Stored)]

    @property
    def ours(self) -> list[IssuedToken]:
        """The tokens with exactly our mark that are listed anywhere, found apart from the code under test."""
        return [
            token
            for listing in self.snapshot.listings.values()
            if isinstance(listing, Listing)
            for token in listing.tokens
            if token.mark is not None and token.mark.owner == OWNER
        ]


def deciding_twice_gives_the_same(case: Case) -> None:
    """A decision depends on the snapshot and the time alone, and says something."""
    assert decide(case.snapshot, case.now) == case.decision
    assert case.decision.message


def rest_ends_in_the_future(case: Case) -> None:
    """Resting is no loop, and never longer than the drift check, save for the backoff of looking."""
    step = case.decision.step
    if isinstance(step, Rest | Refuse):
        assert step.until > case.now
        if case.decision.fact != "truth_is_unreadable":
            assert step.until <= case.now + case.snapshot.token.drift_interval


def nothing_stored_is_revoked(case: Case) -> None:
    """No id that any readable destination holds, be it the primary or a copy."""
    if isinstance(case.decision.step, Revoke):
        held = {place.record.token_id for place in case.places if place.record is not None}
        assert case.decision.step.target.token_id not in held


def nothing_foreign_is_revoked(case: Case) -> None:
    """Only tokens that carry the mark of exactly our instance and name, as they were listed, and not yet revoked."""
    if isinstance(case.decision.step, Revoke):
        assert case.decision.step.target in case.ours
        assert case.decision.step.target.revoked_at is None


def nothing_is_done_blind(case: Case) -> None:
    """While the primary or the configured issuer cannot be read, all that is done is to look again."""
    read = isinstance(case.snapshot.listings.get(case.snapshot.token.issuer), Listing)
    if not read or not isinstance(case.snapshot.primary, Stored):
        assert isinstance(case.decision.step, Rest)


def foreign_secrets_are_refused(case: Case) -> None:
    """Without leave to adopt, a foreign secret at the primary stops everything."""
    primary = case.snapshot.primary
    if isinstance(primary, Stored) and isinstance(primary.content, Foreign) and not primary.destination.adopt:
        assert isinstance(case.decision.step, Rest | Refuse)


def nothing_is_minted_beside_three(case: Case) -> None:
    """Whatever asks for it; one that two lists show, with the same mark and id, is one."""
    if isinstance(case.decision.step, Mint):
        live = [token for token in case.ours if token.revoked_at is None]
        live = [token for token in live if token.expires_at is None or token.expires_at > case.now]
        assert len({(token.mark, token.token_id) for token in live}) < 3


def a_mint_is_committed_against_what_was_read(case: Case) -> None:
    """The revision gathered, never another."""
    if isinstance(case.decision.step, Mint):
        assert case.decision.step.primary == case.snapshot.primary


def a_copy_spreads_the_primary_s_record(case: Case) -> None:
    """Never a copy's record to the primary; against the revision read there; and over no foreign secret."""
    step = case.decision.step
    if isinstance(step, Copy):
        assert step.record == case.snapshot.record
        (place,) = [place for place in case.places if place.destination == step.destination]
        assert step.revision == place.revision
        assert not isinstance(place.content, Foreign) or place.destination.adopt


def a_fence_writes_again_what_is_stored(case: Case) -> None:
    """The unchanged record, or a reservation where nothing is stored: it never takes a token from consumers."""
    step = case.decision.step
    if isinstance(step, Revoke):
        assert step.primary == case.snapshot.primary
        if isinstance(step.fence, Record):
            assert step.primary.content == step.fence
        elif step.fence is not None:
            assert isinstance(step.primary.content, Absent | Reservation)


def an_unfenced_orphan_is_fenced(case: Case) -> None:
    """What is not surely older than the current token, nor surely never to land, is not revoked without a fence."""
    step = case.decision.step
    if not isinstance(step, Revoke) or step.fence is not None or step.target.is_expired(case.now):
        return
    current, target, memory = case.snapshot.current, step.target, case.snapshot.memory
    assert target.mark is not None
    older = (
        current is not None
        and current.issuer == target.issuer
        and current.created_at is not None
        and target.created_at is not None
        and target.created_at < current.created_at
    )
    ended = memory.ended_attempt(target.mark.rotation_id)
    fence = memory.fence
    fenced = fence is not None and fence.revision == step.primary.revision
    fenced = fenced and fence is not None and target.mark.rotation_id in fence.rotation_ids
    assert older or fenced or (ended is not None and not ended.may_land)


def a_predecessor_waits_for_its_successor(case: Case) -> None:
    """Older than a current token that lives: every destination holds that one, and the overlap is over."""
    step, current, record = case.decision.step, case.snapshot.current, case.snapshot.record
    if not isinstance(step, Revoke) or current is None or record is None or step.target.issuer != current.issuer:
        return
    created, mark = step.target.created_at, step.target.mark
    if created is None or current.created_at is None or created >= current.created_at or mark is None:
        return
    if case.snapshot.memory.ended_attempt(mark.rotation_id) is not None or step.target.is_expired(case.now):
        return
    assert all(isinstance(place, Stored) and place.record == record for place in case.snapshot.copies)
    if not record.compromised and current.is_live(case.now):
        assert record.stored_at + case.snapshot.token.overlap <= case.now


def every_effect_waits_for_its_backoff(case: Case) -> None:
    """Whatever failed waits, each effect by its own key."""
    step = case.decision.step
    if isinstance(step, Mint | TryStored | Copy | Revoke):
        assert case.snapshot.memory.must_wait(step.key, case.now) is None


def trying_is_no_loop(case: Case) -> None:
    """A trial that was answered just now is not repeated."""
    step, trial = case.decision.step, case.snapshot.memory.trial
    if isinstance(step, TryStored) and trial is not None and trial.tried_at == case.now:
        same = (trial.token_id, trial.revision) == (step.record.token_id, step.revision)
        assert not same or trial.result is Result.NO_ANSWER


def no_words_hold_a_token(case: Case) -> None:
    """Decisions, answers, plans and status name ids, never a string; nor does any repr."""
    words = repr((case.decision, answers(case.snapshot, case.now), retirements(case.snapshot, case.now), case.snapshot))
    words += repr(status_of(case.snapshot, case.decision, case.now))
    assert not [token_id for token_id in IDS if secret_of(token_id) in words]


RULES: tuple[Callable[[Case], None], ...] = (
    deciding_twice_gives_the_same,
    rest_ends_in_the_future,
    nothing_stored_is_revoked,
    nothing_foreign_is_revoked,
    nothing_is_done_blind,
    foreign_secrets_are_refused,
    nothing_is_minted_beside_three,
    a_mint_is_committed_against_what_was_read,
    a_copy_spreads_the_primary_s_record,
    a_fence_writes_again_what_is_stored,
    an_unfenced_orphan_is_fenced,
    a_predecessor_waits_for_its_successor,
    every_effect_waits_for_its_backoff,
    trying_is_no_loop,
    no_words_hold_a_token,
)


@pytest.mark.slow
@settings(max_examples=1500, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(snapshot=snapshots(), after=st.sampled_from([timedelta(0), timedelta(0), MINUTE, 400 * DAY]))
def test_every_decision_keeps_every_rule(snapshot: Snapshot, after: timedelta) -> None:
    """Deciding never fails, and what is decided breaks none of the rules above."""
    case = Case(snapshot=snapshot, now=NOW + after, decision=decide(snapshot, NOW + after))
    for rule in RULES:
        rule(case)
