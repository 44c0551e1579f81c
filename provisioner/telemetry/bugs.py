"""What is told of a bug: its kind and where it is. Its text, and what hangs on it, may hold a secret."""

import logging
import sys
import threading
import warnings
from collections.abc import Callable
from traceback import walk_tb
from types import TracebackType

from provisioner.domain.errors import ProvisionerError
from provisioner.domain.scrub import scrub

_PLACES = 8
"""Places told, counted from where it was raised."""


def kind_and_place(error: BaseException, trace: TracebackType | None) -> str:
    """Name the kind of an error and the lines it came through; only our own errors have a text that can be told."""
    places = [f"{frame.f_code.co_filename}:{line}" for frame, line in walk_tb(trace)]
    where = f" at {' < '.join(reversed(places[-_PLACES:]))}" if places else ""
    what = f": {scrub(str(error))}" if isinstance(error, ProvisionerError) else ""
    return f"{type(error).__name__}{where}{what}"


def report_by_kind(say: Callable[[str], None]) -> None:
    """Tell of whatever nobody caught, in any thread, finaliser or warning, through ``say``, by kind and place."""

    def uncaught(_: type[BaseException], error: BaseException, trace: TracebackType | None) -> None:
        say(f"this is a bug: {kind_and_place(error, trace)}")

    def uncaught_in_thread(arguments: threading.ExceptHookArgs) -> None:
        if arguments.exc_value is not None and not isinstance(arguments.exc_value, SystemExit):
            say(f"this is a bug in a thread: {kind_and_place(arguments.exc_value, arguments.exc_traceback)}")

    def unraisable(arguments: "sys.UnraisableHookArgs") -> None:
        if arguments.exc_value is not None:
            say(f"this is a bug in an ending: {kind_and_place(arguments.exc_value, arguments.exc_traceback)}")

    def warned(
        message: Warning | str, category: type[Warning], filename: str, lineno: int, *_: object, **__: object
    ) -> None:
        del message
        say(f"{category.__name__} at {filename}:{lineno}")

    sys.excepthook, threading.excepthook, sys.unraisablehook = uncaught, uncaught_in_thread, unraisable
    warnings.showwarning = warned
    logging.raiseExceptions = False  # a record that cannot be written would be printed with its arguments
