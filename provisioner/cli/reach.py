"""The way to a running daemon: its admin socket, or its HTTP address; every failure is one of ours."""

import json
import ssl
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, Self

from provisioner.domain.errors import DaemonUnreachableError, ProvisionerError
from provisioner.domain.scrub import LONGEST_PLAIN_WORD, scrub
from provisioner.domain.secret import SecretText

if TYPE_CHECKING:
    import httpx

_SECONDS: Final = 15.0
_SECONDS_FOR_MORE: Final = 2.0
"""For what is nice to know."""
_ACCEPTED: Final = 202
_OK: Final = 200
_LARGEST_ANSWER: Final = 16 * 1024 * 1024


class DaemonRefusedError(ProvisionerError):
    """The daemon answered no; nothing was begun."""


@dataclass(slots=True)
class Reach:
    """A connection to a daemon; a context that ends it."""

    client: "httpx.Client"
    where: str
    token: SecretText | None = field(default=None, repr=False)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.client.close()

    def ask(self, demand: Mapping[str, object]) -> list[dict[str, Any]]:
        """Ask for rotations; raises DaemonRefusedError, or DaemonUnreachableError, also where it is not taken now."""
        answer = self._call("POST", "/v1/rotations", demand)
        return _rotations(answer)

    def rotations(self, request_id: str | None = None) -> list[dict[str, Any]]:
        """Give the rotations that this daemon was asked for, the last first; or those of one request."""
        query = {} if request_id is None else {"request_id": request_id}
        return _rotations(self._call("GET", "/v1/rotations", query=query))

    def standings(self) -> tuple[str, list[dict[str, Any]]]:
        """Give the instance, and where its tokens stand, as the daemon has seen them last."""
        answer = self._call("GET", "/v1/tokens")
        if not isinstance(answer, Mapping) or not isinstance(answer.get("tokens"), list):
            raise DaemonRefusedError("what answered is no daemon of ours: it gave no list of tokens")
        return str(answer.get("instance")), answer["tokens"]

    def _call(
        self, verb: str, path: str, body: Mapping[str, object] | None = None, query: Mapping[str, str] | None = None
    ) -> object:
        """Make a request. What the library says of a failure may hold the header, and so the token: it ends here."""
        import httpx

        headers = {} if self.token is None else {"Authorization": f"Bearer {self.token.reveal()}"}
        failure, status, text = "", 0, b""
        try:
            answer = self.client.request(verb, path, json=body, params=query, headers=headers)
            status, text = answer.status_code, answer.content[:_LARGEST_ANSWER]
        except (httpx.HTTPError, httpx.InvalidURL, ValueError, OSError) as error:
            failure = _why(error)
        if failure:
            raise DaemonUnreachableError(f"no daemon was reached at {self.where}: {failure}")
        content = _parsed(text)
        if status not in {_OK, _ACCEPTED}:
            raise self._refusal(status, content)
        return content

    def _refusal(self, status: int, content: object) -> ProvisionerError:
        told = content if isinstance(content, Mapping) else {}
        detail = scrub(str(told.get("detail", "no reason given")), longest_word=LONGEST_PLAIN_WORD * 2)
        flaws = [each for each in told.get("errors", ()) if isinstance(each, Mapping)]
        said = "; ".join([detail, *(scrub(f"{each.get('where')}: {each.get('what')}") for each in flaws)])
        if str(told.get("type", "")).endswith("not-taken"):
            return DaemonUnreachableError(f"the daemon at {self.where} did not take it: {said}")
        remedy = ": name the file with --token-file" if status == 401 and self.token is None else ""  # noqa: PLR2004  # HTTP's own
        return DaemonRefusedError(f"the daemon at {self.where} refused ({status}): {said}{remedy}")


def through_socket(path: Path) -> Reach:
    """Give the way through the admin socket."""
    import httpx

    transport = httpx.HTTPTransport(uds=str(path))
    return Reach(httpx.Client(transport=transport, base_url="http://daemon", timeout=_SECONDS), str(path))


def over_http(url: str, token_file: Path | None = None, ca_cert: Path | None = None) -> Reach:
    """Give the way over HTTP, with the token of a file; over TLS a CA of one's own may be named."""
    import httpx

    token, failure = None, ""
    if token_file is not None:
        try:
            token = SecretText(token_file.read_text(encoding="utf-8").strip())
        except (OSError, ValueError) as error:
            failure = getattr(error, "strerror", None) or "is not text"
    if failure:
        raise DaemonRefusedError(f"--token-file {token_file} cannot be read: {failure}")
    scheme, _, rest = url.partition("://")
    if scheme not in {"http", "https"} or not rest or "@" in rest:
        raise DaemonRefusedError("--server has to be a URL that begins with http:// or https://, without a password")
    if ca_cert is not None and scheme != "https":
        raise DaemonRefusedError("--ca-cert is for a --server whose URL begins with https://")
    trust: ssl.SSLContext | bool = True if ca_cert is None else _trusting(ca_cert)
    return Reach(httpx.Client(base_url=url.rstrip("/"), timeout=_SECONDS, verify=trust), url, token)


def _trusting(ca_cert: Path) -> ssl.SSLContext:
    try:
        return ssl.create_default_context(cafile=str(ca_cert))
    except ssl.SSLError:
        why = "holds no certificate in PEM"
    except OSError as error:
        why = f"cannot be read: {error.strerror}"
    raise DaemonRefusedError(f"--ca-cert {ca_cert} {why}")


def remembered(path: Path) -> dict[str, dict[str, Any]]:
    """Give by name the last rotation that a daemon at this socket was asked for; nothing when there is none."""
    if not path.is_socket():
        return {}
    try:
        with through_socket(path) as reach:
            reach.client.timeout = _SECONDS_FOR_MORE
            return {str(each.get("name")): each for each in reversed(reach.rotations())}
    except ProvisionerError:
        return {}


def _why(error: Exception) -> str:
    """Name what went wrong by its kind, and what the system says of it."""
    system: BaseException | None = error
    while system is not None and not isinstance(system, OSError):
        system = system.__cause__ or system.__context__
    words = getattr(system, "strerror", None) or ""
    if isinstance(system, ssl.SSLCertVerificationError):
        return f"its certificate is not trusted ({scrub(system.verify_message)}): name the CA with --ca-cert FILE"
    kind = type(error).__name__
    return f"{kind} ({scrub(words, longest_word=LONGEST_PLAIN_WORD)})" if words else kind


def _parsed(text: bytes) -> object:
    try:
        return json.loads(text)
    except ValueError:
        return None


def _rotations(answer: object) -> list[dict[str, Any]]:
    found = answer.get("rotations") if isinstance(answer, Mapping) else None
    if not isinstance(found, Sequence) or not all(isinstance(each, dict) and "state" in each for each in found):
        raise DaemonRefusedError("what answered is no daemon of ours: it gave no list of rotations")
    return list(found)
