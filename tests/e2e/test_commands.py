"""The commands as an operator runs them, against a real OpenBao and the simulated cluster."""

from datetime import timedelta

import pytest

from provisioner.domain.mark import Mark, Owner
from provisioner.runtime.clock import SystemClock
from tests.builders import uid
from tests.site import Site

STYLES = ("object", "wrapped", "array", "camel", "rfc3339", "text")


@pytest.mark.parametrize("style", STYLES)
@pytest.mark.parametrize("warn", ["stderr", "stdout"])
def test_once_provisions_once_whatever_influxctl_prints(site: Site, style: str, warn: str) -> None:
    """In every output style one token is created and stored, a second run mints nothing, a rotation overlaps."""
    site.cluster.set(style=style, warn=warn)
    assert site.run("once").status == 0
    first = site.stored("telegraf")
    assert site.run("once").status == 0
    assert [token.token_id for token in site.live("telegraf")] == [first["token_id"]]
    assert site.cluster.authenticate(first["token"])
    assert site.run("rotate", "telegraf", "--direct").status == 0
    second = site.stored("telegraf")
    assert second["token_id"] != first["token_id"]
    assert site.cluster.authenticate(first["token"]), "the predecessor lives for the overlap"
    assert site.cluster.authenticate(second["token"])
    assert site.run("rotate", "telegraf", "--direct", "--compromised").status == 0
    assert [token.token_id for token in site.live("telegraf")] == [site.stored("telegraf")["token_id"]]
    for secret in (first["token"], second["token"], site.stored("telegraf")["token"]):
        assert secret not in site.log()


def test_the_record_is_as_documented(site: Site) -> None:
    """Consumers find the documented fields, with the mapping and the static fields of the configuration."""
    site.content["tokens"][0] |= {"extra": {"url": "https://cluster"}, "description": "Telegraf"}
    site.content["tokens"][0]["destinations"][0]["fields"] = {"token": "INFLUX_TOKEN"}
    assert site.run("once").status == 0
    record = site.stored("telegraf")
    assert set(record) == {
        "INFLUX_TOKEN",
        "token_id",
        "issued_at",
        "expires_at",
        "rotation_id",
        "owner",
        "issuer",
        "stored_at",
        "url",
    }
    (issued,) = site.live("telegraf")
    mark = Mark(Owner("e2e", "telegraf"), record["rotation_id"])
    assert issued.description == f"Telegraf {mark}"
    assert record["owner"] == "provisioner/e2e/telegraf"
    assert issued.expires_at is not None
    assert record["expires_at"] == issued.expires_at.isoformat().replace("+00:00", "Z")


def test_plan_changes_nothing_and_says_what_is_pending(site: Site) -> None:
    """Exit 3 while changes are pending, 0 when none are, and 3 again as of a moment at which rotation is due."""
    planned = site.run("plan", "--output", "json")
    assert planned.status == 3
    assert planned.json["plan"][0]["step"] == "mint"
    assert site.cluster.tokens() == ()
    site.run("once")
    assert site.run("plan").status == 0
    later = (SystemClock().now() + timedelta(days=21)).isoformat()
    assert site.run("plan", "--at", later).status == 3
    assert site.run("plan", "--at", "tomorrow").status == 2


def test_status_in_json_has_the_documented_shape(site: Site) -> None:
    """The keys of the interface, with the values of a healthy token."""
    site.run("once")
    site.run("rotate", "telegraf", "--direct", "--request-id", "r1")
    shown = site.run("status", "-o", "json")
    assert shown.status == 0
    (token,) = shown.json["tokens"]
    assert set(token) == {
        "name",
        "issuer",
        "labels",
        "state",
        "token_id",
        "issued_at",
        "expires_at",
        "rotate_at",
        "next_step",
        "next_step_at",
        "reason",
        "last_error",
        "failed_attempts",
        "destinations",
        "awaiting_revocation",
        "consumers",
        "webhooks",
        "last_request",
    }
    last = token["last_request"]
    assert (last["request_id"], last["compromised"], last["via"]) == ("r1", False, "direct")
    assert last["by"]
    assert last["stored_at"] is not None
    assert (shown.json["instance"], token["state"], token["last_error"]) == ("e2e", "ok", None)
    assert token["destinations"] == [
        {"store": "vault", "path": site.path("telegraf"), "revision": "2", "in_sync": True, "readable": None}
    ]
    assert len(token["awaiting_revocation"]) == 1


def test_status_of_a_dead_token_is_unhealthy(site: Site) -> None:
    """A stored token that somebody revoked makes status exit 1, and once repairs it."""
    site.run("once")
    site.cluster.revoke(site.stored("telegraf")["token_id"])
    shown = site.run("status")
    assert shown.status == 1
    assert "failing" in shown.output
    assert site.run("once").status == 0
    assert site.run("status").status == 0


