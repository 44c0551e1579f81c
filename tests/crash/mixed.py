"""Every kind of issuer and both stores in one configuration, called with credentials that rotate with all the rest.

``python -m tests.crash.mixed SECONDS`` runs it for as long as wanted, on servers of its own, and tells of it.
"""

import os
import signal
import sys
from collections import Counter
from collections.abc import Callable, Mapping
from contextlib import ExitStack, closing
from dataclasses import dataclass, field
from datetime import timedelta
from functools import partial
from json import loads
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, Final

import botocore.exceptions
import hvac

from provisioner.runtime.clock import SystemClock
from provisioner.simulators.management_api import ManagementApi
from tests.aws import ACCESS_KEY, REGION, SECRET_KEY, Moto, Person
from tests.crash.durable_openbao import DurableOpenBao
from tests.crash.history import (
    MOST_LIVE,
    Bystanders,
    check_promises,
    interruptions,
    is_at_rest,
    live,
    most_live_at_once,
    tokens_of,
)
from tests.site import Site, a_site

IN_VAULT: Final = ("root", "telegraf", "grafana", "core-root")
"""Names whose primary is in OpenBao: every version of those can be read afterwards."""
IN_AWS: Final = ("agent", "loader", "core-agent")
NAMES: Final = (*IN_VAULT, *IN_AWS)
OVERLAP: Final = timedelta(seconds=3)
LIVES: Final = {
    "ttl": "30s",
    "rotate_at": 0.4,
    "overlap": f"{OVERLAP.seconds}s",
    "verify_timeout": "8s",
    "rotation_timeout": "8s",
    "orphan_quiet_period": "10s",
}
AWS_ENVIRONMENT: Final[dict[str, Any]] = {
    "AWS_ACCESS_KEY_ID": ACCESS_KEY,
    "AWS_SECRET_ACCESS_KEY": SECRET_KEY,
    "AWS_EC2_METADATA_DISABLED": "true",
    "AWS_CONFIG_FILE": os.devnull,
    "AWS_SHARED_CREDENTIALS_FILE": os.devnull,
}
_ISSUER_OF: Final[Mapping[str, str]] = {
    "root": "cluster",
    "telegraf": "cluster",
    "agent": "cluster",
    "grafana": "databases",
    "loader": "databases",
    "core-root": "core",
    "core-agent": "core",
}
_PERMISSIONS: Final[Mapping[str, list[dict[str, str]]]] = {
    "grafana": [{"action": "read", "resource": "weather"}],
    "loader": [{"action": "write", "resource": "weather"}],
}
_LOOK_EVERY: Final = timedelta(milliseconds=100)
_TRIES_TO_REST: Final = 30
_FIRST_WITHIN: Final = 60.0
_PATIENCE: Final = 180.0


@dataclass(slots=True)
class Seen:
    """What was seen of it."""

    looks: int = 0
    judged: int = 0
    """Looks between which the stored token did not change, so that it had to work."""
    wrong: list[str] = field(default_factory=list)
    rotations: Counter[str] = field(default_factory=Counter)
    revocations: Counter[str] = field(default_factory=Counter)


@dataclass(frozen=True, slots=True, kw_only=True)
class Stage:
    """A site, and how consumers read each name."""

    site: Site
    read: Mapping[str, Callable[[], dict[str, Any]]]


def run_mixed(stage: Stage, seconds: float, *, each: int = 0) -> Seen:
    """Run the daemon for that long and look on; afterwards bring everything to rest, and check all that happened.

    On a machine that is busy it is run for longer, until each name has been rotated so many times.
    """
    site, seen, clock = stage.site, Seen(), SystemClock()
    bystanders = Bystanders(site)
    with site.daemon(**AWS_ENVIRONMENT) as process:
        site.wait_for("tokens", lambda: all(map(partial(_is_stored, stage), NAMES)), _FIRST_WITHIN)
        until = clock.monotonic() + seconds
        while clock.monotonic() < until or (clock.monotonic() < until + _PATIENCE and not _rotated(site, each)):
            for name in NAMES:
                _look(stage, name, seen)
            assert process.poll() is None, f"the daemon has ended:\n{site.log()[-3000:]}"
            clock.sleep(_LOOK_EVERY)
        attended_until = clock.now()
        process.send_signal(signal.SIGTERM)
        assert process.wait(30) == 0
    _count(site, seen)
    check_promises(site, *IN_VAULT, bystanders=bystanders, overlap=OVERLAP, attended_until=attended_until)
    crowded = {name: most for name in IN_AWS if (most := most_live_at_once(site, name)) > MOST_LIVE}
    assert not crowded, f"I4: {crowded}"
    unattended = {stage.read[name]()["token_id"] for name in NAMES}  # these may end before anybody starts again
    _bring_to_rest(stage)
    wrong = [line for name in IN_VAULT for line in interruptions(site, name, OVERLAP, unattended)]
    assert not wrong, f"I1: {wrong}"
    return seen


