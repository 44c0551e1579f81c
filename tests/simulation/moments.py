"""Moments to come back to: what leads to one is done once, and everything is put back for each schedule from there on.

Nothing is copied but what can change, and nothing changes its identity: whoever holds a thing holds the same one, as it
was then.
"""

from collections import Counter, defaultdict
from collections.abc import Callable
from dataclasses import fields, is_dataclass
from datetime import date, timedelta
from enum import Enum
from functools import partial
from threading import Lock
from types import BuiltinMethodType, FunctionType, MethodType
from typing import Any, Final

from greenlet import greenlet

from provisioner.domain.secret import SecretText
from provisioner.engine.world import World

Restore = Callable[[], object]
"""Puts one thing back."""
_LEAVES: Final = (
    *(type(None), bool, int, float, str, bytes, tuple, frozenset, type, Enum, date, timedelta, SecretText),
    *(FunctionType, MethodType, BuiltinMethodType, partial, type(Lock()), greenlet),
)
"""What nobody can change, nor anything in it; locks, since nobody holds one between two calls; and what runs."""


class Moment:
    """How everything stood that can be reached from one thing."""

    def __init__(self, root: object) -> None:
        """Take it as it is now. Raises TypeError when it holds what cannot be put back."""
        self._restores: list[Restore] = []
        left, seen = [root], set[int]()
        while left:
            thing = left.pop()
            if id(thing) not in seen:
                seen.add(id(thing))
                self._note(thing, left)

    def put_back(self) -> None:
        """Let everything be as it was then."""
        for restore in self._restores:
            restore()

    def _note(self, thing: Any, left: list[object]) -> None:
        kind = type(thing)
        if kind in {dict, defaultdict, Counter}:
            kept = dict(thing)
            held = kept.values()
            self._restores.append(partial(_refill, thing, kept))
        elif kind is list:
            held = thing[:]
            self._restores.append(partial(thing.__setitem__, slice(None), held))
        elif kind is set:
            self._restores.append(partial(_refill, thing, frozenset(thing)))
            return
        else:
            kept = {name: getattr(thing, name) for name in _slots_of(kind)}
            kept |= getattr(thing, "__dict__", {})
            held = kept.values()
            if kind is not World:  # that one cannot change, but what it holds can
                kept = {name: None if isinstance(value, greenlet) else value for name, value in kept.items()}
                self._restores.append(partial(_set_all, thing, kept))
        left += [one for one in held if not _is_leaf(type(one))]


def _refill(thing: Any, content: Any) -> None:
    thing.clear()
    thing.update(content)


def _set_all(thing: object, values: dict[str, object]) -> None:
    for name, value in values.items():
        setattr(thing, name, value)


_KNOWN: Final[dict[type, bool]] = {dict: False, defaultdict: False, Counter: False, list: False, set: False}
_SLOTS: Final[dict[type, tuple[str, ...]]] = {}


def _is_leaf(kind: type) -> bool:
    """Tell whether nothing of such a thing can change."""
    found = _KNOWN.get(kind)
    if found is None:
        found = _KNOWN[kind] = issubclass(kind, _LEAVES) or (
            is_dataclass(kind) and vars(kind)["__dataclass_params__"].frozen and kind is not World
        )
        if not found and not _slots_of(kind) and not hasattr(kind, "__dict__"):
            raise TypeError(f"a {kind.__name__} cannot be put back")
    return found


def _slots_of(kind: type) -> tuple[str, ...]:
    found = _SLOTS.get(kind)
    if found is None:
        named = {name for one in kind.__mro__ for name in vars(one).get("__slots__", ())}
        named |= {field.name for field in fields(kind)} if is_dataclass(kind) and named else set()
        found = _SLOTS[kind] = tuple(sorted(named - {"__dict__", "__weakref__"}))
    return found
