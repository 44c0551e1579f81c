"""The commands that change nothing: plan, status, explain, check, schema."""

from collections.abc import Mapping
from dataclasses import asdict, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.text import Text

from provisioner.cli import render
from provisioner.cli.options import CaCert, Config, Names, OutputOption, Server, TokenFile, config_path
from provisioner.cli.reach import DaemonRefusedError, Reach, over_http
from provisioner.cli.render import Output
from provisioner.domain.errors import ConfigurationError, DaemonUnreachableError
from provisioner.domain.snapshot import Snapshot
from provisioner.domain.status import (
    NOT_DONE,
    AwaitingRevocation,
    DestinationStatus,
    LastRequest,
    TokenStatus,
    later_request,
)
from provisioner.domain.steps import Decision, Refuse, Rest, kind
from provisioner.runtime.clock import SystemClock

if TYPE_CHECKING:
    from provisioner.app import Application
    from provisioner.engine.inspection import Inspected

EXIT_UNHEALTHY = 1
EXIT_PENDING = 3
EXIT_NO_DAEMON = 4


def register(app: typer.Typer) -> None:
    """Add these commands."""
    for command in (plan, status, explain, check, schema):
        app.command(rich_help_panel="Look")(command)


def plan(
    context: typer.Context,
    names: Names = None,
    at: Annotated[str | None, typer.Option("--at", metavar="TIME", help="As of that moment, RFC 3339.")] = None,
    config: Config = None,
    output: OutputOption = Output.TABLE,
) -> None:
    """Say what would be done now and why, changing nothing. Exit 0: nothing to do, 3: changes pending."""
    from provisioner.app import NO_TOKENS, opened

    moment = _moment(at)
    with opened(config_path(context, config)) as application:
        service = application.service
        looked = service.look(service.select(names or ()), moment)
    if output is Output.JSON:
        plans = [_plan_entry(snapshot, decision) for snapshot, decision in looked]
        render.print_json({"instance": application.settings.instance, "plan": plans})
    else:
        rows = [
            (snapshot.token.name, _step_text(decision), decision.fact, _why(decision)) for snapshot, decision in looked
        ]
        table = render.table("Plan", ["token", "step", "because", "message"], rows)
        render.console().print(table if rows else NO_TOKENS)
    if any(_is_pending(decision) for _, decision in looked):
        raise typer.Exit(EXIT_PENDING)


def status(
    context: typer.Context,
    names: Names = None,
    server: Server = None,
    token_file: TokenFile = None,
    ca_cert: CaCert = None,
    config: Config = None,
    output: OutputOption = Output.TABLE,
) -> None:
    """Show where each token stands: now, or as a daemon saw it last. Exit 0: all healthy, 1: not, 4: no daemon."""
    from provisioner.app import NO_TOKENS

    if server is None and (token_file is not None or ca_cert is not None):
        raise ConfigurationError("--token-file and --ca-cert are for --server")
    if server is not None:
        instance, standings = _of_daemon(over_http(server, token_file, ca_cert), names or [])
    else:
        instance, standings = _looked_up(config_path(context, config), names or [])
    if output is Output.JSON:
        render.print_json({"instance": instance, "tokens": [render.as_plain(standing) for standing in standings]})
    else:
        columns = ["token", "state", "expires", "next", "destinations", "consumers", "awaiting revocation", "asked for"]
        columns.append("why")
        now = SystemClock().now()
        rows = [_status_row(standing, now) for standing in standings]
        if rows:
            render.show(f"Tokens of {instance}", columns, rows)
        else:
            render.console().print(NO_TOKENS)
    if not all(standing.healthy for standing in standings):
        raise typer.Exit(EXIT_UNHEALTHY)


def _looked_up(config: Path | None, names: list[str]) -> tuple[str, tuple[TokenStatus, ...]]:
    from provisioner.app import opened

    with opened(config) as application:
        standings = application.service.status(application.service.select(names))
    return application.settings.instance, _with_requests(standings, application.settings.server.admin_socket)


def _of_daemon(reach: Reach, names: list[str]) -> tuple[str, tuple[TokenStatus, ...]]:
    """Ask a daemon for what it has seen last."""
    from pydantic import TypeAdapter, ValidationError

    from provisioner.cli.answers import have_zones

    try:
        with reach:
            instance, tokens = reach.standings()
    except DaemonUnreachableError as error:
        render.say_error(str(error))
        raise typer.Exit(EXIT_NO_DAEMON) from None
    try:
        told = TypeAdapter(tuple[TokenStatus, ...]).validate_python(tokens)
    except ValidationError:
        told = None
    if told is None or not all(have_zones(asdict(each)) for each in told):
        raise DaemonRefusedError(f"what {reach.where} tells of its tokens is not understood: is it of another release?")
    unknown = [name for name in names if name not in {each.name for each in told}]
    if unknown:
        raise ConfigurationError(f"no token is named {', '.join(unknown)} at {reach.where}")
    return instance, tuple(each for each in told if not names or each.name in names)


