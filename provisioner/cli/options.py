"""Options that several commands share."""

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import typer

from provisioner.cli.render import Output

Config = Annotated[
    Path | None,
    typer.Option(
        "--config",
        "-c",
        metavar="FILE",
        help="The configuration. Else $PROVISIONER_CONFIG, else /etc/provisioner/provisioner.yaml.",
    ),
]
OutputOption = Annotated[Output, typer.Option("--output", "-o", help="A table for people, or JSON for scripts.")]
Names = Annotated[list[str] | None, typer.Argument(metavar="[NAME]...", help="Token names; all when none is given.")]
Server = Annotated[
    str | None, typer.Option("--server", metavar="URL", help="Ask the daemon over HTTP instead of its socket.")
]
TokenFile = Annotated[
    Path | None, typer.Option("--token-file", metavar="FILE", help="Holds the API token, for --server.")
]
CaCert = Annotated[Path | None, typer.Option("--ca-cert", metavar="FILE", help="The CA of an https:// server, in PEM.")]


@dataclass(frozen=True, slots=True, kw_only=True)
class GlobalOptions:
    """What was said before the command."""

    config: Path | None = None


def config_path(context: typer.Context, config: Path | None) -> Path | None:
    """Give the configuration named after the command, else the one named before it."""
    if config is not None:
        return config
    options = context.obj
    return options.config if isinstance(options, GlobalOptions) else None
