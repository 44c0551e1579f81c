"""What people do to tokens and secrets, and how it ends: the real command, a real OpenBao, the simulated cluster.

The quiet cases happen to one name each, all at once: provisioned together, damaged, looked at, reconciled, looked at
again. Lives are long and waits short, so that nothing happens but what a person did and what follows from it.
"""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from provisioner.domain.mark import Mark, Owner
from provisioner.runtime.clock import SystemClock
from provisioner.simulators.cluster_token import ClusterToken
from provisioner.simulators.management_api import ManagementApi
from provisioner.simulators.openbao import OpenBao, free_port
from tests.builders import uid
from tests.site import Ran, Site, a_site

SHORT_WAITS = {
    "ttl": "1h",
    "overlap": "3s",
    "verify_timeout": "3s",
    "rotation_timeout": "8s",
    "orphan_quiet_period": "9s",
}
MISTYPED = "M.V1.mistyped-by-somebody"


@dataclass(frozen=True, slots=True, kw_only=True)
class Case:
    """What somebody does to one name, and what is to be seen of it."""

    state: str
    reason: str
    """Words of the reason in ``status`` before the repair."""
    next_step: str
    event: str
    """The line of the log that tells of the repair, and words of its reason."""
    because: str
    keeps: str | None = None
    """Which token is stored in the end: ``first``, ``second``; None: a new one."""
    rotated_before: bool = False


CASES = {
    "revoked": Case(
        state="failing",
        reason="was revoked at",
        next_step="mint",
        event="rotation_started",
        because="was revoked at",
    ),
    "predecessor": Case(
        state="ok",
        reason="nothing is due",
        next_step="mint",
        event="decided",
        because="nothing is due",
        keeps="second",
        rotated_before=True,
    ),
    "deleted": Case(
        state="failing",
        reason="it was deleted at",
        next_step="mint",
        event="rotation_started",
        because="it was deleted at",
    ),
    "forgotten": Case(
        state="failing",
        reason="although tokens of this name live",
        next_step="mint",
        event="rotation_started",
        because="no secret is stored at",
    ),
    "edited-token": Case(
        state="failing",
        reason="was refused when tried",
        next_step="try",
        event="rotation_started",
        because="was refused when tried",
    ),
    "edited-id": Case(
        state="ok",
        reason="was damaged (token_id)",
        next_step="copy",
        event="destination_written",
        because="was damaged (token_id)",
        keeps="first",
    ),
    "edited-rotation": Case(
        state="ok",
        reason="was damaged (rotation_id)",
        next_step="copy",
        event="destination_written",
        because="was damaged (rotation_id)",
        keeps="first",
    ),
    "edited-expiry": Case(
        state="ok",
        reason="was damaged (expires_at)",
        next_step="copy",
        event="destination_written",
        because="was damaged (expires_at)",
        keeps="first",
    ),
    "broken-expiry": Case(
        state="ok",
        reason="was damaged (expires_at)",
        next_step="copy",
        event="destination_written",
        because="was damaged (expires_at)",
        keeps="first",
    ),
    "edited-owner": Case(
        state="refused",
        reason="move it away, choose another path, or set adopt: true",
        next_step="refuse",
        event="name_refused",
        because="holds a secret that is not ours",
    ),
    "rolled-back": Case(
        state="ok",
        reason="nothing is due",
        next_step="revoke",
        event="token_revoked",
        because="is younger than the stored one (a roll-back",
        keeps="first",
        rotated_before=True,
    ),
    "rolled-back-dead": Case(
        state="failing",
        reason="was revoked at",
        next_step="mint",
        event="rotation_started",
        because="was revoked at",
        rotated_before=True,
    ),
}


