"""A list around the default current token, and the one plan of a snapshot: what the tests of retirement share."""

from datetime import datetime

from provisioner.domain.model import IssuedToken, Listing
from provisioner.domain.retirement import Retirement, retirements
from provisioner.domain.snapshot import Snapshot
from tests.unit.domain.builders import NOW, a_listing, an_issued


def listed(*others: IssuedToken, proves_by_use: bool = False, keeps_expired: bool = False) -> Listing:
    """Give a list that holds the current token and the others."""
    return a_listing(an_issued(), *others, proves_by_use=proves_by_use, keeps_expired=keeps_expired)


def plan_of(snapshot: Snapshot, now: datetime = NOW) -> Retirement:
    """Give the one plan that there is."""
    plans = retirements(snapshot, now)
    assert len(plans) == 1, plans
    return plans[0]
