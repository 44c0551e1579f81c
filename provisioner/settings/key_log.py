"""Keeps the keys of TLS connections, by which every token on the wire can be read, from being written to a file."""

import os
from typing import Final

_VARIABLE: Final = "SSLKEYLOGFILE"


def forget_key_log() -> tuple[str, ...]:
    """Drop the variable that Python's TLS, urllib3 and botocore heed; give what to say of it, if it was set."""
    if not os.environ.pop(_VARIABLE, ""):  # noqa: TID251  # settings is the environment's reader
        return ()
    return (f"{_VARIABLE} is not heeded: whoever had the keys of our connections could read every token on them",)
