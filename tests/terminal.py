"""The real command on a terminal: what a person sees who types it."""

import fcntl
import os
import pty
import struct
import subprocess
import termios
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from threading import Thread
from typing import Final

from tests.site import COMMAND, Site

_ROWS, _COLUMNS = 50, 200
_AT_ONCE: Final = 4096
PATIENCE: Final = 60


@dataclass(slots=True)
class Typed:
    """A command that somebody typed."""

    process: "subprocess.Popen[bytes]"
    _read: int
    _seen: bytearray = field(default_factory=bytearray)
    _reader: Thread | None = None

    def seen(self) -> str:
        """Give what has been written so far, with what moves the cursor."""
        return self._seen.decode(errors="replace")

    def wait(self) -> int:
        """Wait for its end, and for all that it wrote."""
        status = self.process.wait(PATIENCE)
        if self._reader is not None:
            self._reader.join(PATIENCE)
        return status

    def read(self) -> None:
        """Read until nobody has the terminal any more."""
        while True:
            try:
                written = os.read(self._read, _AT_ONCE)
            except OSError:  # as Linux says that
                return
            if not written:
                return
            self._seen += written


@contextmanager
def typed(site: Site, *arguments: str) -> Iterator[Typed]:
    """Type a command at a site; what it wrote is kept for a leak search."""
    kept = site.folder / f"run-{len(site.written)}.txt"
    site.written.append(kept)
    ours, theirs = pty.openpty()
    fcntl.ioctl(theirs, termios.TIOCSWINSZ, struct.pack("HHHH", _ROWS, _COLUMNS, 0, 0))
    environment = {"PATH": os.defpath, "PROVISIONER_CONFIG": str(site.config), "TERM": "xterm-256color"}
    process = subprocess.Popen(
        [str(COMMAND), *arguments], env=environment, stdin=theirs, stdout=theirs, stderr=theirs, cwd=site.folder
    )
    os.close(theirs)
    command = Typed(process, ours)
    command._reader = Thread(target=command.read, daemon=True)
    command._reader.start()
    try:
        yield command
    finally:
        if process.poll() is None:
            process.kill()
        command.wait()
        os.close(ours)
        kept.write_text(command.seen())
