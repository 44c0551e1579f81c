"""Chance as the engine sees it."""

from typing import Protocol


class Entropy(Protocol):
    """Makes what must be unforeseen; tests make it foreseeable."""

    def rotation_id(self) -> str:
        """Give a fresh UUID, lower case with hyphens."""

    def jitter(self) -> float:
        """Give a number in [0, 1)."""
