"""The Vault store while a real OpenBao is sealed, restarted, or behind TLS."""

import json
import socket
import ssl
from collections.abc import Iterator
from pathlib import Path

import hvac
import pytest

from provisioner.domain.errors import (
    ConfigurationError,
    OutcomeUnknownError,
    ProvisionerError,
    StoreUnavailableError,
)
from provisioner.domain.model import Destination
from provisioner.domain.secret import SecretText
from provisioner.runtime.clock import SystemClock
from provisioner.simulators.openbao import OpenBao, free_port, start_bao, stop_bao, wait_until_answering
from provisioner.stores.vault import VaultStore
from provisioner.stores.vault_auth import TokenLogin
from tests.builders import MINUTE, OWNER, a_record
from tests.fakes.vault_server import Answer, a_server
from tests.vault import (
    a_store,
)


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


@pytest.fixture
def behind_tls(tmp_path: Path) -> Iterator[tuple[str, SecretText, Path]]:
    """Give the address of an OpenBao behind TLS, its root token, and its CA file."""
    port, root_token = free_port(), SecretText("dev-root-behind-tls")
    arguments = ["-dev", "-dev-no-store-token", "-dev-tls", f"-dev-tls-cert-dir={tmp_path}"]
    server = start_bao([*arguments, f"-dev-listen-address=127.0.0.1:{port}"], home=tmp_path, root_token=root_token)
    try:
        wait_until_listening(port)
        yield f"https://127.0.0.1:{port}", root_token, tmp_path / "vault-ca.pem"
    finally:
        stop_bao(server)


def test_tls(
    behind_tls: tuple[str, SecretText, Path], place: Destination, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """The CA file of the configuration is used, and it alone; a client certificate of the environment is not."""
    address, root_token, ca_cert = behind_tls
    login = TokenLogin(token=lambda: root_token)
    monkeypatch.setattr("hvac.v1.VAULT_CLIENT_CERT", str(tmp_path / "of-somebody-else.pem"))
    with a_store(address, login, ca_cert=ca_cert) as store:
        wait_until_writable(store, place)
        assert store.read(place, OWNER).content == a_record(1)
    monkeypatch.setenv("REQUESTS_CA_BUNDLE", str(ca_cert))
    with a_store(address, login) as store:
        for call in (lambda: store.read(place, OWNER), lambda: store.write(place, OWNER, a_record(2), "1")):
            with pytest.raises(StoreUnavailableError, match="a certificate that we do not trust; check ca_cert"):
                call()


def test_ca_file_that_has_gone(behind_tls: tuple[str, SecretText, Path], place: Destination, tmp_path: Path) -> None:
    """A CA file that was taken away is named as the reason."""
    address, root_token, _ = behind_tls
    with (
        a_store(address, TokenLogin(token=lambda: root_token), ca_cert=tmp_path / "gone.pem") as store,
        pytest.raises(StoreUnavailableError, match="ca_cert cannot be read"),
    ):
        store.read(place, OWNER)


def test_tls_that_breaks(behind_tls: tuple[str, SecretText, Path], place: Destination, tmp_path: Path) -> None:
    """When TLS ends behind a write that was sent, the write may have landed."""
    ca_cert = behind_tls[2]
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(tmp_path / "vault-cert.pem", tmp_path / "vault-key.pem")
    with (
        a_server(context) as server,
        a_store(server.address, TokenLogin(token=lambda: SecretText("t")), ca_cert=ca_cert) as store,
    ):
        server.answers = [Answer(garbles=True)]
        with pytest.raises(OutcomeUnknownError, match="TLS with https"):
            store.write(place, OWNER, a_record(), "0")
        assert server.count("POST /v1/secret/data/") == 1


def test_server_that_cannot_start_leaves_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """When its port is taken the failure is told, and neither a process nor a folder is left."""
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        server = OpenBao()
        server.port = taken.getsockname()[1]
        with pytest.raises(ConfigurationError, match="ended at once"), server:
            pytest.fail("it started")
    assert list(tmp_path.iterdir()) == []


def wait_until_listening(port: int) -> None:
    """Wait until somebody takes connections; TLS is not spoken yet."""
    clock = SystemClock()
    for _ in range(200):
        try:
            socket.create_connection(("127.0.0.1", port)).close()
        except OSError:
            clock.sleep(MINUTE / 600)
        else:
            return
    pytest.fail("the server does not listen")
