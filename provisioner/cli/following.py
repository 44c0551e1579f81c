"""Follows rotations that a daemon carries out: a live table on a terminal, a line for each phase elsewhere."""

from collections.abc import Callable, Mapping, Sequence
from contextlib import nullcontext
from datetime import datetime, timedelta
from typing import Any, Final

from rich.console import Console
from rich.live import Live
from rich.spinner import Spinner
from rich.table import Table
from rich.text import Text

from provisioner.ports.clock import Clock

_LOOK_EVERY: Final = timedelta(milliseconds=250)
ENDED: Final = frozenset({"done", "failed"})
Rotations = Sequence[Mapping[str, Any]]


def follow(
    rotations: Rotations, look: Callable[[], Rotations], console: Console, clock: Clock, *, tells_lines: bool = True
) -> Rotations:
    """Show how far they are until each has ended, and give them as they are then; lines only where they are wanted."""
    told: set[str] = set()
    live = Live(_board(rotations), console=console, transient=True) if console.is_terminal else None
    with live or nullcontext():
        while True:
            if live is not None:
                live.update(_board(rotations))
            elif tells_lines:
                _tell_new(rotations, told, console)
            if all(each["state"] in ENDED for each in rotations):
                return rotations
            clock.sleep(_LOOK_EVERY)
            rotations = look()


def _board(rotations: Rotations) -> Table:
    table = Table(box=None, header_style="bold", pad_edge=False)
    for column in ("", "token", "phases"):
        table.add_column(column)
    for each in rotations:
        phases = Text(", ").join(Text(_label(phase), style=_style(phase)) for phase in each["phases"])
        table.add_row(_sign(str(each["state"])), Text(str(each["name"]), style="bold"), phases or Text(each["state"]))
    return table


def _sign(state: str) -> Text | Spinner:
    if state in ENDED:
        return Text("✓", style="green") if state == "done" else Text("✗", style="bold red")
    return Spinner("dots") if state == "running" else Text("·")


def _label(phase: Mapping[str, Any]) -> str:
    return f"{str(phase['name']).replace('_', ' ')}{_took(phase)}"


def _took(phase: Mapping[str, Any]) -> str:
    if phase["ended_at"] is None:
        return ""
    began, ended = (datetime.fromisoformat(phase[key]) for key in ("began_at", "ended_at"))
    return f" {(ended - began).total_seconds():.1f} s"


def _style(phase: Mapping[str, Any]) -> str:
    if phase["failed"]:
        return "bold red"
    return "cyan" if phase["ended_at"] is None else "green"


def _tell_new(rotations: Rotations, told: set[str], console: Console) -> None:
    """Print a line for each phase that has ended since."""
    for each in rotations:
        for number, phase in enumerate(each["phases"]):
            key = f"{each['id']}/{each['tries']}/{number}"
            if phase["ended_at"] is not None and key not in told:
                told.add(key)
                what = "failed: " if phase["failed"] else ""
                console.print(Text(f"{each['name']}: {_label(phase)} {what}{phase['said'] or ''}".rstrip()))
