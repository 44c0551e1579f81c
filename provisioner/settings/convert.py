"""From the file's shape to the domain's types: defaults filled in, durations and windows made of texts."""

from collections.abc import Iterator, Mapping
from datetime import timedelta
from typing import Final, TypeVar
from zoneinfo import ZoneInfo

from provisioner.domain.consumers import OnRotate, Webhook, Workload, WorkloadKind
from provisioner.domain.mark import Owner
from provisioner.domain.model import Destination, Format, ManagedToken, Permission
from provisioner.settings.consumers import OnRotateSettings
from provisioner.settings.model import (
    Defaults,
    DestinationSettings,
    IssuerSection,
    StoreSection,
    TokenSettings,
    WindowSettings,
)
from provisioner.settings.windows import CronWindow

ROTATE_AT: Final = 0.66

T = TypeVar("T")


def managed_token(
    instance: str,
    token: TokenSettings,
    defaults: Defaults,
    drift_interval: timedelta,
    stores: Mapping[str, StoreSection],
    *,
    credential_of: tuple[str, ...] = (),
) -> ManagedToken:
    """Give one token with its defaults filled in."""
    rotate_at, rotate_before = _rotation_point(token, defaults)
    destinations = tuple(_destination(place, token.extra, stores) for place in token.destinations)
    overlap = _chosen(token.overlap, defaults.overlap)
    return ManagedToken(
        owner=Owner(instance, token.name),
        issuer=token.issuer,
        description=token.description,
        ttl=_chosen(token.ttl, defaults.ttl),
        rotate_at=rotate_at,
        rotate_before=rotate_before,
        overlap=overlap.min,
        until_rolled_out=overlap.max if any(each.restart for each in token.on_rotate) else None,
        verify_timeout=_chosen(token.verify_timeout, defaults.verify_timeout),
        rotation_timeout=_chosen(token.rotation_timeout, defaults.rotation_timeout),
        orphan_quiet_period=_chosen(token.orphan_quiet_period, defaults.orphan_quiet_period),
        drift_interval=drift_interval,
        window=None if token.window is None else _window(token.window),
        labels=token.labels,
        permissions=frozenset(
            Permission(action=wanted.action, resource=wanted.resource) for wanted in token.permissions
        ),
        credential_of=credential_of,
        destinations=destinations,
        on_rotate=tuple(follower for each in token.on_rotate for follower in _on_rotate(each)),
    )


def _on_rotate(each: OnRotateSettings) -> Iterator[OnRotate]:
    """Give what follows a rotation: of the two keys one is set."""
    restart, webhook = each.restart, each.webhook
    if restart is not None:
        yield Workload(kind=WorkloadKind(restart.kind), namespace=restart.namespace, name=restart.name)
    if webhook is not None:
        yield Webhook(url=webhook.url, key=webhook.hmac_key.source(), ca_cert=webhook.ca_cert)


def issuers_called_with(name: str, issuers: Mapping[str, IssuerSection]) -> tuple[str, ...]:
    """Name the issuers whose credential that token is."""
    return tuple(issuer for issuer, settings in issuers.items() if settings.called_with == name)


def _destination(
    place: DestinationSettings, extra: Mapping[str, str], stores: Mapping[str, StoreSection]
) -> Destination:
    """Give one place; the static fields stand in JSON alone."""
    return Destination(
        store=place.store,
        path=place.path,
        fields=place.fields,
        extra={} if place.format == "raw" else extra,
        adopt=place.adopt,
        has_reader=place.store in stores and stores[place.store].has_reader,
        format=Format(place.format),
    )


def _rotation_point(token: TokenSettings, defaults: Defaults) -> tuple[float | None, timedelta | None]:
    """Take the token's own word, of either kind, before the defaults'."""
    for level in (token, defaults):
        if level.rotate_before is not None:
            return None, level.rotate_before
        if level.rotate_at is not None:
            return level.rotate_at, None
    return ROTATE_AT, None


def _window(window: WindowSettings) -> CronWindow:
    return CronWindow(cron=window.cron, duration=window.duration, timezone=ZoneInfo(window.timezone))


def _chosen(own: T | None, default: T) -> T:
    return default if own is None else own
