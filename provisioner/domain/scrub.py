"""Takes what may be a secret out of other people's texts, at the boundary where they enter."""

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
_CONTROLS: Final = re.compile(r"[\x00-\x1f\x7f]+")
REDACTED: Final = "[redacted]"


def scrub(text: str, *, longest: int = 300, known: tuple[str, ...] = ()) -> str:
    """Give ``text`` on one line, cut to ``longest`` characters, without anything that looks like a secret.

    ``known`` are strings that must not appear, whatever they look like. UUIDs and paths stay readable.
    """
    text = _COLOURS.sub("", text)  # first: a colour code in or before a secret would hide it
    for secret in known:
        if secret:
            text = text.replace(secret, REDACTED)
    text = _SECRETS.sub(REDACTED, text)
    text = _CONTROLS.sub(" ", text).strip()
    return text if len(text) <= longest else f"{text[:longest]}…"
