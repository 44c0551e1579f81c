"""Looks for token strings where none may be: in every file under a folder, and in whatever else was written."""

import re
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Final

import hvac

SHORTEST_PART: Final = 12
"""So many characters of a token in a row are a leak."""
_PREFIX: Final = "M.V1."
_SHAPE: Final = re.compile(rf"M\.V\d+\.[A-Za-z0-9+/=]{{{SHORTEST_PART - len(_PREFIX)},}}")
"""A token that nobody knows any more, since its maker died with it, is still known by its shape."""


def stored_strings(client: hvac.Client, path: str, *, field: str = "token", mount: str = "secret") -> set[str]:
    """Give the token strings of every version of a secret that can still be read; none when it was never written."""
    return {str(document[field]) for document in versions(client, path, mount=mount).values() if document.get(field)}


def versions(client: hvac.Client, path: str, *, mount: str = "secret") -> Mapping[int, Mapping[str, object]]:
    """Give every version of a secret that can still be read, by number."""
    try:
        known = client.secrets.kv.v2.read_secret_metadata(path=path, mount_point=mount)["data"]["versions"]
    except hvac.exceptions.InvalidPath:
        return {}
    found = {}
    for number, metadata in sorted(known.items(), key=lambda item: int(item[0])):
        if metadata["deletion_time"] or metadata["destroyed"]:
            continue
        answer = client.secrets.kv.v2.read_secret_version(
            path=path, version=int(number), mount_point=mount, raise_on_deleted_version=True
        )
        found[int(number)] = answer["data"]["data"]
    return found


def leaks(strings: Iterable[str], *folders: Path, outputs: Iterable[str] = ()) -> list[str]:
    """Say where there is a part of one of these strings, or anything shaped like a token; never what is there."""
    parts = {part for string in strings for part in _parts(string)}
    texts = {str(path): path.read_text(errors="replace") for folder in folders for path in _files(folder)}
    texts |= {f"output {number}": text for number, text in enumerate(outputs)}
    return sorted(where for where, text in texts.items() if _SHAPE.search(text) or parts & _windows(text))


def _files(folder: Path) -> Iterable[Path]:
    return (path for path in folder.rglob("*") if path.is_file())


def _parts(string: str) -> set[str]:
    """Give what is to be looked for; the part that every token begins with tells nothing."""
    start = len(_PREFIX) if string.startswith(_PREFIX) else 0
    return {string[at : at + SHORTEST_PART] for at in range(start, len(string) - SHORTEST_PART + 1)}


def _windows(text: str) -> set[str]:
    return {text[at : at + SHORTEST_PART] for at in range(len(text) - SHORTEST_PART + 1)}
