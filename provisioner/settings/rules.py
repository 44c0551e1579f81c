"""What is refused although every key by itself is right: each with its reason and the remedy."""

from collections.abc import Collection, Iterator, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from typing import Final

from provisioner.domain.model import ManagedToken
from provisioner.domain.record import RECORD_FIELDS
from provisioner.domain.timing import rotation_margin
from provisioner.settings.aws_rules import aws_problems
from provisioner.settings.convert import managed_token
from provisioner.settings.durations import write_duration
from provisioner.settings.issuer_rules import issuer_problems
from provisioner.settings.model import (
    AwsStoreSettings,
    Defaults,
    DestinationSettings,
    IssuerSection,
    StoreSection,
    TokenSettings,
)
from provisioner.settings.raw_rules import raw_problems

_SAMPLES: Final = 53
_FIRST_SAMPLE: Final = datetime(2026, 1, 1, tzinfo=UTC)
_SAMPLE_STEP: Final = timedelta(days=7, hours=5, minutes=17)


def problems(
    issuers: Mapping[str, IssuerSection],
    stores: Mapping[str, StoreSection],
    tokens: Sequence[TokenSettings],
    defaults: Defaults,
) -> Iterator[str]:
    """Give a line for everything that is wrong between the keys."""
    yield from _names(tokens)
    yield from _references(issuers, stores, tokens)
    yield from issuer_problems(issuers, tokens)
    yield from _shared_places(tokens)
    yield from _both_points("defaults", defaults.rotate_at, defaults.rotate_before)
    for token in tokens:
        key = f"tokens[{token.name}]"
        yield from _both_points(key, token.rotate_at, token.rotate_before)
        for index, place in enumerate(token.destinations):
            yield from _fields(f"{key}.destinations[{index}]", place, token.extra)
        yield from raw_problems(key, token, stores)
        yield from _followers(key, token)
        managed = managed_token("x", token, defaults, timedelta(minutes=15), stores)
        yield from policy_problems(key, managed)
        for index, place in enumerate(token.destinations):
            store = stores.get(place.store)
            if isinstance(store, AwsStoreSettings):
                yield from aws_problems(key, index, place, store, managed)


def policy_problems(key: str, token: ManagedToken) -> Iterator[str]:
    """Give what makes a token's times impossible to keep."""
    margin = rotation_margin(token, token.ttl)
    overlap, named = token.longest_overlap, "overlap" if token.until_rolled_out is None else "overlap.max"
    need = margin + overlap + token.rotation_timeout
    words = ", ".join(
        f"{name} {write_duration(value)}"
        for name, value in (
            ("ttl", token.ttl),
            ("margin", margin),
            (named, overlap),
            ("rotation_timeout", token.rotation_timeout),
        )
    )
    if need > token.ttl:
        remedy = "lengthen ttl or shorten the others"
        yield f"{key}.ttl: cannot hold margin + {named} + rotation_timeout ({words}): {remedy}"
    elif margin < overlap:
        point = "rotate_before" if token.rotate_before else "rotate_at"
        remedy = f"rotate earlier or shorten {named}"
        yield f"{key}.{point}: the old token would expire before its overlap ends ({words}): {remedy}"
    elif token.window is not None and not _window_opens_in_time(token, margin):
        why = "does not always open between the rotation point and the expiry"
        yield f"{key}.window: {why} ({words}): open it more often"
    if token.orphan_quiet_period <= token.rotation_timeout:
        quiet, timeout = write_duration(token.orphan_quiet_period), write_duration(token.rotation_timeout)
        why = f"{quiet} must be longer than rotation_timeout ({timeout})"
        yield f"{key}.orphan_quiet_period: {why}, or a rotation under way would be swept"


def _window_opens_in_time(token: ManagedToken, margin: timedelta) -> bool:
    """Try due moments over a year: each must see an opening while rotation and overlap still fit."""
    if token.window is None:
        return True
    patience = margin - token.longest_overlap - token.rotation_timeout
    for index in range(_SAMPLES):
        due = _FIRST_SAMPLE + index * _SAMPLE_STEP
        opening = token.window.next_opening(due)
        if opening is None or opening > due + patience:
            return False
    return True


def _names(tokens: Sequence[TokenSettings]) -> Iterator[str]:
    names = [token.name for token in tokens]
    for name in sorted({name for name in names if names.count(name) > 1}):
        yield f"tokens[{name}].name: {names.count(name)} tokens have this name: give each its own"


def _references(issuers: Collection[str], stores: Collection[str], tokens: Sequence[TokenSettings]) -> Iterator[str]:
    for token in tokens:
        if token.issuer not in issuers:
            yield f"tokens[{token.name}].issuer: no issuer is named {token.issuer!r}; there are: {', '.join(issuers)}"
        for index, place in enumerate(token.destinations):
            if place.store not in stores:
                key = f"tokens[{token.name}].destinations[{index}].store"
                yield f"{key}: no store is named {place.store!r}; there are: {', '.join(stores)}"


def _shared_places(tokens: Sequence[TokenSettings]) -> Iterator[str]:
    first: dict[tuple[str, str], str] = {}
    for token in tokens:
        for index, place in enumerate(token.destinations):
            key = f"tokens[{token.name}].destinations[{index}]"
            before = first.setdefault((place.store, place.path), key)
            if before != key:
                where = f"{place.store}:{place.path}"
                yield f"{key}: {where} is the destination of {before} already: two tokens cannot share one"


def _both_points(key: str, rotate_at: float | None, rotate_before: timedelta | None) -> Iterator[str]:
    if rotate_at is not None and rotate_before is not None:
        yield f"{key}.rotate_at: stands beside rotate_before: keep one of them"


def _followers(key: str, token: TokenSettings) -> Iterator[str]:
    """Give what is wrong with what follows a rotation."""
    restarts = [each.restart for each in token.on_rotate if each.restart is not None]
    if token.overlap is not None and token.overlap.until is not None and not restarts:
        yield f"{key}.overlap.until: there is no restart in on_rotate whose roll-out could be waited for: add one"
    seen = [f"{each.kind} {each.namespace or '(own)'}/{each.name}" for each in restarts]
    for name in sorted({name for name in seen if seen.count(name) > 1}):
        yield f"{key}.on_rotate: restarts {name} {seen.count(name)} times: keep one of them"
    urls = [each.webhook.url for each in token.on_rotate if each.webhook is not None]
    if len(set(urls)) < len(urls):
        yield f"{key}.on_rotate: tells one webhook twice: keep one of them"


def _fields(key: str, place: DestinationSettings, extra: Mapping[str, str]) -> Iterator[str]:
    for name in place.fields:
        if name not in RECORD_FIELDS:
            yield f"{key}.fields.{name}: is not a field of ours; there are: {', '.join(RECORD_FIELDS)}"
    for name, mapped in place.fields.items():
        if mapped != name and mapped in RECORD_FIELDS:
            yield f"{key}.fields.{name}: {mapped!r} is the name of another field of ours: choose another name"
    written = [place.fields.get(name, name) for name in RECORD_FIELDS]
    for name in sorted({name for name in written if written.count(name) > 1}):
        yield f"{key}.fields: two fields would be written as {name!r}: give each its own name"
    for name in sorted(set(extra) & (set(written) | set(RECORD_FIELDS))):
        yield f"{key}: the static field extra.{name} would hide one of ours: rename it"
