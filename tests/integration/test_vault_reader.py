"""A reader of the Vault store on a real OpenBao: consumers' view, by a session of its own."""

from collections import Counter
from pathlib import Path
from uuid import uuid4

import hvac
import pytest
import requests

from provisioner.app import opened
from provisioner.domain.errors import StoreRefusedError
from provisioner.domain.model import Absent, Destination, Trigger
from provisioner.domain.secret import SecretText
from provisioner.simulators.openbao import OpenBao
from provisioner.stores.vault_auth import JwtLogin
from tests.builders import OWNER, a_record
from tests.site import Site, a_site
from tests.vault import a_policy, a_store, approle, count_requests, login_with_policy, root_login


def reading(path: str) -> str:
    """Give a policy that allows to read there."""
    return f'path "secret/data/{path}" {{ capabilities = ["read"] }}'


def with_reader(site: Site, root: hvac.Client, policy: str) -> str:
    """Give the site's store a reader with that policy; give the policy's name."""
    name = a_policy(root, policy)
    token = root.auth.token.create(policies=[name])["auth"]["client_token"]
    (site.folder / "reader-token").write_text(token)
    site.content["stores"]["vault"]["reader"] = {
        "method": "token",
        "token": {"file": str(site.folder / "reader-token")},
    }
    return name


def test_reader_reads_what_was_written(openbao: OpenBao, root: hvac.Client, place: Destination) -> None:
    """By its own session, in one request; before anything is written it finds nothing."""
    reader = login_with_policy(root, reading(place.path))
    with a_store(openbao.address, root_login(openbao), reader=reader) as store:
        assert store.confirm(place, OWNER).content == Absent()
        revision = store.write(place, OWNER, a_record(), "0")
        ours = count_requests(store)
        assert store._reader is not None
        readers = count_requests(store._reader)
        assert store.confirm(place, OWNER) == store.read(place, OWNER)
        assert store.confirm(place, OWNER).revision == revision
    assert ours == [f"GET /v1/secret/data/{place.path}"]
    assert readers == [f"GET /v1/secret/data/{place.path}"] * 2


def test_refused_reader_is_named_with_what_to_grant(openbao: OpenBao, root: hvac.Client, place: Destination) -> None:
    """We can read what the reader cannot."""
    with a_store(openbao.address, root_login(openbao), reader=login_with_policy(root, reading("other"))) as store:
        store.write(place, OWNER, a_record(), "0")
        assert store.read(place, OWNER).content == a_record()
        grant = f"reader of store vault was refused, grant it read on secret/data/{place.path}"
        with pytest.raises(StoreRefusedError, match=grant):
            store.confirm(place, OWNER)


def test_reader_that_cannot_log_in_stops_nothing_else(openbao: OpenBao, place: Destination) -> None:
    """Its trouble is its own."""
    login = JwtLogin(role="nobody", jwt=lambda: SecretText("no JSON Web Token"), mount="nowhere")
    with a_store(openbao.address, root_login(openbao), reader=login) as store:
        store.preflight(place)
        store.write(place, OWNER, a_record(), "0")
        with pytest.raises(StoreRefusedError, match="reader of store vault was refused"):
            store.confirm(place, OWNER)


def test_readers_client_token_is_revoked_when_we_leave(openbao: OpenBao, root: hvac.Client, place: Destination) -> None:
    """As ours is."""
    with a_store(openbao.address, root_login(openbao), reader=approle(root, place)) as store:
        store.confirm(place, OWNER)
        assert store._reader is not None
        token = store._reader._client_token.current().reveal()
        assert root.auth.token.lookup(token)["data"]["ttl"] > 0
    with pytest.raises(hvac.exceptions.Forbidden):
        root.auth.token.lookup(token)


def test_requests_with_a_reader(
    tmp_path: Path, openbao: OpenBao, root: hvac.Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A rotation costs as many as without one; a fresh process one more for each destination with a reader."""
    site = a_site(tmp_path, openbao)
    with_reader(site, root, reading(site.path("telegraf")))
    sent: Counter[str] = Counter()
    send = requests.Session.send

    def counted(self: requests.Session, prepared: requests.PreparedRequest, **options: object) -> requests.Response:
        sent[f"{str(prepared.method).replace('POST', 'PUT')} {prepared.path_url.partition('?')[0]}"] += 1
        return send(self, prepared, **options)

    monkeypatch.setattr(requests.Session, "send", counted)
    data = f"/v1/secret/data/{site.path('telegraf')}"
    with opened(site.config) as application:
        application.service.run_pass()
        sent.clear()
        application.service.rotate(application.service.tokens, Trigger(request_id="r"))
        assert sent == {f"GET {data}": 2, f"PUT {data}": 1}
    with opened(site.config) as application:
        sent.clear()
        for _ in range(2):
            application.service.run_pass()
    assert sent == {f"GET {data}": 3, "GET /v1/auth/token/lookup-self": 2}


def test_status_plan_and_check_tell_of_consumers_who_cannot_read(
    tmp_path: Path, openbao: OpenBao, root: hvac.Client
) -> None:
    """The token is rotated all the same; once the reader may read, everything is well."""
    site = a_site(tmp_path, openbao)
    policy = with_reader(site, root, reading(f"nowhere/{uuid4()}"))
    assert site.run("once").status == 1
    shown = site.run("status", "--output", "json")
    (token,) = shown.json["tokens"]
    assert (shown.status, token["state"], token["destinations"][0]["readable"]) == (1, "failing", False)
    assert f"grant it read on secret/data/{site.path('telegraf')}" in token["reason"]
    assert "NOT READABLE" in site.run("status").output
    assert site.run("plan").status == 0
    assert site.run("check").status == 1
    explained = site.run("explain", "telegraf", "--output", "json").json["checks"]
    assert "consumers cannot read" in next(
        check["message"] for check in explained if check["fact"] == "destination_is_unconfirmed"
    )

    root.sys.create_or_update_policy(name=policy, policy=reading(site.path("telegraf")))
    assert site.run("check").status == 0
    (token,) = site.run("status", "--output", "json").json["tokens"]
    assert (token["state"], token["destinations"][0]["readable"]) == ("ok", True)
    assert site.run("once").status == 0
    assert [event["step"] for event in site.events("telegraf") if event["event"] == "step_failed"] == ["confirm"]
