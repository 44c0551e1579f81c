"""What really happened at a site, read afterwards from the store's versions and the cluster's state.

Both keep the moment of every change, so that nothing has to be looked at in time, and nothing is overlooked.
"""

from collections.abc import Collection
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any, Final
from uuid import uuid4

from provisioner.runtime.clock import SystemClock
from provisioner.simulators.cluster_token import ClusterToken
from tests.crash.leaks import leaks
from tests.site import Site

MOST_LIVE: Final = 3
"""What I4 allows a name; one more for each further replica."""
_ERRORS_OF_OURS: Final = ("Traceback", "is a bug", "unexpected ")


@dataclass(frozen=True, slots=True, kw_only=True)
class Version:
    """One version of a secret, and how long it was the newest."""

    written_at: datetime
    replaced_at: datetime | None
    document: dict[str, Any] = field(repr=False)

    @property
    def token_id(self) -> str | None:
        """Which token it holds; None: a reservation."""
        return self.document.get("token_id")


class Bystanders:
    """Tokens and secrets of somebody else, in the way as far as can be."""

    def __init__(self, site: Site) -> None:
        """Put them there; one of the secrets stands where the site is configured to write."""
        self._site = site
        name = site.content["tokens"][0]["name"]
        instance = site.content["instance"]
        descriptions = (
            "by hand",
            f"[provisioner/other/{name} {uuid4()}]",
            f"[provisioner/{instance}/not-configured {uuid4()}]",
            f"[provisioner/{instance}/{name} {uuid4()}] and more",
        )
        self._tokens = {
            token.token_id: token for token in (site.cluster.create(text, None)[0] for text in descriptions)
        }
        self._secrets = {"taken": {"password": "somebody else's"}, "beside": {"token": "somebody else's"}}
        for path, document in self._secrets.items():
            site.put(path, document)
        place = {"store": "vault", "path": site.path("taken")}
        site.content["tokens"].append({"name": "taken", "issuer": "cluster", "destinations": [place]})

    def are_untouched(self) -> bool:
        """Tell whether all of them are as they were (I3)."""
        now = {token.token_id: token for token in self._site.cluster.tokens()}
        return all(now.get(token_id) == token for token_id, token in self._tokens.items()) and all(
            len(versions(self._site, path)) == 1 and self._site.stored(path) == document
            for path, document in self._secrets.items()
        )


def versions(site: Site, name: str) -> tuple[Version, ...]:
    """Give every version of a name's secret, oldest first."""
    client = site.vault()
    kv, path = client.secrets.kv.v2, site.path(name)
    try:
        known = kv.read_secret_metadata(path=path, mount_point="secret")["data"]["versions"]
        numbers = sorted(int(number) for number in known)
        moments = [datetime.fromisoformat(known[str(number)]["created_time"]).astimezone(UTC) for number in numbers]
        documents = [
            kv.read_secret_version(path=path, version=number, mount_point="secret", raise_on_deleted_version=True)
            for number in numbers
        ]
    finally:
        client.session.close()
    return tuple(
        Version(written_at=moment, replaced_at=following, document=document["data"]["data"])
        for moment, following, document in zip(moments, [*moments[1:], None], documents, strict=True)
    )


def tokens_of(site: Site, name: str) -> tuple[ClusterToken, ...]:
    """Give every token that was ever made for a name."""
    mark = f"[provisioner/{site.content['instance']}/{name} "
    return tuple(token for token in site.cluster.tokens() if mark in token.description and token.description[-1] == "]")


def live(site: Site, name: str) -> set[str]:
    """Give the ids of a name's live tokens."""
    now = SystemClock().now()
    return {token.token_id for token in tokens_of(site, name) if token.is_live(now)}


def is_at_rest(site: Site, name: str) -> bool:
    """Tell whether the one live token of a name is the stored one, and works at the cluster (I2)."""
    record = site.stored(name)
    return live(site, name) == {record.get("token_id")} and site.cluster.authenticate(record["token"])


def most_live_at_once(site: Site, name: str) -> int:
    """Give how many tokens of a name ever lived at the same moment."""
    changes = []
    for token in tokens_of(site, name):
        ends = [moment for moment in (token.revoked_at, token.expires_at) if moment is not None]
        changes += [(token.created_at, 1), *((moment, -1) for moment in [min(ends, default=None)] if moment)]
    count = most = 0
    for _, change in sorted(changes):
        count += change
        most = max(most, count)
    return most


def interruptions(
    site: Site,
    name: str,
    overlap: timedelta,
    excused: Collection[str] = (),
    attended_until: datetime | None = None,
) -> list[str]:
    """Say where a stored token did not live, or a replaced one was revoked inside its overlap (I1).

    A token that ends by itself after ``attended_until``, when every daemon was told to leave, is nobody's to replace.
    """
    issued = {token.token_id: token for token in tokens_of(site, name)}
    wrong, now = [], SystemClock().now()
    past = versions(site, name)
    for version, following in zip(past, [*past[1:], None], strict=True):
        token_id = version.token_id
        if token_id is None or token_id in excused:
            continue
        token, until = issued[token_id], version.replaced_at or now
        replaced = following is not None and following.token_id != token_id
        kept = until + overlap if replaced else until
        needed_until = min(until, attended_until or until)
        if token.created_at > version.written_at or (token.expires_at or needed_until) < needed_until:
            wrong.append(f"{token_id} was stored from {version.written_at} to {until}, and lived otherwise: {token}")
        if token.revoked_at is not None and token.revoked_at < kept:
            wrong.append(f"{token_id} was stored until {until}, and was revoked at {token.revoked_at}")
    return wrong


def created_between(site: Site, name: str, begin: datetime, end: datetime) -> list[str]:
    """Give the ids of a name's tokens that were made in that time."""
    return [token.token_id for token in tokens_of(site, name) if begin <= token.created_at <= end]


def written_secrets(site: Site, *names: str) -> list[str]:
    """Name the files that hold a part of a token string (I5)."""
    strings = {version.document["token"] for name in names for version in versions(site, name) if version.token_id}
    return leaks(strings, site.folder)


def check_promises(
    site: Site,
    *names: str,
    bystanders: Bystanders,
    overlap: timedelta,
    replicas: int = 1,
    excused: Collection[str] = (),
    attended_until: datetime | None = None,
) -> None:
    """Check I1 to I5 over all that has happened, and that no error was one of ours."""
    for name in names:
        wrong = interruptions(site, name, overlap, excused, attended_until)
        most = most_live_at_once(site, name)
        assert not wrong, f"I1: {wrong}"
        assert most <= MOST_LIVE + replicas - 1, f"I4: {most} tokens of {name} lived at once"
    assert bystanders.are_untouched(), "I3: something foreign was touched"
    files = written_secrets(site, *names)
    assert not files, f"I5: a token string stands in {files}"
    errors = [line for line in site.log().splitlines() if any(sign in line for sign in _ERRORS_OF_OURS)]
    assert not errors, f"an error of ours: {errors[:3]}"
