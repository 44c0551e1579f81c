"""The shape of the configuration file, as ``docs/configuration.md`` and the JSON Schema show it."""

import re
from collections.abc import Mapping
from datetime import timedelta
from pathlib import Path
from typing import Annotated, ClassVar, Final, Literal, Self
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from cronsim import CronSim, CronSimError
from pydantic import AfterValidator, BaseModel, ConfigDict, Field, StringConstraints, model_validator

from provisioner.domain.election import LEASE_DURATION, RENEW_DEADLINE, RETRY_PERIOD
from provisioner.domain.mark import INSTANCE_PATTERN, MARK_OPENING, NAME_PATTERN, OWNER_TAG
from provisioner.settings.addresses import absolute_url, without_zone
from provisioner.settings.consumers import OnRotateSettings, Overlap, plain_overlap
from provisioner.settings.durations import Duration
from provisioner.settings.references import Secret, SecretReference

LONGEST_DESCRIPTION = 200
LONGEST_TAG_KEY = 128
HIGHEST_PORT = 65535
SERVICE_ACCOUNT_TOKEN = Path("/var/run/secrets/kubernetes.io/serviceaccount/token")


class Section(BaseModel):
    """A part of the file: unknown keys are refused, and values do not change."""

    model_config = ConfigDict(extra="forbid", frozen=True, hide_input_in_errors=True)


class IssuerSection(Section):
    """What stands below ``issuers.NAME``: the base of every kind's settings, also in other packages.

    A kind that can be called with a managed token declares the key ``credential: Name | None = None``.
    """

    has_permissions: ClassVar[bool] = False
    """Whether its tokens have permissions; elsewhere a token's ``permissions`` are refused."""

    type: str

    @property
    def called_with(self) -> str | None:
        """The managed token that it is called with, by name."""
        named = getattr(self, "credential", None)
        return named if isinstance(named, str) else None


class StoreSection(Section):
    """What stands below ``stores.NAME``: the base of every kind's settings, also in other packages.

    A kind that can read as consumers do declares a key ``reader``, which is None where it has none.
    """

    has_raw: ClassVar[bool] = False
    """Whether it can hold a bare token; elsewhere ``format: raw`` is refused."""

    type: str

    @property
    def has_reader(self) -> bool:
        """Whether what is stored is read back with an identity of its own."""
        return getattr(self, "reader", None) is not None


def _plain_text(value: str) -> str:
    if len(value) > LONGEST_DESCRIPTION:
        raise ValueError(f"must be at most {LONGEST_DESCRIPTION} characters")
    if not value.isprintable():
        raise ValueError("must be one line of printable text")
    if MARK_OPENING in value:
        raise ValueError(f"must not contain {MARK_OPENING!r}: that is how our tokens are marked")
    return value


def _store_path(value: str) -> str:
    path = value.strip("/")
    if not path or not path.isprintable() or any(part in {"", ".", ".."} for part in path.split("/")):
        raise ValueError("must be a path such as influx/telegraf-admin, without empty, '.' or '..' parts")
    return path


def _cron(value: str) -> str:
    from datetime import UTC, datetime

    try:
        CronSim(value, datetime(2026, 1, 1, tzinfo=UTC))
    except CronSimError as error:
        raise ValueError(f"is not a cron expression of five fields, such as '0 2 * * *': {error}") from None
    return value


def _timezone(value: str) -> str:
    try:
        ZoneInfo(value)
    except (ZoneInfoNotFoundError, ValueError, OSError):
        raise ValueError("is not a time zone, such as Europe/Berlin or UTC") from None
    return value


def _listen(value: str) -> str:
    host, _, port = value.rpartition(":")
    if not re.fullmatch(r"\[[0-9a-fA-F:.]+\]|[A-Za-z0-9._-]+", host) or not re.fullmatch(r"[0-9]{1,5}", port):
        raise ValueError("must be HOST:PORT, such as 127.0.0.1:8080 or [::]:8080")
    if int(port) > HIGHEST_PORT:
        raise ValueError(f"must have a port of at most {HIGHEST_PORT}")
    return value


def _tag_key(value: str) -> str:
    if not value or len(value) > LONGEST_TAG_KEY or value.lower().startswith("aws:"):
        raise ValueError(f"must have 1 to {LONGEST_TAG_KEY} characters and not begin with 'aws:'")
    if value == OWNER_TAG:
        raise ValueError("is our own tag: choose another name")
    return value


