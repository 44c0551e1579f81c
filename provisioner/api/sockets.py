"""Where the API listens: a TCP port, and the admin socket, which nobody else can open from its first moment on."""

import os
import socket
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from shutil import rmtree
from tempfile import mkdtemp
from typing import Final

from provisioner.domain.errors import ConfigurationError

BACKLOG: Final = 128
LONGEST_PATH: Final = 103
"""What every system takes; a longer one could be made under another name, and nobody could connect to it."""
_ANSWER_WITHIN: Final = 2.0


class SocketUnavailableError(Exception):
    """The admin socket cannot be made where it is to be: the daemon can do without."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Opened:
    """A socket that listens, where, and what removes it at the end."""

    listening: socket.socket = field(repr=False)
    where: str
    remove: Callable[[], None] = lambda: None


def open_tcp(host: str, port: int) -> Opened:
    """Listen on a TCP port; raises ConfigurationError when that is not possible."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    both = family == socket.AF_INET6 and host == "::" and socket.has_dualstack_ipv6()
    try:
        opened = socket.create_server((host, port), family=family, backlog=BACKLOG, dualstack_ipv6=both)
    except (OSError, OverflowError) as error:
        why = getattr(error, "strerror", None) or type(error).__name__
        raise ConfigurationError(
            f"server.listen: {host}:{port} cannot be opened: {why}; choose another address, or end who has it"
        ) from None
    opened.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)  # else each answer waits 40 ms for an acknowledgement
    given, number = opened.getsockname()[:2]
    return Opened(listening=opened, where=f"[{given}]:{number}" if family == socket.AF_INET6 else f"{given}:{number}")


def open_unix(path: Path) -> Opened:
    """Listen on a Unix socket of mode 0600, in place of one that a dead process has left.

    Raises ConfigurationError where a living process listens, or something else is there; SocketUnavailableError where
    no socket can be made.
    """
    if len(os.fsencode(path)) > LONGEST_PATH:
        raise SocketUnavailableError(f"{path} cannot be made: a socket's path has at most {LONGEST_PATH} bytes")
    _make_sure_nobody_listens(path)
    try:
        return _made(path)
    except (OSError, ValueError) as error:
        why = getattr(error, "strerror", None) or str(error)
    raise SocketUnavailableError(f"{path} cannot be made: {why}")


def _make_sure_nobody_listens(path: Path) -> None:
    with suppress(OSError):
        if not path.is_socket() and path.exists():
            raise ConfigurationError(f"server.admin_socket: {path} is there and is no socket: choose another path")
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as trial:
        trial.settimeout(_ANSWER_WITHIN)
        try:
            trial.connect(str(path))
        except (ConnectionRefusedError, FileNotFoundError):
            return  # nobody, or nobody any more
        except OSError as error:
            if isinstance(error, TimeoutError | BlockingIOError):
                pass  # somebody who is busy
            else:
                return  # whatever it is: making our own says it better
    raise ConfigurationError(
        f"server.admin_socket: a living process listens on {path}: end it, or choose another path for this one"
    )


def _made(path: Path) -> Opened:
    """Make it in a folder that is ours alone, and move it to its place when its mode is right."""
    folder = Path(mkdtemp(prefix=".", dir=path.parent))
    opened = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    try:
        born = folder / "s"
        opened.bind(str(born))
        born.chmod(0o600)
        opened.listen(BACKLOG)
        inode = born.stat().st_ino
        born.rename(path)
    except BaseException:
        opened.close()
        raise
    finally:
        rmtree(folder, ignore_errors=True)

    def remove() -> None:
        with suppress(OSError):
            if path.stat().st_ino == inode:  # and not that of a process which took its place
                path.unlink()

    return Opened(listening=opened, where=str(path), remove=remove)
