"""Every point at which the crash suite kills the command, in one table: scenarios, the calls they make, the moments."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

BEFORE: Final = "before"
AFTER: Final = "after"
REQUEST: Final = "by-hand-1"
EFFECTS: Final = {
    "issuer.create": ("kill_caller_before_create", "kill_caller_after_create", "die_after_create"),
    "issuer.revoke": ("kill_caller_before_revoke", "kill_caller_after_revoke", "die_after_revoke"),
    "store.write": ("request-lost", "request-late", "answer-lost"),
}
"""Moments inside a call that has an effect.

For issuers these are knobs of the simulated cluster; ``die`` kills influxctl and not its caller. For HTTP the sender is
killed and the request is lost on the way; or it reaches the server late, when everything has been put right already; or
it is carried out and its sender never has the answer.
"""
READS: Final = {"issuer.prove": ("answer-lost",), "store.read": ("answer-lost",)}
"""Moments inside a call that has none: in one scenario of each, since nothing hangs on them."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Scenario:
    """Something that the command does, undisturbed."""

    name: str
    calls: tuple[str, ...]
    """Every call to an issuer or a store of an undisturbed run, in order."""
    command: tuple[str, ...] = ("once", "-o", "json")
    beginning: str | None = None
    """What is there before, see ``conftest``."""
    inside_reads: bool = False
    """Whether it is killed inside its reads as well."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Point:
    """One moment at which a scenario's command is killed."""

    scenario: Scenario
    operation: str
    count: int
    """Which call of that operation, from 1."""
    moment: str

    def __str__(self) -> str:
        """Give the name of the case."""
        return f"{self.scenario.name}-{self.operation}.{self.count}-{self.moment}"


_LOOK: Final = ("issuer.list", "store.read")
_TRY_STORED: Final = ("issuer.prove", "store.read")
_ROTATE: Final = ("store.preflight", "issuer.create", "issuer.prove", "store.write", "store.read")
_REVOKE: Final = ("issuer.list", "store.read", "issuer.revoke", "store.read")
_FENCE: Final = ("store.write",)
SCENARIOS: Final = (
    Scenario(name="first", calls=(*_LOOK, *_ROTATE), inside_reads=True),
    Scenario(name="due", calls=(*_LOOK, *_TRY_STORED, *_ROTATE), beginning="provisioned"),
    Scenario(
        name="by-hand",
        calls=(*_LOOK, *_TRY_STORED, *_ROTATE),
        beginning="provisioned",
        command=("rotate", "telegraf", "--direct", "--request-id", REQUEST, "-o", "json"),
    ),
    Scenario(name="predecessor", calls=(*_LOOK, *_TRY_STORED, *_REVOKE), beginning="rotated"),
    Scenario(name="orphan", calls=(*_LOOK, *_TRY_STORED, *_FENCE, *_REVOKE), beginning="provisioned"),
    Scenario(
        name="copy",  # each look reads the primary; the copy is asked when nothing else is to be done, and afterwards
        calls=(*_LOOK, *_TRY_STORED, "store.read", "store.write", "store.read", "store.read"),
        beginning="provisioned",
    ),
)


def points() -> Iterator[Point]:
    """Give every crash point: before every call, inside and after every effect, and after the last call.

    The moment after a call without an effect is the moment before the next one: nothing lies between them.
    """
    for scenario in SCENARIOS:
        seen: dict[str, int] = {}
        for place, operation in enumerate(scenario.calls, start=1):
            count = seen[operation] = seen.get(operation, 0) + 1
            for moment in _moments(scenario, operation, is_last=place == len(scenario.calls)):
                yield Point(scenario=scenario, operation=operation, count=count, moment=moment)


def _moments(scenario: Scenario, operation: str, *, is_last: bool) -> Iterator[str]:
    yield BEFORE
    yield from EFFECTS.get(operation, ())
    if scenario.inside_reads:
        yield from READS.get(operation, ())
    if operation in EFFECTS or is_last:
        yield AFTER
