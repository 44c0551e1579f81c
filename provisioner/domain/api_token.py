"""What can be a bearer token of the API: text that goes into a header as it stands (RFC 6750)."""

import re
from typing import Final

LONGEST_API_TOKEN: Final = 4096
_VISIBLE: Final = re.compile(r"[\x21-\x7e]+")


def flaw_of_api_token(text: str) -> str | None:
    """Say why a text cannot be one, in words that repeat nothing of it; None when it can."""
    if len(text) > LONGEST_API_TOKEN:
        return f"has more than {LONGEST_API_TOKEN} characters, which no API token has: is it the right file?"
    if not _VISIBLE.fullmatch(text):
        return "has to be one word of visible ASCII characters: other ones cannot be sent in a header"
    return None
