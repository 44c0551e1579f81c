"""The guard of three over time: what no list shows counts for as long as it may live, and no longer."""

from dataclasses import dataclass, replace
from datetime import timedelta

from provisioner.domain.model import CreateRequest, IssuedToken, Listing, MintedToken, Permission, Trigger
from provisioner.domain.secret import SecretText
from provisioner.engine.reconcile import Outcome
from tests.builders import DAY, HOUR, MINUTE, a_token
from tests.fakes.faults import Fault
from tests.fakes.issuer import FakeIssuer
from tests.rig import Rig, provisioned


def test_attempts_at_a_former_issuer_that_is_down_count_though_another_list_is_fresh() -> None:
    """Three answers were lost there, its lists are old, it goes down, and the name moves: nothing is minted."""
    rig = Rig(a_token(issuer="former"))
    rig.former.stale = timedelta(minutes=50)
    rig.former.faults.add("create", Fault.AFTER, Fault.AFTER, Fault.AFTER)
    for _ in range(6):
        rig.reconcile()
        rig.clock.advance(MINUTE)
    assert len(rig.live_ids()) == 3
    rig.former.faults.always["list"] = Fault.BEFORE
    rig.token = a_token()
    rig.pass_time(3 * HOUR)
    assert rig.reconcile().decision.hindrance is not None
    rig.former.stale = timedelta(0)
    rig.settle()
    assert rig.current_id == "token-1"


def test_processes_that_remember_nothing_count_what_lives_at_a_former_issuer_that_is_down() -> None:
    """Each pass is one of a process of its own: what a record came after is passed on from one to the next."""
    rig = Rig(a_token(issuer="former"))
    _once(rig)
    rig.clock.advance(3 * HOUR)
    rig.token = a_token()
    _once(rig)
    rig.former.faults.always["list"] = Fault.BEFORE
    outcomes = []
    for number in range(4):
        rig.clock.advance(MINUTE)
        outcomes.append(_once(rig, Trigger(request_id=f"request {number}")))
    assert rig.live_ids() == {"former-1", "token-1", "token-2"}
    assert "may live at former, which gives no list" in (outcomes[-1].decision.hindrance or "")
    rig.settle()


def _once(rig: Rig, trigger: Trigger | None = None) -> Outcome:
    rig.crash()
    return rig.reconcile(trigger)


def test_token_whose_former_issuer_stays_down_is_replaced_in_time() -> None:
    """It lives there to its end: its successor comes while it still works."""
    rig = Rig(a_token(issuer="former"))
    born = rig.clock.now()
    rig.reconcile()
    rig.clock.advance(DAY)
    rig.reconcile()
    rig.former.faults.always["list"] = Fault.BEFORE
    rig.token = a_token()
    rig.pass_time(31 * DAY, step=6 * HOUR)
    assert rig.record is not None
    assert rig.record.token_id == "token-1"
    assert rig.record.stored_at <= born + rig.token.ttl - rig.token.overlap


@dataclass(slots=True)
class _ListsNoneRevoked:
    """An issuer that lists no token any more once it is revoked, and with which no token works."""

    issuer: FakeIssuer
    name: str = "cluster"

    def list(self) -> Listing:
        """Leave out what was revoked."""
        listing = self.issuer.list()
        return replace(listing, tokens=tuple(token for token in listing.tokens if token.revoked_at is None))

    def create(self, request: CreateRequest) -> MintedToken:
        """Create one."""
        return self.issuer.create(request)

    def prove(self, *_: object, **__: object) -> bool:
        """Refuse every token."""
        return False

    def revoke(self, token: IssuedToken) -> None:
        """Revoke it."""
        self.issuer.revoke(token)

    def amend(self, token: IssuedToken, permissions: frozenset[Permission]) -> None:
        """Change what it may do."""
        self.issuer.amend(token, permissions)

    def accepts(self, credential: SecretText) -> bool:
        """Take it or not."""
        return self.issuer.accepts(credential)

    def close(self) -> None:
        """Hold nothing."""


def test_attempts_whose_tokens_we_have_revoked_ourselves_take_no_room() -> None:
    """Though no list shows them, they live no more: attempt after attempt is made, and revoked."""
    rig = provisioned()
    rig.worlds[0] = replace(rig.worlds[0], issuers={"cluster": _ListsNoneRevoked(rig.issuer), "former": rig.former})
    for number in range(5):
        outcome = rig.reconcile(Trigger(request_id=f"request {number}"))
        assert "did not come to work" in (outcome.decision.hindrance or "")
        assert rig.live_ids() == {"token-1"}
        rig.clock.advance(MINUTE)
