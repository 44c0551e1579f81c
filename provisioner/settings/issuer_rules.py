"""What is refused of issuers and of what tokens ask of theirs, although every key by itself is right."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Final

from provisioner.settings.issuers import (
    InfluxctlIssuerSettings,
    InfluxDB3IssuerSettings,
    ManagementApiIssuerSettings,
)
from provisioner.settings.model import IssuerSection, TokenSettings

_ALL_DATABASES: Final = "*"
_TAKES_TOKENS_OF: Final[Mapping[str, str]] = {
    "influxctl": "influxctl",
    "influxdb-management-api": "influxctl",
    "influxdb3": "influxdb3",
}
"""Kind of issuer -> the kind whose tokens it can be called with."""


def issuer_problems(issuers: Mapping[str, IssuerSection], tokens: Sequence[TokenSettings]) -> Iterator[str]:
    """Give a line for everything that is wrong between issuers and tokens."""
    for name, issuer in issuers.items():
        needs_one = isinstance(issuer, InfluxDB3IssuerSettings | ManagementApiIssuerSettings) and issuer.auth is None
        if needs_one and issuer.called_with is None:
            yield f"issuers.{name}.auth: is missing: name where its token stands, such as {{file: PATH}}"
        yield from _credential(name, issuer, issuers, tokens)
    for token in tokens:
        of = issuers.get(token.issuer)
        if of is not None:
            yield from _permissions(f"tokens[{token.name}].permissions", token, of)


def _credential(
    name: str, issuer: IssuerSection, issuers: Mapping[str, IssuerSection], tokens: Sequence[TokenSettings]
) -> Iterator[str]:
    if issuer.called_with is None:
        return
    key = f"issuers.{name}.credential"
    token = next((token for token in tokens if token.name == issuer.called_with), None)
    if token is None:
        known = ", ".join(token.name for token in tokens)
        yield f"{key}: no token is named {issuer.called_with!r}; there are: {known}"
        return
    if isinstance(issuer, InfluxctlIssuerSettings) and issuer.config is None:
        yield f"issuers.{name}.config: is missing: calls by {token.name} are made with profiles from influxctl's config"
    of, wanted = issuers.get(token.issuer), _TAKES_TOKENS_OF.get(issuer.type)
    if of is not None and wanted is not None and of.type != wanted:
        why = f"is issued by {token.issuer}, which has type {of.type}"
        yield f"{key}: {token.name} {why}; an issuer of type {issuer.type} is called with tokens of type {wanted}"


def _permissions(key: str, token: TokenSettings, issuer: IssuerSection) -> Iterator[str]:
    match issuer:
        case InfluxctlIssuerSettings() | InfluxDB3IssuerSettings():
            if token.permissions:
                yield f"{key}: tokens of {token.issuer} (type {issuer.type}) may do everything: leave it out"
        case ManagementApiIssuerSettings():
            resources = {permission.resource for permission in token.permissions}
            if not resources:
                example = "{action: read, resource: mydb}"
                yield f"{key}: is missing: a database token needs one at least, such as {example}"
            elif resources == {_ALL_DATABASES} and issuer.query_url is not None and issuer.query_database is None:
                why = "tokens for '*' are proven by querying one database"
                yield f"issuers.{token.issuer}.query_database: is missing: {why}, name it"
        case _:
            if token.permissions and not issuer.has_permissions:
                yield f"{key}: tokens of {token.issuer} (type {issuer.type}) have no permissions: leave it out"
