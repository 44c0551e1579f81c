"""The Vault store on a real OpenBao: refusals, logins, outages, and what must never be told."""

import base64
import json
from collections.abc import Iterator
from contextlib import closing, contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread
from typing import Any
from uuid import uuid4

import certifi
import hvac
import pytest
import requests

from provisioner.domain.errors import (
    ConflictError,
    ProvisionerError,
    StoreRefusedError,
    StoreUnavailableError,
)
from provisioner.domain.model import Absent, Destination
from provisioner.domain.secret import SecretText
from provisioner.runtime.clock import SystemClock
from provisioner.simulators.openbao import OpenBao, free_port, start_bao, stop_bao, wait_until_answering
from provisioner.stores.vault import VaultStore
from provisioner.stores.vault_auth import AppRoleLogin, JwtLogin, TokenLogin, VaultLogin
from tests.builders import MINUTE, OWNER, a_record
from tests.fakes.clock import FakeClock


@pytest.fixture
def place() -> Destination:
    """Give a path of this test alone."""
    return Destination(store="vault", path=f"it/{uuid4()}")


@pytest.fixture
def root(openbao: OpenBao) -> Iterator[hvac.Client]:
    """Give an operator's client."""
    client = hvac.Client(url=openbao.address, token=openbao.root_token.reveal())
    yield client
    client.session.close()


@contextmanager
def a_store(address: str, login: VaultLogin, **changes: Any) -> Iterator[VaultStore]:
    """Give a store that is closed at the end."""
    values: dict[str, Any] = {"name": "vault", "mount": "secret", "clock": SystemClock()} | changes
    with closing(VaultStore(address=address, login=login, **values)) as store:
        yield store


def root_login(server: OpenBao) -> TokenLogin:
    """Give a login with the root token."""
    return TokenLogin(token=lambda: server.root_token)


def a_policy(root: hvac.Client, policy: str) -> str:
    """Write a policy; give its name."""
    name = f"p-{uuid4()}"
    root.sys.create_or_update_policy(name=name, policy=policy)
    return name


def login_with_policy(root: hvac.Client, policy: str, **options: Any) -> TokenLogin:
    """Give a login whose client token has just that policy, besides the default one."""
    name = a_policy(root, policy)
    token = SecretText(root.auth.token.create(policies=[name], **options)["auth"]["client_token"])
    return TokenLogin(token=lambda: token)


def test_read_only_policy_is_refused_before_anything(openbao: OpenBao, root: hvac.Client, place: Destination) -> None:
    """A policy without write is found by preflight, which names the missing capabilities and the remedy."""
    login = login_with_policy(root, f'path "secret/data/{place.path}" {{ capabilities = ["read"] }}')
    with a_store(openbao.address, login) as store:
        assert store.read(place, OWNER).content == Absent()
        with pytest.raises(StoreRefusedError, match=r"lacks create and update.*capabilities = \["):
            store.preflight(place)
        with pytest.raises(StoreRefusedError, match="denied"):
            store.write(place, OWNER, a_record(), "0")


def test_no_policy_is_refused_on_reading(openbao: OpenBao, root: hvac.Client, place: Destination) -> None:
    """A client token without any right reads nothing, and is told where it was denied."""
    with (
        a_store(openbao.address, login_with_policy(root, 'path "x" { capabilities = ["read"] }')) as store,
        pytest.raises(StoreRefusedError, match=rf"reading vault:{place.path} in store vault was denied"),
    ):
        store.read(place, OWNER)


def test_just_enough_policy(openbao: OpenBao, root: hvac.Client, place: Destination) -> None:
    """The documented policy is enough for everything a rotation does."""
    policy = f'path "secret/data/{place.path}" {{ capabilities = ["create", "read", "update"] }}'
    with a_store(openbao.address, login_with_policy(root, policy)) as store:
        store.preflight(place)
        store.write(place, OWNER, a_record(), store.read(place, OWNER).revision)
        assert store.read(place, OWNER).content == a_record()
        assert list(store.check([(place, OWNER)])) == []


