"""Reads what influxctl prints. Pure and tolerant: its JSON is documented by samples only, and differs by version.

Sources: the samples of `management list` in InfluxData's documentation ({seconds, nanos} times, absent keys), the
release notes (warn lines, the table of 2.11). What is not documented is accepted in every likely form.
"""

import json
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Final

from provisioner.domain.scrub import LONGEST_PLAIN_WORD, scrub
from provisioner.domain.secret import SecretText

_IDS: Final = ("id", "tokenid", "managementtokenid")
_SECRETS: Final = (
    "accesstoken",
    "token",
    "tokenstring",
    "tokensecret",
    "secret",
    "managementtoken",
    "mgmttoken",
    "tokenvalue",
    "rawtoken",
    "value",
    "key",
)
_PREFIXES: Final = ("tokenprefix", "prefix")
_DESCRIPTIONS: Final = ("description", "desc", "name")
_CREATED: Final = ("createdat", "created")
_EXPIRES: Final = ("expiresat", "expires", "expiry", "expiration", "expirationtime")
_REVOKED: Final = ("revokedat", "revoked", "deletedat")
_LIST_WRAPPERS: Final = ("tokens", "managementtokens", "items", "data", "result")
_CREATE_WRAPPERS: Final = (*_LIST_WRAPPERS, "token", "managementtoken", "tokeninfo", "details", "metadata")
_KNOWN_SHAPE: Final = re.compile(r"(?:M\.V\d+\.|apiv\d+_)[!-~]+")
_SENDABLE: Final = re.compile(r"[!-~]+")
"""What an authorisation header can carry."""
_BARE_TOKEN: Final = re.compile(r"[\w.+/=~-]{32,}", re.ASCII)
_MASK: Final = re.compile(r"[*•x.-]+|\W*(?:redacted|hidden|masked|none|null)\W*", re.IGNORECASE)
_UUID: Final = re.compile(r"[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}", re.IGNORECASE)
_COLOURS: Final = re.compile(r"\x1b\[[0-9;?]*[A-Za-z]")
_TABLE_ROW: Final = re.compile(r"^\s*[|│]\s*([^|│]+?)\s*[|│]\s*([^|│]*?)\s*[|│]\s*$")
_BORDER: Final = re.compile(r"[-+=|─━│┌┐└┘├┤┬┴┼]*")
_FRACTION: Final = re.compile(r"(\.\d{6})\d+")
_BROKEN: Final = object()
_DEEPEST: Final = 3
_SHORTEST_SECRET: Final = 32
_MILLISECONDS_FROM: Final = 1e11
_NANOSECONDS_FROM: Final = 1e16


