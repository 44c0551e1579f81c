"""Whole rotations into AWS Secrets Manager: what they cost, and that nobody is shown a token on the way."""

from contextlib import closing
from pathlib import Path
from typing import Any

from provisioner.app import opened
from provisioner.domain.model import Trigger
from provisioner.simulators.secrets_manager_server import Fault, SecretsManagerServer
from tests.aws import ACCESS_KEY, REGION, SECRET_KEY, Moto, Person
from tests.site import Ran, Site, a_site_on

COMMIT = ["PutSecretValue", "GetSecretValue", "UpdateSecretVersionStage", "UpdateSecretVersionStage"]


def settings(address: str) -> dict[str, Any]:
    """Give the store's part of a configuration."""
    return {"type": "aws-secrets-manager", "region": REGION, "endpoint_url": address, "writes_per_second": 50}


def run(site: Site, *arguments: str) -> Ran:
    """Run a command with credentials in its environment."""
    return site.run(
        *arguments,
        AWS_ACCESS_KEY_ID=ACCESS_KEY,
        AWS_SECRET_ACCESS_KEY=SECRET_KEY,
        AWS_EC2_METADATA_DISABLED="true",
    )


def test_requests_of_a_whole_rotation(tmp_path: Path, aws: SecretsManagerServer) -> None:
    """Three for a new secret besides the look that finds nothing; six for a rotation, three of them writing."""
    site = a_site_on(tmp_path, settings(aws.address))
    with opened(site.config) as application:
        service = application.service
        service.run_pass()
        assert aws.requests == ["GetSecretValue", "DescribeSecret", "CreateSecret", "GetSecretValue"]
        aws.requests.clear()
        service.run_pass()
        assert aws.requests == ["GetSecretValue"]
        aws.requests.clear()
        service.rotate(service.tokens, Trigger(request_id="r"))
        assert aws.requests == ["GetSecretValue", *COMMIT, "GetSecretValue"]


def test_rotation_whose_promotion_gets_no_answer_is_found_to_have_landed(
    tmp_path: Path, aws: SecretsManagerServer
) -> None:
    """After the one request whose outcome matters is lost, the secret is read, and nothing is written again."""
    site = a_site_on(tmp_path, settings(aws.address))
    with opened(site.config) as application:
        service = application.service
        service.run_pass()
        aws.knobs.queues["UpdateSecretVersionStage"] = [Fault.CUT_AFTER]
        aws.requests.clear()
        service.rotate(service.tokens, Trigger(request_id="r"))
        assert aws.requests[:5] == ["GetSecretValue", *COMMIT[:3], "GetSecretValue"]
        assert "PutSecretValue" not in aws.requests[5:]
    with closing(Person(aws.address)) as person:
        assert person.reads(site.path("telegraf"))["request_id"] == "r"
    assert len(site.live("telegraf")) == 2


def test_orphan_is_fenced_off_before_it_is_revoked(tmp_path: Path, aws: SecretsManagerServer) -> None:
    """A rotation whose promotion may land yet is given up, fenced off, and its late promotion fails."""
    times = {"ttl": "60s", "overlap": "2s", "verify_timeout": "1s", "rotation_timeout": "1s"}
    site = a_site_on(tmp_path, settings(aws.address), defaults=times | {"orphan_quiet_period": "2s"})
    with opened(site.config) as application:
        service = application.service
        service.run_pass()
        aws.knobs.always["UpdateSecretVersionStage"] = Fault.LATE
        service.rotate(service.tokens, Trigger(request_id="r"))
        aws.knobs.always.clear()
        site.wait_for("the orphan's end", lambda: service.run_pass() is None or len(site.live("telegraf")) == 1)
        assert {ended for ended in aws.deliver() if ended == "landed"} == set()
    with closing(Person(aws.address)) as person:
        stored = person.reads(site.path("telegraf"))
    assert "request_id" not in stored
    assert [token.token_id for token in site.live("telegraf")] == [stored["token_id"]]


def test_commands_on_aws(tmp_path: Path, moto: Moto) -> None:
    """The commands provision and rotate, consumers read the token, and no output shows one in any detail."""
    site = a_site_on(tmp_path, settings(moto.address))
    with closing(Person(moto.address)) as person:
        assert run(site, "check").status == 0
        assert run(site, "once").status == 0
        first = person.reads(site.path("telegraf"))
        assert run(site, "rotate", "telegraf", "--direct").status == 0
        second = person.reads(site.path("telegraf"))
        assert person.reads(site.path("telegraf"), "AWSPREVIOUS") == first
    assert {token.token_id for token in site.live("telegraf")} == {first["token_id"], second["token_id"]}
    for secret in (first["token"], second["token"], SECRET_KEY):
        assert secret not in site.log()
