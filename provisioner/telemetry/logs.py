"""The log: one line an event on standard error, JSON or text, with a last scrubbing of every text in it.

Of an exception it tells kind and place; of what other libraries log, no word that is long enough for a token.
"""

import io
import logging
import re
import sys
from collections.abc import Callable, Mapping, MutableMapping
from dataclasses import fields
from datetime import datetime, timedelta
from typing import Any, Final, TextIO, cast

import structlog

from provisioner.domain import events
from provisioner.domain.scrub import LONGEST_PLAIN_WORD, scrub
from provisioner.domain.timing import rfc3339
from provisioner.telemetry.bugs import kind_and_place
from provisioner.telemetry.names import LOGGER

LEVELS: Final[Mapping[type[events.Event], int]] = {
    events.Decided: logging.DEBUG,
    events.RequestMade: logging.DEBUG,
    events.StoredTokenTried: logging.DEBUG,
    events.PassFinished: logging.DEBUG,
    events.RotationStarted: logging.INFO,
    events.TokenCreated: logging.INFO,
    events.TokenProven: logging.INFO,
    events.TokenStored: logging.INFO,
    events.RotationFinished: logging.INFO,
    events.DestinationWritten: logging.INFO,
    events.DestinationConfirmed: logging.INFO,
    events.ConsumerRestarted: logging.INFO,
    events.ConsumerRolledOut: logging.INFO,
    events.WebhookDelivered: logging.INFO,
    events.ConsumerStuck: logging.WARNING,
    events.ConsumersLeftBehind: logging.WARNING,
    events.RevisionFenced: logging.INFO,
    events.TokenRevoked: logging.INFO,
    events.PermissionsAmended: logging.INFO,
    events.ClockSkewEnded: logging.INFO,
    events.ClockSkewFound: logging.WARNING,
    events.StoredTokenRefused: logging.WARNING,
    events.LookFailed: logging.WARNING,
    events.NameRefused: logging.WARNING,
    events.StepHeldUp: logging.WARNING,
    events.StepFailed: logging.WARNING,
    events.LeadershipGained: logging.INFO,
    events.LeadershipReleased: logging.INFO,
    events.LeaderSeen: logging.INFO,
    events.LeadershipLost: logging.WARNING,
    events.LeaseUnreachable: logging.WARNING,
    events.LeaseRefused: logging.ERROR,
    events.PodEventsDropped: logging.WARNING,
}
"""How loud each event is."""
UNSAID: Final = frozenset({events.NameStands, events.AbandonedCounted})
"""Events that tell no news: metrics and status are made of them."""
CHATTY: Final = (
    "apscheduler",
    "asyncio",
    "boto3",
    "botocore",
    "hvac",
    "httpcore",
    "httpcore2",
    "httpx",
    "httpx2",
    "requests",
    "urllib3",
    "uvicorn",
)
"""Libraries that print addresses, headers or bodies when asked for detail: never below a warning."""
_LONGEST_TEXT: Final = 1000
_CAPITAL: Final = re.compile(r"(?<!^)(?=[A-Z])")


class LogObserver:
    """An Observer that writes each event as one line, named in the past tense: ``rotation_finished``."""

    def __init__(self) -> None:
        """Begin writing to the log as it is configured."""
        self._log = structlog.get_logger(LOGGER)

    def __call__(self, event: events.Event) -> None:
        """Write one event."""
        if type(event) in UNSAID:
            return
        details = {item.name: _plain(getattr(event, item.name)) for item in fields(event)}
        self._log.log(LEVELS[type(event)], _CAPITAL.sub("_", type(event).__name__).lower(), **details)


class Losses:
    """How many lines could not be written since the process began."""

    def __init__(self) -> None:
        self.lines = 0


LOSSES: Final = Losses()
"""One for the process, as the log is: a new configuration opens it anew."""


class _Lossy(io.TextIOBase):
    """A stream that takes every line, also when it cannot be written: a full disk or a closed pipe stops nobody.

    One thread at a time writes a line, in pieces, and flushes it.
    """

    def __init__(self, stream: TextIO) -> None:
        self._given, self._is_lost = stream, False

    def write(self, text: str) -> int:
        self._attempt(lambda: self._stream.write(text))
        return len(text)

    def flush(self) -> None:
        self._attempt(self._stream.flush)
        self._is_lost = False

    def _attempt(self, effect: Callable[[], object]) -> None:
        try:
            effect()
        except (OSError, ValueError):  # a ValueError of a stream that was closed
            LOSSES.lines += not self._is_lost
            self._is_lost = True

    @property
    def _stream(self) -> TextIO:
        """Give the process's own standard error as it is now: a live table stands before it, while there is one."""
        return sys.stderr if self._given is sys.__stderr__ else self._given


