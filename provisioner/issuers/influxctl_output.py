"""Reads what influxctl prints. Pure and tolerant: its JSON is documented by samples only, and differs by version.

Sources: the samples of `management list` in InfluxData's documentation ({seconds, nanos} times, absent keys), the
release notes (warn lines, the table of 2.11). What is not documented is accepted in every likely form.
"""

import json
import re
from typing import Final

from provisioner.issuers.token_json import (
    KNOWN_SHAPE,
    UUID,
    ParsedToken,
    UnreadableOutputError,
    created_token,
    holds_objects,
    listed_tokens,
    lone,
    normalised,
    parsed_token,
    text_of,
    with_fit_id,
)

_COLOURS: Final = re.compile(r"\x1b\[[0-9;?]*[A-Za-z]")
_TABLE_ROW: Final = re.compile(r"^\s*[|│]\s*([^|│]+?)\s*[|│]\s*([^|│]*?)\s*[|│]\s*$")
_BORDER: Final = re.compile(r"[-+=|─━│┌┐└┘├┤┬┴┼]*")
_BROKEN: Final = object()
_BARE_TOKEN: Final = re.compile(r"[\w.+/=~-]{32,}", re.ASCII)


def parse_list(output: str) -> tuple[ParsedToken, ...]:
    """Read the output of ``management list --format json``; raises UnreadableOutputError."""
    text = _clean(output)
    if not text.strip():
        return ()
    return listed_tokens(_document(text))


def parse_create(output: str) -> ParsedToken:
    """Read the output of ``management create --format json``; raises UnreadableOutputError without a token string."""
    text = _clean(output)
    try:
        document = _document(text)
    except UnreadableOutputError:
        return _from_text(text)
    return created_token(document)


# --- documents --------------------------------------------------------------------------------------


def _clean(output: str) -> str:
    return _COLOURS.sub("", output.removeprefix("\ufeff"))


def _document(text: str) -> object:
    """Find the one JSON document among lines that are none.

    A document begins at the start of a line, so that no inner part of a cut one is taken for the whole: a list that
    lost its tail must not read as a shorter list.
    """
    try:
        return json.loads(text)
    except (ValueError, RecursionError):
        pass  # other lines stand around it
    found: list[object] = []
    end = 0
    for match in re.finditer(r"(?m)^(?:[\[{]|null\s*$)", text):
        if match.start() < end:
            continue
        document, reached = _decoded(text, match.start())
        if document is _BROKEN and "\n" in text[match.start() : reached].strip():
            raise UnreadableOutputError("the JSON document is cut short or broken")
        if isinstance(document, dict) or document is None or holds_objects(document):
            found.append(document)
            end = reached
    if len(found) != 1:
        raise UnreadableOutputError(f"{len(found) or 'no'} JSON documents were found in the output, not one")
    return found[0]


def _decoded(text: str, start: int) -> tuple[object, int]:
    """Decode what begins there, and say how far it reached. The decoder's error holds the text: it ends here."""
    try:
        return json.JSONDecoder().raw_decode(text, start)
    except json.JSONDecodeError as error:
        return _BROKEN, error.pos
    except (ValueError, RecursionError):
        return _BROKEN, len(text)


def _from_text(text: str) -> ParsedToken:
    """Read the output for people: a two-column table, warn lines, and the bare token on a line of its own."""
    rows: dict[str, object] = {}
    lines: set[str] = set()
    for line in text.splitlines():
        row = _TABLE_ROW.match(line)
        if row:
            rows[row[1]] = row[2]
        elif not _BORDER.fullmatch(line.strip()):
            lines.add(line.strip())
    fields = normalised(rows)
    others = {text_of(value) for value in fields.values()}
    secret = lone(
        {line for line in lines if KNOWN_SHAPE.fullmatch(line)}
        or {line for line in lines - others if _BARE_TOKEN.fullmatch(line) and not UUID.fullmatch(line)}
    )
    if secret is None:
        raise UnreadableOutputError(f"no token string was found in {len(text.splitlines())} lines of text")
    return with_fit_id(parsed_token(fields, secret))
