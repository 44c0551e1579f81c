"""One rotation: preflight, create once, prove, commit by compare-and-set, read back."""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final, TypeVar

from provisioner.domain import events
from provisioner.domain.asking import asking_of
from provisioner.domain.errors import (
    AttemptFailedError,
    ConflictError,
    IssuerRefusedError,
    IssuerUnavailableError,
    OutcomeUnknownError,
    OvertakenError,
    ProvisionerError,
    StoreUnavailableError,
)
from provisioner.domain.mark import Mark
from provisioner.domain.model import CreateRequest, IssuedToken, MintedToken, Record, Stored, Unreadable, digest_of
from provisioner.domain.secret import SecretText
from provisioner.domain.slots import requests_kept
from provisioner.domain.snapshot import Snapshot
from provisioner.domain.steps import Mint
from provisioner.domain.timing import whole_seconds
from provisioner.domain.trials import is_refused_for_good
from provisioner.domain.unlisted import is_near_its_end, last_listed, unseen_predecessors
from provisioner.engine.gather import list_tokens
from provisioner.engine.world import World

EXPIRY_TOLERANCE: Final = timedelta(minutes=1)
_FIRST_PAUSE: Final = timedelta(milliseconds=250)
_LONGEST_PAUSE: Final = timedelta(seconds=10)
_TRIES_IN_GOOD_FAITH: Final = 4
"""A new token that does not work after so many is waited for only as long as it may still be committed."""

T = TypeVar("T")


@dataclass(frozen=True, slots=True, kw_only=True)
class Rotated:
    """A rotation that reached its commit."""

    record: Record
    issued: IssuedToken
    stored: Stored | None
    """The primary as it was read back; None when the read-back got no answer."""


@dataclass(frozen=True, slots=True, kw_only=True)
class _Doubt:
    """Why a new token cannot become the current one yet."""

    why: str
    is_of_others_alone: bool = False
    """Whether it works, and only an issuer that did not issue it does not take it for its credential."""


