"""A broken variant of the protocol: what it puts in whose place, and the schedules that must catch it."""

import re
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import wraps
from types import ModuleType
from typing import Any, Final, Protocol, TypeVar

from provisioner.domain import decide
from tests.simulation.exhaustive import Bound, Scenario, explore
from tests.simulation.walk import run

_RULE: Final = re.compile(r"(?:^|: )(?P<rule>[IR]\d+): ")


@dataclass(frozen=True, slots=True, kw_only=True)
class Breach:
    """A rule that was broken, and where."""

    rule: str
    """I1 to I6, I8, or R1 to R10."""
    where: str
    message: str


class Schedules(Protocol):
    """Schedules that are always the same."""

    def first_breach(self) -> Breach | None:
        """Run them in order, up to the first that breaks a rule; None when none does."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Seeds:
    """The random schedules of the first seeds."""

    count: int

    def __str__(self) -> str:
        return f"seeds 0 to {self.count - 1}"

    def first_breach(self) -> Breach | None:
        """See the protocol."""
        return next((found for seed in range(self.count) if (found := _breach(f"seed {seed}", run, seed))), None)


@dataclass(frozen=True, slots=True, kw_only=True)
class Search:
    """Every schedule of a scenario within a bound."""

    scenario: Scenario
    bound: Bound

    def __str__(self) -> str:
        return f"{self.scenario.name}; {self.bound.name}"

    def first_breach(self) -> Breach | None:
        """See the protocol."""
        return _breach(str(self), explore, self.scenario, self.bound)


@dataclass(frozen=True, slots=True, kw_only=True)
class Directed:
    """One schedule by hand, for what neither chance nor search comes to."""

    name: str
    play: Callable[[], None]

    def __str__(self) -> str:
        return self.name

    def first_breach(self) -> Breach | None:
        """See the protocol."""
        return _breach(str(self), self.play)


@dataclass(frozen=True, slots=True, kw_only=True)
class Mutation:
    """The protocol without one of its rules."""

    name: str
    rule: str
    """The rule that it leaves out."""
    place: object
    """The module or class in which something is replaced; a check of the chain stands for itself."""
    attribute: str
    broken: Callable[..., Any]
    """What is called instead, with the original before its arguments."""
    caught_by: frozenset[str]
    """The rules of the checkers that may notice it."""
    where: Schedules

    @contextmanager
    def planted(self) -> Iterator[None]:
        """Put it into the original's place, and the original back afterwards."""
        home = self._home()
        original = vars(home)[self.attribute]
        setattr(home, self.attribute, self._instead_of(original))
        try:
            yield
        finally:
            setattr(home, self.attribute, original)

    def hunt(self) -> Breach | None:
        """Give how its schedules catch it, or None."""
        with self.planted():
            return self.where.first_breach()

    def _home(self) -> object:
        return self.place

    def _instead_of(self, original: Any) -> object:
        if isinstance(original, property) and original.fget is not None:
            return property(self._around(original.fget))
        return self._around(original)

    def _around(self, original: Callable[..., Any]) -> Callable[..., Any]:
        @wraps(original)
        def instead(*given: Any, **named: Any) -> Any:
            return self.broken(original, *given, **named)

        return instead


@dataclass(frozen=True, slots=True, kw_only=True)
class CheckMutation(Mutation):
    """The chain of checks with another answer to one of them, which is ``place``."""

    def _home(self) -> object:
        return decide

    def _instead_of(self, original: Any) -> object:
        checks: tuple[Callable[..., Any], ...] = original
        return tuple(check if check is not self.place else self._around(check) for check in checks)


LISTED: Final[list[Mutation]] = []
"""What ``instead_of`` was called for."""
Broken = TypeVar("Broken", bound=Callable[..., Any])


def instead_of(place: object, attribute: str, *, caught_by: str, where: Schedules) -> Callable[[Broken], Broken]:
    """Put a broken function into the list: its sentence is the rule, ``caught_by`` names who may notice it."""
    return _listed(Mutation, place, attribute, caught_by, where)


def instead_of_check(check: object, *, caught_by: str, where: Schedules) -> Callable[[Broken], Broken]:
    """Put a broken check of the chain into the list."""
    return _listed(CheckMutation, check, "CHAIN", caught_by, where)


def listed_in(module: ModuleType) -> Iterator[Mutation]:
    """Give those that a module puts into the list, in its order."""
    return (mutation for mutation in LISTED if mutation.broken.__module__ == module.__name__)


def table(mutations: Iterable[Mutation]) -> Iterator[str]:
    """Give them as lines of a table, each with the first breach that its schedules come to."""
    for mutation in mutations:
        breach = mutation.hunt()
        caught = f"{breach.rule}  {breach.where}" if breach else f"NOT CAUGHT  {mutation.where}"
        yield f"{mutation.name:38}  {caught:82}  {mutation.rule}\n"


def _listed(
    kind: type[Mutation], place: object, attribute: str, caught_by: str, where: Schedules
) -> Callable[[Broken], Broken]:
    def listed(broken: Broken) -> Broken:
        mutation = kind(
            name=broken.__name__.replace("_", " "),
            rule=broken.__doc__ or "",
            place=place,
            attribute=attribute,
            broken=broken,
            caught_by=frozenset(caught_by.split()),
            where=where,
        )
        LISTED.append(mutation)
        return broken

    return listed


def _breach(where: str, play: Callable[..., object], *given: object) -> Breach | None:
    """Run something; what is no rule of the checkers, but an error, is raised."""
    try:
        play(*given)
    except AssertionError as error:
        message = str(error).partition("\n")[0]
        found = _RULE.search(message)
        if found is None:
            raise
        return Breach(rule=found["rule"], where=where, message=message[found.start("rule") :])
    return None
