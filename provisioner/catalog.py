"""Which kinds of issuers and stores there are: two dictionaries, kind -> factory. A client is imported when used."""

from collections.abc import Callable, Mapping
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import Any, Final, assert_never

from provisioner.domain.errors import ConfigurationError, ProvisionerError
from provisioner.issuers.credential import GivenCredential, ManagedCredential
from provisioner.ports.clock import Clock
from provisioner.ports.credential import Credential
from provisioner.ports.issuer import Issuer
from provisioner.ports.notifier import Notifier
from provisioner.ports.secret_source import SecretSource
from provisioner.ports.store import Store
from provisioner.ports.workloads import Workloads
from provisioner.runtime.entropy import SystemEntropy
from provisioner.settings.installed import installed_kind
from provisioner.settings.issuers import (
    InfluxctlIssuerSettings,
    InfluxDB3IssuerSettings,
    ManagementApiIssuerSettings,
)
from provisioner.settings.kinds import IssuerSurroundings, StoreSurroundings
from provisioner.settings.model import (
    AppRoleAuth,
    AssumeRole,
    AwsStoreSettings,
    IssuerSection,
    JwtAuth,
    KubernetesAuth,
    StoreSection,
    TokenAuth,
    VaultAuth,
    VaultStoreSettings,
)
from provisioner.settings.references import SecretReference, child_environment
from provisioner.stores.aws_access import Access, Role
from provisioner.stores.vault_auth import AppRoleLogin, JwtLogin, TokenLogin, VaultLogin
from provisioner.telemetry.bugs import kind_and_place


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
CONSUMER_TIMEOUT: Final = timedelta(seconds=10)
"""For one request to Kubernetes or to a webhook: a name waits for it, though nothing but its consumers does."""
_PORTS: Final[Mapping[str, type]] = {"issuers": Issuer, "stores": Store}


def make_issuer(
    name: str, settings: IssuerSection, clock: Clock, credential: ManagedCredential | None = None
) -> Issuer:
    """Build the issuer that the settings describe, to be called with that managed token; nothing is asked of it yet."""
    if settings.type in ISSUERS:
        return ISSUERS[settings.type](name, settings, clock, credential)
    surroundings = IssuerSurroundings(
        clock=clock,
        environment=child_environment(),
        credential=lambda given: _called_with(credential, given),
    )
    issuer: Issuer = _of_others("issuers", name, settings, surroundings)
    return issuer


def make_store(name: str, settings: StoreSection, clock: Clock) -> Store:
    """Build the store that the settings describe; nothing is asked of it yet."""
    if settings.type in STORES:
        return STORES[settings.type](name, settings, clock)
    surroundings = StoreSurroundings(clock=clock, environment=child_environment())
    store: Store = _of_others("stores", name, settings, surroundings)
    return store


def make_workloads() -> Workloads:
    """Build what restarts workloads; no cluster is looked for yet."""
    from provisioner.runtime.workloads_kubernetes import KubernetesWorkloads

    return KubernetesWorkloads(request_timeout=CONSUMER_TIMEOUT)


def make_notifier(clock: Clock) -> Notifier:
    """Build what tells webhooks; nothing is connected yet."""
    from provisioner.issuers.http_post import HttpPost
    from provisioner.runtime.webhooks import Webhooks

    return Webhooks(post=HttpPost(timeout=CONSUMER_TIMEOUT, clock=clock), clock=clock)


def _of_others(section: str, name: str, settings: IssuerSection | StoreSection, surroundings: object) -> Any:  # noqa: ANN401  # either port
    """Build what another package brings; raises ConfigurationError when it fails, or lacks a part of its port."""
    kind = installed_kind(section, settings.type, ISSUERS if section == "issuers" else STORES)
    built, failure = _built(kind, name, settings, surroundings)
    key = f"{section}.{name}: type {settings.type}"
    if failure is not None:
        raise ConfigurationError(f"{key} could not be built ({failure}): have the authors of its package mend it")
    lacking = [part for part in vars(_PORTS[section]) if not part.startswith("_") and not _has(built, part)]
    if lacking:
        raise ConfigurationError(f"{key} has no {', '.join(lacking)}: another version of its package may have")
    return built


def _has(built: object, part: str) -> bool:
    """Tell whether it has that part; one that cannot be looked at is none."""
    try:
        return hasattr(built, part)
    except Exception:  # noqa: BLE001  # a property is the code of others, too
        return False


def _built(kind: Any, name: str, settings: object, surroundings: object) -> tuple[Any, str | None]:  # noqa: ANN401  # either kind
    """Give what was built, or where that failed."""
    try:
        return kind.build(name, settings, surroundings), None
    except ProvisionerError:
        raise
    except (Exception, SystemExit) as error:  # noqa: BLE001  # the code of others may fail in any way; its text may hold anything
        return None, kind_and_place(error, error.__traceback__)


def _begun_with(managed: ManagedCredential | None, given: SecretReference | None) -> Credential:
    """Give what an issuer is called with: the rules see to it that there is one of the two."""
    return _called_with(managed, None if given is None else given.source())


def _called_with(managed: ManagedCredential | None, given: SecretSource | None) -> Credential:
    initial = None if given is None else GivenCredential(source=given)
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
    why = None if path is None else _absence(path)
    if why is not None:
        raise ConfigurationError(f"{key}: the file {path} {why}: put it there, or name another")
    return path


def _absence(path: Path) -> str | None:
    """Say why a file is none for us; None when it is one."""
    try:
        return None if path.is_file() else "does not exist"
    except OSError as error:  # a directory on the way is closed to us, or the name is too long
        return f"cannot be looked at ({error.strerror})"


def _default_config() -> Path | None:
    """Give the profile file that influxctl would find by itself: in its private HOME there is none."""
    path = Path("~/.config/influxctl/config.toml").expanduser()
    return path if path.is_file() else None
