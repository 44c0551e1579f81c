"""A real OpenBao that keeps its data on disk, so that it can be killed, started again, sealed and unsealed.

Its unseal key and its root token are in this process's memory alone.
"""

import subprocess
from collections.abc import Callable
from contextlib import ExitStack
from datetime import timedelta
from json import dumps
from pathlib import Path
from tempfile import TemporaryDirectory
from types import TracebackType
from typing import Final, Self

import hvac
import hvac.exceptions

from provisioner.domain.secret import SecretText
from provisioner.runtime.clock import SystemClock
from provisioner.simulators.openbao import OpenBao, free_port, start_bao, stop_bao, wait_until_answering

READY_WITHIN: Final = timedelta(seconds=20)
VERSIONS_KEPT: Final = 1000
_PAUSE: Final = timedelta(milliseconds=20)
_HERE: Final = "127.0.0.1"


class DurableOpenBao(OpenBao):
    """One node with raft storage, KV version 2 at ``secret/``; started and unsealed when the context begins.

    Whoever enters the context has to be the main thread; so has whoever starts it again.
    """

    def __init__(self) -> None:
        """Choose free ports; nothing is started yet."""
        super().__init__()
        self._key = SecretText("none yet")
        self._folder = Path()
        self._process: subprocess.Popen[bytes] | None = None

    def __enter__(self) -> Self:
        """Start it, initialise it, unseal it, and mount KV version 2."""
        with ExitStack() as starting:
            self._folder = Path(starting.enter_context(TemporaryDirectory(prefix="provisioner-durable-")))
            starting.callback(self.kill)
            self._configure()
            self.start()
            self._initialise()
            self._started = starting.pop_all()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Stop it, and remove its data."""
        self._started.close()

    def start(self) -> None:
        """Start it, and wait until it answers; it is sealed then."""
        self._process = start_bao([f"-config={self._folder / 'bao.json'}"], home=self._folder)
        wait_until_answering(self.port, self._process)

    def kill(self) -> None:
        """End it with SIGKILL, whatever it is doing."""
        if self._process is not None:
            stop_bao(self._process)

    def seal(self) -> None:
        """Seal it, as an operator does in an emergency."""
        client = self._operator()
        client.sys.seal()
        client.session.close()

    def unseal(self) -> None:
        """Unseal it, and wait until it is active."""
        client = self._operator()
        client.sys.submit_unseal_key(self._key.reveal())  # of one that is unsealed it changes nothing
        self._wait(lambda: isinstance(client.sys.read_health_status(method="GET"), dict), "become active")
        client.session.close()

    def heal(self) -> None:
        """Have it running and unsealed, however it was left."""
        if self._process is None or self._process.poll() is not None:
            self.start()
        self.unseal()

    def _configure(self) -> None:
        data = self._folder / "data"
        data.mkdir()
        config = {
            "storage": {"raft": {"path": str(data), "node_id": "one", "performance_multiplier": 1}},
            "listener": {"tcp": {"address": f"{_HERE}:{self.port}", "tls_disable": True}},
            "api_addr": self.address,
            "cluster_addr": f"http://{_HERE}:{free_port()}",
        }
        (self._folder / "bao.json").write_text(dumps(config))

    def _initialise(self) -> None:
        client = hvac.Client(url=self.address)
        keys = client.sys.initialize(secret_shares=1, secret_threshold=1)
        self._key, self.root_token = SecretText(keys["keys"][0]), SecretText(keys["root_token"])
        client.session.close()
        self.unseal()
        client = self._operator()
        client.sys.enable_secrets_engine("kv", path=self.mount, options={"version": "2"})
        self._wait(lambda: self._takes_settings(client), "take settings")
        client.session.close()

    def _takes_settings(self, client: hvac.Client) -> bool:
        """Have every version kept, once the new mount has upgraded itself to version 2; it refuses for a moment."""
        try:
            client.secrets.kv.v2.configure(max_versions=VERSIONS_KEPT, mount_point=self.mount)
        except hvac.exceptions.VaultError:
            return False
        return True

    def _operator(self) -> hvac.Client:
        return hvac.Client(url=self.address, token=self.root_token.reveal())

    def _wait(self, happened: Callable[[], bool], what: str) -> None:
        clock = SystemClock()
        deadline = clock.monotonic() + READY_WITHIN.total_seconds()
        while not happened():
            assert clock.monotonic() < deadline, f"OpenBao did not {what} within {READY_WITHIN.total_seconds():g} s"
            clock.sleep(_PAUSE)