def test_preflight_costs_one_question_for_five_minutes(openbao: OpenBao, place: Destination) -> None:
    """Capabilities are asked once for all paths, and again after five minutes."""
    clock = FakeClock()
    with a_store(openbao.address, root_login(openbao), clock=clock) as store:
        sent = count_requests(store)
        store.preflight(place)
        first = len(sent)
        store.preflight(place)
        assert len(sent) == first
        clock.advance(6 * MINUTE)
        store.preflight(place)
        assert sent[first:] == ["POST /v1/sys/capabilities-self"]


def test_revoked_client_token_logs_in_again(openbao: OpenBao, root: hvac.Client, place: Destination) -> None:
    """A client token that was revoked is replaced by one more login, and the request is made once more."""
    with a_store(openbao.address, approle(root, place)) as store:
        store.read(place, OWNER)
        held = store._client_token.current()
        root.auth.token.revoke(held.reveal())
        store.write(place, OWNER, a_record(), "0")
        assert store.read(place, OWNER).content == a_record()
        assert store._client_token.current() != held


def test_client_token_is_renewed_before_it_ends(openbao: OpenBao, root: hvac.Client, place: Destination) -> None:
    """After two thirds of its lease the client token is renewed, and after its maximum life obtained anew."""
    clock = FakeClock()
    with a_store(openbao.address, approle(root, place, token_ttl="60s", token_max_ttl="1h"), clock=clock) as store:
        store.read(place, OWNER)
        sent = count_requests(store)
        clock.elapsed += 41
        store.read(place, OWNER)
        assert sent[0] == "POST /v1/auth/token/renew-self"
        clock.elapsed += 61
        store.read(place, OWNER)
        assert "POST /v1/auth/approle/login" in sent


def test_our_own_client_token_is_revoked_when_we_leave(openbao: OpenBao, root: hvac.Client, place: Destination) -> None:
    """A client token obtained by a login does not outlive its store."""
    with a_store(openbao.address, approle(root, place)) as store:
        store.read(place, OWNER)
        held = store._client_token.current().reveal()
    with pytest.raises(hvac.exceptions.VaultError):
        root.auth.token.lookup(held)


def test_wrong_credentials_say_so(openbao: OpenBao, place: Destination) -> None:
    """A login that is refused names the store, and not the credentials."""
    login = AppRoleLogin(role_id=lambda: SecretText("wrong-role"), secret_id=lambda: SecretText("wrong-secret"))
    with a_store(openbao.address, login) as store, pytest.raises(StoreRefusedError) as caught:
        store.read(place, OWNER)
    assert "auth/approle/login in store vault" in str(caught.value)
    assert "wrong-secret" not in everything_told(caught.value)


def test_method_that_is_not_mounted_is_named(openbao: OpenBao, place: Destination) -> None:
    """A login method that is not mounted is refused with the path that was called."""
    login = JwtLogin(role="provisioner", jwt=lambda: SecretText("eyJhbGciOi.e30.c2ln"), mount="nowhere")
    with a_store(openbao.address, login) as store, pytest.raises(StoreRefusedError, match="auth/nowhere/login"):
        store.read(place, OWNER)


def test_jwt_login(openbao: OpenBao, root: hvac.Client, place: Destination) -> None:
    """A JSON Web Token, here one that OpenBao itself has signed, logs in."""
    policy = a_policy(root, f'path "secret/data/{place.path}" {{ capabilities = ["create", "read", "update"] }}')
    jwt = a_signed_jwt(root, openbao.address)
    root.sys.enable_auth_method("jwt")
    post(root, "auth/jwt/config", jwks_url=f"{openbao.address}/v1/identity/oidc/.well-known/keys")
    post(
        root,
        "auth/jwt/role/provisioner",
        role_type="jwt",
        bound_audiences="provisioner",
        user_claim="sub",
        token_policies=policy,
    )
    with a_store(openbao.address, JwtLogin(role="provisioner", jwt=lambda: SecretText(jwt), mount="jwt")) as store:
        store.preflight(place)
        assert store.write(place, OWNER, a_record(), "0") == "1"


