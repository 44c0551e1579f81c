"""What the demo draws, on screens of several widths."""

import io
from datetime import timedelta

import pytest
from rich.console import Console

from provisioner.cli.board import BAR_CELLS, Board
from provisioner.domain import events
from tests.builders import NOW
from tests.fakes.clock import FakeClock

NAME, UUID = "telegraf-admin", "a785aa54-0000-4000-8000-000000000000"


def drawn(token_id: str, width: int) -> str:
    """Draw a board with one token that has half of its life left."""
    clock = FakeClock()
    board = Board([NAME], clock)
    whose = {"name": NAME, "rotation_id": "r", "token_id": token_id}
    board(events.TokenCreated(**whose, issuer="cluster", expires_at=NOW + timedelta(seconds=24)))
    board(events.TokenStored(**whose, destination="openbao:influx", revision="1"))
    clock.advance(timedelta(seconds=12))
    console = Console(
        file=io.StringIO(), width=width, force_terminal=True, color_system="truecolor", legacy_windows=False
    )
    with console.capture() as captured:
        console.print(board.screen())
    return captured.get()


@pytest.mark.parametrize("width", [80, 120, 200])
def test_nothing_that_is_read_is_cut_off(width: int) -> None:
    """The bar gives way on a narrow screen; names, ids and headings stay whole, and the bar is half full."""
    screen = drawn(UUID, width)
    for whole in (NAME, "a785aa54", "resting", "expires in", "12 s", "rotations"):
        assert whole in screen
    full, _, rest = (part.count("━") for part in screen.partition("\x1b[38;5;237m"))
    assert full == pytest.approx(rest, abs=1)
    assert full > 0


def test_bar_is_no_longer_than_it_has_to_be() -> None:
    """On a wide screen the bar has its usual length."""
    assert drawn(UUID, 200).count("━") == BAR_CELLS


def test_id_that_is_a_number_is_marked_as_one() -> None:
    """InfluxDB 3 numbers its tokens."""
    screen = drawn("7", 120)
    assert "#7" in screen
    assert "#" not in drawn(UUID, 120)
