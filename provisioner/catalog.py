"""Which kinds of issuers and stores there are: two dictionaries, kind -> factory. A client is imported when used."""

from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any, Final, assert_never

from provisioner.domain.errors import ConfigurationError
from provisioner.issuers.credential import GivenCredential, ManagedCredential
from provisioner.ports.clock import Clock
from provisioner.ports.credential import Credential
from provisioner.ports.issuer import Issuer
from provisioner.ports.store import Store
from provisioner.runtime.entropy import SystemEntropy
from provisioner.settings.issuers import (
    InfluxctlIssuerSettings,
    InfluxDB3IssuerSettings,
    IssuerSettings,
    ManagementApiIssuerSettings,
)
from provisioner.settings.model import (
    AppRoleAuth,
    AssumeRole,
    AwsStoreSettings,
    JwtAuth,
    KubernetesAuth,
    StoreSettings,
    TokenAuth,
    VaultAuth,
    VaultStoreSettings,
)
from provisioner.settings.references import SecretReference, child_environment
from provisioner.stores.aws_access import Access, Role
from provisioner.stores.vault_auth import AppRoleLogin, JwtLogin, TokenLogin, VaultLogin


def _influxctl(
    name: str, settings: InfluxctlIssuerSettings, clock: Clock, credential: ManagedCredential | None
) -> Issuer:
    from provisioner.issuers.influxctl import InfluxctlIssuer

    return InfluxctlIssuer(
        name=name,
        command=settings.command,
        config=_there(settings.config, f"issuers.{name}.config") or _default_config(),
        profile=settings.profile,
        timeout=settings.timeout,
        management_api=settings.management_api,
        ca_cert=_there(settings.ca_cert, f"issuers.{name}.ca_cert"),
        environment=child_environment(),
        clock=clock,
        credential=credential,
    )


def _influxdb3(
    name: str, settings: InfluxDB3IssuerSettings, clock: Clock, credential: ManagedCredential | None
) -> Issuer:
    from provisioner.issuers.influxdb3 import InfluxDB3Issuer

    return InfluxDB3Issuer(
        name=name,
        url=settings.url,
        credential=_begun_with(credential, settings.auth),
        ca_cert=_there(settings.ca_cert, f"issuers.{name}.ca_cert"),
        timeout=settings.timeout,
        clock=clock,
    )


def _management_api(
    name: str, settings: ManagementApiIssuerSettings, clock: Clock, credential: ManagedCredential | None
) -> Issuer:
    from provisioner.issuers.influxdb_management_api import ManagementApiIssuer

    return ManagementApiIssuer(
        name=name,
        url=settings.url,
        credential=_begun_with(credential, settings.auth),
        query_url=settings.query_url,
        query_database=settings.query_database,
        ca_cert=_there(settings.ca_cert, f"issuers.{name}.ca_cert"),
        timeout=settings.timeout,
        clock=clock,
    )


def _vault(name: str, settings: VaultStoreSettings, clock: Clock) -> Store:
    from provisioner.stores.vault import VaultStore

    return VaultStore(
        name=name,
        address=settings.address,
        mount=settings.mount,
        namespace=settings.namespace,
        login=_vault_login(settings.auth),
        reader=None if settings.reader is None else _vault_login(settings.reader),
        ca_cert=_there(settings.ca_cert, f"stores.{name}.ca_cert"),
        timeout=settings.timeout,
        clock=clock,
    )


def _aws(name: str, settings: AwsStoreSettings, clock: Clock) -> Store:
    from provisioner.stores.aws_secrets_manager import AwsSecretsManagerStore
    from provisioner.stores.aws_writing import NewSecrets

    access = Access(
        region=settings.region,
        endpoint_url=settings.endpoint_url,
        profile=settings.profile,
        role=_aws_role(settings.assume_role),
    )
    reader = settings.reader
    return AwsSecretsManagerStore(
        name=name,
        access=access,
        reader=None
        if reader is None
        else replace(access, profile=reader.profile or access.profile, role=_aws_role(reader.assume_role)),
        clock=clock,
        fresh_id=SystemEntropy().rotation_id,
        new_secrets=NewSecrets(
            kms_key_id=settings.kms_key_id, tags=settings.tags, replicate_to=tuple(settings.replicate_to)
        ),
        writes_per_second=settings.writes_per_second,
        timeout=settings.timeout,
    )


ISSUERS: Final[Mapping[str, Callable[[str, Any, Clock, ManagedCredential | None], Issuer]]] = {
    "influxctl": _influxctl,
    "influxdb3": _influxdb3,
    "influxdb-management-api": _management_api,
}
STORES: Final[Mapping[str, Callable[[str, Any, Clock], Store]]] = {
    "vault": _vault,
    "aws-secrets-manager": _aws,
}


def make_issuer(
    name: str, settings: IssuerSettings, clock: Clock, credential: ManagedCredential | None = None
) -> Issuer:
    """Build the issuer that the settings describe, to be called with that managed token; nothing is asked of it yet."""
    return ISSUERS[settings.type](name, settings, clock, credential)


def make_store(name: str, settings: StoreSettings, clock: Clock) -> Store:
    """Build the store that the settings describe; nothing is asked of it yet."""
    return STORES[settings.type](name, settings, clock)


def _begun_with(managed: ManagedCredential | None, given: SecretReference | None) -> Credential:
    """Give what an issuer is called with: the rules see to it that there is one of the two."""
    initial = None if given is None else GivenCredential(source=given.source())
    if managed is not None:
        return replace(managed, initial=initial)
    if initial is None:
        raise ConfigurationError("an issuer has neither auth nor credential: name the token to call it with")
    return initial


def _aws_role(role: AssumeRole | None) -> Role | None:
    if role is None:
        return None
    return Role(arn=role.role_arn, session_name=role.session_name, external_id=role.external_id)


def _vault_login(auth: VaultAuth) -> VaultLogin:
    match auth:
        case TokenAuth():
            return TokenLogin(token=auth.token.source())
        case AppRoleAuth():
            return AppRoleLogin(role_id=auth.role_id.source(), secret_id=auth.secret_id.source(), mount=auth.mount)
        case KubernetesAuth() | JwtAuth():
            return JwtLogin(role=auth.role, jwt=auth.jwt.source(), mount=auth.mount)
        case _:
            assert_never(auth)


def _there(path: Path | None, key: str) -> Path | None:
    """Make sure that a file named in the configuration is there, before anything is asked of anybody."""
    if path is not None and not path.is_file():
        raise ConfigurationError(f"{key}: the file {path} does not exist: put it there, or name another")
    return path


def _default_config() -> Path | None:
    """Give the profile file that influxctl would find by itself: in its private HOME there is none."""
    path = Path("~/.config/influxctl/config.toml").expanduser()
    return path if path.is_file() else None
