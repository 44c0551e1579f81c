"""A clock that was years ahead, and is put right: nothing waits for the years."""

from datetime import timedelta

from tests.builders import MINUTE
from tests.rig import Rig


def test_a_backoff_counted_by_a_clock_that_was_ahead_forbids_nothing() -> None:
    """The store could not be written before the time was known; the name is provisioned soon after."""
    rig = Rig()
    rig.clocks[0].skew, rig.store.writable = timedelta(days=1400), False
    assert rig.reconcile().failures
    rig.clocks[0].skew, rig.store.writable = timedelta(0), True
    rig.pass_time(10 * MINUTE, step=MINUTE)
    assert rig.current_id is not None
