"""The status page: a table made here, without a script, that loads nothing from anywhere."""

from base64 import b64encode
from collections.abc import Iterable, Sequence
from datetime import datetime
from hashlib import sha256
from html import escape
from typing import Final

from provisioner.api.view import Facts, Standing
from provisioner.domain.status import NOT_DONE, LastRequest
from provisioner.domain.timing import rfc3339

_STYLE: Final = """
:root{color-scheme:light dark;font:15px/1.45 system-ui,sans-serif}
body{margin:2rem auto;max-width:80rem;padding:0 1rem}
table{border-collapse:collapse;width:100%}
th,td{text-align:left;vertical-align:top;padding:.45rem .7rem;border-bottom:1px solid #8884}
small{opacity:.75}
.ok{color:#1a7f37}.due,.rotating{color:#b26a00}.failing,.refused,.unknown{color:#c62828;font-weight:600}
"""
_DIGEST: Final = b64encode(sha256(_STYLE.encode()).digest()).decode()
POLICY: Final = (
    f"default-src 'none'; style-src 'sha256-{_DIGEST}'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
)
"""The one style is known by its hash; nothing else is let in."""
_REFRESH: Final = 30
_NONE: Final = "<p>No token is configured.</p>"
_COLUMNS: Final = ("token", "state", "expires", "next", "destinations", "awaiting revocation", "asked for", "why")


def page(instance: str, standings: Iterable[Standing], readiness: Facts) -> str:
    """Give the page. Everything on it is escaped."""
    rows = "".join(_row(_cells(standing)) for standing in standings)
    head = "".join(f"<th scope=col>{name}</th>" for name in _COLUMNS)
    ready = "ready" if readiness.ok else "not ready yet"
    return (
        "<!doctype html><html lang=en><head><meta charset=utf-8>"
        "<meta name=viewport content='width=device-width'>"
        f"<meta http-equiv=refresh content={_REFRESH}><title>{escape(instance)} · token-provisioner</title>"
        f"<style>{_STYLE}</style></head><body><h1>Tokens of {escape(instance)}</h1>"
        f"<p>This process is {ready}.</p>"
        f"<table><thead><tr>{head}</tr></thead><tbody>{rows}</tbody></table>{'' if rows else _NONE}</body></html>"
    )


def _row(cells: Sequence[str]) -> str:
    return "<tr>" + "".join(f"<td>{cell}</td>" for cell in cells) + "</tr>"


def _cells(standing: Standing) -> list[str]:
    status = standing.status
    places = [
        f"{'in sync' if place.in_sync else 'OUT OF SYNC'} {place.store}:{place.path}" for place in status.destinations
    ]
    waiting = [
        f"{'OVERDUE ' if item.overdue else ''}{item.token_id} {_moment(item.revoke_at)}"
        for item in status.awaiting_revocation
    ]
    why = [status.reason] if status.reason != "nothing is due" else []
    why += [f"last error: {status.last_error}"] if status.last_error else []
    return [
        f"<b>{escape(status.name)}</b><br><small>seen {_moment(standing.seen_at)}</small>",
        f"<span class={status.state.value}>{status.state.value}</span>",
        _moment(status.expires_at),
        f"{escape(status.next_step)} {_moment(status.next_step_at)}",
        _lines(places),
        _lines(waiting),
        _lines([] if status.last_request is None else _asked(status.last_request)),
        _lines(why),
    ]


def _asked(request: LastRequest) -> list[str]:
    who = f"{request.by or 'somebody'} by {request.via}" if request.via else ""
    what = "compromised" if request.compromised else ""
    done = "" if request.stored_at else NOT_DONE
    said = (_moment(request.asked_at or request.stored_at), who, request.reason or "", what, done)
    return [text for text in said if text]


def _lines(texts: Sequence[str]) -> str:
    return "<br>".join(map(escape, texts)) or "-"


def _moment(when: datetime | None) -> str:
    return "-" if when is None else rfc3339(when.replace(microsecond=0))
