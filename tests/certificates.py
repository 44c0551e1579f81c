"""A certificate for 127.0.0.1 and the CA that signed it, as OpenBao makes them for its own development server."""

from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path

from provisioner.domain.secret import SecretText
from provisioner.runtime.clock import SystemClock
from provisioner.simulators.openbao import READY_WITHIN, free_port, start_bao, stop_bao


@dataclass(frozen=True, slots=True, kw_only=True)
class Certificate:
    """Three PEM files."""

    ca: Path
    certificate: Path
    key: Path


def a_certificate(folder: Path) -> Certificate:
    """Let OpenBao make one in a folder; the key is what it writes last."""
    made = Certificate(ca=folder / "vault-ca.pem", certificate=folder / "vault-cert.pem", key=folder / "vault-key.pem")
    clock = SystemClock()
    deadline = clock.monotonic() + READY_WITHIN.total_seconds()
    arguments = ["-dev", "-dev-no-store-token", "-dev-tls", f"-dev-tls-cert-dir={folder}"]
    server = start_bao(
        [*arguments, f"-dev-listen-address=127.0.0.1:{free_port()}"], home=folder, root_token=SecretText("unused")
    )
    try:
        files = (made.ca, made.certificate, made.key)
        while not all(path.exists() and "-----END" in path.read_text() for path in files):
            assert clock.monotonic() < deadline, "OpenBao made no certificate"
            clock.sleep(timedelta(milliseconds=20))
    finally:
        stop_bao(server)
    return made
