"""The commands that act: run, once, rotate, orphans. None of them needs the daemon to be safe."""

from typing import Annotated

import typer
from rich.text import Text

from provisioner.cli import render, rotating
from provisioner.cli.options import Config, OutputOption, config_path
from provisioner.cli.render import Output
from provisioner.domain.status import UNHEALTHY, TokenStatus, status_of

EXIT_FAILED = 1
EXIT_FOUND = 3


def register(app: typer.Typer) -> None:
    """Add these commands."""
    for command in (run, once, rotating.rotate, orphans):
        app.command(rich_help_panel="Act")(command)


def run(context: typer.Context, config: Config = None) -> None:
    """Run the daemon: rotate every token at its moment, until SIGTERM. SIGHUP reads the configuration again."""
    from provisioner.daemon import run_daemon

    run_daemon(config_path(context, config))


def once(context: typer.Context, config: Config = None, output: OutputOption = Output.TABLE) -> None:
    """Reconcile every token once and leave, as a CronJob does. Exit 0: all well, 1: a token failed."""
    from provisioner.app import NO_TOKENS, opened

    with opened(config_path(context, config), logs=True) as application:
        outcomes = application.service.run_once()
        now = application.world.clock.now()
    standings = [status_of(outcome.snapshot, outcome.decision, now) for outcome in outcomes]
    failed = [
        standing
        for standing, outcome in zip(standings, outcomes, strict=True)
        if outcome.failures or standing.state in UNHEALTHY or not all(place.in_sync for place in standing.destinations)
    ]
    if output is Output.JSON:
        tokens = [render.as_plain(standing) for standing in standings]
        render.print_json({"instance": application.settings.instance, "tokens": tokens})
    else:
        rows = [
            _once_row(standing, outcome.changed, outcome.failures)
            for standing, outcome in zip(standings, outcomes, strict=True)
        ]
        columns = ["token", "state", "steps taken", "token id", "expires", "why"]
        table = render.table(f"Reconciled {len(rows)} tokens", columns, rows)
        render.console().print(table if rows else NO_TOKENS)
    if failed:
        raise typer.Exit(EXIT_FAILED)


def orphans(
    context: typer.Context,
    revoke: Annotated[bool, typer.Option("--revoke", help="Revoke them, after a fence where one is needed.")] = False,
    config: Config = None,
    output: OutputOption = Output.TABLE,
) -> None:
    """List our live tokens that nothing stores. Exit 0: none, 3: found, 1: something could not be read or revoked."""
    from provisioner.app import opened

    with opened(config_path(context, config), logs=revoke) as application:
        service, now = application.service, application.world.clock.now()
        found, errors = service.orphans()
        if revoke:
            errors = (*errors, *service.revoke_orphans(found))
    if output is Output.JSON:
        listed = [
            {
                "issuer": orphan.token.issuer,
                "token_id": orphan.token.token_id,
                "name": orphan.name,
                "abandoned": orphan.abandoned,
                "created_at": orphan.token.created_at,
                "expires_at": orphan.token.expires_at,
                "revoke_at": orphan.revoke_at,
                "why": orphan.why,
            }
            for orphan in found
        ]
        render.print_json({"revoked": revoke and not errors, "orphans": listed, "errors": list(errors)})
    else:
        rows = [
            (
                orphan.token.issuer,
                orphan.token.token_id,
                orphan.name,
                render.moment(orphan.token.expires_at, now),
                orphan.why,
            )
            for orphan in found
        ]
        title = "Orphans, revoked" if revoke else "Orphans"
        render.console().print(
            render.table(title, ["issuer", "token id", "name", "expires", "why"], rows) if rows else "no orphans"
        )
    for error in errors:
        render.say_error(error)
    if errors:
        raise typer.Exit(EXIT_FAILED)
    if found and not revoke:
        raise typer.Exit(EXIT_FOUND)


def _once_row(standing: TokenStatus, changed: int, failures: tuple[str, ...]) -> list[str | Text]:
    why = failures[-1:] or ((standing.reason,) if standing.state in UNHEALTHY else ())
    return [
        standing.name,
        render.state(standing.state),
        str(changed),
        standing.token_id or "-",
        render.moment(standing.expires_at),
        "; ".join(why) or "-",
    ]
