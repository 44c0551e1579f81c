"""The kinds of issuers, as the configuration file describes them."""

from collections.abc import Mapping
from datetime import timedelta
from pathlib import Path
from typing import Annotated, ClassVar, Final, Literal

from pydantic import BeforeValidator, Field, StringConstraints

from provisioner.settings.durations import Duration
from provisioner.settings.model import IssuerSection, IssuerUrl, Name
from provisioner.settings.references import Secret

_CREDENTIAL: Final = (
    "The managed token to call it with, read from its store at each use; begun with what else is given."
)


def _argument_list(value: object) -> object:
    return [value] if isinstance(value, str) else value


class InfluxctlIssuerSettings(IssuerSection):
    """Management tokens of InfluxDB Clustered and Cloud Dedicated, through influxctl."""

    type: Literal["influxctl"]
    command: Annotated[
        list[Annotated[str, StringConstraints(min_length=1)]],
        BeforeValidator(_argument_list, json_schema_input_type=str | list[str]),
        Field(min_length=1),
    ] = Field(default=["influxctl"], description="A program, or a list with leading arguments.")
    config: Path | None = Field(
        default=None, description="influxctl's config.toml; without it, influxctl's own default."
    )
    profile: str | None = Field(default=None, description="The profile in it; without it, influxctl's own default.")
    timeout: Duration = Field(default=timedelta(seconds=60), description="After it, influxctl is killed.")
    management_api: IssuerUrl | None = Field(
        default=None, description="Proves new tokens by using them here; without it, by `management list`."
    )
    ca_cert: Path | None = Field(default=None, description="CA certificates for management_api, PEM.")
    credential: Name | None = Field(default=None, description=_CREDENTIAL)


class InfluxDB3IssuerSettings(IssuerSection):
    """Named admin tokens of InfluxDB 3 Core and Enterprise, over HTTP."""

    type: Literal["influxdb3"]
    url: IssuerUrl = Field(description="Such as https://influxdb3:8181.")
    auth: Secret | None = Field(default=None, description="An operator or admin token; with credential, to begin with.")
    credential: Name | None = Field(default=None, description=_CREDENTIAL)
    ca_cert: Path | None = Field(default=None, description="CA certificates of the server, PEM.")
    timeout: Duration = Field(default=timedelta(seconds=30), description="For one request, the answer read.")


class ManagementApiIssuerSettings(IssuerSection):
    """Database tokens of InfluxDB Clustered and Cloud Dedicated, over the management HTTP API."""

    has_permissions: ClassVar[bool] = True

    type: Literal["influxdb-management-api"]
    url: IssuerUrl = Field(description="Such as https://HOST/api/v0, or https://HOST/api/v0/accounts/ID/clusters/ID.")
    auth: Secret | None = Field(default=None, description="A management token; with credential, to begin with.")
    credential: Name | None = Field(default=None, description=_CREDENTIAL)
    query_url: IssuerUrl | None = Field(
        default=None, description="Where databases are queried: new tokens are then proven by using them there."
    )
    query_database: str | None = Field(
        default=None, min_length=1, description="Queried to prove tokens for '*'; others are tried on their own."
    )
    ca_cert: Path | None = Field(default=None, description="CA certificates of both servers, PEM.")
    timeout: Duration = Field(default=timedelta(seconds=30), description="For one request, the answer read.")


ISSUERS: Final[Mapping[str, type[IssuerSection]]] = {
    "influxctl": InfluxctlIssuerSettings,
    "influxdb3": InfluxDB3IssuerSettings,
    "influxdb-management-api": ManagementApiIssuerSettings,
}
"""The kinds that are built in, by their ``type``."""
