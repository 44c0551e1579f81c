"""Plays about issuers that are called with a token of ours, and about tokens whose permissions are changed in place."""

from collections.abc import Callable, Iterator
from typing import Final

from provisioner.domain.model import Permission, Trigger
from provisioner.ports.credential import Presented
from tests.builders import DAY, HOUR, PLACE, a_token
from tests.fakes.faults import Fault
from tests.rig import Rig, RigCredential, credentialed
from tests.simulation.mutation import Directed

BOTH: Final = ("cluster", "former")
COMPROMISED: Final = Trigger(request_id="leaked", compromised=True)
READ_METRICS: Final = Permission(action="read", resource="metrics")


class PausedAfterReading:
    """The rig's credential; something happens between its first being read and its being used."""

    def __init__(self, rig: Rig, do: Callable[[], object]) -> None:
        self._credential, self._do, self._is_done = RigCredential(rig), do, False

    def candidates(self) -> Iterator[Presented]:
        """See the port."""
        for presented in self._credential.candidates():
            if not self._is_done:
                self._is_done = True
                self._do()
            yield presented


def permitted() -> Rig:
    """Give a rig whose token may read one database, at an issuer that can change that in place."""
    token = a_token(permissions=frozenset({READ_METRICS}), drift_interval=6 * HOUR)
    rig = Rig(token)
    rig.issuer.has_permissions = rig.issuer.amends_permissions = True
    rig.reconcile()
    rig.clock.advance(DAY)
    return rig


def with_anothers_id(rig: Rig) -> None:
    """Let a person write the id of a colleague's token into the secret."""
    foreign, _ = rig.issuer.add("a colleague's", None)
    rig.invariants.expect_foreign(token_id=foreign.token_id)
    rig.invariants.excused.add(foreign.token_id)
    rig.invariants.requests_forgotten = True
    rig.store.put_by_hand(PLACE.path, dict(rig.store.document(PLACE.path) or {}) | {"token_id": foreign.token_id})


def _not_taken() -> None:
    rig = credentialed()
    rig.issuer.bars_new = True
    rig.reconcile(Trigger(request_id="now"))
    rig.issuer.bars_new = False
    rig.settle()


def _without_a_list() -> None:
    rig = credentialed(of=BOTH)
    rig.former.faults.always["list"] = Fault.BEFORE
    rig.reconcile(COMPROMISED)
    rig.settle()


def _begun() -> None:
    Rig(a_token(credential_of=("cluster",), drift_interval=6 * HOUR)).settle()


def _rotated_beside_the_initial_one() -> None:
    rig = credentialed(keeps_initial=True)
    rig.reconcile(Trigger(request_id="now"))
    rig.settle()


def _replaced_while_read() -> None:
    rig = credentialed(replicas=2)
    rig.issuer.credential = PausedAfterReading(rig, lambda: rig.reconcile(COMPROMISED, replica=1))
    outcome = rig.reconcile(replica=0)
    assert outcome.decision.fact == "nothing_is_due", "I8: the issuer was not called with the one that works"


def _another_is_down_to_the_end() -> None:
    rig = credentialed(of=BOTH)
    rig.former.faults.always |= {"accepts": Fault.BEFORE, "list": Fault.BEFORE}
    rig.clock.advance(29 * DAY - HOUR)
    rig.pass_time(2 * HOUR)
    rig.settle()


def _anothers_id_is_stored() -> None:
    rig = permitted()
    with_anothers_id(rig)
    rig.reconcile()


NOT_TAKEN: Final = Directed(name="the issuer does not take the new credential", play=_not_taken)
WITHOUT_A_LIST: Final = Directed(name="one of two issuers gives no list after a rotation", play=_without_a_list)
BEGUN: Final = Directed(name="an issuer is begun with", play=_begun)
BESIDE_INITIAL: Final = Directed(name="a rotation while the initial one is left", play=_rotated_beside_the_initial_one)
REPLACED_WHILE_READ: Final = Directed(name="replaced between being read and being used", play=_replaced_while_read)
ANOTHER_IS_DOWN: Final = Directed(name="another issuer is down to the end", play=_another_is_down_to_the_end)
ANOTHERS_ID: Final = Directed(name="another's id is stored", play=_anothers_id_is_stored)
