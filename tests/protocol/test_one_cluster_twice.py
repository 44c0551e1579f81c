"""One cluster that is configured as several issuers: each of its tokens is one, however many lists show it."""

from dataclasses import dataclass, replace

from provisioner.domain.model import IssuedToken, Listing, Trigger
from tests.builders import DAY, HOUR, a_token
from tests.fakes.faults import Fault
from tests.fakes.issuer import FakeIssuer
from tests.rig import Rig


@dataclass(slots=True, kw_only=True)
class Twin(FakeIssuer):
    """Another name for the same cluster."""

    of: FakeIssuer

    def list(self) -> Listing:
        """See the port."""
        FakeIssuer.list(self)  # for its faults
        listing = self.of.list()
        return replace(listing, tokens=tuple(replace(token, issuer=self.name) for token in listing.tokens))

    def revoke(self, token: IssuedToken) -> None:
        """See the port."""
        self.of.revoke(replace(token, issuer=self.of.name))


def configured_thrice() -> tuple[Rig, list[Twin]]:
    """Give a rig whose cluster has two other names, before and behind its own."""
    rig = Rig(a_token())
    twins = [Twin(clock=rig.clock, name=name, of=rig.issuer) for name in ("first", "third")]
    first, third = twins
    rig.worlds = [
        replace(world, issuers={"first": first, "cluster": rig.issuer, "third": third}) for world in rig.worlds
    ]
    return rig, twins


def test_a_token_that_several_lists_show_counts_once() -> None:
    """The guard of three does not take one token for three: it rotates on request, and again inside the overlap."""
    rig, _ = configured_thrice()
    rig.reconcile()
    for number in (2, 3):
        rig.reconcile(Trigger(request_id=f"request {number}"))
        assert rig.current_id == f"token-{number}"
    assert len(rig.live_ids()) == 3
    rig.pass_time(2 * HOUR)
    assert rig.live_ids() == {"token-3"}
    rig.pass_time(22 * DAY, step=HOUR)
    rig.settle()
    assert len(rig.live_ids()) == 1


def test_a_token_that_the_last_list_of_a_silent_issuer_shows_counts_once() -> None:
    """What another issuer lists as well is no further token when one of them goes down."""
    rig, twins = configured_thrice()
    rig.reconcile()
    rig.reconcile()
    for twin in twins:
        twin.faults.always["list"] = Fault.BEFORE
    rig.reconcile(Trigger(request_id="request 2"))
    assert rig.current_id == "token-2"
    for twin in twins:
        twin.faults.always.clear()
    rig.pass_time(2 * HOUR)
    assert rig.live_ids() == {"token-2"}
