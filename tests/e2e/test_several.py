"""One token to several destinations, by the real command: Vault and AWS in any order, read by the plain AWS CLI."""

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import closing
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from provisioner.app import opened
from provisioner.domain.events import Event, RequestMade
from provisioner.domain.model import Trigger
from provisioner.runtime.clock import SystemClock
from provisioner.simulators.openbao import OpenBao
from provisioner.simulators.secrets_manager_server import Fault, SecretsManagerServer
from tests.aws import ACCESS_KEY, REGION, SECRET_KEY, Moto, Person
from tests.site import Ran, Site, a_site

AWS = Path(sys.executable).parent / "aws"
ENVIRONMENT: dict[str, Any] = {
    "AWS_ACCESS_KEY_ID": ACCESS_KEY,
    "AWS_SECRET_ACCESS_KEY": SECRET_KEY,
    "AWS_EC2_METADATA_DISABLED": "true",
    "AWS_CONFIG_FILE": os.devnull,
    "AWS_SHARED_CREDENTIALS_FILE": os.devnull,
}
TIMES = {
    "ttl": "60s",
    "overlap": "3s",
    "verify_timeout": "2s",
    "rotation_timeout": "3s",
    "orphan_quiet_period": "4s",
}


def a_store_at(address: str) -> dict[str, Any]:
    """Give the part of a configuration for a Secrets Manager at that address."""
    return {
        "type": "aws-secrets-manager",
        "region": REGION,
        "endpoint_url": address,
        "writes_per_second": 50,
    }


def run(site: Site, *arguments: str) -> Ran:
    """Run a command of ours with credentials in its environment."""
    return site.run(*arguments, **ENVIRONMENT)


