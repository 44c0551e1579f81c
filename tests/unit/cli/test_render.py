"""How results are laid out for people."""

import pytest

from provisioner.cli import render

BRACKETS = "answered 400: [/index] of [redacted], see [bold]this[/bold] and :key: in [provisioner/prod/telegraf"


def test_brackets_are_no_markup(capsys: pytest.CaptureFixture[str]) -> None:
    """What a server says is printed as it is: no bracket of it is lost, or ends the command."""
    render.console().print(render.table("Plan", ["message"], [[BRACKETS]]))
    render.console().print(f"so: {BRACKETS}")
    assert capsys.readouterr().out.count(BRACKETS) == 2
