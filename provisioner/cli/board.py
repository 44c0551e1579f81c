"""What the demo shows: one row a token, its life as a bar, and what each step did."""

from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from threading import Lock
from typing import Final

from rich.console import Console, ConsoleOptions, Group, JustifyMethod, RenderableType, RenderResult
from rich.measure import Measurement
from rich.panel import Panel
from rich.table import Table
from rich.text import Text

from provisioner.cli.render import state as state_text
from provisioner.domain import events
from provisioner.ports.clock import Clock

BAR_CELLS: Final = 28
"""As long as a bar gets; it gives way where the screen is narrow."""
_SHORTEST_BAR: Final = 4
LINES_SHOWN: Final = 14
_SHORT: Final = 8


@dataclass(slots=True)
class _Life:
    """One token as the demo has seen it."""

    token_id: str
    created_at: datetime
    expires_at: datetime
    state: str = "new"
    """new, current, overlap or revoked."""


@dataclass(slots=True)
class _Row:
    """One name as the demo has seen it."""

    name: str
    state: str = "due"
    phase: str = "waiting"
    rotations: int = 0
    lives: deque[_Life] = field(default_factory=lambda: deque(maxlen=4))


class Board:
    """An Observer that keeps what the screen shows."""

    def __init__(self, names: Sequence[str], clock: Clock) -> None:
        self._clock, self._lock = clock, Lock()
        self._rows = {name: _Row(name) for name in names}
        self._lines: deque[tuple[datetime, str, Text]] = deque(maxlen=LINES_SHOWN)
        self._told = 0
        self.requests = 0

    def __call__(self, event: events.Event) -> None:
        """Take note of an event."""
        with self._lock:
            if isinstance(event, events.RequestMade):
                self.requests += 1
            row = self._rows.get(getattr(event, "name", ""))
            text = self._note(row, event) if row is not None else None
            if row is not None and text is not None:
                self._lines.append((self._clock.now(), row.name, text))
                self._told += 1

    @property
    def rotations(self) -> int:
        """How many tokens have been stored so far, first ones not counted."""
        with self._lock:
            return sum(row.rotations for row in self._rows.values())

    def new_lines(self, told: int) -> tuple[int, list[Text]]:
        """Give the lines that came after the first ``told``, and how many there are now: for plain output."""
        with self._lock:
            fresh = list(self._lines)[max(0, len(self._lines) - (self._told - told)) :] if self._told > told else []
            return self._told, [self._line(*line) for line in fresh]

    def screen(self) -> RenderableType:
        """Lay it all out."""
        with self._lock:
            now = self._clock.now()
            lines = Group(*(self._line(*line) for line in self._lines))
            rotations = sum(row.rotations for row in self._rows.values())
            title = f"[bold]token-provisioner[/] · {rotations} rotations · {self.requests} requests · Ctrl-C ends"
            return Group(
                Panel(self._table(now), title=title, title_align="left", border_style="blue"),
                Panel(lines, title="what each step did", title_align="left", border_style="bright_black"),
            )

    def _note(self, row: _Row, event: events.Event) -> Text | None:
        """Change the row by the event, and say what happened; None for what is not shown."""
        said: tuple[str, str, str] | None = None
        match event:
            case events.RotationStarted():
                row.state, row.phase = "rotating", "creating"
                said = ("begins", "yellow", event.reason)
            case events.TokenCreated():
                row.phase = "proving"
                row.lives.append(_Life(event.token_id, self._clock.now(), event.expires_at))
                said = ("created", "cyan", f"{_short(event.token_id)}, its string is in memory only")
            case events.TokenProven():
                row.phase = "storing"
                tries = "at once" if event.tries == 1 else f"at the {event.tries}. try: new tokens need a moment"
                said = ("proven", "cyan", f"{_short(event.token_id)} works {tries}")
            case events.TokenStored():
                self._promote(row, event.token_id)
                said = ("stored", "green", f"{_short(event.token_id)} at {event.destination}, version {event.revision}")
            case events.TokenRevoked():
                for life in row.lives:
                    life.state = "revoked" if life.token_id == event.token_id else life.state
                said = ("revoked", "magenta", f"{_short(event.token_id)} {event.reason.partition(' ')[2]}")
            case events.StepFailed():
                row.state, row.phase = "failing", f"{event.step} failed"
                said = ("failed", "bold red", event.error)
            case _:
                pass
        return None if said is None else Text.assemble((f"{said[0]:<9}", said[1]), said[2])

    @staticmethod
    def _promote(row: _Row, token_id: str) -> None:
        for life in row.lives:
            if life.state == "current":
                life.state = "overlap"
                row.rotations += 1
            if life.token_id == token_id:
                life.state = "current"
        row.state, row.phase = "ok", "resting"

    def _table(self, now: datetime) -> Table:
        table = Table(box=None, pad_edge=False, header_style="bold bright_black", expand=True)
        for column in ("token", "state", "doing", "id", "life", "expires in", "rotations"):
            side: JustifyMethod = "right" if column == "rotations" else "left"
            table.add_column(column, justify=side, no_wrap=column != "life")
        for row in self._rows.values():
            lives = [life for life in row.lives if life.state in {"new", "current", "overlap"}]
            shown: list[_Life | None] = [*lives] or [None]
            for index, life in enumerate(reversed(shown)):
                first = index == 0
                table.add_row(
                    Text(row.name, style="bold") if first else "",
                    state_text(row.state) if first else "",
                    Text(row.phase, style="italic") if first or life is None else Text(life.state),
                    _short(life.token_id) if life else "-",
                    _Bar(life, now) if life else "",
                    _left(life.expires_at - now) if life else "-",
                    str(row.rotations) if first else "",
                )
        return table

    @staticmethod
    def _line(when: datetime, name: str, text: Text) -> Text:
        stamp = when.astimezone().strftime("%H:%M:%S")
        return Text.assemble(
            (f"{stamp} ", "bright_black"), (f"{name:<18}", "bold"), text, overflow="ellipsis", no_wrap=True
        )


@dataclass(frozen=True, slots=True)
class _Bar:
    """What is left of a life: full at its creation, empty at its expiry."""

    life: _Life
    now: datetime

    def __rich_measure__(self, console: Console, options: ConsoleOptions) -> Measurement:
        """Say how long it may be."""
        return Measurement(_SHORTEST_BAR, BAR_CELLS)

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        """Draw it, as long as there is room."""
        cells = min(BAR_CELLS, options.max_width)
        whole = (self.life.expires_at - self.life.created_at) / timedelta(seconds=1)
        gap = (self.life.expires_at - self.now) / timedelta(seconds=1)
        full = round(cells * max(0.0, min(1.0, gap / whole))) if whole > 0 else 0
        colour = {"new": "cyan", "current": "green", "overlap": "yellow"}[self.life.state]
        yield Text.assemble(("━" * full, colour), ("━" * (cells - full), "grey23"))


def _left(gap: timedelta) -> str:
    return f"{max(0.0, gap.total_seconds()):.0f} s"


def _short(token_id: str) -> str:
    """Give the beginning of a long id; a number is marked as one, so that it reads like a name."""
    return f"#{token_id}" if token_id.isdigit() else token_id[:_SHORT]
