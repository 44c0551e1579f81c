"""What the last use of the stored token says, and for how long."""

from datetime import datetime
from typing import assert_never

from provisioner.domain.memory import Trial, TrialResult
from provisioner.domain.model import Stored
from provisioner.domain.snapshot import Snapshot


def next_trial(snapshot: Snapshot, trial: Trial) -> datetime | None:
    """Say when the last trial's word ends to count; None when it is the last word."""
    token = snapshot.token
    match trial.result:
        case TrialResult.NO_ANSWER:
            return trial.tried_at
        case TrialResult.WORKS:
            # a token that its list does not show lives by its trials alone
            return None if snapshot.current else trial.tried_at + token.drift_interval
        case TrialResult.REFUSED if snapshot.current is None:
            return None
        case TrialResult.REFUSED:
            certain = (trial.refused_since or trial.tried_at) + token.verify_timeout
            return None if trial.tried_at >= certain else certain
        case _:
            assert_never(trial.result)


def is_refused(snapshot: Snapshot) -> bool:
    """Tell whether the stored token was refused when it was last used."""
    trial = snapshot.memory.trial_of(snapshot.primary) if isinstance(snapshot.primary, Stored) else None
    return trial is not None and trial.result is TrialResult.REFUSED


def refusal_is_certain_at(snapshot: Snapshot) -> datetime | None:
    """Give when a stored token that was refused is to be tried for the last time; None when no such try is to come."""
    trial = snapshot.memory.trial_of(snapshot.primary) if isinstance(snapshot.primary, Stored) else None
    return next_trial(snapshot, trial) if trial is not None and trial.result is TrialResult.REFUSED else None


def is_refused_for_good(snapshot: Snapshot) -> bool:
    """Tell whether the stored token was refused when used, and for so long that nothing better is to be expected."""
    return is_refused(snapshot) and refusal_is_certain_at(snapshot) is None
