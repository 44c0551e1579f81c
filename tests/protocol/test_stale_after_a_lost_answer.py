"""A commit whose answer was lost, while the store's reads lag behind: what was committed is revoked by nobody."""

from dataclasses import replace

import pytest

from provisioner.domain.mark import Owner
from provisioner.domain.model import Destination, Record, Reservation, Stored
from provisioner.ports.store import Store
from tests.fakes.faults import Fault
from tests.rig import provisioned
from tests.unit.engine.test_any_replica import WISH, Replica


class Lagging:
    """A store whose next reads after its first write show what was there before it."""

    def __init__(self, inner: Store, reads: int) -> None:
        self._inner, self._left = inner, reads
        self._before: Stored | None = None
        self.name = inner.name
        self.preflight, self.confirm, self.check, self.close = (
            inner.preflight,
            inner.confirm,
            inner.check,
            inner.close,
        )

    def read(self, destination: Destination, owner: Owner) -> Stored:
        """Lag behind so often."""
        there = self._inner.read(destination, owner)
        if self._before is None or self._left == 0:
            return there
        self._left -= 1
        return self._before

    def write(self, destination: Destination, owner: Owner, content: Record | Reservation, expected: str) -> str:
        """Write, and lag from now on."""
        self._before = self._before or self._inner.read(destination, owner)
        return self._inner.write(destination, owner, content, expected)


@pytest.mark.parametrize("staged", [False, True])
@pytest.mark.parametrize("fault", [Fault.AFTER, Fault.LATE, Fault.SLOW])
@pytest.mark.parametrize("reads", [1, 2, 3, 5, 8, 13, 21])
@pytest.mark.parametrize("compromised", [False, True])
def test_what_was_committed_is_not_taken_for_overtaken(
    fault: Fault, reads: int, *, compromised: bool, staged: bool
) -> None:
    """A wish that reads the past may fail, or make tokens in vain; the stored one lives, and in the end it alone."""
    rig = provisioned(replicas=2, staged=staged)
    sound = rig.worlds[0]
    rig.worlds[0] = replace(sound, stores={"vault": Lagging(sound.stores["vault"], reads)})
    rig.store.faults.add("write", fault)
    result = Replica(rig).rotate(replace(WISH, compromised=compromised))
    assert "AssertionError" not in (result.error or "")
    rig.worlds[0] = sound
    rig.invariants.check()
    rig.settle()
