"""Runs a program as a child of ours: no shell, no input, its own process group and HOME, a hard end."""

import os
import signal
import subprocess
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import timedelta
from pathlib import Path
from threading import Thread
from typing import IO, Final

from provisioner.domain.errors import IssuerRefusedError

LONGEST_OUTPUT: Final = 64 * 1024 * 1024
"""Characters read of a stream; the rest is thrown away, and the answer counts as unreadable."""
_AFTER_KILL: Final = 5.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Ended:
    """What came of a child. Its output may hold a secret: it is never shown."""

    status: int | None
    """Exit status; None when it was killed at its time-out."""
    output: str = field(repr=False)
    complaint: str = field(repr=False)
    """Standard error."""


def run_child(command: Sequence[str], *, timeout: timedelta, home: Path, environment: Mapping[str, str]) -> Ended:
    """Run to the end or the time-out, when the whole process group is killed.

    ``environment`` is all that the child sees, besides HOME and its kin in ``home``. Raises IssuerRefusedError when
    there is no such program.
    """
    seen = {
        **environment,
        "HOME": str(home),
        **{f"XDG_{kind}_HOME": str(home / kind.lower()) for kind in ("CONFIG", "CACHE", "DATA", "STATE")},
    }
    try:
        child = subprocess.Popen(
            list(command),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            env=seen,
            cwd=home,
            start_new_session=True,
            text=True,
            encoding="utf-8",
            errors="replace",
        )
    except OSError as error:
        raise IssuerRefusedError(
            f"{command[0]} cannot be run ({error.strerror}): install influxctl, or name it in the issuer's `command`"
        ) from None
    with child:
        return _collect(child, timeout)


def _collect(child: "subprocess.Popen[str]", timeout: timedelta) -> Ended:
    """Read both streams while the child runs; kill its group when time is up, or when we are interrupted."""
    output, complaint = _Reader(child.stdout), _Reader(child.stderr)
    status: int | None = None
    try:
        status = child.wait(timeout.total_seconds())
    except subprocess.TimeoutExpired:
        pass  # the status stays None
    finally:
        _kill_group(child)
    return Ended(status=status, output=output.text(), complaint=complaint.text())


def _kill_group(child: "subprocess.Popen[str]") -> None:
    """End the child and whatever it started, a browser or a prompt included."""
    try:
        os.killpg(child.pid, signal.SIGKILL)
    except (ProcessLookupError, PermissionError):
        return  # nobody of the group is left
    finally:
        child.wait(_AFTER_KILL)


class _Reader:
    """Reads one stream on a thread, so that neither stream can block the child."""

    def __init__(self, stream: IO[str] | None) -> None:
        self._stream, self._parts = stream, [""]
        self._thread = Thread(target=self._read, name="child output", daemon=True)
        self._thread.start()

    def text(self) -> str:
        """Give what was read."""
        self._thread.join(_AFTER_KILL)
        return self._parts[0]

    def _read(self) -> None:
        if self._stream is None:
            return
        self._parts[0] = self._stream.read(LONGEST_OUTPUT)
        while self._stream.read(1 << 16):
            pass
