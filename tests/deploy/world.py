"""What a pod finds around it: Vault that reviews its token, an API server that knows its Role, a cluster of InfluxDB.

Of the configuration that is rendered, addresses alone are others.
"""

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import hvac
import trustme

from provisioner.simulators.cluster import Cluster
from provisioner.simulators.kubernetes_server import KubernetesServer
from provisioner.simulators.openbao import OpenBao, free_port
from tests.deploy.box import Mount
from tests.deploy.calls import allow
from tests.deploy.dockerfile import Stage
from tests.deploy.node import Node, Pod
from tests.deploy.rendered import NAMESPACE, Object, one
from tests.vault import a_service_account_token, a_token_reviewer, post

POLICY: Final = "provisioner"
PROFILE: Final = """[[profile]]
name = "default"
product = "clustered"
host = "cluster-host"
port = "443"
mgmt_token = "{token}"
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class World:
    """What a pod finds around it."""

    rendered: tuple[Object, ...]
    node: Node
    bao: OpenBao
    cluster: Cluster
    server: KubernetesServer
    port: int

    def pod(self, name: str) -> Pod:
        """Give one of the Deployment's pods."""
        return self.node.pod(name, one("Deployment", self.rendered)["spec"]["template"]["spec"])

    def stored(self) -> dict[str, str]:
        """Give what consumers of the one token read."""
        client = hvac.Client(url=self.bao.address, token=self.bao.root_token.reveal())
        try:
            read = client.secrets.kv.v2.read_secret_version(path="influx/telegraf-admin", raise_on_deleted_version=True)
        finally:
            client.session.close()
        data: dict[str, str] = read["data"]["data"]
        return data

    def permit(self, policy: str) -> None:
        """Let the ServiceAccount do what a policy says."""
        client = hvac.Client(url=self.bao.address, token=self.bao.root_token.reveal())
        client.sys.create_or_update_policy(name=POLICY, policy=policy)
        client.session.close()

    def stored_token_works(self) -> bool:
        """Tell whether the stored token is taken."""
        return self.cluster.authenticate(self.stored()["token"])


@contextmanager
def a_world(folder: Path, image: Stage, rendered: tuple[Object, ...]) -> Iterator[World]:
    """Give the world of a chart's pods."""
    port = free_port()
    account = a_service_account_token(NAMESPACE)
    authority = trustme.CA()
    authority.issue_cert("127.0.0.1").private_key_and_cert_chain_pem.write_to_path(str(folder / "server.pem"))
    cluster = Cluster(folder / "cluster")
    profile = PROFILE.format(token=cluster.operator("management"))
    for path in (folder / "cluster", *(folder / "cluster").iterdir()):
        path.chmod(0o777)
    with ExitStack() as stack:
        bao = stack.enter_context(OpenBao())
        server = stack.enter_context(KubernetesServer(certificate=folder / "server.pem"))
        reviewer = stack.enter_context(a_token_reviewer(NAMESPACE))
        server.accounts = {account: "provisioner"}
        allow(rendered, server)
        addresses = {"https://vault:8200": bao.address, "0.0.0.0:8080": f"127.0.0.1:{port}"}
        node = Node(
            folder=folder / "pods",
            image=image,
            contents={
                "provisioner-config": {"provisioner.yaml": readdressed(rendered, addresses)},
                "influxctl": {"config.toml": profile},
            },
            account={"token": account, "ca.crt": authority.cert_pem.bytes().decode(), "namespace": NAMESPACE},
            environment={"KUBERNETES_SERVICE_HOST": "127.0.0.1", "KUBERNETES_SERVICE_PORT": str(server.port)},
            besides=(Mount(source=folder / "cluster", target="/cluster", read_only=False),),
        )
        _prepare(bao, reviewer, authority)
        yield World(rendered=rendered, node=node, bao=bao, cluster=cluster, server=server, port=port)


def readdressed(rendered: tuple[Object, ...], addresses: dict[str, str]) -> str:
    """Give the configuration that is rendered, with other addresses and nothing else."""
    text = str(one("ConfigMap", rendered)["data"]["provisioner.yaml"])
    for old, new in addresses.items():
        assert text.count(old) == 1
        text = text.replace(old, new)
    return text


def _prepare(bao: OpenBao, reviewer: str, authority: trustme.CA) -> None:
    """Let the ServiceAccount log in, as docs/kubernetes.md says; its policy comes later."""
    root = hvac.Client(url=bao.address, token=bao.root_token.reveal())
    root.sys.enable_auth_method("kubernetes")
    post(
        root,
        "auth/kubernetes/config",
        kubernetes_host=reviewer,
        kubernetes_ca_cert=authority.cert_pem.bytes().decode(),
        token_reviewer_jwt="x",
        disable_local_ca_jwt=True,
    )
    post(
        root,
        "auth/kubernetes/role/provisioner",
        bound_service_account_names="provisioner",
        bound_service_account_namespaces=NAMESPACE,
        token_policies=POLICY,
    )
    root.session.close()
