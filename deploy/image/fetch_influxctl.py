"""Brings influxctl into the image: fetched once, checked against its SHA-256, unpacked. Standard library only."""

import hashlib
import io
import os
import sys
import tarfile
import urllib.request
import zipfile
from collections.abc import Mapping
from pathlib import Path
from typing import Final

PROGRAM: Final = "influxctl"
_SHA256_DIGITS: Final = 64
_LONGEST_WAIT: Final = 60


def main(arguments: list[str], environment: Mapping[str, str]) -> None:
    """Write the program into the folder named; with no URL leave it empty. Exits with a reason when that fails."""
    (folder,) = (Path(argument) for argument in arguments)
    folder.mkdir(parents=True, exist_ok=True)
    url, expected = environment.get("INFLUXCTL_URL", ""), environment.get("INFLUXCTL_SHA256", "").lower()
    if not url:
        return
    if len(expected) != _SHA256_DIGITS:
        raise SystemExit("INFLUXCTL_SHA256 is not a SHA-256: give the 64 digits that influxctl's publisher names")
    if not url.startswith(("https://", "http://")):
        raise SystemExit("INFLUXCTL_URL must begin with https:// or http://")
    target = folder / PROGRAM
    target.write_bytes(_unpacked(_fetched(url, expected)))
    target.chmod(0o755)


def _fetched(url: str, expected: str) -> bytes:
    """Give the file at the URL, if it is the one that is expected."""
    try:
        with urllib.request.urlopen(url, timeout=_LONGEST_WAIT) as answer:  # noqa: S310  # the scheme was looked at
            content: bytes = answer.read()
    except OSError as error:
        raise SystemExit(f"influxctl could not be fetched from INFLUXCTL_URL: {error}") from None
    found = hashlib.sha256(content).hexdigest()
    if found != expected:
        raise SystemExit(f"influxctl has SHA-256 {found}, not INFLUXCTL_SHA256: was the right file meant?")
    return content


def _unpacked(content: bytes) -> bytes:
    """Give the program out of an archive, or the content itself where it is none."""
    if zipfile.is_zipfile(io.BytesIO(content)):
        with zipfile.ZipFile(io.BytesIO(content)) as archive:
            return archive.read(_member(archive.namelist()))
    try:
        with tarfile.open(fileobj=io.BytesIO(content)) as archive:
            files = [member.name for member in archive.getmembers() if member.isfile()]
            program = archive.extractfile(_member(files))
            return program.read() if program else b""
    except tarfile.ReadError:
        return content


def _member(names: list[str]) -> str:
    found = [name for name in names if Path(name).name == PROGRAM]
    if len(found) != 1:
        raise SystemExit(f"the archive at INFLUXCTL_URL holds {len(found)} files named {PROGRAM}, not one")
    return found[0]


if __name__ == "__main__":
    main(sys.argv[1:], os.environ)  # noqa: TID251  # a program of its own, which runs before the package is there
