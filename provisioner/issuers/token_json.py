"""Reads tokens out of JSON that is documented by samples only, and differs by version: pure and tolerant.

Sources: the samples of `management list` in InfluxData's documentation ({seconds, nanos} times, absent keys), and the
answers of its HTTP APIs. What is not documented is accepted in every likely form.
"""

import hashlib
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from typing import Final

from provisioner.domain.model import Permission
from provisioner.domain.scrub import LONGEST_PLAIN_WORD, scrub
from provisioner.domain.secret import SecretText
from provisioner.issuers.json_times import parse_time

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
_ERRORS: Final = ("error", "errors")
_CREATE_WRAPPERS: Final = (*_LIST_WRAPPERS, "token", "managementtoken", "tokeninfo", "details", "metadata")
KNOWN_SHAPE: Final = re.compile(r"(?:M\.V\d+\.|apiv\d+_)[!-~]+")
SENDABLE: Final = re.compile(r"[!-~]+")
"""What an authorisation header can carry."""
_ID: Final = re.compile(r"[!-~]{1,200}")
"""What may stand in messages, logs, records, paths and arguments."""
_MASK: Final = re.compile(r"[*•x.-]+|\W*(?:redacted|hidden|masked|none|null)\W*", re.IGNORECASE)
UUID: Final = re.compile(r"[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}", re.IGNORECASE)
_DEEPEST: Final = 3
_SHORTEST_SECRET: Final = 32


class UnreadableOutputError(ValueError):
    """The output was not understood; the message names keys and kinds, never values."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ParsedToken:
    """A token as an issuer shows it."""

    token_id: str | None
    secret: SecretText | None
    description: str | None = field(repr=False)
    """Not shown: whatever an issuer puts there is not for an error's frames."""
    created_at: datetime | None
    expires_at: datetime | None
    revoked_at: datetime | None
    permissions: frozenset[Permission] | None = None
    """None: it does not say, or not in a way that we know."""


def listed_tokens(document: object) -> tuple[ParsedToken, ...]:
    """Read a list of tokens, bare or wrapped; raises UnreadableOutputError."""
    entries = _entries(document)
    tokens = tuple(_with_harmless_id(parsed_token(normalised(entry))) for entry in entries)
    if any(token.token_id is None for token in tokens):
        keys = sorted({key for entry in entries for key in entry})
        raise UnreadableOutputError(f"a listed token has no id; keys seen: {_shown(keys)}")
    return tokens


def array_of_tokens(document: object) -> tuple[ParsedToken, ...]:
    """Read a list of tokens of which at least that is sure: it is one. Raises UnreadableOutputError.

    That is an array, or an object that holds one under a key which says so. What is no list must not read as an empty
    one, nor what came with an error as a whole one: of tokens that it lacks nothing would be known any more. The HTTP
    APIs are documented to give arrays, so that nothing at all (null) is no list of theirs.
    """
    entries = document.items() if isinstance(document, Mapping) else ()
    wrapped = [value for key, value in entries if _bare(key) in _LIST_WRAPPERS]
    has_failed = any(value for key, value in entries if _bare(key) in _ERRORS)
    tokens = wrapped[0] if len(wrapped) == 1 and not has_failed else document
    if not isinstance(tokens, list):
        keys = f"; keys seen: {_shown(sorted(document))}" if isinstance(document, Mapping) else ""
        raise UnreadableOutputError(f"the list is a {type(document).__name__}, not an array of objects{keys}")
    return listed_tokens(tokens)


def is_an_id(text: str) -> bool:
    """Tell whether a server's id may be repeated: printable ASCII without spaces, of at most 200 characters."""
    return _ID.fullmatch(text) is not None


def _with_harmless_id(token: ParsedToken) -> ParsedToken:
    """Give a listed token a name of ours in place of an id that may not be repeated.

    The entry is kept, with its mark: what carries ours must stay in sight, or it would be counted by nobody and live
    on unknown. The list is not refused either: one foreign token with such an id would stop the rotation of all. What
    stands for the id is the same on every list, differs from token to token, and is no id itself (it holds spaces),
    so that no issuer revokes or amends anything by it: where that goes by the id, a person has to.
    """
    if token.token_id is None or is_an_id(token.token_id):
        return token
    digest = hashlib.sha256(token.token_id.encode(errors="surrogatepass")).hexdigest()
    return replace(token, token_id=f"[unreadable id {digest[:12]}]")


def with_fit_id(token: ParsedToken) -> ParsedToken:
    """Give a created token back; raises UnreadableOutputError when its id may not be repeated.

    It would get into its record, and is no use without it: the token is an orphan then, known by its mark on the list.
    """
    if token.token_id is not None and not is_an_id(token.token_id):
        raise UnreadableOutputError("its id is not printable ASCII of at most 200 characters")
    return token


def created_token(document: object) -> ParsedToken:
    """Read a new token with its string; raises UnreadableOutputError without one, and for an id that is none."""
    entry = _created_entry(document)
    fields = normalised(entry)
    secret = _secret(fields) or _lone_shape(document)
    if secret is None:
        raise UnreadableOutputError(f"no key holds a token string; keys seen: {_shown(sorted(entry))}")
    return with_fit_id(parsed_token(fields, secret))


