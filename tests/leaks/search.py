"""What is planted, and the search for it in everything that an error, an engine or a folder could tell."""

from collections.abc import Iterator
from pathlib import Path
from traceback import walk_tb

from provisioner.domain.secret import SecretText

PATTERNED = "M.V1.+5JkAb1/" + "Zz9+qT4w" * 7
PLAIN = "zq7-plain-9f3k2m8x5w1v6t4s0r7q2p9n8b6c"
"""A token that looks like nothing: no pattern of ``scrub`` knows it."""
SECRETS = {"patterned": PATTERNED, "plain": PLAIN}
SHORTEST_PART = 12
_TESTS = str(Path(__file__).parents[1])


def found(secret: str, *texts: str) -> list[str]:
    """Give the parts of a secret that stand in the texts, in whatever piece."""
    starts = range(max(1, len(secret) - SHORTEST_PART + 1))
    parts = {secret[at : at + SHORTEST_PART] for at in starts}
    return sorted(part for part in parts if any(part in text for text in texts))


def assert_untold(secret: str, *texts: str) -> None:
    """Check that no part of a secret stands in any of the texts; the failure tells none of it either."""
    count = len(found(secret, *texts))
    assert count == 0, f"{count} parts of the secret were told"


def everything_about(error: BaseException) -> str:
    """Give all that an error could put into a log or a dump: itself, all behind it, and the frames it came through.

    The frames of tests do not count: they hold the secret that was planted.
    """
    return "\n".join(text for one in _chain(error, set()) for text in _told_by(one))


def _chain(error: BaseException | None, seen: set[int]) -> Iterator[BaseException]:
    if error is None or id(error) in seen:
        return
    seen.add(id(error))
    yield error
    yield from _chain(error.__cause__, seen)
    yield from _chain(error.__context__, seen)  # also where `from None` hides it


def _told_by(error: BaseException) -> Iterator[str]:
    yield f"{error} {error!r} {error.args!r} {vars(error)!r} {getattr(error, '__notes__', ())!r}"
    for frame, _ in walk_tb(error.__traceback__):
        if not frame.f_code.co_filename.startswith(_TESTS):
            yield from (f"{name} = {_shown(value)}" for name, value in frame.f_locals.items())


def _shown(value: object) -> str:
    """Show a value of a frame, and what a function holds of the frames around it."""
    cells = getattr(value, "__closure__", None) or ()
    held = [cell.cell_contents for cell in cells if not callable(cell.cell_contents)]
    return f"{value!r} {held!r}"


def written_in(folder: Path) -> list[str]:
    """Give the contents and names of all files in a folder."""
    files = [path for path in folder.rglob("*") if path.is_file()]
    return [f"{path} {path.read_bytes().decode('utf-8', 'replace')}" for path in files]


def secret_of(text: str) -> SecretText:
    """Wrap it, out of sight of the frames that are searched."""
    return SecretText(text)
