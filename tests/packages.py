"""Packages of other people, as pip would have installed them: modules, and a dist-info with their entry points."""

from collections.abc import Mapping
from pathlib import Path

Points = Mapping[str, Mapping[str, str]]
"""Group -> name of an entry point -> what it points to."""


def install(folder: Path, package: str, modules: Mapping[str, str], entry_points: Points) -> None:
    """Put a package such as ``acme-tokens 1.0`` into a folder that is, or will be, on ``sys.path``.

    ``modules`` gives the text of each by its name.
    """
    name, version = package.split()
    for module, text in modules.items():
        (folder / f"{module}.py").write_text(text)
    info = folder / f"{name.replace('-', '_')}-{version}.dist-info"
    info.mkdir()
    (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}\n")
    groups = [
        "\n".join([f"[{group}]", *(f"{key} = {value}" for key, value in points.items())])
        for group, points in entry_points.items()
    ]
    (info / "entry_points.txt").write_text("\n\n".join(groups) + "\n")
