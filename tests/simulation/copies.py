"""Copies of what has come so far: what leads to a moment is done once, and copied for each schedule from there on."""

import io
import pickle
from datetime import datetime, timedelta
from threading import Lock
from typing import Any, Final, Generic, TypeVar

from greenlet import greenlet

from provisioner.domain.mark import Owner
from provisioner.domain.memory import Memory
from provisioner.domain.model import Destination, IssuedToken, ManagedToken, Record, Trigger
from provisioner.domain.secret import SecretText
from tests.simulation.tape import Said, Told

_SHARED: Final = frozenset(
    {SecretText, Memory, Destination, IssuedToken, ManagedToken, Owner, Record, Said, Told, Trigger}
    | {datetime, timedelta}
)
"""What nobody can change, so that copies may have it in common; of these a secret refuses to be copied at all."""
_LOCK: Final = type(Lock())
Thing = TypeVar("Thing")


class Copies(Generic[Thing]):
    """One thing, to be had as often as wanted, by way of ``pickle``: nothing that one copy does shows in another."""

    def __init__(self, thing: Thing, *shared: object) -> None:
        """Take it as it is now; copies have what is ``shared`` in common."""
        written = io.BytesIO()
        pickler = _Pickler(written, shared)
        pickler.dump(thing)
        self._written, self._shared = written.getvalue(), pickler.kept

    def fresh(self) -> Thing:
        """Give another copy."""
        copy: Thing = _Unpickler(self._written, self._shared).load()
        return copy


class _Pickler(pickle.Pickler):
    """Keeps what is to be shared aside."""

    def __init__(self, file: io.BytesIO, shared: tuple[object, ...]) -> None:
        super().__init__(file, pickle.HIGHEST_PROTOCOL)
        self.kept = list(shared)
        self._places = {id(one): place for place, one in enumerate(shared)}
        self._kinds = _SHARED | {type(one) for one in shared}

    def persistent_id(self, given: object) -> int | None:
        """Give the place of what is shared."""
        if type(given) not in self._kinds:
            return None
        place = self._places.setdefault(id(given), len(self.kept))
        if place == len(self.kept):
            self.kept.append(given)
        return place

    def reducer_override(self, given: object) -> Any:
        """Make locks anew, since nobody holds one between two calls; and leave out what runs."""
        if isinstance(given, greenlet):
            return type(None), ()
        return (Lock, ()) if isinstance(given, _LOCK) else NotImplemented


class _Unpickler(pickle.Unpickler):
    """Finds what is shared."""

    def __init__(self, written: bytes, kept: list[object]) -> None:
        super().__init__(io.BytesIO(written))
        self._kept = kept

    def persistent_load(self, place: int) -> object:
        """Give what is at that place."""
        return self._kept[place]
