"""How Secrets Manager keeps a bare token: as the whole value, with our fields in the secret's tags."""

import json
from collections.abc import Mapping
from typing import Any, Final

from provisioner.domain.mark import Owner
from provisioner.domain.model import Content, Destination, Foreign, Format, Record, Reservation
from provisioner.domain.raw import read_raw
from provisioner.domain.record import read_document, to_document
from provisioner.domain.slots import slot_of
from provisioner.stores.aws_wire import Version

LONGEST_VALUE: Final = 256
"""Characters that a tag's value may have."""


def to_text(content: Record | Reservation, owner: Owner, destination: Destination) -> str:
    """Give the value to write, token revealed, in the destination's format; for a wire only."""
    if destination.format is Format.RAW and isinstance(content, Record):
        return content.token.reveal()
    return json.dumps(to_document(content, owner, destination))


def slot_for(content: Record | Reservation, destination: Destination) -> dict[str, str]:
    """Give the tags that go with it; none beside a JSON object."""
    if destination.format is Format.RAW and isinstance(content, Record):
        return slot_of(content, destination, longest=LONGEST_VALUE)
    return {}


def read_text(
    version: Version, tags: Mapping[str, str], owner: Owner, destination: Destination
) -> tuple[Content, bool]:
    """Read a value in either format; what is neither was not written by us."""
    is_raw = destination.format is Format.RAW
    if version.text is None:
        return Foreign(why="its value is binary"), True
    document = document_in(version.text)
    if document is not None:
        content, faithful = read_document(document, owner, destination)
        return content, faithful and not (is_raw and isinstance(content, Record))
    if not version.text:
        return Foreign(why="its value is empty"), True
    content, faithful = read_raw(version.text, tags, owner, destination)
    if isinstance(content, Foreign) and not is_raw:
        return Foreign(why="its value is not a JSON object"), True
    return content, faithful and is_raw


def document_in(text: str) -> dict[str, Any] | None:
    """Give the JSON object that a value is, None for any other value."""
    try:
        document = json.loads(text)
    except (ValueError, RecursionError):
        return None
    return document if isinstance(document, dict) else None