@dataclass(slots=True)
class Story:
    """All of them, from the damage to the good end."""

    site: Site
    first: dict[str, dict[str, Any]] = field(default_factory=dict)
    second: dict[str, dict[str, Any]] = field(default_factory=dict)
    foreign: list[ClusterToken] = field(default_factory=list)
    before: dict[str, dict[str, Any]] = field(default_factory=dict)
    after: dict[str, dict[str, Any]] = field(default_factory=dict)
    kept_foreign: dict[str, Any] = field(default_factory=dict)
    """What was stored at the path of ``edited-owner`` after the first repair."""
    exits: dict[str, int] = field(default_factory=dict)

    def damage(self) -> None:
        """Do to each name what its case says."""
        site, first = self.site, self.first
        site.cluster.revoke(first["revoked"]["token_id"])
        site.cluster.revoke(first["predecessor"]["token_id"])
        site.delete("deleted")
        site.delete("forgotten", metadata=True)
        edits = {
            "edited-token": {"token": MISTYPED},
            "edited-id": {"token_id": "somebody-s"},
            "edited-rotation": {"rotation_id": uid(404)},
            "edited-expiry": {"expires_at": "2099-01-01T00:00:00Z"},
            "broken-expiry": {"expires_at": "soon"},
            "edited-owner": {"owner": "provisioner/elsewhere/edited-owner"},
        }
        for name, edit in edits.items():
            site.put(name, first[name] | edit)
        site.cluster.revoke(first["rolled-back-dead"]["token_id"])
        for name in ("rolled-back", "rolled-back-dead"):
            site.put(name, first[name])

    def stored(self) -> dict[str, dict[str, Any]]:
        """Give what consumers read of every name."""
        return {name: self.site.stored(name) for name in CASES}

    def settle(self) -> bool:
        """Reconcile, and tell whether one token a name is left."""
        self.exits["last once"] = self.site.run("once").status
        return all(len(self.site.live(name)) == 1 for name in CASES)


def by_name(ran: Ran) -> dict[str, dict[str, Any]]:
    """Give what a command says of each token."""
    return {token["name"]: token for token in ran.json["tokens"]}


def a_foreign_token(site: Site, owner: Owner | None = None) -> ClusterToken:
    """Put somebody else's token into the cluster."""
    description = "somebody's" if owner is None else str(Mark(owner, uid(8)))
    return site.cluster.create(description, SystemClock().now() + timedelta(days=1))[0]


@contextmanager
def proven_by_use(site: Site) -> Iterator[Site]:
    """Let the site's tokens be proven over the management API."""
    with ManagementApi(site.cluster) as api:
        site.content["issuers"]["cluster"]["management_api"] = api.url
        yield site


@pytest.fixture(scope="module")
def story(tmp_path_factory: pytest.TempPathFactory, openbao: OpenBao) -> Iterator[Story]:
    """Tell the whole story once; each test looks at one name of it."""
    site = a_site(tmp_path_factory.mktemp("repair"), openbao, *CASES, defaults=SHORT_WAITS)
    story = Story(site=site)
    with proven_by_use(site):
        story.foreign = [a_foreign_token(site), a_foreign_token(site, Owner("elsewhere", "deleted"))]
        assert site.run("once").status == 0
        story.first = story.stored()
        rotated = [name for name, case in CASES.items() if case.rotated_before]
        assert site.run("rotate", "--direct", *rotated).status == 0
        story.second = story.stored()
        story.damage()
        shown = site.run("status", "-o", "json")
        story.before, story.exits["status before"] = by_name(shown), shown.status
        story.exits["once"] = site.run("once").status
        story.kept_foreign = site.stored("edited-owner")
        site.delete("edited-owner", metadata=True)
        site.wait_for("one live token a name", story.settle)
        shown = site.run("status", "-o", "json")
        story.after, story.exits["status after"] = by_name(shown), shown.status
        yield story


@pytest.mark.parametrize("name", CASES)
def test_status_tells_what_somebody_did(story: Story, name: str) -> None:
    """Before the repair: the state, the reason, and what will be done about it."""
    shown, case = story.before[name], CASES[name]
    assert (shown["state"], shown["next_step"]) == (case.state, case.next_step)
    assert case.reason in shown["reason"]


@pytest.mark.parametrize("name", CASES)
def test_the_log_tells_the_reason_of_the_repair(story: Story, name: str) -> None:
    """In one line at info or louder, which names the event and why; only where nothing is to be done it is debug."""
    case = CASES[name]
    lines = [line for line in story.site.events(name) if line["event"] == case.event]
    told = [line for line in lines if case.because in line.get("reason", line.get("message", ""))]
    assert told
    levels = {"decided": {"debug"}, "name_refused": {"warning"}}
    assert {line["level"] for line in told} == levels.get(case.event, {"info"})
    if case.event in {"rotation_started", "destination_written", "name_refused"}:
        assert told[0]["fact"]


