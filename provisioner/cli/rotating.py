"""The command that rotates now: through the daemon's admin socket, over HTTP, or in this process."""

import os
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, Final
from uuid import uuid4

import typer
from rich.text import Text

from provisioner.cli import render
from provisioner.cli.direct import Row, rotate_here
from provisioner.cli.options import CaCert, Config, OutputOption, Server, TokenFile, config_path
from provisioner.cli.reach import Reach, over_http, through_socket
from provisioner.cli.render import Output
from provisioner.domain.by_hand import LONGEST_BY, LONGEST_REASON, LONGEST_REQUEST_ID, VISIBLE, Wish
from provisioner.domain.errors import ConfigurationError, DaemonUnreachableError
from provisioner.domain.scrub import scrub

EXIT_FAILED = 1
EXIT_NO_DAEMON = 4
_REMEDY = (
    "is it running? name its socket with --socket, or its address with --server URL --token-file FILE, or say --direct"
    " to rotate in this process, which is as safe"
)
_REQUEST_ID: Final = re.compile(rf"{VISIBLE}{{1,{LONGEST_REQUEST_ID}}}")


@dataclass(frozen=True, slots=True, kw_only=True)
class Order:
    """What was asked for on the command line."""

    names: list[str]
    every: bool
    labels: dict[str, str]
    wish: Wish
    config: Path | None
    output: Output


def rotate(
    context: typer.Context,
    names: Annotated[
        list[str] | None, typer.Argument(metavar="[NAME]...", help="Token names; else --all or --selector.")
    ] = None,
    every: Annotated[bool, typer.Option("--all", help="Rotate every token.")] = False,
    selector: Annotated[
        list[str] | None, typer.Option("--selector", "-l", metavar="KEY=VALUE", help="Only tokens with this label.")
    ] = None,
    reason: Annotated[str, typer.Option("--reason", help="Why: for log, record and status.")] = "",
    requested_by: Annotated[
        str | None,
        typer.Option("--requested-by", metavar="NAME", help="Who asks: the same. Else the system's user."),
    ] = None,
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
    server: Server = None,
    token_file: TokenFile = None,
    ca_cert: CaCert = None,
    config: Config = None,
    output: OutputOption = Output.TABLE,
) -> None:
    """Rotate tokens now. Exit 0: done, 1: failed, 4: no daemon reached."""
    if not names and not every and not selector:
        raise ConfigurationError("name the tokens to rotate, or say --all or --selector KEY=VALUE")
    if names and every:
        raise ConfigurationError("NAME and --all exclude each other: leave out one of them, nothing was begun")
    if sum((direct, socket is not None, server is not None)) > 1:
        raise ConfigurationError("--direct, --socket and --server exclude each other")
    if server is None and (token_file is not None or ca_cert is not None):
        raise ConfigurationError("--token-file and --ca-cert are for --server: the admin socket needs neither")
    way = "direct" if direct else "socket" if server is None else "http"
    order = Order(
        names=names or [],
        every=every,
        labels=dict(_labels(selector or [])),
        wish=_wish(request_id, reason, requested_by, compromised=compromised, way=way),
        config=config_path(context, config),
        output=output,
    )
    if compromised and (output is Output.TABLE or render.complaints().is_terminal):
        warning = "compromised: every older token ends at once, without overlap; consumers that still use one break"
        render.complaints().print(warning, style="bold yellow")
    if direct:
        rows = rotate_here(order.names, order.labels, order.wish, order.config)
    else:
        way_there = over_http(server, token_file, ca_cert) if server is not None else _through(socket, order.config)
        rows = _through_daemon(order, way_there, wait=wait)
    _show(order, [{**row, "done": row["state"] == "done"} for row in rows])
    if any(row["state"] == "failed" for row in rows):
        raise typer.Exit(EXIT_FAILED)


def _through_daemon(order: Order, reach: "Reach", *, wait: bool) -> Sequence[Row]:
    """Ask a daemon, and follow what it does."""
    from provisioner.cli.following import follow
    from provisioner.cli.reach import AnswerLostError
    from provisioner.runtime.clock import SystemClock

    demand = {
        "names": order.names,
        "all": order.every,
        "selector": order.labels,
        "reason": order.wish.reason,
        "compromised": order.wish.compromised,
        "request_id": order.wish.request_id,
        "requested_by": order.wish.by,
    }
    asked: list[dict[str, Any]] = []
    try:
        with reach:
            asked = reach.ask(demand)
            ids = {each["id"]: number for number, each in enumerate(asked)}

            def look() -> list[Row]:
                return _found(reach.rotations(order.wish.request_id), ids)

            ended = follow(asked, look, render.complaints(), SystemClock()) if wait else asked
    except DaemonUnreachableError as error:
        request_id = order.wish.request_id
        taken = "the request was taken" if asked else "whether the request was taken is not known"
        again = f"{taken}: say it again with --request-id {request_id}, it rotates once"
        render.say_error(f"{error}; {again if asked or isinstance(error, AnswerLostError) else _REMEDY}")
        raise typer.Exit(EXIT_NO_DAEMON) from None
    return ended


def _found(rotations: Sequence[Row], ids: Mapping[str, int]) -> list[Row]:
    """Give those that we asked for, in the order in which we did."""
    found = [each for each in rotations if each["id"] in ids]
    if len(found) < len(ids):
        raise DaemonUnreachableError("the daemon began anew meanwhile")
    return sorted(found, key=lambda each: ids[each["id"]])


def _through(socket: Path | None, config: Path | None) -> "Reach":
    from provisioner.settings.load import load_settings

    return through_socket(socket or load_settings(config)[0].server.admin_socket)


def _wish(request_id: str | None, reason: str, requested_by: str | None, *, compromised: bool, way: str) -> Wish:
    """Give what is asked for; what a daemon would refuse is refused by every way."""
    if request_id is not None and not _REQUEST_ID.fullmatch(request_id):
        raise ConfigurationError(f"--request-id has to be 1 to {LONGEST_REQUEST_ID} visible ASCII characters")
    if request_id is not None and scrub(request_id) != request_id:
        raise ConfigurationError("--request-id looks like a secret, and it would be shown: choose another")
    for option, text, longest in (("--reason", reason, LONGEST_REASON), ("--requested-by", requested_by, LONGEST_BY)):
        if text is not None and len(text) > longest:
            raise ConfigurationError(f"{option} has {len(text)} characters, and may have {longest}")
    return Wish(
        request_id=request_id or str(uuid4()),
        reason=scrub(reason),
        compromised=compromised,
        by=scrub(requested_by or _me())[:LONGEST_BY],
        via=way,
    )


def _me() -> str:
    """Give who runs this, as the system knows them; in a pod all are the same user, so it says which pod."""
    from pwd import getpwuid

    from provisioner.settings.pod import pod

    try:
        user = getpwuid(os.getuid()).pw_name
    except KeyError:
        user = f"uid {os.getuid()}"
    ours = pod()
    return user if ours is None else f"{user} in pod {ours.namespace}/{ours.name}"


def _show(order: Order, rows: list[Row]) -> None:
    request_id = order.wish.request_id
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
    render.show(f"Rotation, request {request_id}", columns, laid)


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
