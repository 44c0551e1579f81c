"""Rotation by hand with two replicas of which one leads: whichever is asked carries it out, and all show it."""

import signal
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
import pytest

from provisioner.simulators.kubernetes_server import KubernetesServer
from provisioner.simulators.openbao import OpenBao
from tests.crash.two_replicas import Replica, a_replica
from tests.site import Site, a_site

NAMES = ("one", "two", "three")
WISH = {"request_id": "change-1", "reason": "change 1", "requested_by": "alice"}


@dataclass(slots=True)
class Pair:
    """Two replicas, and how to speak to each."""

    site: Site
    leader: Replica
    follower: Replica

    @staticmethod
    def socket(of: Replica) -> str:
        """Give where its admin socket is."""
        return str(of.said("api_listening")[1]["where"])

    def client(self, of: Replica) -> httpx.Client:
        """Give a client at its admin socket."""
        return httpx.Client(base_url="http://daemon", timeout=30, transport=httpx.HTTPTransport(uds=self.socket(of)))

    def stored(self, name: str) -> int:
        """Count how often a token of a name was stored, by whichever of them."""
        return sum(
            entry["name"] == name for each in (self.leader, self.follower) for entry in each.said("token_stored")
        )

    def end_of(self, of: Replica, id_: str) -> dict[str, Any]:
        """Wait for the end of a rotation that a replica was asked for, and give it."""
        with self.client(of) as client:
            found: dict[str, Any] = {}

            def has_ended() -> bool:
                found.update(client.get(f"/v1/rotations/{id_}").json()["rotation"])
                return found["state"] in {"done", "failed"}

            self.site.wait_for("its end", has_ended, seconds=60)
        return found


@pytest.fixture
def site(tmp_path: Path, openbao: OpenBao) -> Site:
    """Give a site with leader election, whose terms are short, and whose drift checks are seldom."""
    (tmp_path / "site").mkdir()
    site = a_site(tmp_path / "site", openbao, *NAMES)
    site.content["tokens"][0]["labels"] = {"team": "metrics"}
    site.content["tokens"][1]["labels"] = {"team": "metrics"}
    site.content["reconcile"] = {"interval": "1h", "concurrency": 1}
    site.content["leader_election"] = {
        "enabled": True,
        "lease_duration": "4s",
        "renew_deadline": "2s",
        "retry_period": "0.5s",
    }
    return site


@contextmanager
def two(site: Site) -> Iterator[Pair]:
    """Run two replicas until one leads and has stored all tokens, and the other has seen that."""
    with KubernetesServer() as server, a_replica(site, server) as leader:
        site.wait_for("the tokens", lambda: len(leader.said("token_stored")) == len(NAMES))
        with a_replica(site, server) as follower:
            site.wait_for("following", lambda: bool(follower.said("leader_seen")))
            site.wait_for("listening", lambda: bool(follower.said("daemon_started")))
            yield Pair(site, leader, follower)
            assert "is a bug" not in site.log()


def test_a_wish_to_the_follower_rotates_once_and_every_replica_shows_it(site: Site) -> None:
    """The leader sees it when it is asked, and has honoured the same wish; both, and the record, tell who and why."""
    with two(site) as pair:
        passes = len(pair.leader.said("pass_finished"))
        command = ("rotate", "one", "--request-id", "change-1", "--reason", "change 1", "-o", "json")
        first = site.run(*command, "--socket", pair.socket(pair.follower), "--requested-by", "alice")
        (rotation,) = first.json["rotations"]
        assert (first.status, rotation["state"], rotation["already"]) == (0, "done", False)
        assert [phase["name"] for phase in rotation["phases"]][:2] == ["preflight", "create"]
        with pair.client(pair.leader) as client:
            site.wait_for("the leader's look", lambda: told(client)["token_id"] == rotation["token_id"], seconds=60)
            site.wait_for("a pass over it", lambda: len(pair.leader.said("pass_finished")) > passes)
            known = client.get(f"/v1/rotations/{rotation['id']}").json()["rotation"]
        assert (known["state"], known["already"], known["token_id"]) == ("done", True, rotation["token_id"])
        assert (known["requested_by"], known["reason"]) == ("alice", "change 1")
        again = site.run(*command, "--socket", pair.socket(pair.leader), "--requested-by", "bob")
        (repeated,) = again.json["rotations"]
        assert (again.status, repeated["id"], repeated["already"]) == (0, rotation["id"], True)
        assert repeated["token_id"] == rotation["token_id"]
        shown = []
        for replica in (pair.leader, pair.follower):
            with pair.client(replica) as client:
                shown.append(told(client)["last_request"])
        (standing,) = site.run("status", "one", "-o", "json").json["tokens"]
        for last in (*shown, standing["last_request"]):
            assert [last[key] for key in ("request_id", "by", "via", "reason")] == [
                "change-1",
                "alice",
                "socket",
                "change 1",
            ]
            assert last["asked_at"] == rotation["asked_at"]
        assert pair.stored("one") == 2
        assert pair.follower.said("pass_finished") == []
        assert pair.follower.said("rotation_asked_for")[0]["leads"] is False
    (standing,) = site.run("status", "one", "-o", "json").json["tokens"]
    assert standing["last_request"]["by"] == "alice"


