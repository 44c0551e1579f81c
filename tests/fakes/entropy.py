"""Chance that can be foreseen."""


class FakeEntropy:
    """The Entropy port: rotation ids that count up, and a jitter that is always the same."""

    def __init__(self, start: int = 1, *, jitter: float = 0.0) -> None:
        self._next = start
        self.always = jitter

    def rotation_id(self) -> str:
        """Give the next UUID."""
        number, self._next = self._next, self._next + 1
        return f"00000000-0000-4000-8000-{number:012d}"

    def jitter(self) -> float:
        """Give what it was told to."""
        return self.always
