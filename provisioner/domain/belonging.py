"""What belongs to a rotation that a person asked for, and is done by whoever was asked, beside the one that leads."""

from typing import assert_never

from provisioner.domain.snapshot import Snapshot
from provisioner.domain.steps import Amend, Confirm, Copy, Effect, Mint, Notify, Restart, Revoke, TryStored


def may_take(step: Effect, snapshot: Snapshot) -> bool:
    """Tell whether whoever looks at the snapshot takes the step where it holds; what it may not is left out."""
    return not snapshot.for_wish_alone or belongs_to_wish(step, snapshot)


def belongs_to_wish(step: Effect, snapshot: Snapshot) -> bool:
    """Tell whether a step has to be taken for the snapshot's trigger: by whoever was asked for it, leader or not.

    That is what makes room for the rotation, the rotation, and what follows the commit of it: copies, consumers, and,
    of a compromised name, the end of every older token. Whatever else is to be done for the name is the leader's.
    """
    trigger, record = snapshot.trigger, snapshot.record
    if trigger is None:
        return False
    is_pending = snapshot.pending_trigger is not None
    is_current = record is not None and record.request_id == trigger.request_id
    match step:
        case Mint():
            return step.trigger is not None
        case TryStored():
            return is_pending or is_current
        case Revoke(target=target):
            in_vain = target.mark is not None and snapshot.memory.ended_attempt(target.mark.rotation_id) is not None
            return is_pending or in_vain or (is_current and record is not None and record.compromised)
        case Copy() | Confirm() | Restart() | Notify():
            return is_current
        case Amend():
            return False
        case _:
            assert_never(step)
