"""The command starts light: what is heavy is imported when it is used."""

import subprocess
import sys

import pytest

HEAVY = (
    "hvac",
    "boto3",
    "botocore",
    "kubernetes",
    "lightkube",
    "httpx",
    "httpx2",
    "fastapi",
    "prometheus_client",
    "starlette",
    "uvicorn",
    "pydantic",
    "apscheduler",
)


def loaded_by(code: str) -> set[str]:
    """Give the top-level modules that a fresh interpreter holds after running ``code``."""
    program = f"import sys; {code}; print(*{{name.partition('.')[0] for name in sys.modules}})"
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    return set(done.stdout.split())


@pytest.mark.parametrize("module", ["provisioner.cli.main", "provisioner.domain.decide", "provisioner.engine.service"])
def test_importing_loads_nothing_heavy(module: str) -> None:
    """Help and version wait for no client library."""
    assert loaded_by(f"import {module}") & set(HEAVY) == set()


def test_what_is_used_is_loaded() -> None:
    """The check above can fail: a store's own module does load its client."""
    assert "hvac" in loaded_by("import provisioner.stores.vault")