def test_kubernetes_login(openbao: OpenBao, root: hvac.Client, place: Destination) -> None:
    """A service account's token, reviewed by a stand-in for the API server, logs in."""
    policy = a_policy(root, f'path "secret/data/{place.path}" {{ capabilities = ["create", "read", "update"] }}')
    root.sys.enable_auth_method("kubernetes")
    with a_token_reviewer() as address:
        post(
            root,
            "auth/kubernetes/config",
            kubernetes_host=address,
            kubernetes_ca_cert=Path(certifi.where()).read_text().partition("\n\n")[0],
            token_reviewer_jwt="x",
            disable_local_ca_jwt=True,
        )
        post(
            root,
            "auth/kubernetes/role/provisioner",
            bound_service_account_names="provisioner",
            bound_service_account_namespaces="tools",
            token_policies=policy,
        )
        login = JwtLogin(role="provisioner", jwt=lambda: SecretText(A_SERVICE_ACCOUNT_TOKEN), mount="kubernetes")
        with a_store(openbao.address, login) as store:
            store.preflight(place)
            assert store.write(place, OWNER, a_record(), "0") == "1"


def test_namespace(openbao: OpenBao, root: hvac.Client, place: Destination) -> None:
    """A store in a namespace reads and writes there, and nowhere else."""
    name = f"team-{uuid4().hex[:6]}"
    root.adapter.request("post", f"/v1/sys/namespaces/{name}")
    inside = hvac.Client(url=openbao.address, token=openbao.root_token.reveal(), namespace=name)
    inside.sys.enable_secrets_engine("kv", path="secret", options={"version": "2"})
    with (
        a_store(openbao.address, root_login(openbao), namespace=name) as store,
        a_store(openbao.address, root_login(openbao)) as outside,
    ):
        store.preflight(place)
        store.write(place, OWNER, a_record(), "0")
        assert store.read(place, OWNER).content == a_record()
        assert outside.read(place, OWNER).content == Absent()
    inside.session.close()


def test_version_1_mount_is_refused(openbao: OpenBao, root: hvac.Client, place: Destination) -> None:
    """KV version 1 knows no compare-and-set: nothing is written there."""
    mount = f"kv1-{uuid4().hex[:6]}"
    root.sys.enable_secrets_engine("kv", path=mount, options={"version": "1"})
    with (
        a_store(openbao.address, root_login(openbao), mount=mount) as store,
        pytest.raises(StoreRefusedError, match="not a KV version 2 engine"),
    ):
        store.preflight(place)


def test_missing_mount_is_refused(openbao: OpenBao, place: Destination) -> None:
    """A mount that does not exist is named, on reading already."""
    with (
        a_store(openbao.address, root_login(openbao), mount="nowhere") as store,
        pytest.raises(StoreRefusedError, match="mounted at 'nowhere'"),
    ):
        store.read(place, OWNER)


def test_too_few_versions_are_warned_of(openbao: OpenBao, root: hvac.Client, place: Destination) -> None:
    """A secret that keeps two versions would lose the one inside the overlap."""
    root.secrets.kv.v2.update_metadata(path=place.path, max_versions=2, mount_point="secret")
    with a_store(openbao.address, root_login(openbao)) as store:
        warnings = store.check([(place, OWNER)])
    assert [warning.partition(":")[0] for warning in warnings] == ["max_versions of vault"]


def test_destroyed_and_wiped_secrets_are_absent(openbao: OpenBao, root: hvac.Client, place: Destination) -> None:
    """A destroyed version keeps its number; wiped metadata starts again at nothing."""
    with a_store(openbao.address, root_login(openbao)) as store:
        store.write(place, OWNER, a_record(), "0")
        root.secrets.kv.v2.destroy_secret_versions(path=place.path, versions=[1], mount_point="secret")
        assert (store.read(place, OWNER).content, store.read(place, OWNER).revision) == (Absent(), "1")
        root.secrets.kv.v2.delete_metadata_and_all_versions(path=place.path, mount_point="secret")
        assert (store.read(place, OWNER).content, store.read(place, OWNER).revision) == (Absent(), "0")


def test_competing_writer(openbao: OpenBao, root: hvac.Client, place: Destination) -> None:
    """Of two writers against one revision, one wins."""
    del root
    with a_store(openbao.address, root_login(openbao)) as one, a_store(openbao.address, root_login(openbao)) as other:
        revision = one.write(place, OWNER, a_record(1), "0")
        other.write(place, OWNER, a_record(2), revision)
        with pytest.raises(ConflictError):
            one.write(place, OWNER, a_record(3), revision)


