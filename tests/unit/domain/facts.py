"""Snapshots in which a chosen fact of the chain holds, alone or beside others: what the tests of deciding share."""

from collections.abc import Callable
from dataclasses import replace
from itertools import combinations

from provisioner.domain.consumers import Progress, Rollout, Workload, WorkloadKind
from provisioner.domain.following import sight_from
from provisioner.domain.model import Listing, Permission
from provisioner.domain.snapshot import Snapshot
from provisioner.domain.steps import Amend, Confirm, Copy, Mint, Refuse, Rest, Restart, Revoke
from tests.unit.domain.builders import (
    DAY,
    FORMER_ISSUER,
    HOUR,
    ISSUER,
    NOW,
    SECOND_PLACE,
    TTL,
    a_foreign_secret,
    a_listing,
    a_memory,
    a_record,
    a_snapshot,
    a_trigger,
    an_ended_attempt,
    an_issued,
    nothing_stored,
    stored,
    unreadable,
)

THIRD_ISSUER = "cluster-b"
LAST_MONTH = NOW - 25 * DAY
"""When a token was issued whose rotation is due."""


def issuer_unread(snapshot: Snapshot) -> Snapshot:
    """Let the configured issuer give no answer."""
    return replace(snapshot, listings={**snapshot.listings, snapshot.token.issuer: unreadable()})


def primary_foreign(snapshot: Snapshot) -> Snapshot:
    """Put somebody else's secret at the primary."""
    return replace(snapshot, primary=stored(a_foreign_secret()))


def nothing_there(snapshot: Snapshot) -> Snapshot:
    """Take the secret away, and the token that was in it."""
    return replace(snapshot, primary=nothing_stored(), listings={**snapshot.listings, ISSUER: a_listing()})


def token_dead(snapshot: Snapshot) -> Snapshot:
    """Let the stored token have expired, and be listed no more."""
    listings = {**snapshot.listings, ISSUER: a_listing()}
    return replace(snapshot, primary=stored(a_record(issued_at=NOW - TTL)), listings=listings)


def asked_for(snapshot: Snapshot) -> Snapshot:
    """Let a person ask for a rotation."""
    return replace(snapshot, trigger=a_trigger())


def issuer_moved(snapshot: Snapshot) -> Snapshot:
    """Name another issuer in the configuration."""
    return replace(snapshot, token=replace(snapshot.token, issuer=FORMER_ISSUER))


def permissions_differing(snapshot: Snapshot) -> Snapshot:
    """Let the stored token be listed with a permission that is not configured, by an issuer that can change it."""
    listing = snapshot.listings[ISSUER]
    tokens = getattr(listing, "tokens", ())
    given = frozenset({Permission(action="read", resource="weather")})
    listed = tuple(replace(token, permissions=given) for token in tokens)
    return replace(snapshot, listings={**snapshot.listings, ISSUER: Listing(tokens=listed, amends_permissions=True)})


def due(snapshot: Snapshot) -> Snapshot:
    """Configure a rotation point that has passed."""
    return replace(snapshot, token=replace(snapshot.token, rotate_at=0.01))


def copy_differing(snapshot: Snapshot) -> Snapshot:
    """Add a destination at which nothing is."""
    token = replace(snapshot.token, destinations=(snapshot.token.primary, SECOND_PLACE))
    return replace(snapshot, token=token, copies=(nothing_stored(destination=SECOND_PLACE),))


def primary_unconfirmed(snapshot: Snapshot) -> Snapshot:
    """Give the primary's store a reader, which has not read anything yet."""
    first, *others = snapshot.token.destinations
    return replace(snapshot, token=replace(snapshot.token, destinations=(replace(first, has_reader=True), *others)))


