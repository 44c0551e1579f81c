"""What must not be done although the invariants would survive it: rules over acts, as I1 to I8 are over states.

They too look at the ground truth. Every test of the protocol runs them, through ``tests.invariants``.
"""

from datetime import timedelta
from typing import TYPE_CHECKING

from provisioner.domain.model import CreateRequest, IssuedToken, ManagedToken, Record
from provisioner.domain.timing import rotation_due
from provisioner.ports.credential import Presented

if TYPE_CHECKING:
    from tests.rig import Rig

Actor = tuple[int, int]


class Restraint:
    """Ten rules over acts.

    R1: no create without a preflight of its own. R2: no rotation is created twice.
    R3: nobody revokes a young token that another process may be about to store.
    R4: a token that is well is not replaced without a reason.
    R5: none becomes the stored one that was not seen to work. R6: none is revoked that a copy still holds.
    R7: what is stored is replaced by another token, never by nothing.
    R8: what was replaced is not revoked before consumers were seen to read what replaced it, where that can be seen.
    R9: no predecessor of a credential is revoked before each issuer was called, with success, with what replaced it.
    R10: where the overlap lasts until workloads are rolled out, none is revoked that pods hold, before its longest end.
    """

    def __init__(self, rig: "Rig") -> None:
        self._rig = rig
        self.reasons_unknown = False
        """Whether replicas have different configurations, or a person edited what is stored: R4 cannot be judged."""
        self.clocks_differ_by = timedelta(0)
        """How far a replica's clock has been off at most: what is measured by it may be shorter by as much."""
        self.broken: list[str] = []
        """Every rule that was broken: the engine may catch what is raised in the middle of its calls."""
        self._ready: set[Actor | None] = set()
        self._makers: dict[str, Actor | None] = {}
        self._has_been_current: set[str] = set()
        self._proven: set[str] = set()
        self._in_turn: list[Record] = []
        """The records that were current, one after another."""
        self._admitted: set[tuple[str, str | None]] = set()
        """Issuers, and rotations whose token they were called with."""
        self._person_acted = False
        self._is_compromised = False
        """Whether the last record of ours asked for an end without overlap, whatever a person has done to it since."""
        self._configured = [rig.token]
        self._put_by_person: set[str | None] = set()
        self._restored: set[str] = set()

    def store_is_ready(self) -> None:
        """Note that the store told whoever acts that it would take a write."""
        self._ready.add(self._rig.acting)

    def creates(self, request: CreateRequest) -> None:
        """Check R1 and R2 as a token is created."""
        rotation_id, actor = request.mark.rotation_id, self._rig.acting
        self._demand(
            actor in self._ready, f"R1: rotation {rotation_id} creates a token, and did not ask the store before"
        )
        self._demand(rotation_id not in self._makers, f"R2: rotation {rotation_id} creates a second token")
        self._ready.discard(actor)
        self._makers[rotation_id] = actor

    def proves(self, token_id: str) -> None:
        """Note that a token was seen to work."""
        self._proven.add(token_id)

    def admits(self, issuer: str, presented: Presented) -> None:
        """Note with what an issuer was called with success."""
        self._admitted.add((issuer, presented.rotation_id))

    def revokes(self, token: IssuedToken) -> None:
        """Check R3, R6, R8 and R9 as a token is revoked by one of us."""
        acting = self._rig.acting
        for place in self._rig.token_of(acting[0] if acting else 0).destinations[1:]:
            held = getattr(self._rig.content_of(self._rig.store.document(place.path), place), "token_id", None)
            self._demand(held != token.token_id, f"R6: {token.token_id} is revoked while {place} holds it")
        now = self._rig.clock.now()
        if token.mark is None or token.created_at is None or token.is_expired(now):
            return
        self._demand_that_successor_is_used(token)
        if self._is_compromised:
            return
        self._demand_that_no_pod_holds(token)
        if token.token_id in self._has_been_current:
            self._demand_that_consumers_read(token, acting)
            return
        made_by, age = self._makers.get(token.mark.rotation_id), now - token.created_at
        quiet = min(self._rig.token.orphan_quiet_period, self._rig.token.overlap) - self.clocks_differ_by
        own = made_by is not None and made_by == self._rig.acting
        self._demand(own or age >= quiet, f"R3: {token.token_id} is revoked {age} old by somebody who did not make it")

    def _demand_that_successor_is_used(self, token: IssuedToken) -> None:
        """A dead one is no successor: who wants its place has to make room, and is called with something else."""
        turns = [number for number, record in enumerate(self._in_turn) if record.token_id == token.token_id]
        of, record = self._rig.token.credential_of, self._rig.record
        current = self._rig.issuer.tokens.get(record.token_id) if record is not None else None
        if not of or not turns or current is None or not current.is_live(self._rig.clock.now()):
            return
        after = [record.rotation_id for record in self._in_turn[turns[-1] + 1 :]]
        used = any(all((issuer, rotation) in self._admitted for issuer in of) for rotation in after)
        self._demand(used, f"R9: {token.token_id} is revoked, and {', '.join(of)} was not called with its successor")

    def _demand_that_consumers_read(self, token: IssuedToken, acting: Actor | None) -> None:
        for place in self._rig.token_of(acting[0] if acting else 0).destinations:
            seen = not place.has_reader or (place.path, self._rig.current_id) in self._rig.store.seen_by_reader
            self._demand(seen, f"R8: {token.token_id} is revoked, and nobody has seen that consumers can read {place}")

    def _demand_that_no_pod_holds(self, token: IssuedToken) -> None:
        """A successor that is dead, or does not work, and needs room waits for nobody."""
        rig, record = self._rig, self._rig.record
        edited = record is not None and rig.issuer.strings.get(record.token_id) != record.token.reveal()
        if edited or token.token_id in rig.invariants.excused:
            return
        longest = rig.token.until_rolled_out
        current = rig.issuer.tokens.get(record.token_id) if record is not None else None
        if longest is None or record is None or current is None or not current.is_live(rig.clock.now()):
            return
        if rig.clock.now() >= record.stored_at + longest - self.clocks_differ_by:
            return
        for workload, pods in rig.workloads.there.items():
            holds = workload in rig.token.workloads and token.token_id in pods.held
            self._demand(not holds, f"R10: {token.token_id} is revoked while pods of {workload} hold it")

    def was_configured(self, token: ManagedToken) -> None:
        """Note that a replica may have this configuration: what is due by it is due."""
        self._configured.append(token)

    def person_writes(self) -> None:
        """Note that a person changes what is stored: for the next change nobody here needs a reason."""
        self._person_acted = True
        self._put_by_person |= {self._rig.current_id} - {None}

    def comes_back(self, token_id: str) -> None:
        """Note that a token is stored again only because a deleted secret has to be restored before it is written."""
        self._restored.add(token_id)
        self._person_acted = True

    def current_changes(self, before: str | None, record: Record | None) -> None:
        """Check R4 as another record becomes the stored one."""
        if record is not None:
            self._has_been_current.add(record.token_id)
            self._in_turn.append(record)
            self._is_compromised = record.compromised
        if self._person_acted:
            self._person_acted = False
            self._put_by_person |= {record.token_id} if record is not None else set()
            return
        if record is not None:
            self._demand(record.token_id in self._proven, f"R5: {record.token_id} was not seen to work")
        else:
            self._demand(before is None or before in self._restored, f"R7: {before} was stored, and is not any more")
        if before in self._put_by_person:
            return
        old = self._rig.issuer.tokens.get(before or "")
        if record is None or old is None or record.request_id is not None or self.reasons_unknown:
            return
        now = self._rig.clock.now()
        if old.created_at is None or old.expires_at is None or not old.is_live(now):
            return
        life = (old.created_at, old.expires_at)
        due = min(rotation_due(token, *life, now) for token in self._configured)
        self._demand(
            now >= due - self.clocks_differ_by, f"R4: {before} was well, and {record.token_id} replaced it all the same"
        )

    def _demand(self, kept: bool, rule: str) -> None:  # noqa: FBT001  # a condition, as in an assertion
        if not kept:
            self.broken.append(rule)
        assert kept, rule