class UnreadableOutputError(ValueError):
    """The output was not understood; the message names keys and kinds, never values."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ParsedToken:
    """A token as influxctl printed it."""

    token_id: str | None
    secret: SecretText | None
    description: str | None
    created_at: datetime | None
    expires_at: datetime | None
    revoked_at: datetime | None


def parse_list(output: str) -> tuple[ParsedToken, ...]:
    """Read the output of ``management list --format json``; raises UnreadableOutputError."""
    text = _clean(output)
    if not text.strip():
        return ()
    entries = _entries(_document(text))
    parsed = tuple(_parsed(_normalised(entry), None) for entry in entries)
    if any(token.token_id is None for token in parsed):
        keys = sorted({key for entry in entries for key in entry})
        raise UnreadableOutputError(f"a listed token has no id; keys seen: {_shown(keys)}")
    return parsed


def parse_create(output: str) -> ParsedToken:
    """Read the output of ``management create --format json``; raises UnreadableOutputError without a token string."""
    text = _clean(output)
    try:
        document = _document(text)
    except UnreadableOutputError:
        return _from_text(text)
    entry = _created_entry(document)
    fields = _normalised(entry)
    secret = _secret(fields) or _lone_shape(document)
    if secret is None:
        raise UnreadableOutputError(f"no key holds a token string; keys seen: {_shown(sorted(entry))}")
    return _parsed(fields, secret)


def parse_time(value: object) -> datetime | None:
    """Read a time in any of the forms seen; nothing, epoch 0 and year 1 mean that there is none."""
    moment: datetime | None = None
    if isinstance(value, Mapping):
        moment = _from_parts(value)
    elif isinstance(value, bool):
        moment = None
    elif isinstance(value, int | float):
        moment = _from_number(value)
    elif isinstance(value, str) and value.strip():
        moment = _from_rfc3339(value.strip())
    return None if moment is None or moment.year <= 1 or moment.timestamp() == 0 else moment


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
        if isinstance(document, dict) or document is None or _holds_objects(document):
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


def _holds_objects(document: object) -> bool:
    return isinstance(document, list) and all(isinstance(item, dict) for item in document)


def _entries(document: object, depth: int = 0) -> list[Mapping[str, object]]:
    """Give the listed objects, bare or under a wrapping key."""
    if document is None:
        return []
    if isinstance(document, list) and _holds_objects(document):
        return document
    if isinstance(document, Mapping) and depth < _DEEPEST:
        fields = _normalised(document)
        for key in _LIST_WRAPPERS:
            if key in fields and (fields[key] is None or isinstance(fields[key], list | Mapping)):
                return _entries(fields[key], depth + 1)
        if any(key in fields for key in _IDS):
            return [document]
        if len(document) == 1 and isinstance(next(iter(document.values())), list | None):
            return _entries(next(iter(document.values())), depth + 1)
        if not document:
            return []
        raise UnreadableOutputError(f"the list is under no known key; keys seen: {_shown(sorted(document))}")
    raise UnreadableOutputError(f"the list is a {type(document).__name__}, not an array of objects")


def _created_entry(document: object, depth: int = 0) -> Mapping[str, object]:
    """Give the created object: bare, the one element of an array, or under wrapping keys, siblings merged."""
    if isinstance(document, list) and len(document) == 1:
        document = document[0]
    if not isinstance(document, Mapping):
        raise UnreadableOutputError(f"the answer is a {type(document).__name__}, not one object")
    if depth >= _DEEPEST:
        return document
    wrapper = next((key for key, value in document.items() if _wraps_created(key, value)), None)
    if wrapper is None and len(document) == 1 and isinstance(next(iter(document.values())), Mapping):
        wrapper = next(iter(document))
    if wrapper is None:
        return document
    siblings = {key: value for key, value in document.items() if key != wrapper}
    return {**siblings, **_created_entry(document[wrapper], depth + 1)}


def _wraps_created(key: str, value: object) -> bool:
    return bool(value) and isinstance(value, Mapping | list) and _bare(key) in _CREATE_WRAPPERS


def _normalised(entry: Mapping[str, object]) -> dict[str, object]:
    return {_bare(key): value for key, value in entry.items()}


def _bare(key: str) -> str:
    return re.sub(r"[_\-\s]", "", key).lower()


# --- one token --------------------------------------------------------------------------------------


def _parsed(fields: Mapping[str, object], secret: SecretText | None) -> ParsedToken:
    revoked = _first(fields, _REVOKED)
    return ParsedToken(
        token_id=_text(_first(fields, _IDS)),
        secret=secret,
        description=_text(_first(fields, _DESCRIPTIONS)),
        created_at=parse_time(_first(fields, _CREATED)),
        expires_at=parse_time(_first(fields, _EXPIRES)),
        revoked_at=datetime.fromtimestamp(1, UTC) if revoked is True else parse_time(revoked),
    )


def _secret(fields: Mapping[str, object]) -> SecretText | None:
    """Choose the token string: by its known shape, by the reported prefix, else the lone long candidate."""
    others = {_text(_first(fields, keys)) for keys in (_IDS, _PREFIXES, _DESCRIPTIONS)}
    texts = {value.strip() for key in _SECRETS if isinstance(value := fields.get(key), str)}
    candidates = {text for text in texts - others if _SENDABLE.fullmatch(text)}
    prefix = _text(_first(fields, _PREFIXES))
    return _lone(
        {text for text in candidates if _KNOWN_SHAPE.fullmatch(text)}
        or {text for text in candidates if prefix and text.startswith(prefix) and len(text) > len(prefix)}
        or {text for text in candidates if len(text) >= _SHORTEST_SECRET and not _UUID.fullmatch(text)}
        or {text for text in candidates if not _UUID.fullmatch(text) and not _MASK.fullmatch(text)}
    )


def _lone(candidates: set[str]) -> SecretText | None:
    """Give the one candidate; several different ones are no answer at all."""
    if len(candidates) > 1:
        raise UnreadableOutputError(f"{len(candidates)} different token strings: which is it?")
    return SecretText(candidates.pop()) if candidates else None


def _lone_shape(document: object) -> SecretText | None:
    """Look for the one string of a known shape at any depth, where no known key holds one. A prefix is too short."""
    return _lone(
        {text for text in _strings(document) if _KNOWN_SHAPE.fullmatch(text) and len(text) >= _SHORTEST_SECRET}
    )


def _strings(value: object) -> Iterator[str]:
    if isinstance(value, str):
        yield value
    elif isinstance(value, Mapping):
        for item in value.values():
            yield from _strings(item)
    elif isinstance(value, list):
        for item in value:
            yield from _strings(item)


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
    fields = _normalised(rows)
    others = {_text(value) for value in fields.values()}
    secret = _lone(
        {line for line in lines if _KNOWN_SHAPE.fullmatch(line)}
        or {line for line in lines - others if _BARE_TOKEN.fullmatch(line) and not _UUID.fullmatch(line)}
    )
    if secret is None:
        raise UnreadableOutputError(f"no token string was found in {len(text.splitlines())} lines of text")
    return _parsed(fields, secret)


# --- values -------------------------------------------------------------------------------------------


def _first(fields: Mapping[str, object], keys: tuple[str, ...]) -> object:
    return next((fields[key] for key in keys if key in fields), None)


def _text(value: object) -> str | None:
    if isinstance(value, int) and not isinstance(value, bool):
        return str(value)
    return value if isinstance(value, str) and value else None


def _from_parts(value: Mapping[str, object]) -> datetime | None:
    parts = {str(key).lower(): part for key, part in value.items()}
    try:
        seconds, nanos = int(str(parts.get("seconds") or 0)), int(str(parts.get("nanos") or 0))
        return datetime.fromtimestamp(seconds, UTC) + timedelta(microseconds=nanos // 1000)
    except (ValueError, OverflowError, OSError):
        return None


def _from_number(number: float) -> datetime | None:
    try:
        if number > _NANOSECONDS_FROM:
            number /= 1e9
        elif number > _MILLISECONDS_FROM:
            number /= 1e3
        return datetime.fromtimestamp(number, UTC)
    except (ValueError, OverflowError, OSError):
        return None


def _from_rfc3339(text: str) -> datetime | None:
    if text.replace(".", "", 1).isdecimal():
        return _from_number(float(text))
    try:
        moment = datetime.fromisoformat(_FRACTION.sub(r"\1", text))
        return moment.replace(tzinfo=UTC) if moment.tzinfo is None else moment.astimezone(UTC)
    except (ValueError, OverflowError):
        return None


def _shown(keys: list[str]) -> str:
    """Name keys, scrubbed and cut: a key is what the program calls a thing, but who knows."""
    return ", ".join(scrub(key, longest=40, longest_word=LONGEST_PLAIN_WORD) for key in keys[:12]) or "none"
