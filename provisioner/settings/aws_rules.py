"""What AWS Secrets Manager does not take of a configuration, refused before anything is minted."""

import json
import re
from collections.abc import Iterator
from datetime import timedelta
from typing import Final

from provisioner.domain.model import ManagedToken
from provisioner.domain.timing import LARGEST_OFFSET, rotation_margin
from provisioner.settings.durations import write_duration
from provisioner.settings.model import AwsStoreSettings, DestinationSettings

SHORTEST_CADENCE: Final = timedelta(minutes=15)
"""AWS asks for at most one write of a secret in ten minutes; a fence may come on top of a rotation."""
LARGEST_EXTRA: Final = 60_000
"""Bytes: AWS takes 65,536 for everything."""
_NAME: Final = re.compile(r"[a-zA-Z0-9/_+=.@-]{1,512}")


def aws_problems(
    key: str, index: int, place: DestinationSettings, store: AwsStoreSettings, token: ManagedToken
) -> Iterator[str]:
    """Give a line for everything that is wrong with one destination in AWS."""
    where = f"{key}.destinations[{index}]"
    if _NAME.fullmatch(place.path) is None:
        yield f"{where}.path: AWS takes letters, digits and /_+=.@- as a secret's name, at most 512 of them"
    size = len(json.dumps(dict(token.destinations[index].extra)).encode())
    if size > LARGEST_EXTRA:
        yield f"{where}: extra has {size:,} bytes, and AWS takes 65,536 for the whole value: shorten it"
    cadence = token.ttl - rotation_margin(token, token.ttl) * (1 + LARGEST_OFFSET)
    if store.endpoint_url is None and cadence < SHORTEST_CADENCE:
        often, least = write_duration(max(cadence, timedelta(0))), write_duration(SHORTEST_CADENCE)
        yield (
            f"{key}.ttl: would be rotated every {often}, and AWS allows no less than {least} for long: lengthen ttl or"
            " rotate later (only an emulator, with endpoint_url, takes more)"
        )
