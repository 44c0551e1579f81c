"""The mark on every token we create: how ours are told from everybody else's."""

import re
from dataclasses import dataclass
from typing import Final, Self
from uuid import UUID

NAME_PATTERN: Final = r"[a-z0-9](?:[a-z0-9-]{0,61}[a-z0-9])?"
"""A DNS label (RFC 1123): what a token's name must be."""
INSTANCE_PATTERN: Final = r"[a-z0-9](?:[a-z0-9.-]{0,61}[a-z0-9])?"
"""An instance: as a DNS label, dots allowed."""

_MARK: Final = re.compile(
    rf"\[provisioner/(?P<instance>{INSTANCE_PATTERN})/(?P<name>{NAME_PATTERN}) (?P<rotation_id>[0-9a-f-]{{36}})\]"
)
MARK_OPENING: Final = "[provisioner/"

OWNER_TAG: Final = "token-provisioner-owner"
"""On secrets that we create in stores that know tags: says whose one is while its value cannot be read."""


@dataclass(frozen=True, slots=True, order=True)
class Owner:
    """Who a token or secret belongs to: one managed name of one instance of this software."""

    instance: str
    name: str

    def __str__(self) -> str:
        """Give the text stored in a record's ``owner`` field."""
        return f"provisioner/{self.instance}/{self.name}"


@dataclass(frozen=True, slots=True)
class Mark:
    """An owner and the rotation that made this very token; written ``[provisioner/I/N ROTATION_ID]``."""

    owner: Owner
    rotation_id: str

    def __str__(self) -> str:
        """Give the text that goes into a token's description or name."""
        return f"[{self.owner} {self.rotation_id}]"

    def described(self, description: str) -> str:
        """Append the mark to what an operator wants to read in the token's description."""
        return f"{description} {self}" if description else str(self)

    @classmethod
    def found_in(cls, text: str | None) -> Self | None:
        """Read the mark that ``text`` ends with, or None.

        A text with two marks, or with words after the mark, was not written by us: it counts as
        foreign, because a foreign token is never touched while one of ours can always be adopted later.
        """
        text = (text or "").strip()
        if text.count(MARK_OPENING) != 1:
            return None
        match = _MARK.search(text)
        if match is None or match.end() != len(text):
            return None
        try:
            rotation_id = str(UUID(match["rotation_id"]))
        except ValueError:
            return None
        return cls(Owner(match["instance"], match["name"]), rotation_id) if rotation_id in match.group() else None
