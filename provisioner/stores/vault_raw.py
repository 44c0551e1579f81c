"""How KV version 2 keeps a bare token: one key of the data, and our fields in the secret's custom metadata.

Of a path's data and custom metadata one answer tells; custom metadata is merged key by key with ``PATCH`` and moves no
version (``tests/integration/test_vault_raw.py``, on a real OpenBao).
"""

from collections.abc import Mapping
from typing import Any, Final

from provisioner.domain.mark import Owner
from provisioner.domain.model import Content, Destination, Foreign, Format, Record, Reservation
from provisioner.domain.raw import belongs_to_a_slot, read_raw
from provisioner.domain.record import read_document, to_document

LONGEST_VALUE: Final = 512
"""Bytes that a value of custom metadata may have."""


def to_data(content: Record | Reservation, owner: Owner, destination: Destination) -> dict[str, object]:
    """Give the data to write, token revealed, in the destination's format; for a wire only."""
    if destination.format is Format.RAW and isinstance(content, Record):
        return {token_key(destination): content.token.reveal()}
    return to_document(content, owner, destination)


def read_data(
    data: Mapping[str, object] | None, custom: Mapping[str, str], owner: Owner, destination: Destination
) -> tuple[Content, bool, str | None]:
    """Read data in either format: its content, whether all is just as we would write it, and the bare token, if any."""
    as_json, faithful = read_document(data, owner, destination)
    is_raw = destination.format is Format.RAW
    token = None if data is None or not isinstance(as_json, Foreign) else _bare(data, custom, destination)
    if data is None or token is None:
        return as_json, faithful and not (is_raw and isinstance(as_json, Record)), None
    content, faithful = read_raw(token, custom, owner, destination)
    if isinstance(content, Foreign) and not is_raw:
        return as_json, True, None
    return content, faithful and is_raw and dict(data) == {token_key(destination): token}, token


def _bare(data: Mapping[str, object], custom: Mapping[str, str], destination: Destination) -> str | None:
    """Give the text that is a bare token, if one is: ours by its slot, or the only one and under the right key."""
    if "owner" in data:  # it says itself whose it is
        return None
    texts = [value for value in data.values() if isinstance(value, str) and value]
    ours = next((text for text in texts if belongs_to_a_slot(text, custom)), None)
    alone = texts[0] if len(data) == len(texts) == 1 and token_key(destination) in data else None
    return ours or alone


def token_key(destination: Destination) -> str:
    """Give the key that consumers read the token by."""
    return destination.fields.get("token", "token")


def custom_metadata(metadata: Mapping[str, Any]) -> dict[str, str]:
    """Give what is text of the custom metadata in an answer."""
    custom = metadata.get("custom_metadata")
    return {key: value for key, value in custom.items() if isinstance(value, str)} if isinstance(custom, dict) else {}
