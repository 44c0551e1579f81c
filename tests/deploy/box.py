"""A process in a file system of its own, as a container has it: a root, what is mounted there, a user without rights.

By the tools of util-linux alone. Root has all of it; who is not root has it in a user namespace, where the user stays
who they are, without capabilities.
"""

import os
import shlex
import subprocess
import sys
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import Final

IS_ROOT: Final = os.geteuid() == 0
_ENTER: Final = ("unshare", "--mount", "--uts", *(() if IS_ROOT else ("--user", "--map-root-user")))
_NO_RIGHTS: Final = "--no-new-privs --bounding-set=-all --inh-caps=-all"
_SYSTEM: Final = ("bin", "sbin", "lib", "lib64", "usr/bin", "usr/sbin", "usr/lib", "usr/lib64", "usr/share")
"""What every image has, taken from this machine."""
_DEVICES: Final = ("null", "zero", "random", "urandom")


@cache
def can_be_made() -> bool:
    """Tell whether this machine lets us."""
    try:
        tried = subprocess.run([*_ENTER, "mount", "-t", "tmpfs", "none", "/mnt"], capture_output=True, check=False)
    except OSError:
        return False
    return tried.returncode == 0


@dataclass(frozen=True, slots=True, kw_only=True)
class Mount:
    """A folder or file of this machine, and where it is seen."""

    source: Path
    target: str
    read_only: bool = True


@dataclass(frozen=True, slots=True, kw_only=True)
class Box:
    """Where a process runs."""

    root: Path
    """The image's own files."""
    environment: Mapping[str, str]
    mounts: Sequence[Mount] = ()
    read_only: bool = True
    user: str | None = None
    """``UID:GID``, without any right; None: whoever builds an image."""
    folder: str = "/"
    host: str = "box"
    _seen: list[Mount] = field(default_factory=list)

    def command(self, *arguments: str) -> list[str]:
        """Give the command line that runs the arguments inside; each step becomes the next, so that signals arrive."""
        mounts = [*system(), *self.mounts]
        for mount in mounts:
            _make_room(self.root, mount)
        where = {mount.target: shlex.quote(f"{self.root}{mount.target}") for mount in mounts}
        root = shlex.quote(str(self.root))
        lines = [
            f"echo {self.host} > /proc/sys/kernel/hostname",
            f"mount --bind {root} {root}",
            *(f"mount --rbind {shlex.quote(str(mount.source))} {where[mount.target]}" for mount in mounts),
            *(f"mount -o remount,bind,ro {where[mount.target]}" for mount in self.mounts if mount.read_only),
            *([f"mount -o remount,bind,ro {root}"] if self.read_only else []),
            f"exec chroot {root} {shlex.join(self._inside(arguments))}",
        ]
        return [*_ENTER, "sh", "-euc", "\n".join(lines)]

    def _inside(self, arguments: Sequence[str]) -> list[str]:
        rights: list[str] = []
        if self.user is not None:
            uid, _, gid = self.user.partition(":")
            who = [f"--reuid={uid}", f"--regid={gid}", "--clear-groups"] if IS_ROOT else []
            rights = ["/usr/bin/setpriv", *who, *_NO_RIGHTS.split()]
        variables = [f"{name}={value}" for name, value in self.environment.items()]
        return [*rights, "/usr/bin/env", "-i", "-C", self.folder, *variables, *arguments]


def system() -> Iterator[Mount]:
    """Give what stands in for the base image: the system's programs and libraries, and this Python without packages."""
    for name in _SYSTEM:
        path = Path("/") / name
        if path.exists():
            yield Mount(source=path, target=str(path))
    begun_by = Path(sys._base_executable)  # type: ignore[attr-defined]  # what `venv` writes down, and nothing else tells
    python = {begun_by, *_links(Path(sys.executable))}
    library = Path(sys.base_prefix) / "lib"
    for path in (*python, library):
        if not any(path.is_relative_to(f"/{each}") for each in _SYSTEM):
            yield Mount(source=path.resolve(), target=str(path))
    for name in _DEVICES:
        yield Mount(source=Path("/dev") / name, target=f"/dev/{name}")
    yield Mount(source=Path("/proc"), target="/proc")


def _links(path: Path) -> Iterator[Path]:
    """Give where a link points to, outside of the environment, and so on to its end."""
    while path.is_symlink():
        path = path.parent / path.readlink()
        if not path.is_relative_to(sys.prefix):
            yield path


def _make_room(root: Path, mount: Mount) -> None:
    """Make the folder or file that something is mounted on."""
    place = Path(f"{root}{mount.target}")
    if mount.source.is_dir():
        place.mkdir(parents=True, exist_ok=True)
    else:
        place.parent.mkdir(parents=True, exist_ok=True)
        place.touch()
