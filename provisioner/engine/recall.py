"""What one process remembers of every name, and whose turn it is to act: at most one action per name at a time."""

from collections.abc import Iterator
from contextlib import contextmanager
from threading import Lock

from provisioner.domain.memory import Memory


class Recall:
    """Memories and turns by name. Outlives a reload of the configuration; a restart may lose it safely."""

    def __init__(self) -> None:
        self._lock = Lock()
        self._memories: dict[str, Memory] = {}
        self._turns: dict[str, Lock] = {}

    def memory(self, name: str) -> Memory:
        """Give what is remembered of a name."""
        with self._lock:
            return self._memories.get(name, Memory())

    def remember(self, name: str, memory: Memory) -> None:
        """Replace what is remembered of a name; only whoever has its turn may."""
        with self._lock:
            self._memories[name] = memory

    def is_acting(self, name: str) -> bool:
        """Tell whether somebody has the name's turn now."""
        return self._turn(name).locked()

    @contextmanager
    def turn(self, name: str) -> Iterator[None]:
        """Wait for the name's turn and hold it."""
        with self._turn(name):
            yield

    def _turn(self, name: str) -> Lock:
        with self._lock:
            return self._turns.setdefault(name, Lock())
