"""What a replica was told in the course of its pass: told the same again, another comes to the same place.

A replica stands in the middle of real code and cannot be put back there; it can be told the same.
"""

from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import datetime
from functools import partial
from typing import Any

from provisioner.engine.world import World


@dataclass(frozen=True, slots=True)
class Told:
    """One answer or error of a port, and what was told before."""

    before: "Told | None"
    answer: object
    error: Exception | None = None


@dataclass(frozen=True, slots=True)
class Said:
    """One line of a trace, and what was said before."""

    before: "Said | None"
    moment: datetime
    what: str

    def __str__(self) -> str:
        """Spell it out: late, since few are ever read."""
        return f"{self.moment:%d. %H:%M:%S}  {self.what}"


class Tape:
    """Between a replica and its ports: keeps what they say, or, after ``rewind``, says it again in their place."""

    def __init__(self) -> None:
        self._last: Told | None = None
        self._again: list[Told] = []

    def around(self, world: World) -> World:
        """Give the world whose every word is kept; the time and chance are told as well."""
        issuers: dict[str, Any] = {name: _Port(port, self) for name, port in world.issuers.items()}
        stores: dict[str, Any] = {name: _Port(port, self) for name, port in world.stores.items()}
        clock: Any = _Port(world.clock, self)
        entropy: Any = _Port(world.entropy, self)
        observe: Any = partial(self.tell, world.observe)
        workloads: Any = _Port(world.workloads, self)
        notifier: Any = _Port(world.notifier, self)
        return replace(
            world,
            issuers=issuers,
            stores=stores,
            clock=clock,
            entropy=entropy,
            observe=observe,
            workloads=workloads,
            notifier=notifier,
        )

    def rewind(self) -> None:
        """Tell everything once more to whoever asks now; after that, it is asked for again."""
        told, self._again = self._last, []
        while told is not None:
            self._again.append(told)
            told = told.before

    def tell(self, ask: Callable[..., object], *given: object, **named: object) -> object:
        """Give the answer to one call."""
        if self._again:
            told = self._again.pop()
            if told.error is not None:
                raise told.error.with_traceback(None)
            return told.answer
        try:
            answer = ask(*given, **named)
        except Exception as error:
            self._last = Told(self._last, None, error)
            raise
        self._last = Told(self._last, answer)
        return answer


class _Port:
    """One port, whose calls go over the tape."""

    def __init__(self, port: object, tape: Tape) -> None:
        self._port, self._tape = port, tape

    def __getattr__(self, name: str) -> object:
        found = getattr(self._port, name)
        return partial(self._tape.tell, found) if callable(found) else found
