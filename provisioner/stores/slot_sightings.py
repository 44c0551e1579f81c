"""What stood beside a bare token when it was last read: what a write may take away once it has landed, and no more."""

from collections.abc import Mapping
from dataclasses import dataclass
from threading import Lock

from provisioner.domain.mark import OWNER_TAG, Owner
from provisioner.domain.slots import is_slot_key


@dataclass(frozen=True, slots=True, kw_only=True)
class Beside:
    """The tags or the metadata of one secret at one revision."""

    revision: str
    texts: Mapping[str, str]
    kept: frozenset[str]
    """Keys of the slots that belong to the token of that revision: who restores it finds them."""


class SlotSightings:
    """Remembers the last look at each path. Safe for several threads."""

    def __init__(self) -> None:
        """Begin with none."""
        self._lock = Lock()
        self._last: dict[str, Beside] = {}

    def note(self, path: str, beside: Beside) -> None:
        """Remember what was read just now."""
        with self._lock:
            self._last[path] = beside

    def at(self, path: str, revision: str) -> Beside | None:
        """Give the last look, if it was at that revision."""
        with self._lock:
            seen = self._last.get(path)
        return seen if seen is not None and seen.revision == revision else None

    def stale(self, path: str, replaced: str, slot: Mapping[str, str]) -> list[str]:
        """Give the keys that nobody needs once ``slot`` is the current one and ``replaced`` its predecessor.

        Only what stood there before the commit: whoever puts a slot later may commit it yet, whoever put one before
        names a revision that has gone. Where the same token was written again, its predecessor stays too.
        """
        seen = self.at(path, replaced)
        if seen is None or seen.kept & set(slot):
            return []
        return sorted(key for key in seen.texts if is_slot_key(key) and key not in seen.kept and key not in slot)

    def is_tagged(self, path: str, revision: str, owner: Owner) -> bool:
        """Tell whether the owner's tag is known to be there."""
        seen = self.at(path, revision)
        return seen is not None and seen.texts.get(OWNER_TAG) == str(owner)