def explain(
    context: typer.Context,
    name: Annotated[str, typer.Argument(metavar="NAME", help="The token's name.")],
    config: Config = None,
    output: OutputOption = Output.TABLE,
) -> None:
    """Show every check of the chain with its answer, in the order they are asked."""
    from provisioner.app import opened

    with opened(config_path(context, config)) as application:
        (token,) = application.service.select([name])
        answers, decision = application.service.explain(token)
    if output is Output.JSON:
        checks = [
            {"fact": answer.fact, "holds": answer.finding.holds, "message": answer.finding.message}
            for answer in answers
        ]
        step = {"step": kind(decision.step), "fact": decision.fact, "message": _why(decision)}
        render.print_json({"name": name, "checks": checks, "decision": step})
        return
    rows = [
        (
            str(order),
            answer.fact,
            Text("yes", style="bold yellow") if answer.finding.holds else Text("no"),
            answer.finding.message,
        )
        for order, answer in enumerate(answers, start=1)
    ]
    screen = render.console()
    screen.print(render.table(f"Checks of {name}", ["", "fact", "holds", "seen"], rows))
    screen.print(f"so: {kind(decision.step)}, because {decision.fact}: {_why(decision)}")


def check(context: typer.Context, config: Config = None, output: OutputOption = Output.TABLE) -> None:
    """Try configuration, issuers, stores and lease: reach and permissions. Exit 0: well, 1: not, 2: configuration."""
    from provisioner.app import NO_TOKENS, opened
    from provisioner.engine.inspection import inspect

    with opened(config_path(context, config)) as application:
        lines = (
            *inspect(application.world, application.service.tokens),
            *_api_token(application),
            *_lease(application),
        )
    if output is Output.JSON:
        checks = [render.as_plain(line) for line in lines]
        render.print_json({"configuration": str(application.settings_path), "checks": checks})
    else:
        screen = render.console()
        screen.print(Text.assemble(("ok   ", "green"), f"configuration {application.settings_path}"))
        for line in lines:
            mark = ("ok   ", "green") if line.ok else ("FAIL ", "bold red")
            screen.print(Text.assemble(mark, f"{line.kind} {line.name}: {line.message}"), soft_wrap=True)
        if not application.service.tokens:
            screen.print(Text.assemble(("note ", "yellow"), NO_TOKENS))
    if not all(line.ok for line in lines):
        raise typer.Exit(EXIT_UNHEALTHY)


def schema() -> None:
    """Print the JSON Schema of the configuration."""
    from provisioner.settings.load import json_schema

    render.print_json(json_schema())


def _api_token(application: "Application") -> tuple["Inspected", ...]:
    """Give the line on what write verbs over HTTP need; none where there are none."""
    from provisioner.domain.api_token import flaw_of_api_token
    from provisioner.engine.inspection import Inspected

    reference = application.settings.server.api_token
    if reference is None:
        return ()
    try:
        flaw = flaw_of_api_token(reference.source()().reveal())
    except ConfigurationError as error:
        flaw = str(error)
    message = (
        "can be read" if flaw is None else f"{flaw}; until that is mended every write verb over HTTP is refused (503)"
    )
    return (Inspected(kind="api", name="server.api_token", ok=flaw is None, message=message),)


def _lease(application: "Application") -> tuple["Inspected", ...]:
    """Give the line on the lease; none without leader election."""
    from contextlib import closing

    from provisioner.app import lease_of
    from provisioner.engine.inspection import Inspected, inspect_lease

    election = application.settings.leader_election
    if not election.enabled:
        return ()
    try:
        with closing(lease_of(application.settings, application.world.clock)) as lease:
            return (inspect_lease(lease),)
    except ConfigurationError as error:
        return (Inspected(kind="lease", name=election.lease_name, ok=False, message=str(error)),)


def _moment(text: str | None) -> datetime | None:
    if text is None:
        return None
    try:
        moment = datetime.fromisoformat(text)
    except ValueError:
        raise ConfigurationError(f"--at {text!r} is not a time: write it as 2026-12-31T02:00:00Z") from None
    return moment.replace(tzinfo=UTC) if moment.tzinfo is None else moment.astimezone(UTC)


