"""A bare token end to end: the real command, a real OpenBao, its own client, and AWS as moto plays it."""

import os
import subprocess
import sys
from hashlib import sha256
from pathlib import Path

import pytest

from provisioner.app import opened
from provisioner.domain.mark import OWNER_TAG
from provisioner.domain.model import Trigger
from tests.aws import ACCESS_KEY, REGION, SECRET_KEY, Moto
from tests.bare import in_aws
from tests.builders import uid
from tests.site import Ran, Site, a_site_on

BAO = Path(sys.executable).parent / "bao"


def consumed(site: Site) -> str:
    """Give what a consumer gets of OpenBao's own client."""
    done = subprocess.run(
        [str(BAO), "kv", "get", "-mount=secret", "-field=token", site.path("telegraf")],
        env={
            "PATH": os.defpath,
            "HOME": str(site.folder),
            "BAO_ADDR": site.bao.address,
            "BAO_TOKEN": site.bao.root_token.reveal(),
        },
        capture_output=True,
        text=True,
        timeout=30,
        check=True,
    )
    return done.stdout.removesuffix("\n")


def digest_of(token: str) -> str:
    """Give what both the slot and the simulated cluster know a token by."""
    return sha256(token.encode()).hexdigest()


def reconcile(site: Site) -> None:
    """Make one pass with the configuration as it is now."""
    with opened(site.config) as application:
        application.service.run_pass()


def run(site: Site, *arguments: str) -> Ran:
    """Run a command, with credentials for AWS in its environment."""
    return site.run(
        *arguments,
        AWS_ACCESS_KEY_ID=ACCESS_KEY,
        AWS_SECRET_ACCESS_KEY=SECRET_KEY,
        AWS_EC2_METADATA_DISABLED="true",
    )


def rotate(site: Site, number: int) -> Ran:
    """Rotate once."""
    return run(site, "rotate", "telegraf", "--direct", "--request-id", uid(number))


def assert_untold(site: Site, *tokens: str) -> None:
    """Check that no output has a token or its digest."""
    for token in tokens:
        assert token not in site.log()
        assert digest_of(token) not in site.log()


def test_bare_token_in_vault(site: Site) -> None:
    """Provisioned and rotated twice, consumers read the bare string each time, and nothing is told of it."""
    site.content["tokens"][0]["destinations"][0]["format"] = "raw"
    assert site.run("once").status == 0
    tokens = [consumed(site)]
    for number in (1, 2):
        assert rotate(site, number).status == 0
        tokens.append(consumed(site))
    with opened(site.config) as application:  # the same request again rotates nothing
        application.service.rotate(application.service.tokens, Trigger(request_id=uid(1)))
    assert consumed(site) == tokens[-1]
    assert site.stored("telegraf") == {"token": tokens[-1]}
    assert len(set(tokens)) == 3
    assert digest_of(tokens[-1]) in {token.digest for token in site.live("telegraf")}
    assert_untold(site, *tokens)


def test_format_changes_without_a_new_token(site: Site) -> None:
    """Another format in the configuration rewrites the record, there and back, and mints nothing."""
    place = site.content["tokens"][0]["destinations"][0]
    reconcile(site)
    token = site.stored("telegraf")["token"]
    place["format"] = "raw"
    reconcile(site)
    assert site.stored("telegraf") == {"token": token}
    place["format"] = "json"
    reconcile(site)
    assert site.stored("telegraf")["token"] == token
    assert "token_id" in site.stored("telegraf")
    assert len(site.live("telegraf")) == 1


def test_edited_string_is_replaced(site: Site) -> None:
    """A string that somebody wrote in the token's place is replaced by a new token; lost fields, too."""
    site.content["tokens"][0]["destinations"][0]["format"] = "raw"
    reconcile(site)
    first = site.stored("telegraf")["token"]
    site.put("telegraf", {"token": "mistyped by somebody"})
    reconcile(site)
    second = site.stored("telegraf")["token"]
    assert second not in {first, "mistyped by somebody"}
    assert digest_of(second) in {token.digest for token in site.live("telegraf")}


def test_bare_token_on_aws(tmp_path: Path, moto: Moto) -> None:
    """On AWS the value is the token itself, the tags name the owner, and no output shows one."""
    store = {"type": "aws-secrets-manager", "region": REGION, "endpoint_url": moto.address, "writes_per_second": 50}
    site = a_site_on(tmp_path, store)
    site.content["tokens"][0]["destinations"][0]["format"] = "raw"
    with in_aws(moto.address) as person:
        assert run(site, "once").status == 0
        first = person.consumed(site.path("telegraf"))
        assert rotate(site, 1).status == 0
        second = person.consumed(site.path("telegraf"))
        assert person.beside(site.path("telegraf"))[OWNER_TAG] == "provisioner/e2e/telegraf"
    assert first is not None
    assert second is not None
    assert {digest_of(first), digest_of(second)} == {token.digest for token in site.live("telegraf")}
    assert_untold(site, first, second)


@pytest.mark.parametrize("primary", ["json", "raw"])
def test_one_token_in_both_formats(site: Site, primary: str) -> None:
    """JSON with a static field and the bare string hold the same token; who edits the copy has it put right."""
    formats = [primary, "raw" if primary == "json" else "json"]
    token = site.content["tokens"][0]
    token["destinations"] = [
        {"store": "vault", "path": site.path(f"telegraf-{each}"), "format": each} for each in formats
    ]
    token["extra"] = {"url": "https://cluster-host"}
    reconcile(site)
    first = site.stored("telegraf-raw")["token"]
    with opened(site.config) as application:
        application.service.rotate(application.service.tokens, Trigger(request_id=uid(1)))
    second = site.stored("telegraf-raw")["token"]
    assert second != first
    assert site.stored("telegraf-raw") == {"token": second}
    assert (site.stored("telegraf-json")["token"], site.stored("telegraf-json")["url"]) == (
        second,
        "https://cluster-host",
    )
    site.put(f"telegraf-{formats[1]}", site.stored(f"telegraf-{formats[1]}") | {"token": "mistyped by somebody"})
    reconcile(site)
    assert {site.stored(f"telegraf-{each}")["token"] for each in formats} == {second}
    assert len(site.live("telegraf")) == 2
