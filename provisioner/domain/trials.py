"""What the last use of the stored token says, and for how long."""

from datetime import datetime, timedelta
from typing import Final, assert_never

from provisioner.domain.memory import Trial, TrialResult
from provisioner.domain.model import Listing, Record, Stored
from provisioner.domain.snapshot import Snapshot
from provisioner.domain.steps import TRY_KEY

LONGEST_WORD: Final = timedelta(minutes=15)
"""For how long at most a token that no list shows is taken to work: its predecessors must not end for an older word."""


def next_trial(snapshot: Snapshot, trial: Trial) -> datetime | None:
    """Say when the last trial's word ends to count; None when it is the last word."""
    token = snapshot.token
    match trial.result:
        case TrialResult.NO_ANSWER:
            return trial.tried_at
        case TrialResult.WORKS:
            # a token that its list does not show lives by its trials alone, and one that was turned away may be dead
            is_settled = snapshot.current is not None and not passed_over_by(snapshot)
            return None if is_settled else trial.tried_at + min(token.drift_interval, LONGEST_WORD)
        case TrialResult.REFUSED if snapshot.current is None:
            return None
        case TrialResult.REFUSED:
            certain = (trial.refused_since or trial.tried_at) + token.verify_timeout
            return None if trial.tried_at >= certain else certain
        case _:
            assert_never(trial.result)


def _trial(snapshot: Snapshot) -> Trial | None:
    return snapshot.memory.trial_of(snapshot.primary) if isinstance(snapshot.primary, Stored) else None


def still_has_to_work(snapshot: Snapshot) -> bool:
    """Tell whether the stored token is one to be tried, and has given no answer yet."""
    trial, record = _trial(snapshot), snapshot.record
    if record is None or (trial is not None and trial.result is not TrialResult.NO_ANSWER):
        return False
    listing = snapshot.listings.get(record.issuer)
    is_listed = snapshot.current is not None and isinstance(listing, Listing)
    return not is_listed or proves_by_use(snapshot, record)


def proves_by_use(snapshot: Snapshot, record: Record) -> bool:
    """Tell whether only using the stored token tells that it works, though it be listed as live.

    So it is where its issuer can, and where an issuer that is called with it was called with another credential: a
    list knows nothing of a string that somebody has edited.
    """
    listing = snapshot.listings.get(record.issuer)
    return (isinstance(listing, Listing) and listing.proves_by_use) or bool(passed_over_by(snapshot))


def passed_over_by(snapshot: Snapshot) -> tuple[str, ...]:
    """Name the issuers that gave their list to another credential, although they are to be called with the stored one.

    Either they turned it away, or it was not stored yet when they were asked.
    """
    record, asked = snapshot.record, snapshot.listings
    if record is None:
        return ()
    return tuple(
        name
        for name in snapshot.token.credential_of
        if isinstance(listing := asked.get(name), Listing) and listing.credential != record.rotation_id
    )


def may_be_edited(snapshot: Snapshot) -> bool:
    """Tell whether the stored credential was turned away, and has not been seen to work since it is stored."""
    trial = _trial(snapshot)
    return bool(passed_over_by(snapshot)) and (trial is None or trial.result is not TrialResult.WORKS)


def is_refused(snapshot: Snapshot) -> bool:
    """Tell whether the stored token was refused when there last was an answer."""
    trial = _trial(snapshot)
    return trial is not None and trial.refused_since is not None


def refusal_is_certain_at(snapshot: Snapshot) -> datetime | None:
    """Give when a stored token that was refused is to be tried for the last time; None when no such try is to come."""
    trial = _trial(snapshot)
    if trial is None or trial.refused_since is None:
        return None
    if trial.result is TrialResult.REFUSED:
        return next_trial(snapshot, trial)
    waiting = snapshot.memory.backoffs.get(TRY_KEY)
    again = waiting.retry_at if waiting is not None else trial.tried_at
    return max(again, trial.refused_since + snapshot.token.verify_timeout) if snapshot.current else again


def is_refused_for_good(snapshot: Snapshot) -> bool:
    """Tell whether the stored token was refused when used, and for so long that nothing better is to be expected."""
    return is_refused(snapshot) and refusal_is_certain_at(snapshot) is None
