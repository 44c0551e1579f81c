"""A daemon as the API sees it, made of a real desk over a rotation that does nothing."""

from collections.abc import Callable, Iterable, Mapping

from provisioner.api.view import Facts, Standing, UnknownTokenError
from provisioner.domain.by_hand import ByHand, NotTakenError, Wish
from provisioner.domain.model import Trigger
from provisioner.domain.secret import SecretText
from provisioner.domain.status import AwaitingRevocation, DestinationStatus, State, TokenStatus
from provisioner.engine.desk import Desk
from provisioner.engine.service import RotationResult
from tests.builders import DAY, HOUR, NOW
from tests.fakes.clock import FakeClock

NAMES = ("telegraf", "grafana")


def a_status(name: str) -> TokenStatus:
    """Give a standing in which every field says something."""
    return TokenStatus(
        name=name,
        issuer="cluster",
        labels={"team": name},
        state=State.OK,
        token_id="id-1",
        issued_at=NOW - DAY,
        expires_at=NOW + DAY,
        rotate_at=NOW + HOUR,
        next_step="mint",
        next_step_at=NOW + HOUR,
        reason="nothing is due",
        last_error=None,
        failed_attempts=0,
        destinations=(DestinationStatus(store="vault", path=f"<b>{name}</b>", revision="1", in_sync=True),),
        awaiting_revocation=(
            AwaitingRevocation(
                token_id="id-0", revoke_at=NOW, why="was replaced", overdue=True, failed_attempts=1, last_error="no"
            ),
        ),
    )


class FakeView:
    """The View port by hand."""

    def __init__(self, token: str | None = None) -> None:
        self.token = token
        self.token_source: Callable[[], SecretText] | None = None
        """What reads the token, in place of ``token``."""
        self.is_leaving, self.well = False, True
        self.trips: Exception | None = None
        """What is raised instead of telling where the tokens stand."""
        self.wishes: list[tuple[tuple[str, ...], Wish]] = []
        self.desk = Desk(FakeClock(), instance="prod", concurrency=1, rotate=self._rotate)

    @staticmethod
    def _rotate(name: str, trigger: Trigger) -> RotationResult:
        return RotationResult(
            name=name, request_id=trigger.request_id, done=True, already=False, token_id="id-2", error=None
        )

    def instance(self) -> str:
        """See the Protocol."""
        return "prod"

    def standings(self) -> tuple[Standing, ...]:
        """See the Protocol."""
        if self.trips is not None:
            raise self.trips
        return tuple(Standing(status=a_status(name), seen_at=NOW) for name in NAMES)

    def select(self, names: Iterable[str], selector: Mapping[str, str]) -> tuple[str, ...]:
        """See the Protocol."""
        wanted = tuple(names) or NAMES
        chosen = tuple(name for name in wanted if not selector or selector == {"team": name})
        if not chosen or not set(chosen) <= set(NAMES):
            raise UnknownTokenError("no token is configured of such a name, or with such labels: see /v1/tokens")
        return chosen

    def ask(self, names: Iterable[str], wish: Wish) -> tuple[ByHand, ...]:
        """See the Protocol."""
        if self.is_leaving:
            raise NotTakenError("this process is stopping: ask the next one")
        self.wishes.append((tuple(names), wish))
        return self.desk.ask(self.wishes[-1][0], wish)

    def rotation(self, id_: str) -> ByHand | None:
        """See the Protocol."""
        return self.desk.get(id_)

    def rotations(self) -> tuple[ByHand, ...]:
        """See the Protocol."""
        return self.desk.all()

    def health(self) -> Facts:
        """See the Protocol."""
        return Facts(ok=self.well, facts={"scheduler_beats": self.well})

    def readiness(self) -> Facts:
        """See the Protocol."""
        return Facts(ok=self.well, facts={"looked_at_all_tokens": self.well})

    def metrics(self, accept: str) -> tuple[bytes, str]:
        """See the Protocol."""
        del accept
        return b"# nothing\n", "text/plain; version=0.0.4"

    def api_token(self) -> Callable[[], SecretText] | None:
        """See the Protocol."""
        token = self.token
        if self.token_source is not None:
            return self.token_source
        return None if token is None else lambda: SecretText(token)
