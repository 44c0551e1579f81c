"""Follows the Dockerfile without Docker: each instruction in a box, the base image made of this machine's Python.

Only the download of the locked packages is left out: the very versions of the lock are taken from this environment.
"""

import json
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from fnmatch import fnmatch
from importlib.metadata import distribution
from pathlib import Path
from typing import Final

from packaging.requirements import Requirement

from tests.deploy.box import Box, Mount
from tests.deploy.tools import DEPLOY, ROOT

_BASE: Final = {"PATH": "/usr/local/bin:/usr/bin:/bin"}
_DOWNLOADS: Final = "--require-hashes"
_LONGEST_STEP: Final = 120


@dataclass(slots=True)
class Stage:
    """A stage as far as it is built: the image, at its end."""

    root: Path
    environment: dict[str, str] = field(default_factory=lambda: dict(_BASE))
    arguments: dict[str, str] = field(default_factory=dict)
    folder: str = "/"
    user: str | None = None
    entrypoint: list[str] = field(default_factory=list)
    command: list[str] = field(default_factory=list)


def build(folder: Path, **arguments: str) -> Stage:
    """Follow the Dockerfile with these build arguments, below an empty folder; give the last stage.

    Fails with the output of a step that fails.
    """
    context = _context(folder / "context")
    stages: dict[str, Stage] = {}
    stage = Stage(folder / "none")
    for name, rest in instructions((DEPLOY / "Dockerfile").read_text()):
        match name:
            case "FROM":
                named = rest.partition(" AS ")[2]
                stage = stages[named] = Stage(_base(folder / named))
            case "ARG":
                key, _, default = rest.partition("=")
                stage.arguments[key] = arguments.get(key, default)
            case "COPY":
                _copy(stage, rest, context, stages)
            case "RUN":
                _run(stage, rest)
            case _:
                _set(stage, name, rest)
    return stage


def _set(stage: Stage, name: str, rest: str) -> None:
    """Follow an instruction that says how the image is run."""
    match name:
        case "WORKDIR":
            stage.folder = rest
            _inside(stage, rest).mkdir(parents=True, exist_ok=True)
        case "ENV":
            stage.environment |= dict(pair.partition("=")[::2] for pair in rest.split())
        case "USER":
            stage.user = rest
        case "ENTRYPOINT":
            stage.entrypoint = json.loads(rest)
        case "CMD":
            stage.command = json.loads(rest)
        case "LABEL" | "EXPOSE" | "STOPSIGNAL":
            pass
        case _:
            raise ValueError(f"{name} is not known here: teach tests/deploy/dockerfile.py")


def instructions(text: str) -> Iterator[tuple[str, str]]:
    """Give each instruction and what follows it, on one line."""
    lines = "\n".join(line for line in text.splitlines() if not line.startswith("#"))
    for line in lines.replace("\\\n", " ").splitlines():
        if line.strip():
            name, _, rest = line.strip().partition(" ")
            yield name, rest.strip()


def _context(folder: Path) -> Path:
    """Copy what .dockerignore lets through: the last pattern that fits decides."""
    patterns = [line for line in (ROOT / ".dockerignore").read_text().splitlines() if line and not line.startswith("#")]
    let_through = [ROOT / pattern.removeprefix("!") for pattern in patterns if pattern.startswith("!")]
    files = {file for path in let_through for file in (path, *path.rglob("*")) if file.is_file()}
    for name in (str(file.relative_to(ROOT)) for file in files):
        decisive = [pattern for pattern in patterns if _fits(name, pattern.removeprefix("!"))]
        if decisive and decisive[-1].startswith("!"):
            target = folder / name
            target.parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(ROOT / name, target)
    return folder


def _fits(name: str, pattern: str) -> bool:
    """Tell whether a pattern of .dockerignore is about a file: itself, or a folder that it is in."""
    above = [name, *(str(each) for each in Path(name).parents if str(each) != ".")]
    return any(fnmatch(each, pattern.removeprefix("**/")) for each in above)


def _base(root: Path) -> Path:
    """Begin an image: a temporary folder, and a Python that has pip, which is that of this environment."""
    programs = root / "usr" / "local" / "bin"
    programs.mkdir(parents=True)
    (root / "tmp").mkdir(mode=0o1777)
    python = programs / "python"
    python.write_text(f'#!/bin/sh\nexec {sys.prefix}/bin/python "$@"\n')
    python.chmod(0o755)
    root.chmod(0o755)
    return root


def _inside(stage: Stage, path: str) -> Path:
    """Give where a path of the image is on this machine."""
    return Path(f"{stage.root}{os.path.normpath(os.path.join(stage.folder, path))}")  # noqa: PTH118  # a path elsewhere


def _copy(stage: Stage, rest: str, context: Path, stages: Mapping[str, Stage]) -> None:
    words = rest.split()
    source = context
    if words[0].startswith("--from="):
        source = stages[words.pop(0).removeprefix("--from=")].root
    *names, target = words
    for name in names:
        given = source / name.lstrip("/")
        place = _inside(stage, target)
        if given.is_dir():
            shutil.copytree(given, place, symlinks=True, dirs_exist_ok=True, copy_function=_linked)
            continue
        place = place / given.name if target.endswith("/") or len(names) > 1 else place
        place.parent.mkdir(parents=True, exist_ok=True)
        shutil.copy2(given, place)


def _run(stage: Stage, rest: str) -> None:
    command = re.sub(r"--mount=\S+", "", rest).strip()
    if _DOWNLOADS in command:
        _install_what_is_locked(stage)
        return
    words = json.loads(command) if command.startswith("[") else ["/bin/sh", "-c", command]
    here = Mount(source=Path(sys.prefix), target=sys.prefix)
    variables = stage.environment | stage.arguments | {"HOME": "/tmp"}  # the image's
    box = Box(root=stage.root, environment=variables, mounts=[here], read_only=False, folder=stage.folder)
    done = subprocess.run(box.command(*words), capture_output=True, text=True, check=False, timeout=_LONGEST_STEP)
    assert done.returncode == 0, f"RUN {rest}\n{done.stdout}{done.stderr}"


def _install_what_is_locked(stage: Stage) -> None:
    """Put every distribution of the lock where pip would, in the version of the lock: linked, where that can be."""
    (site,) = stage.root.glob("opt/provisioner/lib/python3*/site-packages")
    for line in (DEPLOY / "requirements.lock").read_text().splitlines():
        if not re.match(r"[a-z0-9]", line):
            continue
        wanted = Requirement(line.rstrip(" \\"))
        if wanted.marker is not None and not wanted.marker.evaluate():
            continue
        found = distribution(wanted.name)
        assert found.version in wanted.specifier, f"{wanted} is locked, {found.version} is here: make setup"
        for file in found.files or ():
            source = Path(str(found.locate_file(file)))
            if ".." not in file.parts and source.is_file():
                (site / file).parent.mkdir(parents=True, exist_ok=True)
                _linked(str(source), str(site / file))


def _linked(source: str, target: str) -> str:
    try:
        os.link(source, target, follow_symlinks=False)
    except OSError:  # on another file system
        shutil.copy2(source, target, follow_symlinks=False)
    return target