def test_rotate_is_idempotent_by_request_id(site: Site) -> None:
    """The same request id rotates once, in however many processes it is sent."""
    site.run("once")
    for _ in range(3):
        rotated = site.run("rotate", "telegraf", "--direct", "--request-id", "r1", "-o", "json")
        assert rotated.status == 0
    assert len(site.cluster.tokens()) == 2
    assert rotated.json["rotations"][0]["already"] is True
    assert site.stored("telegraf")["request_id"] == "r1"


def test_rotate_compromised_leaves_no_overlap(site: Site) -> None:
    """The predecessor is dead when the command ends."""
    site.run("once")
    before = site.stored("telegraf")["token"]
    assert site.run("rotate", "telegraf", "--direct", "--compromised").status == 0
    assert not site.cluster.authenticate(before)
    assert len(site.live("telegraf")) == 1


def test_rotate_selects_by_name_label_or_all(site: Site) -> None:
    """A name that does not exist, a label that nobody carries, and nothing at all are refused."""
    site.content["tokens"][0]["labels"] = {"team": "metrics"}
    assert site.run("rotate", "--direct", "--selector", "team=metrics").status == 0
    assert site.run("rotate", "--direct", "--all").status == 0
    for arguments in (["nobody"], ["--selector", "team=x"], ["--selector", "team"], []):
        refused = site.run("rotate", "--direct", *arguments)
        assert refused.status == 2
        assert refused.errors.startswith("error: ")
    assert site.run("rotate", "telegraf").status == 4


def test_explain_shows_every_check(site: Site) -> None:
    """All the facts, in order."""
    site.run("once")
    explained = site.run("explain", "telegraf", "-o", "json")
    assert explained.status == 0
    assert [check["fact"] for check in explained.json["checks"]][:3] == [
        "truth_is_unreadable",
        "secret_is_foreign",
        "secret_is_missing",
    ]
    assert len(explained.json["checks"]) == 12
    assert site.run("explain", "nobody").status == 2


def test_orphans_are_found_and_revoked_on_request(site: Site) -> None:
    """Orphans of a configured name and abandoned ones are listed; on request they go, and nothing else does."""
    site.run("once")
    expires_at = SystemClock().now() + timedelta(days=1)
    kept, _ = site.cluster.create("somebody's", expires_at)
    for name in ("telegraf", "gone"):
        site.cluster.create(str(Mark(Owner("e2e", name), uid(7))), expires_at)
    found = site.run("orphans", "-o", "json")
    assert found.status == 3
    assert {(orphan["name"], orphan["abandoned"]) for orphan in found.json["orphans"]} == {
        ("telegraf", False),
        ("gone", True),
    }
    assert site.run("orphans", "--revoke").status == 0
    assert site.run("orphans").status == 0
    live = {token.token_id for token in site.cluster.tokens() if token.revoked_at is None}
    assert live == {kept.token_id, site.stored("telegraf")["token_id"]}


def test_check_says_one_line_each(site: Site) -> None:
    """Exit 0 with a line for each issuer and store; exit 1 with the reason when one fails; 2 for the configuration."""
    good = site.run("check")
    assert good.status == 0
    assert [line[:4] for line in good.output.splitlines()] == ["ok  ", "ok  ", "ok  "]
    (site.folder / "vault-token").write_text("wrong")
    bad = site.run("check")
    assert bad.status == 1
    assert "FAIL store vault" in bad.output
    site.content["tokens"][0]["ttl"] = "soon"
    assert site.run("check").status == 2


def test_help_and_version_and_schema_need_no_configuration(site: Site) -> None:
    """They work wherever one is."""
    for arguments in (["--help"], ["--version"], ["schema"], ["rotate", "--help"]):
        assert site.run(*arguments, PROVISIONER_CONFIG="/nowhere").status == 0


def test_config_may_stand_before_or_after_the_command(site: Site) -> None:
    """Both ways are understood."""
    config = str(site.config)
    assert site.run("--config", config, "plan", PROVISIONER_CONFIG="/nowhere").status == 3
    assert site.run("plan", "--config", config, PROVISIONER_CONFIG="/nowhere").status == 3


@pytest.mark.parametrize(
    ("content", "says"),
    [
        ("check-api-token-0123456789\n", "ok   api server.api_token: can be read"),
        (None, "FAIL api server.api_token: the secret file"),
        ("two words\n", "FAIL api server.api_token: has to be one word of visible ASCII"),
    ],
)
def test_check_reads_the_api_token(site: Site, content: str | None, says: str) -> None:
    """Before the first person needs it; nothing of it is shown."""
    file = site.folder / "api-token"
    if content is not None:
        file.write_text(content)
    site.content["server"]["api_token"] = {"file": str(file)}
    ran = site.run("check")
    assert says in ran.output
    assert ran.status == (0 if says.startswith("ok") else 1)
    is_shown = content is not None and content.strip() in ran.output + ran.errors
    assert not is_shown
