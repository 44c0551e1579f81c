"""The two packages of docs/extending.md, taken out of it as they stand there."""

import os
import re
import subprocess
import tomllib
from pathlib import Path

from tests.packages import install
from tests.site import Ran

DOCUMENT = Path(__file__).parents[1] / "docs/extending.md"
BLOCK = re.compile(r"^```(?:toml|python|yaml)\n# (?P<path>\S+)\n(?P<text>.*?)^```$", re.MULTILINE | re.DOTALL)


def files() -> dict[str, str]:
    """Give every file of the document by its path."""
    return {block["path"]: block["text"] for block in BLOCK.finditer(DOCUMENT.read_text())}


def unpack(folder: Path) -> None:
    """Write the files into a folder, and install the packages in its ``packages``."""
    (folder / "packages").mkdir()
    for path, text in files().items():
        (folder / path).parent.mkdir(exist_ok=True)
        (folder / path).write_text(text)
    for project in folder.glob("*/pyproject.toml"):
        described = tomllib.loads(project.read_text())
        about, modules = described["project"], described["tool"]["setuptools"]["py-modules"]
        texts = {module: (project.parent / f"{module}.py").read_text() for module in modules}
        install(folder / "packages", f"{about['name']} {about['version']}", texts, about["entry-points"])


def run(folder: Path, *command: str, **environment: str) -> Ran:
    """Run a command beside the installed packages."""
    done = subprocess.run(
        command,
        env={"PATH": os.defpath, "PYTHONPATH": str(folder / "packages"), **environment},
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
        cwd=folder,
    )
    return Ran(status=done.returncode, output=done.stdout, errors=done.stderr)