def told(client: httpx.Client) -> dict[str, Any]:
    """Give where the first name stands, by a replica."""
    found: dict[str, Any] = client.get("/v1/tokens/one").json()
    return found


def test_one_wish_to_both_at_once_rotates_once(site: Site) -> None:
    """Both say that it is done, and name the same token; what one of them made in vain does not live."""
    with two(site) as pair:
        site.cluster.set(latency=0.3)
        replicas = (pair.leader, pair.follower)

        def ask(replica: Replica) -> dict[str, Any]:
            with pair.client(replica) as client:
                rotation: dict[str, Any] = client.post("/v1/tokens/one/rotate", json=WISH).json()["rotation"]
            return rotation

        with ThreadPoolExecutor(2) as pool:
            asked = list(pool.map(ask, replicas))
        assert asked[0]["id"] == asked[1]["id"]
        ends = [pair.end_of(replica, asked[0]["id"]) for replica in replicas]
        assert [end["error"] for end in ends] == [None, None]
        assert sorted(end["already"] for end in ends) == [False, True]
        assert ends[0]["token_id"] == ends[1]["token_id"] == site.stored("one")["token_id"]
        assert pair.stored("one") == 2
        site.wait_for("nothing in vain", lambda: len(site.live("one")) == 2)


def test_all_and_a_selector_at_the_follower_are_paced(site: Site) -> None:
    """As many at a time as ``reconcile.concurrency`` says: one here."""
    with two(site) as pair:
        options = ("--socket", pair.socket(pair.follower), "-o", "json")
        chosen = site.run("rotate", "--selector", "team=metrics", *options)
        assert [(row["name"], row["state"]) for row in chosen.json["rotations"]] == [("one", "done"), ("two", "done")]
        every = site.run("rotate", "--all", "--compromised", *options)
        assert [(row["name"], row["state"]) for row in every.json["rotations"]] == [(name, "done") for name in NAMES]
        begun = [
            (entry["event"], entry["name"])
            for entry in pair.follower.entries()
            if entry["event"] in {"rotation_started", "rotation_finished"}
        ]
        rotated = [*NAMES[:2], *NAMES]
        assert begun == [(f"rotation_{what}", name) for name in rotated for what in ("started", "finished")]
        assert [len(site.live(name)) for name in NAMES] == [1, 1, 1]


def test_a_follower_that_is_asked_to_leave_ends_its_wish(site: Site) -> None:
    """It goes on within its 20 seconds, and leaves well."""
    with two(site) as pair:
        site.cluster.set(latency=0.5)
        with pair.client(pair.follower) as client:
            client.post("/v1/tokens/one/rotate", json=WISH).raise_for_status()
        site.wait_for("its beginning", lambda: bool(pair.follower.said("rotation_started")))
        pair.follower.stop(signal.SIGTERM)
        assert pair.follower.process.wait(30) == 0
        assert site.stored("one")["request_id"] == "change-1"
        assert pair.stored("one") == 2


def test_a_follower_that_comes_to_lead_in_the_middle_of_its_wish(site: Site) -> None:
    """The leader is killed: the wish is done once, and the new leader goes on with everything."""
    with two(site) as pair:
        site.cluster.set(latency=1)
        with pair.client(pair.follower) as client:
            asked = client.post("/v1/tokens/one/rotate", json=WISH).json()["rotation"]
        site.wait_for("its beginning", lambda: bool(pair.follower.said("rotation_started")))
        pair.leader.stop(signal.SIGKILL)
        end = pair.end_of(pair.follower, asked["id"])
        assert (end["state"], end["already"]) == ("done", False)
        site.cluster.set(latency=0)
        site.wait_for("leading", lambda: bool(pair.follower.said("leadership_gained")), seconds=60)
        site.wait_for("a pass", lambda: bool(pair.follower.said("pass_finished")), seconds=60)
        assert site.stored("one")["token_id"] == end["token_id"]
        assert pair.stored("one") == 2
        assert len(site.live("one")) == 2
