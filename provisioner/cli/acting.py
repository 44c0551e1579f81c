"""The commands that act: run, once, rotate, orphans. None of them needs the daemon to be safe."""

from typing import Annotated

import typer
from rich.text import Text

from provisioner.cli import render
from provisioner.cli.options import Config, Names, OutputOption, config_path
from provisioner.cli.render import Output
from provisioner.domain.errors import ConfigurationError
from provisioner.domain.model import Trigger
from provisioner.domain.status import UNHEALTHY, TokenStatus, status_of

EXIT_FAILED = 1
EXIT_FOUND = 3
EXIT_NO_DAEMON = 4


def register(app: typer.Typer) -> None:
    """Add these commands."""
    for command in (run, once, rotate, orphans):
        app.command(rich_help_panel="Act")(command)


def run(context: typer.Context, config: Config = None) -> None:
    """Run the daemon: rotate every token at its moment, until SIGTERM. SIGHUP reads the configuration again."""
    from provisioner.daemon import run_daemon

    run_daemon(config_path(context, config))


def once(context: typer.Context, config: Config = None, output: OutputOption = Output.TABLE) -> None:
    """Reconcile every token once and leave, as a CronJob does. Exit 0: all well, 1: a token failed."""
    from provisioner.app import opened

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
        render.console().print(render.table(f"Reconciled {len(rows)} tokens", columns, rows))
    if failed:
        raise typer.Exit(EXIT_FAILED)


def rotate(
    context: typer.Context,
    names: Names = None,
    every: Annotated[bool, typer.Option("--all", help="Rotate every token.")] = False,
    selector: Annotated[
        list[str] | None, typer.Option("--selector", "-l", metavar="KEY=VALUE", help="Only tokens with this label.")
    ] = None,
    reason: Annotated[str, typer.Option("--reason", help="Why: it goes to the log.")] = "",
    compromised: Annotated[
        bool,
        typer.Option(
            "--compromised", help="Revoke the predecessor at once, without overlap: consumers that still use it break."
        ),
    ] = False,
    request_id: Annotated[
        str | None,
        typer.Option("--request-id", metavar="ID", help="The same ID rotates once, among the last 17."),
    ] = None,
    wait: Annotated[bool, typer.Option("--wait/--no-wait", help="Wait for the end; --direct always does.")] = True,
    direct: Annotated[bool, typer.Option("--direct", help="Do it in this process, without a daemon.")] = False,
    config: Config = None,
    output: OutputOption = Output.TABLE,
) -> None:
    """Rotate tokens now. Exit 0: done, 1: failed, 4: no daemon reached."""
    from uuid import uuid4

    from provisioner.app import opened

    del wait
    if not names and not every and not selector:
        raise ConfigurationError("name the tokens to rotate, or say --all or --selector KEY=VALUE")
    if not direct:
        render.say_error("no daemon was reached: say --direct to rotate in this process, which is as safe")
        raise typer.Exit(EXIT_NO_DAEMON)
    trigger = Trigger(request_id=request_id or str(uuid4()), reason=reason, compromised=compromised)
    with opened(config_path(context, config), logs=True) as application:
        chosen = application.service.select(names or (), _labels(selector or []))
        if not chosen:
            raise ConfigurationError(f"no token carries {' '.join(selector or [])}")
        if compromised and output is Output.TABLE:
            render.complaints().print("compromised: the predecessors are revoked without overlap", style="bold yellow")
        results = application.service.rotate(chosen, trigger)
    if output is Output.JSON:
        render.print_json(
            {"request_id": trigger.request_id, "rotations": [render.as_plain(result) for result in results]}
        )
    else:
        rows = [
            (
                result.name,
                Text("already done" if result.already else "rotated", style="green")
                if result.done
                else Text("failed", style="bold red"),
                result.token_id or "-",
                "\n".join(result.revoked) or "-",
                "\n".join(result.still_live) or "-",
                result.error or "-",
            )
            for result in results
        ]
        title = f"Rotation, request {trigger.request_id}"
        columns = ["token", "result", "current token id", "revoked", "still live", "error"]
        render.console().print(render.table(title, columns, rows))
    if not all(result.done for result in results):
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


def _labels(selector: list[str]) -> list[tuple[str, str]]:
    pairs = [item.partition("=") for item in selector]
    wrong = [key for key, equals, _ in pairs if not equals or not key]
    if wrong:
        raise ConfigurationError(f"--selector {wrong[0]!r} is not KEY=VALUE")
    return [(key, value) for key, _, value in pairs]


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
