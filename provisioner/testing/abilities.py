"""What a bench may be unable to do: then a promise is not tested, and the report says for want of what."""

from typing import TypeVar

import pytest

T = TypeVar("T")


def needed(ability: T | None, name: str) -> T:
    """Give an ability of the bench, or skip the test that needs it."""
    if ability is None:
        pytest.skip(f"the bench has no {name}: give it one, and this promise is tested too")
    return ability
