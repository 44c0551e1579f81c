"""An answer over HTTP, read to its end, and what of it may be told."""

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Final, Self, TypeVar

import httpcore
import httpx

from provisioner.domain.scrub import LONGEST_PLAIN_WORD, scrub
from provisioner.domain.secret import SecretText
from provisioner.issuers.token_json import UnreadableOutputError

LARGEST_BODY: Final = 64 * 1024 * 1024
_LARGEST_TOLD: Final = 64 * 1024
_LONGEST_TOLD: Final = 160
_MOST_DIGITS: Final = 18
_WORDS: Final = ("message", "error", "detail")
"""Where an error says in words what it is."""

T = TypeVar("T")


class Flaw(StrEnum):
    """Why a body cannot be had."""

    CUT = "was cut short"
    SLOW = "did not end in time"
    LARGE = "is larger than 64 MiB"
    ENCODED = "is compressed, which was not asked for"


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """Status, body, and those headers that are needed. Showing it shows no body: a token may stand there."""

    status: int
    content_type: str
    """For messages."""
    redirects_to: str | None
    """The host that a redirect points to, for messages."""
    flaw: Flaw | None
    body: bytes = field(repr=False)

    @classmethod
    def read(cls, response: httpx.Response) -> Self:
        """Read the body to its end, or until it is too much."""
        body, flaw = _body(response)
        return cls(
            status=response.status_code,
            content_type=_told(response.headers.get("content-type", "").partition(";")[0]) or "no content type",
            redirects_to=_redirects_to(response),
            flaw=flaw,
            body=body,
        )

    def understood(self, parse: Callable[[object], T]) -> T | str:
        """Read the JSON; else say why it cannot be read. Errors of parsers end here: their frames hold the text."""
        if self.flaw is not None:
            return f"it {self.flaw}"
        try:
            return parse(json.loads(self.body))
        except UnreadableOutputError as error:
            return f"{error} ({self.content_type})"
        except (ValueError, RecursionError):
            return f"it is no JSON ({self.content_type}, {len(self.body)} bytes)"

    def words(self, sent: SecretText) -> str:
        """Give what an error says in words, without what we sent and without what may be a secret; no page of HTML."""
        if self.flaw is not None or len(self.body) > _LARGEST_TOLD:
            return ""
        text = self.body.decode(errors="replace").strip()
        try:
            document = json.loads(text)
        except (ValueError, RecursionError):
            document = "" if text.startswith("<") else text
        if isinstance(document, Mapping):
            document = next((document[key] for key in _WORDS if isinstance(document.get(key), str)), "")
        return _told(document, known=(sent.reveal(),)) if isinstance(document, str) else ""


def _body(response: httpx.Response) -> tuple[bytes, Flaw | None]:
    if response.headers.get("content-encoding", "identity").strip().lower() != "identity":
        response.close()
        return b"", Flaw.ENCODED
    if _declared(response) > LARGEST_BODY:
        response.close()
        return b"", Flaw.LARGE
    chunks: list[bytes] = []
    size = 0
    try:
        for chunk in response.iter_raw():
            chunks.append(chunk)
            size += len(chunk)
            if size > LARGEST_BODY:
                return b"", Flaw.LARGE
    except httpcore.TimeoutException:
        return b"", Flaw.SLOW
    except (httpcore.NetworkError, httpcore.ProtocolError):
        return b"", Flaw.CUT
    finally:
        response.close()
    return b"".join(chunks), None


def _declared(response: httpx.Response) -> int:
    text = response.headers.get("content-length", "")
    return int(text) if text.isascii() and text.isdigit() and len(text) <= _MOST_DIGITS else 0


def _redirects_to(response: httpx.Response) -> str | None:
    """Give the host of ``Location`` alone: whatever else stands there may hold anything."""
    location = response.headers.get("location")
    if location is None:
        return None
    try:
        return _told(httpx.URL(location).host) or None
    except (httpx.InvalidURL, ValueError):
        return None


def _told(text: str, known: tuple[str, ...] = ()) -> str:
    return scrub(text, longest=_LONGEST_TOLD, known=known, longest_word=LONGEST_PLAIN_WORD)
