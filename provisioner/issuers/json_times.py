"""Reads times out of JSON, in any of the forms in which InfluxDB writes them."""

import re
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from typing import Final

_FRACTION: Final = re.compile(r"(\.\d{6})\d+")
_MILLISECONDS_FROM: Final = 1e11
_NANOSECONDS_FROM: Final = 1e16


def parse_time(value: object) -> datetime | None:
    """Read a time in any of the forms seen; nothing, epoch 0 and year 1 mean that there is none."""
    moment: datetime | None = None
    if isinstance(value, Mapping):
        moment = _from_parts(value)
    elif isinstance(value, bool):
        moment = None
    elif isinstance(value, int | float):
        moment = _from_number(value)
    elif isinstance(value, str) and value.strip():
        moment = _from_rfc3339(value.strip())
    return None if moment is None or moment.year <= 1 or moment.timestamp() == 0 else moment


def _from_parts(value: Mapping[str, object]) -> datetime | None:
    parts = {str(key).lower(): part for key, part in value.items()}
    try:
        seconds, nanos = int(str(parts.get("seconds") or 0)), int(str(parts.get("nanos") or 0))
        return datetime.fromtimestamp(seconds, UTC) + timedelta(microseconds=nanos // 1000)
    except (ValueError, OverflowError, OSError):
        return None


def _from_number(number: float) -> datetime | None:
    try:
        if number > _NANOSECONDS_FROM:
            number /= 1e9
        elif number > _MILLISECONDS_FROM:
            number /= 1e3
        return datetime.fromtimestamp(number, UTC)
    except (ValueError, OverflowError, OSError):
        return None


def _from_rfc3339(text: str) -> datetime | None:
    if text.replace(".", "", 1).isdecimal():
        return _from_number(float(text))
    try:
        moment = datetime.fromisoformat(_FRACTION.sub(r"\1", text))
        return moment.replace(tzinfo=UTC) if moment.tzinfo is None else moment.astimezone(UTC)
    except (ValueError, OverflowError):
        return None
