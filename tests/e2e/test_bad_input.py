"""Bad input and bad luck: a clear error, the right exit status, no traceback, nothing created, nothing lost."""

from typing import Any

import hvac
import pytest

from tests.site import Ran, Site


def clear(ran: Ran, status: int, *words: str) -> None:
    """Check that a command failed as it should."""
    told = f"{ran.output}\n{ran.errors}"
    assert ran.status == status, told
    assert "Traceback" not in told
    for word in words:
        assert word in told.replace("\n", " "), told


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"unknown": 1}, ["unknown: unknown key"]),
        ({"defaults": {"ttl": "soon"}}, ["defaults.ttl", "with its unit"]),
        ({"defaults": {"ttl": "1h"}}, ["tokens[telegraf].ttl", "cannot hold"]),
        ({"instance": None}, ["instance"]),
    ],
)
def test_bad_configuration_creates_nothing(site: Site, changes: dict[str, Any], words: list[str]) -> None:
    """Exit 2 from every command that reads the configuration, naming the key."""
    site.content |= changes
    for command in (
        ["once"],
        ["run"],
        ["plan"],
        ["status"],
        ["check"],
        ["orphans"],
        ["rotate", "telegraf", "--direct"],
    ):
        clear(site.run(*command), 2, *words)
    assert site.cluster.tokens() == ()


def test_missing_files(site: Site) -> None:
    """A configuration, an influxctl profile, a CA file or a secret file that is not there is named."""
    clear(site.run("once", "--config", "/nowhere.yaml"), 2, "/nowhere.yaml does not exist", "--config FILE")
    site.content["issuers"]["cluster"]["config"] = "/nowhere/config.toml"
    clear(site.run("once"), 2, "issuers.cluster.config", "/nowhere/config.toml does not exist")
    del site.content["issuers"]["cluster"]["config"]
    site.content["stores"]["vault"]["ca_cert"] = "/nowhere/ca.pem"
    clear(site.run("once"), 2, "stores.vault.ca_cert", "/nowhere/ca.pem does not exist")
    site.content["stores"]["vault"]["ca_cert"] = "x" * 300
    clear(site.run("once"), 2, "stores.vault.ca_cert", "cannot be looked at (File name too long)")
    del site.content["stores"]["vault"]["ca_cert"]
    (site.folder / "vault-token").unlink()
    clear(site.run("once"), 1, "vault-token cannot be read")
    assert site.cluster.tokens() == ()


def test_influxctl_that_is_not_installed(site: Site) -> None:
    """The message names the program and where to name another."""
    site.content["issuers"]["cluster"]["command"] = "/nowhere/influxctl"
    clear(site.run("once"), 1, "/nowhere/influxctl cannot be run", "`command`")


def test_influxctl_without_credential_does_not_hang(site: Site) -> None:
    """A device login is ended at the time-out and called by its name."""
    site.cluster.set(unauthenticated=True)
    site.content["issuers"]["cluster"]["timeout"] = "1s"
    clear(site.run("once"), 1, "not authenticated", "mgmt_token")


def test_store_that_refuses_writing(site: Site) -> None:
    """A read-only policy is found before anything is created, and the missing policy line is told."""
    client = site.vault()
    policy = f'path "secret/data/{site.prefix}/*" {{ capabilities = ["read"] }}'
    client.sys.create_or_update_policy(name="read-only", policy=policy)
    token = client.auth.token.create(policies=["read-only"])["auth"]["client_token"]
    client.session.close()
    (site.folder / "vault-token").write_text(token)
    refused = site.run("once")
    clear(refused, 1, "would not accept a write", "create and update")
    assert token not in refused.errors + refused.output
    assert site.cluster.tokens() == ()


def test_store_that_becomes_read_only_keeps_what_is_stored(site: Site) -> None:
    """After provisioning, a rotation against a read-only policy creates nothing and loses nothing."""
    site.run("once")
    before = site.stored("telegraf")
    test_store_that_refuses_writing_in_rotation(site)
    assert site.stored("telegraf") == before
    assert site.cluster.authenticate(before["token"])


def test_store_that_refuses_writing_in_rotation(site: Site) -> None:
    """A rotation by hand against a read-only policy fails before anything is created."""
    client = site.vault()
    policy = f'path "secret/data/{site.prefix}/*" {{ capabilities = ["read"] }}'
    client.sys.create_or_update_policy(name="read-only-2", policy=policy)
    (site.folder / "vault-token").write_text(client.auth.token.create(policies=["read-only-2"])["auth"]["client_token"])
    client.session.close()
    before = len(site.cluster.tokens())
    clear(site.run("rotate", "telegraf", "--direct"), 1, "would not accept a write")
    assert len(site.cluster.tokens()) == before


def test_foreign_secret_in_the_way(site: Site) -> None:
    """Somebody else's secret is named, kept as it is, and nothing is created; with adopt it is taken over."""
    site.put("telegraf", {"password": "hunter2"})
    clear(site.run("once"), 1, "not ours", "adopt: true", site.path("telegraf"))
    assert site.stored("telegraf") == {"password": "hunter2"}
    assert site.cluster.tokens() == ()
    assert "hunter2" not in site.log()
    site.content["tokens"][0]["destinations"][0]["adopt"] = True
    assert site.run("once").status == 0


def test_sealed_or_missing_store(site: Site) -> None:
    """A store that cannot be reached: exit 1, the address, and nothing created."""
    site.content["stores"]["vault"]["address"] = "http://127.0.0.1:9"
    clear(site.run("once"), 1, "127.0.0.1:9 cannot be reached")
    clear(site.run("status"), 1, "unknown")
    assert site.cluster.tokens() == ()


def test_soft_deleted_secret_is_provisioned_anew(site: Site) -> None:
    """After `vault kv delete` the next pass stores a new token at the next version."""
    site.run("once")
    client: hvac.Client = site.vault()
    client.secrets.kv.v2.delete_latest_version_of_secret(path=site.path("telegraf"), mount_point="secret")
    client.session.close()
    assert site.run("once").status == 0
    assert len(site.live("telegraf")) == 2


def test_lost_answer_leaves_one_token_in_the_end(site: Site) -> None:
    """A create whose answer is lost is not repeated in the same pass; its orphan goes, and the next pass provisions."""
    site.cluster.set(lose_answer=1)
    clear(site.run("once"), 1, "create failed")
    assert site.live("telegraf") == []
    assert site.run("once").status == 0
    assert len(site.live("telegraf")) == 1


def test_token_without_expiry_is_revoked(site: Site) -> None:
    """A cluster that ignores the expiry gets its token revoked at once."""
    site.cluster.set(forget_expiry=1)
    clear(site.run("once"), 1, "no expiry")
    assert site.live("telegraf") == []


def test_wrong_options(site: Site) -> None:
    """A misspelt option or command is exit 2 without a traceback."""
    for arguments in (
        ["--nope"],
        ["onze"],
        ["status", "--output", "xml"],
        ["explain"],
        ["rotate", "--all", "telegraf"],
    ):
        clear(site.run(*arguments), 2)
