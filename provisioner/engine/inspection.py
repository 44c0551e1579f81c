"""Looks whether every issuer and store can do its part, for ``provisioner check``. Changes nothing."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from provisioner.domain.errors import ProvisionerError
from provisioner.domain.model import ManagedToken
from provisioner.engine.world import World


@dataclass(frozen=True, slots=True, kw_only=True)
class Inspected:
    """One line of ``check``."""

    kind: str
    """``issuer`` or ``store``."""
    name: str
    ok: bool
    message: str


def inspect(world: World, tokens: Sequence[ManagedToken]) -> tuple[Inspected, ...]:
    """Ask every issuer for its list, and every store whether it would take a write at each destination."""
    lines = [_issuer(world, name) for name in world.issuers]
    for name in world.stores:
        lines += _store(world, name, tokens)
    return tuple(lines)


def _issuer(world: World, name: str) -> Inspected:
    try:
        listing = world.issuers[name].list()
    except ProvisionerError as error:
        return Inspected(kind="issuer", name=name, ok=False, message=str(error))
    marked = sum(1 for token in listing.tokens if token.mark is not None)
    proof = "by use" if listing.proves_by_use else "by the list"
    message = f"{len(listing.tokens)} tokens listed, {marked} of them marked; new tokens are proven {proof}"
    skew = listing.clock_skew.total_seconds()
    if skew:
        ahead = f"{abs(skew):g} s {'ahead of' if skew > 0 else 'behind'} ours"
        message = f"{message}; but its clock is {ahead}: let NTP put right whichever is wrong"
    return Inspected(kind="issuer", name=name, ok=not skew, message=message)


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
