"""The states that a secret can be in, as a store names them."""

from typing import Final

from provisioner.domain.errors import StoreRefusedError
from provisioner.domain.mark import OWNER_TAG, Owner
from provisioner.domain.model import Content, Damaged, Destination, Record
from provisioner.stores.aws_errors import MissingError, RejectedError
from provisioner.stores.aws_wire import Description, Wire

NOTHING: Final = "nothing"
"""The revision where there is no secret. A version id has 32 characters at least, so these are none."""
EMPTY: Final = "empty"
"""The revision of a secret that has no value yet."""
DELETED: Final = "deleted"
"""What the revision of a deleted secret begins with."""


def described(wire: Wire, destination: Destination) -> Description | None:
    """Describe the secret, None when there is none."""
    try:
        return wire.describe(destination.path)
    except MissingError:
        return None
    except RejectedError as error:
        raise StoreRefusedError(str(error)) from error


def revision_of(description: Description | None) -> str:
    """Name a state in which there is nothing to read."""
    if description is None:
        return NOTHING
    if description.deleted_at is not None:
        return f"{DELETED} {description.deleted_at.isoformat()} {description.current or EMPTY}"
    return description.current or EMPTY


def may_restore(destination: Destination, owner: Owner, description: Description) -> bool:
    """Tell whether a deleted secret is ours, or is to be taken over."""
    return destination.adopt or description.tags.get(OWNER_TAG) == str(owner)


def rotation_of(content: Content) -> str | None:
    """Give the rotation whose token it holds, as far as that can be read."""
    return content.rotation_id if isinstance(content, Record | Damaged) else None