Url = Annotated[str, AfterValidator(absolute_url)]
IssuerUrl = Annotated[Url, AfterValidator(without_zone)]
"""Of an issuer that is asked over HTTP: its client knows no zones of IPv6."""
Name = Annotated[str, StringConstraints(pattern=rf"^{NAME_PATTERN}$")]
Instance = Annotated[str, StringConstraints(pattern=rf"^{INSTANCE_PATTERN}$")]
Description = Annotated[str, AfterValidator(_plain_text)]
StorePath = Annotated[str, AfterValidator(_store_path)]


class TokenAuth(Section):
    """A client token that somebody else obtained."""

    method: Literal["token"]
    token: Secret


class AppRoleAuth(Section):
    """AppRole."""

    method: Literal["approle"]
    role_id: Secret
    secret_id: Secret
    mount: str = "approle"


class KubernetesAuth(Section):
    """The pod's own service account."""

    method: Literal["kubernetes"]
    role: str
    jwt: Secret = SecretReference(file=SERVICE_ACCOUNT_TOKEN)
    mount: str = "kubernetes"


class JwtAuth(Section):
    """A JSON Web Token from a file or variable."""

    method: Literal["jwt"]
    role: str
    jwt: Secret
    mount: str = "jwt"


VaultAuth = Annotated[TokenAuth | AppRoleAuth | KubernetesAuth | JwtAuth, Field(discriminator="method")]


class VaultStoreSettings(StoreSection):
    """HashiCorp Vault or OpenBao, KV version 2."""

    has_raw: ClassVar[bool] = True

    type: Literal["vault"]
    address: Url
    mount: StorePath = "secret"
    namespace: str | None = None
    auth: VaultAuth
    reader: VaultAuth | None = Field(
        default=None, description="Who consumers are: what is stored is read back with this login."
    )
    ca_cert: Path | None = Field(default=None, description="CA certificates of the server, PEM.")
    timeout: Duration = Field(default=timedelta(seconds=30), description="For one request.")


class AssumeRole(Section):
    """A role to take on with the credentials found."""

    role_arn: Annotated[str, StringConstraints(pattern=r"^arn:[a-z0-9-]+:iam::[0-9]{12}:role/.+$")]
    external_id: str | None = None
    session_name: Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9+=,.@_-]{2,64}$")] = "token-provisioner"


class AwsReader(Section):
    """Who consumers are: another profile, another role, or both. What is left out is the store's own."""

    profile: str | None = None
    assume_role: AssumeRole | None = None

    @model_validator(mode="after")
    def _is_somebody(self) -> Self:
        if self.profile is None and self.assume_role is None:
            raise ValueError("name a profile, a role to assume, or both")
        return self


class AwsStoreSettings(StoreSection):
    """AWS Secrets Manager. Credentials come from boto3's own chain; none stands here."""

    has_raw: ClassVar[bool] = True

    type: Literal["aws-secrets-manager"]
    region: Annotated[str, StringConstraints(pattern=r"^[a-z]{2}[a-z0-9-]*-[0-9]$")] | None = Field(
        default=None, description="Without it, AWS_DEFAULT_REGION or the profile's."
    )
    endpoint_url: Url | None = Field(default=None, description="An emulator in AWS's place; allows short lives.")
    kms_key_id: str | None = Field(
        default=None, description="The KMS key of secrets that we create; without it, AWS's own."
    )
    profile: str | None = Field(default=None, description="The profile in AWS's files; without it, AWS_PROFILE's.")
    assume_role: AssumeRole | None = None
    reader: AwsReader | None = Field(
        default=None, description="Who consumers are: what is stored is read back with this identity."
    )
    tags: dict[Annotated[str, AfterValidator(_tag_key)], Annotated[str, StringConstraints(max_length=256)]] = Field(
        default_factory=dict, max_length=49, description="Tags of secrets that we create, beside our own one."
    )
    replicate_to: list[str] = Field(
        default_factory=list, description="Regions to which AWS copies secrets that we create."
    )
    writes_per_second: float = Field(
        default=5, gt=0, le=50, description="For all tokens together; AWS allows an account 50 in a region."
    )
    timeout: Duration = Field(default=timedelta(seconds=30), description="For one request.")


STORES: Final[Mapping[str, type[StoreSection]]] = {
    "vault": VaultStoreSettings,
    "aws-secrets-manager": AwsStoreSettings,
}
"""The kinds that are built in, by their ``type``."""


