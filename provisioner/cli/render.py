"""How results look: tables by Rich for people, JSON for scripts. Everything here is already free of secrets."""

import json
import sys
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Final

from rich.console import Console
from rich.measure import Measurement
from rich.table import Table
from rich.text import Text

from provisioner.domain.timing import rfc3339

PIPE_WIDTH: Final = 200
_ANY_WIDTH: Final = 10_000
STATE_STYLES: Final[Mapping[str, str]] = {
    "ok": "green",
    "due": "yellow",
    "rotating": "cyan",
    "failing": "bold red",
    "refused": "bold red",
    "unknown": "bold magenta",
}


class Output(StrEnum):
    """How a command prints its result."""

    TABLE = "table"
    JSON = "json"


def console() -> Console:
    """Give a console on standard output; wide when nobody watches, so that nothing is cut off.

    Texts are printed as they are: what others say may hold brackets, which are no markup of ours.
    """
    return Console(width=None if sys.stdout.isatty() else PIPE_WIDTH, highlight=False, markup=False, emoji=False)


def complaints() -> Console:
    """Give a console on standard error."""
    return Console(stderr=True, highlight=False, soft_wrap=True)


def say_error(message: str) -> None:
    """Print an error for a person, on standard error."""
    _say("error: ", "bold red", message)


def say_warning(message: str) -> None:
    """Print a warning for a person, on standard error."""
    _say("warning: ", "bold yellow", message)


def _say(head: str, style: str, message: str) -> None:
    console_ = complaints()
    for index, line in enumerate(message.splitlines() or [""]):
        console_.print(Text.assemble((head if index == 0 else " " * len(head), style), line))


def print_json(value: object) -> None:
    """Print JSON on standard output: times as RFC 3339, durations in seconds, keys as they come."""
    sys.stdout.write(json.dumps(value, default=_plain, indent=2) + "\n")


def as_plain(data: object) -> dict[str, object]:
    """Give a dataclass of the domain as a dictionary for JSON."""
    return asdict(data)  # type: ignore[call-overload, no-any-return]  # callers pass dataclass instances


def table(title: str, columns: Sequence[str], rows: Iterable[Sequence[str | Text]]) -> Table:
    """Lay rows out under a title."""
    laid = Table(title=title, title_justify="left", title_style="bold", header_style="bold", expand=False)
    for column in columns:
        laid.add_column(column, overflow="fold")
    for row in rows:
        laid.add_row(*row)
    return laid


def show(title: str, columns: Sequence[str], rows: Iterable[Sequence[str | Text]]) -> None:
    """Print rows on standard output: as a table, or below each other on a terminal too narrow for its words."""
    console_, rows = console(), list(rows)
    laid = table(title, columns, rows)
    narrowest = Measurement.get(console_, console_.options.update(width=_ANY_WIDTH), laid).minimum
    if narrowest <= console_.width or not console_.is_terminal:
        console_.print(laid)
        return
    console_.print(Text(title, style="bold"))
    for first, *others in rows:
        console_.print(first, style="bold")
        beside = Table.grid(padding=(0, 2, 0, 0), pad_edge=False)
        beside.add_column(no_wrap=True)
        beside.add_column(overflow="fold")
        for column, cell in zip(columns[1:], others, strict=True):
            if str(cell) != "-":
                beside.add_row(f"  {column}", cell)
        console_.print(beside)


def state(name: str) -> Text:
    """Colour a state."""
    return Text(name, style=STATE_STYLES.get(name, ""))


def moment(when: datetime | None, now: datetime | None = None) -> str:
    """Write a moment, and how far off it is."""
    if when is None:
        return "-"
    plain = rfc3339(when.replace(microsecond=0))
    return plain if now is None else f"{plain} ({distance(when - now)})"


def distance(gap: timedelta) -> str:
    """Write a gap of time in its two largest units: ``in 3d 4h``, ``2m 10s ago``."""
    seconds = round(abs(gap.total_seconds()))
    parts: list[str] = []
    for letter, size in (("d", 86400), ("h", 3600), ("m", 60), ("s", 1)):
        count, seconds = divmod(seconds, size)
        if count or (letter == "s" and not parts):
            parts.append(f"{count}{letter}")
    text = " ".join(parts[:2])
    return f"in {text}" if gap >= timedelta(0) else f"{text} ago"


def _plain(value: object) -> object:
    if isinstance(value, datetime):
        return rfc3339(value)
    if isinstance(value, timedelta):
        return value.total_seconds()
    if isinstance(value, Mapping):
        return dict(value)
    raise TypeError(f"{type(value).__name__} has no JSON form here")