def a_mixed_stage(folder: Path, stack: ExitStack) -> Stage:
    """Start every server, and give a site whose initial credentials a person has put where the configuration says."""
    bao, moto = stack.enter_context(DurableOpenBao()), stack.enter_context(Moto())
    secrets = Path(stack.enter_context(TemporaryDirectory(prefix="provisioner-initial-")))
    site = a_site(folder, bao, *NAMES, defaults=LIVES)
    api = stack.enter_context(ManagementApi(site.cluster))
    site.cluster.set(guarded=True)
    site.content["stores"]["aws"] = {
        "type": "aws-secrets-manager",
        "region": REGION,
        "endpoint_url": moto.address,
        "writes_per_second": 50,
    }
    site.content["issuers"] = _issuers(site, api, secrets)
    site.content["tokens"] = [_token(site, name) for name in NAMES]
    person, client = stack.enter_context(closing(Person(moto.address))), site.vault()
    stack.callback(client.session.close)
    in_vault = {name: partial(_read_in_vault, client, site.path(name)) for name in IN_VAULT}
    in_aws = {name: partial(person.reads, site.path(name)) for name in IN_AWS}
    return Stage(site=site, read={**in_vault, **in_aws})


def _issuers(site: Site, api: ManagementApi, secrets: Path) -> dict[str, Any]:
    """Give one issuer of each kind; those of the cluster are called with ``root``, InfluxDB 3 with ``core-root``."""
    profile, operator = secrets / "config.toml", secrets / "operator"
    for file in (profile, operator):
        file.touch(mode=0o600)
    profile.write_text(
        f'[[profile]]\nname = "default"\nproduct = "clustered"\nhost = "127.0.0.1"\nport = "443"\n'
        f'mgmt_token = "{site.cluster.operator("management")}"\n'
    )
    operator.write_text(site.cluster.operator("admin"))
    cluster = site.content["issuers"]["cluster"] | {
        "config": str(profile),
        "management_api": api.url,
        "credential": "root",
    }
    databases = {
        "type": "influxdb-management-api",
        "url": api.url,
        "query_url": api.query_url,
        "credential": "root",
    }
    core = {"type": "influxdb3", "url": api.influxdb3, "auth": {"file": str(operator)}, "credential": "core-root"}
    return {"cluster": cluster, "databases": databases, "core": core}


def _token(site: Site, name: str) -> dict[str, Any]:
    """Give one token's part of the configuration; the first of each store is copied to the other one."""
    stores = ["vault", "aws"] if name in IN_VAULT else ["aws", "vault"]
    copied = name in {IN_VAULT[0], IN_AWS[0]}
    places = [{"store": store, "path": site.path(name)} for store in stores[: 1 + copied]]
    permissions = {"permissions": _PERMISSIONS[name]} if name in _PERMISSIONS else {}
    return {"name": name, "issuer": _ISSUER_OF[name], "destinations": places, **permissions}


def _read_in_vault(client: hvac.Client, path: str) -> dict[str, Any]:
    answer = client.secrets.kv.v2.read_secret_version(path=path, mount_point="secret", raise_on_deleted_version=True)
    document: dict[str, Any] = answer["data"]["data"]
    return document


def _is_stored(stage: Stage, name: str) -> bool:
    try:
        return "token" in stage.read[name]()
    except (hvac.exceptions.InvalidPath, botocore.exceptions.ClientError):
        return False


def _look(stage: Stage, name: str, seen: Seen) -> None:
    """Judge the stored token, if it is the same before and after it was tried."""
    before = stage.read[name]()
    works = stage.site.cluster.authenticate(before["token"])
    count = len(live(stage.site, name))
    seen.looks += 1
    if count > MOST_LIVE:
        seen.wrong.append(f"{count} tokens of {name} live")
    if stage.read[name]()["token_id"] == before["token_id"]:
        seen.judged += 1
        if not works:
            seen.wrong.append(f"the stored token {before['token_id']} of {name} does not work")


def _rotated(site: Site, each: int) -> bool:
    """Tell whether each name has been rotated, and a predecessor of it revoked, so many times."""
    seen = Seen()
    _count(site, seen)
    return all(min(seen.rotations[name], seen.revocations[name]) >= each for name in NAMES)


def _count(site: Site, seen: Seen) -> None:
    """Count what the log tells, by name."""
    for line in site.log().splitlines():
        if line.startswith("{"):
            entry = loads(line)
            seen.rotations[entry.get("name", "")] += entry["event"] == "rotation_finished"
            seen.revocations[entry.get("name", "")] += entry["event"] == "token_revoked"


def _bring_to_rest(stage: Stage) -> None:
    """Reconcile until one token of each name lives; one that is still due is replaced by one that is not for long."""
    site = stage.site
    site.content["defaults"] = LIVES | {"ttl": "1h"}
    for _ in range(_TRIES_TO_REST):
        if all(is_at_rest(site, name) for name in IN_VAULT) and all(_rests_in_aws(stage, name) for name in IN_AWS):
            return
        site.run("once", **AWS_ENVIRONMENT)
    left = {name: len(live(site, name)) for name in NAMES}
    made = {name: len(tokens_of(site, name)) for name in NAMES}
    raise AssertionError(f"no rest, live {left} of {made}:\n{site.log()[-3000:]}")


def _rests_in_aws(stage: Stage, name: str) -> bool:
    record = stage.read[name]()
    return live(stage.site, name) == {record["token_id"]} and stage.site.cluster.authenticate(record["token"])


def main() -> None:
    """Run it by itself."""
    with ExitStack() as stack:
        folder = Path(stack.enter_context(TemporaryDirectory(prefix="provisioner-mixed-")))
        seen = run_mixed(a_mixed_stage(folder, stack), float(sys.argv[1]))
        sys.stdout.write(f"{seen}\n")


if __name__ == "__main__":
    main()
