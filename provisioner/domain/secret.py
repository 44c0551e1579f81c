"""A text that masks itself, so that a token cannot be printed, logged or pickled by accident."""

import hmac
from typing import Final, NoReturn

MASK: Final = "**********"


class SecretText:
    """A secret string whose every textual form is a mask; ``reveal()`` is the one way out.

    Equality is compared in constant time. It is unhashable and cannot be pickled or copied into a
    mapping key, so it does not end in caches or dumps.
    """

    __slots__ = ("_value",)
    __hash__ = None  # type: ignore[assignment]  # a secret must not become a key

    def __init__(self, value: str) -> None:
        """Wrap ``value``; an empty text is refused, since an empty credential is always a mistake."""
        if not value:
            raise ValueError("a secret must not be empty")
        self._value = value

    def reveal(self) -> str:
        """Give the text itself: only where its bytes leave for a wire."""
        return self._value

    def __eq__(self, other: object) -> bool:
        """Compare in constant time with another SecretText; any other type is never equal."""
        if not isinstance(other, SecretText):
            return NotImplemented
        ours, theirs = (text.reveal().encode(errors="surrogatepass") for text in (self, other))
        return hmac.compare_digest(ours, theirs)

    def __repr__(self) -> str:
        """Show the mask."""
        return f"SecretText('{MASK}')"

    def __str__(self) -> str:
        """Show the mask."""
        return MASK

    def __format__(self, format_spec: str) -> str:
        """Show the mask, whatever format is asked for."""
        return MASK

    def __reduce__(self) -> NoReturn:
        """Refuse to be pickled or copied by pickling."""
        raise TypeError("a secret cannot be pickled")
