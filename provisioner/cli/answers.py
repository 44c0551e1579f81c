"""What a daemon answers, parsed once: whatever is not as ours answer is not believed, whoever it comes from."""

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final, Literal

from pydantic import AwareDatetime, BaseModel, ConfigDict, TypeAdapter, ValidationError

from provisioner.domain.scrub import LONGEST_PLAIN_WORD, scrub


class _Part(BaseModel):
    """A part of an answer; a newer daemon may say more."""

    model_config = ConfigDict(extra="allow", frozen=True, hide_input_in_errors=True)


class _Phase(_Part):
    name: str
    began_at: AwareDatetime
    ended_at: AwareDatetime | None
    said: str | None
    failed: bool


class _Rotation(_Part):
    id: str
    name: str
    request_id: str
    state: Literal["waiting", "running", "done", "failed"]
    compromised: bool
    asked_at: AwareDatetime
    ended_at: AwareDatetime | None
    tries: int
    phases: list[_Phase]
    already: bool
    token_id: str | None
    error: str | None
    revoked: list[str]
    still_live: list[str]


class _Rotations(_Part):
    rotations: list[_Rotation]


_DEEPEST: Final = 20
_ANSWER: Final = TypeAdapter(_Rotations)


@dataclass(frozen=True, slots=True, kw_only=True)
class Refusal:
    """A problem in the words of a daemon of ours, clean."""

    kind: str
    said: str


def parsed(body: bytes) -> object:
    """Give what stands in JSON; None where it is none, or one more deeply nested than any answer of ours."""
    try:
        content = json.loads(body)
    except (ValueError, RecursionError):
        return None
    return None if is_deep(content) else content


def is_deep(content: object) -> bool:
    """Tell whether something in it lies deeper than in any answer of ours."""
    level = [content]
    for _ in range(_DEEPEST):
        inner = [one.values() if isinstance(one, dict) else one for one in level if isinstance(one, dict | list)]
        level = [each for one in inner for each in one]
    return bool(level)


def have_zones(value: object) -> bool:
    """Tell whether each moment in it is one, wherever it is read."""
    if isinstance(value, datetime):
        return value.tzinfo is not None
    if isinstance(value, dict):
        return all(map(have_zones, value.values()))
    return not isinstance(value, list | tuple) or all(map(have_zones, value))


def texts_in(content: object) -> Iterator[str]:
    """Give every text in it, keys too, however deep."""
    rest = [content]
    while rest:
        one = rest.pop()
        if isinstance(one, str):
            yield one
        elif isinstance(one, dict):
            rest += [*one, *one.values()]
        elif isinstance(one, list):
            rest += one


def rotations_in(content: object) -> list[dict[str, Any]] | None:
    """Give the rotations that an answer lists, without what no terminal should be sent; None where it lists none."""
    try:
        found = _ANSWER.validate_python(content).model_dump(mode="json")["rotations"]
    except (ValidationError, ValueError, RecursionError):
        return None
    clean: list[dict[str, Any]] = printable(found)
    return clean


def answers_to(rotations: Sequence[Mapping[str, Any]], demand: Mapping[str, Any]) -> bool:
    """Tell whether these rotations are what was asked for."""
    names = set(demand.get("names", ()))
    told = {each["name"] for each in rotations}
    requests = {each["request_id"] for each in rotations}
    return requests == {demand.get("request_id")} and (not names or told <= names)


def refusal_in(content: object, status: int) -> Refusal | None:
    """Give the problem that an answer of that status tells; None where no daemon of ours told it."""
    if not isinstance(content, Mapping) or content.get("status") != status:
        return None
    kind, detail, flaws = content.get("type"), content.get("detail"), content.get("errors", [])
    if not isinstance(kind, str) or not isinstance(detail, str) or not isinstance(flaws, list):
        return None
    said = [scrub(detail, longest_word=LONGEST_PLAIN_WORD * 2)]
    said += [scrub(f"{each.get('where')}: {each.get('what')}") for each in flaws if isinstance(each, Mapping)]
    return Refusal(kind=kind, said="; ".join(said))


def printable(value: Any) -> Any:  # noqa: ANN401  # whatever JSON can be
    """Take out of every text what would move a cursor, or turn a line round."""
    if isinstance(value, str):
        return "".join(letter if letter.isprintable() else " " for letter in value)
    if isinstance(value, dict):
        return {printable(key): printable(item) for key, item in value.items()}
    return [printable(item) for item in value] if isinstance(value, list) else value
