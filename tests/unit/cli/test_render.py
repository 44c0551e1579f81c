"""How results are laid out for people."""

from io import StringIO

import pytest
from rich.console import Console

from provisioner.cli import render

BRACKETS = "answered 400: [/index] of [redacted], see [bold]this[/bold] and :key: in [provisioner/prod/telegraf"


def test_brackets_are_no_markup(capsys: pytest.CaptureFixture[str]) -> None:
    """What a server says is printed as it is: no bracket of it is lost, or ends the command."""
    render.console().print(render.table("Plan", ["message"], [[BRACKETS]]))
    render.console().print(f"so: {BRACKETS}")
    assert capsys.readouterr().out.count(BRACKETS) == 2


def on_a_terminal(monkeypatch: pytest.MonkeyPatch, columns: int) -> StringIO:
    """Let results go to a terminal of that width; give what is written there."""
    written = StringIO()
    terminal = Console(file=written, force_terminal=True, width=columns, color_system=None, markup=False)
    monkeypatch.setattr(render, "console", lambda: terminal)
    return written


@pytest.mark.parametrize(("columns", "is_table"), [(80, False), (120, True)])
def test_words_are_whole_on_a_narrow_terminal(monkeypatch: pytest.MonkeyPatch, columns: int, *, is_table: bool) -> None:
    """Where a table would have to break words, each row stands below the other, without what says nothing."""
    token_ids = ("e6bdba62-d62f-481f-acfa-d181e72e769e", "50a201d0-2b6d-42bd-ac67-01f27f01ba39")
    written = on_a_terminal(monkeypatch, columns)
    render.show("Rotation", ["token", "id", "live", "error"], [["telegraf-admin", *token_ids, "-"]])
    said = written.getvalue()
    assert all(token_id in said for token_id in token_ids)
    assert ("┃" in said) == is_table
    assert ("error" in said) == is_table
    assert max(map(len, said.splitlines())) <= columns


def test_a_pipe_has_the_table_as_ever(capsys: pytest.CaptureFixture[str]) -> None:
    """However wide it would have to be."""
    render.show("Tokens", ["token", "why"], [["telegraf", "x" * 300]])
    assert "┃ token" in capsys.readouterr().out
