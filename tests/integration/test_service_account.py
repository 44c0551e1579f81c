"""As a pod finds its cluster: by the files of a ServiceAccount, over TLS, while they are replaced."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path

import pytest

from provisioner.domain.consumers import Workload, WorkloadKind
from provisioner.domain.election import Claim
from provisioner.domain.errors import (
    ConfigurationError,
    LeaseRefusedError,
    LeaseUnavailableError,
    WorkloadsUnavailableError,
)
from provisioner.runtime import kubernetes_client
from provisioner.runtime.clock import SystemClock
from provisioner.runtime.lease_kubernetes import KubernetesLease
from provisioner.runtime.pod_events import PodEvents
from provisioner.runtime.workloads_kubernetes import KubernetesWorkloads
from provisioner.simulators.kubernetes_server import NAMESPACE, KubernetesServer
from provisioner.telemetry.pod_notes import Note
from tests.builders import OWNER, uid
from tests.certificates import Certificate, a_certificate
from tests.fakes.clock import FakeClock

CLAIM = Claim(holder="pod-a_1", duration=timedelta(seconds=15), transitions=0)
NOTE = Note(reason="Rotated", action="Rotate", text="x")
WORKLOAD = Workload(kind=WorkloadKind.DEPLOYMENT, name="telegraf")


@dataclass(frozen=True, slots=True, kw_only=True)
class Account:
    """What is mounted in the pod, and the server behind it."""

    folder: Path
    server: KubernetesServer

    def puts(self, token: str) -> None:
        """Replace the token, as the kubelet does."""
        (self.folder / "token").write_text(token)

    def trusts(self, certificate: Certificate) -> None:
        """Replace the certificate of the CA."""
        (self.folder / "ca.crt").write_bytes(certificate.ca.read_bytes())


@pytest.fixture(scope="module")
def certificates(tmp_path_factory: pytest.TempPathFactory) -> tuple[Certificate, Certificate]:
    """Give two, of different CAs."""
    first, second = (a_certificate(tmp_path_factory.mktemp("certificate")) for _ in range(2))
    return first, second


@pytest.fixture
def account(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, certificates: tuple[Certificate, Certificate]
) -> Iterator[Account]:
    """Give the ServiceAccount of a pod, which a server knows and whose certificate it has."""
    first, _ = certificates
    with KubernetesServer(certificate=first.certificate, key=first.key) as server:
        folder = tmp_path / "serviceaccount"
        folder.mkdir()
        account = Account(folder=folder, server=server)
        account.puts(server.token)
        account.trusts(first)
        (folder / "namespace").write_text(NAMESPACE)
        monkeypatch.setattr(kubernetes_client, "SERVICE_ACCOUNT", folder)
        monkeypatch.setenv("KUBERNETES_SERVICE_HOST", "127.0.0.1")
        monkeypatch.setenv("KUBERNETES_SERVICE_PORT", str(server.port))
        monkeypatch.setenv("KUBECONFIG", str(tmp_path / "none"))
        yield account


def a_lease() -> KubernetesLease:
    """Give the lease by which the pod would lead."""
    return KubernetesLease("provisioner", None, request_timeout=timedelta(seconds=3), clock=FakeClock())


@pytest.fixture
def lease(account: Account) -> Iterator[KubernetesLease]:
    """Give a lease that is closed at the end."""
    del account
    lease = a_lease()
    yield lease
    lease.close()


def test_the_files_say_who_and_where_and_whom_to_trust(lease: KubernetesLease) -> None:
    """Nothing else is needed, over TLS."""
    assert lease.name == f"{NAMESPACE}/provisioner"
    lease.create(CLAIM)
    record = lease.read()
    assert record is not None
    assert record.holder == CLAIM.holder


def test_a_token_that_was_replaced_is_read_again(account: Account, lease: KubernetesLease) -> None:
    """No renewal fails by it, and the old one is not asked with any more."""
    lease.create(CLAIM)
    another = account.server.add_account("provisioner")
    del account.server.accounts[account.server.token]
    account.puts(f"{another}\n")
    assert lease.read() is not None
    asked = len(account.server.asked)
    assert lease.read() is not None
    assert len(account.server.asked) == asked + 1


@pytest.mark.parametrize("content", ["sa-of-yesterday-zq9", "", "two\nlines", "ü"])
def test_a_token_that_is_not_taken_is_said_and_taken_once_it_is(
    account: Account, lease: KubernetesLease, content: str
) -> None:
    """Expired, empty, or none at all: it says where to look and never what stood there."""
    account.puts(content)
    with pytest.raises((LeaseRefusedError, LeaseUnavailableError)) as raised:
        lease.read()
    assert not content or content not in str(raised.value)
    assert (raised.value.__cause__, raised.value.__context__) == (None, None)
    assert "ServiceAccount" in str(raised.value)
    account.puts(account.server.token)
    assert lease.read() is None


def test_a_token_file_that_is_gone_is_said_and_read_when_it_is_back(account: Account, lease: KubernetesLease) -> None:
    """The kubelet puts it there by a symlink, which is not there for a moment."""
    assert lease.read() is None
    token = account.server.add_account("provisioner")
    del account.server.accounts[account.server.token]
    (account.folder / "token").unlink()
    with pytest.raises(LeaseUnavailableError, match="token could not be read"):
        lease.read()
    account.puts(token)
    assert lease.read() is None


@pytest.mark.parametrize("name", ["token", "namespace", "ca.crt"])
def test_a_file_that_is_not_there_is_named(account: Account, name: str) -> None:
    """When the daemon begins, with the remedy."""
    (account.folder / name).unlink()
    with pytest.raises(ConfigurationError, match=f"{name} cannot be read .*switch leader_election off"):
        a_lease()


@pytest.mark.parametrize("content", ["", "no certificate"])
def test_a_ca_that_is_none_is_said(account: Account, content: str) -> None:
    """It is not passed over in silence."""
    (account.folder / "ca.crt").write_text(content)
    with pytest.raises(ConfigurationError, match="certificate of its CA"):
        a_lease()


def test_a_ca_that_was_replaced_is_read_again(account: Account, certificates: tuple[Certificate, Certificate]) -> None:
    """A cluster that gets another CA must not lose its leader until somebody restarts the pods."""
    account.server.cluster.add_workload("deployments", NAMESPACE, "telegraf")
    right, wrong = certificates
    account.trusts(wrong)
    workloads = KubernetesWorkloads(request_timeout=timedelta(seconds=3))
    told = PodEvents(name="pod-a", namespace=NAMESPACE, uid=uid(9), clock=FakeClock())
    lease = a_lease()
    with pytest.raises(LeaseUnavailableError, match=r"certificate is not trusted: see ca\.crt"):
        lease.read()
    with pytest.raises(WorkloadsUnavailableError, match=r"certificate is not trusted: see ca\.crt"):
        workloads.read(WORKLOAD, OWNER)
    told.put(NOTE)
    wait_until(lambda: told.dropped == 1)
    account.trusts(right)
    with pytest.raises(LeaseUnavailableError):
        lease.read()
    assert lease.read() is None
    assert workloads.read(WORKLOAD, OWNER) is not None
    told.put(NOTE)
    told.close()
    assert len(account.server.cluster.list("events", NAMESPACE)["items"]) == 1
    workloads.close()
    lease.close()


def wait_until(there: Callable[[], bool]) -> None:
    """Wait for something that another thread does."""
    clock = SystemClock()
    deadline = clock.monotonic() + 30
    while not there():
        assert clock.monotonic() < deadline
        clock.sleep(timedelta(milliseconds=20))
