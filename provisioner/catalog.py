"""Which kinds of issuers and stores there are: two dictionaries, kind -> factory. A client is imported when used."""

from collections.abc import Callable, Mapping
from typing import Final, assert_never

from provisioner.ports.clock import Clock
from provisioner.ports.issuer import Issuer
from provisioner.ports.store import Store
from provisioner.settings.model import (
    AppRoleAuth,
    InfluxctlIssuerSettings,
    JwtAuth,
    KubernetesAuth,
    TokenAuth,
    VaultAuth,
    VaultStoreSettings,
)
from provisioner.settings.references import child_environment
from provisioner.stores.vault_auth import AppRoleLogin, JwtLogin, TokenLogin, VaultLogin


def _influxctl(name: str, settings: InfluxctlIssuerSettings, clock: Clock) -> Issuer:
    from provisioner.issuers.influxctl import InfluxctlIssuer

    return InfluxctlIssuer(
        name=name,
        command=settings.command,
        config=settings.config,
        profile=settings.profile,
        timeout=settings.timeout,
        management_api=settings.management_api,
        ca_cert=settings.ca_cert,
        environment=child_environment(),
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
        ca_cert=settings.ca_cert,
        timeout=settings.timeout,
        clock=clock,
    )


ISSUERS: Final[Mapping[str, Callable[[str, InfluxctlIssuerSettings, Clock], Issuer]]] = {
    "influxctl": _influxctl,
}
STORES: Final[Mapping[str, Callable[[str, VaultStoreSettings, Clock], Store]]] = {
    "vault": _vault,
}


def make_issuer(name: str, settings: InfluxctlIssuerSettings, clock: Clock) -> Issuer:
    """Build the issuer that the settings describe; nothing is asked of it yet."""
    return ISSUERS[settings.type](name, settings, clock)


def make_store(name: str, settings: VaultStoreSettings, clock: Clock) -> Store:
    """Build the store that the settings describe; nothing is asked of it yet."""
    return STORES[settings.type](name, settings, clock)


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