class Defaults(Section):
    """What tokens take where they say nothing."""

    ttl: Duration = timedelta(days=30)
    rotate_at: float | None = Field(
        default=None, gt=0, lt=1, description="Fraction of the actual life; 0.66 by default."
    )
    rotate_before: Duration | None = Field(
        default=None, description="Instead of rotate_at: that long before the expiry."
    )
    overlap: Overlap = plain_overlap(timedelta(hours=1))
    verify_timeout: Duration = timedelta(minutes=5)
    rotation_timeout: Duration = timedelta(minutes=10)
    orphan_quiet_period: Duration = timedelta(hours=1)


class PermissionSettings(Section):
    """One thing that a token may do."""

    action: Literal["read", "write"]
    resource: Annotated[str, StringConstraints(min_length=1, max_length=64, pattern=r"^[^\s:,]+$")] = Field(
        description="A database, or '*' for all of them."
    )


class WindowSettings(Section):
    """A maintenance window."""

    cron: Annotated[str, AfterValidator(_cron)] = Field(description="When it opens: five fields, Sunday is 0 or 7.")
    duration: Duration
    timezone: Annotated[str, AfterValidator(_timezone)] = "UTC"


class DestinationSettings(Section):
    """One place that a token is written to."""

    store: str
    path: StorePath
    fields: dict[str, str] = Field(default_factory=dict, description="Our field name: the name consumers read it by.")
    adopt: bool = Field(default=False, description="Take over a foreign secret that is already there.")
    format: Literal["json", "raw"] = Field(
        default="json", description="One JSON object, or the bare token with our fields in tags or custom metadata."
    )


class TokenSettings(Section):
    """One managed token."""

    name: Name
    issuer: str
    description: Description = ""
    ttl: Duration | None = None
    rotate_at: float | None = Field(default=None, gt=0, lt=1)
    rotate_before: Duration | None = None
    overlap: Overlap | None = None
    verify_timeout: Duration | None = None
    rotation_timeout: Duration | None = None
    orphan_quiet_period: Duration | None = None
    window: WindowSettings | None = None
    labels: dict[str, str] = Field(default_factory=dict)
    permissions: list[PermissionSettings] = Field(
        default_factory=list, description="What the token may do; for database tokens, which need one at least."
    )
    destinations: list[DestinationSettings] = Field(min_length=1, description="The first is the primary.")
    extra: dict[str, str] = Field(default_factory=dict, description="Static fields stored beside the token.")
    on_rotate: list[OnRotateSettings] = Field(
        default_factory=list, description="What follows a rotation, in that order: restarts and webhooks."
    )


class Server(Section):
    """Health, metrics, API and status page."""

    listen: Annotated[str, AfterValidator(_listen)] = Field(
        default="127.0.0.1:8080", description="HOST:PORT; [HOST]:PORT for IPv6. Port 0: any that is free."
    )
    admin_socket: Path = Field(
        default=Path("/run/provisioner/admin.sock"), description="A Unix socket for the command line, mode 0600."
    )
    api_token: Secret | None = Field(
        default=None, description="What write verbs need at server.listen; without it there are none."
    )

    @property
    def address(self) -> tuple[str, int]:
        """Host and port to listen on."""
        host, _, port = self.listen.rpartition(":")
        return host.strip("[]"), int(port)


class Reconcile(Section):
    """How often and how much at a time."""

    interval: Duration = Field(default=timedelta(minutes=15), description="The drift check.")
    concurrency: int = Field(default=10, ge=1, le=256)


class LeaderElection(Section):
    """Which replica acts; for efficiency, not for safety."""

    enabled: bool = Field(default=False, description="One replica acts, the others look on; for Kubernetes.")
    lease_name: Name = "provisioner"
    namespace: Name | None = Field(default=None, description="Of the Lease; without it, the pod's own.")
    lease_duration: Duration = Field(
        default=LEASE_DURATION, description="How long the others wait for a leader that is silent; whole seconds."
    )
    renew_deadline: Duration = Field(
        default=RENEW_DEADLINE, description="How long a leader acts after it last renewed its lease."
    )
    retry_period: Duration = Field(default=RETRY_PERIOD, description="How often it renews, and the others look.")

    @model_validator(mode="after")
    def _leaves_time(self) -> Self:
        if self.lease_duration % timedelta(seconds=1):
            raise ValueError("lease_duration must be whole seconds: a Lease tells no others")
        if self.renew_deadline >= self.lease_duration:
            raise ValueError("renew_deadline must be shorter than lease_duration, or two replicas would lead at once")
        if self.retry_period * 2 > self.renew_deadline:
            raise ValueError(
                "retry_period must be at most half of renew_deadline, or one lost answer would end leading"
            )
        return self


class Log(Section):
    """The log, on standard error."""

    format: Literal["json", "text"] = "json"
    level: Literal["debug", "info", "warning", "error"] = "info"