def test_nobody_there_is_unavailable(place: Destination) -> None:
    """An address that nobody listens on: surely nothing was written."""
    login = TokenLogin(token=lambda: SecretText("t"))
    with a_store(f"http://127.0.0.1:{free_port()}", login) as store:
        for call in (
            lambda: store.read(place, OWNER),
            lambda: store.write(place, OWNER, a_record(), "0"),
            lambda: store.preflight(place),
        ):
            with pytest.raises(StoreUnavailableError, match="cannot be reached"):
                call()


def test_sealed_and_restarted(tmp_path: Path, place: Destination) -> None:
    """A sealed server is unavailable and takes nothing; unsealed or restarted, it goes on where it was."""
    port = free_port()
    address = f"http://127.0.0.1:{port}"
    (tmp_path / "data").mkdir()
    config = {
        "storage": {"raft": {"path": str(tmp_path / "data"), "node_id": "one"}},
        "listener": {"tcp": {"address": f"127.0.0.1:{port}", "tls_disable": True}},
        "api_addr": address,
        "cluster_addr": f"http://127.0.0.1:{free_port()}",
    }
    (tmp_path / "bao.json").write_text(json.dumps(config))
    arguments = [f"-config={tmp_path / 'bao.json'}"]
    server = start_bao(arguments, home=tmp_path)
    operator = hvac.Client(url=address)
    try:
        wait_until_answering(port, server)
        keys = operator.sys.initialize(secret_shares=1, secret_threshold=1)
        operator.token = keys["root_token"]
        operator.sys.submit_unseal_key(keys["keys"][0])
        wait_until_active(operator)
        operator.sys.enable_secrets_engine("kv", path="secret", options={"version": "2"})
        root_token = SecretText(keys["root_token"])
        with a_store(address, TokenLogin(token=lambda: root_token)) as store:
            wait_until_writable(store, place)
            operator.sys.seal()
            for call in (lambda: store.read(place, OWNER), lambda: store.write(place, OWNER, a_record(2), "1")):
                with pytest.raises(StoreUnavailableError, match="sealed"):
                    call()
            stop_bao(server)
            with pytest.raises(StoreUnavailableError, match="cannot be reached"):
                store.read(place, OWNER)
            server = start_bao(arguments, home=tmp_path)
            wait_until_answering(port, server)
            operator.sys.submit_unseal_key(keys["keys"][0])
            wait_until_active(operator)
            assert store.read(place, OWNER).content == a_record(1)
    finally:
        operator.session.close()
        stop_bao(server)


def test_nothing_secret_is_told(openbao: OpenBao, root: hvac.Client, place: Destination) -> None:
    """No client token and no stored token stands in any error, its arguments or its causes."""
    login = login_with_policy(root, f'path "secret/data/{place.path}" {{ capabilities = ["read"] }}')
    with a_store(openbao.address, login) as store:
        with pytest.raises(ProvisionerError) as caught:
            store.write(place, OWNER, a_record(), "0")
        told = everything_told(caught.value)
        assert store._client_token.current().reveal() not in told
    assert a_record().token.reveal() not in told


def approle(root: hvac.Client, place: Destination, **options: str) -> AppRoleLogin:
    """Give a login by a new AppRole that may do what a rotation does."""
    name = f"r-{uuid4()}"
    if "approle/" not in root.sys.list_auth_methods():
        root.sys.enable_auth_method("approle")
    policy = f'path "secret/data/{place.path}" {{ capabilities = ["create", "read", "update"] }}'
    root.sys.create_or_update_policy(name=name, policy=policy)
    root.auth.approle.create_or_update_approle(name, token_policies=[name], **options)
    role_id = SecretText(root.auth.approle.read_role_id(name)["data"]["role_id"])
    secret_id = SecretText(root.auth.approle.generate_secret_id(name)["data"]["secret_id"])
    return AppRoleLogin(role_id=lambda: role_id, secret_id=lambda: secret_id)


