"""What ``format: raw`` has no place for, refused before anything is minted."""

from collections.abc import Iterator, Mapping
from typing import Final

from provisioner.settings.model import AwsStoreSettings, StoreSection, TokenSettings, VaultStoreSettings

MOST_TAGS: Final = 20
"""Of 50 that AWS takes: our own one, and room for three slots of nine, stay free."""


def raw_problems(key: str, token: TokenSettings, stores: Mapping[str, StoreSection]) -> Iterator[str]:
    """Give a line for everything that a bare token cannot have."""
    if token.extra and all(place.format == "raw" for place in token.destinations):
        yield f"{key}.extra: is stored in JSON, and every destination has format raw: leave it out"
    for index, place in enumerate(token.destinations):
        if place.format != "raw":
            continue
        where, store = f"{key}.destinations[{index}]", stores.get(place.store)
        if store is not None and not store.has_raw:
            yield f"{where}.format: stores of type {store.type} hold JSON alone: leave it out"
        is_aws = isinstance(store, AwsStoreSettings)
        named = place.fields if store is None or isinstance(store, AwsStoreSettings | VaultStoreSettings) else {}
        for name in sorted(set(named) - (set() if is_aws else {"token"})):
            allowed = "in AWS the value is the token itself" if is_aws else "only token has a name there"
            yield f"{where}.fields.{name}: has no place in format raw, {allowed}: leave it out"
        if isinstance(store, AwsStoreSettings) and len(store.tags) > MOST_TAGS:
            yield f"{where}.format: raw needs room among AWS's 50 tags: give store {place.store} at most {MOST_TAGS}"
