"""Snapshots for Hypothesis: every state of every part, combined at will, with times that crowd around boundaries."""

from datetime import datetime, timedelta
from typing import Final

from hypothesis import strategies as st

from provisioner.domain.mark import Owner
from provisioner.domain.memory import EndedAttempt, Fence, Memory, Trial, TrialResult
from provisioner.domain.model import (
    Absent,
    Content,
    Destination,
    IssuedToken,
    Listing,
    ManagedToken,
    Record,
    Reservation,
    Stored,
    Unreadable,
)
from provisioner.domain.snapshot import Snapshot
from provisioner.domain.steps import GATHER_KEY, MINT_KEY, TRY_KEY
from tests.unit.domain.builders import (
    DAY,
    FORMER_ISSUER,
    HOUR,
    INSTANCE,
    INSTANT,
    ISSUER,
    MINUTE,
    NAME,
    NOW,
    OWNER,
    PRIMARY,
    SECOND_PLACE,
    Openings,
    a_backoff,
    a_damaged_record,
    a_destination,
    a_foreign_secret,
    a_record,
    a_token,
    a_trigger,
    an_issued,
    rotation_of,
    unreadable,
)

IDS: Final = ("a", "b", "c", "d", "e")
ISSUERS: Final = (ISSUER, FORMER_ISSUER)
OWNERS: Final = (OWNER, OWNER, OWNER, OWNER, None, Owner(INSTANCE, "other"), Owner("prod-us", NAME))
REVISIONS: Final = ("0", "7", "8")
MINTS: Final = frozenset({MINT_KEY, f"{MINT_KEY}:request-1"})
BACKOFF_KEYS: Final = (
    GATHER_KEY,
    TRY_KEY,
    MINT_KEY,
    f"{MINT_KEY}:request-1",
    f"copy:{PRIMARY}",
    f"copy:{SECOND_PLACE}",
    *(f"revoke:{token_id}" for token_id in IDS),
)

CREATED: Final = tuple(NOW - age for age in (INSTANT, MINUTE, HOUR - INSTANT, HOUR, 3 * HOUR, DAY, DAY, 19 * DAY))

ids = st.sampled_from(IDS)
steps_of_time = st.sampled_from(
    [timedelta(0), INSTANT, MINUTE, 5 * MINUTE, 15 * MINUTE, HOUR, 2 * HOUR, 10 * DAY, 20 * DAY, 30 * DAY]
)


@st.composite
def moments(draw: st.DrawFn) -> datetime:
    """Draw a moment some round time before or after now, often an instant off."""
    offset = draw(steps_of_time) * draw(st.sampled_from([-1, -1, -1, 1]))
    return NOW + offset + draw(st.sampled_from([timedelta(0), timedelta(0), INSTANT, -INSTANT]))


def seldom() -> st.SearchStrategy[bool]:
    """Draw True once in a dozen times."""
    return st.sampled_from([False] * 11 + [True])


@st.composite
def issued_tokens(draw: st.DrawFn, issuer: str, token_id: str) -> IssuedToken:
    """Draw a token as its issuer lists it: ours or not, live or dead, its times known or not."""
    return an_issued(
        token_id,
        issuer=issuer,
        owner=draw(st.sampled_from(OWNERS)),
        created_at=draw(st.sampled_from([None, *CREATED])),
        expires_at=draw(st.sampled_from([None, NOW - DAY, NOW, NOW + INSTANT, *[NOW + 29 * DAY] * 8])),
        revoked_at=draw(st.sampled_from([*[None] * 6, NOW - DAY, NOW])),
    )


@st.composite
def listings(draw: st.DrawFn, issuer: str, record: Record | None) -> Listing | Unreadable:
    """Draw what one issuer lists, the stored token most of the time, or that it gave no answer."""
    if draw(seldom()):
        return unreadable()
    listed = draw(st.sets(ids, max_size=len(IDS)))
    if record is not None and record.issuer == issuer and not draw(seldom()):
        listed |= {record.token_id}
    return Listing(
        tokens=tuple(draw(issued_tokens(issuer, token_id)) for token_id in sorted(listed)),
        keeps_expired=draw(st.booleans()),
        proves_by_use=draw(st.booleans()),
    )


@st.composite
def records(draw: st.DrawFn) -> Record:
    """Draw a whole record of one of a few tokens, alive most of the time."""
    issued_at = draw(st.sampled_from(CREATED))
    return a_record(
        draw(ids),
        issued_at=issued_at,
        expires_at=draw(st.sampled_from([NOW - DAY, NOW, *[NOW + 29 * DAY] * 6])),
        stored_at=issued_at + draw(steps_of_time),
        issuer=draw(st.sampled_from([*[ISSUER] * 8, FORMER_ISSUER, "unknown"])),
        request_id=draw(st.sampled_from([None, "request-0", "request-1"])),
        past_requests=draw(st.sampled_from([(), ("request-1",)])),
        compromised=draw(st.booleans()),
    )


