"""Fact 7, permissions_have_changed: amended in place where the issuer can, else minted; only ever of what is ours."""

from dataclasses import replace

import pytest

from provisioner.domain.checks import permission_change, permissions_have_changed
from provisioner.domain.mark import Mark, Owner
from provisioner.domain.memory import Backoff, Memory
from provisioner.domain.model import IssuedToken, Listing, Permission, Trigger, Unreadable
from provisioner.domain.snapshot import Snapshot
from provisioner.domain.steps import AMEND_KEY, Amend, Mint
from tests.builders import DAY, MINUTE, NOW, OWNER, SECOND, a_record, a_snapshot, a_token, an_issued, stored, uid

READ = Permission(action="read", resource="metrics")
WRITE = Permission(action="write", resource="metrics")
TOKEN = a_token(permissions=frozenset({READ}))
TRIGGER = Trigger(request_id="now")


def a_look(*issued: IssuedToken, amends: bool = True, memory: Memory | None = None) -> Snapshot:
    """Give a snapshot of a stored token, as an issuer lists it that can or cannot change permissions."""
    listing = Listing(tokens=issued, amends_permissions=amends)
    return a_snapshot(stored(a_record()), token=TOKEN, listings={"cluster": listing}, memory=memory)


def with_permissions(*permissions: Permission) -> IssuedToken:
    """Give the stored token as its issuer lists it, with those permissions."""
    return an_issued(permissions=frozenset(permissions))


def test_amended_in_place_where_the_issuer_can() -> None:
    """No new token is made; the message names both."""
    finding = permissions_have_changed(a_look(with_permissions(READ, WRITE)), NOW)
    assert finding.step == Amend(target=with_permissions(READ, WRITE), permissions=frozenset({READ}))
    assert "has the permissions read:metrics, write:metrics, the configuration says read:metrics" in finding.message


def test_minted_where_the_issuer_cannot() -> None:
    """A new token has the permissions that are configured; a trigger that is pending is honoured by it."""
    snapshot = replace(a_look(with_permissions(WRITE), amends=False), trigger=TRIGGER)
    finding = permissions_have_changed(snapshot, NOW)
    assert finding.step == Mint(primary=stored(a_record()), trigger=TRIGGER)


@pytest.mark.parametrize(
    "issued",
    [
        with_permissions(READ),
        an_issued(permissions=None),
        replace(with_permissions(WRITE), revoked_at=NOW),
        replace(with_permissions(WRITE), expires_at=NOW),
        replace(with_permissions(WRITE), mark=None),
        replace(with_permissions(WRITE), mark=Mark(Owner("prod", "other"), uid(1))),
        replace(with_permissions(WRITE), mark=Mark(OWNER, uid(2))),
        replace(with_permissions(WRITE), issuer="former"),
        replace(with_permissions(WRITE), token_id="another"),
    ],
    ids=["as configured", "unknown", "revoked", "expired", "foreign", "other name", "other rotation", "former", "gone"],
)
@pytest.mark.parametrize("amends", [True, False])
def test_nothing_to_change(issued: IssuedToken, *, amends: bool) -> None:
    """What is as configured, does not say, is dead, or is not surely the stored token of ours is left alone."""
    snapshot = a_look(issued, amends=amends)
    assert permission_change(snapshot, NOW) is None
    assert permissions_have_changed(snapshot, NOW).step is None


def test_nothing_stored_or_listed() -> None:
    """Without a record, or without a list, nothing can be said of permissions."""
    assert permissions_have_changed(a_snapshot(token=TOKEN), NOW).message == "nothing is stored"
    unread = a_snapshot(stored(a_record()), token=TOKEN, listings={"cluster": Unreadable(reason="down")})
    assert permissions_have_changed(unread, NOW).step is None


@pytest.mark.parametrize(("retry_in", "waits"), [(MINUTE, True), (-SECOND, False)])
def test_failing_amend_waits_for_its_backoff(retry_in: object, *, waits: bool) -> None:
    """It gives way to the checks after it, says why, and until when; then it is tried again."""
    assert isinstance(retry_in, type(DAY))
    memory = Memory(backoffs={AMEND_KEY: Backoff(failures=1, retry_at=NOW + retry_in, error="the issuer said no")})
    finding = permissions_have_changed(a_look(with_permissions(WRITE), memory=memory), NOW)
    assert finding.holds is not waits
    if waits:
        assert finding.until == NOW + retry_in
        assert "the issuer said no" in finding.message