def consumer_behind(snapshot: Snapshot) -> Snapshot:
    """Let a workload be restarted by rotations, and not have been for the stored one."""
    workload = Workload(kind=WorkloadKind.DEPLOYMENT, namespace="telegraf", name="telegraf")
    read = Rollout(rotation_id=None, progress=Progress.COMPLETE, message="all pods are new")
    sights = {workload: sight_from(read, a_record(), None, NOW)}
    token, memory = replace(snapshot.token, on_rotate=(workload,)), replace(snapshot.memory, sights=sights)
    return replace(snapshot, token=token, memory=memory)


def one_outlived(snapshot: Snapshot) -> Snapshot:
    """Add a token that this process has given up."""
    given_up = an_issued("given-up", issuer=THIRD_ISSUER, created_at=NOW - HOUR)
    memory = a_memory(ended=(an_ended_attempt("given-up"),))
    return replace(snapshot, listings={**snapshot.listings, THIRD_ISSUER: a_listing(given_up)}, memory=memory)


FACTS: dict[str, Callable[[Snapshot], Snapshot]] = {
    "truth_is_unreadable": issuer_unread,
    "secret_is_foreign": primary_foreign,
    "secret_is_missing": nothing_there,
    "stored_token_is_dead": token_dead,
    "trigger_is_pending": asked_for,
    "issuer_has_changed": issuer_moved,
    "permissions_have_changed": permissions_differing,
    "rotation_is_due": due,
    "destination_differs": copy_differing,
    "destination_is_unconfirmed": primary_unconfirmed,
    "consumers_are_behind": consumer_behind,
    "token_has_outlived_its_time": one_outlived,
}
"""In the protocol's order: each makes its fact hold in a snapshot, and leaves the facts of the others as they are."""
STEPS: dict[str, type[object]] = {
    "truth_is_unreadable": Rest,
    "secret_is_foreign": Refuse,
    "secret_is_missing": Mint,
    "stored_token_is_dead": Mint,
    "trigger_is_pending": Mint,
    "issuer_has_changed": Mint,
    "permissions_have_changed": Amend,
    "rotation_is_due": Mint,
    "destination_differs": Copy,
    "destination_is_unconfirmed": Confirm,
    "consumers_are_behind": Restart,
    "token_has_outlived_its_time": Revoke,
}
STATES_OF_THE_STORE = {"secret_is_foreign", "secret_is_missing"}
OF_A_RECORD = set(FACTS) - {"truth_is_unreadable", "token_has_outlived_its_time"}
UNLISTED = {"truth_is_unreadable", "stored_token_is_dead", "issuer_has_changed"}
UNREAD_BY_CONSUMERS = {"destination_differs", "destination_is_unconfirmed"}
PAIRS = [
    pair
    for pair in combinations(FACTS, 2)
    if not (pair[0] in STATES_OF_THE_STORE and pair[1] in OF_A_RECORD)
    and not (pair[0] in UNLISTED and pair[1] == "permissions_have_changed")
    and not (pair[0] in UNREAD_BY_CONSUMERS and pair[1] == "consumers_are_behind")
]
"""Those that can hold at once: nothing stored, a foreign secret and a record exclude each other.

So do permissions and whatever leaves no live token on the configured issuer's list; and no consumer is behind what it
cannot read yet.
"""


def a_snapshot_with(*facts: str) -> Snapshot:
    """Give a snapshot in which those facts hold."""
    snapshot = a_snapshot(listings={ISSUER: a_listing(an_issued()), FORMER_ISSUER: a_listing()})
    for fact in sorted(facts, key=list(FACTS).index, reverse=True):
        snapshot = FACTS[fact](snapshot)
    return snapshot


MINTING = [fact for fact, step in STEPS.items() if step is Mint]


def with_live_tokens(fact: str, count: int) -> Snapshot:
    """Give a snapshot in which a mint is wanted, and so many tokens of the name live, none of which may end yet."""
    snapshot = a_snapshot_with(fact)
    live = sum(1 for token in snapshot.marked() if token.is_live(NOW))
    more = [an_issued(f"young-{number}", issuer=THIRD_ISSUER, created_at=NOW) for number in range(count - live)]
    return replace(snapshot, listings={**snapshot.listings, THIRD_ISSUER: a_listing(*more)})