def single_token(document: object) -> ParsedToken:
    """Read one token, without its string; raises UnreadableOutputError when it has no id."""
    entry = _created_entry(document)
    token = parsed_token(normalised(entry))
    if token.token_id is None:
        raise UnreadableOutputError(f"the token has no id; keys seen: {_shown(sorted(entry))}")
    return token


# --- documents --------------------------------------------------------------------------------------


def holds_objects(document: object) -> bool:
    """Tell whether that is an array of objects."""
    return isinstance(document, list) and all(isinstance(item, dict) for item in document)


def _entries(document: object, depth: int = 0) -> list[Mapping[str, object]]:
    """Give the listed objects, bare or under a wrapping key."""
    if document is None:
        return []
    if isinstance(document, list) and holds_objects(document):
        return document
    if isinstance(document, Mapping) and depth < _DEEPEST:
        fields = normalised(document)
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


def normalised(entry: Mapping[str, object]) -> dict[str, object]:
    """Give the same with keys that do not depend on a style."""
    return {_bare(key): value for key, value in entry.items()}


def _bare(key: str) -> str:
    return re.sub(r"[_\-\s]", "", key).lower()


# --- one token --------------------------------------------------------------------------------------


def parsed_token(fields: Mapping[str, object], secret: SecretText | None = None) -> ParsedToken:
    """Read what is known by its normalised keys."""
    revoked = _first(fields, _REVOKED)
    return ParsedToken(
        token_id=text_of(_first(fields, _IDS)),
        secret=secret,
        description=text_of(_first(fields, _DESCRIPTIONS)),
        created_at=parse_time(_first(fields, _CREATED)),
        expires_at=parse_time(_first(fields, _EXPIRES)),
        revoked_at=datetime.fromtimestamp(1, UTC) if revoked is True else parse_time(revoked),
        permissions=_permissions(fields.get("permissions")),
    )


def _permissions(value: object) -> frozenset[Permission] | None:
    """Read ``[{action, resource}]`` in any order, actions in any case; those that we do not know are kept."""
    if not isinstance(value, list) or not all(isinstance(item, Mapping) for item in value):
        return None
    pairs = [(item.get("action"), item.get("resource")) for item in value]
    read = frozenset(
        Permission(action=action.lower(), resource=resource)
        for action, resource in pairs
        if isinstance(action, str) and isinstance(resource, str)
    )
    are_read = all(isinstance(part, str) for pair in pairs for part in pair)
    return read if are_read else None


def _secret(fields: Mapping[str, object]) -> SecretText | None:
    """Choose the token string: by its known shape, by the reported prefix, else the lone long candidate."""
    others = {text_of(_first(fields, keys)) for keys in (_IDS, _PREFIXES, _DESCRIPTIONS)}
    texts = {value.strip() for key in _SECRETS if isinstance(value := fields.get(key), str)}
    candidates = {text for text in texts - others if SENDABLE.fullmatch(text)}
    prefix = text_of(_first(fields, _PREFIXES))
    return lone(
        {text for text in candidates if KNOWN_SHAPE.fullmatch(text)}
        or {text for text in candidates if prefix and text.startswith(prefix) and len(text) > len(prefix)}
        or {text for text in candidates if len(text) >= _SHORTEST_SECRET and not UUID.fullmatch(text)}
        or {text for text in candidates if not UUID.fullmatch(text) and not _MASK.fullmatch(text)}
    )


def lone(candidates: set[str]) -> SecretText | None:
    """Give the one candidate; several different ones are no answer at all."""
    if len(candidates) > 1:
        raise UnreadableOutputError(f"{len(candidates)} different token strings: which is it?")
    return SecretText(candidates.pop()) if candidates else None


def _lone_shape(document: object) -> SecretText | None:
    """Look for the one string of a known shape at any depth, where no known key holds one. A prefix is too short."""
    return lone({text for text in _strings(document) if KNOWN_SHAPE.fullmatch(text) and len(text) >= _SHORTEST_SECRET})


def _strings(value: object) -> Iterator[str]:
    if isinstance(value, str):
        yield value
    elif isinstance(value, Mapping):
        for item in value.values():
            yield from _strings(item)
    elif isinstance(value, list):
        for item in value:
            yield from _strings(item)


# --- values -------------------------------------------------------------------------------------------


def _first(fields: Mapping[str, object], keys: tuple[str, ...]) -> object:
    return next((fields[key] for key in keys if key in fields), None)


def text_of(value: object) -> str | None:
    """Give a text, or a whole number as one; None for all else, and for an empty text."""
    if isinstance(value, int) and not isinstance(value, bool):
        return str(value)
    return value if isinstance(value, str) and value else None


def _shown(keys: list[str]) -> str:
    """Name keys, scrubbed and cut: a key is what the program calls a thing, but who knows."""
    return ", ".join(scrub(key, longest=40, longest_word=LONGEST_PLAIN_WORD) for key in keys[:12]) or "none"
