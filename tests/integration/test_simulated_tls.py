"""The simulated cluster's HTTP APIs behind TLS."""

import ssl
from pathlib import Path

import httpx
import pytest

from provisioner.simulators.cluster import Cluster
from provisioner.simulators.management_api import ManagementApi
from tests.certificates import a_certificate


def test_tls_is_spoken(tmp_path: Path) -> None:
    """Whoever trusts the CA is answered, and nobody else gets through."""
    certificate, cluster = a_certificate(tmp_path), Cluster(tmp_path / "cluster")
    credential = {"authorization": f"Bearer {cluster.operator('management')}"}
    trusting = ssl.create_default_context(cafile=str(certificate.ca))
    with ManagementApi(cluster, certificate=certificate.certificate, key=certificate.key) as api:
        assert api.url == f"https://127.0.0.1:{api.port}/api/v0"
        assert httpx.get(f"{api.url}/tokens", headers=credential, verify=trusting).json() == []
        with pytest.raises(httpx.ConnectError, match="CERTIFICATE_VERIFY_FAILED"):
            httpx.get(f"{api.url}/tokens", headers=credential)
