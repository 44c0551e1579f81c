"""Runs a program as a child of ours: no shell, no input, its own process group and HOME, a hard end."""

import os
import select
import signal
import subprocess
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from threading import Event, Thread
from typing import IO, Final

from provisioner.domain.errors import IssuerRefusedError
from provisioner.domain.secret import SecretText

LONGEST_OUTPUT: Final = 64 * 1024 * 1024
"""Bytes read of a stream; the rest is thrown away, and the answer counts as unreadable."""
_AFTER_KILL: Final = 5.0
_LAST_WORDS: Final = 1.0
"""Seconds for a stream to end once the group is gone; who left the group may hold it open for ever."""
_LOOK_AGAIN: Final = 0.25
"""Seconds between looks whether it is hopeless to wait."""
_LAST_SAID: Final = 1 << 16
_LOOK_UP: Final = 100
"""Milliseconds between looks whether to go on reading."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Ended:
    """What came of a child. Each of its streams may hold a secret, and is one until somebody reads it."""

    status: int | None
    """Exit status; None when it was killed at its time-out."""
    output: SecretText | None
    """Standard output; None when there was nothing."""
    complaint: SecretText | None
    """Standard error; None when there was nothing."""


def run_child(
    command: Sequence[str],
    *,
    timeout: timedelta,
    home: Path,
    environment: Mapping[str, str],
    is_hopeless: Callable[[str, str], bool] | None = None,
) -> Ended:
    """Run to the end or the time-out, when the whole process group is killed.

    ``is_hopeless`` is shown now and then what standard error and output said so far, and ends the waiting early.
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
        )
    except OSError as error:
        raise IssuerRefusedError(
            f"{command[0]} cannot be run ({error.strerror}): install influxctl, or name it in the issuer's `command`"
        ) from None
    try:
        return _collect(child, timeout, is_hopeless)
    finally:  # not `with child`: that waits without end for one that even SIGKILL does not end
        for stream in (child.stdout, child.stderr):
            if stream is not None:
                stream.close()


def _collect(
    child: "subprocess.Popen[bytes]", timeout: timedelta, is_hopeless: Callable[[str, str], bool] | None
) -> Ended:
    """Read both streams while the child runs; kill its group when time is up, or when we are interrupted."""
    output, complaint = _Reader(child.stdout), _Reader(child.stderr)
    status: int | None = None
    left = timeout.total_seconds()
    try:
        while status is None and left > 0:
            status, left = _waited(child, left if is_hopeless is None else min(left, _LOOK_AGAIN)), left - _LOOK_AGAIN
            if is_hopeless is None or (status is None and is_hopeless(complaint.so_far(), output.so_far())):
                break
    finally:
        _kill_group(child)
    return Ended(status=status, output=output.text(), complaint=complaint.text())


def _waited(child: "subprocess.Popen[bytes]", seconds: float) -> int | None:
    try:
        return child.wait(seconds)
    except subprocess.TimeoutExpired:
        return None


def _kill_group(child: "subprocess.Popen[bytes]") -> None:
    """End the child and whatever it started, a browser or a prompt included."""
    try:
        os.killpg(child.pid, signal.SIGKILL)
    except (ProcessLookupError, PermissionError):
        return  # nobody of the group is left
    finally:
        with suppress(
            subprocess.TimeoutExpired
        ):  # it hangs in the kernel: nothing can be done, and nobody waits for it
            child.wait(_AFTER_KILL)


class _Reader:
    """Reads one stream on a thread, so that neither stream can block the child, nor a stream left open us."""

    def __init__(self, stream: IO[bytes] | None) -> None:
        self._stream, self._parts, self._enough = stream, bytearray(), Event()
        self._thread = Thread(target=self._read, name="child output", daemon=True)
        self._thread.start()

    def so_far(self) -> str:
        """Give the end of what was read by now; it may hold a secret."""
        return bytes(self._parts[-_LAST_SAID:]).decode("utf-8", "replace")

    def text(self) -> SecretText | None:
        """Give what was read, if anything, and read no more: the stream may be closed then."""
        self._thread.join(_LAST_WORDS)
        self._enough.set()
        self._thread.join()
        text = self._parts.decode("utf-8", "replace").replace("\r\n", "\n")
        return SecretText(text) if text else None

    def _read(self) -> None:
        if self._stream is None:
            return
        poll = select.poll()
        poll.register(self._stream, select.POLLIN)
        while not self._enough.is_set():
            if not poll.poll(_LOOK_UP):
                continue
            part = os.read(self._stream.fileno(), 1 << 16)
            if not part:
                return
            self._parts += part[: max(0, LONGEST_OUTPUT - len(self._parts))]
