"""Takes what may be a secret out of other people's texts, at the boundary where they enter."""

import json
import re
from typing import Final

_SECRETS: Final = re.compile(
    r"""
      M\.V\d+\.[^\s"'<>|]+                          # InfluxDB management tokens
    | apiv\d*_[^\s"'<>|]+                           # InfluxDB database and admin tokens
    | \b(?:hv[sbr]|[sbr])\.[A-Za-z0-9_-]{20,}       # Vault and OpenBao client tokens
    | \beyJ[\w-]+\.[\w-]+(?:\.[\w-]*)?              # JWTs
    | \b(?:AKIA|ASIA)[A-Z0-9]{16}\b                 # AWS access keys
    | (?i:bearer\s+|token\s+(?![0-9a-f-]{36}(?![\w-])))[^\s"',;]{16,}  # authorisation headers, but no id of a token
    | \b[0-9a-fA-F]{40,}\b                          # hashes and hexadecimal keys
    | (?<![\w/.-])(?=[\w+/=-]*[A-Z])(?=[\w+/=-]*[a-z])(?=[\w+/=-]*\d)[\w+/=-]{40,}  # base64, but no path
    """,
    re.VERBOSE,
)
_COLOURS: Final = re.compile(r"\x1b\[[0-9;?]*[A-Za-z]")
_CONTROLS: Final = re.compile(r"[\x00-\x1f\x7f-\x9f\u061c\u200e\u200f\u2028-\u202e\u2066-\u2069\ud800-\udfff]+")
"""What moves the cursor, turns a line round or ends it, and what no output can encode."""
_WORD: Final = re.compile(r"""[^\s"'`<>|,;()\[\]{}]+""")
_PART: Final = re.compile(r"[/:.=@?&]")
"""What joins the parts of an address, a path or a setting."""
_UUID: Final = re.compile(r"[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}", re.IGNORECASE)
_NAME: Final = re.compile(r"[A-Z]+(?:_[A-Z]+)+|[a-z]+(?:[-_][a-z]+)+")
"""A constant, or plain words that are joined: of a random string nothing is so regular."""
_JOINT: Final = re.compile(r"[-_]")
REDACTED: Final = "[redacted]"
LONGEST_PLAIN_WORD: Final = 23
"""For ``longest_word``: the words of other people's errors are shorter, and every issuer's tokens are longer."""


def scrub(text: str, *, longest: int = 300, known: tuple[str, ...] = (), longest_word: int | None = None) -> str:
    """Give ``text`` on one line, cut to ``longest`` characters, without anything that looks like a secret.

    ``known`` are strings that must not appear, whatever they look like, as they are or as JSON spells them.
    ``longest_word`` is for a text that may hold a secret which nobody knows: a word with a longer part is taken out,
    unless it is a UUID, or a name made of shorter words without a digit, all in capitals or all in small letters.
    """
    text = _COLOURS.sub("", text)  # first: a colour code in or before a secret would hide it
    for secret in known:
        if secret:
            for form in (secret, json.dumps(secret, ensure_ascii=False)[1:-1], json.dumps(secret)[1:-1]):
                text = text.replace(form, REDACTED)
    text = _SECRETS.sub(REDACTED, text)
    if longest_word is not None:
        text = _WORD.sub(lambda word: word[0] if _is_plain(word[0], longest_word) else REDACTED, text)
    text = _CONTROLS.sub(" ", text).strip()
    return text if len(text) <= longest else f"{text[:longest]}…"


def _is_plain(word: str, longest: int) -> bool:
    return all(len(part) <= longest or _UUID.fullmatch(part) or _is_name(part, longest) for part in _PART.split(word))


def _is_name(part: str, longest: int) -> bool:
    return _NAME.fullmatch(part) is not None and all(len(piece) <= longest for piece in _JOINT.split(part))
