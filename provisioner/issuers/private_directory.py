"""Directories of this process alone, in memory where that can be had; those that a killed process left are swept.

Who lives holds a lock on its directory. The kernel lets go of it however a process ends, so what can be locked is
nobody's any more. Only directories of the same user and of our own name are looked at.
"""

import fcntl
import os
import re
import shutil
import stat
import tempfile
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from threading import Lock
from typing import Final, Self

from provisioner.domain.errors import ConfigurationError

PREFIX: Final = "token-provisioner-private-"
_IN_MEMORY: Final = frozenset({"tmpfs", "ramfs"})
_MOUNTS: Final = Path("/proc/self/mounts")
_SHARED_MEMORY: Final = Path("/dev/shm")  # noqa: S108  # only a directory of mode 0700 and random name is made there
_ESCAPED: Final = re.compile(r"\\([0-7]{3})")
_KIND: Final = 2
"""Which field of a mount's line says of what kind it is."""
_MOST_TRIES: Final = 16
"""Somebody who sweeps at the very moment can take away so many at most; it sweeps once in its life."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Place:
    """A directory in which private ones can be made."""

    path: Path
    in_memory: bool


class PrivateDirectory:
    """One directory of mode 0700, with a lock on it while this object is open."""

    def __init__(self, places: Sequence[Place]) -> None:
        """Sweep what the dead left, and make a directory in the first place that takes one."""
        self._places, self._lock = tuple(places), Lock()
        for place in {place.path for place in (*self._places, *places_to_choose())}:
            sweep(place)
        self._handle, self._path, self._in_memory = self._made()

    @property
    def in_memory(self) -> bool:
        """Whether nothing in it reaches a disk."""
        return self._in_memory

    def here(self) -> Path:
        """Give the directory; made anew where a cleaner of temporary files was here: a process lives for months."""
        with self._lock:
            if not self._path.is_dir():
                os.close(self._handle)
                self._handle, self._path, self._in_memory = self._made()
            return self._path

    def close(self) -> None:
        """Remove it with all that is in it."""
        if self._handle >= 0:
            shutil.rmtree(self._path, ignore_errors=True)
            os.close(self._handle)
            self._handle = -1

    def __enter__(self) -> Self:
        """Use it for the length of a block."""
        return self

    def __exit__(self, *_: object) -> None:
        """Remove it."""
        self.close()

    def _made(self) -> tuple[int, Path, bool]:
        why = "no directory for temporary files is there"
        for place in self._places:
            made = _made_in(place.path)
            if not isinstance(made, str):
                return *made, place.in_memory
            why = made
        raise ConfigurationError(
            f"influxctl needs a writable HOME, and none can be made ({why}): "
            "mount a memory-backed directory there, or set TMPDIR"
        )


def where_temporary_files_go() -> Place:
    """Give the place that TMPDIR names, or the system's own."""
    path = Path(tempfile.gettempdir())
    return Place(path=path, in_memory=_kept_in_memory(path, _MOUNTS))


def places_to_choose(mounts: Path = _MOUNTS, temporary: Path | None = None) -> Iterator[Place]:
    """Give where a private directory may be made, the best first: in memory, and last where temporary files go."""
    temporary = Path(tempfile.gettempdir()) if temporary is None else temporary
    for path in (temporary, _SHARED_MEMORY, Path(f"/run/user/{os.geteuid()}")):
        if path.is_dir() and _kept_in_memory(path, mounts):
            yield Place(path=path, in_memory=True)
    if not _kept_in_memory(temporary, mounts):
        yield Place(path=temporary, in_memory=False)


def sweep(place: Path) -> None:
    """Remove the private directories there whose process is gone. What cannot be removed is left to the next."""
    try:
        found = [entry for entry in os.scandir(place) if entry.name.startswith(PREFIX)]
    except OSError:
        return
    for entry in found:
        handle = _locked(Path(entry.path))
        if handle is None:
            continue
        try:
            shutil.rmtree(entry.path, ignore_errors=True)
        finally:
            os.close(handle)


def _made_in(place: Path) -> tuple[int, Path] | str:
    """Make one and lock it; another process may take it for a dead one's in between, and then the next is made."""
    for _ in range(_MOST_TRIES):
        try:
            path = Path(tempfile.mkdtemp(prefix=PREFIX, dir=place))
        except OSError as error:
            return f"{place}: {error.strerror}"
        handle = _locked(path)
        if handle is not None:
            return handle, path
    return f"{place}: what is made there is removed at once"


def _locked(path: Path) -> int | None:
    """Lock a directory of ours that is still the one at that path; None where it is somebody's, or gone."""
    try:
        handle = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW)
    except OSError:
        return None
    try:
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        opened, there = os.fstat(handle), os.lstat(path)
        mode = (
            stat.S_IMODE(opened.st_mode) & ~stat.S_ISGID
        )  # a volume of Kubernetes with an fsGroup hands that bit down
        is_ours = opened.st_uid == os.geteuid() and mode == stat.S_IRWXU
        if is_ours and (opened.st_dev, opened.st_ino) == (there.st_dev, there.st_ino):
            return handle
    except OSError:
        pass  # locked by a living process, or removed meanwhile
    os.close(handle)
    return None


def _kept_in_memory(path: Path, mounts: Path) -> bool:
    """Tell whether files there never reach a disk of themselves; no, where nobody tells."""
    try:
        lines = mounts.read_text().splitlines()
    except (OSError, UnicodeDecodeError):
        return False
    real, best, kind = path.resolve(), -1, ""
    for line in lines:
        fields = line.split(" ")
        mounted = Path(_ESCAPED.sub(lambda match: chr(int(match[1], 8)), fields[1])) if len(fields) > _KIND else None
        if mounted is not None and real.is_relative_to(mounted) and len(mounted.parts) >= best:
            best, kind = len(mounted.parts), fields[_KIND]  # of those at one path the last is what is seen
    return kind in _IN_MEMORY
