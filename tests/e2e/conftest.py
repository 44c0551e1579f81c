"""One site a test."""

from pathlib import Path

import pytest

from provisioner.simulators.openbao import OpenBao
from tests.site import Site, a_site


@pytest.fixture
def site(tmp_path: Path, openbao: OpenBao) -> Site:
    """Give a site with one token named ``telegraf`` and the default times."""
    return a_site(tmp_path, openbao)
