"""Text that every store takes as a tag or as metadata: ``@2F`` stands for what has no place there."""

import re
from typing import Final

_PLAIN: Final = frozenset(b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789_.:-")
_ESCAPED: Final = re.compile(r"@([0-9A-F]{2})")


def escaped(text: str) -> str:
    """Spell any text in letters, digits and ``_.:-@``."""
    spelled_bytes = text.encode(errors="surrogatepass")
    return "".join(chr(byte) if byte in _PLAIN else f"@{byte:02X}" for byte in spelled_bytes)


def unescaped(text: str) -> str:
    """Give the text that was spelled so; nothing where it was not."""
    plain = _ESCAPED.sub(lambda found: chr(int(found[1], 16)), text)
    try:
        return plain.encode("latin-1").decode(errors="surrogatepass")
    except ValueError:
        return ""
