"""The command that rotates now: through the daemon's admin socket, over HTTP, or in this process."""

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any
from uuid import uuid4

import typer
from rich.text import Text

from provisioner.cli import render
from provisioner.cli.options import Config, Names, OutputOption, config_path
from provisioner.cli.render import Output
from provisioner.domain.errors import ConfigurationError, DaemonUnreachableError
from provisioner.domain.model import Trigger

EXIT_FAILED = 1
EXIT_NO_DAEMON = 4
_REMEDY = (
    "is it running? name its socket with --socket, or its address with --server URL --token-file FILE, or say --direct"
    " to rotate in this process, which is as safe"
)
Row = Mapping[str, Any]


@dataclass(frozen=True, slots=True, kw_only=True)
class Order:
    """What was asked for on the command line."""

    names: list[str]
    every: bool
    labels: dict[str, str]
    trigger: Trigger
    config: Path | None
    output: Output


def rotate(
    context: typer.Context,
    names: Names = None,
    every: Annotated[bool, typer.Option("--all", help="Rotate every token.")] = False,
    selector: Annotated[
        list[str] | None, typer.Option("--selector", "-l", metavar="KEY=VALUE", help="Only tokens with this label.")
    ] = None,
    reason: Annotated[str, typer.Option("--reason", help="Why: it goes to the log and the status.")] = "",
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
    wait: Annotated[bool, typer.Option("--wait/--no-wait", help="Follow it to its end; --direct always does.")] = True,
    direct: Annotated[bool, typer.Option("--direct", help="Do it in this process, without a daemon.")] = False,
    socket: Annotated[
        Path | None,
        typer.Option("--socket", metavar="PATH", help="The daemon's admin socket; else the configured one."),
    ] = None,
    server: Annotated[
        str | None, typer.Option("--server", metavar="URL", help="Ask the daemon over HTTP instead of its socket.")
    ] = None,
    token_file: Annotated[
        Path | None, typer.Option("--token-file", metavar="FILE", help="Holds the API token, for --server.")
    ] = None,
    config: Config = None,
    output: OutputOption = Output.TABLE,
) -> None:
    """Rotate tokens now. Exit 0: done, 1: failed, 4: no daemon reached."""
    if not names and not every and not selector:
        raise ConfigurationError("name the tokens to rotate, or say --all or --selector KEY=VALUE")
    if sum((direct, socket is not None, server is not None)) > 1:
        raise ConfigurationError("--direct, --socket and --server exclude each other")
    if token_file is not None and server is None:
        raise ConfigurationError("--token-file is for --server: the admin socket needs no token")
    order = Order(
        names=names or [],
        every=every,
        labels=dict(_labels(selector or [])),
        trigger=Trigger(request_id=request_id or str(uuid4()), reason=reason, compromised=compromised),
        config=config_path(context, config),
        output=output,
    )
    if compromised and output is Output.TABLE:
        warning = "compromised: every older token ends at once, without overlap; consumers that still use one break"
        render.complaints().print(warning, style="bold yellow")
    rows = _directly(order) if direct else _through_daemon(order, socket, server, token_file, wait=wait)
    _show(order, rows)
    if any(row["state"] == "failed" for row in rows):
        raise typer.Exit(EXIT_FAILED)


def _directly(order: Order) -> list[Row]:
    """Do it in this process."""
    from provisioner.app import opened

    with opened(order.config, logs=True) as application:
        chosen = application.service.select(order.names, order.labels.items())
        if not chosen:
            raise ConfigurationError(f"no token carries {order.labels}")
        results = application.service.rotate(chosen, order.trigger)
    return [render.as_plain(result) | {"state": "done" if result.done else "failed"} for result in results]


def _through_daemon(
    order: Order, socket: Path | None, server: str | None, token_file: Path | None, *, wait: bool
) -> list[Row]:
    """Ask a daemon, and follow what it does."""
    from provisioner.cli.following import follow
    from provisioner.cli.reach import AnswerLostError, over_http, through_socket
    from provisioner.runtime.clock import SystemClock

    demand = {
        "names": order.names,
        "all": order.every,
        "selector": order.labels,
        "reason": order.trigger.reason,
        "compromised": order.trigger.compromised,
        "request_id": order.trigger.request_id,
        "requested_by": _me(),
    }
    reach = (
        over_http(server, token_file)
        if server is not None
        else through_socket(socket or _configured_socket(order.config))
    )
    asked: list[dict[str, Any]] = []
    try:
        with reach:
            asked = reach.ask(demand)
            ids = {each["id"]: number for number, each in enumerate(asked)}

            def look() -> list[Row]:
                return _found(reach.rotations(order.trigger.request_id), ids)

            ended = follow(asked, look, render.complaints(), SystemClock()) if wait else asked
    except DaemonUnreachableError as error:
        request_id = order.trigger.request_id
        taken = "the request was taken" if asked else "whether the request was taken is not known"
        again = f"{taken}: say it again with --request-id {request_id}, it rotates once"
        render.say_error(f"{error}; {again if asked or isinstance(error, AnswerLostError) else _REMEDY}")
        raise typer.Exit(EXIT_NO_DAEMON) from None
    return [{**each, "done": each["state"] == "done"} for each in ended]


def _found(rotations: Sequence[Row], ids: Mapping[str, int]) -> list[Row]:
    """Give those that we asked for, in the order in which we did."""
    found = [each for each in rotations if each["id"] in ids]
    if len(found) < len(ids):
        raise DaemonUnreachableError("the daemon began anew meanwhile")
    return sorted(found, key=lambda each: ids[each["id"]])


def _configured_socket(config: Path | None) -> Path:
    from provisioner.settings.load import load_settings

    return load_settings(config)[0].server.admin_socket


def _me() -> str:
    """Give who runs this, as the system knows them."""
    from pwd import getpwuid

    try:
        return getpwuid(os.getuid()).pw_name
    except KeyError:
        return f"uid {os.getuid()}"


def _show(order: Order, rows: list[Row]) -> None:
    request_id = order.trigger.request_id
    if order.output is Output.JSON:
        render.print_json({"request_id": request_id, "rotations": rows})
        return
    columns = ["token", "result", "current token id", "revoked", "still live", "error"]
    laid = [
        (
            str(row["name"]),
            _result(row),
            row["token_id"] or "-",
            "\n".join(row["revoked"]) or "-",
            "\n".join(row["still_live"]) or "-",
            row["error"] or "-",
        )
        for row in rows
    ]
    render.console().print(render.table(f"Rotation, request {request_id}", columns, laid))


def _result(row: Row) -> Text:
    match row["state"]:
        case "done":
            return Text("already done" if row["already"] else "rotated", style="green")
        case "failed":
            return Text("failed", style="bold red")
        case state:
            return Text(str(state), style="yellow")


def _labels(selector: list[str]) -> list[tuple[str, str]]:
    pairs = [item.partition("=") for item in selector]
    wrong = [key for key, equals, _ in pairs if not equals or not key]
    if wrong:
        raise ConfigurationError(f"--selector {wrong[0]!r} is not KEY=VALUE")
    return [(key, value) for key, _, value in pairs]