def count_requests(store: VaultStore) -> list[str]:
    """Give a list that fills with the requests that the store sends from now on."""
    sent: list[str] = []

    def note(response: requests.Response, **_: object) -> None:
        sent.append(f"{response.request.method} {response.request.path_url}")

    store._session.hooks["response"].append(note)
    return sent


def everything_told(error: BaseException) -> str:
    """Give all that an error and its causes could put into a log."""
    told = ""
    seen: BaseException | None = error
    while seen is not None:
        told += f"{seen!r} {seen} {seen.args!r} {vars(seen)!r}\n"
        seen = seen.__cause__ or seen.__context__
    return told


def post(root: hvac.Client, path: str, **body: Any) -> dict[str, Any]:
    """Send one request as an operator."""
    answer = root.adapter.request("post", f"/v1/{path}", json=body)
    return answer if isinstance(answer, dict) else {}


def a_signed_jwt(root: hvac.Client, address: str) -> str:
    """Let OpenBao's own identity provider sign a token for a user."""
    policy = a_policy(root, 'path "identity/oidc/token/*" { capabilities = ["read"] }')
    root.sys.enable_auth_method("userpass")
    post(root, "auth/userpass/users/someone", password="p", policies=policy)
    post(root, "identity/oidc/key/signing", allowed_client_ids="*", algorithm="RS256")
    post(root, "identity/oidc/role/someone", key="signing", client_id="provisioner", ttl="10m")
    user_token = post(root, "auth/userpass/login/someone", password="p")["auth"]["client_token"]
    user = hvac.Client(url=address, token=user_token)
    jwt: str = user.adapter.request("get", "/v1/identity/oidc/token/someone")["data"]["token"]
    user.session.close()
    return jwt


A_SERVICE_ACCOUNT_TOKEN = ".".join(
    base64.urlsafe_b64encode(json.dumps(part).encode()).rstrip(b"=").decode()
    for part in (
        {"alg": "RS256", "typ": "JWT"},
        {
            "iss": "kubernetes/serviceaccount",
            "iat": 1,
            "nbf": 1,
            "exp": 4102444800,
            "sub": "system:serviceaccount:tools:provisioner",
            "kubernetes.io": {"namespace": "tools", "serviceaccount": {"name": "provisioner", "uid": "u1"}},
        },
        "not a signature",
    )
)


@contextmanager
def a_token_reviewer() -> Iterator[str]:
    """Serve the API server's TokenReview, which finds every token good."""

    class Reviewer(BaseHTTPRequestHandler):
        """Answers every POST with an authenticated service account."""

        def do_POST(self) -> None:
            """Answer one review."""
            self.rfile.read(int(self.headers["content-length"]))
            user = {"username": "system:serviceaccount:tools:provisioner", "uid": "u1", "groups": []}
            kind = {"apiVersion": "authentication.k8s.io/v1", "kind": "TokenReview"}
            body = json.dumps(kind | {"status": {"authenticated": True, "user": user}}).encode()
            self.send_response(201)
            self.send_header("content-type", "application/json")
            self.send_header("content-length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_: object) -> None:
            """Say nothing."""

    with ThreadingHTTPServer(("127.0.0.1", 0), Reviewer) as server:
        thread = Thread(target=server.serve_forever)
        thread.start()
        try:
            yield f"http://127.0.0.1:{server.server_port}"
        finally:
            server.shutdown()
            thread.join()


def wait_until_active(operator: hvac.Client) -> None:
    """Wait until an unsealed server has become the active one."""
    clock = SystemClock()
    for _ in range(200):
        if isinstance(operator.sys.read_health_status(method="GET"), dict):  # of any other status the response itself
            return
        clock.sleep(MINUTE / 600)
    pytest.fail("the server did not become active")


def wait_until_writable(store: VaultStore, place: Destination) -> None:
    """Write the first record; a new KV version 2 mount upgrades itself for a moment and refuses until then."""
    clock = SystemClock()
    for _ in range(100):
        try:
            store.write(place, OWNER, a_record(1), "0")
        except ProvisionerError:
            clock.sleep(MINUTE / 600)
        else:
            return
    pytest.fail("the mount did not become writable")
