"""The arguments of the influxctl look-alike: what every call gives is read at once, all else by ``argparse``."""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from argparse import ArgumentParser
    from collections.abc import Callable
    from typing import Final, NoReturn

SORTS: Final = ("created", "id", "description", "prefix", "expires", "revoked")
FORMATS: Final = ("table", "json")
_GLOBAL: Final = ("simulator_state", "config", "profile", "account", "cluster", "timeout")
_SWITCHES: Final = ("debug", "trace")


class Options:
    """What one call is told."""

    def __init__(self) -> None:
        self.simulator_state = ""
        self.config: str | None = None
        self.profile: str | None = None
        self.account: str | None = None
        self.cluster: str | None = None
        self.timeout: str | None = None
        self.debug = self.trace = self.force = False
        self.command = self.action = self.description = ""
        self.expires_at: str | None = None
        self.sort, self.format = SORTS[0], FORMATS[0]
        self.ids: list[str] = []


def read_arguments(arguments: list[str], fail: Callable[[str], NoReturn]) -> Options:
    """Read them; ``fail`` is told what is wrong with them, in one line."""
    return _plain(arguments) or _parser(fail).parse_args(arguments, Options())


def _plain(arguments: list[str]) -> Options | None:
    """Read what is written in the plainest way and is right; None for all else."""
    options, left = Options(), arguments[::-1]
    if not _take(options, left, _GLOBAL, _SWITCHES) or left[-1:] != ["management"] or not options.simulator_state:
        return None
    options.command = left.pop()
    options.action = left.pop() if left else ""
    match options.action:
        case "create":
            is_right = _take(options, left, ("description", "expires_at", "format"), ()) and not left
        case "list":
            is_right = _take(options, left, ("sort", "format"), ()) and not left
        case "revoke":
            is_right = _take(options, left, (), ("force",)) and bool(left)
            options.ids = left[::-1]
        case _:
            return None
    is_right = is_right and options.sort in SORTS and options.format in FORMATS
    return options if is_right and not any(token_id.startswith("-") for token_id in options.ids) else None


def _take(options: Options, left: list[str], named: tuple[str, ...], switches: tuple[str, ...]) -> bool:
    """Take the flags at the end of what is left, in whatever order; tell whether they are plain."""
    while left and left[-1].startswith("-"):
        flag = left.pop()
        name = flag[2:].replace("-", "_")
        if flag != f"--{name.replace('_', '-')}":
            return False
        if name in switches:
            setattr(options, name, True)
        elif name in named and left and not left[-1].startswith("-"):
            setattr(options, name, left.pop())
        else:
            return False
    return True


def _parser(fail: Callable[[str], NoReturn]) -> ArgumentParser:
    from argparse import ArgumentParser

    class Parser(ArgumentParser):
        """Ends as every other error does; the parsers of the commands are made of the same class."""

        def error(self, message: str) -> NoReturn:
            """Say what is wrong with the arguments."""
            fail(message)

    parser = Parser(prog="influxctl", allow_abbrev=False)
    for name in _GLOBAL:
        parser.add_argument(_flag(name), required=name == "simulator_state")
    for name in _SWITCHES:
        parser.add_argument(_flag(name), action="store_true")
    management = parser.add_subparsers(dest="command", required=True).add_parser("management", allow_abbrev=False)
    actions = management.add_subparsers(dest="action", required=True)
    create = actions.add_parser("create", allow_abbrev=False)
    create.add_argument("--description", default="")
    create.add_argument("--expires-at")
    listing = actions.add_parser("list", allow_abbrev=False)
    listing.add_argument("--sort", choices=SORTS, default=SORTS[0])
    for command in (create, listing):
        command.add_argument("--format", choices=FORMATS, default=FORMATS[0])
    revoke = actions.add_parser("revoke", allow_abbrev=False)
    revoke.add_argument("--force", action="store_true")
    revoke.add_argument("ids", nargs="+")
    return parser


def _flag(name: str) -> str:
    return f"--{name.replace('_', '-')}"
