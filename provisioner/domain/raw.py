"""A bare token as a record: with the slot beside it that says of which rotation it is."""

from collections.abc import Mapping
from dataclasses import replace
from typing import Final

from provisioner.domain.mark import OWNER_TAG, Owner
from provisioner.domain.model import Content, Damaged, Destination, Foreign, Format, Record
from provisioner.domain.record import read_document
from provisioner.domain.slots import Slot, slots_in, spelled

NOTHING_BESIDE: Final = "nothing of ours beside its value belongs to it"


def read_raw(token: str, metadata: Mapping[str, str], owner: Owner, destination: Destination) -> tuple[Content, bool]:
    """Read a bare token with the tags or the metadata beside it: its content, and whether they are as we write them.

    A token that no slot belongs to is ours, and damaged, where the owner's tag says so: somebody has edited the string,
    or lost the slots. That tag is put after the first commit only, so that it never claims what others have written.
    """
    tag = metadata.get(OWNER_TAG)
    if tag is not None and tag != str(owner) and not destination.adopt:
        is_mark = tag.startswith("provisioner/")  # else it may be anything, a secret too
        return Foreign(why=f"its tag {OWNER_TAG} is {tag!r}" if is_mark else f"its tag {OWNER_TAG} is not ours"), True
    slots = [slot for slot in slots_in(metadata) if slot.belongs_to(token)]
    readings = [(_read(slot, token, tag, owner), slot) for slot in slots]
    for content, slot in readings:
        if isinstance(content, Record):
            return content, slot.text == spelled(content)
    if readings:
        return readings[0][0], False
    if tag != str(owner) or destination.format is not Format.RAW:
        return Foreign(why=NOTHING_BESIDE), True
    content, _ = read_document({"token": token, "owner": tag}, owner, _plain(destination))
    return content, False


def belongs_to_a_slot(token: str, metadata: Mapping[str, str]) -> bool:
    """Tell whether a text is a token that a slot belongs to."""
    return any(slot.belongs_to(token) for slot in slots_in(metadata))


def slot_keys_of(token: str, metadata: Mapping[str, str]) -> frozenset[str]:
    """Give the keys of the slots that belong to a token."""
    return frozenset(key for slot in slots_in(metadata) if slot.belongs_to(token) for key in slot.keys)


def _read(slot: Slot, token: str, tag: str | None, owner: Owner) -> Content:
    fields = ({} if tag is None else {"owner": tag}) | dict(slot.fields) | {"token": token}
    content, _ = read_document(fields, owner, Destination(store="", path=""))
    if isinstance(content, Damaged) and content.rotation_id is None:
        return replace(content, rotation_id=slot.rotation_id)  # its digest fits: this is the rotation of that token
    return content


def _plain(destination: Destination) -> Destination:
    return Destination(store=destination.store, path=destination.path)
