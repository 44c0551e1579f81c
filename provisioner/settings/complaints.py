"""What is wrong with a configuration, a line each: the key, what is wrong, what to do. No value is repeated."""

import difflib
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final, get_args, get_origin

from pydantic import BaseModel

from provisioner.domain.mark import INSTANCE_PATTERN, NAME_PATTERN
from provisioner.domain.scrub import LONGEST_PLAIN_WORD, scrub
from provisioner.settings.consumers import NAMESPACE_PATTERN, OBJECT_NAME_PATTERN
from provisioner.settings.installed import Installed

LOGINS: Final = ("token", "approle", "kubernetes", "jwt")
_LABEL_TEXT: Final = "be lower-case letters, digits and hyphens, at most 63 (a DNS label)"
_SHAPES: Final[Mapping[str, str]] = {
    **{f"^{pattern}$": _LABEL_TEXT for pattern in (INSTANCE_PATTERN, NAME_PATTERN)},
    NAMESPACE_PATTERN: _LABEL_TEXT,
    OBJECT_NAME_PATTERN: "be lower-case letters, digits, hyphens and dots, at most 253 (a name in Kubernetes)",
}
_ENTRY: Final = 2
"""How long the location of an issuer or a store is: its section, and its name."""
_CLOSE: Final = 0.8
"""How alike a key must be to be suggested: ``urll`` and ``url`` are, ``typo`` and ``type`` are not."""
_SHORTEST_VALUE: Final = 4
"""What is shorter is no secret, and may well stand in a message by chance."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Complaints:
    """Writes pydantic's problems as lines, for one configuration."""

    content: Mapping[str, Any]
    """The configuration as it stands in the file and the environment."""
    shape: Any
    """The model that it was judged by."""
    built_in: Mapping[str, Collection[str]]
    """Section -> the types that are built in."""
    installed: Installed

    def line(self, problem: Mapping[str, Any]) -> str:
        """Say one problem."""
        location = [part for part in problem["loc"] if part != "[key]"]
        key = self._key(location)
        match problem["type"]:
            case "extra_forbidden":
                *above, last = location
                unknown = scrub(str(last), longest_word=LONGEST_PLAIN_WORD)  # a secret, if the key was forgotten
                return f"{self._key([*above, unknown])}: unknown key{self.guess(unknown, *above)}"
            case "missing":
                return f"{key}: is missing"
            case "string_pattern_mismatch":
                pattern = problem["ctx"]["pattern"]
                return f"{key}: must {_SHAPES.get(pattern, f'match the pattern {pattern}')}"
            case "path_type":
                return f"{key}: must be a path, a text"
            case "union_tag_invalid" | "union_tag_not_found":
                return f"{key}: {self._types(location, problem.get('ctx', {}))}"
            case _:
                text = str(problem["msg"]).removeprefix("Value error, ").replace("Input should be ", "must be ", 1)
                return f"{key}: {self._without_values(text, location)}"

    def guess(self, key: str, *above: Any) -> str:  # noqa: ANN401  # parts of a location
        """Say what to do about a key that there is not; ``above`` is where it stands."""
        close = difflib.get_close_matches(key, sorted(_keys_at(self.shape, above)), n=1, cutoff=_CLOSE)
        if close:
            return f", did you mean {close[0]}?"
        return ": remove it, or see `provisioner schema` for the keys there are"

    def _types(self, location: list[Any], context: Mapping[str, Any]) -> str:
        """Say which types or methods there are."""
        written = self._item(location)
        kind = written.get("type") if isinstance(written, Mapping) else None
        if len(location) == _ENTRY and isinstance(kind, str) and kind in self.installed.unusable.get(location[0], {}):
            return self.installed.unusable[location[0]][kind]
        discriminator = str(context.get("discriminator", "'method'")).strip("'")
        kinds = ", ".join(repr(each) for each in self.built_in.get(location[0], LOGINS))
        return f"{discriminator} must be one of {context.get('expected_tags') or kinds}"

    def _without_values(self, text: str, location: list[Any]) -> str:
        """Take out of a message what stands at that place: a validator of another package may have put it there."""
        entry = self._item(location[:_ENTRY])
        kind = entry.get("type") if len(location) > _ENTRY and isinstance(entry, Mapping) else None
        if kind not in self.installed.models.get(location[0], {}):
            return text
        values = tuple(value for value in _texts(self._item(location)) if len(value) >= _SHORTEST_VALUE)
        return scrub(text, known=values, longest_word=LONGEST_PLAIN_WORD)

    def _key(self, location: list[Any]) -> str:
        """Write where a problem is, tokens by their names: ``tokens[telegraf-admin].ttl``."""
        text = ""
        for part, item in self._walk(location):
            if isinstance(part, int):
                name = item.get("name") if isinstance(item, Mapping) else None
                text += f"[{name if isinstance(name, str) and len(name) < 64 else part}]"  # noqa: PLR2004  # a DNS label
            else:
                text += f".{part}" if text else str(part)
        return text or "the file"

    def _item(self, location: list[Any]) -> Any:  # noqa: ANN401  # plain data
        """Give what stands at a place; None when there is nothing."""
        items = [item for _, item in self._walk(location)]
        return items[-1] if items else self.content

    def _walk(self, location: list[Any]) -> Iterator[tuple[Any, Any]]:
        """Give each part of a location that stands in the file, with what stands there."""
        families = (*self.built_in.values(), *self.installed.models.values())
        tags = {*LOGINS, *(kind for kinds in families for kind in kinds)}
        place: Any = self.content
        for index, part in enumerate(location):
            inside = isinstance(place, Mapping) and part in place
            if part in tags and not inside and index:
                continue  # the tag of a union, no key of the file
            listed = isinstance(place, list) and isinstance(part, int) and part < len(place)
            item = place[part] if inside or listed else None
            yield part, item
            place = item if item is not None else {}


def _texts(value: object) -> Iterator[str]:
    """Give all that a message could repeat of what stands at a place."""
    if isinstance(value, Mapping):
        for key, each in value.items():
            yield str(key)
            yield from _texts(each)
    elif isinstance(value, list):
        for each in value:
            yield from _texts(each)
    elif value is not None:
        yield str(value)


def _keys_at(shape: Any, location: Sequence[Any]) -> frozenset[str]:  # noqa: ANN401  # types of any shape
    """Give the keys that may stand at a place, for the kind that stands there."""
    models, is_entry = list(_models(shape)), False
    for part in location:
        if is_entry:  # a name, or an index
            is_entry = False
            continue
        tagged = [model for model in models if part in _tags(model)]
        if tagged and len(models) > 1:
            models = tagged
            continue
        annotations = [model.model_fields[part].annotation for model in models if part in model.model_fields]
        models = [model for annotation in annotations for model in _models(annotation)]
        is_entry = any(map(_has_entries, annotations))
    return frozenset(name for model in models for name in model.model_fields)


def _models(annotation: Any) -> Iterator[type[BaseModel]]:  # noqa: ANN401  # types of any shape
    """Give the models that an annotation speaks of, and not those of their fields."""
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        yield annotation
    for argument in get_args(annotation):
        yield from _models(argument)


def _has_entries(annotation: Any) -> bool:  # noqa: ANN401  # types of any shape
    return get_origin(annotation) in {dict, list} or any(map(_has_entries, get_args(annotation)))


def _tags(model: type[BaseModel]) -> Iterator[Any]:
    """Give the words by which a union tells it from others."""
    for name in ("type", "method"):
        if name in model.model_fields:
            yield from get_args(model.model_fields[name].annotation)
