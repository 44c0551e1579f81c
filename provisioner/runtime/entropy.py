"""Chance from the operating system: the only module that draws random numbers."""

import secrets
from uuid import uuid4


class SystemEntropy:
    """The Entropy port over the operating system's generator."""

    def rotation_id(self) -> str:
        """Give a fresh UUID, version 4."""
        return str(uuid4())

    def jitter(self) -> float:
        """Give a number in [0, 1)."""
        return secrets.randbelow(1 << 53) / (1 << 53)
