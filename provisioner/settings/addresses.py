"""Addresses of servers: refused when the file is read, where no request could be sent to them."""

import re
from ipaddress import IPv6Address
from typing import Final
from urllib.parse import urlsplit

_LONGEST_HOST: Final = 253
_HOST: Final = re.compile(r"[A-Za-z0-9_.-]+")
"""A name, or four numbers: what a resolver is asked for."""


def absolute_url(value: str) -> str:
    """Give the address of a server without its last slash; raises ValueError that says what is wrong, not with what."""
    scheme, separator, rest = value.partition("://")
    if scheme not in {"http", "https"} or not separator or not rest.strip("/"):
        raise ValueError("must be a URL that begins with https:// or http://")
    if "@" in rest.partition("/")[0]:
        raise ValueError("must not hold a user name or password")
    if "?" in rest or "#" in rest:
        raise ValueError("must end with its path: what follows '?' or '#' would swallow the paths of our requests")
    if not value.isprintable() or " " in value or "\\" in value or not _leads_to_a_host(value):
        raise ValueError("must lead to a host, and look like https://HOST:PORT")
    return value.rstrip("/")


def _leads_to_a_host(url: str) -> bool:
    """Tell whether host and port can be ones; the errors of the standard library end here, for they repeat them."""
    try:
        parts = urlsplit(url)
        host, port = parts.hostname or "", parts.port
        if parts.netloc.startswith("["):
            return IPv6Address(host) is not None and port != 0
        name = host.encode("idna").decode("ascii")
    except ValueError:
        return False
    return _HOST.fullmatch(name) is not None and len(name) <= _LONGEST_HOST and port != 0


def without_zone(value: str) -> str:
    """Give it as it is; raises ValueError where a client cannot be called with it."""
    if "%" in urlsplit(value).netloc:
        raise ValueError("must not hold a zone, nor anything else with '%'")
    return value