def configure_logging(form: str, level: str) -> None:
    """Send everything that is logged to standard error, as ``json`` or ``text``, from ``level`` on."""
    shared: list[structlog.typing.Processor] = [
        structlog.stdlib.add_log_level,
        structlog.processors.TimeStamper(fmt="iso", utc=True),
        _exceptions_by_kind,
    ]
    last: Any = structlog.processors.JSONRenderer() if form == "json" else _text
    number = logging.getLevelNamesMapping()[level.upper()]
    structlog.configure(
        processors=[*shared, _scrubbed, last],
        wrapper_class=structlog.make_filtering_bound_logger(number),
        logger_factory=structlog.PrintLoggerFactory(cast("TextIO", _Lossy(sys.stderr))),
        cache_logger_on_first_use=False,
    )
    handler = logging.StreamHandler(sys.stderr)
    of_others = [*shared, _scrubbed_of_others]
    handler.setFormatter(
        structlog.stdlib.ProcessorFormatter(foreign_pre_chain=of_others, processors=[_without_record, last])
    )
    root = logging.getLogger()
    root.handlers[:] = [handler]
    root.setLevel(number)
    for name in CHATTY:
        logging.getLogger(name).setLevel(max(number, logging.WARNING))


def _scrubbed(_: object, __: str, entry: MutableMapping[str, Any]) -> MutableMapping[str, Any]:
    """Scrub every text, the last line of defence: what enters should be clean already."""
    return {key: _scrub_value(value) for key, value in entry.items()}


def _scrubbed_of_others(_: object, __: str, entry: MutableMapping[str, Any]) -> MutableMapping[str, Any]:
    """Scrub what another library logs: it may have been given anything."""
    event = scrub(str(entry.get("event", "")), longest=_LONGEST_TEXT, longest_word=LONGEST_PLAIN_WORD)
    return {key: _scrub_value(value) for key, value in entry.items() if not key.startswith("_")} | {"event": event}


def _exceptions_by_kind(_: object, __: str, entry: MutableMapping[str, Any]) -> MutableMapping[str, Any]:
    """Put kind and place of an exception in place of its traceback: its text is nobody's to see."""
    given = entry.pop("exc_info", None)
    entry.pop("stack_info", None)
    error = given[1] if isinstance(given, tuple) else sys.exc_info()[1] if given is True else given
    if isinstance(error, BaseException):
        entry["exception"] = kind_and_place(error, error.__traceback__)
    return entry


def _scrub_value(value: object) -> object:
    if value is None or isinstance(value, bool | int | float):
        return value
    if isinstance(value, BaseException):
        return kind_and_place(value, value.__traceback__)
    if isinstance(value, Mapping):
        return {str(key): _scrub_value(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_scrub_value(item) for item in value]
    if isinstance(value, str):
        return scrub(value, longest=_LONGEST_TEXT)
    return scrub(str(value), longest=_LONGEST_TEXT, longest_word=LONGEST_PLAIN_WORD)


def _without_record(_: object, __: str, entry: MutableMapping[str, Any]) -> MutableMapping[str, Any]:
    """Drop what structlog keeps of a standard logging record."""
    return {key: value for key, value in entry.items() if key not in {"_record", "_from_structlog"}}


def _text(_: object, __: str, entry: MutableMapping[str, Any]) -> str:
    """Write one line for people: time, level, event, then key=value."""
    entry = dict(entry)
    head = " ".join(str(entry.pop(key, "")) for key in ("timestamp", "level", "event"))
    return " ".join(
        [head, *(f"{key}={value!r}" if " " in str(value) else f"{key}={value}" for key, value in entry.items())]
    )


def _plain(value: object) -> object:
    """Give a value that JSON can hold: times as RFC 3339, durations in seconds."""
    if isinstance(value, datetime):
        return rfc3339(value)
    if isinstance(value, timedelta):
        return round(value.total_seconds(), 6)
    if isinstance(value, Mapping):
        return {key: _plain(item) for key, item in value.items()}
    return value
