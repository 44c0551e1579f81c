"""Keeps this process's memory, which holds tokens, out of core dumps and from other processes of its own user."""

import ctypes
import os
import sys
from collections.abc import Callable
from typing import Final

_PR_SET_DUMPABLE: Final = 4


def seal_memory() -> tuple[str, ...]:
    """Forbid core dumps, to every child as well, and on Linux /proc/PID/mem and ptrace; give what could not be done.

    A platform that knows neither has nothing to fail. Another program may read this process again only with
    CAP_SYS_PTRACE. Swap is not this process's doing.
    """
    steps: tuple[tuple[str, Callable[[], None]], ...] = (
        ("forbid core dumps", _forbid_core_dumps),
        ("keep other processes of this user from reading its memory", _forbid_reading),
    )
    return tuple(f"could not {what}: {why}" for what, step in steps if (why := _failure(step)))


def _failure(step: Callable[[], None]) -> str | None:
    try:
        step()
    except (OSError, ValueError) as error:
        return f"{error}; a container's seccomp profile may forbid it" if sys.platform == "linux" else None
    return None


def _forbid_core_dumps() -> None:
    try:
        import resource
    except ImportError:  # not a Unix
        return
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))


def _forbid_reading() -> None:
    if sys.platform == "linux" and _prctl(_PR_SET_DUMPABLE, 0) != 0:
        number = ctypes.get_errno()
        raise OSError(number, os.strerror(number))


def _prctl(option: int, value: int) -> int:
    result: int = ctypes.CDLL(None, use_errno=True).prctl(option, value, 0, 0, 0)
    return result
