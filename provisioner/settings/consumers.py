"""What follows a rotation, as it stands in the file: restarts, webhooks, and overlaps that last until a roll-out."""

from collections.abc import Mapping
from datetime import timedelta
from ipaddress import ip_address
from pathlib import Path
from typing import Annotated, Any, Final, Literal, Self
from urllib.parse import urlsplit

from pydantic import (
    AfterValidator,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    StringConstraints,
    WithJsonSchema,
    model_serializer,
    model_validator,
)

from provisioner.settings.durations import Duration, DurationOrZero, parse_duration, write_duration
from provisioner.settings.references import Secret

OBJECT_NAME_PATTERN: Final = r"^[a-z0-9]([-a-z0-9.]{0,251}[a-z0-9])?$"
NAMESPACE_PATTERN: Final = r"^[a-z0-9]([-a-z0-9]{0,61}[a-z0-9])?$"


class _Part(BaseModel):
    """A part of the file: unknown keys are refused, and values do not change."""

    model_config = ConfigDict(extra="forbid", frozen=True, hide_input_in_errors=True)


def _webhook_url(value: str) -> str:
    """Let the address be https, but for this very machine."""
    try:
        parts = urlsplit(value)
        host, _ = parts.hostname or "", parts.port
    except ValueError:
        host = ""
    if not host or not value.isprintable() or " " in value or parts.scheme not in {"http", "https"}:
        raise ValueError("must be a URL such as https://hooks.example.org/rotated")
    if parts.username is not None or parts.password is not None:
        raise ValueError("must not hold a user name or password: what it is sent is signed instead")
    if parts.scheme != "https" and not _is_loopback(host):
        raise ValueError("must begin with https://; http:// is for loopback alone")
    return value


def _is_loopback(host: str) -> bool:
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


class RestartSettings(_Part):
    """A workload whose pods are replaced, so that they read the new token."""

    kind: Literal["Deployment", "StatefulSet", "DaemonSet"]
    namespace: Annotated[str, StringConstraints(pattern=NAMESPACE_PATTERN)] | None = Field(
        default=None, description="Without it, the pod's own."
    )
    name: Annotated[str, StringConstraints(pattern=OBJECT_NAME_PATTERN)]


class WebhookSettings(_Part):
    """An address that is told of each rotation; never of a token."""

    url: Annotated[str, AfterValidator(_webhook_url)]
    hmac_key: Secret = Field(description="What signs the body: a secret reference.")
    ca_cert: Path | None = Field(default=None, description="CA certificates of its server, PEM.")


class OnRotateSettings(_Part):
    """One thing that follows a rotation."""

    model_config = ConfigDict(json_schema_extra={"minProperties": 1, "maxProperties": 1})

    restart: RestartSettings | None = None
    webhook: WebhookSettings | None = None

    @model_validator(mode="after")
    def _is_one(self) -> Self:
        if (self.restart is None) == (self.webhook is None):
            raise ValueError("name either a restart or a webhook, each in an entry of its own")
        return self


class OverlapSettings(_Part):
    """How long what was replaced lives on."""

    min: DurationOrZero
    until: Literal["rolled-out"] | None = None
    max: Duration | None = None

    @model_validator(mode="after")
    def _is_bounded(self) -> Self:
        if (self.until is None) != (self.max is None):
            raise ValueError("until and max belong together: until: rolled-out, and max, how long that may take")
        if self.max is not None and self.max < self.min:
            raise ValueError("max must not be shorter than min")
        return self

    @model_serializer
    def _plain(self) -> Any:  # noqa: ANN401  # text or mapping
        if self.max is None:
            return write_duration(self.min)
        return {"min": write_duration(self.min), "until": self.until, "max": write_duration(self.max)}


def _overlap(value: object) -> object:
    """Take a mapping as it is; whatever else stands there has to be a duration."""
    if isinstance(value, Mapping | OverlapSettings):
        return value
    return OverlapSettings(min=parse_duration(value))


def plain_overlap(duration: timedelta) -> OverlapSettings:
    """Give an overlap that waits for nobody."""
    return OverlapSettings(min=duration)


_DURATION: Final = {
    "type": "string",
    "description": "A duration: 30d, 12h, 1h30m, 90s, or ISO 8601 (P30D).",
    "examples": ["30d", "12h", "90s"],
}
_WAITING: Final = {
    "type": "object",
    "additionalProperties": False,
    "description": "At least min, and until every workload in on_rotate is rolled out, for max at the most.",
    "required": ["min", "until", "max"],
    "properties": {"min": _DURATION, "until": {"const": "rolled-out"}, "max": _DURATION},
}
Overlap = Annotated[
    OverlapSettings, BeforeValidator(_overlap), WithJsonSchema({"anyOf": [_DURATION, _WAITING]}, mode="validation")
]
"""A duration, or ``{min, until: rolled-out, max}``."""
