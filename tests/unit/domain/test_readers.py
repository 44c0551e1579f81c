"""What a store's reader has seen, and what waits for it: which destinations, and which tokens."""

from dataclasses import replace
from datetime import datetime

import pytest

from provisioner.domain.checks import destination_is_unconfirmed
from provisioner.domain.decide import decide
from provisioner.domain.memory import Backoff, Confirmation, Memory
from provisioner.domain.model import Stored, Unreadable
from provisioner.domain.readers import unconfirmed, unreadable
from provisioner.domain.retirement import retirements
from provisioner.domain.snapshot import Snapshot
from provisioner.domain.status import State, status_of
from provisioner.domain.steps import confirm_key
from tests.unit.domain.builders import (
    CURRENT,
    DAY,
    HOUR,
    ISSUED_AT,
    ISSUER,
    MINUTE,
    NOW,
    OVERLAP,
    PRIMARY,
    REVISION,
    SECOND_PLACE,
    a_backoff,
    a_damaged_record,
    a_listing,
    a_memory,
    a_record,
    a_snapshot,
    a_token,
    an_issued,
    nothing_stored,
    stored,
)
from tests.unit.domain.builders import (
    unreadable as an_unread_place,
)

READ_PRIMARY, READ_COPY = replace(PRIMARY, has_reader=True), replace(SECOND_PLACE, has_reader=True)
TOKEN = a_token(destinations=(READ_PRIMARY, READ_COPY))
OLDER = an_issued("older", created_at=ISSUED_AT - 10 * DAY)
COPY = stored(destination=SECOND_PLACE, revision="41")
BOTH = {
    str(PRIMARY): Confirmation(revision=REVISION),
    str(SECOND_PLACE): Confirmation(revision="41"),
}


def with_readers(
    *, copy: Stored | Unreadable = COPY, memory: Memory | None = None, compromised: bool = False
) -> Snapshot:
    """Give a rotated name whose two destinations have readers."""
    return a_snapshot(
        token=TOKEN,
        primary=stored(a_record(compromised=compromised)),
        copies=(replace(copy, content=a_record(compromised=compromised)) if copy is COPY else copy,),
        listings={ISSUER: a_listing(OLDER, an_issued())},
        memory=memory or a_memory(),
    )


def failed(error: str = "refused") -> dict[str, Backoff]:
    """Give a reader's failure at the copy."""
    return {confirm_key(SECOND_PLACE): a_backoff(error=error)}


def end_of_the_older(snapshot: Snapshot) -> tuple[datetime | None, str]:
    """Give when the token that was replaced ends, and why."""
    (plan,) = retirements(snapshot, NOW)
    return plan.revoke_at, plan.why


@pytest.mark.parametrize(
    ("confirmed", "left"),
    [
        ({}, [PRIMARY, SECOND_PLACE]),
        ({str(PRIMARY): Confirmation(revision=REVISION)}, [SECOND_PLACE]),
        (BOTH, []),
        (BOTH | {str(PRIMARY): Confirmation(revision="6")}, [PRIMARY]),
    ],
)
def test_what_is_to_be_confirmed(confirmed: dict[str, Confirmation], left: list[object]) -> None:
    """What was not seen by the reader at just this revision."""
    snapshot = with_readers(memory=replace(a_memory(), confirmed=confirmed))
    assert [replace(place, has_reader=False) for place, _ in unconfirmed(snapshot)] == left


@pytest.mark.parametrize(
    "copy",
    [
        nothing_stored(destination=SECOND_PLACE),
        an_unread_place(),
        stored(a_record("older"), destination=SECOND_PLACE),
        stored(a_damaged_record(), destination=SECOND_PLACE),
        stored(destination=SECOND_PLACE, defects=("expires_at",)),
    ],
)
def test_only_the_whole_current_record_is_confirmed(copy: Stored | Unreadable) -> None:
    """What is to be written first is not what consumers are to read."""
    assert [str(place) for place, _ in unconfirmed(with_readers(copy=copy))] == [str(PRIMARY)]


def test_the_older_token_waits_for_every_reader() -> None:
    """Held back until each has read the current one, and free then."""
    assert end_of_the_older(with_readers())[0] is None
    assert end_of_the_older(with_readers(memory=replace(a_memory(), confirmed=BOTH)))[0] is not None


def test_the_reason_is_the_readers_own() -> None:
    """What was refused and what to grant; before the first look, that there has been none."""
    confirmed = {str(PRIMARY): BOTH[str(PRIMARY)]}
    memory = replace(a_memory(), confirmed=confirmed)
    assert unreadable(with_readers(memory=memory)) == f"{SECOND_PLACE} has not been read as consumers read it yet"
    memory = replace(memory, backoffs=failed("consumers cannot read it"))
    assert end_of_the_older(with_readers(memory=memory)) == (
        None,
        "was replaced, and is kept: consumers cannot read it",
    )


def test_a_compromised_token_does_not_wait() -> None:
    """It is to be revoked since the new one was stored."""
    revoke_at, _ = end_of_the_older(with_readers(compromised=True))
    assert revoke_at is not None
    assert revoke_at < NOW


def test_the_overlap_begins_when_consumers_can_read() -> None:
    """Where it was seen before that they could not."""
    late = BOTH | {str(SECOND_PLACE): Confirmation(revision="41", since=NOW - MINUTE)}
    assert end_of_the_older(with_readers(memory=replace(a_memory(), confirmed=late)))[0] == NOW - MINUTE + OVERLAP


def test_a_dead_token_s_successor_gets_its_room() -> None:
    """The current token is dead and three others live: waiting for its readers would keep a new one from being made."""
    dead = an_issued(CURRENT, revoked_at=NOW - HOUR)
    others = [an_issued(f"older-{number}", created_at=ISSUED_AT - number * DAY) for number in (1, 2, 3)]
    snapshot = replace(with_readers(), listings={ISSUER: a_listing(dead, *others)})
    assert all(plan.revoke_at is not None for plan in retirements(snapshot, NOW))


def test_a_failed_look_waits_for_its_own_backoff() -> None:
    """It holds up no other destination, and says until when it waits."""
    finding = destination_is_unconfirmed(with_readers(memory=a_memory(backoffs=failed())), NOW)
    assert finding.step is not None
    memory = replace(a_memory(backoffs=failed()), confirmed={str(PRIMARY): BOTH[str(PRIMARY)]})
    finding = destination_is_unconfirmed(with_readers(memory=memory), NOW)
    assert (finding.step, finding.until, finding.message) == (None, NOW + MINUTE, "refused")


@pytest.mark.parametrize(
    ("memory", "readable", "state"),
    [
        (replace(a_memory(), confirmed=BOTH), [True, True], State.OK),
        (a_memory(), [None, None], State.OK),
        (a_memory(backoffs=failed()), [None, False], State.FAILING),
    ],
)
def test_status_tells_whether_consumers_can_read(memory: Memory, readable: list[bool | None], state: State) -> None:
    """For each destination; the name is failing once a reader was tried in vain."""
    snapshot = replace(with_readers(memory=memory), listings={ISSUER: a_listing(an_issued())})
    told = status_of(snapshot, decide(snapshot, NOW), NOW)
    assert [place.readable for place in told.destinations] == readable
    assert told.state is state
    assert ("refused" in told.reason) == (state is State.FAILING)
