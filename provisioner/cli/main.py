"""The command line: assembles the commands, and turns errors into messages and exit codes."""

from typing import Annotated

import typer

from provisioner.cli import acting, looking, policies, rehearsal
from provisioner.cli.options import Config, GlobalOptions
from provisioner.cli.render import say_error, say_warning
from provisioner.domain.errors import ConfigurationError, ProvisionerError
from provisioner.runtime.memory import seal_memory
from provisioner.settings.key_log import forget_key_log
from provisioner.telemetry.bugs import report_by_kind

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
app.add_typer(policies.policy, name="policy", rich_help_panel="Look")
rehearsal.register(app)


def main() -> None:
    """Run the command line; the exit codes are those of ``docs/commands.md``."""
    report_by_kind(say_error)
    for warning in (*seal_memory(), *forget_key_log()):  # before any secret is read, or sent
        say_warning(warning)
    try:
        typer.main.get_command(app)()  # not app(): Typer would put its own hook, which prints texts, in place of ours
    except ConfigurationError as error:
        say_error(str(error))
        raise SystemExit(EXIT_CONFIGURATION) from None
    except ProvisionerError as error:
        say_error(str(error))
        raise SystemExit(EXIT_FAILED) from None
