"""Looks whether every issuer and store can do its part, for ``provisioner check``. Changes nothing."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from provisioner.domain.errors import ProvisionerError
from provisioner.domain.model import Listing, ManagedToken
from provisioner.engine.world import World
from provisioner.ports.lease import Lease


@dataclass(frozen=True, slots=True, kw_only=True)
class Inspected:
    """One line of ``check``."""

    kind: str
    """``issuer``, ``store``, ``workload``, ``webhook``, ``api`` or ``lease``."""
    name: str
    ok: bool
    message: str


def inspect(world: World, tokens: Sequence[ManagedToken]) -> tuple[Inspected, ...]:
    """Ask every issuer for its list, and every store whether it would take a write at each destination."""
    listings: dict[str, Listing] = {}
    lines = [line for name in world.issuers for line in _issuer(world, name, tokens, listings)]
    for name in world.stores:
        lines += _store(world, name, tokens)
    lines += [line for token in tokens for line in _consumers(world, token)]
    return tuple(lines)


def inspect_lease(lease: Lease) -> Inspected:
    """See whether this process could lead: nothing is changed, and who leads goes on."""
    try:
        lease.check()
        record = lease.read()
    except ProvisionerError as error:
        return Inspected(kind="lease", name=lease.name, ok=False, message=str(error))
    now = "there is none yet" if record is None else f"held by {record.holder}" if record.holder else "held by nobody"
    return Inspected(kind="lease", name=lease.name, ok=True, message=f"can be read, created and updated; {now}")


def _consumers(world: World, token: ManagedToken) -> Iterator[Inspected]:
    """See whether each workload could be read and restarted; a webhook's key is read, and nobody is told anything."""
    for workload in token.workloads:
        try:
            world.workloads.check(workload, token.owner)
        except ProvisionerError as error:
            yield Inspected(kind="workload", name=str(workload), ok=False, message=str(error))
        else:
            message = f"can be read and restarted when {token.name} was rotated"
            yield Inspected(kind="workload", name=str(workload), ok=True, message=message)
    for webhook in token.webhooks:
        try:
            webhook.key()
        except ProvisionerError as error:
            yield Inspected(kind="webhook", name=str(webhook), ok=False, message=str(error))
        else:
            message = f"its key can be read; it is told when {token.name} was rotated"
            yield Inspected(kind="webhook", name=str(webhook), ok=True, message=message)


def _issuer(
    world: World, name: str, tokens: Sequence[ManagedToken], listings: dict[str, Listing]
) -> Iterator[Inspected]:
    """See whether it gives a list, and what speaks against it; ``listings`` are those of the ones before."""
    try:
        listing = world.issuers[name].list()
    except ProvisionerError as error:
        yield Inspected(kind="issuer", name=name, ok=False, message=str(error))
        return
    same = _same_cluster(listing, listings)
    listings[name] = listing
    marked = sum(1 for token in listing.tokens if token.mark is not None)
    proof = "by use" if listing.proves_by_use else "by the list"
    message = f"{len(listing.tokens)} tokens listed, {marked} of them marked; new tokens are proven {proof}"
    credential = next((token for token in tokens if name in token.credential_of), None)
    refused = None
    if credential is not None:
        refused = _refused(world, credential) if listing.credential is None else None
        message += f"; {_called(credential, listing, turned_away=refused is not None)}"
    yield Inspected(kind="issuer", name=name, ok=True, message=message)
    for warning in (*listing.warnings, *filter(None, [refused, _wrong_clock(listing), same])):
        yield Inspected(kind="issuer", name=name, ok=False, message=warning)


def _same_cluster(listing: Listing, others: Mapping[str, Listing]) -> str | None:
    """Say so when another issuer lists the very same tokens of ours: each is counted and revoked once all the same."""
    ours = _marked(listing)
    same = [name for name, other in others.items() if ours & _marked(other)]
    if not same:
        return None
    return f"it lists the very tokens that {', '.join(same)} lists, as one cluster does: configure it once"


def _marked(listing: Listing) -> frozenset[tuple[str, str]]:
    return frozenset((str(token.mark), token.token_id) for token in listing.tokens if token.mark is not None)


def _wrong_clock(listing: Listing) -> str | None:
    """Say how far an issuer's clock is off, where that counts."""
    skew = listing.clock_skew.total_seconds()
    if not skew:
        return None
    ahead = f"{abs(skew):g} s {'ahead of' if skew > 0 else 'behind'} ours"
    return f"its clock is {ahead}: let NTP put right whichever is wrong"


def _called(token: ManagedToken, listing: Listing, *, turned_away: bool) -> str:
    """Say with which credential an issuer was called."""
    if listing.credential is not None:
        return f"called with its managed token {token.name}"
    if turned_away:
        return f"called with what a copy of {token.name} holds, or with the initial credential"
    return f"called with the initial credential: take it away once {token.name} is stored and used"


def _refused(world: World, token: ManagedToken) -> str | None:
    """Say so when a token is stored that was not what the issuer took."""
    try:
        stored = world.stores[token.primary.store].read(token.primary, token.owner)
    except ProvisionerError:
        return None  # its store has a line of its own
    if stored.record is None:
        return None
    return f"the managed token {token.name} is stored, and was refused: let the daemon replace it, or rotate it"


def _store(world: World, name: str, tokens: Sequence[ManagedToken]) -> Iterator[Inspected]:
    places = [(place, token.owner) for token in tokens for place in token.destinations if place.store == name]
    if not places:
        yield Inspected(kind="store", name=name, ok=True, message="no token is stored here")
        return
    failed = False
    for place, owner in places:
        try:
            world.stores[name].preflight(place)
            world.stores[name].read(place, owner)
            if place.has_reader:
                world.stores[name].confirm(place, owner)
        except ProvisionerError as error:
            failed = True
            yield Inspected(kind="store", name=name, ok=False, message=f"{place}: {error}")
    if failed:
        return
    try:
        warnings = world.stores[name].check(places)
    except ProvisionerError as error:
        yield Inspected(kind="store", name=name, ok=False, message=str(error))
        return
    for warning in warnings:
        yield Inspected(kind="store", name=name, ok=False, message=warning)
    if not warnings:
        yield Inspected(kind="store", name=name, ok=True, message=f"{len(places)} destinations can be read and written")
