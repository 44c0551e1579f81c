"""The protocol with a rule of writing in stages left out, as AWS Secrets Manager is written.

Every function stands in the place of one of the product's. Its sentence is the rule that it leaves out.
"""

from collections.abc import Callable, Iterator
from typing import Any

from provisioner.domain.errors import ConflictError
from provisioner.domain.model import Destination, Record
from provisioner.stores.aws_states import described
from provisioner.stores.aws_wire import Landed
from provisioner.stores.aws_writing import Writing, Written
from tests.simulation import scenes
from tests.simulation.mutation import instead_of


def _now_current(writing: Writing, destination: Destination) -> str | None:
    """Look where AWSCURRENT is now, whatever was gathered."""
    description = described(writing._wire, destination)
    return None if description is None else description.current


@instead_of(Writing, "_promote", caught_by="I1", where=scenes.STAGED_HAND_AND_CHECK)
def promote_from_wherever_the_label_is(
    original: Callable[..., Landed], writing: Writing, destination: Destination, version_id: str, _base: str | None
) -> Landed:
    """AWSCURRENT is moved from the version that was gathered, and from no other."""
    return original(writing, destination, version_id, _now_current(writing, destination))


@instead_of(Writing, "_create", caught_by="I1 R4", where=scenes.STAGED_FIRST)
def write_over_what_came_first(
    original: Callable[..., Written], writing: Writing, destination: Destination, *given: Any
) -> Written:
    """Who creates a secret and finds one has come too late."""
    try:
        return original(writing, destination, *given)
    except ConflictError:
        content, text, _ = given
        base = _now_current(writing, destination)
        return writing._replace(destination, content, text, base, str(base))


@instead_of(Writing, "_version_ids", caught_by="I2", where=scenes.STAGED_ORPHAN)
def fence_with_the_version_of_the_rotation(
    original: Callable[..., Iterator[str]], writing: Writing, destination: Destination, content: Any, *given: Any
) -> Iterator[str]:
    """What is written again is a new version, so that the revision moves."""
    if isinstance(content, Record):
        yield content.rotation_id
    yield from original(writing, destination, content, *given)
