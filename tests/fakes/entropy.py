"""Chance that can be foreseen."""

from itertools import count


class FakeEntropy:
    """The Entropy port: rotation ids that count up, and no jitter."""

    def __init__(self, start: int = 1) -> None:
        self._numbers = count(start)

    def rotation_id(self) -> str:
        """Give the next UUID."""
        return f"00000000-0000-4000-8000-{next(self._numbers):012d}"

    def jitter(self) -> float:
        """Give zero."""
        return 0.0
