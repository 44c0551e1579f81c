"""A look-alike of influxctl's management commands, over the simulated cluster's state.

``python -m provisioner.simulators.influxctl --simulator-state DIR [global flags] management create|list|revoke …``.
Flags and outputs are those of InfluxData's documentation; what it does not say is chosen by the cluster's knobs.
"""

from __future__ import annotations

import os
import sys
from datetime import UTC, datetime, timedelta

from provisioner.domain.errors import ConfigurationError
from provisioner.runtime.clock import SystemClock
from provisioner.simulators.cluster import Cluster
from provisioner.simulators.cluster_token import ClusterToken, Kind
from provisioner.simulators.influxctl_arguments import Options, read_arguments
from provisioner.simulators.knobs import Knobs
from provisioner.simulators.quick import read_profiles, written_json

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any, Final, NoReturn, TextIO

_PROFILE_KEYS: Final = frozenset(
    {"name", "product", "host", "port", "mgmt_token", "account_id", "cluster_id", "database", "token", "tls", "auth"}
)
_SIGKILL: Final = 9
"""``signal``'s own is an enumeration, whose module takes as long to import as a call."""
_A_WHILE: Final = timedelta(seconds=1)
_WARNINGS: Final = (
    "warn\tplease copy the token and store it in a safe place",
    "warn\tthis is the *only time* you will see the token",
)


def main(arguments: list[str] | None = None) -> None:
    """Do one command."""
    options = read_arguments(sys.argv[1:] if arguments is None else arguments, _fail)
    cluster = Cluster(options.simulator_state)
    try:
        knobs = cluster.knobs()
    except ConfigurationError as error:
        _fail(str(error))
    if knobs.latency:
        SystemClock().sleep(timedelta(seconds=knobs.latency))
    _authenticate(options, cluster, knobs)
    try:
        {"create": _create, "list": _list, "revoke": _revoke}[options.action](options, cluster, knobs)
    except OSError as error:
        _fail(f"rpc error: code = Internal desc = the cluster failed: {error.strerror}")


def _authenticate(options: Options, cluster: Cluster, knobs: Knobs) -> None:
    """Read the profile as influxctl does, and check its credential; a knob lets it hang in a device login instead."""
    credential = _profile(options).get("mgmt_token") if options.config else None
    if knobs.unauthenticated:
        print(
            "To log in, open your browser at https://login.invalid/activate and enter the code ABCD-EFGH",
            file=sys.stderr,
        )
        _hang()
        _fail("device login was not completed")
    if credential is None and not knobs.guarded:
        return
    caller = cluster.authenticated(str(credential))
    if caller is None or caller.kind is not Kind.MANAGEMENT:
        _fail("rpc error: code = Unauthenticated desc = the request has no valid management token")


def _profile(options: Options) -> dict[str, Any]:
    try:
        with open(str(options.config), encoding="utf-8", newline="") as file:
            content = read_profiles(file.read())
    except (OSError, ValueError) as error:
        _fail(f"failed to load config file: {error}")
    profiles = content.get("profile", [])
    unknown = {*content, *(key for profile in profiles for key in profile)} - _PROFILE_KEYS - {"profile"}
    if unknown:
        _fail(f"failed to load config file: unknown keys {sorted(unknown)}")
    wanted = options.profile or "default"
    found: list[dict[str, Any]] = [profile for profile in profiles if profile.get("name") == wanted]
    return found[0] if found else _fail(f"profile {wanted!r} not found in config file")


def _create(options: Options, cluster: Cluster, knobs: Knobs) -> None:
    if cluster.take("fail_create"):
        _fail("rpc error: code = Internal desc = the cluster made a mistake")
    if not options.description:
        _fail("description must be a non-empty string")
    expires_at = _moment(options.expires_at) if options.expires_at else None
    if cluster.take("forget_expiry"):
        expires_at = None
    _kill("before_create", cluster)
    token, string = cluster.create(options.description, expires_at)
    _kill("after_create", cluster)
    if cluster.take("hang_create"):
        _hang()
    if cluster.take("lose_answer"):
        _fail("rpc error: code = Unavailable desc = error reading from server: EOF")
    if options.format == "table" or knobs.style == "text":
        _print_box(token)
        _warn(knobs)
        print(string)
        return
    _warn(knobs)
    entry = _entry(token, knobs) | {_spelt(knobs.secret_key, knobs): string}
    wrapped: object = {"token": entry} if knobs.style == "wrapped" else [entry] if knobs.style == "array" else entry
    _print_json(wrapped, cluster)


def _list(options: Options, cluster: Cluster, knobs: Knobs) -> None:
    if cluster.take("fail_list"):
        _fail("rpc error: code = Unavailable desc = connection error: connection refused")
    if cluster.take("hang_list"):
        _hang()
    tokens = sorted(cluster.tokens(Kind.MANAGEMENT), key=lambda token: _sort_key(token, options.sort))
    if options.format == "json":
        if knobs.warn == "stdout":
            print("warn\ta newer version of influxctl is available")
        entries = [_entry(token, knobs) for token in tokens]
        _print_json({"management_tokens": entries} if knobs.style == "wrapped" else entries, cluster)
        return
    print("ID | DESCRIPTION | PREFIX | CREATED AT | EXPIRES AT | REVOKED AT")
    for token in tokens:
        times = (token.created_at, token.expires_at, token.revoked_at)
        print(" | ".join((token.token_id, token.description, token.prefix, *(_for_people(time) for time in times))))


