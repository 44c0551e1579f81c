"""What the influxctl look-alike needs of ``dataclasses``, ``enum``, ``json`` and ``tomllib``, without their imports.

It begins anew with every call, and those imports took three times as long as all else. Type checkers are shown the real
ones. What JSON or TOML is not plain is read by the real ones here, too.
"""

from __future__ import annotations

from _json import encode_basestring_ascii, make_scanner

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping
    from typing import Any, Final


class StrEnum(str):
    """An enumeration of texts: ``Kind("admin")`` is ``Kind.ADMIN``."""

    __slots__ = ()
    _members: dict[str, StrEnum]

    def __init_subclass__(cls) -> None:
        """Turn what the class names into its members."""
        named = {name: text for name, text in vars(cls).items() if not name.startswith("_") and isinstance(text, str)}
        cls._members = {text: str.__new__(cls, text) for text in named.values()}
        for name, text in named.items():
            setattr(cls, name, cls._members[text])

    def __new__(cls, text: str) -> StrEnum:  # noqa: PYI034  # no other is ever made
        """Give the member; raises ValueError when there is none."""
        if text not in cls._members:
            raise ValueError(f"{text!r} is not a valid {cls.__name__}")
        return cls._members[text]


def dataclass(**_: bool) -> Callable[[type], type]:
    """Make of a class what ``dataclass(frozen=True, kw_only=True)`` makes of it."""
    return _completed


def _completed(cls: type) -> type:
    names = tuple(cls.__annotations__)
    cls._fields, cls._defaults = names, {name: vars(cls)[name] for name in names if name in vars(cls)}  # type: ignore[attr-defined]
    for method in (_init, _eq, _hash, _repr, _setattr):
        setattr(cls, f"_{method.__name__}__", method)
    return cls


def _init(self: Any, **given: object) -> None:
    values = self._defaults | given
    if values.keys() != set(self._fields):
        wrong = ", ".join(sorted(values.keys() ^ set(self._fields)))
        raise TypeError(f"{type(self).__name__} has no such field, or lacks it: {wrong}")
    self.__dict__.update(values)
    check = getattr(self, "__post_init__", None)
    if check is not None:
        check()


def _eq(self: Any, other: object) -> bool:
    return type(self) is type(other) and vars(self) == vars(other)


def _hash(self: Any) -> int:
    return hash(tuple(getattr(self, name) for name in self._fields))


def _repr(self: Any) -> str:
    return f"{type(self).__name__}({', '.join(f'{name}={getattr(self, name)!r}' for name in self._fields)})"


def _setattr(self: Any, name: str, value: object) -> None:
    raise AttributeError(f"cannot assign to {name} of {type(self).__name__}: {value!r}")


def replace(value: Any, /, **changes: object) -> Any:
    """Give a copy with other values in these fields."""
    return type(value)(**(vars(value) | changes))


def asdict(value: Any) -> dict[str, Any]:
    """Give the fields by name, with those of what is in them."""
    return {name: _plain(getattr(value, name)) for name in value._fields}


def defaults(kind: type) -> Mapping[str, object]:
    """Give each field that has a default, with it."""
    found: dict[str, object] = vars(kind)["_defaults"]
    return found


def _plain(value: Any) -> Any:
    if isinstance(value, tuple):
        return tuple(_plain(one) for one in value)
    return asdict(value) if hasattr(value, "_fields") else value


_WORDS: Final = {None: "null", True: "true", False: "false"}


class _Reading:
    """How ``json`` reads when it is told nothing."""

    strict = True
    object_hook = object_pairs_hook = None
    parse_float, parse_int, parse_constant = float, int, float
    memo: dict[str, str] = {}  # noqa: RUF012  # the scanner's own, cleared by it


def read_json(text: str) -> Any:
    """Read as ``json.loads`` does, by the same scanner; raises ValueError."""
    try:
        value, end = make_scanner(_Reading)(text, 0)  # type: ignore[arg-type]
    except (StopIteration, ValueError):
        end = -1
    if end == len(text):
        return value
    import json

    return json.loads(text)


def written_json(value: object, *, indent: int | None = None) -> str:
    """Write as ``json.dumps`` does."""
    return _written(value, indent, "\n" if indent is not None else "")


def _written(value: object, indent: int | None, line: str) -> str:
    written: str
    match value:
        case str():
            written = encode_basestring_ascii(value)
        case None | bool():
            written = _WORDS[value]
        case int() | float():
            written = repr(value)
        case dict():
            labels = [f"{encode_basestring_ascii(key)}: " for key in value]
            written = _bracketed("{}", labels, value.values(), indent, line)
        case list() | tuple():
            written = _bracketed("[]", [""] * len(value), value, indent, line)
        case _:
            written = encode_basestring_ascii(value.isoformat())  # type: ignore[attr-defined]
    return written


def _bracketed(around: str, labels: list[str], values: Iterable[object], indent: int | None, line: str) -> str:
    if not labels:
        return around
    inner = line + " " * indent if indent is not None else ""
    parts = [label + _written(value, indent, inner) for label, value in zip(labels, values, strict=True)]
    joined = ("," + inner if indent is not None else ", ").join(parts)
    return f"{around[0]}{inner}{joined}{line}{around[1]}"


def read_profiles(text: str) -> Any:
    """Read a configuration file of ``[[profile]]`` and plain texts, and any other by ``tomllib``; raises ValueError."""
    profiles: list[dict[str, str]] = []
    for line in text.split("\n"):
        key, equals, rest = (part.strip(" ") for part in line.partition("="))
        inner = rest[1:-1]
        if line == "[[profile]]":
            profiles.append({})
        elif (
            equals
            and profiles
            and _is_name(key)
            and rest == f'"{inner}"'
            and _is_plain(inner)
            and key not in profiles[-1]
        ):
            profiles[-1][key] = inner
        elif line:
            import tomllib

            return tomllib.loads(text)
    return {"profile": profiles} if profiles else {}


def _is_name(text: str) -> bool:
    return text.isascii() and text.isidentifier()


def _is_plain(text: str) -> bool:
    """Tell whether a text stands for itself between quotes."""
    return text.isascii() and text.isprintable() and '"' not in text and "\\" not in text
