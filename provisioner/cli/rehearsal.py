"""The demo command: the whole thing on this machine, with lives of seconds."""

from typing import Annotated, Final

import typer

from provisioner.cli.demo_issuers import EXHIBITS, IssuerKind

_KINDS: Final = ";\n\n".join(f"[bold]{kind}[/]: {exhibit.summary}" for kind, exhibit in EXHIBITS.items())


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command(rich_help_panel="Rehearse")(demo)


def demo(
    rotations: Annotated[
        int | None, typer.Option("--rotations", min=1, metavar="N", help="End with status 0 after N rotations.")
    ] = None,
    issuer: Annotated[
        IssuerKind, typer.Option("--issuer", metavar="KIND", help=f"Whose tokens:\n\n{_KINDS}.")
    ] = IssuerKind.INFLUXCTL,
) -> None:
    """Start a real OpenBao and a simulated InfluxDB cluster here, and watch three tokens rotate. Ctrl-C ends it."""
    from provisioner.cli.demo import run_demo

    run_demo(rotations, issuer)
