"""What is taken and answered, as JSON. No field holds a token."""

from dataclasses import asdict
from datetime import datetime
from typing import Annotated, Literal, get_args

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, StringConstraints

from provisioner.api.view import Facts, Standing
from provisioner.domain.by_hand import LONGEST_BY, LONGEST_REASON, LONGEST_REQUEST_ID, VISIBLE, ByHand, Wish
from provisioner.domain.scrub import scrub
from provisioner.domain.status import State

LONGEST_NAME = 100
MOST_NAMES = 1000


class Answer(BaseModel):
    """A part of an answer."""

    model_config = ConfigDict(extra="forbid", frozen=True)


class Demand(BaseModel):
    """A part of a request: unknown keys are refused."""

    model_config = ConfigDict(extra="forbid", frozen=True, hide_input_in_errors=True)


def _is_no_secret(value: str) -> str:
    if scrub(value, longest=len(value) + 1) != value:
        raise ValueError("looks like a secret, and it would be shown: choose another")
    return value


Line = Annotated[str, StringConstraints(pattern=r"^[^\x00-\x1f\x7f\u2028\u2029]*$")]
RequestId = Annotated[
    str,
    StringConstraints(pattern=rf"^{VISIBLE}+$", min_length=1, max_length=LONGEST_REQUEST_ID),
    AfterValidator(_is_no_secret),
]


class RotateDemand(Demand):
    """A wish to rotate."""

    reason: Annotated[Line, Field(max_length=LONGEST_REASON)] = Field(
        default="", description="Why: shown in status and log."
    )
    compromised: bool = Field(default=False, description="Revoke every older token at once, without overlap.")
    request_id: RequestId | None = Field(
        default=None, description="The same id rotates a name once. Without it a fresh one is made."
    )
    requested_by: Annotated[Line, Field(max_length=LONGEST_BY)] | None = Field(
        default=None, description="Who asks, by their own word: shown in status."
    )

    def wish(self, fresh_id: str, via: str) -> Wish:
        """Give it in the domain's words, without what looks like a secret."""
        return Wish(
            request_id=self.request_id or fresh_id,
            reason=scrub(self.reason),
            compromised=self.compromised,
            by=None if self.requested_by is None else scrub(self.requested_by),
            via=via,
        )


class RotateSeveralDemand(RotateDemand):
    """A wish to rotate several names: those that are named, or all; of them those that carry every label."""

    names: Annotated[list[Annotated[str, Field(max_length=LONGEST_NAME)]], Field(max_length=MOST_NAMES)] = Field(
        default_factory=list
    )
    all: bool = Field(
        default=False, description="All names; nothing is rotated when neither names nor labels are given."
    )
    selector: Annotated[dict[str, str], Field(max_length=20)] = Field(
        default_factory=dict, description="Labels that a name must carry."
    )


class LastRequestAnswer(Answer):
    """The last rotation of a name that somebody asked for."""

    request_id: str
    compromised: bool
    stored_at: datetime | None
    asked_at: datetime | None
    by: str | None
    via: str | None
    reason: str | None


class DestinationAnswer(Answer):
    """One destination."""

    store: str
    path: str
    revision: str | None
    in_sync: bool
    readable: bool | None


class AwaitingAnswer(Answer):
    """A live token that is not the current one."""

    token_id: str
    revoke_at: datetime | None
    why: str
    overdue: bool
    failed_attempts: int
    last_error: str | None


class ConsumerAnswer(Answer):
    """A workload that is restarted by a rotation."""

    kind: str
    namespace: str | None
    name: str
    state: str
    message: str
    restarts: int


class WebhookAnswer(Answer):
    """A webhook that is told of a rotation; its address may be its password."""

    host: str
    state: str
    failed_attempts: int
    last_error: str | None


class TokenAnswer(Answer):
    """Where a name stands, in the words of ``provisioner status``."""

    name: str
    issuer: str
    labels: dict[str, str]
    state: State
    token_id: str | None
    issued_at: datetime | None
    expires_at: datetime | None
    rotate_at: datetime | None
    next_step: str
    next_step_at: datetime | None
    reason: str
    last_error: str | None
    failed_attempts: int
    destinations: list[DestinationAnswer]
    awaiting_revocation: list[AwaitingAnswer]
    consumers: list[ConsumerAnswer]
    webhooks: list[WebhookAnswer]
    last_request: LastRequestAnswer | None
    seen_at: datetime | None

    @classmethod
    def of(cls, standing: Standing) -> "TokenAnswer":
        """Spell a standing."""
        return cls.model_validate(asdict(standing.status) | {"seen_at": standing.seen_at})


class TokensAnswer(Answer):
    """Where all names stand."""

    instance: str
    tokens: list[TokenAnswer]


class PhaseAnswer(Answer):
    """One thing that was done for the name since somebody asked."""

    name: str
    began_at: datetime
    ended_at: datetime | None
    said: str | None
    failed: bool


Way = Literal["socket", "http", "direct"]


class Rotation(Answer):
    """A rotation that somebody asked for, and how far it is."""

    id: str
    name: str
    request_id: str
    state: Literal["waiting", "running", "done", "failed"]
    reason: str
    compromised: bool
    requested_by: str | None
    via: Way | None
    asked_at: datetime
    ended_at: datetime | None
    tries: int
    phases: list[PhaseAnswer]
    already: bool
    token_id: str | None
    error: str | None
    revoked: list[str]
    still_live: list[str]

    @classmethod
    def of(cls, asked: ByHand) -> "Rotation":
        """Spell a rotation."""
        wish = asked.wish
        return cls.model_validate(
            {
                "id": asked.id,
                "name": asked.name,
                "request_id": wish.request_id,
                "state": asked.progress.value,
                "reason": wish.reason,
                "compromised": wish.compromised,
                "requested_by": wish.by,
                "via": wish.via if wish.via in get_args(Way) else None,
                "asked_at": asked.asked_at,
                "ended_at": asked.ended_at,
                "tries": asked.tries,
                "phases": [asdict(phase) for phase in asked.phases],
                "already": asked.already,
                "token_id": asked.token_id,
                "error": asked.error,
                "revoked": list(asked.revoked),
                "still_live": list(asked.still_live),
            }
        )


class RotationAnswer(Answer):
    """One rotation."""

    rotation: Rotation


class RotationsAnswer(Answer):
    """Several rotations."""

    rotations: list[Rotation]


class FactsAnswer(Answer):
    """Whether all is well, and the facts that say so."""

    ok: bool
    facts: dict[str, bool]

    @classmethod
    def of(cls, facts: Facts) -> "FactsAnswer":
        """Spell them."""
        return cls(ok=facts.ok, facts=dict(facts.facts))
