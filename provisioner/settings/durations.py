"""Durations as people write them: ``30d``, ``1h30m``, ``90s``, or ISO 8601."""

import re
from datetime import timedelta
from typing import Annotated, Final

from pydantic import BeforeValidator, PlainSerializer, TypeAdapter, ValidationError, WithJsonSchema

_UNITS: Final = {"w": "weeks", "d": "days", "h": "hours", "m": "minutes", "s": "seconds", "ms": "milliseconds"}
_PART: Final = re.compile(r"(\d+(?:\.\d+)?)(ms|[wdhms])")
_WHOLE: Final = re.compile(r"(?:\d+(?:\.\d+)?(?:ms|[wdhms]))+")
_ISO: Final = TypeAdapter(timedelta)
_LONGEST: Final = timedelta(days=3650)
HINT: Final = "write a duration with its unit, such as 30d, 12h, 15m, 90s or P30D"


def parse_duration(value: object) -> timedelta:
    """Read a duration; raises ValueError with a hint that names no unit-less number as one."""
    if isinstance(value, timedelta):
        return value
    if not isinstance(value, str):
        raise ValueError(HINT)  # noqa: TRY004  # pydantic turns a ValueError into a message about the key
    text = value.strip().lower()
    if _WHOLE.fullmatch(text):
        try:
            parts = [timedelta(**{_UNITS[unit]: float(number)}) for number, unit in _PART.findall(text)]
            total = sum(parts, timedelta(0))
        except OverflowError:
            raise ValueError(f"{HINT}; at most ten years") from None
    elif text.startswith("p"):
        try:
            total = _ISO.validate_python(value.strip().upper())
        except ValidationError:
            raise ValueError(HINT) from None
    else:
        raise ValueError(HINT)
    if total > _LONGEST:
        raise ValueError(f"{HINT}; at most ten years")
    return total


def _positive(value: timedelta) -> timedelta:
    if value <= timedelta(0):
        raise ValueError("must be longer than nothing")
    return value


def write_duration(value: timedelta) -> str:
    """Write a duration in the largest units that hold it whole: ``1h30m``, ``10d``."""
    seconds, parts = value.total_seconds(), []
    for unit, size in (("d", 86400), ("h", 3600), ("m", 60)):
        count, seconds = divmod(seconds, size)
        parts += [f"{count:.0f}{unit}"] if count else []
    parts += [f"{seconds:g}s"] if seconds or not parts else []
    return "".join(parts)


_SCHEMA: Final = {
    "type": "string",
    "description": "A duration: 30d, 12h, 1h30m, 90s, or ISO 8601 (P30D).",
    "examples": ["30d", "12h", "90s"],
}
_COMMON = (WithJsonSchema(_SCHEMA), PlainSerializer(write_duration, return_type=str))
Duration = Annotated[timedelta, BeforeValidator(lambda value: _positive(parse_duration(value))), *_COMMON]
"""A duration longer than nothing."""
DurationOrZero = Annotated[timedelta, BeforeValidator(parse_duration), *_COMMON]
"""A duration that may be ``0s``."""