@pytest.mark.parametrize("name", CASES)
def test_it_ends_in_a_good_state_by_itself(story: Story, name: str) -> None:
    """One live token, the stored one, which works; the one that was there is kept where it could be."""
    site, case = story.site, CASES[name]
    record = site.stored(name)
    assert [token.token_id for token in site.live(name)] == [record["token_id"]]
    assert site.cluster.authenticate(record["token"])
    earlier = {"first": story.first[name], "second": story.second[name]}
    if case.keeps is None:
        assert record["token_id"] not in {document["token_id"] for document in earlier.values()}
    else:
        assert record == earlier[case.keeps]
    shown = story.after[name]
    assert (shown["state"], shown["token_id"]) == ("ok", record["token_id"])
    assert (shown["last_error"], shown["awaiting_revocation"]) == (None, [])
    assert shown["destinations"][0]["in_sync"] is True


def test_exit_codes_tell_of_the_trouble_and_of_its_end(story: Story) -> None:
    """Status and once exit 1 while a name is unhealthy, the refused one included, and 0 in the end."""
    assert story.exits == {"status before": 1, "once": 1, "last once": 0, "status after": 0}


def test_foreign_secrets_and_tokens_are_as_they_were(story: Story) -> None:
    """The secret whose owner was edited was not written over, and no foreign token was revoked."""
    edited = story.first["edited-owner"] | {"owner": "provisioner/elsewhere/edited-owner"}
    assert story.kept_foreign == edited
    now = {token.token_id: token for token in story.site.cluster.tokens()}
    assert [now[token.token_id] for token in story.foreign] == story.foreign


def test_no_token_string_is_told(story: Story) -> None:
    """Neither a working one nor what somebody mistyped."""
    log = story.site.log()
    strings = [document["token"] for documents in (story.first, story.second) for document in documents.values()]
    assert not [string for string in (*strings, MISTYPED) if string in log]


# --- emergencies ----------------------------------------------------------------------------------------


def compromised(site: Site, *arguments: str) -> Callable[[], Ran]:
    """Give the emergency command, always with the same request id."""
    command = ("rotate", "telegraf", "--direct", "--compromised", "--request-id", "leak", "--reason", "it leaked")
    return lambda: site.run(*command, "-o", "json", *arguments)


def test_compromised_says_what_it_revoked(site: Site) -> None:
    """Every older token is dead when the command ends, and named by it; the log says why; all is well."""
    foreign = a_foreign_token(site)
    site.run("once")
    site.run("rotate", "telegraf", "--direct")
    old = {token.token_id for token in site.live("telegraf")}
    assert len(old) == 2
    ran = compromised(site)()
    (result,) = ran.json["rotations"]
    assert (ran.status, result["done"], result["still_live"]) == (0, True, [])
    assert set(result["revoked"]) == old
    record = site.stored("telegraf")
    assert [token.token_id for token in site.live("telegraf")] == [record["token_id"]]
    lines = site.events("telegraf")
    assert any(line["event"] == "rotation_started" and "it leaked" in line["reason"] for line in lines)
    revoked = [line for line in lines if line["event"] == "token_revoked"]
    assert {line["token_id"] for line in revoked} == old
    assert all("compromised" in line["reason"] and line["level"] == "info" for line in revoked)
    assert by_name(site.run("status", "-o", "json"))["telegraf"]["state"] == "ok"
    assert foreign in site.cluster.tokens()


def test_compromised_that_could_not_revoke_fails_and_is_finished_by_the_same_request(site: Site) -> None:
    """The new token is stored and the old one lives: exit 1, which one and why; sent again, no further one is made."""
    site.run("once")
    old = site.stored("telegraf")
    site.cluster.set(fail_revoke=1)
    ran = compromised(site)()
    (result,) = ran.json["rotations"]
    assert (ran.status, result["done"], result["still_live"]) == (1, False, [old["token_id"]])
    assert "the new token is stored" in result["error"]
    assert "the cluster made a mistake" in result["error"]
    (waiting,) = by_name(site.run("status", "-o", "json"))["telegraf"]["awaiting_revocation"]
    assert (waiting["token_id"], "compromised" in waiting["why"]) == (old["token_id"], True)
    again = compromised(site)()
    assert (again.status, again.json["rotations"][0]["revoked"]) == (0, [old["token_id"]])
    assert len(site.cluster.tokens()) == 2
    assert not site.cluster.authenticate(old["token"])