def _is_pending(decision: Decision) -> bool:
    return decision.hindrance is not None or not isinstance(decision.step, Rest | Refuse)


def _step_text(decision: Decision) -> str:
    if isinstance(decision.step, Rest):
        return f"rest until {render.moment(decision.step.until)}"
    return kind(decision.step)


def _why(decision: Decision) -> str:
    return decision.message if decision.hindrance is None else f"{decision.message}; {decision.hindrance}"


def _plan_entry(snapshot: Snapshot, decision: Decision) -> dict[str, object]:
    until = decision.step.until if isinstance(decision.step, Rest | Refuse) else None
    return {
        "name": snapshot.token.name,
        "step": kind(decision.step),
        "fact": decision.fact,
        "message": decision.message,
        "hindrance": decision.hindrance,
        "until": until,
    }


def _awaiting(item: AwaitingRevocation, now: datetime) -> str:
    late = "OVERDUE " if item.overdue else ""
    failed = f" ({item.failed_attempts} failed: {item.last_error})" if item.last_error else ""
    when = render.moment(item.revoke_at, now) if item.revoke_at else "held back"
    return f"{late}{item.token_id} {when}{failed}"


def _place_text(place: DestinationStatus) -> str:
    if not place.in_sync:
        return "OUT OF SYNC"
    return "NOT READABLE" if place.readable is False else "in sync"


def _followers(standing: TokenStatus) -> list[str]:
    """Give workloads and webhooks, a line each; what asks for somebody stands in capitals."""
    lines = []
    for consumer in standing.consumers:
        state = consumer.state if consumer.state in {"rolled-out", "rolling-out"} else consumer.state.upper()
        where = f"{consumer.namespace}/{consumer.name}" if consumer.namespace else consumer.name
        lines.append(f"{state} {consumer.kind} {where}")
    for webhook in standing.webhooks:
        state = webhook.state.upper() if webhook.state == "failing" else webhook.state
        lines.append(f"{state} webhook {webhook.host}")
    return lines


def _status_row(standing: TokenStatus, now: datetime) -> list[str | Text]:
    """Give one row; a secret that is nowhere yet shows dashes."""
    places = "\n".join(f"{_place_text(place)} {place.store}:{place.path}" for place in standing.destinations)
    waiting = "\n".join(_awaiting(item, now) for item in standing.awaiting_revocation)
    why = [] if standing.reason == "nothing is due" else [standing.reason]
    why += [f"last error ({standing.failed_attempts} failed): {standing.last_error}"] if standing.last_error else []
    return [
        standing.name,
        render.state(standing.state),
        render.moment(standing.expires_at, now),
        f"{standing.next_step} {render.moment(standing.next_step_at, now)}",
        places,
        "\n".join(_followers(standing)) or "-",
        waiting or "-",
        "-" if standing.last_request is None else _request_text(standing.last_request),
        "; ".join(why) or "-",
    ]


def _request_text(request: LastRequest) -> str:
    """Say who asked for the last rotation by hand, when and why, as far as anybody remembers."""
    who = f"{request.by or 'somebody'} by {request.via}" if request.via else ""
    what = "compromised" if request.compromised else ""
    done = "" if request.stored_at else NOT_DONE
    said = (
        render.moment(request.asked_at or request.stored_at),
        who,
        request.reason or "",
        what,
        done,
        request.request_id,
    )
    return "\n".join(filter(None, said))


def _with_requests(standings: tuple[TokenStatus, ...], socket: Path) -> tuple[TokenStatus, ...]:
    """Add what a running daemon remembers of rotations by hand; without one the records tell their request ids."""
    from provisioner.cli.reach import remembered

    asked = remembered(socket)
    return tuple(
        replace(standing, last_request=later_request(standing.last_request, _request(asked[standing.name])))
        if standing.name in asked
        else standing
        for standing in standings
    )


def _request(rotation: Mapping[str, Any]) -> LastRequest:
    done = rotation["ended_at"] if rotation["state"] == "done" else None
    return LastRequest(
        request_id=rotation["request_id"],
        compromised=rotation["compromised"],
        stored_at=None if done is None else datetime.fromisoformat(done),
        asked_at=datetime.fromisoformat(rotation["asked_at"]),
        by=rotation["requested_by"],
        via=rotation["via"],
        reason=rotation["reason"] or None,
    )
