"""The only reader: asks both truths and puts what they say into a snapshot."""

from collections.abc import Mapping
from concurrent.futures import Future
from dataclasses import replace
from datetime import datetime
from threading import Lock

from provisioner.domain.errors import ProvisionerError
from provisioner.domain.memory import Memory
from provisioner.domain.model import Destination, IssuedToken, Listing, ManagedToken, Stored, Trigger, Unreadable
from provisioner.domain.repair import repaired
from provisioner.domain.snapshot import Snapshot
from provisioner.domain.steps import read_key
from provisioner.engine.world import World


class Listings:
    """What the issuers list, asked once each for a whole pass, whichever threads want it."""

    def __init__(self, world: World) -> None:
        self._world = world
        self._lock = Lock()
        self._asked: dict[str, Future[Listing | Unreadable]] = {}
        self._since: dict[str, dict[str, IssuedToken]] = {name: {} for name in world.issuers}

    def all(self) -> Mapping[str, Listing | Unreadable]:
        """Give every issuer's list; the first to ask makes the request, the others wait for its answer."""
        return {name: self._amended(name, self._listing(name)) for name in self._world.issuers}

    def note(self, token: IssuedToken) -> None:
        """Take note of a token that we created or revoked after the list was made."""
        with self._lock:
            self._since.setdefault(token.issuer, {})[token.token_id] = token

    def _listing(self, name: str) -> Listing | Unreadable:
        with self._lock:
            answer = self._asked.get(name)
            mine = answer is None
            if answer is None:
                answer = self._asked[name] = Future()
        if mine:
            try:
                answer.set_result(list_tokens(self._world, name))
            except BaseException as error:
                answer.set_exception(error)
                raise
        return answer.result()

    def _amended(self, name: str, listing: Listing | Unreadable) -> Listing | Unreadable:
        if isinstance(listing, Unreadable):
            return listing
        with self._lock:
            noted = tuple(self._since[name].values())
        for token in noted:
            listing = listing.including(token)
        return listing


def list_tokens(world: World, issuer: str) -> Listing | Unreadable:
    """Ask one issuer for its list; an error becomes the reason why it could not be read."""
    asked_at = world.clock.now()
    try:
        return replace(world.issuers[issuer].list(), asked_at=asked_at)
    except ProvisionerError as error:
        return Unreadable(reason=str(error))


def read_stored(world: World, token: ManagedToken, destination: Destination) -> Stored | Unreadable:
    """Ask one store what a destination holds; an error becomes the reason why it could not be read."""
    try:
        return world.stores[destination.store].read(destination, token.owner)
    except ProvisionerError as error:
        return Unreadable(reason=str(error))


def gather(
    world: World,
    token: ManagedToken,
    listings: Listings,
    *,
    memory: Memory,
    trigger: Trigger | None = None,
    just_read: Stored | None = None,
) -> Snapshot:
    """Read both truths about one name; its copies are left unasked, for ``ask_copy`` and ``with_copies``.

    The lists are read before the stores: a token committed in between is then missing from its list,
    which means nothing for a young token, while the other order would show a stranger beside the old one.
    ``just_read`` is the primary as it was read back a moment ago, by us. A damaged record is given as it was meant,
    where the lists tell.
    """
    listed = _without_revoked(listings.all(), memory, token, world.clock.now())
    primary, copies = token.primary, token.destinations[1:]
    return repaired(
        Snapshot(
            token=token,
            primary=just_read if just_read and just_read.destination == primary else read_stored(world, token, primary),
            copies=tuple(Unreadable(reason=_waited_for(memory, copy)) for copy in copies),
            listings=listed,
            trigger=trigger,
            memory=memory,
        )
    )


def _without_revoked(
    listings: Mapping[str, Listing | Unreadable], memory: Memory, token: ManagedToken, now: datetime
) -> Mapping[str, Listing | Unreadable]:
    """Show what this process has revoked as revoked, though a list lag behind: for the quiet period, then it counts."""
    amended = dict(listings)
    for gone in memory.revoked:
        listing = amended.get(gone.issuer)
        is_recent = gone.revoked_at is not None and abs(now - gone.revoked_at) < token.orphan_quiet_period
        if is_recent and isinstance(listing, Listing):
            amended[gone.issuer] = listing.including(gone)
    return amended


def ask_copy(world: World, snapshot: Snapshot, destination: Destination) -> Snapshot:
    """Read one copy."""
    number = snapshot.token.destinations.index(destination) - 1
    read = read_stored(world, snapshot.token, destination)
    return replace(snapshot, copies=(*snapshot.copies[:number], read, *snapshot.copies[number + 1 :]))


def with_copies(world: World, snapshot: Snapshot, *, afresh: bool = False) -> Snapshot:
    """Read every copy; one that waits for its next try after a failure only where all are to be asked ``afresh``."""
    for destination in snapshot.token.destinations[1:]:
        if afresh or snapshot.memory.must_wait(read_key(destination), world.clock.now()) is None:
            snapshot = ask_copy(world, snapshot, destination)
    return snapshot


def _waited_for(memory: Memory, copy: Destination) -> str:
    """Say why a copy could not be read the last time."""
    backoff = memory.backoffs.get(read_key(copy))
    return backoff.error if backoff is not None else "it was not asked yet"