def _revoke(options: Options, cluster: Cluster, knobs: Knobs) -> None:
    del knobs
    if cluster.take("fail_revoke"):
        _fail("rpc error: code = Internal desc = the cluster made a mistake")
    if cluster.take("hang_revoke"):
        _hang()
    if not options.force:
        print("Are you sure? [y/N] ", end="", flush=True)
        if sys.stdin.readline().strip().lower() != "y":
            _fail("aborted")
    _kill("before_revoke", cluster)
    known = {token_id for token_id in options.ids if cluster.find(Kind.MANAGEMENT, token_id)}
    missing = [token_id for token_id in options.ids if not (token_id in known and cluster.revoke(token_id))]
    _kill("after_revoke", cluster)
    if missing:
        _fail(f"rpc error: code = NotFound desc = token {missing[0]} not found")


def _hang() -> None:
    """Never answer; but end, when whoever called is gone, so that a rehearsal leaves nothing behind."""
    caller, clock = os.getppid(), SystemClock()
    while os.getppid() == caller:
        clock.sleep(_A_WHILE)
    _fail("the caller is gone")


def _kill(moment: str, cluster: Cluster) -> None:
    """Kill whoever called, or this very program, where a knob says so; then there is no answer."""
    caller = os.getppid()
    if cluster.take(f"kill_caller_{moment}"):
        if caller > 1:  # it has not gone already
            os.kill(caller, _SIGKILL)
        _fail("the caller was killed")
    if moment.startswith("after") and cluster.take(f"die_{moment}"):
        os.kill(os.getpid(), _SIGKILL)


def _entry(token: ClusterToken, knobs: Knobs) -> dict[str, object]:
    """Give the object of the documented sample; keys without a value are left out."""
    nobody = "11111111-1111-1111-1111-111111111111"
    times = {"created_at": token.created_at, "expires_at": token.expires_at, "revoked_at": token.revoked_at}
    entry: dict[str, object] = {
        "id": token.token_id,
        "account_id": nobody,
        "token_prefix": token.prefix,
        "description": token.description,
        "created_by": nobody,
    }
    entry |= {key: _time(moment, knobs) for key, moment in times.items() if moment is not None}
    return {_spelt(key, knobs): value for key, value in entry.items()}


def _time(moment: datetime, knobs: Knobs) -> object:
    if knobs.style in {"rfc3339", "camel"}:
        return moment.strftime("%Y-%m-%dT%H:%M:%SZ")
    nanos = {"nanos": moment.microsecond * 1000} if moment.microsecond else {}
    return {"seconds": int(moment.timestamp()), **nanos}


def _spelt(key: str, knobs: Knobs) -> str:
    if knobs.style != "camel":
        return key
    first, *rest = key.split("_")
    return first + "".join(part.title() for part in rest)


def _print_json(document: object, cluster: Cluster) -> None:
    text = written_json(document, indent=2)
    print(text[: len(text) // 2] if cluster.take("cut_output") else text)


def _print_box(token: ClusterToken) -> None:
    rows = {
        "id": token.token_id,
        "description": token.description,
        "expires at": _for_people(token.expires_at),
        "revoked at": _for_people(token.revoked_at),
    }
    edge = "+" + "-" * 14 + "+" + "-" * 90 + "+"
    print(edge, *(f"| {key:>12} | {value:<88} |" for key, value in rows.items()), edge, sep="\n")


def _warn(knobs: Knobs) -> None:
    streams: dict[str, TextIO] = {"stderr": sys.stderr, "stdout": sys.stdout}
    if knobs.warn in streams:
        print(*_WARNINGS, sep="\n", file=streams[knobs.warn], flush=True)


def _sort_key(token: ClusterToken, sort: str) -> str:
    value = {"created": token.created_at, "expires": token.expires_at, "revoked": token.revoked_at}.get(sort)
    return {"id": token.token_id, "description": token.description, "prefix": token.prefix}.get(sort) or str(
        value or ""
    )


def _for_people(moment: datetime | None) -> str:
    return moment.strftime("%Y-%m-%dT%H:%M:%SZ") if moment else ""


def _moment(text: str) -> datetime:
    try:
        moment = datetime.fromisoformat(text)
    except ValueError:
        _fail(f'invalid value "{text}" for flag -expires-at: parsing time')
    if moment.tzinfo is None:
        _fail(f'invalid value "{text}" for flag -expires-at: a zone is missing')
    return moment.astimezone(UTC)


def _fail(message: str) -> NoReturn:
    print(f"Error: {message}", file=sys.stderr)
    raise SystemExit(1)


if __name__ == "__main__":
    main()
