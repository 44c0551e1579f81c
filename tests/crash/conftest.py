"""What the cases share: servers, proxies, the process that forks, and the states with which they begin."""

import shutil
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from provisioner.simulators.management_api import ManagementApi
from provisioner.simulators.openbao import OpenBao
from tests.crash.proxy import a_proxy
from tests.crash.scene import NAME, Around, Beginning, Scene, a_scene
from tests.switchboard import Switchboard
from tests.zygote import a_zygote


@pytest.fixture(scope="session")
def around(openbao: OpenBao, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Around]:
    """Give the servers, with a proxy before each, and the zygote."""
    switchboard = Switchboard(tmp_path_factory.mktemp("switchboard"))
    with (
        a_zygote() as zygote,
        ManagementApi(switchboard) as api,
        a_proxy(openbao.port) as to_store,
        a_proxy(api.port) as to_issuer,
    ):
        yield Around(bao=openbao, zygote=zygote, switchboard=switchboard, to_store=to_store, to_issuer=to_issuer)


def _beginning(around: Around, folder: Path, *commands: tuple[str, ...]) -> Beginning:
    """Make a state by running commands, undisturbed."""
    scene = a_scene(folder, around)
    for command in commands:
        ran = scene.run(*command)
        assert ran.status == 0, ran.errors
    kept = folder / "kept"
    shutil.copytree(folder / "cluster", kept)
    return Beginning(cluster=kept, document=scene.site.stored(NAME))


@pytest.fixture(scope="session")
def beginnings(around: Around, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Beginning]:
    """Give the states with which scenarios begin, each made once."""
    rotate = ("rotate", NAME, "--direct", "--request-id", "before")
    return {
        "provisioned": _beginning(around, tmp_path_factory.mktemp("provisioned"), ("once",)),
        "rotated": _beginning(around, tmp_path_factory.mktemp("rotated"), ("once",), rotate),
    }


@pytest.fixture
def stage(around: Around, beginnings: dict[str, Beginning], tmp_path: Path) -> Callable[[str | None], Scene]:
    """Give the stage for one case."""
    return lambda beginning: a_scene(tmp_path, around, beginnings[beginning] if beginning else None)