def consumer(address: str, *arguments: str) -> Any:
    """Run the AWS CLI as a consumer does, and give its answer."""
    done = subprocess.run(
        [str(AWS), "secretsmanager", *arguments, "--endpoint-url", address, "--region", REGION, "--output", "json"],
        env={"PATH": os.defpath, **ENVIRONMENT},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


def reads(address: str, path: str, stage: str = "AWSCURRENT") -> dict[str, Any]:
    """Give what a consumer of that label reads."""
    answer = consumer(address, "get-secret-value", "--secret-id", path, "--version-stage", stage)
    document: dict[str, Any] = json.loads(answer["SecretString"])
    return document


def labels(address: str, path: str) -> dict[str, str]:
    """Give the version that each label is on."""
    described = consumer(address, "describe-secret", "--secret-id", path)["VersionIdsToStages"]
    return {stage: version for version, stages in described.items() for stage in stages}


def destinations(site: Site, *places: tuple[str, dict[str, str]]) -> None:
    """Configure where the token goes: stores, and how each spells its fields."""
    site.content["tokens"][0]["destinations"] = [
        {"store": store, "path": f"{site.prefix}/{store}", "fields": fields} for store, fields in places
    ]


@pytest.fixture
def site(tmp_path: Path, openbao: OpenBao, moto: Moto, aws: SecretsManagerServer) -> Iterator[Site]:
    """Give a site with OpenBao, moto and the strict simulator as its stores."""
    site = a_site(tmp_path, openbao)
    site.content["stores"] |= {"moto": a_store_at(moto.address), "strict": a_store_at(aws.address)}
    destinations(site, ("vault", {}), ("moto", {"token": "INFLUX_TOKEN"}), ("strict", {"token": "key"}))
    yield site
    assert SECRET_KEY not in site.log()


def in_vault(site: Site) -> dict[str, Any]:
    """Give what a consumer reads in Vault."""
    return site.stored("vault")


@pytest.fixture
def person(aws: SecretsManagerServer) -> Iterator[Person]:
    """Give somebody at the strict simulator's console."""
    with closing(Person(aws.address)) as person:
        yield person


def test_vault_primary_with_two_aws_copies(site: Site, moto: Moto, aws: SecretsManagerServer) -> None:
    """After two rotations consumers of each find the token under their own name, its predecessor beside it."""
    places = ((moto.address, f"{site.prefix}/moto", "INFLUX_TOKEN"), (aws.address, f"{site.prefix}/strict", "key"))
    for command in (["once"], ["rotate", "telegraf", "--direct"]):
        assert run(site, *command).status == 0
    before = in_vault(site)
    assert run(site, "rotate", "telegraf", "--direct").status == 0
    current = in_vault(site)
    assert current["token_id"] != before["token_id"]
    for address, path, field in places:
        new, old = reads(address, path), reads(address, path, "AWSPREVIOUS")
        assert (new["token_id"], old["token_id"]) == (current["token_id"], before["token_id"])
        assert "token" not in new
        assert (new[field] == current["token"], old[field] == before["token"]) == (True, True)
        assert all(site.cluster.authenticate(found[field]) for found in (new, old)), "both work for the overlap"
        assert labels(address, path) == {"AWSCURRENT": current["rotation_id"], "AWSPREVIOUS": before["rotation_id"]}
    listed = consumer(moto.address, "list-secret-version-ids", "--secret-id", f"{site.prefix}/moto")["Versions"]
    assert len([version for version in listed if version.get("VersionStages")]) == 2
    assert len(site.cluster.tokens()) == 3
    standing = run(site, "status", "--output", "json")
    assert [place["in_sync"] for place in standing.json["tokens"][0]["destinations"]] == [True, True, True]


def test_aws_primary_with_copies_in_vault_and_aws(site: Site, moto: Moto, aws: SecretsManagerServer) -> None:
    """The other way round: what AWS holds is copied to Vault and to another Secrets Manager."""
    destinations(site, ("moto", {}), ("vault", {"token": "value"}), ("strict", {}))
    path, other = f"{site.prefix}/moto", f"{site.prefix}/strict"
    for command in (["once"], ["rotate", "telegraf", "--direct"]):
        assert run(site, *command).status == 0
    before = reads(moto.address, path)
    assert run(site, "rotate", "telegraf", "--direct").status == 0
    current, old = reads(moto.address, path), reads(moto.address, path, "AWSPREVIOUS")
    assert [current["token_id"] != before["token_id"], old == before] == [True, True]
    assert all(site.cluster.authenticate(found["token"]) for found in (current, old)), "both work for the overlap"
    assert labels(moto.address, path) == {"AWSCURRENT": current["rotation_id"], "AWSPREVIOUS": before["rotation_id"]}
    assert [in_vault(site)["value"] == current["token"], reads(aws.address, other) == current] == [True, True]
    assert labels(aws.address, other) == labels(moto.address, path)
    assert len(site.cluster.tokens()) == 3


@pytest.mark.parametrize("fault", [Fault.SLOW, Fault.DENIED], ids=["hangs", "denied"])
def test_copy_that_is_down_delays_nobody(
    site: Site, moto: Moto, aws: SecretsManagerServer, person: Person, fault: Fault
) -> None:
    """Primary and other copy are written first; it is told, holds the predecessor, and is made up for when it is up."""
    site.content["defaults"] = TIMES
    for store in ("strict", "moto"):
        site.content["stores"][store]["timeout"] = "1s"
    path, told = f"{site.prefix}/strict", list[str]()

    def watch(event: Event) -> None:
        if isinstance(event, RequestMade) and event.kind == "store":
            told.append(f"{event.backend} {event.operation}")

    destinations(site, ("vault", {}), ("strict", {}), ("moto", {}))
    with opened(site.config, watch=watch) as application, closing(Person(moto.address)) as other:
        service = application.service
        service.run_pass()
        (old,) = (token.token_id for token in site.live("telegraf"))
        for operation in ("GetSecretValue", "DescribeSecret"):
            aws.knobs.always[operation] = fault
        service.run_pass()
        told.clear()
        (rotated,) = service.rotate(service.tokens, Trigger(request_id="r"))
        assert rotated.done
        assert told.index("vault write") < told.index("moto write")
        assert "strict read" not in told[: told.index("moto write")]
        assert other.reads(f"{site.prefix}/moto")["token_id"] == rotated.token_id
        site.wait_for("a pass after the overlap", lambda: service.run_pass() and _is_over(site))
        (standing,) = service.status(service.tokens)
        assert [place.in_sync for place in standing.destinations] == [True, False, True]
        assert standing.state == "failing"
        assert [waiting.token_id for waiting in standing.awaiting_revocation] == [old]
        assert "strict" in standing.awaiting_revocation[0].why
        aws.knobs.always.clear()
        site.wait_for("its repair", lambda: service.run_pass() and person.reads(path)["token_id"] == rotated.token_id)
        site.wait_for("the predecessor's end", lambda: service.run_pass() and len(site.live("telegraf")) == 1)
    assert len(site.cluster.tokens()) == 2


def _is_over(site: Site) -> bool:
    """Tell whether the overlap of what was replaced last has ended a good while ago."""
    return SystemClock().now() - datetime.fromisoformat(in_vault(site)["stored_at"]) > timedelta(seconds=5)


def test_copy_that_was_edited_or_deleted_is_repaired(site: Site, person: Person) -> None:
    """The primary's record is put back, out of the recovery window too, and nothing is minted for it."""
    path = f"{site.prefix}/strict"
    assert run(site, "once").status == 0
    held = person.reads(path)
    person.put(path, held | {"key": "nobody's"})
    assert run(site, "once").status == 0
    assert person.reads(path) == held, "the edit stands"
    person.delete(path)
    assert run(site, "once").status == 0
    assert person.reads(path) == held, "it was not restored"
    assert len(site.cluster.tokens()) == 1


def test_destination_is_added_and_taken_away(site: Site, person: Person) -> None:
    """A new one is filled with the token that there is; one that is configured no more is left as it is."""
    destinations(site, ("vault", {}))
    assert run(site, "once").status == 0
    destinations(site, ("vault", {}), ("strict", {"token": "key"}))
    assert run(site, "once").status == 0
    assert person.reads(f"{site.prefix}/strict")["key"] == in_vault(site)["token"], "it holds something else"
    assert len(site.cluster.tokens()) == 1
    destinations(site, ("vault", {}))
    assert run(site, "rotate", "telegraf", "--direct").status == 0
    assert person.reads(f"{site.prefix}/strict")["token_id"] != in_vault(site)["token_id"]
    (standing,) = run(site, "status", "--output", "json").json["tokens"]
    assert (standing["state"], len(standing["destinations"])) == ("ok", 1)


def test_foreign_secret_at_a_copy_blocks_nobody(site: Site, person: Person, moto: Moto) -> None:
    """It stays as it is and is told; the primary and the other copy get every token."""
    path = f"{site.prefix}/strict"
    person.put(path, {"password": "hunter2"})
    run(site, "once")
    assert run(site, "rotate", "telegraf", "--direct").status == 0
    assert person.reads(path) == {"password": "hunter2"}
    assert reads(moto.address, f"{site.prefix}/moto")["token_id"] == in_vault(site)["token_id"]
    status = run(site, "status", "--output", "json")
    (standing,) = status.json["tokens"]
    assert status.status == 1
    assert standing["state"] == "failing"
    assert "not ours" in standing["reason"]
    assert [place["in_sync"] for place in standing["destinations"]] == [True, True, False]
    assert "hunter2" not in site.log()