def contents() -> st.SearchStrategy[Content]:
    """Draw what a destination may hold; a record most of the time."""
    others: list[Content] = [Absent(), Reservation(), a_damaged_record(), a_foreign_secret()]
    return st.one_of(records(), st.sampled_from(others))


@st.composite
def places(draw: st.DrawFn, destination: Destination, like: Record | None = None) -> Stored | Unreadable:
    """Draw one destination as it was read, or not; a copy often holds what the primary does."""
    if draw(seldom()):
        return unreadable()
    content = draw(contents()) if like is None or draw(st.sampled_from([True, False, False])) else like
    return Stored(
        destination=destination,
        revision=draw(st.sampled_from(REVISIONS)),
        content=content,
        written_at=draw(st.sampled_from([None, *CREATED])),
        faithful=draw(st.sampled_from([True, True, True, False])),
    )


@st.composite
def memories(draw: st.DrawFn, primary: Stored | Unreadable) -> Memory:
    """Draw what a process remembers: trials of what is stored or of something else, ended attempts, a fence."""
    record = primary.record if isinstance(primary, Stored) else None
    trial = None
    if record is not None and draw(st.booleans()):
        refused = draw(moments())
        trial = Trial(
            token_id=draw(st.just(record.token_id) | ids),
            revision=draw(st.sampled_from(REVISIONS)),
            result=draw(st.sampled_from(TrialResult)),
            tried_at=max(refused, draw(moments())),
            refused_since=draw(st.sampled_from([None, refused])),
        )
    ended = tuple(
        EndedAttempt(
            rotation_id=rotation_of(token_id),
            issuer=draw(st.sampled_from([ISSUER, FORMER_ISSUER])),
            ended_at=draw(moments()),
            may_land=draw(st.booleans()),
        )
        for token_id in draw(st.lists(ids | st.just("unseen"), unique=True, max_size=3))
    )
    fenced = frozenset(map(rotation_of, draw(st.lists(ids, unique=True))))
    wrote = record.rotation_id if record is not None and draw(st.booleans()) else None
    revision = draw(st.sampled_from(REVISIONS))
    fence = draw(st.sampled_from([None, Fence(revision=revision, rotation_ids=fenced, rotation_id=wrote)]))
    failed = draw(st.sets(st.sampled_from(BACKOFF_KEYS), max_size=4)) | draw(st.sampled_from([frozenset(), MINTS]))
    waits = {key: a_backoff(NOW + draw(st.sampled_from([-MINUTE, MINUTE, MINUTE]))) for key in sorted(failed)}
    return Memory(trial=trial, ended=ended, fence=fence, backoffs=waits)


@st.composite
def tokens(draw: st.DrawFn) -> ManagedToken:
    """Draw a configured token with one to three destinations."""
    count = draw(st.integers(min_value=1, max_value=3))
    chosen = [
        a_destination(place.store, place.path, adopt=draw(st.sampled_from([False, False, True])))
        for place in (PRIMARY, SECOND_PLACE, a_destination("vault", "copies/telegraf-admin"))[:count]
    ]
    windows = st.none() | st.tuples(moments(), st.just(HOUR)).map(
        lambda span: Openings(((span[0], span[0] + span[1]),))
    )
    return a_token(
        issuer=draw(st.sampled_from([*[ISSUER] * 10, FORMER_ISSUER, "elsewhere"])),
        rotate_at=draw(st.sampled_from([0.01, 0.66, 0.99])),
        rotate_before=draw(st.sampled_from([None, None, HOUR, 10 * DAY, 60 * DAY])),
        window=draw(windows),
        drift_interval=draw(st.sampled_from([15 * MINUTE, 15 * MINUTE, DAY])),
        destinations=tuple(chosen),
    )


@st.composite
def snapshots(draw: st.DrawFn) -> Snapshot:
    """Draw a whole snapshot: any state of either truth, any memory, and perhaps a person's wish."""
    token = draw(tokens())
    primary = draw(places(token.primary, draw(records()) if draw(st.sampled_from([True, True, False])) else None))
    record = primary.record if isinstance(primary, Stored) else None
    return Snapshot(
        token=token,
        primary=primary,
        copies=tuple(draw(places(destination, record)) for destination in token.destinations[1:]),
        listings={issuer: draw(listings(issuer, record)) for issuer in ISSUERS},
        trigger=draw(st.sampled_from([None, None, None, a_trigger(), a_trigger(compromised=True)])),
        memory=draw(memories(primary)),
    )
