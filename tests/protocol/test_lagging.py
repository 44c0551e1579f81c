"""Issuers that say late, or not at all, what is: lists that lag behind, tokens that take a while, no creation time."""

from datetime import timedelta

from provisioner.domain.steps import Rest
from tests.builders import HOUR, MINUTE, PLACE, SECOND
from tests.rig import Rig, provisioned


def busy_passes(rig: Rig, duration: timedelta) -> int:
    """Let time go by as the daemon does, a second a pass; count the passes that left something to do at once."""
    end, busy = rig.clock.now() + duration, 0
    while rig.clock.now() < end:
        step = rig.reconcile().decision.step
        busy += not isinstance(step, Rest)
        until = step.until if isinstance(step, Rest) else rig.clock.now()
        rig.clock.advance(max(min(until, end) - rig.clock.now(), SECOND))
    return busy


def test_two_tokens_that_fall_due_at_a_lagging_list_are_revoked_once_each() -> None:
    """The list shows the first one as live while the second is revoked, and long after both are."""
    rig = provisioned()
    rig.issuer.stale = 10 * MINUTE
    rig.orphan(900)
    rig.orphan(901)
    rig.pass_time(59 * MINUTE)
    calls = dict(rig.issuer.faults.calls)
    assert busy_passes(rig, 15 * MINUTE) == 0
    assert rig.live_ids() == {"token-1"}
    assert rig.issuer.faults.calls["revoke"] - calls.get("revoke", 0) == 2
    assert rig.issuer.faults.calls["list"] - calls["list"] < 12


def test_a_revocation_that_had_no_effect_is_made_again() -> None:
    """Our own word counts against a list for the quiet period only."""
    rig = provisioned()
    orphan = rig.orphan()
    kept = rig.issuer.tokens[orphan]
    rig.pass_time(HOUR + 20 * MINUTE)
    assert rig.live_ids() == {"token-1"}
    rig.issuer.tokens[orphan] = kept
    rig.pass_time(HOUR - 30 * MINUTE)
    assert rig.live_ids() == {"token-1", orphan}
    rig.pass_time(HOUR)
    assert rig.live_ids() == {"token-1"}


def test_a_revocation_that_a_fresh_look_does_not_bear_out_waits() -> None:
    """A list that says one thing and then another makes no hot loop, and no failure is told of."""
    rig = provisioned()
    orphan = rig.orphan()
    rig.pass_time(59 * MINUTE)
    rig.clock.advance(2 * MINUTE)
    hidden, lists = rig.issuer.tokens[orphan], 0

    def flicker(operation: str) -> None:
        nonlocal lists
        if operation == "list":
            lists += 1
            if lists % 2:
                rig.issuer.tokens[orphan] = hidden
            else:
                rig.issuer.tokens.pop(orphan, None)

    rig.issuer.faults.before_call = flicker
    outcome = rig.reconcile()
    assert (outcome.changed, outcome.failures, outcome.revoked) == (0, (), ())
    assert isinstance(outcome.decision.step, Rest)
    assert lists <= 4
    rig.watch(lambda _: None)
    rig.issuer.tokens[orphan] = hidden
    rig.pass_time(10 * MINUTE)
    assert rig.live_ids() == {"token-1"}


def test_a_record_is_not_damaged_by_a_token_that_takes_a_while_to_work() -> None:
    """The answer to create says no time of creation; the record has that of the answer, not that of the proof."""
    rig = Rig(proves_by_use=True)
    rig.issuer.forget_created, rig.issuer.activation_lag = True, 2 * MINUTE
    rig.reconcile()
    assert rig.record is not None
    assert rig.record.issued_at == rig.issuer.tokens["token-1"].created_at
    rig.clock.advance(15 * MINUTE)
    rig.reconcile()
    assert len(rig.store.versions[PLACE.path]) == 1