def test_compromised_while_openbao_does_not_answer(site: Site) -> None:
    """Nothing is created and nothing revoked; the reason is told; once it answers, the same request does it all."""
    site.run("once")
    before, store = site.cluster.tokens(), site.content["stores"]["vault"]
    address = store["address"]
    store["address"] = f"http://127.0.0.1:{free_port()}"
    ran = compromised(site)()
    (result,) = ran.json["rotations"]
    assert (ran.status, result["done"], result["revoked"]) == (1, False, [])
    assert "could not be read" in result["error"]
    assert site.cluster.tokens() == before
    shown = site.run("status", "-o", "json")
    (standing,) = shown.json["tokens"]
    assert (shown.status, standing["state"], standing["next_step"]) == (1, "unknown", "rest")
    assert "could not be read" in standing["reason"]
    assert any(
        line["event"] == "look_failed" and line["level"] == "warning" and "could not be read" in line["reason"]
        for line in site.events("telegraf")
    )
    store["address"] = address
    again = compromised(site)()
    assert (again.status, again.json["rotations"][0]["revoked"]) == (0, [before[0].token_id])
    assert len(site.live("telegraf")) == 1


def test_orphans_of_every_kind_go_on_request_and_foreign_tokens_stay(site: Site) -> None:
    """An orphan, which is fenced off first, and an abandoned token; the log has the reason of each revocation."""
    site.run("once")
    foreign = [a_foreign_token(site), a_foreign_token(site, Owner("elsewhere", "telegraf"))]
    orphan, abandoned = (a_foreign_token(site, Owner("e2e", name)) for name in ("telegraf", "gone"))
    shown = by_name(site.run("status", "-o", "json"))["telegraf"]
    assert shown["state"] == "ok"
    (waiting,) = shown["awaiting_revocation"]
    assert (waiting["token_id"], "is stored nowhere" in waiting["why"]) == (orphan.token_id, True)
    record = site.stored("telegraf")
    ran = site.run("orphans", "--revoke", "-o", "json")
    assert (ran.status, ran.json["revoked"], ran.json["errors"]) == (0, True, [])
    assert {found["token_id"] for found in ran.json["orphans"]} == {orphan.token_id, abandoned.token_id}
    revoked = {
        line["token_id"]: line["reason"]
        for name in ("telegraf", "gone")
        for line in site.events(name)
        if line["event"] == "token_revoked"
    }
    assert set(revoked) == {orphan.token_id, abandoned.token_id}
    assert all("on request" in reason for reason in revoked.values())
    assert "revision_fenced" in {line["event"] for line in site.events("telegraf")}
    assert site.stored("telegraf") == record
    live = {token.token_id for token in site.cluster.tokens() if token.revoked_at is None}
    assert live == {record["token_id"], *(token.token_id for token in foreign)}
    assert by_name(site.run("status", "-o", "json"))["telegraf"]["awaiting_revocation"] == []


def test_the_daemon_repairs_without_being_asked(tmp_path: Path, openbao: OpenBao) -> None:
    """A stored token that was revoked, and one whose string was edited, are replaced while the daemon runs."""
    site = a_site(tmp_path, openbao, "revoked", "edited", defaults=SHORT_WAITS)
    site.content["reconcile"]["interval"] = "1s"
    with proven_by_use(site), site.daemon():
        site.wait_for("provisioning", lambda: all(site.live(name) for name in ("revoked", "edited")))
        site.wait_for("its end", lambda: site.log().count('"rotation_finished"') == 2)
        old = {name: site.stored(name) for name in ("revoked", "edited")}
        site.cluster.revoke(old["revoked"]["token_id"])
        site.put("edited", old["edited"] | {"token": MISTYPED})
        site.wait_for("two repairs", lambda: site.log().count('"rotation_finished"') == 4)
        for name, document in old.items():
            assert site.stored(name)["token_id"] != document["token_id"]
        site.wait_for("the end of the edited one", lambda: len(site.live("edited")) == 1)
        assert all(site.cluster.authenticate(site.stored(name)["token"]) for name in old)
    facts = [line["fact"] for line in site.events("edited") if line["event"] == "rotation_started"]
    assert facts == ["secret_is_missing", "stored_token_is_dead"]
    assert any(line["event"] == "stored_token_refused" for line in site.events("edited"))
