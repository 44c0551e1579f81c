"""The protocol with a rule of credentials or permissions left out.

Every function stands in the place of one of the product's. Its sentence is the rule that it leaves out.
"""

from collections.abc import Callable, Iterator
from dataclasses import replace
from typing import Any

from provisioner.domain import checks, retirement
from provisioner.domain.model import Permission
from provisioner.domain.snapshot import Snapshot
from provisioner.engine import minting
from provisioner.engine.minting import Rotation
from provisioner.issuers.credential import ManagedCredential
from provisioner.ports.credential import Presented
from tests.simulation import scenes_credentials as scenes
from tests.simulation.mutation import instead_of


@instead_of(Rotation, "_doubt", caught_by="I8", where=scenes.NOT_TAKEN)
def commit_what_is_not_taken(original: Callable[..., object], rotation: Any, minted: object) -> object:
    """A new credential is stored only once its issuer takes it."""
    token = rotation._token
    rotation._token = replace(token, credential_of=())
    try:
        return original(rotation, minted)
    finally:
        rotation._token = token


@instead_of(retirement, "_unused", caught_by="R9", where=scenes.WITHOUT_A_LIST)
def revoke_before_use(_original: object, *_given: object) -> None:
    """The old credential is kept until every issuer was called with the new one."""


@instead_of(ManagedCredential, "candidates", caught_by="I2", where=scenes.BEGUN)
def never_try_the_initial_one(
    original: Callable[..., Iterator[Presented]], credential: ManagedCredential
) -> Iterator[Presented]:
    """As long as nothing is stored, the issuer is called with the initial credential."""
    return original(replace(credential, initial=None))


@instead_of(ManagedCredential, "candidates", caught_by="I2", where=scenes.BESIDE_INITIAL)
def prefer_the_initial_one(
    original: Callable[..., Iterator[Presented]], credential: ManagedCredential
) -> Iterator[Presented]:
    """The stored credential is tried before the initial one."""
    yield from sorted(original(credential), key=lambda presented: presented.rotation_id is not None)


@instead_of(ManagedCredential, "stored", caught_by="I8", where=scenes.REPLACED_WHILE_READ)
def never_read_again(
    original: Callable[..., Iterator[Presented]], credential: ManagedCredential
) -> Iterator[Presented]:
    """A credential that was refused is read again: another may have replaced it since."""
    for presented in original(credential):
        yield presented
        return


@instead_of(minting, "_is_pressing", caught_by="I1", where=scenes.ANOTHER_IS_DOWN)
def wait_for_others_to_the_end(_original: object, *_given: object) -> bool:
    """Near the stored token's end only the word of its own issuer counts."""
    return False


@instead_of(checks, "permission_change", caught_by="I3", where=scenes.ANOTHERS_ID)
def amend_whatever_is_stored(_original: object, snapshot: Snapshot, _now: object) -> str | None:
    """Only the permissions of a token that surely is ours are changed."""
    given: frozenset[Permission] | None = snapshot.current.permissions if snapshot.current is not None else None
    return "differs" if given is not None and given != snapshot.token.permissions else None
