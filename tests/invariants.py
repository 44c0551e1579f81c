"""The invariants I1 to I8 of the rotation protocol, written once: every test of the protocol runs them.

They look at the ground truth (what the fakes really hold), never at what the engine believes.
"""

from collections import defaultdict
from datetime import datetime
from typing import TYPE_CHECKING

from provisioner.domain.model import IssuedToken, Record
from tests.restraint import Restraint

if TYPE_CHECKING:
    from tests.rig import Rig

MOST_LIVE = 3


class Invariants:
    """Watches one rig. ``excused`` names what a person did, for which nobody here can be blamed."""

    def __init__(self, rig: "Rig", *, replicas: int = 1) -> None:
        self._rig, self._most_live = rig, MOST_LIVE + replicas - 1
        self.restraint = Restraint(rig)
        self.excused: set[str] = set()
        """Ids of tokens that were revoked, or let expire, by somebody outside."""
        self.requests_forgotten = False
        """Whether a person deleted or restored the secret, and with it the memory of honoured requests."""
        self.locked_out = False
        """Whether a person took away the last credential that works."""
        self._versions_seen = 0
        self._current: str | None = None
        self._copied: dict[str, str | None] = {}
        """By path: the token that a copy was last seen to hold."""
        self._replaced_at: dict[str, datetime] = {}
        self._foreign_tokens: dict[str, IssuedToken] = {}
        self._foreign_documents: dict[str, dict[str, object]] = {}
        self._rotations_by_request: dict[str, set[str]] = defaultdict(set)

    def check(self) -> None:
        """Check I1, I3, I4, I6 and I8 as things stand now; I7: for however many replicas there are."""
        assert not self.restraint.broken, self.restraint.broken[0]
        self._note_current()
        self._stored_token_works()
        self._predecessors_keep_their_overlap()
        self._nothing_foreign_is_touched()
        self._live_tokens_are_bounded()
        self._a_request_rotates_once()
        self._some_credential_works()

    def check_nothing_leaks(self) -> None:
        """I2: after everything has come to rest, only the current token lives."""
        assert not self.restraint.broken, self.restraint.broken[0]
        live = self._rig.live_ids()
        assert live == {self._rig.current_id}, f"I2: live are {sorted(live)}, stored is {self._rig.current_id}"

    def check_output(self, *texts: str) -> None:
        """I5: no token string, nor a long part of one, stands in any text."""
        for issuer in (self._rig.issuer, self._rig.former):
            for token_id, string in issuer.strings.items():
                found = any(string in text for text in texts)
                assert not found, f"I5: the string of {token_id} stands in something that was written"

    def allow_one_more(self) -> None:
        """Something of ours is under way that no list shows to anybody: a further actor, as I4 has it."""
        self._most_live += 1

    def comes_back(self) -> None:
        """A secret that a person deleted was restored, to be written: for a moment what it held can be read again."""
        if self._rig.current_id is not None:
            self.excused.add(self._rig.current_id)
            self.restraint.comes_back(self._rig.current_id)

    def expect_foreign(self, token_id: str | None = None, path: str | None = None) -> None:
        """Remember a foreign token or secret, which must stay as it is."""
        if token_id is not None:
            self._foreign_tokens[token_id] = self._rig.issuer.tokens[token_id]
        if path is not None:
            self._foreign_documents[path] = dict(self._rig.store.document(path) or {})

    def forget_foreign(self, path: str) -> None:
        """Let a foreign secret change: a person does something to it."""
        self._foreign_documents.pop(path, None)

    def _note_current(self) -> None:
        self._note_primary()
        self._note_copies()

    def _note_copies(self) -> None:
        """Consumers of a copy have their overlap from when the copy was replaced."""
        record = self._rig.record
        for place in self._rig.token.destinations[1:]:
            held = self._rig.content_of(self._rig.store.document(place.path), place)
            token_id = held.token_id if isinstance(held, Record) else None
            before, self._copied[place.path] = self._copied.get(place.path), token_id
            is_replaced = before not in {None, token_id, self._current}
            if is_replaced and before is not None and record is not None and not record.compromised:
                self._replaced_at[before] = self._rig.clock.now()

    def _note_primary(self) -> None:
        record = self._rig.record
        now_current = record.token_id if record is not None else None
        if now_current == self._current:
            return
        self.restraint.current_changes(self._current, record)
        if self._current is not None:
            self._replaced_at[self._current] = self._rig.clock.now()
        if record is not None and record.compromised:
            self._replaced_at.clear()  # who asked for that wanted no overlap
        if now_current is not None:
            self._replaced_at.pop(now_current, None)
        self._current = now_current

    def _stored_token_works(self) -> None:
        record, now = self._rig.record, self._rig.clock.now()
        if record is None or record.token_id in self.excused:
            return
        issued = self._find(record.token_id)
        assert issued is not None, f"I1: the stored token {record.token_id} was never issued"
        assert issued.is_live(now), f"I1: the stored token {record.token_id} is dead at {now}: {issued}"

    def _predecessors_keep_their_overlap(self) -> None:
        for token_id, replaced_at in self._replaced_at.items():
            issued = self._find(token_id)
            if issued is None or issued.revoked_at is None or token_id in self.excused:
                continue
            if issued.is_expired(issued.revoked_at):
                continue  # what had ended was deleted
            kept = issued.revoked_at - replaced_at
            least = self._rig.token.overlap - self.restraint.clocks_differ_by
            assert kept >= least, f"I1: {token_id} was revoked {kept} after it was replaced"

    def _nothing_foreign_is_touched(self) -> None:
        for token_id, before in self._foreign_tokens.items():
            assert self._rig.issuer.tokens[token_id] == before, f"I3: the foreign token {token_id} was touched"
        for path, document in self._foreign_documents.items():
            assert self._rig.store.document(path) == document, f"I3: the foreign secret at {path} was overwritten"

    def _live_tokens_are_bounded(self) -> None:
        live = self._rig.live_ids()
        assert len(live) <= self._most_live, f"I4: {len(live)} live tokens: {sorted(live)}"

    def _a_request_rotates_once(self) -> None:
        if self.requests_forgotten:
            return
        versions = self._rig.store.versions.get(self._rig.token.primary.path, [])
        for document, _ in versions[self._versions_seen :]:
            content = self._rig.content_of(document)
            request_id = getattr(content, "request_id", None)
            if request_id is not None:
                self._rotations_by_request[request_id].add(getattr(content, "rotation_id", ""))
        self._versions_seen = len(versions)
        for request_id, rotations in self._rotations_by_request.items():
            assert len(rotations) == 1, f"I6: request {request_id} rotated {len(rotations)} times"

    def _some_credential_works(self) -> None:
        rig = self._rig
        if not rig.token.credential_of or self.locked_out:
            return
        held = [rig.content_of(rig.store.document(place.path), place) for place in rig.token.destinations]
        strings = [content.token for content in held if isinstance(content, Record)]
        strings += [rig.initial] if rig.initial is not None else []
        for issuer in (rig.issuer, rig.former):
            if issuer.name in rig.token.credential_of:
                works = any(issuer.lets_in(string.reveal()) for string in strings)
                assert works, f"I8: no credential works at {issuer.name}: neither the stored one nor the initial one"

    def _find(self, token_id: str) -> IssuedToken | None:
        for issuer in (self._rig.issuer, self._rig.former):
            if token_id in issuer.tokens:
                return issuer.tokens[token_id]
        return None
