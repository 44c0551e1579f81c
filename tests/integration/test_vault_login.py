"""Logging in to a real OpenBao: each method, renewal, and client tokens that end."""

from dataclasses import replace
from pathlib import Path

import certifi
import hvac
import pytest

from provisioner.domain.errors import (
    StoreRefusedError,
)
from provisioner.domain.model import Destination
from provisioner.domain.secret import SecretText
from provisioner.simulators.openbao import OpenBao
from provisioner.stores.vault_auth import AppRoleLogin, JwtLogin
from tests.builders import OWNER, a_record
from tests.fakes.clock import FakeClock
from tests.vault import (
    a_policy,
    a_service_account_token,
    a_store,
    a_token_reviewer,
    approle,
    count_requests,
    everything_told,
    post,
)


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
    token = a_service_account_token("tools")
    with a_token_reviewer("tools") as address:
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
        login = JwtLogin(role="provisioner", jwt=lambda: SecretText(token), mount="kubernetes")
        with a_store(openbao.address, login) as store:
            store.preflight(place)
            assert store.write(place, OWNER, a_record(), "0") == "1"


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


def test_lasting_refusal_piles_up_no_client_tokens(openbao: OpenBao, root: hvac.Client, place: Destination) -> None:
    """Each refusal costs one more login, whose predecessor is given back."""
    with a_store(openbao.address, approle(root, place)) as store:
        store.read(place, OWNER)
        before = len(root.auth.token.list_accessors()["data"]["keys"])
        for _ in range(4):
            with pytest.raises(StoreRefusedError, match="denied"):
                store.read(replace(place, path=f"{place.path}/elsewhere"), OWNER)
        assert len(root.auth.token.list_accessors()["data"]["keys"]) == before
