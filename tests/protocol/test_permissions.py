"""Permissions that the configuration changes: in place where the issuer can, and never of what is not ours."""

from collections.abc import Callable
from dataclasses import replace

import pytest

from provisioner.domain.events import PermissionsAmended
from provisioner.domain.model import Listing, Permission
from tests.builders import DAY, HOUR, MINUTE
from tests.fakes.faults import Fault
from tests.fakes.issuer import FakeIssuer
from tests.rig import Rig
from tests.simulation.scenes_credentials import READ_METRICS, permitted, with_anothers_id

WRITE_METRICS = Permission(action="write", resource="metrics")
WANTED = frozenset({READ_METRICS, WRITE_METRICS})


def edited() -> Rig:
    """Give a rig whose configuration asks for more than its token may do."""
    rig = permitted()
    rig.token = replace(rig.token, permissions=WANTED)
    rig.invariants.restraint.was_configured(rig.token)
    return rig


def permissions_of(rig: Rig) -> object:
    """What the stored token may do, by the issuer's own word."""
    return rig.issuer.tokens[str(rig.current_id)].permissions


def test_amended_in_place() -> None:
    """The token stays the same, no new one is made, and the change is told."""
    rig = edited()
    before = rig.current_id
    assert rig.reconcile().changed == 1
    assert (rig.current_id, permissions_of(rig)) == (before, WANTED)
    (told,) = [event for event in rig.events if isinstance(event, PermissionsAmended)]
    assert told.permissions == ("read:metrics", "write:metrics")
    assert rig.reconcile().changed == 0
    rig.settle()


def test_minted_where_it_cannot_be_amended() -> None:
    """A new token has them; the old one has its overlap."""
    rig = edited()
    before, rig.issuer.amends_permissions = rig.current_id, False
    rig.invariants.restraint.reasons_unknown = True
    rig.reconcile()
    assert rig.current_id != before
    assert permissions_of(rig) == WANTED
    assert rig.live_ids() == {before, rig.current_id}
    rig.settle()


def test_issuer_that_cannot_after_all() -> None:
    """An issuer whose later lists say that it cannot change them has a new token made."""
    rig = edited()
    rig.issuer.faults.add("amend", Fault.REFUSED)
    assert rig.reconcile().failures == ("the fake issuer says no",)
    rig.issuer.amends_permissions = False
    rig.invariants.restraint.reasons_unknown = True
    rig.reconcile()
    assert permissions_of(rig) == WANTED
    rig.settle()


def test_failing_amend_holds_up_no_rotation() -> None:
    """While it fails again and again, the token rotates when it is due, and the new one has them."""
    rig = edited()
    before = rig.current_id
    rig.issuer.faults.always["amend"] = Fault.BEFORE
    rig.reconcile()
    rig.clock.advance(MINUTE)
    outcome = rig.reconcile()
    assert rig.current_id == before
    rig.clock.advance(19 * DAY)
    rig.reconcile()
    rig.clock.advance(MINUTE)
    outcome = rig.reconcile()
    assert rig.current_id != before
    assert permissions_of(rig) == WANTED
    assert outcome.memory.backoffs == {}
    rig.settle()


def test_what_is_not_surely_ours_is_never_amended() -> None:
    """A person has written the id of a colleague's token into the secret: that one is left as it is."""
    rig = permitted()
    with_anothers_id(rig)
    for _ in range(3):
        rig.reconcile()
        rig.clock.advance(HOUR)
    assert rig.issuer.faults.calls["amend"] == 0


@pytest.mark.parametrize("fault", [None, Fault.AFTER, Fault.SLOW])
def test_death_around_it(fault: Fault | None) -> None:
    """Whoever dies before, inside or after it: the next process finds what there is to do, and does no harm twice."""
    died = 0
    for count in range(1, 12):
        rig = edited()
        before = rig.current_id
        if fault is not None:
            rig.issuer.faults.add("amend", fault)
        died += rig.reconcile_and_die_before("any", count)
        rig.reconcile()
        assert (rig.current_id, permissions_of(rig)) == (before, WANTED)
        rig.settle()
    assert died >= 3


def test_lists_that_lag_amend_at_most_again() -> None:
    """Permissions that an old list shows are set once more by the next pass, which changes nothing."""
    rig = edited()
    before = rig.current_id
    rig.reconcile()
    rig.crash()
    rig.reconcile()
    assert rig.issuer.faults.calls["amend"] == 1
    assert rig.current_id == before


def as_it_likes(rig: Rig) -> None:
    """Let the issuer list every token with one permission more, whatever it is asked for."""
    listed = rig.issuer.list

    def with_more() -> Listing:
        listing = listed()
        more = frozenset({Permission(action="read", resource="_system")})
        tokens = (replace(token, permissions=(token.permissions or frozenset()) | more) for token in listing.tokens)
        return replace(listing, tokens=tuple(tokens))

    rig.worlds[0] = replace(
        rig.worlds[0], issuers={**rig.worlds[0].issuers, "cluster": _Listing(rig.issuer, with_more)}
    )


class _Listing(FakeIssuer):
    """A fake issuer whose list is another's word."""

    def __init__(self, issuer: FakeIssuer, listing: Callable[[], Listing]) -> None:
        """Take whose tokens they are."""
        for name in FakeIssuer.__dataclass_fields__:
            setattr(self, name, getattr(issuer, name))
        self._listing = listing

    def list(self) -> Listing:
        """Give it."""
        return self._listing()


@pytest.mark.parametrize("amends", [True, False], ids=["amends", "mints"])
def test_permissions_that_are_always_listed_otherwise(*, amends: bool) -> None:
    """What the issuer adds on its list is asked to be taken away once at most, and no token is made for it."""
    rig = permitted()
    rig.issuer.amends_permissions = amends
    as_it_likes(rig)
    before = rig.current_id
    rig.pass_time(DAY, step=15 * MINUTE)
    assert rig.current_id == before
    assert rig.issuer.faults.calls["create"] == 1
    assert rig.issuer.faults.calls["amend"] == amends


def test_somebody_s_change_at_the_issuer_is_taken_back_each_time() -> None:
    """Once a list has shown our change, another difference is somebody else's doing."""
    rig = edited()
    for _ in range(3):
        rig.reconcile()
        rig.clock.advance(15 * MINUTE)
        rig.reconcile()
        assert permissions_of(rig) == WANTED
        token_id = str(rig.current_id)
        rig.issuer.tokens[token_id] = replace(rig.issuer.tokens[token_id], permissions=frozenset({WRITE_METRICS}))
        rig.clock.advance(15 * MINUTE)
    assert rig.issuer.faults.calls["amend"] == 3
