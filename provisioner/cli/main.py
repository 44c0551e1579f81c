"""The command line: assembles the commands, and turns errors into messages and exit codes."""

import sys
from types import TracebackType
from typing import Annotated

import typer

from provisioner.cli import acting, looking, rehearsal
from provisioner.cli.options import Config, GlobalOptions
from provisioner.cli.render import say_error
from provisioner.domain.errors import ConfigurationError, ProvisionerError
from provisioner.domain.scrub import scrub

EXIT_FAILED = 1
EXIT_CONFIGURATION = 2

app = typer.Typer(
    name="provisioner",
    help="""Creates InfluxDB 3 tokens with an expiry, stores them in Vault or OpenBao without anybody seeing them,
and rotates them before they expire.

Start with [bold]provisioner demo[/], or: write a configuration, [bold]provisioner check[/],
[bold]provisioner plan[/], [bold]provisioner once[/], and then leave it to [bold]provisioner run[/].""",
    no_args_is_help=True,
    add_completion=False,
    rich_markup_mode="rich",
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)


def _version(*, wanted: bool) -> None:
    if wanted:
        from importlib.metadata import version

        typer.echo(f"provisioner {version('token-provisioner')}")
        raise typer.Exit


@app.callback()
def options(
    context: typer.Context,
    config: Config = None,
    version: Annotated[
        bool,
        typer.Option(
            "--version",
            callback=lambda value: _version(wanted=value),
            is_eager=True,
            help="Print the version and leave.",
        ),
    ] = False,  # Typer's way to say that a flag is off
) -> None:
    """Take the options that stand before the command."""
    del version
    context.obj = GlobalOptions(config=config)


acting.register(app)
looking.register(app)
rehearsal.register(app)


def main() -> None:
    """Run the command line; the exit codes are those of ``docs/commands.md``."""
    sys.excepthook = _say_without_secrets
    try:
        app()
    except ConfigurationError as error:
        say_error(str(error))
        raise SystemExit(EXIT_CONFIGURATION) from None
    except ProvisionerError as error:
        say_error(str(error))
        raise SystemExit(EXIT_FAILED) from None


def _say_without_secrets(kind: type[BaseException], error: BaseException, trace: TracebackType | None) -> None:
    """Report a bug by its kind and place: its text may hold what nobody should see."""
    last = trace
    while last is not None and last.tb_next is not None:
        last = last.tb_next
    place = f" at {last.tb_frame.f_code.co_filename}:{last.tb_lineno}" if last is not None else ""
    say_error(f"this is a bug: {kind.__name__}{place}: {scrub(str(error))}")
