"""What the tests of the Vault store share: stores, logins and policies on a server, and what was sent and told."""

import base64
import json
from collections.abc import Iterator
from contextlib import closing, contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Thread
from typing import Any
from uuid import uuid4

import hvac
import requests

from provisioner.domain.model import Destination
from provisioner.domain.secret import SecretText
from provisioner.runtime.clock import SystemClock
from provisioner.simulators.openbao import OpenBao
from provisioner.stores.vault import VaultStore
from provisioner.stores.vault_auth import AppRoleLogin, TokenLogin, VaultLogin


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

    store._wire.session.hooks["response"].append(note)
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


@contextmanager
def a_token_reviewer(namespace: str) -> Iterator[str]:
    """Serve the API server's TokenReview, which finds every token good: that of the account ``provisioner``."""

    class Reviewer(BaseHTTPRequestHandler):
        """Answers every POST with an authenticated service account."""

        def do_POST(self) -> None:
            """Answer one review."""
            self.rfile.read(int(self.headers["content-length"]))
            user = {"username": f"system:serviceaccount:{namespace}:provisioner", "uid": "u1", "groups": []}
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


def a_service_account_token(namespace: str) -> str:
    """Give what looks like the token of the account ``provisioner``; nobody has signed it."""
    parts = (
        {"alg": "RS256", "typ": "JWT"},
        {
            "iss": "kubernetes/serviceaccount",
            "iat": 1,
            "nbf": 1,
            "exp": 4102444800,
            "sub": f"system:serviceaccount:{namespace}:provisioner",
            "kubernetes.io": {"namespace": namespace, "serviceaccount": {"name": "provisioner", "uid": "u1"}},
        },
        "not a signature",
    )
    return ".".join(base64.urlsafe_b64encode(json.dumps(part).encode()).rstrip(b"=").decode() for part in parts)
