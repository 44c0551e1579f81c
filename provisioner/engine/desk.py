"""Where people ask for rotations: each wish is carried out once, however often it is sent, and followed live."""

from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from datetime import datetime
from threading import Lock
from typing import Final
from uuid import UUID, uuid5

from provisioner.domain import events
from provisioner.domain.by_hand import ByHand, NotTakenError, Phase, Progress, RequestDiffersError, Wish
from provisioner.domain.errors import ProvisionerError
from provisioner.domain.model import Trigger
from provisioner.engine.service import RotationResult
from provisioner.ports.clock import Clock

MOST_KEPT: Final = 1000
"""So many rotations are remembered; of more, the oldest that have ended are forgotten."""
MOST_PHASES: Final = 100
_OURS: Final = UUID("5f0a7e64-2c0f-4a44-9a53-7c1e0b6a9d11")
_NEXT: Final = {
    events.RotationStarted: "create",
    events.TokenCreated: "prove",
    events.TokenProven: "commit",
    events.TokenStored: "read_back",
}
"""What begins with an event, as that ends what was before it."""
_BEGIN: Final = {"mint": "preflight"}
"""What a step begins with, where that is not named as the step."""
_RESTING: Final = frozenset({"rest", "refuse"})


class Desk:
    """Takes wishes, an Observer that sees what is done for their names. Thread-safe."""

    def __init__(
        self,
        clock: Clock,
        *,
        instance: str,
        concurrency: int,
        rotate: Callable[[str, Trigger], RotationResult],
        most_kept: int = MOST_KEPT,
    ) -> None:
        """Take who carries a wish out, by name; so many are under way at a time, and so many are remembered."""
        self._clock, self._instance, self._rotate, self._most_kept = clock, instance, rotate, most_kept
        self._lock, self._is_closed = Lock(), False
        self._kept: dict[str, ByHand] = {}
        self._pool = ThreadPoolExecutor(concurrency, thread_name_prefix="by hand")

    # --- what people ask ----------------------------------------------------------------------------

    def ask(self, names: Iterable[str], wish: Wish) -> tuple[ByHand, ...]:
        """Take a wish for each of the names, or none of it; the same wish is the same rotation.

        One that has failed is begun again. Raises RequestDiffersError when the request id stands for another wish,
        NotTakenError when we are leaving or have too much to do.
        """
        with self._lock:
            if self._is_closed:
                raise NotTakenError("this process is stopping: ask the next one")
            wanted = {self.id_of(name, wish.request_id): name for name in names}
            for each in filter(None, map(self._kept.get, wanted)):
                _check_same(each, wish)
            begun = [id_ for id_ in wanted if id_ not in self._kept or self._kept[id_].progress is Progress.FAILED]
            self._make_room(sum(1 for id_ in begun if id_ not in self._kept), keep=wanted)
            for id_ in begun:
                self._kept[id_] = self._begun(id_, wanted[id_], wish)
                self._pool.submit(self._carry_out, id_)
            return tuple(self._kept[id_] for id_ in wanted)

    def get(self, id_: str) -> ByHand | None:
        """Give one rotation as far as it is, None when nobody remembers it."""
        with self._lock:
            return self._kept.get(id_)

    def all(self) -> tuple[ByHand, ...]:
        """Give all rotations that are remembered, the last asked for first."""
        with self._lock:
            return tuple(reversed(self._kept.values()))

    def close(self) -> None:
        """Take nothing more, give up what has not begun, and wait for what has."""
        with self._lock:
            self._is_closed = True
        self._pool.shutdown(wait=True)

    # --- how ----------------------------------------------------------------------------------------

    def id_of(self, name: str, request_id: str) -> str:
        """Give the id of a rotation: the same in every process."""
        return str(uuid5(_OURS, f"{self._instance}/{name}/{request_id}"))

    def _begun(self, id_: str, name: str, wish: Wish) -> ByHand:
        before = self._kept.pop(id_, None)
        tries = 1 if before is None else before.tries + 1
        return ByHand(id=id_, name=name, wish=wish, asked_at=self._clock.now(), tries=tries)

    def _make_room(self, count: int, keep: Iterable[str]) -> None:
        ended = [id_ for id_, each in self._kept.items() if each.has_ended and id_ not in set(keep)]
        too_many = len(self._kept) + count - self._most_kept
        if too_many > len(ended):
            raise NotTakenError(f"{self._most_kept} rotations have been asked for and not ended: wait for them")
        for id_ in ended[: max(0, too_many)]:
            del self._kept[id_]

    def _carry_out(self, id_: str) -> None:
        with self._lock:
            asked = self._kept[id_]
            if self._is_closed:
                self._end(id_, error="this process is stopping: ask the next one")
                return
            self._kept[id_] = replace(asked, progress=Progress.RUNNING)
        wish = asked.wish
        trigger = Trigger(
            request_id=wish.request_id,
            reason=wish.reason,
            compromised=wish.compromised,
            by=wish.by,
            via=wish.via,
            at=asked.asked_at,
        )
        try:
            result = self._rotate(asked.name, trigger)
        except Exception as error:  # noqa: BLE001  # a bug must not leave somebody waiting for ever
            text = str(error) if isinstance(error, ProvisionerError) else f"unexpected {type(error).__name__}: a bug"
            with self._lock:
                self._end(id_, error=text)
            return
        with self._lock:
            self._end(id_, result, error=result.error if result.done else result.error or "it did not come to its end")

    def _end(self, id_: str, result: RotationResult | None = None, *, error: str | None) -> None:
        now, asked = self._clock.now(), self._kept[id_]
        progress = Progress.DONE if result is not None and result.done else Progress.FAILED
        ended = replace(asked, progress=progress, ended_at=now, error=error, phases=_closed(asked.phases, now))
        if result is not None:
            ended = replace(
                ended,
                already=result.already,
                token_id=result.token_id,
                revoked=result.revoked,
                still_live=result.still_live,
            )
        self._kept[id_] = ended

    # --- what is seen -------------------------------------------------------------------------------

    def __call__(self, event: events.Event) -> None:
        """Note what is done for a name that somebody waits for."""
        name = getattr(event, "name", None)
        with self._lock:
            for id_, each in self._kept.items():
                if each.name == name and each.progress is Progress.RUNNING:
                    self._kept[id_] = replace(each, phases=self._phases(each.phases, event)[-MOST_PHASES:])

    def _phases(self, phases: tuple[Phase, ...], event: events.Event) -> tuple[Phase, ...]:
        now = self._clock.now()
        match event:
            case events.Decided(step=step):
                closed = _closed(phases, now)
                return closed if step in _RESTING else (*closed, Phase(name=_BEGIN.get(step, step), began_at=now))
            case events.RotationStarted() | events.TokenCreated() | events.TokenProven() | events.TokenStored():
                return (*_closed(phases, now, _said(event)), Phase(name=_NEXT[type(event)], began_at=now))
            case events.RotationFinished():
                return _closed(phases, now)
            case events.DestinationWritten() | events.DestinationConfirmed() | events.TokenRevoked():
                return _closed(phases, now, _said(event))
            case events.StepFailed(error=error):
                return _closed(phases, now, error, failed=True)
            case _:
                return phases


def _check_same(asked: ByHand, wish: Wish) -> None:
    if (asked.wish.reason, asked.wish.compromised) != (wish.reason, wish.compromised):
        raise RequestDiffersError(
            f"request {wish.request_id} was sent before for {asked.name} with another reason or another word on"
            " compromised: choose another request id"
        )


def _said(event: events.Event) -> str | None:
    match event:
        case events.TokenCreated(token_id=token_id) | events.TokenRevoked(token_id=token_id):
            return token_id
        case events.TokenProven(tries=tries) if tries > 1:
            return f"at the {tries}. try"
        case events.TokenStored() | events.DestinationWritten() | events.DestinationConfirmed():
            return f"{event.destination}, version {event.revision}"
        case _:
            return None


def _closed(
    phases: tuple[Phase, ...], now: datetime, said: str | None = None, *, failed: bool = False
) -> tuple[Phase, ...]:
    """End the last phase, if it has not ended."""
    if not phases or phases[-1].ended_at is not None:
        return phases
    return (*phases[:-1], replace(phases[-1], ended_at=now, said=said, failed=failed))
