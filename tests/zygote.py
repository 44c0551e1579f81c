"""Starts the real command fast: a process that has imported everything already forks for every start.

What runs is ``provisioner.cli.main`` in a process of its own, with its own arguments, environment and output, which
dies as any process does. Only the interpreter's start and the imports, which took most of a short run, are left out.
As a program it reads one JSON object a line: what to start; it answers with the process id, and at its end the status.
"""

import gc
import importlib
import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from threading import Timer
from typing import IO, Any, Final

from provisioner.cli.main import main as provisioner

_USED_LATER: Final = (
    "httpcore",
    "h11",
    "anyio",
    "provisioner.daemon",
    "provisioner.api.application",
    "provisioner.api.patience",
    "provisioner.issuers.influxctl",
    "provisioner.stores.vault",
    "provisioner.cli.looking",
)


@dataclass(slots=True)
class Started:
    """A process that was started."""

    pid: int
    _answers: IO[str]

    def kill(self, number: int) -> None:
        """Send it a signal."""
        os.kill(self.pid, number)

    def wait(self) -> int:
        """Wait for its end; the status is negative when a signal was its end, as in subprocess."""
        return int(self._answers.readline())


class Zygote:
    """Starts commands, one at a time."""

    def __init__(self, process: "subprocess.Popen[str]") -> None:
        self._process = process

    def start(self, *arguments: str, output: Path, environment: Mapping[str, str]) -> Started:
        """Start the command; it writes to files ``output`` and ``output.err``, and works in their folder."""
        requests, answers = self._process.stdin, self._process.stdout
        if requests is None or answers is None:
            raise TypeError("the zygote has no pipes")
        order = {"arguments": arguments, "output": str(output), "environment": dict(environment)}
        requests.write(json.dumps(order) + "\n")
        requests.flush()
        return Started(int(answers.readline()), answers)


class Zygotes:
    """One zygote for all sites of a test process, made when the first command is run."""

    def __init__(self) -> None:
        self._stack = ExitStack()
        self._zygote: Zygote | None = None

    def run(self, *arguments: str, output: Path, environment: Mapping[str, str], timeout: float) -> int:
        """Run the command to its end, and give the status; what takes too long is killed."""
        if self._zygote is None:
            self._zygote = self._stack.enter_context(a_zygote())
        started = self._zygote.start(*arguments, output=output, environment=environment)
        overdue = Timer(timeout, started.kill, [signal.SIGKILL])
        overdue.start()
        try:
            return started.wait()
        finally:
            overdue.cancel()
            overdue.join()

    def close(self) -> None:
        """End it."""
        self._zygote = None
        self._stack.close()


@contextmanager
def a_zygote() -> Iterator[Zygote]:
    """Give one, which ends with the context."""
    with subprocess.Popen(
        [sys.executable, "-m", "tests.zygote"],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        env={"PATH": os.defpath},
        cwd=Path(__file__).parents[1],
    ) as process:
        yield Zygote(process)
        if process.stdin is not None:
            process.stdin.close()


def _become(order: Mapping[str, Any]) -> None:
    """Turn this fork into what was asked for."""
    output = Path(order["output"])
    complaint = output.with_suffix(".err")
    with Path(os.devnull).open("rb") as nothing, output.open("wb") as said, complaint.open("wb") as complained:
        for number, file in enumerate((nothing, said, complained)):
            os.dup2(file.fileno(), number)
    os.chdir(output.parent)
    os.environ.clear()  # noqa: TID251  # a fork has no exec to give it an environment of its own
    os.environ.update(order["environment"])  # noqa: TID251  # the same
    sys.argv = ["provisioner", *order["arguments"]]


def _serve() -> None:
    """Fork for every line; the parent comes back, the child ends as the command does."""
    for name in _USED_LATER:
        importlib.import_module(name)
    gc.collect()
    gc.freeze()  # or each fork, at its end, would look through, and thereby copy, all that was imported
    for line in sys.stdin:
        order = json.loads(line)
        pid = os.fork()
        if pid == 0:
            _become(order)
            provisioner()
            return
        sys.stdout.write(f"{pid}\n")
        sys.stdout.flush()
        _, status = os.waitpid(pid, 0)
        sys.stdout.write(f"{os.waitstatus_to_exitcode(status)}\n")
        sys.stdout.flush()


if __name__ == "__main__":
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # whoever started it ends it
    _serve()