class Rotation:
    """One attempt to replace the current token; used once.

    ``may_land`` and ``may_exist`` say, when it has failed, what it may have left behind.
    """

    def __init__(self, world: World, snapshot: Snapshot, step: Mint, *, fact: str, reason: str) -> None:
        self._world, self._token, self._step = world, snapshot.token, step
        self._predecessors = _live_rotations(snapshot, world.clock.now())
        self._fact, self._reason = fact, reason
        self._issuer = world.issuers[self._token.issuer]
        self._store = world.stores[self._token.primary.store]
        self._deadline = world.deadline(self._token.rotation_timeout)
        self._stored, self._is_pressing = snapshot.record, _is_pressing(snapshot, world.clock.now())
        self._phases: dict[str, timedelta] = {}
        self._created_at = world.clock.now()
        self.mark = Mark(owner=self._token.owner, rotation_id=world.entropy.rotation_id())
        self.may_exist = False
        self.may_land = False

    def run(self) -> Rotated:
        """Carry the rotation through; raises AttemptFailedError naming the phase that failed and why."""
        started = self._world.clock.monotonic()
        self._phase("preflight", self._preflight)
        self._announce()
        minted, expires_at = self._phase("create", self._create)
        self._phase("prove", lambda: self._prove(minted))
        record = self._record(minted, expires_at)
        self._phase("commit", lambda: self._commit(record))
        stored = self._phase("read back", lambda: self._read_back(record))
        self._world.observe(self._finished(started))
        return Rotated(record=record, issued=self._issued(minted, expires_at), stored=stored)

    def _preflight(self) -> None:
        """See that the commit would be accepted; and that those would answer whose word the new token needs.

        Without that a token would be made and revoked at every try, for as long as another issuer is down.
        """
        if self._stored is not None and not self._is_pressing:
            for name in self._token.credential_of:
                if name != self._token.issuer:
                    self._may_answer(name, self._stored.token)
        self._store.preflight(self._token.primary)
        self._world.check_acts()

    def _may_answer(self, name: str, string: SecretText) -> None:
        try:
            self._world.issuers[name].accepts(string)  # whatever it says: it would say something of a new one, too
        except (IssuerUnavailableError, IssuerRefusedError) as error:
            raise AttemptFailedError(f"issuer {name}, which is called with this token: {error}") from error

    def _phase(self, name: str, work: Callable[[], T]) -> T:
        started = self._world.clock.monotonic()
        try:
            return work()
        except ProvisionerError as error:
            kind = OvertakenError if isinstance(error, OvertakenError) else AttemptFailedError
            raise kind(f"{name} failed: {error}") from error
        finally:
            self._phases[name] = timedelta(seconds=self._world.clock.monotonic() - started)

    def _create(self) -> tuple[MintedToken, datetime]:
        """Create once; whatever goes wrong from here on, the token may exist and is never asked for again."""
        token, now = self._token, self._world.clock.now()
        request = CreateRequest(
            mark=self.mark,
            description=self.mark.described(token.description),
            ttl=token.ttl,
            expires_at=whole_seconds(now + token.ttl),
            permissions=token.permissions,
        )
        self.may_exist = True
        try:
            minted = self._issuer.create(request)
        except (IssuerUnavailableError, IssuerRefusedError):
            self.may_exist = False
            raise
        self._created_at = minted.created_at or self._world.clock.now()  # not after the proof, which may take long
        expires_at = minted.expires_at or self._listed_expiry(minted.token_id)
        if expires_at is None or abs(expires_at - request.expires_at) > EXPIRY_TOLERANCE:
            got = "no expiry" if expires_at is None else f"the expiry {expires_at.isoformat()}"
            wanted = request.expires_at.isoformat()
            raise AttemptFailedError(
                f"the new token {minted.token_id} has {got} instead of {wanted}: it will be revoked"
            )
        created = events.TokenCreated(
            name=token.name,
            rotation_id=self.mark.rotation_id,
            issuer=token.issuer,
            token_id=minted.token_id,
            expires_at=expires_at,
        )
        self._world.observe(created)
        return minted, expires_at

    def _listed_expiry(self, token_id: str) -> datetime | None:
        """Look the expiry up where the answer to create did not say it."""
        listing = list_tokens(self._world, self._token.issuer)
        listed = None if isinstance(listing, Unreadable) else listing.find(token_id)
        return listed.expires_at if listed else None

    def _prove(self, minted: MintedToken) -> None:
        """Use the new token until it works. A refusal means «not yet»."""
        deadline = self._deadline.within(self._token.verify_timeout)
        pause, tries = _FIRST_PAUSE, 1
        while (doubt := self._doubt(minted)) is not None:
            if tries > _TRIES_IN_GOOD_FAITH and self._is_too_late():
                raise OvertakenError("somebody else wrote the secret meanwhile: the new token is given up")
            if not deadline.pause(pause):
                if doubt.is_of_others_alone and self._is_pressing:
                    break  # their trouble must not be the end of this name
                raise AttemptFailedError(f"the new token {minted.token_id} did not come to work in time: {doubt.why}")
            pause, tries = min(pause * 2, _LONGEST_PAUSE), tries + 1
        name, rotation_id = self._token.name, self.mark.rotation_id
        proven = events.TokenProven(name=name, rotation_id=rotation_id, token_id=minted.token_id, tries=tries)
        self._world.observe(proven)

    def _is_too_late(self) -> bool:
        """Tell whether no commit of ours can succeed any more: whoever wrote may have revoked the new token, too."""
        try:
            stored = self._store.read(self._token.primary, self._token.owner)
        except StoreUnavailableError:
            return False
        return stored.revision != self._step.primary.revision

    def _doubt(self, minted: MintedToken) -> "_Doubt | None":
        """Say what speaks against the new token now: that it does not work, or is not taken as a credential."""
        try:
            if not self._issuer.prove(minted.token, minted.token_id):
                return _Doubt(why="it was refused")
        except IssuerUnavailableError as error:
            return _Doubt(why=str(error))
        of = self._token.credential_of
        for name in sorted(of, key=lambda name: name != self._token.issuer):  # its own first
            is_other = name != self._token.issuer
            try:
                if not self._world.issuers[name].accepts(minted.token):
                    why = f"issuer {name} did not take it for its credential"
                    return _Doubt(why=why, is_of_others_alone=is_other)
            except (IssuerUnavailableError, IssuerRefusedError) as error:
                return _Doubt(why=f"issuer {name}: {error}", is_of_others_alone=is_other)
        return None

    def _record(self, minted: MintedToken, expires_at: datetime) -> Record:
        now, before, trigger = self._world.clock.now(), self._step.primary.record, self._step.trigger
        asked = None if trigger is None else asking_of(trigger)
        request_id = None if trigger is None else trigger.request_id
        honoured = () if before is None else tuple(filter(None, (before.request_id, *before.past_requests)))
        return Record(
            token=minted.token,
            token_id=minted.token_id,
            issued_at=self._created_at,
            expires_at=expires_at,
            rotation_id=self.mark.rotation_id,
            owner=self._token.owner,
            issuer=self._token.issuer,
            stored_at=now,
            request_id=request_id,
            asked=asked,
            past_requests=requests_kept(honoured, asked, request_id),
            compromised=trigger.compromised if trigger else False,
            predecessors=self._predecessors,
            permissions_digest=digest_of(self._token.permissions),
        )

    def _commit(self, record: Record) -> None:
        """Make the record the stored one, and tell."""
        stored = events.TokenStored(
            name=self._token.name,
            rotation_id=record.rotation_id,
            token_id=record.token_id,
            destination=str(self._token.primary),
            revision=self._write(record),
        )
        self._world.observe(stored)

    def _write(self, record: Record) -> str:
        """Write against the revision gathered, and never against a newer one, until it is known what came of it."""
        pause = _FIRST_PAUSE
        while True:
            try:
                return self._store.write(self._token.primary, self._token.owner, record, self._step.primary.revision)
            except ConflictError:
                return self._landed_before(record)
            except OutcomeUnknownError as error:
                self.may_land, why = True, str(error)
                landed = self._revision_of_ours(record)
                if landed is not None:
                    return landed
            except StoreUnavailableError as error:
                why = str(error)
            if not self._deadline.pause(pause):
                raise AttemptFailedError(f"the store did not take the new token in time: {why}")
            pause = min(pause * 2, _LONGEST_PAUSE)

    def _landed_before(self, record: Record) -> str:
        """After a conflict: an earlier try of ours is stored, or somebody else's is, and ours never will be again."""
        pause = _FIRST_PAUSE
        while True:
            try:
                stored = self._store.read(self._token.primary, self._token.owner)
            except StoreUnavailableError as error:
                if not self._deadline.pause(pause):
                    raise AttemptFailedError(f"the store did not say whose write won: {error}") from error
                pause = min(pause * 2, _LONGEST_PAUSE)
                continue
            if stored.record is not None and stored.record.rotation_id == record.rotation_id:
                return stored.revision
            # after a try of unknown outcome ours may have landed and been replaced: may_land keeps its overlap
            raise OvertakenError("somebody else wrote the secret first: the new token is given up")

    def _revision_of_ours(self, record: Record) -> str | None:
        """Give the revision at which our record is stored, None when it is not or nobody says."""
        try:
            stored = self._store.read(self._token.primary, self._token.owner)
        except StoreUnavailableError:
            return None
        ours = stored.record is not None and stored.record.rotation_id == record.rotation_id
        return stored.revision if ours else None

    def _read_back(self, record: Record) -> Stored | None:
        """Read what consumers will, as they do. The commit stands, whatever this says: the next gather judges.

        Where the reader of the store cannot, that is a matter of its own: see ``destination_is_unconfirmed``.
        """
        self.may_exist = False
        place = self._token.primary
        read = self._store.confirm if place.has_reader else self._store.read
        try:
            stored = read(place, self._token.owner)
        except ProvisionerError:
            return None
        return stored if stored.record == record else None

    def _issued(self, minted: MintedToken, expires_at: datetime) -> IssuedToken:
        return IssuedToken(
            issuer=self._token.issuer,
            token_id=minted.token_id,
            mark=self.mark,
            created_at=self._created_at,
            expires_at=expires_at,
        )

    def _announce(self) -> None:
        trigger = self._step.trigger
        started = events.RotationStarted(
            name=self._token.name,
            rotation_id=self.mark.rotation_id,
            fact=self._fact,
            reason=self._reason,
            request_id=trigger.request_id if trigger else None,
        )
        self._world.observe(started)

    def _finished(self, started: float) -> events.RotationFinished:
        return events.RotationFinished(
            name=self._token.name,
            rotation_id=self.mark.rotation_id,
            fact=self._fact,
            took=timedelta(seconds=self._world.clock.monotonic() - started),
            phases=dict(self._phases),
        )


def _is_pressing(snapshot: Snapshot, now: datetime) -> bool:
    """Tell whether no stored token works, or it is so near its end that its successor can wait for nobody."""
    current, is_stored = snapshot.current, snapshot.record is not None
    is_dead = (current is not None and not current.is_live(now)) or is_refused_for_good(snapshot)
    return not is_stored or is_dead or is_near_its_end(snapshot, now)


def _live_rotations(snapshot: Snapshot, now: datetime) -> tuple[str, ...]:
    """Give the rotations whose tokens are live as a new one begins, or may live where no list is given."""
    tokens = (*snapshot.marked(), *last_listed(snapshot))
    live = [token.mark.rotation_id for token in tokens if token.mark is not None and token.is_live(now)]
    return tuple(dict.fromkeys((*live, *sorted(unseen_predecessors(snapshot, now)))))
